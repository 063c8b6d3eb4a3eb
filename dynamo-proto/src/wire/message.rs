//! What nodes, and clients and nodes, say to each other.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Exchange, Hello, Kind, Refusal, Welcome};
use crate::membership::{Directory, Epoch, Gossip, ShortEpoch};
use crate::node::{Listed, Listing, Request, Response};
use crate::reader::DecodeError;
use crate::store::{Address, Span};
use crate::version::{Clock, Siblings};
use crate::{Durability, Key, KeyError, NodeId};

/// Everything that travels between nodes, and between clients and nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Opens a connection.
    Hello(Hello),
    /// Accepts it.
    Welcome(Welcome),
    /// Ends it.
    Refused(Refusal),
    /// Answers what was not understood.
    Unsupported(Unsupported),
    /// Asks a replica to take in a state.
    Store {
        /// The sender's request, echoed in the answer.
        ticket: Ticket,
        /// By which epoch it asks.
        epoch: ShortEpoch,
        /// How safe the state must be before the answer.
        durability: Durability,
        /// The node on duty that is to have it, if this is not the receiver: held for that one
        /// until it is back.
        held_for: Option<NodeId>,
        /// Whether this is upkeep and no client's write.
        is_repair: bool,
        /// Whose state.
        key: Key,
        /// All that the sender has of it.
        siblings: Siblings,
    },
    /// The state is taken in.
    Stored {
        /// As in the question.
        ticket: Ticket,
        /// How safe it is.
        durability: Durability,
    },
    /// The state is not taken in.
    NotStored {
        /// As in the question.
        ticket: Ticket,
        /// Why.
        reason: NotStored,
    },
    /// Asks a replica for a state.
    Fetch {
        /// The sender's request, echoed in the answer.
        ticket: Ticket,
        /// By which epoch it asks.
        epoch: ShortEpoch,
        /// The node on duty in whose place it is asked, if it is not itself.
        held_for: Option<NodeId>,
        /// Whose state.
        key: Key,
    },
    /// What the replica has.
    Fetched {
        /// As in the question.
        ticket: Ticket,
        /// The state, or why there is none.
        outcome: Fetched,
    },
    /// Asks a node to do a client's request: of a client, or of a node that forwards it.
    Request {
        /// The sender's request, echoed in the answer.
        ticket: Ticket,
        /// By which epoch it is forwarded.
        epoch: ShortEpoch,
        /// How long the sender waits.
        patience: Duration,
        /// What to do.
        request: Request,
    },
    /// What became of it.
    Response {
        /// As in the question.
        ticket: Ticket,
        /// The outcome.
        response: Response,
    },
    /// Asks whether the receiver is there.
    Ping {
        /// Echoed in the answer.
        ticket: Ticket,
    },
    /// It is.
    Pong {
        /// As in the question.
        ticket: Ticket,
    },
    /// A message on its way between two nodes that do not reach each other.
    Relay {
        /// Whose message.
        from: NodeId,
        /// For whom.
        to: NodeId,
        /// What it says.
        message: Box<Message>,
    },
    /// Brings copies home that were held for the receiver.
    Handoff {
        /// The sender's batch, echoed in the answer.
        ticket: Ticket,
        /// The copies, at most [`HANDOFF_MOST`].
        copies: Vec<HeldCopy>,
    },
    /// What became of them.
    HandedOff {
        /// As in the question.
        ticket: Ticket,
        /// A bit for each copy that the receiver has now, the first lowest.
        taken: u64,
        /// How many bytes of further copies it is ready for.
        credit: u32,
    },
    /// What nodes tell each other about their cluster.
    Gossip(Gossip),
    /// Asks what the receiver has of a stretch of its own records beyond what is known.
    Compare {
        /// The sender's question, echoed in the answer.
        ticket: Ticket,
        /// Which stretch.
        span: Span,
        /// How many bytes of copies it is ready for; none if it only wants to know what is lacking.
        credit: u32,
        /// Digests of what the sender has of it, at most [`HANDOFF_MOST`].
        known: Vec<u128>,
        /// Or how far each of some of its records has seen, as many at most: whoever has seen as much of
        /// a key lacks nothing of it.
        seen: Vec<(Address, Clock)>,
    },
    /// What it has.
    Compared {
        /// As in the question.
        ticket: Ticket,
        /// A bit for each digest, or else each record, of what the receiver does not have, the first
        /// lowest.
        lacking: u64,
        /// From where on it has not looked; nothing if it has looked at all of it.
        rest: Option<Address>,
        /// What was not known before that, at most [`HANDOFF_MOST`].
        copies: Vec<HeldCopy>,
    },
    /// What replicas say to each other to find out where they differ.
    Exchange(Exchange),
    /// Asks which keys of a stretch that the receiver is on duty for have values.
    List {
        /// The sender's request, echoed in the answer.
        ticket: Ticket,
        /// Which of its questions, echoed too.
        question: u32,
        /// A key of the bucket.
        key: Key,
        /// Which keys, and where.
        listing: Listing,
    },
    /// Those that have, as far as it has looked. Where that is nowhere it has too much to do, or
    /// is not on duty.
    Listed {
        /// As in the question.
        ticket: Ticket,
        /// As in the question.
        question: u32,
        /// The keys.
        listed: Listed,
    },
    /// Asks for something about the cluster, or for a change of it.
    Admin {
        /// The sender's, echoed in the answer.
        ticket: Ticket,
        /// What, in the driver's words.
        command: Bytes,
    },
    /// The answer to an [`Admin`](Self::Admin).
    Administered {
        /// Of the question.
        ticket: Ticket,
        /// Whether it was carried out.
        is_done: bool,
        /// What came of it, or why it was not.
        answer: Bytes,
    },
    /// Asks, as a client, who is on duty for what and where.
    AskDirectory {
        /// Echoed in the answer.
        ticket: Ticket,
        /// The digest of the directory that is known, 0 if none is.
        known: u64,
    },
    /// Tells it.
    Directory {
        /// As in the question.
        ticket: Ticket,
        /// The directory, unless it is the one that is known.
        directory: Option<Box<Directory>>,
    },
    /// Tells a client that has asked for the directory that it is another one now.
    NewEpoch(Epoch),
}

/// Most copies in one [`Message::Handoff`].
pub const HANDOFF_MOST: usize = 64;

/// A copy that was held for another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCopy {
    /// How safe it must be with its owner before it is let go.
    pub durability: Durability,
    /// Of which key.
    pub key: Key,
    /// All that is known of it.
    pub siblings: Siblings,
}

/// A running request, as the node that runs it names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Why a replica did not take a state in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// It has too much to do.
    Overloaded,
    /// Its store has no room.
    Full,
    /// It holds as many copies for others as it may.
    HintsFull,
    /// Its store failed.
    Failed,
    /// The state takes retirements into account that it has not heard of.
    Behind,
}

/// What a replica found when asked for a key.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one allocation for every read"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Its state.
    Found(Siblings),
    /// It has never heard of the key.
    Absent,
    /// It has a record that it cannot read: not the same as absent.
    Damaged,
    /// It could not look.
    Failed,
}

/// A frame that its receiver does not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The version of its body.
    pub version: u8,
    /// Its kind.
    pub kind: Kind,
    /// Its place in the connection.
    pub sequence: u32,
}

/// Why a body is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A kind that this version does not know: to be answered with [`Unsupported`].
    #[error("unknown message kind {}", .0.0)]
    UnknownKind(Kind),
    /// Its bytes are wrong.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// Its key is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Message {
    /// By which epoch something is asked, if it is and its sender goes by any.
    #[must_use]
    pub fn epoch(&self) -> Option<ShortEpoch> {
        match self {
            Self::Store { epoch, .. } | Self::Fetch { epoch, .. } | Self::Request { epoch, .. } => {
                Some(*epoch).filter(|epoch| *epoch != ShortEpoch::default())
            }
            _ => None,
        }
    }
}
