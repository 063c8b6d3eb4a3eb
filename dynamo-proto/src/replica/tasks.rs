//! Changes that wait for their key, in the order in which they came.

use slab::Slab;

use crate::node::Slot;
use crate::version::Siblings;
use crate::wire::Ticket;
use crate::{Durability, NodeId};

/// One change of one key.
#[expect(
    clippy::large_enum_variant,
    reason = "inline, so that no change allocates"
)]
pub(crate) enum Task {
    /// Make a client's write a version.
    Mint {
        /// The write.
        request: Slot,
    },
    /// Take in what another replica has.
    Merge {
        /// Who sent it.
        from: NodeId,
        /// How to name it in the answer.
        ticket: Ticket,
        /// How safe it must be before the answer.
        durability: Durability,
        /// What it is.
        siblings: Siblings,
    },
}

/// Who wants to know what is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    /// A request that reads.
    Request(Slot),
    /// A write of this node's that must be told again to others.
    Spread(Slot),
    /// Another node.
    Peer { from: NodeId, ticket: Ticket },
}

/// Who is to be answered when a change that is applied is stored.
#[derive(Clone, Copy)]
pub(super) enum Applied {
    /// This request of a client.
    Mint { request: Slot },
    /// This replica.
    Merge { from: NodeId, ticket: Ticket },
}

/// Things of all keys, each linked to the next of its key.
pub(super) struct Tasks<T>(Slab<Linked<T>>);

struct Linked<T> {
    task: T,
    next: Option<usize>,
}

/// The first and the last of some things of one key.
#[derive(Clone, Copy, Default)]
pub(super) struct Queue(Option<(usize, usize)>);

impl<T> Tasks<T> {
    pub(super) fn new() -> Self {
        Self(Slab::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, queue: &mut Queue, task: T) {
        let at = self.0.insert(Linked { task, next: None });
        queue.0 = match queue.0 {
            None => Some((at, at)),
            Some((first, last)) => {
                self.0[last].next = Some(at);
                Some((first, at))
            }
        };
    }

    pub(super) fn pop(&mut self, queue: &mut Queue) -> Option<T> {
        let (first, last) = queue.0?;
        let Linked { task, next } = self.0.remove(first);
        queue.0 = next.map(|next| (next, last));
        Some(task)
    }
}

impl Queue {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_none()
    }
}
