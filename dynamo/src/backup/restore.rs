//! A store made of a backup.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use dynamo_storage::directory::{self, Opening, flush_directory};
use dynamo_storage::{BackUp, Backend, Copied, Scrub};
use dynamo_storage_fjall::Fjall;
use dynamo_storage_redb::Redb;

use super::{BackupError, SOCKET};
use crate::error::Error;
use crate::print;

/// Makes a store of a backup, or of a copy of a stopped node's directory. All records are read and
/// checked. The backup stays as it is.
///
/// The node that is started on the new directory has the backup's number: the node that had it must be
/// gone for good.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup.
    from: PathBuf,
    /// Where the node will keep its part: an empty or absent directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Even if some records cannot be read: the other nodes have them, or nobody has.
    #[arg(long)]
    damaged: bool,
}

/// Locked while a store is open.
const LOCK: &str = "lock";

impl Restore {
    /// The backup's files are copied, since a store that is opened is not the same any more; the copy
    /// is looked through, and what is in it written to the new directory. That is itself a backup, so
    /// it opens where it is, and as one that may lack what was written later.
    pub(crate) fn run(&self) -> Result<(), Error> {
        let seen = directory::look(&self.from).map_err(Error::opening)?;
        let seen = seen.ok_or_else(|| BackupError::NoStore(self.from.clone()))?;
        if fs::read_dir(&self.data).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(BackupError::NotEmpty(self.data.clone()).into());
        }
        let lock = File::open(self.from.join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock_shared().is_err()) {
            return Err(BackupError::InUse(self.from.clone()).into());
        }
        let scratch = Scratch::beside(&self.data)?;
        copy_files(&self.from, &scratch.0)?;
        let (owner, opening) = (seen.owner, Opening::Adopt);
        let copied = match seen.engine.as_str() {
            "fjall" => {
                let engine = Fjall::open(&scratch.0, owner, opening, Default::default());
                let engine = engine.map_err(Error::opening)?;
                let copied = self.write(&engine)?;
                engine.close().map_err(Error::opening)?;
                copied
            }
            "redb" => {
                let engine = Redb::open(&scratch.0, owner, opening, Default::default());
                let engine = engine.map_err(Error::opening)?;
                let copied = self.write(&engine)?;
                engine.close().map_err(Error::opening)?;
                copied
            }
            other => return Err(BackupError::Engine(other.to_owned()).into()),
        };
        let Copied { items, bytes, .. } = copied;
        let (node, data) = (owner.node, self.data.display());
        print::out(&format!(
            "{items} records, {bytes} bytes of node {node}, in {data}\n"
        ))
    }

    fn write(&self, engine: &(impl Backend + BackUp)) -> Result<Copied, Error> {
        let mut scrub = Scrub::new(u64::MAX);
        let mut damaged = 0;
        while scrub.rounds() == 0 {
            damaged += scrub.step(engine).damaged.len();
        }
        if damaged > 0 && !self.damaged {
            return Err(BackupError::Damaged { count: damaged }.into());
        }
        if damaged > 0 {
            eprintln!("dynamo: {damaged} records cannot be read");
        }
        let mut watch = |_: &Copied| ControlFlow::Continue(());
        let copied = engine.back_up(&self.data, &mut watch);
        Ok(copied.map_err(BackupError::BackUp)?)
    }
}

/// A directory that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(data: &Path) -> io::Result<Self> {
        let mut name = data.file_name().unwrap_or_default().to_owned();
        name.push(".restoring");
        let path = data.with_file_name(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // it is said where it is
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == SOCKET {
            continue;
        }
        let target = to.join(&name);
        match entry.file_type()?.is_dir() {
            true => copy_files(&entry.path(), &target)?,
            false => {
                fs::copy(entry.path(), target)?;
            }
        }
    }
    flush_directory(to)
}
