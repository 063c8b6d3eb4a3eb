//! One key's changes, from reading its record to answering those who asked.

use smallvec::SmallVec;

use super::tasks::Queue;
use super::{Applied, Asker, Closed, Pending, Replica, Taken, Task, open, refusal, space};
use crate::coordinate::{Minting, Put, Requests};
use crate::node::{Effect, Env, Failure, Notice, Reason, Slot};
use crate::store::{Address, Batch, Change, Command, ReadOutcome, WriteError};
use crate::version::{Behind, Record};
use crate::wire::{Message, NotStored};
use crate::{Durability, Key, NodeId};

/// Changes under way of one key.
pub(super) struct Work {
    key: Key,
    pub(super) at: Address,
    is_hint: bool,
    record: Record,
    /// As it was stored: for whom it was held, and how long it was.
    before: Held,
    /// What the inventory believes is stored, where it may be wrong.
    believed: Option<Held>,
    /// Not applied yet.
    pub(super) waiting: Queue,
    /// Applied to `record`, to be answered when it is stored.
    taken: Queue,
}

/// For whom a record is held, and how long it is.
type Held = (SmallVec<[NodeId; 2]>, usize);

impl Work {
    pub(super) fn new(key: &Key, is_hint: bool) -> Self {
        Self {
            key: key.clone(),
            at: Address::of_object(key.token(), key.encoded()),
            is_hint,
            record: Record::default(),
            before: Held::default(),
            believed: None,
            waiting: Queue::default(),
            taken: Queue::default(),
        }
    }
}

impl Replica {
    pub(super) fn opened(
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
            Ok(len) => {
                if work.is_hint {
                    work.before = (work.record.owners().into(), len);
                    if let Some((owners, believed)) = work.believed.take() {
                        self.inventory.take_out(&owners, believed);
                        self.inventory.add(&work.before.0, len);
                    }
                    if len == 0 {
                        // What was held here before and went home is not remembered.
                        work.record = Record::repaired();
                    }
                }
                self.run(slot, false, requests, env);
            }
            // Repaired by what others send, never coordinated from.
            Err(Closed::Damaged) => {
                work.record = Record::repaired();
                let mut all = core::mem::take(&mut work.waiting);
                while let Some(task) = self.tasks.pop(&mut all) {
                    match task {
                        Task::Mint { request, .. } => {
                            Put::blocked(request, Failure::NoCoordinator, requests, env);
                        }
                        merge @ Task::Merge { .. } => self.tasks.push(&mut work.waiting, merge),
                        Task::Release { .. } => {}
                    }
                }
                self.run(slot, true, requests, env);
            }
            Err(Closed::Failed) => {
                let mut all = core::mem::take(&mut work.waiting);
                while let Some(task) = self.tasks.pop(&mut all) {
                    match task {
                        Task::Mint { request, .. } => {
                            Put::blocked(request, Failure::NoCoordinator, requests, env);
                        }
                        Task::Merge { asker, .. } => {
                            self.tell(asker, Err(NotStored::Failed), env);
                        }
                        Task::Release { .. } => {}
                    }
                }
                self.close(slot);
            }
        }
    }

    /// Applies all changes that wait to the key's record, and stores it if that changed it.
    pub(super) fn run(
        &mut self,
        slot: Slot,
        is_damaged: bool,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let bucket = env.config.buckets.of(&work.key);
        let (mut must_store, mut may_use_reserve) = (false, true);
        let mut durability = Durability::Memory;
        while let Some(task) = self.tasks.pop(&mut work.waiting) {
            let is_upkeep = task.may_use_reserve();
            let (applied, asked) = match task {
                Task::Mint {
                    request, held_for, ..
                } => {
                    let is_full = held_for
                        .is_some_and(|owner| !self.inventory.has_room(owner, 0, &env.config.hints));
                    if is_full || (held_for.is_some() && !self.inventory.is_complete) {
                        env.notify(Notice::HintRefused);
                        Put::blocked(request, Failure::HintsFull, requests, env);
                        continue;
                    }
                    let asked = match Put::mint(request, &mut work.record, requests, env) {
                        Minting::Done(asked) => {
                            must_store = true;
                            asked
                        }
                        Minting::Repeated(asked) => asked,
                        Minting::Refused => continue,
                    };
                    if let Some(owner) = held_for {
                        work.record.hold_for(owner);
                        must_store = true;
                    }
                    (Applied::Mint { request }, asked)
                }
                Task::Merge {
                    asker,
                    held_for,
                    durability,
                    siblings,
                    ..
                } => {
                    if let Some(owner) = held_for {
                        let len = work.key.encoded().len() + siblings.encoded_len();
                        let has_room = self.inventory.has_room(owner, len, &env.config.hints);
                        if !planted!(HintsUnbounded ? true; has_room) {
                            env.notify(Notice::HintRefused);
                            let answer =
                                planted!(HintDropped ? Ok(durability); Err(NotStored::HintsFull));
                            tell(&mut self.taken, asker, answer, env);
                            continue;
                        }
                    }
                    match work.record.merge(siblings, bucket.policy, env.retired) {
                        Ok(is_news) => must_store |= is_news,
                        Err(Behind { .. }) => {
                            tell(&mut self.taken, asker, Err(NotStored::Behind), env);
                            continue;
                        }
                    }
                    if let Some(owner) = held_for
                        && !work.record.owners().contains(&owner)
                    {
                        env.notify(Notice::HintTaken { owner });
                        work.record.hold_for(owner);
                        must_store = true;
                    }
                    (Applied::Merge { asker }, durability.max(bucket.durability))
                }
                Task::Release { owner, delivered } => {
                    must_store |= work.record.release(owner, &delivered, env.retired);
                    (Applied::Release, Durability::Memory)
                }
            };
            must_store |= is_damaged;
            may_use_reserve &= is_upkeep;
            durability = durability.max(asked);
            self.applied.push(&mut work.taken, applied);
        }
        if work.taken.is_empty() {
            return self.close(slot);
        }
        let mut changes = SmallVec::new();
        if must_store {
            let is_held = !work.is_hint || !work.record.owners().is_empty();
            let bytes = is_held.then(|| work.record.encode(&work.at));
            if work.is_hint {
                let len = bytes
                    .as_ref()
                    .map_or(0, |bytes| bytes.len() + work.at.name.len());
                let (owners, before) = &work.before;
                self.inventory.take_out(owners, *before);
                work.before = (work.record.owners().into(), len);
                self.inventory.add(&work.before.0, len);
            }
            changes.push(Change {
                space: space(work.is_hint),
                at: work.at.clone(),
                bytes,
            });
        } else if durability == Durability::Memory {
            self.finish(slot, Ok(durability), requests, env);
            return self.close(slot);
        }
        // Nothing new to store is still a question: how safe is what is there already?
        let since = env.mono();
        let op = env
            .mask
            .op(self.pending.insert(Pending::Write { work: slot, since }));
        env.store(
            op,
            Command::Write(Batch {
                changes,
                durability,
                may_use_reserve,
            }),
        );
    }

    pub(super) fn wrote(
        &mut self,
        slot: Slot,
        result: Result<Durability, WriteError>,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        if let Err(error) = result {
            match error {
                WriteError::FlushFailed => {
                    return env.effects.push(Effect::Halt(Reason::FlushFailed));
                }
                // It may turn up after all: no dot in it may be minted again.
                WriteError::Failed => env.births.disown(),
                WriteError::Full => {}
            }
        }
        self.finish(slot, result, requests, env);
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        if result.is_err() && work.is_hint {
            work.believed = Some(core::mem::take(&mut work.before));
        }
        if work.waiting.is_empty() && (result.is_ok() || !work.is_hint) {
            self.close(slot);
        } else if result.is_ok() {
            self.run(slot, false, requests, env);
        } else {
            let (at, is_hint) = (work.at.clone(), work.is_hint);
            self.read(Pending::Open(slot), is_hint, at, env);
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
        let least = env.config.buckets.of(&work.key).durability;
        while let Some(applied) = self.applied.pop(&mut work.taken) {
            match (applied, result) {
                (Applied::Mint { request }, Ok(durability)) => {
                    Put::kept(request, durability, work.record.siblings(), requests, env);
                    self.kept.push(request);
                }
                (Applied::Mint { request }, Err(error)) => Put::lost(request, error, requests, env),
                (Applied::Merge { asker }, result) => {
                    let taken = match result {
                        Ok(durability) if durability < least => {
                            env.notify(Notice::TooWeak {
                                has: durability,
                                asked: least,
                            });
                            Err(NotStored::Failed)
                        }
                        result => result.map_err(refusal),
                    };
                    tell(&mut self.taken, asker, taken, env);
                }
                (Applied::Release, _) => {}
            }
        }
    }

    fn tell(&mut self, asker: Asker, taken: Taken, env: &mut Env<'_>) {
        tell(&mut self.taken, asker, taken, env);
    }

    fn close(&mut self, slot: Slot) {
        if let Some(work) = self.works.remove(slot) {
            self.keys.remove(work.key.token(), work.is_hint);
        }
    }
}

fn tell(
    batches: &mut alloc::vec::Vec<(Slot, u8, Taken)>,
    asker: Asker,
    taken: Taken,
    env: &mut Env<'_>,
) {
    match (asker, taken) {
        (Asker::Peer { from, ticket }, Ok(durability)) => {
            env.send(from, Message::Stored { ticket, durability });
        }
        (Asker::Peer { from, ticket }, Err(reason)) => {
            env.send(from, Message::NotStored { ticket, reason });
        }
        (Asker::Batch { batch, copy }, taken) => batches.push((batch, copy, taken)),
        (Asker::Nobody, _) => {}
    }
}
