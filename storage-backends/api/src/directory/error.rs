//! Why a directory is not opened, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::Owner;

/// Why a store's directory is not opened. Nothing in it has been changed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process has it open, or this one has already.
    #[error(
        "{} is in use{}: a store serves one node at a time; stop the other, or give this one a directory of its own",
        .path.display(),
        .holder.map_or(String::new(), |pid| format!(" by process {pid}"))
    )]
    InUse {
        /// Which.
        path: PathBuf,
        /// By which process, if it says so.
        holder: Option<u32>,
    },
    /// It holds other things.
    #[error(
        "{} holds files and is no store of this program: give an empty or a new directory",
        .path.display()
    )]
    NotAStore {
        /// Which.
        path: PathBuf,
    },
    /// It belongs to another node.
    #[error(
        "{} belongs to node {} of cluster {}, and this is node {} of cluster {}: a store stays with the node that it was made by",
        .path.display(), .found.node, .found.cluster, .expected.node, .expected.cluster
    )]
    Foreign {
        /// Which.
        path: PathBuf,
        /// To whom it belongs.
        found: Owner,
        /// Who wanted to open it.
        expected: Owner,
    },
    /// Another engine wrote it.
    #[error(
        "{} was written by the engine {found} and cannot be read by {expected}: configure {found}, or give an empty directory",
        .path.display()
    )]
    OtherEngine {
        /// Which.
        path: PathBuf,
        /// By which.
        found: String,
        /// Which one is to open it.
        expected: &'static str,
    },
    /// Another version of this program wrote it.
    #[error(
        "{} is laid out in format {found}, and this program knows {known}: use the version that wrote it or a later one",
        .path.display()
    )]
    Format {
        /// Which.
        path: PathBuf,
        /// In which it is.
        found: u32,
        /// Which one this program knows.
        known: u32,
    },
    /// It is a copy.
    #[error(
        "{} is a copy of a store: if the original still runs, or may again, remove this copy; if it is gone for good, open this one as adopted",
        .path.display()
    )]
    Copied {
        /// Which.
        path: PathBuf,
    },
    /// It is a backup that was interrupted.
    #[error(
        "{} is a backup that was not finished: take another, and remove this one",
        .path.display()
    )]
    Unfinished {
        /// Which.
        path: PathBuf,
    },
    /// What the engine had made is not there.
    #[error(
        "{} is missing, and the store had been made: if it is on a disk that is not mounted, mount it; if it is lost, move what is left of the store's directory away and let the node be filled by its peers, or restore a backup",
        .path.display()
    )]
    Missing {
        /// Which of its files, or all of them.
        path: PathBuf,
    },
    /// Writes are gone that had been flushed.
    #[error(
        "{} has lost writes that it had flushed (it ends at {found}, and {flushed} was on the disk): the disk is damaged or was rolled back; move the directory away and let the node be filled by its peers, or restore a backup",
        .path.display()
    )]
    Lost {
        /// Which.
        path: PathBuf,
        /// How far it was flushed.
        flushed: u64,
        /// How far it goes now.
        found: u64,
    },
    /// What it says of itself cannot be read.
    #[error(
        "{} is damaged, so nothing in its directory can be trusted: move the directory away and let the node be filled by its peers, or restore a backup",
        .path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Why a store was not closed in order.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The last flush failed, or one before it.
    #[error("the store failed to flush: what was written last may be gone")]
    FlushFailed,
    /// The directory could not be marked.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Says what was tried where.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, DirectoryError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, DirectoryError> {
        self.map_err(|source| DirectoryError::Io {
            action,
            path: path.into(),
            source,
        })
    }
}
