//! Storage on disk in a log-structured tree: [fjall](https://docs.rs/fjall), the default.
//!
//! A write goes to fjall's journal and to memory; a flush is one `fdatasync` of the journal, for
//! all that was written since the last one. Sorted tables are written behind it.
//!
//! # What it promises
//!
//! All that [`Backend`] asks, for any number of threads:
//! - memory, written and flushed are what they say: a batch stays in the process, goes to the
//!   operating system, or to the disk. Reads and scans see a snapshot and never wait for a writer
//!   or a flush.
//! - **Damage** in a table is found by its block's checksum when it is read: what is in that block
//!   is [corrupt](ReadOutcome::Corrupt), and a scan names a span around it. Damage in the journal
//!   is found when the store is opened, which then fails: see [`OpenError::Journal`].
//! - **A torn tail**, of a journal that was not flushed when the power went, is cut off.
//! - **A lost tail** that had been flushed is noticed: see [`DirectoryError::Lost`](dynamo_storage::directory::DirectoryError::Lost).
//! - **A failed flush**, also one of fjall's own in the background, is final.
//!
//! # What it leaves to others
//!
//! Keeping some of the disk free: fjall cannot go on when a write finds no room, so such a write
//! ends the store as a failed flush does. Put [`Reserve`](dynamo_storage::Reserve) in front of it.
//!
//! # Example
//!
//! ```
//! use dynamo_proto::store::{Address, Batch, Change, Command, Completion, Space};
//! use dynamo_proto::{ClusterId, Durability, NodeId};
//! use dynamo_storage::carry_out;
//! use dynamo_storage::directory::{Opening, Owner};
//! use dynamo_storage_fjall::{Fjall, Options};
//!
//! let temporary = tempfile::tempdir()?;
//! let owner = Owner { cluster: ClusterId(7), node: NodeId(1) };
//! let fjall = Fjall::open(temporary.path(), owner, Opening::InPlace, Options::default())?;
//!
//! let at = Address { position: 7, name: "cart".into() };
//! let change = Change { space: Space::Objects, at, bytes: Some("tea".into()) };
//! let batch = Batch { changes: [change].into_iter().collect(), durability: Durability::Flushed , may_use_reserve: false};
//! let wrote = carry_out(&fjall, Command::Write(batch));
//! assert_eq!(wrote, Completion::Wrote(Ok(Durability::Flushed)));
//! fjall.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod journal;
mod scan;
mod spaces;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use dynamo_proto::Durability;
use dynamo_proto::store::{Address, ReadOutcome, Space, WriteError};
use dynamo_storage::directory::{Directory, Found, Opening, Owner};
use dynamo_storage::{
    BackUp, BackUpError, Backend, Copied, Limit, Page, SPACES, ScanFailed, Span, Write, address,
    copy,
};
use fjall::{Database, PersistMode, Readable as _, Snapshot};

pub use error::{CloseError, OpenError};
use error::{is_damage, outcome_of};
use spaces::{MARK, Spaces};

/// The engine's name in a store's directory.
const ENGINE: &str = "fjall";

/// How a store is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How much of its tables is kept in memory.
    pub cache_bytes: u64,
    /// How much is collected in memory, for each space, before it becomes a table.
    pub memtable_bytes: u64,
}

/// A store on disk; see the crate's head.
pub struct Fjall {
    spaces: Spaces,
    database: Database,
    /// The number of the last group: each is written with its group, so that what is found after
    /// an opening says how far the store goes.
    last_group: AtomicU64,
    directory: Directory,
}

impl Fjall {
    /// Opens the store in this directory, or makes one in an empty or absent directory.
    pub fn open(
        path: &Path,
        owner: Owner,
        opening: Opening,
        options: Options,
    ) -> Result<Self, OpenError> {
        Self::open_in(Directory::open(path, ENGINE, owner, opening)?, options)
    }

    fn open_in(directory: Directory, options: Options) -> Result<Self, OpenError> {
        let data = directory.data();
        if directory.found() != Found::Empty {
            journal::mend(&data)?;
        }
        let database = Database::builder(&data)
            .manual_journal_persist(true)
            .cache_size(options.cache_bytes)
            .open()?;
        let spaces = Spaces::open(&database, &data, options)?;
        let last_group = spaces.last_group()?;
        directory.expect_flushed(last_group)?;
        Ok(Self {
            spaces,
            database,
            last_group: AtomicU64::new(last_group),
            directory,
        })
    }

    /// The directory that it is in.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Flushes all, ends its threads, and marks the directory as closed. Dropped without this, it
    /// opens next time as after a crash.
    pub fn close(self) -> Result<(), CloseError> {
        self.flush().map_err(|_| CloseError::FlushFailed)?;
        drop((self.spaces, self.database));
        Ok(self.directory.close()?)
    }

    fn flush(&self) -> Result<(), fjall::Error> {
        let reached = self.last_group.load(Ordering::Acquire);
        self.database.persist(PersistMode::SyncData)?;
        // A flush of fjall's own that failed just before may have left this one nothing to fail at;
        // by now it says so.
        self.database.persist(PersistMode::Buffer)?;
        self.directory.mark_flushed(reached);
        Ok(())
    }

    fn reach(&self, asked: Durability) -> Result<Durability, fjall::Error> {
        match asked {
            // Fails if a flush has failed, and writes nothing out.
            Durability::Memory => {}
            Durability::Written => self.database.persist(PersistMode::Buffer)?,
            Durability::Flushed => self.flush()?,
        }
        Ok(asked)
    }

    /// Writes a group without making it any safer.
    fn apply(&self, group: &mut [Write]) -> Result<(), fjall::Error> {
        let last = group.iter().rposition(|it| !it.batch.changes.is_empty());
        for (index, write) in group.iter_mut().enumerate() {
            if write.batch.changes.is_empty() {
                continue;
            }
            let size = write.batch.changes.len() + 1;
            let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), size);
            for change in write.batch.changes.drain(..) {
                let space = self.spaces.of(change.space);
                let key = address::encode(&change.at);
                match change.bytes {
                    Some(bytes) => batch.insert(space, key, bytes),
                    None => batch.remove(space, key),
                }
            }
            if Some(index) == last {
                let number = self.last_group.fetch_add(1, Ordering::AcqRel) + 1;
                let mark = number.to_be_bytes();
                batch.insert(self.spaces.of(Space::Objects), MARK, mark);
            }
            batch.commit()?;
        }
        Ok(())
    }

    fn page(
        &self,
        snapshot: &Snapshot,
        space: Space,
        span: &Span,
        limit: Limit,
    ) -> Result<Page, ScanFailed> {
        scan::page(snapshot, self.spaces.of(space), span, limit)
    }
}

impl Backend for Fjall {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        // Without a snapshot a batch could be seen half-way.
        let snapshot = self.database.snapshot();
        outcome_of(snapshot.get(self.spaces.of(space), address::encode(at)))
    }

    fn write(&self, group: &mut [Write]) {
        let asked = Write::most_demanding(group);
        let answer = self
            .apply(group)
            .and_then(|()| self.reach(asked))
            // Whatever fails here leaves fjall unable to go on.
            .map_err(|_| WriteError::FlushFailed);
        for write in group {
            write.answer = answer;
        }
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        self.page(&self.database.snapshot(), space, span, limit)
    }
}

impl BackUp for Fjall {
    fn back_up(&self, to: &Path) -> Result<Copied, BackUpError> {
        let snapshot = self.database.snapshot();
        let directory = self.directory.for_backup(to)?;
        let engine = |error: Box<dyn std::error::Error + Send + Sync>| BackUpError::Engine(error);
        let target =
            Self::open_in(directory, Options::default()).map_err(|it| engine(it.into()))?;
        let all = SPACES.map(|space| (space, Span::all()));
        let scan = |space, span: &Span, limit| self.page(&snapshot, space, span, limit);
        let copied = copy(scan, all, &target)?;
        target.close().map_err(|it| engine(it.into()))?;
        Ok(copied)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            memtable_bytes: 64 << 20,
        }
    }
}
