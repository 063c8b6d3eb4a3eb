//! What goes into the machine and what comes out.

use core::time::Duration;

use smallvec::SmallVec;

use super::{Request, Response};
use crate::membership::Epoch;
use crate::ring::RingError;
use crate::store::{Address, Command, Completion, Space};
use crate::version::Boot;
use crate::wire::Message;
use crate::{Durability, Instant, NodeId};

/// A running request, as the driver names it: unique among those not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientRequest(pub u64);

/// A command to the store, as the machine names it: never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Op(pub u64);

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client asks for something.
    Client {
        /// The driver's name for it.
        client: ClientRequest,
        /// When it arrived.
        arrived: Instant,
        /// What it asks for.
        request: Request,
    },
    /// A node of the cluster says something.
    Peer {
        /// Which one.
        from: NodeId,
        /// When it arrived.
        arrived: Instant,
        /// What it says.
        message: Message,
    },
    /// The connection to a node is gone, and perhaps with it what was sent and not answered.
    PeerLost {
        /// Which one.
        peer: NodeId,
    },
    /// A message was not sent and will not be.
    Unsent {
        /// To whom.
        to: NodeId,
        /// Which.
        message: Message,
        /// Why not.
        why: Unsent,
    },
    /// A command to the store completed.
    Stored {
        /// Which.
        op: Op,
        /// How.
        completion: Completion,
    },
    /// Whoever looks through the store found something there that cannot be read.
    Damaged {
        /// In which space.
        space: Space,
        /// Where in it.
        at: Address,
    },
    /// The number asked for by [`Effect::Draw`].
    Drawn {
        /// A boot that is as random as the one the node was started with.
        boot: Boot,
    },
    /// A deadline has come, or may have.
    Tick,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// There is no connection to its receiver.
    Unreachable,
    /// Too much waits to be sent there already.
    Full,
    /// It is longer than any frame may be.
    TooLong,
}

/// Something to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a message to each of these nodes.
    Send {
        /// To whom.
        to: Targets,
        /// What.
        message: Message,
    },
    /// Say something to whichever node is at the address of a seed.
    Introduce {
        /// Which of those the driver knows, counted from 0.
        seed: u16,
        /// What.
        message: Message,
    },
    /// Carry out a command on the store.
    Store {
        /// Its name, for the completion.
        op: Op,
        /// What to do.
        command: Command,
    },
    /// Answer a client.
    Reply {
        /// Which request.
        client: ClientRequest,
        /// The answer.
        response: Response,
    },
    /// Draw the number of a new boot from good randomness, and hand it in as [`Event::Drawn`].
    /// Until then the node makes no versions.
    Draw,
    /// For metrics and those who check.
    Notify(Notice),
    /// Stop the process: going on could break a promise.
    Halt(Reason),
}

/// The nodes that are sent the same message.
pub type Targets = SmallVec<[NodeId; 4]>;

/// What happened inside, for metrics and checkers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A write went to a node on duty for its key.
    Forwarded {
        /// Which one.
        to: NodeId,
    },
    /// A read got different answers.
    Divergent {
        /// How many different ones.
        versions: u8,
    },
    /// A message was sent again.
    Retried {
        /// To whom.
        to: NodeId,
    },
    /// A write came a second time and was not made a second version.
    Repeated,
    /// A write superseded values.
    Superseded {
        /// How many.
        values: u32,
    },
    /// A write was minted under a newborn actor.
    Newborn,
    /// Somebody mints under this node's name, or its boot is retired: it asks to be born anew.
    Renewed,
    /// The store does not keep things as safely as the bucket promises: one of the two is wrong.
    TooWeak {
        /// How safely it does.
        has: Durability,
        /// How safely it should.
        asked: Durability,
    },
    /// A record could not be read.
    Damaged,
    /// A message is longer than any frame may be: a key has too much alive at once. Whoever reads it
    /// and writes with the context makes it shorter.
    TooLong {
        /// To whom it was to be sent.
        to: NodeId,
        /// How long it is.
        bytes: u64,
    },
    /// A write went over a record that could not be read and that nobody else has: what was there is
    /// lost.
    BegunAnew,
    /// A read was answered together with others.
    Shared {
        /// How many were.
        reads: u32,
    },
    /// A request was refused because something was full.
    Overloaded,
    /// A client's request was answered.
    Answered {
        /// How long after it arrived.
        took: Duration,
    },
    /// A node is taken to be away.
    Suspected {
        /// Which one.
        peer: NodeId,
    },
    /// It is there again.
    Trusted {
        /// Which one.
        peer: NodeId,
    },
    /// This node was not running for a while.
    WasAway,
    /// A read was late, and one more replica was asked.
    Hedged {
        /// Which one.
        to: NodeId,
    },
    /// A replica that lagged was sent what it lacks.
    Repaired {
        /// Which one.
        to: NodeId,
    },
    /// A copy is held for a node that is away.
    HintTaken {
        /// Which one.
        owner: NodeId,
    },
    /// No more copies can be held: the range needs an exchange.
    HintRefused,
    /// The history of the cluster has grown, or nodes have gone on with what is decided in it.
    Epoch {
        /// As far as is known now.
        epoch: Epoch,
        /// How many older rings requests go by beside the current one.
        past: u32,
    },
    /// This node is removed from its cluster. It serves nothing any more.
    Removed,
    /// A node asked for something by another epoch. Whoever of the two knows more has told the other.
    OtherEpoch {
        /// Which one.
        peer: NodeId,
    },
    /// Somebody lives under this node's name: its store was copied. It serves nothing any more.
    Overtaken,
    /// A node belongs to another cluster.
    OtherCluster {
        /// Which.
        peer: NodeId,
    },
    /// The history is full: nothing more can be decided.
    HistoryFull,
    /// Copies have come that this node is on duty for now.
    Pulled {
        /// From whom.
        from: NodeId,
        /// How many.
        copies: u32,
    },
    /// Records were given up that this node is not on duty for any more.
    Shed {
        /// How many.
        copies: u32,
    },
    /// What differed between two replicas was found, and made equal.
    Levelled {
        /// With whom.
        with: NodeId,
        /// How many copies came from there.
        got: u32,
        /// How many went there.
        gave: u32,
    },
    /// Leaves of this node's trees were not what its keys say, and were made anew.
    TreeMended {
        /// How many.
        leaves: u32,
    },
    /// Copies that were held have arrived.
    HandedOff {
        /// Where.
        to: NodeId,
        /// How many.
        copies: u32,
    },
}

/// Why a node must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A flush failed: what the store holds is not known any more.
    #[error("the store failed to flush: restart to recover from what is on the disk")]
    FlushFailed,
    /// What is held for others could not be counted.
    #[error("the store failed to list what is held for other nodes: check the disk and restart")]
    StoreFailed,
    /// No ring can be made of the cluster's history.
    #[error("there is no ring for what was decided: {0}")]
    NoRing(RingError),
    /// A command completed as another kind of command would.
    #[error("the driver answered a store command with another's completion")]
    StoreConfused,
}
