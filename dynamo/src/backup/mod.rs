//! Backups of a running node's store, and stores made of them.

mod desk;
mod restore;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clap::Args;
use dynamo_storage::{BackUpError, Copied, Watch};
use serde::{Deserialize, Serialize};

pub(crate) use desk::Desk;
pub(crate) use restore::Restore;

use crate::error::Error;
use crate::print;

/// Copies a running store to a directory.
pub(crate) type BackUpTo = Box<dyn Fn(&Path, &mut Watch<'_>) -> Result<Copied, BackUpError> + Send>;

/// Has a running node on this machine copy its store, as it is at one moment, to a directory.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where to: an empty or absent directory on the node's machine, which it may write.
    to: PathBuf,
    /// Where the node keeps its part.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How many bytes a second at most.
    #[arg(long, value_name = "BYTES", default_value_t = RATE)]
    rate: u64,
}

/// So that clients hardly notice.
const RATE: u64 = 32 << 20;

/// Where a node listens for whoever may write to its directory.
const SOCKET: &str = "control";

/// What a node is asked for, a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    back_up_to: PathBuf,
    bytes_a_second: u64,
}

/// What it says, a line of JSON now and then, and one at the end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    Copied {
        items: u64,
        bytes: u64,
    },
    Done {
        items: u64,
        bytes: u64,
        damaged: u64,
    },
    Failed(String),
}

/// Why there is no backup, or no store was made of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error(
        "no node listens at {}: does one run there, on fjall or redb?", .0.display()
    )]
    NobodyListens(PathBuf),
    #[error("the node ended before the backup was whole: remove it")]
    CutShort,
    #[error("{0}")]
    Refused(String),
    #[error("{} holds no store", .0.display())]
    NoStore(PathBuf),
    #[error("a node has {} open: `dynamo backup` makes a copy of it", .0.display())]
    InUse(PathBuf),
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("stores of {0} are not restored by this command")]
    Engine(String),
    #[error("{count} of its records cannot be read; --damaged restores the others")]
    Damaged { count: usize },
    #[error(transparent)]
    BackUp(#[from] BackUpError),
}

impl Backup {
    pub(crate) fn run(&self) -> Result<(), Error> {
        let socket = self.data.join(SOCKET);
        let node = UnixStream::connect(&socket);
        let mut node = node.map_err(|_| BackupError::NobodyListens(socket))?;
        let wanted = Wanted {
            back_up_to: std::path::absolute(&self.to)?,
            bytes_a_second: self.rate,
        };
        say(&mut node, &wanted)?;
        for line in BufReader::new(node).lines() {
            let said = serde_json::from_str(&line?).map_err(|_| Error::Confused)?;
            match said {
                Said::Copied { items, bytes } => {
                    eprintln!("dynamo: {items} records, {} MiB", bytes >> 20);
                }
                Said::Done {
                    items,
                    bytes,
                    damaged,
                } => {
                    if damaged > 0 {
                        eprintln!("dynamo: {damaged} places could not be read and are not in it");
                    }
                    let to = self.to.display();
                    return print::out(&format!("{items} records, {bytes} bytes, in {to}\n"));
                }
                Said::Failed(why) => return Err(BackupError::Refused(why).into()),
            }
        }
        Err(BackupError::CutShort.into())
    }
}

fn say(to: &mut UnixStream, what: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)
}
