//! Where a node keeps its part, and how safely.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use dynamo_proto::Durability;
use dynamo_storage::worker::FlushPolicy;
use serde::Deserialize;

use super::{Options, SettingsError, try_from_string};

/// How many bytes a second are read through for damage: a tebibyte takes twelve days.
const SCRUB: u64 = 1 << 20;

/// What is kept free on the disk: a merge of fjall's tables writes before it removes.
pub(crate) const FJALL_RESERVE: u64 = 1 << 30;
const REDB_RESERVE: u64 = 256 << 20;

/// Where a node keeps its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) place: Place,
    pub(crate) flush: FlushPolicy,
    pub(crate) write_buffer: Option<usize>,
    /// How many bytes a second are read through for damage.
    pub(crate) scrub: Option<u64>,
    /// How many bytes are kept free on the disk.
    pub(crate) reserve: u64,
    pub(crate) adopt: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    Fjall(PathBuf),
    Redb(PathBuf),
    Mysql(String),
}

/// What keeps it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Engine {
    /// Gone when it stops.
    Memory,
    /// A log-structured tree on disk.
    Fjall,
    /// A B-tree on disk.
    Redb,
    /// A database of MySQL or MariaDB.
    Mysql,
}

/// When what was written is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Flush(FlushPolicy);

impl Options {
    pub(super) fn storage(&self) -> Result<Storage, SettingsError> {
        let data = self.data.clone();
        let engine = match (self.storage, &data) {
            (Some(engine), _) => engine,
            (None, Some(_)) => Engine::Fjall,
            (None, None) => return Err(SettingsError::NoData),
        };
        let on_disk = || data.clone().ok_or(SettingsError::NoData);
        let place = match engine {
            Engine::Fjall => Place::Fjall(on_disk()?),
            Engine::Redb => Place::Redb(on_disk()?),
            Engine::Memory if data.is_some() => return Err(SettingsError::UselessData("memory")),
            Engine::Mysql if data.is_some() => return Err(SettingsError::UselessData("mysql")),
            Engine::Memory => Place::Memory,
            Engine::Mysql => Place::Mysql(self.mysql_url.clone().ok_or(SettingsError::NoUrl)?),
        };
        let (flush, buffer) = (self.flush.is_some(), self.write_buffer.is_some());
        let reserve = self.reserve.is_some();
        let has_cores = self.cores.is_some_and(|cores| cores > 1);
        let useless = match place {
            Place::Memory => vec![
                ("memory", "--flush", flush),
                ("memory", "--write-buffer", buffer),
                ("memory", "--reserve", reserve),
            ],
            // Its room is the server's, and a database is one node's.
            Place::Mysql(_) => vec![
                ("mysql", "--reserve", reserve),
                ("mysql", "--cores", has_cores),
            ],
            Place::Fjall(_) | Place::Redb(_) => Vec::new(),
        };
        if let Some((engine, what, _)) = useless.into_iter().find(|(.., is_set)| *is_set) {
            return Err(SettingsError::Useless(engine, what));
        }
        let reserve = match place {
            Place::Fjall(_) => FJALL_RESERVE,
            _ => REDB_RESERVE,
        };
        Ok(Storage {
            place,
            flush: self.flush.map_or(FlushPolicy::EachGroup, |flush| flush.0),
            write_buffer: self.write_buffer,
            scrub: Some(self.scrub.unwrap_or(SCRUB)).filter(|pace| *pace > 0),
            reserve: self.reserve.unwrap_or(reserve),
            adopt: self.adopt.unwrap_or(false),
        })
    }
}

impl Storage {
    /// The most that can be promised of a write before it is answered.
    pub(super) fn durability(&self) -> Durability {
        match (&self.place, self.write_buffer) {
            (Place::Memory, _) | (_, Some(_)) => Durability::Memory,
            (_, None) => self.flush.best_answer(),
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Memory => return f.write_str("memory, gone when it stops"),
            Place::Fjall(path) => write!(f, "fjall in {}", path.display())?,
            Place::Redb(path) => write!(f, "redb in {}", path.display())?,
            Place::Mysql(_) => f.write_str("a database of MySQL or MariaDB")?,
        }
        match self.flush {
            FlushPolicy::EachGroup => f.write_str(", flushed before each answer")?,
            FlushPolicy::Every(wait) => write!(f, ", flushed {} ms later", wait.as_millis())?,
            FlushPolicy::Never => f.write_str(", not flushed")?,
        }
        match self.write_buffer {
            Some(objects) => write!(f, ", behind a write buffer of {objects} objects"),
            None => Ok(()),
        }
    }
}

impl FromStr for Flush {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "batch" => FlushPolicy::EachGroup,
            "never" => FlushPolicy::Never,
            number => match number.parse() {
                Ok(1..) => FlushPolicy::Every(Duration::from_millis(number.parse().unwrap_or(1))),
                _ => return Err("batch, never, or a number of milliseconds".into()),
            },
        }))
    }
}

try_from_string!(Flush);
