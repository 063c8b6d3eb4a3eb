//! Changes that wait for their key, in the order in which they came.

use alloc::vec::Vec;

use crate::node::{Env, Few, Notice, Places, Slot};
use crate::version::{Clock, Siblings};
use crate::wire::{Message, NotStored, Ticket};
use crate::{Durability, Instant, NodeId};

/// One change of one key.
pub(crate) enum Task {
    /// Make a client's write a version.
    Mint {
        /// The write.
        request: Slot,
        /// Whom the record is held for, if it is not this node's own.
        held_for: Option<NodeId>,
        /// Whether it is a delete.
        is_delete: bool,
    },
    /// Take in what another replica has.
    Merge {
        /// Whom to tell.
        asker: Asker,
        /// How safe it must be before the answer.
        durability: Durability,
        /// Whom it is held for, if it is not this node's own.
        held_for: Option<NodeId>,
        /// Whether this is upkeep and no client's write.
        is_repair: bool,
        /// What it is.
        siblings: Siblings,
    },
    /// What was held for a node is there, as far as that clock.
    Release {
        /// Which node.
        owner: NodeId,
        /// What it has seen.
        delivered: Clock,
        /// How safely it has that.
        durability: Durability,
    },
    /// What was held for a node that is not on duty any more is held for those who are.
    Rehold {
        /// Which node.
        owner: NodeId,
        /// Who is.
        instead: Few,
    },
    /// All who are on duty have this node's own record, as far as that clock.
    Forget {
        /// Whom to tell.
        asker: Asker,
        /// What they have seen.
        seen: Clock,
    },
}

impl Task {
    /// Whether the record is one that is held for others.
    pub(super) fn is_hint(&self) -> bool {
        match self {
            Self::Mint { held_for, .. } | Self::Merge { held_for, .. } => held_for.is_some(),
            Self::Release { .. } | Self::Rehold { .. } => true,
            Self::Forget { .. } => false,
        }
    }

    /// Whether it goes on when there is no room for clients' writes.
    pub(super) fn may_use_reserve(&self) -> bool {
        match self {
            Self::Mint { is_delete, .. } => *is_delete,
            Self::Merge {
                is_repair,
                siblings,
                ..
            } => *is_repair || siblings.is_deleted(),
            Self::Release { .. } | Self::Rehold { .. } | Self::Forget { .. } => true,
        }
    }
}

/// Who wants to know whether a state was taken in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker {
    /// A node.
    Peer {
        from: NodeId,
        ticket: Ticket,
        arrived: Instant,
    },
    /// A batch that came home, of which it is so manieth, and to be so safe.
    Batch {
        batch: Slot,
        copy: u8,
        durability: Durability,
    },
    /// Nobody.
    Nobody,
}

/// Who is to be told when a change that is applied is stored.
#[derive(Clone, Copy)]
pub(super) enum Applied {
    /// This request of a client.
    Mint { request: Slot },
    /// Who sent it.
    Merge { asker: Asker },
    /// Who gives it up.
    Forget { asker: Asker },
    /// Nobody.
    Release,
}

/// Whether a state was taken in, and how safe it is.
pub(crate) type Taken = Result<Durability, NotStored>;

/// Tells who asked whether a state was taken in; of a batch it is kept for whoever counts.
pub(super) fn tell(
    batches: &mut Vec<(Slot, u8, Taken)>,
    asker: Asker,
    taken: Taken,
    env: &mut Env<'_>,
) {
    match (asker, taken) {
        (
            Asker::Peer {
                from,
                ticket,
                arrived,
            },
            Ok(durability),
        ) => {
            env.served(arrived);
            env.send(from, Message::Stored { ticket, durability });
        }
        (Asker::Peer { from, ticket, .. }, Err(reason)) => {
            env.send(from, Message::NotStored { ticket, reason });
        }
        (
            Asker::Batch {
                batch,
                copy,
                durability: asked,
            },
            taken,
        ) => {
            let taken = match taken {
                Ok(has) if has < asked => {
                    env.notify(Notice::TooWeak { has, asked });
                    Err(NotStored::Failed)
                }
                taken => taken,
            };
            batches.push((batch, copy, taken));
        }
        (Asker::Nobody, _) => {}
    }
}

/// Who wants to know what is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    /// A request that reads.
    Request(Slot),
    /// A write of this node's that must be told again to others.
    Spread(Slot),
    /// A write of this node's that must be held for nodes that did not get it.
    Keep(Slot),
    /// What this node holds for that one, which is to be brought up to date with its own record.
    Held { owner: NodeId },
    /// Another node.
    Peer {
        from: NodeId,
        ticket: Ticket,
        arrived: Instant,
    },
}

/// Things of all keys, each linked to the next of its key.
pub(super) struct Tasks<T>(Places<Linked<T>>);

struct Linked<T> {
    task: T,
    next: Option<usize>,
}

/// The first and the last of some things of one key.
#[derive(Clone, Copy, Default)]
pub(super) struct Queue(Option<(usize, usize)>);

impl<T> Tasks<T> {
    pub(super) fn new() -> Self {
        Self(Places::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, queue: &mut Queue, task: T) {
        let at = self.0.insert(Linked { task, next: None });
        queue.0 = match queue.0 {
            None => Some((at, at)),
            Some((first, last)) => {
                if let Some(last) = self.0.get_mut(last) {
                    last.next = Some(at);
                }
                Some((first, at))
            }
        };
    }

    pub(super) fn pop(&mut self, queue: &mut Queue) -> Option<T> {
        let (first, last) = queue.0?;
        let Linked { task, next } = self.0.take(first)?;
        queue.0 = next.map(|next| (next, last));
        Some(task)
    }
}

impl Queue {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_none()
    }
}
