//! Why a connection ended, and why a message was not sent: the other side's doing and ours.

use dynamo_proto::wire::{FrameError, Kind, MessageError, Refusal};
use dynamo_proto::{ClusterId, NodeId};

/// Why a connection is over. What is still [outgoing](crate::Connection::outgoing) may be written,
/// and is worth it after [`RefusedByUs`](Self::RefusedByUs); then the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// We turned the other side away; the answer that says so is outgoing.
    #[error("we refused the connection: {0:?}")]
    RefusedByUs(Refusal),
    /// The other side turned us away.
    #[error("the other side refused the connection: {0}")]
    RefusedByThem(Refusal),
    /// Who answered belongs to another cluster: the address is wrong.
    #[error("the node that answered belongs to cluster {0}")]
    WrongCluster(ClusterId),
    /// Another node answered than the one that was dialed: the address is out of date.
    #[error("node {found} answered where {expected} was dialed")]
    WrongNode {
        /// Which one was dialed.
        expected: NodeId,
        /// Which one answered.
        found: NodeId,
    },
    /// The other side settled on a version that we had not offered.
    #[error("the other side chose version {0}, which was not offered")]
    WrongVersion(u8),
    /// A message out of place: before the handshake was over something else, or after it one of
    /// the handshake's.
    #[error("a message of kind {} is out of place", .0.0)]
    Unexpected(Kind),
    /// What follows cannot be told apart any more.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A body arrived as it left and still makes no sense.
    #[error(transparent)]
    Malformed(#[from] MessageError),
    /// The other side sent much that we do not know and does not read the answers.
    #[error("the other side does not read the answers to what we do not support")]
    Deaf,
}

/// Why a message was not sent. Nothing of it went out, and the connection is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The handshake is not over, or the connection is.
    #[error("the connection is not established")]
    NotEstablished,
    /// Too much is waiting already: try again when some of it is sent, or give up.
    #[error("too much is waiting to be sent")]
    Full,
    /// It is too long for the other side: it would end the connection, now or later.
    #[error("a frame of {len} bytes is over the limit of {limit}")]
    TooLong {
        /// How long it would be, header included.
        len: usize,
        /// What is allowed.
        limit: usize,
    },
    /// It is one of the handshake's, which the connection says by itself.
    #[error("a message of kind {} belongs to the handshake", .0.0)]
    Handshake(Kind),
}

impl Ended {
    /// Whether whoever was dialed belongs to another cluster.
    pub(crate) fn is_of_another_cluster(&self) -> bool {
        matches!(
            self,
            Self::WrongCluster(_) | Self::RefusedByThem(Refusal::Cluster)
        )
    }
}

impl From<Unsent> for dynamo_proto::node::Unsent {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::NotEstablished | Unsent::Handshake(_) => Self::Unreachable,
            Unsent::Full => Self::Full,
            Unsent::TooLong { .. } => Self::TooLong,
        }
    }
}
