//! How requests end that are not done: each type says what its receiver may believe.

use dynamo_proto::KeyError;
use dynamo_proto::version::DataType;

use crate::machine::{Failed, Trouble};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// None of the addresses answers.
    #[error("no node answers: {0}")]
    NotMet(Trouble),
    /// The system gives no random numbers.
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// Why a read was not done. Reads change nothing, so it may be asked again.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It was not done.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// It was not sent: no cluster takes it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What was found is not what it was taken for.
    #[error("the value is not what it is read as: {0}")]
    Decode(#[from] serde_json::Error),
    /// The key holds another kind of thing.
    #[error("the key does not hold a {0:?}")]
    Kind(DataType),
}

/// Why a write is not known to be done.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing was done, and nothing will be.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// It was not sent: no cluster takes it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It may have been done, or may yet be. Written again it could be there twice; whoever reads sees
    /// which of the two it is.
    #[error("unknown: it may have been done, or may yet be")]
    Unknown,
    /// The value has no JSON.
    #[error("the value cannot be written as JSON: {0}")]
    Encode(serde_json::Error),
}

/// Why an update is not known to be done.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// What is there could not be read, so nothing was written.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It was written as this says.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It was written each time, and each time somebody else wrote too: there are siblings now, this
    /// update among them.
    #[error("others wrote at the same time, {0} times in a row: siblings are left")]
    Contended(u32),
}

/// What is known to be refused before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its value is too long.
    #[error("a value of {len} bytes is over the limit of {limit}")]
    ValueTooLarge {
        /// How long it is.
        len: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The session remembers as much as it may.
    #[error("the session remembers as much as it may: begin another")]
    SessionFull,
}

impl WriteError {
    /// Whether it may have been done.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}
