//! What the machine asks of its storage, and what it is told.
//!
//! A store is an ordered map of bytes in a few named spaces. The machine encodes and checks its
//! records itself; an engine need not look inside.

mod page;
mod span;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use crate::Token;

pub use page::{Item, Limit, Page, ScanFailed};
pub use span::Span;

/// Which map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Keys that this node owns, and their records.
    Objects,
    /// Copies held for others.
    Hints,
    /// Merkle trees.
    Trees,
    /// What the node knows of itself and its cluster.
    Meta,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Objects, Self::Hints, Self::Trees, Self::Meta];
}

/// Where in a space: by position, then by name. Ordered as their concatenated bytes are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Of an object, its token: so a partition is one contiguous range.
    pub position: u128,
    /// Of an object, its key's encoding.
    pub name: Bytes,
}

/// How safe a write is, from least to most.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Gone when the process ends.
    Memory,
    /// Handed to the operating system: gone when the machine stops.
    Written,
    /// On the disk.
    Flushed,
}

/// One change of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which space.
    pub space: Space,
    /// Where in it.
    pub at: Address,
    /// What is there from now on; nothing if `None`.
    pub bytes: Option<Bytes>,
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The changes; no two of one place. With none, a batch only asks that all before it be made
    /// as safe.
    pub changes: SmallVec<[Change; 2]>,
    /// How safe they must be before they are reported done.
    pub durability: Durability,
    /// Whether room may be taken that is kept back for this: repairs, copies that go home, and
    /// deletes go on when clients' writes are refused.
    pub may_use_reserve: bool,
}

/// What the machine asks for. Every command completes exactly once. Commands on one position take
/// effect in the order in which they were given; completions may come in another. A scan may show
/// or not show what is written while it is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What is there?
    Read {
        /// In which space.
        space: Space,
        /// Where in it.
        at: Address,
    },
    /// Change this.
    Write(Batch),
    /// What is there in this span, from its beginning?
    Scan {
        /// In which space.
        space: Space,
        /// Where in it.
        span: Span,
        /// How much to show at once.
        limit: Limit,
    },
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Of a read.
    Read(ReadOutcome),
    /// Of a write.
    Wrote(Result<Durability, WriteError>),
    /// Of a scan.
    Scanned(Result<Page, ScanFailed>),
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// These bytes.
    Found(Bytes),
    /// Nothing was ever written there, or it was deleted.
    Absent,
    /// Something is there that the engine knows to be damaged. Not the same as absent.
    Corrupt,
    /// The engine could not look.
    Failed,
}

/// Why a write was not done, or may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// No room. Nothing was written.
    #[error("the store is full")]
    Full,
    /// The engine failed; all or nothing of the batch is there, and what is there is as safe as was
    /// asked.
    #[error("the store failed to write")]
    Failed,
    /// A flush failed. What was written since the last one may be gone although it can still be
    /// read, and no later flush can tell: the node must stop and recover.
    #[error("the store failed to flush")]
    FlushFailed,
}

impl Address {
    /// The first address that sorts after this one: nothing lies between.
    #[must_use]
    pub fn successor(&self) -> Self {
        let mut name = BytesMut::with_capacity(self.name.len() + 1);
        name.put_slice(&self.name);
        name.put_u8(0);
        Self {
            position: self.position,
            name: name.freeze(),
        }
    }

    /// Where a key's record is.
    #[must_use]
    pub fn of_object(token: Token, encoded_key: &Bytes) -> Self {
        Self {
            position: token.0,
            name: encoded_key.clone(),
        }
    }
}
