//! Copies that come home, until the store has them.

use alloc::vec::Vec;

use super::BATCH_BYTES;
use crate::node::{Env, Notice, Slot, Slots};
use crate::replica::{Asker, Replica, Task};
use crate::version::Clock;
use crate::wire::{HANDOFF_MOST, HeldCopy, Message, Ticket};
use crate::{Durability, Key, NodeId};

/// Batches that were brought and are not all stored.
pub(crate) struct Arrivals {
    open: Slots<Arrival>,
    /// Those of this node's own that are, or will not be.
    done: Vec<(Batch, u64)>,
}

struct Arrival {
    batch: Batch,
    /// How many there were, and how many are not stored yet.
    copies: usize,
    open: usize,
    taken: u64,
}

/// Who brought a batch.
#[derive(Clone, Copy)]
pub(crate) enum Batch {
    /// Another node, which held it.
    Peer { from: NodeId, ticket: Ticket },
    /// This node itself, which held it for others and is on duty now.
    Home(Ticket),
    /// A job that moves partitions.
    Moved(Slot),
    /// An exchange with another replica.
    Levelled(Slot),
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self {
            open: Slots::new(),
            done: Vec::new(),
        }
    }

    /// Takes in what this node is on duty for.
    pub(crate) fn take(
        &mut self,
        batch: Batch,
        copies: Vec<HeldCopy>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        if replica.load() >= env.config.capacity.peers || copies.len() > HANDOFF_MOST {
            env.notify(Notice::Overloaded);
            return self.end(batch, 0, replica, env);
        }
        let copies = copies.into_iter().map(|copy| (copy, None));
        self.keep(batch, copies.collect(), replica, env);
    }

    /// Takes in copies, or holds them for others. What is neither for this node nor for anybody else
    /// is not taken.
    pub(crate) fn keep(
        &mut self,
        batch: Batch,
        copies: Vec<(HeldCopy, Option<NodeId>)>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let is_moved = matches!(batch, Batch::Moved(_) | Batch::Levelled(_));
        if copies.is_empty() {
            return self.end(batch, is_moved.into(), replica, env);
        }
        let arrival = self.open.insert(Arrival {
            batch,
            copies: copies.len(),
            open: copies.len(),
            taken: 0,
        });
        for (at, (copy, held_for)) in copies.into_iter().enumerate() {
            let HeldCopy {
                durability,
                key,
                siblings,
            } = copy;
            let durability = planted!(HomeLessSafely ? Durability::Memory; durability);
            let n = env.view.buckets.of(&key).n;
            let is_mine = env.view.is_on_duty(env.me(), key.token(), n.into());
            if held_for.is_none() && !is_mine {
                // Of what moves nothing is missed that this node is not to have.
                let taken = is_moved.then_some(at as u8);
                self.count(arrival, taken, replica, env);
                continue;
            }
            let merge = Task::Merge {
                asker: Asker::Batch {
                    batch: arrival,
                    copy: at as u8, // below HANDOFF_MOST
                    durability,
                },
                durability,
                held_for,
                is_repair: true,
                siblings,
            };
            replica.submit(&key, merge, env);
        }
    }

    /// Gives up records, as far as those clocks.
    pub(crate) fn forget(
        &mut self,
        batch: Batch,
        records: &[(&Key, &Clock)],
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let arrival = self.open.insert(Arrival {
            batch,
            copies: records.len(),
            open: records.len(),
            taken: 0,
        });
        for (at, (key, seen)) in records.iter().enumerate() {
            let forget = Task::Forget {
                asker: Asker::Batch {
                    batch: arrival,
                    copy: at as u8, // below HANDOFF_MOST
                    durability: Durability::Memory,
                },
                seen: (*seen).clone(),
            };
            replica.submit(key, forget, env);
        }
    }

    /// Counts what the store has by now. Who is on duty for a key and brought what all are known to
    /// have seen the end of, is told so, and that this copy was not taken: until it has that end too
    /// they do not have the same.
    pub(crate) fn settle(&mut self, replica: &mut Replica, env: &mut Env<'_>) {
        let mut untaken = Vec::new();
        while let Some((batch, copy, key, siblings)) = replica.nothing.pop() {
            let Some(Batch::Peer { from, .. }) = self.open.get_mut(batch).map(|it| it.batch) else {
                continue;
            };
            let bucket = env.view.buckets.of(&key);
            let reads = env.view.reads.lookup(key.token());
            if !reads.is_primary(from, bucket.n.into()) {
                continue;
            }
            let message = Message::Store {
                ticket: env.mask.ticket(Slot::from_number(0)), // nobody waits for the answer
                epoch: env.view.epoch,
                durability: bucket.durability,
                held_for: None,
                is_repair: true,
                key,
                siblings,
            };
            env.send(from, message);
            untaken.push((batch, copy));
        }
        while let Some((batch, copy, taken)) = replica.taken.pop() {
            let is_taken = taken.is_ok() && !untaken.contains(&(batch, copy));
            self.count(batch, is_taken.then_some(copy), replica, env);
        }
    }

    /// One of this node's own batches that is done, and which of its copies are stored: a bit for
    /// each.
    pub(crate) fn pop_done(&mut self) -> Option<(Batch, u64)> {
        self.done.pop()
    }

    fn count(&mut self, slot: Slot, taken: Option<u8>, replica: &Replica, env: &mut Env<'_>) {
        let Some(arrival) = self.open.get_mut(slot) else {
            return;
        };
        arrival.open -= 1;
        if let Some(copy) = taken {
            arrival.taken |= 1 << copy;
        }
        if arrival.open == 0 {
            let (batch, mut taken) = (arrival.batch, arrival.taken);
            if let Batch::Moved(_) | Batch::Levelled(_) = batch {
                // Only whether it was all of them is asked for.
                taken = u64::from(taken.count_ones() as usize == arrival.copies);
            }
            self.open.remove(slot);
            self.end(batch, taken, replica, env);
        }
    }

    fn end(&mut self, batch: Batch, taken: u64, replica: &Replica, env: &mut Env<'_>) {
        let Batch::Peer { from, ticket } = batch else {
            return self.done.push((batch, taken));
        };
        let credit = match replica.load() >= env.config.capacity.peers {
            true => 0,
            false => env.admission.of(BATCH_BYTES, env.now.mono),
        };
        env.send(
            from,
            Message::HandedOff {
                ticket,
                taken,
                credit,
            },
        );
    }
}
