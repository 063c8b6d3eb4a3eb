//! The table of running requests.

use alloc::vec::Vec;

use super::flights::Flights;
use super::forward::Forward;
use super::get::Get;
use super::put::Put;
use crate::node::{ClientRequest, Deadlines, Slot, Slots};
use crate::wire::Ticket;
use crate::{Instant, NodeId};

/// Who is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client of this node.
    Client(ClientRequest),
    /// A node that forwarded its client's request.
    Peer { node: NodeId, ticket: Ticket },
}

/// One request under way.
pub(crate) enum Running {
    Get(Get),
    Put(Put),
    Forward(Forward),
}

/// All requests under way, and when each must be looked at next.
pub(crate) struct Requests {
    running: Slots<Running>,
    deadlines: Deadlines,
    pub(super) flights: Flights,
    /// Reads that were joined to others.
    pub(super) guests: usize,
    /// Writes that were answered and still wait for replicas.
    pub(super) lingering: usize,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            running: Slots::new(),
            deadlines: Deadlines::default(),
            flights: Flights::default(),
            guests: 0,
            lingering: 0,
        }
    }

    /// How many somebody waits for.
    pub(crate) fn len(&self) -> usize {
        self.running.len() + self.guests - self.lingering
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

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Running> {
        let request = self.running.remove(slot)?;
        self.deadlines.clear(slot);
        self.lingering -= usize::from(matches!(&request, Running::Put(put) if put.is_answered()));
        Some(request)
    }

    pub(crate) fn wake(&mut self, slot: Slot, at: Instant) {
        self.deadlines.set(slot, at);
    }

    /// Looks at a request at that moment, unless it would earlier.
    pub(crate) fn wake_by(&mut self, slot: Slot, at: Instant) {
        self.deadlines.bring_forward(slot, at);
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
