//! What fjall's errors mean here.

use std::path::PathBuf;

use dynamo_proto::store::ReadOutcome;
use dynamo_storage::directory::DirectoryError;
use fjall::{Error, LsmError, UserValue};

/// Why a store is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A journal is damaged where it had been flushed, so writes are gone that were promised.
    #[error(
        "{} is damaged at byte {at}, where it had been flushed: move the store's directory away and let the node be filled by its peers, or restore a backup",
        .path.display()
    )]
    Journal {
        /// Which.
        path: PathBuf,
        /// Where the damage begins.
        at: u64,
    },
    /// fjall cannot open it.
    #[error("fjall cannot open the store: {0}")]
    Engine(#[from] Error),
}

pub(crate) fn outcome_of(found: Result<Option<UserValue>, Error>) -> ReadOutcome {
    match found {
        Ok(Some(value)) => ReadOutcome::Found(value.into()),
        Ok(None) => ReadOutcome::Absent,
        Err(error) if is_damage(&error) => ReadOutcome::Corrupt,
        Err(_) => ReadOutcome::Failed,
    }
}

/// Whether it could look and did not find what was written.
pub(crate) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Storage(LsmError::Io(error)) | Error::Io(error) => {
            error.kind() == std::io::ErrorKind::UnexpectedEof
        }
        Error::Storage(_) | Error::Decompress(_) | Error::InvalidTrailer | Error::InvalidTag(_) => {
            true
        }
        _ => false,
    }
}
