//! What redb's errors mean here.

use dynamo_storage::directory::DirectoryError;

/// Why a store is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The file is damaged, or redb cannot open it.
    #[error(
        "redb cannot open the store: {0}; if its file is damaged, move the store's directory away and let the node be filled by its peers, or restore a backup"
    )]
    Engine(#[from] redb::Error),
}

/// Why a store was not closed in order.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The last flush failed, or a write before it.
    #[error("the store failed to flush: what was written last may be gone")]
    FlushFailed,
    /// The directory could not be marked.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Whether it could look and did not find what was written.
pub(crate) fn is_damage(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Corrupted(_))
}
