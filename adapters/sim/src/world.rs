//! The world: a queue of what happens when, and everything it happens to.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::{Connection, Event as Heard, Identity};
use dynamo_proto::node::{ClientRequest, Effect, Event, Failure, Notice, Op, Request, Response};
use dynamo_proto::store::{Address, Batch, Command, Completion, ReadOutcome, Space};
use dynamo_proto::version::{Dot, Record, RequestId, Retirements, Siblings};
use dynamo_proto::wire::{Message, Nonce, Versions};
use dynamo_proto::{Generation, Key, Limits, NodeId};

use crate::client::{Asked, Client, Memory};
use crate::dice::Dice;
use crate::disk::{Stop, WriteNumber};
use crate::ghost::Ghost;
use crate::machine::{self, Doom, Machine, TIMEOUT};
use crate::net::{End, Link, Noise, PATIENCE, Piece, Side, Way, Weather};
use crate::oracle::Oracle;
use crate::report::{Count, Counters, Report, Violation};
use crate::scenario::{Action, FaultKind, Scenario};

/// Something that is going to happen.
enum Happening {
    /// A client does the next thing on its plan.
    Plan(usize),
    /// A fault begins.
    Fault(usize),
    /// It ends.
    FaultEnds(usize),
    /// A connection breaks.
    Reset { link: usize },
    /// A process looks at its deadlines.
    Tick { node: usize, boot: u32 },
    /// A piece arrives at an end of a link.
    Arrive {
        link: usize,
        to: End,
        epoch: u64,
        bytes: Bytes,
    },
    /// A command to the store completes.
    Stored {
        node: usize,
        boot: u32,
        op: Op,
        completion: Completion,
        write: Option<WriteNumber>,
    },
    /// A connection is dialed.
    Dial { link: usize },
    /// An end of a link notices that its connection is dead, or gives it up.
    Give {
        link: usize,
        end: End,
        epoch: u64,
        unless_established: bool,
    },
}

struct Scheduled {
    at: Duration,
    number: u64,
    what: Happening,
}

/// If so much happens at one moment, something spins.
const SPIN: u32 = 100_000;

/// When clients begin: connections are up by then.
const START: Duration = Duration::from_secs(1);

/// How much may wait to be sent on one connection.
const OUTGOING_BYTES: usize = 16 << 20;

pub(crate) struct World<'a> {
    scenario: Scenario,
    dice: Dice,
    now: Duration,
    queue: BinaryHeap<Reverse<Scheduled>>,
    number: u64,
    machines: Vec<Machine>,
    links: Vec<Link>,
    clients: Vec<Client>,
    asked: BTreeMap<ClientRequest, Asked>,
    requests: u64,
    keys: BTreeMap<Key, usize>,
    noise: Noise,
    oracle: Oracle,
    ghost: Ghost,
    counters: Counters,
    violation: Option<Violation>,
    digest: u64,
    spins: u32,
    effects: Vec<Effect>,
    /// To a question outside of all plans.
    answer: Option<Response>,
    trace: Option<&'a mut dyn FnMut(&str)>,
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &Scenario, trace: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let count = scenario.nodes.len();
        let quorum = scenario.quorum;
        let manners = scenario.keys.iter().copied();
        let is_strict = quorum.r + quorum.w > quorum.n;
        let keys = manners
            .clone()
            .enumerate()
            .map(|(at, manner)| (machine::key(at, manner), at));
        let mut world = Self {
            scenario: scenario.clone(),
            dice: Dice::new(scenario.seed ^ 0x51b0_7ee5),
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            number: 0,
            machines: Machine::all(scenario),
            links: (0..count * count).map(|_| Link::new()).collect(),
            clients: (0..scenario.clients).map(|_| Client::default()).collect(),
            asked: BTreeMap::new(),
            requests: 0,
            keys: keys.collect(),
            noise: Noise::default(),
            oracle: Oracle::new(manners, is_strict),
            ghost: Ghost::default(),
            counters: Counters::default(),
            violation: None,
            digest: 0,
            spins: 0,
            effects: Vec::new(),
            answer: None,
            trace,
        };
        for node in 0..count {
            world.machines[node].start(&mut world.dice);
        }
        for link in world.all_links() {
            world.schedule(Duration::ZERO, Happening::Dial { link });
        }
        if let Some(first) = scenario.plan.first() {
            world.schedule(first.at + START, Happening::Plan(0));
        }
        for (at, fault) in scenario.faults.iter().enumerate() {
            world.schedule(fault.at + START, Happening::Fault(at));
            world.schedule(fault.at + fault.lasts + START, Happening::FaultEnds(at));
        }
        world
    }

    /// Runs the scenario, then waits until all is quiet, then asks for everything once more.
    pub(crate) fn run(mut self) -> Report {
        self.run_until(self.scenario.length + START);
        // Long enough for every request to end and every connection to be made again.
        let quiet = self.now + TIMEOUT + 3 * PATIENCE;
        self.run_until(quiet);
        self.check_quiet();
        for round in [Action::Put, Action::Get] {
            for key in 0..self.keys.len() {
                if self.violation.is_some() {
                    break;
                }
                self.ask_all_replicas(key, round);
            }
            let end = self.now + TIMEOUT;
            self.run_until(end);
        }
        self.check_quiet();
        Report {
            violation: self.violation,
            counters: self.counters,
            simulated: self.now,
            digest: self.digest,
        }
    }

    /// Lets so much time pass.
    pub(crate) fn settle(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end);
    }

    /// Asks a node for something, outside of all plans, and waits for the answer; `None` if it
    /// stops before.
    pub(crate) fn ask_and_wait(&mut self, node: usize, request: Request) -> Option<Response> {
        if !self.machines[node].is_up() {
            return None;
        }
        self.requests += 1;
        let client = ClientRequest(self.requests);
        let arrived = self.machines[node].clocks(self.now).mono;
        self.handle(
            node,
            Event::Client {
                client,
                arrived,
                request,
            },
        );
        let end = self.now + TIMEOUT;
        while self.answer.is_none() && self.now < end {
            let next = self
                .queue
                .peek()
                .map_or(end, |Reverse(next)| next.at.min(end));
            self.run_until(next);
        }
        self.answer.take()
    }

    /// Every cut ends.
    pub(crate) fn heal(&mut self) {
        let count = self.machines.len();
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                let (link, end) = self.link(from, to);
                for _ in 0..self.links[link].ends[end].cuts {
                    self.cut(from, to, false);
                }
            }
        }
    }

    fn run_until(&mut self, end: Duration) {
        while self.violation.is_none() {
            match self.queue.peek() {
                Some(Reverse(next)) if next.at <= end => {}
                _ => break,
            }
            let Some(Reverse(next)) = self.queue.pop() else {
                break;
            };
            self.spins = if next.at > self.now {
                0
            } else {
                self.spins + 1
            };
            if self.spins > SPIN {
                self.fail("spin", "time stands still".to_owned());
            }
            self.now = next.at;
            self.counters.add(Count::Event, 1);
            self.happen(next.what);
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Plan(at) => self.plan(at),
            Happening::Fault(at) => self.fault(at, true),
            Happening::FaultEnds(at) => self.fault(at, false),
            Happening::Tick { node, boot } => {
                if self.machines[node].boots == boot && self.machines[node].tick == Some(self.now) {
                    self.machines[node].tick = None;
                    self.handle(node, Event::Tick);
                }
            }
            Happening::Arrive {
                link,
                to,
                epoch,
                bytes,
            } => self.arrive(link, to, epoch, &bytes),
            Happening::Stored {
                node,
                boot,
                op,
                completion,
                write,
            } => {
                if self.machines[node].boots != boot || !self.machines[node].is_up() {
                    return;
                }
                if let (Some(write), Completion::Wrote(Ok(durability))) = (write, &completion) {
                    self.machines[node].disk.complete(write, *durability);
                }
                self.handle(node, Event::Stored { op, completion });
            }
            Happening::Reset { link } => self.hang_up(link, 0),
            Happening::Dial { link } => self.dial(link),
            Happening::Give {
                link,
                end,
                epoch,
                unless_established,
            } => {
                let side = &self.links[link].ends[end];
                let is_cut = self.links[link].ends.iter().any(|side| side.cuts > 0);
                let is_stuck = !side.is_established || is_cut || !unless_established;
                if side.epoch == epoch && side.connection.is_some() && is_stuck {
                    self.hang_up(link, end);
                }
            }
        }
    }

    // Clients.

    fn plan(&mut self, at: usize) {
        let planned = self.scenario.plan[at];
        if let Some(next) = self.scenario.plan.get(at + 1) {
            self.schedule(next.at + START, Happening::Plan(at + 1));
        }
        if self.clients[planned.client].waits_for.is_some() || !self.machines[planned.node].is_up()
        {
            return; // busy, or refused by a machine where nobody listens
        }
        match planned.action {
            Action::Blind => self.counters.add(Count::BlindWrite, 1),
            Action::Delete => self.counters.add(Count::Deleted, 1),
            Action::PutStale => self.counters.add(Count::StaleContext, 1),
            Action::Get | Action::Put | Action::PutBoth => {}
        }
        self.ask(
            planned.client,
            planned.node,
            planned.key,
            planned.action,
            None,
        );
    }

    fn ask(&mut self, client: usize, node: usize, key: usize, action: Action, r: Option<u8>) {
        let (now, dice) = (self.now, &mut self.dice);
        let (mut request, write) =
            self.clients[client].ask(action, key, &mut self.oracle, now, dice);
        request.options.r = r;
        self.requests += 1;
        let name = ClientRequest(self.requests);
        self.tell(|| format!("client {client} asks node {node}: {name:?} {request:?}"));
        self.clients[client].waits_for = Some(name);
        self.asked.insert(
            name,
            Asked {
                client,
                node,
                key,
                at: now,
                write,
            },
        );
        let arrived = self.machines[node].clocks(now).mono;
        self.handle(
            node,
            Event::Client {
                client: name,
                arrived,
                request,
            },
        );
    }

    /// Asks for a key at some node, which must ask all replicas of it.
    fn ask_all_replicas(&mut self, key: usize, action: Action) {
        self.clients.push(Client::default());
        let (client, node) = (self.clients.len() - 1, self.dice.index(self.machines.len()));
        let r = (action == Action::Get).then_some(self.scenario.quorum.n);
        self.ask(client, node, key, action, r);
        let end = self.now + TIMEOUT;
        let name = self.clients[client].waits_for;
        while name.is_some() && self.clients[client].waits_for == name && self.now < end {
            let next = self
                .queue
                .peek()
                .map_or(end, |Reverse(next)| next.at.min(end));
            self.run_until(next);
            if self.violation.is_some() {
                return;
            }
        }
    }

    fn answered(&mut self, node: usize, name: ClientRequest, response: &Response) {
        let Some(asked) = self.asked.remove(&name) else {
            if self.scenario.keys.is_empty() && self.answer.is_none() {
                self.answer = Some(response.clone());
                return;
            }
            return self.fail(
                "I10",
                format!("{name:?} was answered twice, or never asked"),
            );
        };
        self.tell(|| format!("node {node} answers {name:?}: {response:?}"));
        self.clients[asked.client].waits_for = None;
        let late = self.now.saturating_sub(asked.at + TIMEOUT);
        let is_excused = self.machines[asked.node].late_until >= asked.at;
        if late > Duration::ZERO && !is_excused {
            self.fail("I10", format!("{name:?} was answered {late:?} late"));
        }
        if matches!(response, Response::Failed(Failure::Expired)) {
            self.counters.add(Count::Expired, 1);
        }
        let is_last = asked.client >= self.scenario.clients;
        if let Some(write) = asked.write {
            let (now, counters) = (self.now, &mut self.counters);
            let seen = self.oracle.answered(write, Some(response), now, counters);
            if let (Some(seen), Response::Put(written)) = (seen, response)
                && let Some(sealed) = written.context.clone()
            {
                let memory = Memory {
                    seen,
                    sealed,
                    fastest: None,
                };
                self.clients[asked.client].remember(asked.key, memory);
            }
            let is_done = matches!(response, Response::Put(_));
            if is_done {
                self.check_hosts(asked.key, write);
            }
            let is_limit = matches!(
                response,
                Response::Failed(Failure::Refused(_) | Failure::Overloaded)
            );
            if is_last && !is_done && !is_limit {
                let what = format!(
                    "all is well and key {} cannot be written: {response:?}",
                    asked.key
                );
                self.fail("liveness", what);
            }
            return;
        }
        let Response::Got(got) = response else {
            self.counters.add(Count::ReadFailed, 1);
            if is_last {
                let what = format!(
                    "all is well and key {} cannot be read: {response:?}",
                    asked.key
                );
                self.fail("liveness", what);
            }
            return;
        };
        let read = self
            .oracle
            .read(asked.key, &got.siblings, asked.at, &mut self.counters);
        let checked = read.and_then(|seen| {
            if is_last {
                self.oracle.end(asked.key, &got.siblings)?;
            }
            Ok(seen)
        });
        match checked {
            Ok(seen) => {
                let before = self.clients[asked.client].seen(asked.key);
                let is_missed = before.is_some_and(|before| Oracle::has_lost_sight(before, &seen));
                self.counters
                    .add(Count::OwnWriteMissed, u64::from(is_missed));
                let (sealed, fastest) = (got.context.sealed.clone(), got.context.fastest);
                let memory = Memory {
                    seen,
                    sealed,
                    fastest,
                };
                self.clients[asked.client].remember(asked.key, memory);
            }
            Err(violation) => self.violate(violation),
        }
    }

    // Nodes.

    fn handle(&mut self, node: usize, event: Event) {
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
    fn stops_after(&mut self, node: usize, is_write: bool) -> bool {
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

    fn carry_out(&mut self, node: usize, effect: Effect, events: &mut VecDeque<Event>) {
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
            Effect::Notify(notice) => self.notice(node, notice),
            Effect::Halt(reason) => {
                self.tell(|| format!("node {node} halts: {reason}"));
                self.stop(node, Stop::Kill);
            }
        }
    }

    fn store(&mut self, node: usize, op: Op, command: Command) {
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
    fn check_stored(&mut self, node: usize, batch: &Batch, write: WriteNumber) {
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
    fn check_hosts(&mut self, key: usize, write: RequestId) {
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

    fn notice(&mut self, node: usize, notice: Notice) {
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

    fn schedule_tick(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        let Some(process) = machine.node.as_ref().filter(|_| machine.pauses == 0) else {
            return;
        };
        let capacity = machine.config.capacity;
        if process.running() > capacity.requests
            || process.load() > capacity.stores() + capacity.peers
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

    // The network.

    /// What a node has minted leaves it only when its own copy is as safe as the bucket asks.
    fn check_kept(&mut self, node: usize, siblings: &Siblings) {
        if self.scenario.keys.is_empty() {
            return; // nothing is planned, so nothing is looked at when it is stored
        }
        let durability = self.scenario.quorum.durability;
        let machine = &self.machines[node];
        let is_unsafe = |dot: &Dot| match machine.minted.get(dot) {
            Some(write) => !machine.disk.is_safe(*write, durability),
            None => dot.actor.node == machine::id(node) && !self.ghost.knows(dot),
        };
        let early = siblings
            .values()
            .iter()
            .map(|sibling| sibling.dot)
            .find(is_unsafe);
        if let Some(dot) = early {
            self.fail(
                "P4",
                format!("node {node} tells of {dot:?} before it has kept it"),
            );
        }
    }

    fn send(&mut self, node: usize, peer: NodeId, message: &Message) -> bool {
        let (link, end) = self.link(node, machine::place(peer));
        let frailty = self.links[link].frailty;
        let side = &mut self.links[link].ends[end];
        let is_sent = match &mut side.connection {
            Some(connection) if side.is_established => connection.send(message).is_ok(),
            _ => false,
        };
        if is_sent && frailty > 0 && matches!(message, Message::Request { .. }) {
            // Perhaps before it arrives, perhaps before its answer does.
            let way = self.way(link);
            let takes = self
                .dice
                .delay(2 * (way.least + way.more) + self.scenario.disk);
            self.schedule_in(takes, Happening::Reset { link });
        }
        is_sent
    }

    /// Takes what a node's connections have to say and sends it on its way.
    fn flush(&mut self, node: usize) {
        for peer in 0..self.machines.len() {
            if peer != node {
                let (link, end) = self.link(node, peer);
                self.flush_link(link, end);
            }
        }
    }

    fn flush_link(&mut self, link: usize, end: End) {
        let Some(connection) = &mut self.links[link].ends[end].connection else {
            return;
        };
        let bytes = connection.take_outgoing().freeze();
        if bytes.is_empty() {
            return;
        }
        let epoch = self.links[link].ends[end].epoch;
        let pieces = self.through(link, end, |side, weather| side.carry(bytes, weather));
        self.schedule_pieces(link, 1 - end, pieces);
        if std::mem::take(&mut self.links[link].ends[end].has_suffered) {
            // Sooner or later somebody finds out, if not by what arrives next.
            let give = Happening::Give {
                link,
                end: 1 - end,
                epoch,
                unless_established: false,
            };
            self.schedule_in(PATIENCE, give);
        }
    }

    fn through(
        &mut self,
        link: usize,
        end: End,
        work: impl FnOnce(&mut Side, &mut Weather<'_>) -> Vec<Piece>,
    ) -> Vec<Piece> {
        let weather = &mut Weather {
            now: self.now,
            way: self.way(link),
            noise: self.noise,
            dice: &mut self.dice,
            counters: &mut self.counters,
        };
        work(&mut self.links[link].ends[end], weather)
    }

    fn schedule_pieces(&mut self, link: usize, to: End, pieces: Vec<Piece>) {
        for Piece {
            epoch,
            bytes,
            arrives,
        } in pieces
        {
            self.schedule(
                arrives,
                Happening::Arrive {
                    link,
                    to,
                    epoch,
                    bytes,
                },
            );
        }
    }

    fn arrive(&mut self, link: usize, to: End, epoch: u64, bytes: &Bytes) {
        self.digest = mix(self.digest, self.now.as_nanos() as u64);
        self.digest = mix(self.digest, (link * 2 + to) as u64);
        self.digest = bytes
            .iter()
            .fold(self.digest, |digest, byte| mix(digest, (*byte).into()));
        let node = self.machine_at(link, to);
        if !self.machines[node].is_up() {
            return;
        }
        if epoch > self.links[link].ends[to].epoch {
            // Somebody dials: whatever was here is over.
            self.hang_up(link, to);
            let (identity, nonce) = (self.identity(node), self.nonce());
            let connection = Connection::accept(identity, nonce, Limits::default(), OUTGOING_BYTES);
            self.links[link].ends[to].begin(connection, epoch);
        }
        let side = &mut self.links[link].ends[to];
        if side.epoch != epoch {
            return;
        }
        if side.connection.is_none() {
            return;
        }
        let mut bytes = &bytes[..];
        let peer = self.machine_at(link, 1 - to);
        loop {
            let side = &mut self.links[link].ends[to];
            let Some(connection) = side.connection.as_mut().filter(|_| side.epoch == epoch) else {
                return;
            };
            match connection.poll() {
                Ok(Some(Heard::Established(_))) => side.is_established = true,
                Ok(Some(Heard::Message(message))) => {
                    let arrived = self.machines[node].clocks(self.now).mono;
                    self.handle(
                        node,
                        Event::Peer {
                            from: machine::id(peer),
                            arrived,
                            message,
                        },
                    );
                }
                Ok(Some(Heard::Unsupported(unsupported))) => {
                    self.fail("wire", format!("{unsupported:?} was not understood"));
                }
                Ok(None) if bytes.is_empty() => break,
                Ok(None) => connection.receive(&mut bytes),
                Err(ended) => {
                    self.tell(|| format!("link {link} ends at node {node}: {ended}"));
                    return self.hang_up(link, to);
                }
            }
        }
        self.flush_link(link, to);
    }

    fn dial(&mut self, link: usize) {
        let (node, peer) = (self.machine_at(link, 0), self.machine_at(link, 1));
        if self.links[link].ends[0].connection.is_some() || !self.machines[node].is_up() {
            return;
        }
        let hello = self.identity(node).hello(self.nonce());
        let to = Some(machine::id(peer));
        let connection = Connection::dial(hello, to, Limits::default(), OUTGOING_BYTES);
        let of = &mut self.links[link];
        of.epoch += 1;
        let epoch = of.epoch;
        of.ends[0].begin(connection, epoch);
        self.flush_link(link, 0);
        // An answer that does not come is not waited for for ever.
        let give = Happening::Give {
            link,
            end: 0,
            epoch,
            unless_established: true,
        };
        self.schedule_in(PATIENCE / 2, give);
    }

    /// Ends one end's connection and tells its node. The other end will notice.
    fn hang_up(&mut self, link: usize, end: End) {
        let side = &mut self.links[link].ends[end];
        let was_established = std::mem::take(&mut side.is_established);
        if side.connection.take().is_none() {
            return;
        }
        let epoch = side.epoch;
        let (node, peer) = (self.machine_at(link, end), self.machine_at(link, 1 - end));
        let notice = self.dice.delay(Duration::from_millis(100));
        let give = Happening::Give {
            link,
            end: 1 - end,
            epoch,
            unless_established: false,
        };
        self.schedule_in(notice, give);
        let takes = self.dice.delay(Duration::from_millis(200));
        self.schedule_in(takes, Happening::Dial { link });
        if was_established {
            self.counters.add(Count::ConnectionLost, 1);
            self.handle(
                node,
                Event::PeerLost {
                    peer: machine::id(peer),
                },
            );
        }
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize, begins: bool) {
        if from == to {
            return;
        }
        let (link, end) = self.link(from, to);
        let side = &mut self.links[link].ends[end];
        if begins {
            side.cuts += 1;
            self.counters.add(Count::Cut, 1);
            for end in [0, 1] {
                let epoch = self.links[link].ends[end].epoch;
                let give = Happening::Give {
                    link,
                    end,
                    epoch,
                    unless_established: true,
                };
                self.schedule_in(PATIENCE, give);
            }
        } else {
            side.cuts -= 1;
            if side.cuts == 0 {
                let pieces = self.through(link, end, Side::release);
                self.schedule_pieces(link, 1 - end, pieces);
            }
        }
    }

    // What goes wrong.

    fn fault(&mut self, at: usize, begins: bool) {
        let fault = self.scenario.faults[at];
        self.tell(|| {
            format!(
                "{} {:?}",
                if begins { "begins:" } else { "ends:" },
                fault.kind
            )
        });
        match fault.kind {
            FaultKind::Cut { from, to, both } => {
                self.cut(from, to, begins);
                if both {
                    self.cut(to, from, begins);
                }
            }
            FaultKind::Reset { from, to } => {
                if from != to {
                    let (link, _) = self.link(from, to);
                    let frailty = &mut self.links[link].frailty;
                    *frailty = if begins { *frailty + 1 } else { *frailty - 1 };
                }
            }
            FaultKind::Isolate { node } => {
                for peer in 0..self.machines.len() {
                    self.cut(node, peer, begins);
                    self.cut(peer, node, begins);
                }
            }
            FaultKind::Stop {
                node,
                stop,
                effects,
                writing,
            } => {
                if begins {
                    if self.machines[node].is_up() {
                        self.machines[node].doom = Some(Doom {
                            effects,
                            writing,
                            stop,
                        });
                    }
                } else {
                    self.stop(node, stop);
                    self.restart(node);
                }
            }
            FaultKind::Pause { node } => {
                let machine = &mut self.machines[node];
                machine.late_until = self.now;
                if begins {
                    machine.pauses += 1;
                    self.counters.add(Count::Paused, 1);
                } else {
                    machine.pauses -= 1;
                    if machine.pauses == 0 {
                        for event in std::mem::take(&mut machine.inbox) {
                            self.handle(node, event);
                        }
                        self.handle(node, Event::Tick);
                    }
                }
            }
            FaultKind::Slow { node, times } => {
                self.machines[node].slowness = if begins { times } else { 1 };
                self.counters.add(Count::Slowed, u64::from(begins));
            }
            FaultKind::Jump { node, secs } => {
                if begins {
                    self.machines[node].off_by += secs;
                    self.counters.add(Count::ClockJumped, 1);
                }
            }
            FaultKind::Noise {
                lost,
                damaged,
                doubled,
                reordered,
            } => {
                self.noise = if begins {
                    Noise {
                        lost,
                        damaged,
                        doubled,
                        reordered,
                    }
                } else {
                    Noise::default()
                };
            }
        }
    }

    pub(crate) fn restart(&mut self, node: usize) {
        if self.machines[node].is_up() {
            return;
        }
        self.machines[node].start(&mut self.dice);
        for peer in 0..self.machines.len() {
            if peer != node {
                let (link, _) = self.link(node, peer);
                self.schedule_in(Duration::ZERO, Happening::Dial { link });
            }
        }
    }

    // The end.

    fn check_quiet(&mut self) {
        if self.violation.is_some() {
            return;
        }
        if let Some((name, asked)) = self.asked.first_key_value() {
            let what = format!("{name:?}, asked at {:?}, was never answered", asked.at);
            return self.fail("I10", what);
        }
        let busy = (0..self.machines.len()).find(|node| {
            let process = self.machines[*node].node.as_ref();
            process.is_some_and(|node| {
                node.running() > 0 || node.load() > 0 || node.next_deadline().is_some()
            })
        });
        if let Some(node) = busy {
            self.fail(
                "liveness",
                format!("node {node} is still busy though nobody waits"),
            );
        }
    }

    // Small things.

    fn schedule(&mut self, at: Duration, what: Happening) {
        self.number += 1;
        self.queue.push(Reverse(Scheduled {
            at,
            number: self.number,
            what,
        }));
    }

    fn schedule_in(&mut self, wait: Duration, what: Happening) {
        self.schedule(self.now + wait, what);
    }

    fn all_links(&self) -> Vec<usize> {
        let count = self.machines.len();
        let pairs = (0..count).flat_map(|low| (low + 1..count).map(move |high| (low, high)));
        pairs.map(|(low, high)| low * count + high).collect()
    }

    /// The link between two machines, and the first one's end of it.
    fn link(&self, node: usize, peer: usize) -> (usize, End) {
        let (low, high) = (node.min(peer), node.max(peer));
        (low * self.machines.len() + high, usize::from(node > peer))
    }

    fn machine_at(&self, link: usize, end: End) -> usize {
        let count = self.machines.len();
        if end == 0 { link / count } else { link % count }
    }

    fn way(&self, link: usize) -> Way {
        let slowness = [0, 1].map(|end| self.machines[self.machine_at(link, end)].slowness);
        let slowness = slowness[0].max(slowness[1]);
        let (least, more) = self.scenario.latency;
        Way {
            least: least * slowness,
            more: more * slowness,
        }
    }

    fn identity(&self, node: usize) -> Identity {
        Identity {
            cluster: machine::CLUSTER,
            node: machine::id(node),
            generation: Generation(self.machines[node].boots.into()),
            versions: Versions::OURS,
        }
    }

    fn nonce(&mut self) -> Nonce {
        loop {
            if let Some(nonce) = Nonce::new(self.dice.number() as u32) {
                return nonce;
            }
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let line = what();
            trace(&format!("{:>12?}  {line}", self.now));
        }
    }

    fn fail(&mut self, check: &'static str, what: String) {
        self.violate(Violation::new(check, what));
    }

    fn violate(&mut self, violation: Violation) {
        let violation = Violation {
            at: self.now,
            ..violation
        };
        self.tell(|| format!("VIOLATION {violation}"));
        self.violation.get_or_insert(violation);
    }
}

/// Folds a number into a running sum of all that happened.
fn mix(digest: u64, number: u64) -> u64 {
    (digest ^ number)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
