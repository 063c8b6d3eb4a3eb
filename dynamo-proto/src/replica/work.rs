//! One key's changes, from reading its record to answering those who asked.

use smallvec::SmallVec;

use super::tasks::{Queue, tell};
use super::{
    Applied, Asker, Closed, Held, Inventory, Pending, Replica, Task, open, refusal, space,
};
use crate::coordinate::{Minting, Put, Requests, is_owner, is_sole_owner};
use crate::entropy::{Cell, Known, Turn};
use crate::node::{Effect, Env, Failure, Notice, Reason, Slot};
use crate::store::{Address, Batch, Change, Command, ReadOutcome, WriteError};
use crate::version::{Behind, Record};
use crate::wire::NotStored;
use crate::{Durability, Key, NodeId};

/// Changes under way of one key.
pub(super) struct Work {
    key: Key,
    pub(super) at: Address,
    pub(super) is_hint: bool,
    /// The leaf that it is in, if it is the node's own.
    cell: Option<Cell>,
    /// What is stored, as its leaf has it.
    known: Known,
    /// What will be when the write that is under way is done.
    next: Known,
    /// Whether that write changes its leaf.
    is_in_leaf: bool,
    record: Record,
    /// What the inventory has: for whom it is held, and how long it is.
    counted: Copies,
    /// What it had before the write that is under way.
    earlier: Copies,
    /// Whether either of the two may be what is stored, and both are counted.
    is_unsure: bool,
    /// Not applied yet.
    pub(super) waiting: Queue,
    /// Applied to `record`, to be answered when it is stored.
    taken: Queue,
}

/// For whom a record is held, and how long it is.
type Copies = (SmallVec<[NodeId; 2]>, usize);

impl Work {
    pub(super) fn new(key: &Key, cell: Option<Cell>, is_hint: bool) -> Self {
        Self {
            key: key.clone(),
            at: Address::of_object(key.token(), key.encoded()),
            is_hint,
            cell,
            known: Known::Nothing,
            next: Known::Nothing,
            is_in_leaf: false,
            record: Record::default(),
            counted: Copies::default(),
            earlier: Copies::default(),
            is_unsure: false,
            waiting: Queue::default(),
            taken: Queue::default(),
        }
    }

    /// What its leaf has of it is from before more boots were retired.
    pub(super) fn outdate(&mut self) {
        if self.known != Known::Damaged {
            self.known = Known::Outdated;
        }
        self.next = Known::Outdated;
    }

    /// About how long the record is, its name included.
    fn len(&self) -> usize {
        self.key.encoded().len() + self.record.siblings().encoded_len()
    }

    /// Whether the record, which takes at least so many bytes, may be held for that node too.
    fn may_hold_for(
        &self,
        owner: NodeId,
        len: usize,
        inventory: &Inventory,
        env: &Env<'_>,
    ) -> bool {
        if !inventory.is_complete {
            return false; // it would be counted twice, or measured against too little
        }
        let (owners, counted) = &self.counted;
        let more = if owners.contains(&owner) {
            Held {
                copies: 0,
                bytes: len.saturating_sub(*counted) as u64,
            }
        } else {
            Held {
                copies: 1,
                bytes: len.max(*counted) as u64,
            }
        };
        inventory.has_room(owner, more, &env.config.hints)
    }

    /// From now on it is, and counts before it is stored: others may want to be held for as well.
    fn hold_for(
        &mut self,
        owner: NodeId,
        durability: Durability,
        len: usize,
        inventory: &mut Inventory,
    ) {
        self.record.hold_for(owner, durability);
        let (owners, counted) = &mut self.counted;
        inventory.take_out(owners, *counted);
        if !owners.contains(&owner) {
            owners.push(owner);
        }
        *counted = len.max(*counted);
        inventory.add(owners, *counted);
    }

    /// From now on it is held for those instead of that node: whatever the limits, since it is held
    /// already.
    fn rehold(
        &mut self,
        owner: NodeId,
        instead: &[NodeId],
        inventory: &mut Inventory,
        env: &Env<'_>,
    ) -> bool {
        let len = self.len();
        if !self.record.owners().contains(&owner) {
            return false;
        }
        for to in instead {
            self.hold_for(*to, self.record.owed(), len, inventory);
        }
        let delivered = self.record.siblings().clock().clone();
        let is_other = !instead.contains(&owner);
        is_other && self.record.release(owner, &delivered, env.retired)
    }

    /// It is not known whether the last write was done: until it is, both are counted. If the store
    /// cannot be read either, it comes out when all that is held is looked through.
    fn doubt(&mut self, inventory: &mut Inventory) {
        let (counted, earlier) = (&mut self.counted, &self.earlier);
        inventory.take_out(&counted.0, counted.1);
        let before = earlier.0.iter().filter(|owner| !counted.0.contains(*owner));
        let both = counted.0.iter().chain(before).copied().collect();
        *counted = (both, counted.1.max(earlier.1));
        inventory.add(&counted.0, counted.1);
        self.is_unsure = true;
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
                    let found = (work.record.owners().into(), len);
                    let counted = core::mem::replace(&mut work.counted, found);
                    if core::mem::take(&mut work.is_unsure) {
                        self.inventory.take_out(&counted.0, counted.1);
                        self.inventory.add(&work.counted.0, len);
                    }
                    if len == 0 {
                        // What was held here before and went home is not remembered.
                        work.record = Record::repaired();
                    }
                } else {
                    let token = work.key.token();
                    work.known = Known::of(token, work.record.siblings(), env.retired);
                    let n = env.view.buckets.of(&work.key).n;
                    env.raise(token, n, work.record.siblings_mut());
                }
                self.run(slot, requests, env);
            }
            Err(closed) => self.blocked(slot, closed, requests, env),
        }
    }

    /// There is no record to work with. A damaged one is repaired by what others send, but never
    /// coordinated from; of one that cannot be looked at nothing is known. What only this node had
    /// and is damaged is lost: a write begins it anew.
    fn blocked(&mut self, slot: Slot, closed: Closed, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let is_damaged = matches!(closed, Closed::Damaged);
        let is_lost = is_damaged && !work.is_hint && is_sole_owner(&work.key, env);
        let mut all = core::mem::take(&mut work.waiting);
        while let Some(task) = self.tasks.pop(&mut all) {
            match task {
                Task::Mint { .. } if is_lost => self.tasks.push(&mut work.waiting, task),
                Task::Mint { request, .. } => {
                    Put::blocked(request, Failure::NoCoordinator, requests, env);
                }
                Task::Merge { .. } if is_damaged => self.tasks.push(&mut work.waiting, task),
                Task::Merge { asker, .. } | Task::Forget { asker, .. } => {
                    tell(&mut self.taken, asker, Err(NotStored::Failed), env);
                }
                Task::Release { .. } | Task::Rehold { .. } => {}
            }
        }
        if is_damaged {
            self.trees.mark(work.key.token());
            work.record = Record::repaired();
            work.known = Known::Damaged;
            self.has_lost |= !work.is_hint;
            self.run(slot, requests, env);
        } else {
            self.close(slot);
        }
    }

    /// Applies the changes that wait to the key's record, and stores it if that changed it. Those that
    /// go on when there is no room for clients' writes are stored apart from those writes.
    pub(super) fn run(&mut self, slot: Slot, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        if let Some(cell) = work.cell {
            match self.trees.turn(cell, slot) {
                Turn::Now => {}
                Turn::Later => return,
                Turn::Unread => return self.read_leaf(cell, env),
            }
        }
        let is_damaged = work.known == Known::Damaged;
        let bucket = env.view.buckets.of(&work.key);
        let (mut must_store, mut may_use_reserve) = (false, None);
        let mut is_forgotten = false;
        let mut durability = Durability::Memory;
        let mut others = Queue::default();
        while let Some(task) = self.tasks.pop(&mut work.waiting) {
            let is_upkeep = task.may_use_reserve();
            if *may_use_reserve.get_or_insert(is_upkeep) != is_upkeep {
                self.tasks.push(&mut others, task);
                continue;
            }
            let (applied, asked) = match task {
                Task::Mint {
                    request, held_for, ..
                } => {
                    let inventory = &self.inventory;
                    let may_hold = |owner| work.may_hold_for(owner, work.len(), inventory, env);
                    if !held_for.is_none_or(may_hold) {
                        env.notify(Notice::HintRefused);
                        Put::blocked(request, Failure::HintsFull, requests, env);
                        continue;
                    }
                    let asked = match Put::mint(request, &mut work.record, requests, env) {
                        Minting::Done(asked) => {
                            (must_store, is_forgotten) = (true, false);
                            asked
                        }
                        Minting::Repeated(asked) => asked,
                        Minting::Refused => continue,
                    };
                    if let Some(owner) = held_for {
                        let len = work.len();
                        work.hold_for(owner, asked, len, &mut self.inventory);
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
                    let len = held_for.map_or(0, |_| work.len() + siblings.encoded_len());
                    if let Some(owner) = held_for {
                        // What this node gives up it has already: a batch of it fits in any limit.
                        let is_own = matches!(asker, Asker::Batch { .. });
                        let has_room =
                            is_own || work.may_hold_for(owner, len, &self.inventory, env);
                        if !planted!(HintsUnbounded ? true; has_room) {
                            env.notify(Notice::HintRefused);
                            self.trees.mark(work.key.token());
                            let answer =
                                planted!(HintDropped ? Ok(durability); Err(NotStored::HintsFull));
                            tell(&mut self.taken, asker, answer, env);
                            continue;
                        }
                    }
                    match work.record.merge(siblings, bucket.policy, env.retired) {
                        Ok(is_news) => {
                            must_store |= is_news;
                            is_forgotten &= !is_news;
                        }
                        Err(Behind { .. }) => {
                            tell(&mut self.taken, asker, Err(NotStored::Behind), env);
                            continue;
                        }
                    }
                    let durability = durability.max(bucket.durability);
                    if let Some(owner) = held_for {
                        let is_held = work.record.owners().contains(&owner);
                        if !is_held {
                            env.notify(Notice::HintTaken { owner });
                        }
                        if !is_held || work.record.owed() < durability {
                            work.hold_for(owner, durability, len, &mut self.inventory);
                            must_store = true;
                        }
                    }
                    (Applied::Merge { asker }, durability)
                }
                Task::Release {
                    owner,
                    delivered,
                    durability,
                } => {
                    let record = &mut work.record;
                    let is_enough = durability >= record.owed().min(self.gives);
                    must_store |= is_enough && record.release(owner, &delivered, env.retired);
                    (Applied::Release, Durability::Memory)
                }
                Task::Rehold { owner, instead } => {
                    must_store |= work.rehold(owner, &instead, &mut self.inventory, env);
                    (Applied::Release, Durability::Memory)
                }
                Task::Forget { asker, seen } => {
                    if *work.record.siblings().clock() != seen {
                        // There is more by now: all who are on duty are asked once more.
                        tell(&mut self.taken, asker, Err(NotStored::Failed), env);
                        continue;
                    }
                    work.record = Record::repaired();
                    (must_store, is_forgotten) = (true, true);
                    (Applied::Forget { asker }, Durability::Memory)
                }
            };
            must_store |= is_damaged;
            if is_damaged && matches!(applied, Applied::Mint { .. }) {
                env.notify(Notice::BegunAnew);
            }
            durability = durability.max(asked);
            self.applied.push(&mut work.taken, applied);
        }
        work.waiting = others;
        if work.taken.is_empty() {
            if !work.waiting.is_empty() {
                return self.run(slot, requests, env);
            }
            return self.close(slot);
        }
        let mut changes = SmallVec::new();
        if must_store {
            let token = work.key.token();
            let is_held = match work.is_hint {
                true => !work.record.owners().is_empty(),
                false => {
                    let siblings = work.record.siblings();
                    !is_forgotten && !env.is_as_good_as_nothing(token, bucket.n, siblings)
                }
            };
            let bytes = is_held.then(|| work.record.encode(&work.at));
            if work.is_hint {
                let len = bytes
                    .as_ref()
                    .map_or(0, |bytes| bytes.len() + work.at.name.len());
                let written = (work.record.owners().into(), len);
                work.earlier = core::mem::replace(&mut work.counted, written);
                self.inventory.take_out(&work.earlier.0, work.earlier.1);
                self.inventory.add(&work.counted.0, len);
            }
            changes.push(Change {
                space: space(work.is_hint),
                at: work.at.clone(),
                bytes,
            });
            work.next = match work.cell {
                Some(_) if !is_forgotten => Known::of(token, work.record.siblings(), env.retired),
                _ => Known::Nothing,
            };
            if let Some(cell) = work.cell {
                work.is_in_leaf = true;
                let leaf = self.trees.change(cell, work.known, work.next);
                let leaf = planted!(TreeBeside ? {
                    let nobody = Pending::Mend(alloc::vec::Vec::new());
                    let op = env.mask.op(self.pending.insert(nobody));
                    env.store(op, Command::Write(Batch {
                        changes: leaf.into_iter().collect(),
                        durability: Durability::Memory,
                        may_use_reserve: true,
                    }));
                    None
                }; leaf);
                if let Some(leaf) = leaf {
                    changes.push(leaf);
                }
            }
        } else if durability == Durability::Memory {
            let is_done = work.waiting.is_empty();
            self.finish(slot, Ok(durability), requests, env);
            if !is_done {
                return self.run(slot, requests, env);
            }
            return self.close(slot);
        } else {
            work.earlier = work.counted.clone();
        }
        // Nothing new to store is still a question: how safe is what is there already?
        let since = env.mono();
        let pending = Pending::Write {
            work: slot,
            since,
            asked: durability,
        };
        let op = env.mask.op(self.pending.insert(pending));
        env.store(
            op,
            Command::Write(Batch {
                changes,
                durability,
                may_use_reserve: may_use_reserve.unwrap_or(false),
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
        let leaf = work.cell.filter(|_| core::mem::take(&mut work.is_in_leaf));
        if leaf.is_some() || work.is_hint {
            work.known = match result {
                Ok(_) => work.next,
                Err(_) => work.known,
            };
        }
        if !work.is_hint && env.view.was_moved {
            self.has_strays |= !work.record.siblings().is_absent() && !is_owner(&work.key, env);
        }
        if work.is_hint {
            self.inventory.stored();
            if result.is_err() {
                work.doubt(&mut self.inventory);
            }
        }
        if work.waiting.is_empty() && (result.is_ok() || !work.is_hint) {
            self.close(slot);
        } else if result.is_err() {
            let (at, is_hint) = (work.at.clone(), work.is_hint);
            self.read(Pending::Open(slot), is_hint, at, env);
        } else if leaf.is_none() {
            self.run(slot, requests, env);
        } else if let Some(cell) = leaf {
            // Behind those who wait for the leaf already.
            self.trees.wait(cell, slot);
        }
        if let Some(cell) = leaf {
            self.leaf_wrote(cell, result, requests, env);
        }
    }

    /// A leaf is kept as it was written, or it is not known how.
    pub(super) fn leaf_wrote(
        &mut self,
        cell: Cell,
        result: Result<Durability, WriteError>,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        if self.trees.wrote(cell, result.err()) {
            return self.read_leaf(cell, env);
        }
        self.pass_on(cell, requests, env);
    }

    /// Goes on with changes that waited for a leaf.
    pub(super) fn pass_on(&mut self, cell: Cell, requests: &mut Requests, env: &mut Env<'_>) {
        while let Some(slot) = self.trees.next(cell) {
            self.run(slot, requests, env);
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
        let least = env.view.buckets.of(&work.key).durability;
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
                    let siblings = work.record.siblings();
                    if let Asker::Batch { batch, copy, .. } = asker
                        && !work.is_hint
                        && siblings.is_nothing()
                    {
                        let nothing = (batch, copy, work.key.clone(), siblings.clone());
                        self.nothing.push(nothing);
                    }
                    tell(&mut self.taken, asker, taken, env);
                }
                (Applied::Forget { asker }, result) => {
                    tell(&mut self.taken, asker, result.map_err(refusal), env);
                }
                (Applied::Release, _) => {}
            }
        }
    }

    fn close(&mut self, slot: Slot) {
        if let Some(work) = self.works.get_mut(slot) {
            self.keys.remove(work.key.token(), work.is_hint);
            self.works.clear(slot);
        }
    }
}
