//! The spaces as fjall's keyspaces.

use std::path::Path;
use std::sync::Arc;

use dynamo_proto::store::Space;
use dynamo_storage::SPACES;
use dynamo_storage::directory::flush_directory;
use fjall::compaction::Leveled;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use crate::{OpenError, Options};

/// Where, among the objects, the number of the last group is: shorter than any address, so no span
/// holds it.
pub(crate) const MARK: &[u8] = b"\0";

const NAMES: [(Space, &str); 4] = [
    (Space::Objects, "objects"),
    (Space::Hints, "hints"),
    (Space::Trees, "trees"),
    (Space::Meta, "meta"),
];

pub(crate) struct Spaces {
    objects: Keyspace,
    hints: Keyspace,
    trees: Keyspace,
    meta: Keyspace,
}

impl Spaces {
    /// Opens them, made if need be.
    pub(crate) fn open(
        database: &Database,
        data: &Path,
        options: Options,
    ) -> Result<Self, OpenError> {
        // Merges, which need room for what they write, are of so many tables.
        let merging = Leveled::default().with_table_target_size(options.memtable_bytes);
        let merging = Arc::new(merging);
        let [objects, hints, trees, meta] = NAMES.map(|(_, name)| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default()
                    .manual_journal_persist(true)
                    .max_memtable_size(options.memtable_bytes)
                    .compaction_strategy(merging.clone())
            })
        });
        let spaces = Self {
            objects: objects?,
            hints: hints?,
            trees: trees?,
            meta: meta?,
        };
        // fjall flushes what is in their directories, but not the entries of those; and a store that
        // was killed while it was made may have all of them unflushed.
        let keyspaces = data.join("keyspaces");
        for path in [&keyspaces, data] {
            flush_directory(path).map_err(fjall::Error::Io)?;
        }
        Ok(spaces)
    }

    pub(crate) fn all(&self) -> [Keyspace; SPACES.len()] {
        SPACES.map(|space| self.of(space).clone())
    }

    pub(crate) fn of(&self, space: Space) -> &Keyspace {
        match space {
            Space::Objects => &self.objects,
            Space::Hints => &self.hints,
            Space::Trees => &self.trees,
            Space::Meta => &self.meta,
        }
    }

    /// How far the store goes.
    pub(crate) fn last_group(&self) -> Result<u64, OpenError> {
        let mark = self.objects.get(MARK)?;
        let number = mark.and_then(|mark| Some(u64::from_be_bytes(*mark.first_chunk()?)));
        Ok(number.unwrap_or(0))
    }
}
