//! What a directory says of itself: a few lines that anyone can read, under a checksum.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use dynamo_proto::{ClusterId, Generation, NodeId};
use xxhash_rust::xxh3::xxh3_64;

use super::error::At as _;
use super::{DirectoryError, Owner, flush_directory};

const NAME: &str = "identity";
/// Where it is written before it replaces the old one.
pub(super) const NEW: &str = "identity.new";
const TITLE: &str = "dynamo store";
/// Of the directory's layout. An engine's files have a version of their own.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) engine: String,
    pub(super) owner: Owner,
    pub(super) generation: Generation,
    pub(super) place: u64,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The engine has still to make its files.
    New,
    Open,
    Closed,
    UnfinishedBackup,
    Backup,
}

const STATES: [(&str, State); 5] = [
    ("new", State::New),
    ("open", State::Open),
    ("closed", State::Closed),
    ("unfinished-backup", State::UnfinishedBackup),
    ("backup", State::Backup),
];

impl Identity {
    pub(super) fn newborn(engine: &str, owner: Owner, place: u64, state: State) -> Self {
        Self {
            engine: engine.into(),
            owner,
            generation: Generation(1),
            place,
            state,
        }
    }

    /// What the directory says; nothing if it is no store.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, DirectoryError> {
        let path = directory.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("read", &path),
        };
        let damaged = || DirectoryError::Damaged { path: path.clone() };
        let text = String::from_utf8(text).map_err(|_| damaged())?;
        let (lines, sum) = text.rsplit_once("sum ").ok_or_else(damaged)?;
        if sum != format!("{:016x}\n", xxh3_64(lines.as_bytes())) {
            return Err(damaged());
        }
        let mut lines = lines.lines();
        if lines.next() != Some(TITLE) {
            return Err(damaged());
        }
        let mut line = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let format = line("format").and_then(|it| it.parse().ok());
        match format.ok_or_else(damaged)? {
            FORMAT => {}
            found => {
                return Err(DirectoryError::Format {
                    path: directory.into(),
                    found,
                    known: FORMAT,
                });
            }
        }
        let mut fields = || {
            let engine = line("engine")?.to_owned();
            let cluster = u128::from_str_radix(line("cluster")?, 16).ok()?;
            let node = u64::from_str_radix(line("node")?, 16).ok()?;
            let generation = line("generation")?.parse().ok()?;
            let place = line("place")?.parse().ok()?;
            let state = line("state")?;
            let (_, state) = STATES.into_iter().find(|(name, _)| *name == state)?;
            Some(Self {
                engine,
                owner: Owner {
                    cluster: ClusterId(cluster),
                    node: NodeId(node),
                },
                generation: Generation(generation),
                place,
                state,
            })
        };
        fields().ok_or_else(damaged).map(Some)
    }

    /// Replaces what the directory says, at once and for good.
    pub(super) fn write(&self, directory: &Path) -> Result<(), DirectoryError> {
        let (new, path) = (directory.join(NEW), directory.join(NAME));
        let text = self.text();
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.at("write", &new)?;
        fs::rename(&new, &path).at("replace", &path)?;
        flush_directory(directory).at("flush", directory)
    }

    pub(super) fn check(
        &self,
        path: &Path,
        engine: &'static str,
        owner: Owner,
    ) -> Result<(), DirectoryError> {
        if self.owner != owner {
            return Err(DirectoryError::Foreign {
                path: path.into(),
                found: self.owner,
                expected: owner,
            });
        }
        if self.engine != engine {
            return Err(DirectoryError::OtherEngine {
                path: path.into(),
                found: self.engine.clone(),
                expected: engine,
            });
        }
        Ok(())
    }

    fn text(&self) -> String {
        let state = STATES.into_iter().find(|(_, state)| *state == self.state);
        let state = state.map_or("", |(name, _)| name);
        let mut text = format!(
            "{TITLE}\nformat {FORMAT}\nengine {}\ncluster {}\nnode {}\ngeneration {}\nplace {}\nstate {state}\n",
            self.engine, self.owner.cluster, self.owner.node, self.generation.0, self.place,
        );
        let sum = xxh3_64(text.as_bytes());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "sum {sum:016x}");
        text
    }
}
