//! The table of running requests.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::flights::Flights;
use super::forward::Forward;
use super::get::Get;
use super::list::List;
use super::look::Look;
use super::put::{Case, Put};
use super::repairs::Repairs;
use super::spread::Spread;
use crate::node::{ClientRequest, Deadlines, Slot, Slots};
use crate::wire::Ticket;
use crate::{Instant, NodeId};

/// Who is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client of this node, whose request came then.
    Client {
        client: ClientRequest,
        arrived: Instant,
    },
    /// A node that forwarded its client's request.
    Peer { node: NodeId, ticket: Ticket },
    /// This node itself, which wants replicas to be equal.
    Nobody,
}

/// One request under way.
#[expect(
    clippy::large_enum_variant,
    reason = "inline, so that no request allocates"
)]
pub(crate) enum Running {
    Get(Get),
    Put(Put),
    Forward(Forward),
    /// Rare, and larger than the others.
    List(Box<List>),
    Look(Look),
}

impl Running {
    fn is_answered(&self) -> bool {
        match self {
            Self::Get(get) => get.is_answered(),
            Self::Put(put) => put.is_answered(),
            Self::Forward(_) | Self::List(_) | Self::Look(_) => false,
        }
    }
}

/// All requests under way, and when each must be looked at next.
pub(crate) struct Requests {
    running: Slots<Running>,
    deadlines: Deadlines,
    pub(super) flights: Flights,
    pub(super) repairs: Repairs,
    /// Reads that were joined to others.
    pub(super) guests: usize,
    /// Requests that were answered and still wait for replicas.
    pub(super) lingering: usize,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            running: Slots::new(),
            deadlines: Deadlines::default(),
            flights: Flights::default(),
            repairs: Repairs::default(),
            guests: 0,
            lingering: 0,
        }
    }

    /// How many somebody waits for.
    pub(crate) fn len(&self) -> usize {
        self.running.len() + self.guests - self.lingering
    }

    /// How many of them list keys.
    pub(super) fn listings(&self) -> usize {
        let is_listing = |request: &&Running| matches!(request, Running::List(_));
        self.running.iter().filter(is_listing).count()
    }

    pub(crate) fn insert(&mut self, request: Running, wake: Instant) -> Slot {
        let slot = self.running.insert(request);
        self.deadlines.set(slot, wake);
        slot
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Running> {
        self.running.get_mut(slot)
    }

    pub(crate) fn put_mut(&mut self, slot: Slot) -> Option<&mut Put> {
        match self.running.get_mut(slot) {
            Some(Running::Put(put)) => Some(put),
            _ => None,
        }
    }

    /// A write whose version is told to others.
    pub(super) fn spreading(&mut self, slot: Slot) -> Option<(&mut Case, &mut Spread)> {
        self.put_mut(slot)?.spreading()
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Running> {
        let request = self.running.remove(slot)?;
        self.deadlines.clear(slot);
        self.lingering -= usize::from(request.is_answered());
        Some(request)
    }

    /// Lets go of one of which nothing is needed any more.
    pub(crate) fn clear(&mut self, slot: Slot) {
        if let Some(request) = self.running.get_mut(slot) {
            self.lingering -= usize::from(request.is_answered());
            self.running.clear(slot);
            self.deadlines.clear(slot);
        }
    }

    pub(crate) fn wake(&mut self, slot: Slot, at: Instant) {
        self.deadlines.set(slot, at);
    }

    /// Looks at a request at that moment, unless it would earlier.
    pub(crate) fn wake_by(&mut self, slot: Slot, at: Instant) {
        self.deadlines.bring_forward(slot, at);
    }

    /// It waits for something that always comes.
    pub(crate) fn sleep(&mut self, slot: Slot) {
        self.deadlines.clear(slot);
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Slot> {
        self.deadlines.pop_due(now)
    }

    /// All of them, for what concerns a whole node and happens seldom.
    pub(crate) fn all(&self) -> Vec<Slot> {
        self.running.slots().collect()
    }
}
