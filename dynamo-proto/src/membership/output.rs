//! What comes out: messages, what is to be written down, and news.

use super::{Epoch, Gossip};
use crate::version::Height;
use crate::{Generation, NodeId};

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// To a node.
    Node(NodeId),
    /// To whichever node is at that address of those the driver knows, counted from 0.
    Seed(u16),
}

/// What is to be written down, and told when it is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub(super) generation: Generation,
    pub(super) epoch: Epoch,
    /// How many boots are retired.
    pub(super) retired: Height,
    /// Whether all have moved to that epoch.
    pub(super) is_moved: bool,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Say this to somebody. If it is lost, it is said again in other words.
    Send {
        /// To whom.
        to: To,
        /// What.
        message: Gossip,
    },
    /// Write [`Membership::to_bytes`](super::Membership::to_bytes) down, flushed, then say so with
    /// [`Membership::saved`](super::Membership::saved).
    Save(Mark),
    /// More was learnt: the ring may be another.
    Changed(Epoch),
    /// Everybody has this epoch. What has to move is moved from now on; who has all says so with
    /// [`Membership::moved`](super::Membership::moved).
    Settled(Epoch),
    /// All hold what they are on duty for in this epoch: it is read by its ring from now on.
    Moved(Epoch),
    /// All that this node knows to have switched has become more: fewer rings are past.
    Switched(Epoch),
    /// More boots are retired, or this node has seen all that more of them wrote.
    Retired,
    /// A node's neighbours cannot reach it.
    Suspected(NodeId),
    /// They can again.
    Trusted(NodeId),
    /// This node was removed. It serves nothing any more, and only tells what it knows of the
    /// history. To take part again it needs an empty store, and with it a new identity.
    Removed,
    /// Somebody lives under this node's name: this store was copied. This node says and serves
    /// nothing until it is started again: if the other is gone for good, with
    /// [`Config::is_restored`](super::Config::is_restored); otherwise with an empty store.
    Overtaken {
        /// The other's generation.
        generation: Generation,
    },
    /// A peer belongs to a cluster of another birth. Nothing was taken in.
    OtherCluster(NodeId),
    /// There are [`MAX_COMMITS`](super::MAX_COMMITS) commits. No more are taken in.
    Full,
}
