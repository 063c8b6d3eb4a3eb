//! What a node does with keys that it holds: read them, merge into them, mint in them.
//!
//! ```text
//!   submit ---> [waiting] --- record read ---> apply all that wait, to one record
//!                  ^                               |
//!                  |  others arrive meanwhile      v  one write
//!                  +------------------------- [taken] --- stored ---> answer all of them
//! ```
//!
//! Changes of one key are done one after the other, those that wait together in one write; other
//! keys never wait. Nothing is answered before the store has said how safe it is. A read needs no
//! turn: the store keeps the order in which it was asked.

mod keys;
mod tasks;

use smallvec::SmallVec;

use crate::coordinate::{Minting, Put, Requests};
use crate::node::{Effect, Env, Notice, Reason, Slot, Slots};
use crate::store::{Address, Batch, Change, Command, Completion, ReadOutcome, Space, WriteError};
use crate::version::{Behind, Record};
use crate::wire::{Fetched, Message, NotStored, Ticket};
use crate::{Durability, Key, NodeId, Token};

use keys::Keys;
use tasks::{Applied, Queue, Tasks};
pub(crate) use tasks::{Reader, Task};

/// Changes under way of one key.
struct Work {
    key: Key,
    at: Address,
    record: Record,
    /// Not applied yet.
    waiting: Queue,
    /// Applied to `record`, to be answered when it is stored.
    taken: Queue,
}

/// What a command to the store was for.
enum Pending {
    /// Somebody wants to know what is there.
    Read(Reader, Address),
    /// A key's record is read, to be changed.
    Open(Slot),
    /// A key's record is written.
    Write(Slot),
}

/// The keys that this node holds, as far as something is under way for them.
pub(crate) struct Replica {
    pending: Slots<Pending>,
    works: Slots<Work>,
    tasks: Tasks<Task>,
    applied: Tasks<Applied>,
    keys: Keys,
}

impl Replica {
    pub(crate) fn new() -> Self {
        Self {
            pending: Slots::new(),
            works: Slots::new(),
            tasks: Tasks::new(),
            applied: Tasks::new(),
            keys: Keys::default(),
        }
    }

    /// How much is under way: changes that wait, and commands to the store.
    pub(crate) fn load(&self) -> usize {
        self.tasks.len() + self.applied.len() + self.pending.len()
    }

    /// Whether the store has fallen so far behind that no request may ask it for more.
    pub(crate) fn is_full(&self, env: &Env<'_>) -> bool {
        self.load() >= env.config.capacity.load()
    }

    /// Whether changes of that key are under way, so that what is stored may not be safe yet.
    pub(crate) fn is_changing(&self, token: Token) -> bool {
        self.keys.find(token).is_some()
    }

    /// Asks the store what is there.
    pub(crate) fn fetch(&mut self, token: Token, key: &Key, reader: Reader, env: &mut Env<'_>) {
        let at = Address::of_object(token, key.encoded());
        self.read(Pending::Read(reader, at.clone()), at, env);
    }

    /// Queues a change.
    pub(crate) fn submit(&mut self, token: Token, key: &Key, task: Task, env: &mut Env<'_>) {
        planted!(AckBeforeStored => if let Task::Merge { from, ticket, durability, .. } = &task {
            env.send(*from, Message::Stored { ticket: *ticket, durability: *durability });
        });
        if let Some(slot) = planted!(ChangesOverlap ? None; self.keys.find(token))
            && let Some(work) = self.works.get_mut(slot)
        {
            return self.tasks.push(&mut work.waiting, task);
        }
        let mut waiting = Queue::default();
        self.tasks.push(&mut waiting, task);
        let at = Address::of_object(token, key.encoded());
        let work = Work {
            key: key.clone(),
            at: at.clone(),
            record: Record::default(),
            waiting,
            taken: Queue::default(),
        };
        let slot = self.works.insert(work);
        self.keys.insert(token, slot);
        self.read(Pending::Open(slot), at, env);
    }

    fn read(&mut self, pending: Pending, at: Address, env: &mut Env<'_>) {
        let op = env.mask.op(self.pending.insert(pending));
        env.store(
            op,
            Command::Read {
                space: Space::Objects,
                at,
            },
        );
    }

    /// A command to the store completed. What a read was for, if it is not the replica's to
    /// answer, is returned.
    pub(crate) fn stored(
        &mut self,
        slot: Slot,
        completion: Completion,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) -> Option<(Reader, Fetched)> {
        match (self.pending.remove(slot)?, completion) {
            (Pending::Read(reader, at), Completion::Read(outcome)) => {
                let mut record = Record::default();
                let fetched = match open(&mut record, &at, outcome, env) {
                    Ok(()) if record.siblings().is_absent() => Fetched::Absent,
                    Ok(()) => Fetched::Found(record.into_siblings()),
                    Err(Closed::Damaged) => Fetched::Damaged,
                    Err(Closed::Failed) => Fetched::Failed,
                };
                match reader {
                    Reader::Peer { from, ticket } => {
                        env.send(
                            from,
                            Message::Fetched {
                                ticket,
                                outcome: fetched,
                            },
                        );
                        None
                    }
                    reader => Some((reader, fetched)),
                }
            }
            (Pending::Open(slot), Completion::Read(outcome)) => {
                self.opened(slot, outcome, requests, env);
                None
            }
            (Pending::Write(slot), Completion::Wrote(result)) => {
                self.wrote(slot, result, requests, env);
                None
            }
            // A driver that answers a read with a write has lost track of its store.
            (_, Completion::Read(_) | Completion::Wrote(_)) => {
                env.effects.push(Effect::Halt(Reason::StoreConfused));
                None
            }
        }
    }

    fn opened(
        &mut self,
        slot: Slot,
        outcome: ReadOutcome,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        match open(&mut work.record, &work.at, outcome, env) {
            Ok(()) => self.run(slot, false, requests, env),
            // Repaired by what others send, never coordinated from.
            Err(Closed::Damaged) => {
                work.record = Record::repaired();
                let mut all = core::mem::take(&mut work.waiting);
                while let Some(task) = self.tasks.pop(&mut all) {
                    match task {
                        Task::Mint { request } => Put::blocked(request, requests, env),
                        merge @ Task::Merge { .. } => self.tasks.push(&mut work.waiting, merge),
                    }
                }
                self.run(slot, true, requests, env);
            }
            Err(Closed::Failed) => {
                while let Some(task) = self.tasks.pop(&mut work.waiting) {
                    match task {
                        Task::Mint { request } => Put::blocked(request, requests, env),
                        Task::Merge { from, ticket, .. } => {
                            refuse(from, ticket, NotStored::Failed, env)
                        }
                    }
                }
                self.close(slot);
            }
        }
    }

    /// Applies all changes that wait to the key's record, and stores it if that changed it.
    fn run(&mut self, slot: Slot, is_damaged: bool, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let bucket = env.config.buckets.of(&work.key);
        let (mut must_store, mut durability) = (false, bucket.durability);
        while let Some(task) = self.tasks.pop(&mut work.waiting) {
            let (applied, asked) = match task {
                Task::Mint { request } => {
                    let asked = match Put::mint(request, &mut work.record, requests, env) {
                        Minting::Done(asked) => {
                            must_store = true;
                            asked
                        }
                        Minting::Repeated(asked) => asked,
                        Minting::Refused => continue,
                    };
                    (Applied::Mint { request }, asked)
                }
                Task::Merge {
                    from,
                    ticket,
                    durability,
                    siblings,
                } => {
                    match work.record.merge(siblings, bucket.policy, env.retired) {
                        Ok(is_news) => must_store |= is_news,
                        Err(Behind { .. }) => {
                            refuse(from, ticket, NotStored::Behind, env);
                            continue;
                        }
                    }
                    (Applied::Merge { from, ticket }, durability)
                }
            };
            must_store |= is_damaged;
            durability = durability.max(asked);
            self.applied.push(&mut work.taken, applied);
        }
        if work.taken.is_empty() {
            return self.close(slot);
        }
        let mut changes = SmallVec::new();
        if must_store {
            changes.push(Change {
                space: Space::Objects,
                at: work.at.clone(),
                bytes: Some(work.record.encode(&work.at)),
            });
        } else if durability == Durability::Memory {
            self.finish(slot, Ok(durability), requests, env);
            return self.close(slot);
        }
        // Nothing new to store is still a question: how safe is what is there already?
        let op = env.mask.op(self.pending.insert(Pending::Write(slot)));
        env.store(
            op,
            Command::Write(Batch {
                changes,
                durability,
            }),
        );
    }

    fn wrote(
        &mut self,
        slot: Slot,
        result: Result<Durability, WriteError>,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        if let Err(error) = result {
            if error == WriteError::FlushFailed {
                return env.effects.push(Effect::Halt(Reason::FlushFailed));
            }
            if error == WriteError::Failed {
                // It may turn up after all: no dot in it may be minted again.
                env.births.disown();
            }
        }
        self.finish(slot, result, requests, env);
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        if work.waiting.is_empty() {
            self.close(slot);
        } else if result.is_ok() {
            self.run(slot, false, requests, env);
        } else {
            let at = work.at.clone();
            self.read(Pending::Open(slot), at, env);
        }
    }

    /// Answers all whose changes were applied.
    fn finish(
        &mut self,
        slot: Slot,
        result: Result<Durability, WriteError>,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        while let Some(applied) = self.applied.pop(&mut work.taken) {
            match (applied, result) {
                (Applied::Mint { request }, Ok(durability)) => {
                    Put::kept(request, durability, work.record.siblings(), requests, env);
                }
                (Applied::Mint { request }, Err(error)) => Put::lost(request, error, requests, env),
                (Applied::Merge { from, ticket }, Ok(durability)) => {
                    env.send(from, Message::Stored { ticket, durability });
                }
                (Applied::Merge { from, ticket }, Err(WriteError::Full)) => {
                    refuse(from, ticket, NotStored::Full, env);
                }
                (Applied::Merge { from, ticket }, Err(_)) => {
                    refuse(from, ticket, NotStored::Failed, env);
                }
            }
        }
    }

    fn close(&mut self, slot: Slot) {
        if let Some(work) = self.works.remove(slot) {
            self.keys.remove(work.key.token());
        }
    }
}

/// Why there is no record to work with.
enum Closed {
    Damaged,
    Failed,
}

/// Reads a record in place.
fn open(
    record: &mut Record,
    at: &Address,
    outcome: ReadOutcome,
    env: &mut Env<'_>,
) -> Result<(), Closed> {
    let is_sound = match outcome {
        ReadOutcome::Found(bytes) => record.read(at, bytes).is_ok(),
        ReadOutcome::Absent => {
            *record = Record::default();
            true
        }
        ReadOutcome::Corrupt => false,
        ReadOutcome::Failed => return Err(Closed::Failed),
    };
    if is_sound {
        return Ok(());
    }
    env.notify(Notice::Damaged);
    Err(Closed::Damaged)
}

fn refuse(from: NodeId, ticket: Ticket, reason: NotStored, env: &mut Env<'_>) {
    env.send(from, Message::NotStored { ticket, reason });
}
