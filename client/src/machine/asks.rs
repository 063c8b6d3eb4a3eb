//! What a client is asked for, and what it answers.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::Ended;
use dynamo_proto::node::{Failure, Listed, Operation, Options, Written};
use dynamo_proto::version::{RequestId, Siblings};
use dynamo_proto::{Instant, Key, NodeId};
use smallvec::SmallVec;

use super::Link;
use super::driven::Driven;
use super::places::PlaceId;

/// One thing to be asked of the cluster.
#[derive(Clone, Debug)]
pub struct Ask {
    /// About which key.
    pub key: Key,
    /// What.
    pub operation: Operation,
    /// How.
    pub options: Options,
    /// Whether this client itself asks the replicas, if it is a read that can be coordinated so.
    pub is_driven: bool,
}

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// How a request ended: exactly one for each.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one allocation for every read"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A read is done.
    Got(Found),
    /// A part of a listing is done.
    Listed(Listed),
    /// A write is done.
    Put(Written),
    /// Nothing was done, and nothing will be.
    Failed(Failed),
    /// It may have been done, or may yet be.
    Unknown,
}

/// What a read found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// All live values, and the tombstones beside them.
    pub siblings: Siblings,
    /// To be handed back with the write that follows: one, or one of each replica that this client
    /// asked itself.
    pub contexts: Vec<Bytes>,
    /// Who answered fastest.
    pub fastest: Option<NodeId>,
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// A node says why.
    #[error(transparent)]
    Node(#[from] Failure),
    /// No node took it in time.
    #[error("no node was reached in time: {0}")]
    Unreachable(Trouble),
    /// No node answered in time. Said of reads only.
    #[error("no node answered in time")]
    Silent,
    /// It is longer than any frame may be.
    #[error("longer than any frame may be")]
    TooLong,
    /// As much is under way as may be: try again later, or with less at once.
    #[error("this client has as much under way as it may")]
    Busy,
    /// The client is closed.
    #[error("the client is closed")]
    Closed,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody has answered yet.
    #[default]
    #[error("nobody has answered yet")]
    None,
    /// Nobody listens there, or nobody answers.
    #[error("nobody listens there, or nobody answers")]
    NoConnection,
    /// It was closed.
    #[error("the connection was closed")]
    Closed,
    /// The two sides cannot talk, or do not any more.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Caller,
    /// Nobody: replicas are to be repaired.
    Nobody,
}

/// A request under way.
pub(super) struct Running {
    pub(super) owner: Owner,
    pub(super) id: RequestId,
    pub(super) ask: Ask,
    pub(super) began: Instant,
    pub(super) deadline: Instant,
    /// When to look at it again.
    pub(super) wake: Instant,
    pub(super) stage: Stage,
    /// Sent and not answered.
    pub(super) attempts: SmallVec<[Attempt; 2]>,
    /// Where it was tried, or could not be.
    pub(super) tried: BTreeSet<PlaceId>,
    /// A write that may have been delivered, and with whom.
    pub(super) pinned: Option<Pinned>,
    /// How often it was sent.
    pub(super) sent: u32,
    /// What the last of those who could not do it said.
    pub(super) failed: Option<Failed>,
    /// A read that this client coordinates.
    pub(super) driven: Option<Box<Driven>>,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Until there is a connection to that place with room on it, or it takes too long.
    Waiting(PlaceId),
    /// Some time later, at the same coordinator.
    Resting,
    /// An answer is waited for.
    Asked,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) link: Link,
    pub(super) place: PlaceId,
    pub(super) ticket: u64,
    pub(super) sent: Instant,
    /// Which replica is asked, if this client coordinates.
    pub(super) seat: Option<NodeId>,
    /// Of a write's first attempt: who may have done it, if no answer comes.
    pub(super) pin: Option<Pinned>,
}

/// The one who may have done a write already: nobody else is asked for it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pinned {
    pub(super) place: PlaceId,
    pub(super) node: Option<NodeId>,
    pub(super) only_here: bool,
}

impl Running {
    pub(super) fn is_write(&self) -> bool {
        !self.is_read()
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(
            self.ask.operation,
            Operation::Get { .. } | Operation::Fetch { .. } | Operation::List(_)
        )
    }

    pub(super) fn left(&self, now: Instant) -> Duration {
        self.deadline.since(now)
    }
}
