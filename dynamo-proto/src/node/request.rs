//! What a client asks for, and what it is told.

use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::version::{Content, Context, ContextError, MintError, RequestId, Siblings};
use crate::{Durability, Key, KeyPart, NodeId};

/// One request of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name, the same on every retry.
    pub id: RequestId,
    /// Whether somebody may have been asked for it before.
    pub is_retry: bool,
    /// What it is about.
    pub key: Key,
    /// What it asks for.
    pub operation: Operation,
    /// How; what is not said is as the bucket has it.
    pub options: Options,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The key's values.
    Get {
        /// Without their bodies.
        head: bool,
    },
    /// A new value, or a delete.
    Put {
        /// Who answered the client's last read first, and is asked to coordinate if it can.
        fastest: Option<NodeId>,
        /// What it supersedes.
        mode: Mode,
        /// What to leave there.
        content: Content,
        /// When not to.
        condition: Condition,
    },
}

/// Which of the values there a write supersedes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Those that the client had seen: the sealed parts of the contexts it was given.
    Context(SmallVec<[Bytes; 1]>),
    /// None: it is concurrent with everything.
    Blind,
    /// Those that its coordinator finds when it reads first.
    Overwrite,
}

/// What must hold for a write to be done. It is looked up on a read quorum just before, which is
/// no compare-and-set: two writes may both find it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// The key has no value.
    Absent,
    /// What is there is what this sealed context saw.
    Unchanged(Bytes),
}

/// How a request departs from its bucket's ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many replicas are concerned, not more than the bucket has.
    pub n: Option<u8>,
    /// How many must answer a read.
    pub r: Option<u8>,
    /// How many must have a write.
    pub w: Option<u8>,
    /// How many of those that answer a read must be primaries.
    pub pr: Option<u8>,
    /// How many of those that have a write must be primaries.
    pub pw: Option<u8>,
    /// How safe those must have it.
    pub durability: Option<Durability>,
    /// Whether a replica that has never heard of the key has answered a read.
    pub absent_counts: Option<bool>,
    /// Whether a majority that has never heard of the key ends a read.
    pub majority_absent: Option<bool>,
    /// How long the client waits.
    pub timeout: Option<Duration>,
}

/// How a request ended: exactly one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one allocation for every read"
)]
pub enum Response {
    /// A read is done.
    Got(Got),
    /// A write is done.
    Put(Written),
    /// Nothing was done, and nothing will be.
    Failed(Failure),
    /// It may have been done, or may yet be.
    Unknown,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// All live values, and the tombstones beside them.
    pub siblings: Siblings,
    /// To be handed back with the write that follows.
    pub context: Context,
}

/// What a write left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many values the key has now at its coordinator, this one included.
    pub siblings: u32,
    /// To be handed back with the next write. None if there are values that the client has not
    /// seen: it must read before it can supersede them.
    pub context: Option<Bytes>,
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No room for another request now.
    #[error("overloaded: try again later")]
    Overloaded,
    /// Its time was up before anything was done.
    #[error("timed out before anything was done")]
    Expired,
    /// It asks for what cannot be.
    #[error("invalid request: {0}")]
    Invalid(Demand),
    /// Its key, or a part of it, is longer than clients may make it.
    #[error("{part} of {len} bytes is over the limit of {limit}")]
    KeyTooLong {
        /// Which part.
        part: KeyPart,
        /// Its length.
        len: usize,
        /// What [`Limits`](crate::Limits) allows.
        limit: usize,
    },
    /// The context it came with is none.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The write breaks a limit or the bucket's policy.
    #[error(transparent)]
    Refused(#[from] MintError),
    /// Too few replicas answered.
    #[error("{got} of {need} replicas answered")]
    TooFew {
        /// How many had to.
        need: u8,
        /// How many did.
        got: u8,
    },
    /// What the write's condition asks for is not so.
    #[error("the key {0}")]
    Condition(Found),
    /// The coordinator's store has no room.
    #[error("the store is full: delete something, or add nodes")]
    Full,
    /// The nodes on duty are away, and who stands in for them holds as much for them as it may.
    #[error("the nodes on duty are away and no room is left to hold writes for them")]
    HintsFull,
    /// No replica that could coordinate the write has a readable record or a working store.
    #[error("no replica can coordinate the write now")]
    NoCoordinator,
}

/// What an impossible request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Demand {
    /// More replicas than the bucket has, or none.
    #[error("n is {asked}, the bucket has {n}")]
    Replicas {
        /// What was asked for.
        asked: u8,
        /// What there is.
        n: u8,
    },
    /// A quorum of more replicas than are concerned.
    #[error("a quorum of {asked} of {n} replicas")]
    Quorum {
        /// What was asked for.
        asked: u8,
        /// What there is.
        n: u8,
    },
    /// Less durability than the bucket promises.
    #[error("less durability than the bucket's")]
    Durability,
}

/// What was found in place of what a condition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A value.
    Value,
    /// No value.
    Nothing,
    /// Other values than the context saw.
    Change,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "has a value",
            Self::Nothing => "has no value",
            Self::Change => "has changed",
        })
    }
}
