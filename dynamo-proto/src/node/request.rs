//! What a client asks for, and what it is told.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Listed, Listing};
use crate::version::{Content, Context, ContextError, MintError, RequestId, Siblings, Update};
use crate::wire::Fetched;
use crate::{Durability, Key, KeyPart, NodeId};

/// One request of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name, the same on every retry.
    pub id: RequestId,
    /// Whether somebody may have been asked for it before. A write asked for again is not done
    /// again: it is found, or, if it was and is to be coordinated [here only](Options::only_here),
    /// done if it never was; else the answer is [`Response::Unknown`], as it is where the node was
    /// started within the last two [longest timeouts](super::Timing::longest_timeout) and may have
    /// forgotten. So it may be asked for again for as long as one of those after it was first. An
    /// update is found or unknown, and never done anew: twice is not the same as once. That it
    /// [failed](Response::Failed) speaks of this attempt alone.
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
        /// What the answer must have seen too, by sealed contexts and [receipts](Written::receipt):
        /// a session's guarantees. More replicas are asked until it has; if none has more, the
        /// answer is [`Failure::Stale`].
        seen: Vec<Bytes>,
    },
    /// What the node that is asked has of the key by itself: for clients that coordinate their own
    /// reads. Nobody else is asked, and nothing is repaired.
    Fetch {
        /// The [fingerprint](crate::ring::Ring::fingerprint) of the ring by which the client reads. A
        /// node that reads by another says so and answers nothing.
        ring: u64,
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
    /// A change of what a key of a [data type](crate::version::DataType) holds.
    Update {
        /// Who answered the client's last read first, and is asked to coordinate if it can.
        fastest: Option<NodeId>,
        /// What to do.
        update: Update,
        /// What the client had seen, sealed: of what is there, the update takes away only that. All of
        /// it if this is not said.
        context: Option<Bytes>,
    },
    /// A page of the keys of a bucket, which is the one of the request's key; that key itself counts
    /// for nothing.
    List(Listing),
}

impl Operation {
    /// A read of the key's values, whatever anybody has seen of it.
    #[must_use]
    pub const fn read() -> Self {
        let seen = Vec::new();
        Self::Get { head: false, seen }
    }
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
    /// Whether nobody but the node that is asked may coordinate a write. It must be on duty for the
    /// key. Only then can it be done by asking again, there, after an outcome that is unknown:
    /// another coordinator cannot tell whether it was done before.
    pub only_here: bool,
}

/// How a request ended: exactly one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// A read is done.
    Got(Got),
    /// What the node has by itself.
    Fetched(Kept),
    /// A write is done.
    Put(Written),
    /// A listing is done, as far as it says.
    Listed(Listed),
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

/// What one node has of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its state, or why there is none.
    pub outcome: Fetched,
    /// Of a state that was found, the sealed context: one of several that a write hands back.
    pub sealed: Option<Bytes>,
}

/// What a write left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many values the key has now at its coordinator, this one included.
    pub siblings: u32,
    /// To be handed back with the next write. None if there are values that the client has not
    /// seen: it must read before it can supersede them.
    pub context: Option<Bytes>,
    /// Where there is no context: what a read must have seen in order to have seen this write. It is
    /// good for [`Operation::Get`] alone, since it speaks of values that the client has not seen.
    pub receipt: Option<Bytes>,
    /// Of an update, what it [came to](crate::version::Updated::came_to) at its coordinator. None
    /// if it was asked for again and had been done before.
    pub came_to: Option<i64>,
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
    /// No replica that can be asked has seen all that the read [must](Operation::Get) have.
    #[error(
        "what is reached has not seen all that the client has: try again, or read without a session"
    )]
    Stale,
    /// The client reads by another ring than the node does.
    #[error("the client reads by another ring than this node: learn the ring anew")]
    OtherRing,
    /// The node asked is no member of the cluster: not yet, or not any more.
    #[error("this node serves nothing: it is no member of the cluster; ask another")]
    NotServing,
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
