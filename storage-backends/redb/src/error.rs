//! What redb's errors mean here.

use std::path::PathBuf;

use dynamo_storage::directory::DirectoryError;

/// Why a store is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The file is damaged so that redb panicked at it.
    #[error(
        "{} is damaged: move the store's directory away and let the node be filled by its peers, or restore a backup",
        .path.display()
    )]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// The file is damaged, or redb cannot open it.
    #[error(
        "redb cannot open the store: {0}; if its file is damaged, move the store's directory away and let the node be filled by its peers, or restore a backup"
    )]
    Engine(#[from] redb::Error),
}

/// Whether it could look and did not find what was written.
pub(crate) fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Corrupted(_) => true,
        redb::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}
