//! What nodes are given to handle, and what is done about it.

use dynamo_proto::version::Boot;

use super::*;

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
            process.handle(now, event, &mut effects);
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
                for peer in to {
                    if !self.send(node, peer, &message) {
                        events.push_back(Event::Unsent {
                            to: peer,
                            message: message.clone(),
                        });
                    }
                }
            }
            Effect::Store { op, command } => self.store(node, op, command),
            Effect::Reply { client, response } => self.answered(node, client, &response),
            Effect::Draw => events.push_back(Event::Drawn {
                boot: Boot(self.dice.number()),
            }),
            Effect::Notify(notice) => self.notice(node, notice),
            Effect::Halt(reason) => {
                self.tell(|| format!("node {node} halts: {reason}"));
                self.stop(node, Stop::Kill);
            }
        }
    }

    pub(super) fn store(&mut self, node: usize, op: Op, command: Command) {
        let machine = &mut self.machines[node];
        let (completion, write) = match command {
            Command::Read { space, at } => (Completion::Read(machine.disk.read(space, &at)), None),
            Command::Write(batch) => {
                let write = machine.disk.write(&batch);
                let durability = batch.durability;
                self.check_stored(node, &batch, write);
                (Completion::Wrote(Ok(durability)), Some(write))
            }
        };
        let machine = &self.machines[node];
        let takes = self.dice.delay(self.scenario.disk) * machine.slowness;
        let boot = machine.boots;
        self.schedule_in(
            takes,
            Happening::Stored {
                node,
                boot,
                op,
                completion,
                write,
            },
        );
    }

    /// The checks that look inside: at every record before it is stored.
    pub(super) fn check_stored(&mut self, node: usize, batch: &Batch, write: WriteNumber) {
        if self.scenario.keys.is_empty() {
            return; // nothing is planned, so nothing is known of what may be there
        }
        for change in &batch.changes {
            let (Space::Objects, Some(bytes)) = (change.space, &change.bytes) else {
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
                if sibling.dot.actor.node == me {
                    self.machines[node]
                        .minted
                        .entry(sibling.dot)
                        .or_insert(write);
                }
            }
            let key = Key::decode(change.at.name.clone());
            let Some(key) = key.ok().and_then(|key| self.keys.get(&key).copied()) else {
                return self.fail("record", format!("node {node} stores a key nobody wrote"));
            };
            let (oracle, counters) = (&self.oracle, &mut self.counters);
            if let Err(violation) = self.ghost.check(key, record.siblings(), oracle, counters) {
                self.violate(violation);
            }
        }
    }

    /// An acknowledged write is on as many hosts as it had to be.
    pub(super) fn check_hosts(&mut self, key: usize, write: RequestId) {
        // One that was superseded before it was stored for the first time was never seen.
        let dots = self.ghost.dots(key, write);
        if dots.is_empty() {
            return;
        }
        let name = machine::key(key, self.oracle.manner(key));
        let at = Address::of_object(name.token(), name.encoded());
        let retired = Retirements::default();
        let has = |machine: &Machine| match machine.disk.read(Space::Objects, &at) {
            ReadOutcome::Found(bytes) => Record::decode(&at, bytes).is_ok_and(|record| {
                let clock = record.siblings().clock();
                dots.iter().any(|dot| clock.covers(dot, &retired))
            }),
            _ => false,
        };
        let places = self.scenario.nodes.iter().zip(&self.machines);
        let hosts: BTreeSet<_> = places
            .filter(|(_, machine)| has(machine))
            .map(|(place, _)| place.host)
            .collect();
        let w = usize::from(self.scenario.quorum.w);
        if hosts.len() < w {
            let what = format!(
                "{write:?} of key {key} was acknowledged by {} of {w} hosts",
                hosts.len()
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
            Notice::Shared { .. } => Count::Shared,
            Notice::Overloaded => Count::Overloaded,
            Notice::Renewed => {
                return self.fail(
                    "I3",
                    format!("node {node} met a dot of its own that it did not mint"),
                );
            }
            Notice::TooWeak { has, asked } => {
                return self.fail("record", format!("node {node} has {has:?} for {asked:?}"));
            }
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
            return self.fail("I8", format!("node {node} has taken on more than it may"));
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
        let lost = machine.disk.stop(stop, &mut self.dice);
        self.counters.add(Count::TailLost, lost);
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
            self.clients[asked.client].waits_for = None;
            if let Some(write) = asked.write {
                self.oracle
                    .answered(write, None, self.now, &mut self.counters);
            }
        }
    }
}
