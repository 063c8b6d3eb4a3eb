//! What nodes ask of their disks, what goes wrong there, and what may.

use dynamo_proto::Durability;
use dynamo_proto::node::Node;
use dynamo_proto::ring::Ring;
use dynamo_proto::store::{Limit, Page, ScanFailed, Span, WriteError};
use dynamo_proto::version::Clock;

use super::*;

impl World<'_> {
    pub(super) fn store(&mut self, node: usize, op: Op, command: Command) {
        let (completion, write) = match command {
            Command::Read { space, at } => (Completion::Read(self.look(node, space, &at)), None),
            Command::Scan { space, span, limit } => {
                let page = self.scan(node, space, &span, limit);
                (Completion::Scanned(page), None)
            }
            Command::Write(batch) => {
                let (result, write) = self.write(node, &batch);
                (Completion::Wrote(result), Some(write))
            }
        };
        let answer = Answer {
            op,
            completion,
            write,
        };
        if !self.scenario.knobs.has_queues {
            return self.answer_soon(node, answer);
        }
        self.machines[node].queue.push_back(answer);
        if !self.machines[node].is_serving {
            self.serve(node);
        }
    }

    /// The store does the next of what it was asked.
    fn serve(&mut self, node: usize) {
        let next = self.machines[node].queue.pop_front();
        self.machines[node].is_serving = next.is_some();
        if let Some(answer) = next {
            self.answer_soon(node, answer);
        }
    }

    fn answer_soon(&mut self, node: usize, answer: Answer) {
        let takes = self.dice.delay(self.scenario.disk);
        let machine = &self.machines[node];
        let takes = takes * machine.slowness.max(machine.ails.slowness);
        let boot = machine.boots;
        self.schedule_in(takes, Happening::Stored { node, boot, answer });
    }

    /// A store has done something.
    pub(super) fn stored(&mut self, node: usize, answer: Answer) {
        let Answer {
            op,
            completion,
            write,
        } = answer;
        let disk = &mut self.machines[node].disk;
        match (&completion, write) {
            (Completion::Wrote(Ok(durability)), Some(write)) => disk.complete(write, *durability),
            (Completion::Wrote(Err(WriteError::FlushFailed)), _) => disk.spoil(),
            _ => {}
        }
        if self.scenario.knobs.has_queues {
            self.serve(node);
        }
        self.handle(node, Event::Stored { op, completion });
    }

    fn look(&mut self, node: usize, space: Space, at: &Address) -> ReadOutcome {
        let machine = &self.machines[node];
        if self.dice.is_one_in_million(machine.ails.reads) {
            self.counters.add(Count::ReadError, 1);
            return ReadOutcome::Failed;
        }
        machine.disk.read(space, at)
    }

    fn scan(
        &mut self,
        node: usize,
        space: Space,
        span: &Span,
        limit: Limit,
    ) -> Result<Page, ScanFailed> {
        let machine = &self.machines[node];
        if self.dice.is_one_in_million(machine.ails.reads) {
            self.counters.add(Count::ReadError, 1);
            return Err(ScanFailed);
        }
        Ok(machine.disk.scan(space, span, limit))
    }

    fn write(
        &mut self,
        node: usize,
        batch: &Batch,
    ) -> (Result<Durability, WriteError>, WriteNumber) {
        let Ails {
            full,
            writes,
            fails_flush,
            loses,
            ..
        } = self.machines[node].ails;
        if full > 0 && !batch.may_use_reserve && self.machines[node].disk.grows(batch) {
            self.counters.add(Count::WriteRefusedFull, 1);
            return (Err(WriteError::Full), WriteNumber::NEVER);
        }
        self.counters
            .add(Count::WriteTakenFull, u64::from(full > 0));
        if self.dice.is_one_in_million(writes) {
            self.counters.add(Count::WriteError, 1);
            let number = if self.machines[node].ails.is_half_done && self.dice.is_one_in(2) {
                let disk = &mut self.machines[node].disk;
                let number = disk.write(batch);
                disk.complete(number, batch.durability);
                number
            } else {
                WriteNumber::NEVER
            };
            self.check_stored(node, batch, number);
            return (Err(WriteError::Failed), number);
        }
        self.check_released(node, batch);
        let astray = if loses > 0 {
            self.lose(node, batch)
        } else {
            None
        };
        let machine = &mut self.machines[node];
        let number = match &astray {
            Some(to) => machine.disk.write_astray(batch, to.as_ref()),
            None => machine.disk.write(batch),
        };
        if astray.is_some() && machine.ails.is_live {
            machine.disk.open();
        }
        self.check_stored(node, batch, number);
        if fails_flush && batch.durability == Durability::Flushed {
            self.machines[node].ails.fails_flush = false;
            self.counters.add(Count::FlushError, 1);
            return (Err(WriteError::FlushFailed), number);
        }
        (Ok(batch.durability), number)
    }

    /// Whether a write is to be lost, as it may, and where it goes instead.
    fn lose(&mut self, node: usize, batch: &Batch) -> Option<Option<Address>> {
        let change = batch.changes.first()?; // the record, and then its leaf
        let key = self.key_at(&change.at)?;
        let is_record = COPIES.contains(&change.space) && change.bytes.is_some();
        if !is_record || !self.may_lose(&[key], &[node]) {
            return None;
        }
        let mut to = None;
        if self.machines[node].ails.is_misdirected {
            let other = self.dice.index(self.scenario.keys.len());
            let at = self.address(other);
            let is_there = self.machines[node].disk.read(change.space, &at) != ReadOutcome::Absent;
            if other != key && is_there && self.may_lose(&[other], &[node]) {
                self.ruin(&[other], node);
                self.counters.add(Count::Misdirected, 1);
                to = Some(at);
            }
        }
        self.ruin(&[key], node);
        self.counters.add(Count::WriteLost, 1);
        self.machines[node].ails.loses -= 1;
        Some(to)
    }

    /// Tells each node which of its records cannot be read.
    pub(super) fn scrub(&mut self) {
        self.schedule_in(SCRUB, Happening::Scrub);
        for node in 0..self.machines.len() {
            for key in 0..self.scenario.keys.len() {
                let (space, at) = (Space::Objects, self.address(key));
                let machine = &self.machines[node];
                let is_damaged = match machine.disk.read(space, &at) {
                    ReadOutcome::Found(bytes) => Record::decode(&at, bytes).is_err(),
                    ReadOutcome::Corrupt => true,
                    ReadOutcome::Absent | ReadOutcome::Failed => false,
                };
                if machine.is_up() && is_damaged {
                    self.counters.add(Count::Scrubbed, 1);
                    self.handle(node, Event::Damaged { space, at });
                }
            }
        }
    }

    /// A bit of a record flips, if it may.
    pub(super) fn rot(&mut self, node: usize, key: usize, is_known: bool) {
        if !self.may_lose(&[key], &[node]) {
            return;
        }
        let at = self.address(key);
        let disk = &mut self.machines[node].disk;
        let is_there = |space: &Space| disk.read(*space, &at) != ReadOutcome::Absent;
        let copies: Vec<Space> = COPIES.into_iter().filter(is_there).collect();
        if copies.is_empty() {
            return;
        }
        let space = *self.dice.pick(&copies);
        if disk.rot(space, &at, is_known, &mut self.dice) {
            self.counters
                .add(Count::HintRotten, u64::from(space == Space::Hints));
            self.ruin(&[key], node);
            self.counters.add(Count::Rotten, 1);
        }
    }

    /// Gives a machine another disk in place of its own, if all that it has may be lost.
    pub(super) fn replace(&mut self, node: usize, disk: Disk, count: Count) -> bool {
        self.exchange(vec![(node, disk)], count)
    }

    /// Gives machines other disks, if all that they have may be lost. Their processes are down then.
    pub(super) fn exchange(&mut self, disks: Vec<(usize, Disk)>, count: Count) -> bool {
        let nodes: Vec<_> = disks.iter().map(|(node, _)| *node).collect();
        let held: Vec<_> = nodes.iter().map(|node| self.held(*node)).collect();
        for key in 0..self.scenario.keys.len() {
            let holders = nodes
                .iter()
                .zip(&held)
                .filter(|(_, held)| held.contains(&key));
            let holders: Vec<_> = holders.map(|(node, _)| *node).collect();
            if !holders.is_empty() && !self.may_lose(&[key], &holders) {
                return false;
            }
        }
        for ((node, disk), held) in disks.into_iter().zip(held) {
            self.stop(node, Stop::Kill);
            self.ruin(&held, node);
            if disk.count(Space::Hints) > 0 {
                // What it held for others then may be older than what they have now.
                (0..self.scenario.keys.len()).for_each(|key| self.oracle.unbury(key));
            }
            self.machines[node].give(disk);
            self.counters.add(count, 1);
        }
        true
    }

    /// The keys of which a machine may have a copy that was counted.
    fn held(&self, node: usize) -> Vec<usize> {
        let has_hints = self.machines[node].disk.count(Space::Hints) > 0;
        let disk = &self.machines[node].disk;
        let is_there = |key| disk.read(Space::Objects, &self.address(key)) != ReadOutcome::Absent;
        let is_held =
            |key: &usize| has_hints || is_there(*key) || self.primaries(*key).contains(&node);
        (0..self.scenario.keys.len()).filter(is_held).collect()
    }

    /// Whether those nodes may all lose what they have of those keys.
    fn may_lose(&mut self, keys: &[usize], nodes: &[usize]) -> bool {
        for key in keys {
            self.mend(*key);
        }
        let may = keys.iter().all(|key| self.atlas.may_lose(*key, nodes));
        self.counters.add(Count::Spared, u64::from(!may));
        may
    }

    /// Whether a node may be removed with all that it has. It counts as lost then.
    pub(super) fn may_remove(&mut self, node: usize) -> bool {
        let held = self.held(node);
        let may = held.iter().all(|key| self.may_lose(&[*key], &[node]));
        if may {
            self.ruin(&held, node);
        }
        may
    }

    pub(super) fn ruin(&mut self, keys: &[usize], node: usize) {
        for key in keys {
            self.atlas.lose(*key, node, self.now);
            self.oracle.unbury(*key);
        }
        self.tell(|| format!("node {node} loses what it has of keys {keys:?}"));
    }

    /// Takes those off the atlas's list who have all again that anybody has of that key. What was
    /// lost while it was being written may be nowhere but with its coordinator until that is done.
    pub(super) fn mend(&mut self, key: usize) {
        let losers = self.atlas.losers_of(key);
        if losers.is_empty() {
            return;
        }
        let at = self.address(key);
        let primaries = self.primaries(key);
        let sound = (0..self.machines.len()).filter(|node| self.machines[*node].has_own_disk());
        let held: Vec<Siblings> = sound
            .flat_map(|node| {
                let disk = &self.machines[node].disk;
                COPIES.map(|space| match disk.read(space, &at) {
                    ReadOutcome::Found(bytes) => self.state(node, &at, space, Some(&bytes)),
                    _ => None,
                })
            })
            .flatten()
            .collect();
        let durability = self.scenario.quorum.durability;
        let policy = machine::buckets(&self.scenario)
            .of(&machine::key(key, self.scenario.keys[key]))
            .policy;
        // That all is known to have been seen there says nothing of what is not.
        let has_all = |node: &usize| {
            let machine = &self.machines[*node];
            let survivor = machine.disk.survivor(Space::Objects, &at, durability);
            let mine = self.state(*node, &at, Space::Objects, survivor);
            let lacks = |mine: &Siblings, other: &Siblings| {
                let mut merged = mine.clone();
                let taken = merged.merge(other.clone(), policy, &self.retired);
                taken.is_err()
                    || alive(&merged) != alive(mine)
                    || !self.covers(mine.clock(), other.clock())
            };
            machine.has_own_disk()
                && mine.is_some_and(|mine| !held.iter().any(|other| lacks(&mine, other)))
        };
        let whole: Vec<usize> = primaries.iter().copied().filter(has_all).collect();
        let all_have = whole.len() == primaries.len();
        for (node, since) in losers {
            let mut asked = self.asked.values();
            if asked.any(|asked| asked.key == key && asked.at <= since) {
                continue;
            }
            // Who only stood in for others is not needed any more when they have all.
            if all_have || whole.contains(&node) {
                self.atlas.mend(key, node, self.now);
                self.counters.add(Count::Mended, 1);
            }
        }
    }

    /// The ring of whoever knows most.
    pub(super) fn ring(&self) -> &Ring {
        let nodes = self
            .machines
            .iter()
            .filter_map(|machine| machine.node.as_ref());
        let best = nodes.max_by_key(|node| node.membership().epoch());
        match best {
            Some(node) if !node.membership().epoch().is_nothing() => node.ring(),
            _ => &self.birth,
        }
    }

    /// Whether requests go by more than one ring somewhere.
    pub(super) fn is_moving(&self) -> bool {
        let mut nodes = self
            .machines
            .iter()
            .filter_map(|machine| machine.node.as_ref());
        let serving = |node: &Node| node.membership().is_serving();
        nodes.any(|node| serving(node) && !node.membership().is_switched())
    }

    /// The nodes on duty for a key.
    pub(crate) fn primaries(&self, key: usize) -> Vec<usize> {
        let name = machine::key(key, self.scenario.keys[key]);
        let list = self.ring().lookup(name.token());
        let n = usize::from(self.scenario.quorum.n);
        list.primaries(n)
            .map(|member| machine::place(member.id))
            .collect()
    }

    /// Where a key's record is.
    pub(super) fn address(&self, key: usize) -> Address {
        let name = machine::key(key, self.scenario.keys[key]);
        Address::of_object(name.token(), name.encoded())
    }

    pub(super) fn key_at(&self, at: &Address) -> Option<usize> {
        let key = Key::decode(at.name.clone()).ok()?;
        self.keys.get(&key).copied()
    }

    /// Whether that node would still have all that was seen there, if everything that is less safe
    /// were gone.
    pub(super) fn has(
        &self,
        node: usize,
        at: &Address,
        durability: Durability,
        seen: &Clock,
    ) -> bool {
        let disk = &self.machines[node].disk;
        let survivor = disk.survivor(Space::Objects, at, durability);
        let has = self.seen(node, at, survivor);
        has.is_some_and(|has| self.covers(&has, seen))
    }

    /// Whether that node would still have one of those versions there if everything stopped now.
    pub(super) fn keeps(&self, node: usize, key: usize, dots: &[Dot], spaces: &[Space]) -> bool {
        let at = self.address(key);
        let durability = self.scenario.quorum.durability;
        let machine = &self.machines[node];
        let has = |space: &Space| {
            let survivor = machine.disk.survivor(*space, &at, durability);
            let clock = match space {
                Space::Objects => self.seen(node, &at, survivor),
                _ => survivor.and_then(|bytes| clock(&at, bytes)),
            };
            clock.is_some_and(|clock| dots.iter().any(|dot| clock.covers(dot, &self.retired)))
        };
        machine.has_own_disk() && spaces.iter().any(has)
    }

    /// What a node has seen of a key of its own of which its disk has that.
    fn seen(&self, node: usize, at: &Address, found: Option<&Bytes>) -> Option<Clock> {
        let state = self.state(node, at, Space::Objects, found)?;
        Some(state.clock().clone())
    }

    /// What a node knows of a key of which its disk has that.
    fn state(
        &self,
        node: usize,
        at: &Address,
        space: Space,
        found: Option<&Bytes>,
    ) -> Option<Siblings> {
        let earned = match space {
            Space::Objects => self.machines[node].earned,
            _ => Height(0),
        };
        let siblings = match found {
            Some(bytes) => Record::decode(at, bytes.clone()).ok()?.into_siblings(),
            None if earned > Height(0) => Siblings::default(),
            None => return None,
        };
        Some(self.raised(siblings, earned))
    }

    /// The same where so many retirements are taken into account.
    pub(super) fn raised(&self, mut siblings: Siblings, height: Height) -> Siblings {
        let raised = siblings.retire(height, &self.retired);
        assert!(raised.is_ok(), "no node has a longer list");
        siblings
    }

    /// Whether all that the other clock names was seen.
    fn covers(&self, one: &Clock, other: &Clock) -> bool {
        other.entries().iter().all(|entry| {
            let dot = Dot {
                actor: entry.actor,
                counter: entry.counter,
            };
            one.covers(&dot, &self.retired)
        })
    }

    /// For whom a node would still hold a key if everything stopped now.
    pub(super) fn owners_of_hint(&self, node: usize, key: usize) -> Vec<usize> {
        let at = self.address(key);
        let durability = self.scenario.quorum.durability;
        let disk = &self.machines[node].disk;
        let survivor = disk.survivor(Space::Hints, &at, durability);
        let record = survivor.and_then(|bytes| Record::decode(&at, bytes.clone()).ok());
        let owners = record.iter().flat_map(Record::owners);
        owners.copied().map(machine::place).collect()
    }
}

/// Where copies of keys are: a node's own, and those that it holds for others.
pub(super) const COPIES: [Space; 2] = [Space::Objects, Space::Hints];

/// The values among what lives.
fn alive(siblings: &Siblings) -> Vec<Dot> {
    let values = siblings.values().iter();
    let values = values.filter(|it| it.value.content != Content::Tombstone);
    values.map(|sibling| sibling.dot).collect()
}

fn clock(at: &Address, bytes: &Bytes) -> Option<Clock> {
    let record = Record::decode(at, bytes.clone()).ok()?;
    Some(record.siblings().clock().clone())
}
