//! Copies that come home, until the store has them.

use super::BATCH_BYTES;
use crate::node::{Env, Notice, Slot, Slots};
use crate::replica::{Asker, Replica, Task};
use crate::wire::{HANDOFF_MOST, HeldCopy, Message, Ticket};
use crate::{Durability, NodeId};

/// Batches that were brought and are not all stored.
pub(crate) struct Arrivals(Slots<Arrival>);

struct Arrival {
    from: NodeId,
    ticket: Ticket,
    /// How many are not stored yet.
    open: usize,
    taken: u64,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self(Slots::new())
    }

    /// Takes in what this node is on duty for.
    pub(crate) fn take(
        &mut self,
        from: NodeId,
        ticket: Ticket,
        copies: alloc::vec::Vec<HeldCopy>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        if replica.load() >= env.config.capacity.peers || copies.len() > HANDOFF_MOST {
            env.notify(Notice::Overloaded);
            return answer(from, ticket, 0, replica, env);
        }
        let batch = self.0.insert(Arrival {
            from,
            ticket,
            open: copies.len(),
            taken: 0,
        });
        for (at, HeldCopy { key, siblings }) in copies.into_iter().enumerate() {
            let n = env.config.buckets.of(&key).n;
            let list = env.ring.lookup(key.token());
            if !list.is_primary(env.me(), n.into()) {
                self.count(batch, None, replica, env);
                continue;
            }
            let copy = at as u8; // below HANDOFF_MOST
            let merge = Task::Merge {
                asker: Asker::Batch { batch, copy },
                durability: Durability::Memory, // at least the bucket's
                held_for: None,
                is_repair: true,
                siblings,
            };
            replica.submit(&key, merge, env);
        }
    }

    /// Counts what the store has by now.
    pub(crate) fn settle(&mut self, replica: &mut Replica, env: &mut Env<'_>) {
        while let Some((batch, copy, taken)) = replica.taken.pop() {
            self.count(batch, taken.ok().map(|_| copy), replica, env);
        }
    }

    fn count(&mut self, batch: Slot, taken: Option<u8>, replica: &Replica, env: &mut Env<'_>) {
        let Some(arrival) = self.0.get_mut(batch) else {
            return;
        };
        arrival.open -= 1;
        if let Some(copy) = taken {
            arrival.taken |= 1 << copy;
        }
        if arrival.open == 0 {
            let Arrival {
                from,
                ticket,
                taken,
                ..
            } = *arrival;
            self.0.remove(batch);
            answer(from, ticket, taken, replica, env);
        }
    }
}

fn answer(from: NodeId, ticket: Ticket, taken: u64, replica: &Replica, env: &mut Env<'_>) {
    let is_busy =
        replica.load() > env.config.capacity.peers / 2 || env.health.is_store_slow(env.now.mono);
    let credit = if is_busy { 0 } else { BATCH_BYTES };
    env.send(
        from,
        Message::HandedOff {
            ticket,
            taken,
            credit,
        },
    );
}
