//! What nodes are given to handle, and what is done about it.

use dynamo_proto::Token;
use dynamo_proto::node::Reason;
use dynamo_proto::version::Boot;
use dynamo_proto::wire::{HANDOFF_MOST, HEADER_BYTES};

use super::members::other_epoch;
use super::*;
use crate::talk::Word;

impl World<'_> {
    pub(super) fn handle(&mut self, node: usize, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let machine = &mut self.machines[node];
            if machine.pauses > 0 && machine.is_up() {
                machine.inbox.push(event);
                continue;
            }
            let now = machine.clocks(self.now);
            let Some(process) = &mut machine.node else {
                return;
            };
            let mut effects = std::mem::take(&mut self.effects);
            let met = other_epoch(process, &event);
            process.handle(now, event, &mut effects);
            self.note_retired(node);
            if let Some(met) = met {
                self.check_told(node, met, &effects);
            }
            for effect in effects.drain(..) {
                let is_write = matches!(
                    &effect,
                    Effect::Store {
                        command: Command::Write(_),
                        ..
                    }
                );
                self.carry_out(node, effect, &mut events);
                if self.stops_after(node, is_write) {
                    break;
                }
            }
            effects.clear();
            self.effects = effects;
        }
        self.flush(node);
        self.schedule_tick(node);
    }

    /// Whether a fault ends the process after that effect.
    pub(super) fn stops_after(&mut self, node: usize, is_write: bool) -> bool {
        let Some(doom) = &mut self.machines[node].doom else {
            return false;
        };
        if doom.effects > 0 {
            doom.effects -= 1;
            return false;
        }
        if doom.writing && !is_write {
            return false;
        }
        let stop = doom.stop;
        self.stop(node, stop);
        true
    }

    pub(super) fn carry_out(&mut self, node: usize, effect: Effect, events: &mut VecDeque<Event>) {
        match effect {
            Effect::Send { to, message } => {
                if let Message::Store { siblings, .. } = &message {
                    self.check_kept(node, siblings);
                }
                self.tell(|| format!("node {node} to {to:?}: {message:?}"));
                if let Some(word) = Word::of(&message) {
                    let bytes = (HEADER_BYTES + message.encode().bytes().len()) * to.len();
                    self.counters.add(Count::ExchangeBytes, bytes as u64);
                    self.talk.add(word, to.len() as u64, bytes as u64);
                }
                for peer in to {
                    if let Err(why) = self.send(node, peer, &message) {
                        events.push_back(Event::Unsent {
                            to: peer,
                            message: message.clone(),
                            why,
                        });
                    }
                }
            }
            Effect::Store { op, command } => self.store(node, op, command),
            Effect::Reply { client, response } => self.answered(node, client, &response),
            Effect::Introduce { seed, message } => {
                // The first founders are seeds; one that is its own says nothing.
                if usize::from(seed) != node {
                    // It introduces itself again and again.
                    let _ = self.send(node, machine::id(seed.into()), &message);
                }
            }
            Effect::Draw => events.push_back(Event::Drawn {
                boot: Boot(self.dice.number()),
            }),
            Effect::Notify(notice) => self.notice(node, notice),
            Effect::Halt(reason) => {
                self.tell(|| format!("node {node} halts: {reason}"));
                if reason == Reason::StoreConfused {
                    return self.fail("halt", format!("node {node} halts: {reason}"));
                }
                self.stop(node, Stop::Kill);
                // Whoever watches over processes starts it again.
                self.schedule_in(Duration::from_secs(1), Happening::Restart { node });
            }
        }
    }

    /// The checks that look inside: at every record before it is stored.
    pub(super) fn check_stored(&mut self, node: usize, batch: &Batch, write: WriteNumber) {
        if self.scenario.keys.is_empty() {
            return; // nothing is planned, so nothing is known of what may be there
        }
        for change in &batch.changes {
            let (Space::Objects | Space::Hints, Some(bytes)) = (change.space, &change.bytes) else {
                continue;
            };
            let record = match Record::decode(&change.at, bytes.clone()) {
                Ok(record) => record,
                Err(error) => {
                    return self.fail("record", format!("node {node} stores nonsense: {error}"));
                }
            };
            let me = machine::id(node);
            for sibling in record.siblings().values() {
                let minted = &mut self.machines[node].minted;
                // What an earlier boot minted was kept then, or is gone.
                let is_new = minted.contains_key(&sibling.dot) || !self.ghost.knows(&sibling.dot);
                if sibling.dot.actor.node == me && is_new {
                    let first = minted.entry(sibling.dot).or_insert(write);
                    if *first == WriteNumber::NEVER {
                        *first = write;
                    }
                }
            }
            let Some(key) = self.key_at(&change.at) else {
                return self.fail("record", format!("node {node} stores a key nobody wrote"));
            };
            let (oracle, counters) = (&self.oracle, &mut self.counters);
            let siblings = record.siblings();
            if let Err(violation) = self
                .ghost
                .check(key, siblings, &self.retired, oracle, counters)
            {
                self.violate(violation);
            }
            if self.oracle.manner(key).is_data()
                && let Err(violation) = self.oracle.check_data(key, record.siblings(), None)
            {
                self.violate(violation);
            }
            if change.space == Space::Objects {
                self.check_alive(key, record.siblings());
            }
        }
    }

    /// What is held for others is let go only when they have it, as safely as it was to be; but for
    /// those that have lost what they had since.
    pub(super) fn check_released(&mut self, node: usize, batch: &Batch) {
        for change in batch.changes.iter().filter(|it| it.space == Space::Hints) {
            let record = |bytes: &Bytes| Record::decode(&change.at, bytes.clone()).ok();
            let before = match self.machines[node].disk.read(change.space, &change.at) {
                ReadOutcome::Found(bytes) => record(&bytes),
                _ => None,
            };
            let (Some(before), Some(key)) = (before, self.key_at(&change.at)) else {
                continue;
            };
            let after = change.bytes.as_ref().and_then(record);
            let is_held = |owner| after.as_ref().is_some_and(|it| it.owners().contains(owner));
            let has = |owner: NodeId| {
                let (safely, clock) = (before.owed(), before.siblings().clock());
                self.has(machine::place(owner), &change.at, safely, clock)
            };
            // Whoever is not on duty any more is replaced by those who are.
            let on_duty = self.on_duty(node, &change.at);
            let is_left_to_them =
                !on_duty.is_empty() && on_duty.iter().all(|it| is_held(it) || has(*it));
            for owner in before.owners().iter().filter(|owner| !is_held(*owner)) {
                let is_replaced = is_left_to_them && !on_duty.contains(owner);
                let has = is_replaced || has(*owner);
                let owner = machine::place(*owner);
                if !has && !self.atlas.is_loser(key, owner) {
                    let what = format!(
                        "node {node} lets go of key {key}, which node {owner} does not have as safely as {:?}",
                        before.owed()
                    );
                    return self.fail("P6", what);
                }
            }
        }
    }

    /// Who keeps that place for itself, as far as that node knows.
    fn on_duty(&self, node: usize, at: &Address) -> Vec<NodeId> {
        let n = usize::from(self.scenario.quorum.n);
        let node = self.machines[node].node.as_ref();
        let list = node.map(|node| node.ring().lookup(Token(at.position)));
        let primaries = list.into_iter().flat_map(|list| list.primaries(n));
        primaries.map(|member| member.id).collect()
    }

    /// Nothing that a delete had seen comes back once all replicas have the delete.
    fn check_alive(&mut self, key: usize, siblings: &Siblings) {
        let values = siblings.values().iter();
        let places = values.filter_map(|sibling| self.oracle.past(sibling.value.request));
        let places: Vec<_> = places.map(|(_, place, _)| place).collect();
        if let Err(violation) = self.oracle.check_buried(key, &places, self.now) {
            self.violate(violation);
        }
    }

    /// An acknowledged write is on as many hosts as it had to be, and would be if everything
    /// stopped now; but for those that have lost what they had since, as they may.
    pub(super) fn check_hosts(&mut self, key: usize, write: RequestId) {
        // One that was superseded before it was stored for the first time was never seen.
        let dots = self.ghost.dots(key, write);
        if dots.is_empty() {
            return;
        }
        let mut hosts = self.atlas.hosts_of(key);
        // Where what is held for others will be when it is home.
        let mut homes = hosts.clone();
        for (node, place) in self.scenario.nodes.iter().enumerate() {
            if self.keeps(node, key, &dots, &[Space::Objects]) {
                hosts.insert(place.host);
                homes.insert(place.host);
            }
            if self.keeps(node, key, &dots, &[Space::Hints]) {
                hosts.insert(place.host);
                let owners = self.owners_of_hint(node, key).into_iter();
                homes.extend(owners.map(|owner| self.scenario.nodes[owner].host));
            }
        }
        let w = usize::from(self.scenario.quorum.w);
        let (now, later) = (hosts.len(), homes.len());
        if now.min(later) < w {
            let what = format!(
                "{write:?} of key {key} was acknowledged by {now} of {w} hosts, and {later} once all is home"
            );
            self.fail("I12", what);
        }
    }

    pub(super) fn notice(&mut self, node: usize, notice: Notice) {
        self.tell(|| format!("node {node} notes: {notice:?}"));
        let count = match notice {
            Notice::Forwarded { .. } => Count::Forwarded,
            Notice::Divergent { .. } => Count::Divergent,
            Notice::Retried { .. } => Count::Retried,
            Notice::Repeated => Count::Repeated,
            Notice::Superseded { .. } => Count::Superseded,
            Notice::Newborn => Count::Newborn,
            Notice::TooLong { .. } => Count::TooLong,
            Notice::BegunAnew => {
                return self.fail("record", format!("node {node} writes over what it lost"));
            }
            Notice::Shared { .. } => Count::Shared,
            Notice::Overloaded => Count::Overloaded,
            Notice::Suspected { .. } => Count::Suspected,
            Notice::Trusted { .. } => Count::Trusted,
            Notice::WasAway => Count::WasAway,
            Notice::Hedged { .. } => Count::Hedged,
            Notice::Repaired { .. } => Count::RepairSent,
            Notice::HintTaken { .. } => Count::HintTaken,
            Notice::HintRefused => Count::HintRefused,
            Notice::HandedOff { copies, .. } => {
                return self.counters.add(Count::HandedOff, copies.into());
            }
            Notice::Answered { .. } => return,
            Notice::Epoch { .. } => {
                self.counters.add(Count::Epoch, 1);
                return self.check_ring(node);
            }
            Notice::OtherEpoch { .. } => Count::OtherEpoch,
            Notice::Pulled { copies, .. } => {
                return self.counters.add(Count::Pulled, copies.into());
            }
            Notice::Shed { copies } => return self.counters.add(Count::Shed, copies.into()),
            Notice::Levelled { got, gave, .. } => {
                return self.counters.add(Count::Levelled, (got + gave).into());
            }
            Notice::TreeMended { leaves } => {
                return self.counters.add(Count::TreeMended, leaves.into());
            }
            Notice::Removed => Count::Removed,
            Notice::Overtaken | Notice::OtherCluster { .. } | Notice::HistoryFull => {
                return self.fail("I9", format!("node {node} notes {notice:?}"));
            }
            Notice::Renewed => {
                return self.fail(
                    "I3",
                    format!("node {node} met a dot of its own that it did not mint"),
                );
            }
            Notice::TooWeak { has, asked } => {
                return self.fail("record", format!("node {node} has {has:?} for {asked:?}"));
            }
            Notice::Damaged if self.atlas.is_scarred(node) => Count::DamagedRead,
            Notice::Damaged => {
                return self.fail("record", format!("node {node} cannot read what it stored"));
            }
        };
        self.counters.add(count, 1);
    }

    pub(super) fn schedule_tick(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        let Some(process) = machine.node.as_ref().filter(|_| machine.pauses == 0) else {
            return;
        };
        let capacity = machine.config.capacity;
        if process.running() > capacity.requests
            || process.load() > capacity.stores() + capacity.requests
        {
            let (running, load) = (process.running(), process.load());
            return self.fail(
                "I8",
                format!("node {node} has taken on more than it may: {running} requests, and {load} changes and commands to its store"),
            );
        }
        // What a node is not sure of it counts twice; the disk knows better.
        // Of what is held for somebody who is gone there are as many as replicas; and a batch of what
        // it gives up.
        let is_changed = self.scenario.founders.is_some();
        let times = if is_changed {
            self.scenario.quorum.n.into()
        } else {
            1
        };
        let given_up = if is_changed { HANDOFF_MOST as u64 } else { 0 };
        let most = machine.config.hints.copies.saturating_mul(times);
        let most = most.saturating_add(given_up);
        let is_over = process.held().copies > most;
        let held = if is_over { machine.copies_held() } else { 0 };
        if held > most {
            let what = format!("node {node} holds {held} copies for others, and may hold {most}");
            return self.fail("I8", what);
        }
        let Some(next) = process.next_deadline() else {
            return;
        };
        let at = Duration::from_nanos(next.as_nanos());
        if at <= self.now {
            return self.fail("spin", format!("node {node} wants to be woken in the past"));
        }
        if machine
            .tick
            .is_none_or(|tick| at < tick || tick <= self.now)
        {
            machine.tick = Some(at);
            let boot = machine.boots;
            self.schedule(at, Happening::Tick { node, boot });
        }
    }

    pub(crate) fn stop(&mut self, node: usize, stop: Stop) {
        self.tell(|| format!("node {node} stops: {stop:?}"));
        let machine = &mut self.machines[node];
        machine.doom = None;
        if machine.node.take().is_none() {
            return;
        }
        machine.inbox.clear();
        machine.tick = None;
        machine.queue.clear();
        machine.is_serving = false;
        let is_torn = machine.ails.tears > 0 && stop == Stop::PowerLoss;
        let (keys, atlas) = (&self.keys, &self.atlas);
        let key_at = |at: &Address| keys.get(&Key::decode(at.name.clone()).ok()?).copied();
        let taken = machine.disk.stop(stop, &mut self.dice, |at| {
            is_torn && key_at(at).is_some_and(|key| atlas.may_lose(key, &[node]))
        });
        self.counters.add(Count::TailLost, taken.lost);
        if let Some(key) = taken.torn.and_then(|at| self.key_at(&at)) {
            self.ruin(&[key], node);
            self.counters.add(Count::Torn, 1);
        }
        let count = match stop {
            Stop::Kill => Count::Killed,
            Stop::PowerLoss => Count::PowerLost,
        };
        self.counters.add(count, 1);
        for peer in 0..self.machines.len() {
            if peer != node {
                let (link, end) = self.link(node, peer);
                self.hang_up(link, end);
            }
        }
        let lost = self.asked.extract_if(.., |_, asked| asked.node == node);
        for (_, asked) in lost.collect::<Vec<_>>() {
            self.never_answered(asked);
        }
    }
}
