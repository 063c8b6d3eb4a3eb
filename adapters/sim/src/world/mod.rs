//! The world: a queue of what happens when, and everything it happens to.

mod clients;
mod faults;
mod links;
mod network;
mod nodes;
mod quiet;
mod storage;

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

use crate::atlas::Atlas;
use crate::client::{Asked, Asker, Attempt, Client, Memory};
use crate::dice::Dice;
use crate::disk::{Disk, Stop, WriteNumber};
use crate::faults::FaultKind;
use crate::ghost::Ghost;
use crate::machine::{self, Ails, Answer, Doom, Machine, TIMEOUT};
use crate::net::{End, Link, Noise, PATIENCE, Piece, Side, Way, Weather};
use crate::oracle::{Oracle, Terms};
use crate::recovery::Recovery;
use crate::report::{Count, Counters, Report, Violation};
use crate::scenario::{Action, Scenario};

/// Something that is going to happen.
enum Happening {
    /// A client does the next thing on its plan.
    Plan(usize),
    /// A fault begins.
    Fault(usize),
    /// It ends.
    FaultEnds(usize),
    /// A link that comes and goes does one of the two.
    Flap { fault: usize },
    /// One more request of a surge.
    Surge { fault: usize },
    /// A process that stopped itself starts again.
    Restart { node: usize },
    /// A process is woken for nothing.
    Wake { node: usize },
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
        answer: Answer,
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
    atlas: Atlas,
    recovery: Recovery,
    /// Faults whose link is away just now.
    away: BTreeSet<usize>,
    /// What disks held when a fault began that will give it back.
    snapshots: BTreeMap<usize, Disk>,
    /// By key: deletes of which not all replicas were seen to have them, and how often it was
    /// looked.
    deletes: BTreeMap<usize, Vec<(RequestId, u32)>>,
    /// By key: in which second it was asked for last, and how often in that.
    heat: BTreeMap<usize, (u64, u32)>,
    counters: Counters,
    violation: Option<Violation>,
    digest: u64,
    spins: u32,
    effects: Vec<Effect>,
    /// To a question outside of all plans.
    answer: Option<Response>,
    trace: Option<&'a mut dyn FnMut(&str)>,
}

/// After so long nobody is distrusted any more for having come and gone.
const FORGIVEN: Duration = Duration::from_secs(20);

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &Scenario, trace: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let count = scenario.nodes.len();
        let quorum = scenario.quorum;
        let manners = scenario.keys.iter().copied();
        let is_strict = quorum.is_strict && quorum.r + quorum.w > quorum.n;
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
            atlas: Atlas::new(
                quorum.w,
                scenario.nodes.iter().map(|place| place.host).collect(),
            ),
            recovery: Recovery::new(&scenario.faults, START),
            away: BTreeSet::new(),
            snapshots: BTreeMap::new(),
            deletes: BTreeMap::new(),
            heat: BTreeMap::new(),
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
            world.handle(node, Event::Tick);
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
        let quiet = self.now + TIMEOUT + 3 * PATIENCE + FORGIVEN;
        self.run_until(quiet);
        self.check_quiet();
        if self.violation.is_none()
            && let Err(violation) = self.recovery.check(&mut self.counters)
        {
            self.violate(violation);
        }
        if self.scenario.converges && self.violation.is_none() {
            self.check_convergence();
        }
        for round in [Action::Put, Action::Get] {
            for key in 0..self.keys.len() {
                if self.violation.is_some() {
                    break;
                }
                self.ask_all_replicas(key, round);
                // So that what one key still waits for is in nobody's way.
                self.settle(Duration::from_millis(200));
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
            Happening::Stored { node, boot, answer } => {
                if self.machines[node].boots != boot || !self.machines[node].is_up() {
                    return;
                }
                self.stored(node, answer);
            }
            Happening::Flap { fault } => self.flap(fault),
            Happening::Surge { fault } => {
                if let FaultKind::Surge { per_sec, key } = self.scenario.faults[fault].kind {
                    self.surge(fault, per_sec, key);
                }
            }
            Happening::Restart { node } => self.restart(node),
            Happening::Wake { node } => {
                self.counters.add(Count::WokenForNothing, 1);
                self.handle(node, Event::Tick);
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

#[cfg(test)]
mod tests;
