//! The world: a queue of what happens when, and everything it happens to.

mod clients;
mod faults;
mod lab;
mod links;
mod listings;
mod members;
mod network;
mod nodes;
mod quiet;
mod storage;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::{Connection, Event as Heard, Identity};
use dynamo_proto::membership::{Epoch, ShortEpoch};
use dynamo_proto::node::{ClientRequest, Effect, Event, Failure, Notice, Op, Request, Response};
use dynamo_proto::ring::Ring;
use dynamo_proto::store::{Address, Batch, Command, Completion, ReadOutcome, Space};
use dynamo_proto::version::{Content, Dot, Height, Record, RequestId, Retirements, Siblings};
use dynamo_proto::wire::{Message, Nonce, Versions};
use dynamo_proto::{Generation, Key, NodeId};

use crate::atlas::Atlas;
use crate::client::{Asked, Asker, Attempt, Client, Memory};
use crate::dice::Dice;
use crate::disk::{Disk, Stop, WriteNumber};
use crate::faults::FaultKind;
use crate::ghost::Ghost;
use crate::machine::{self, Ails, Answer, Doom, Machine, TIMEOUT};
use crate::measure::{Outcome, Told};
use crate::net::{End, Link, Noise, PATIENCE, Piece, Side, Way, Weather};
use crate::oracle::{Oracle, Terms};
use crate::recovery::Recovery;
use crate::report::{Count, Counters, Report, Violation};
use crate::scenario::{Action, Scenario};
use crate::talk::Talk;

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
    /// An administrator decides something.
    Decide(usize),
    /// All stores are looked through.
    Scrub,
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

/// From one look through a store to the next.
const SCRUB: Duration = Duration::from_secs(10);

/// When clients begin: connections are up by then.
pub(crate) const START: Duration = Duration::from_secs(1);

/// How much may wait to be sent on one connection.
const OUTGOING_BYTES: usize = 16 << 20;

pub(crate) struct World<'a> {
    scenario: Scenario,
    dice: Dice,
    now: Duration,
    queue: BinaryHeap<Reverse<Scheduled>>,
    number: u64,
    machines: Vec<Machine>,
    /// With which the cluster began.
    birth: Ring,
    /// What every ring was made of, by the epoch it is of.
    rings: BTreeMap<Epoch, u64>,
    /// Who has told whom that it goes by another epoch than that, and when.
    said: BTreeMap<(usize, NodeId), (ShortEpoch, Duration)>,
    links: Vec<Link>,
    clients: Vec<Client>,
    asked: BTreeMap<ClientRequest, Asked>,
    requests: u64,
    keys: BTreeMap<Key, usize>,
    noise: Noise,
    oracle: Oracle,
    ghost: Ghost,
    /// As many boots as are retired anywhere.
    retired: Arc<Retirements>,
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
    pub(crate) talk: Talk,
    violation: Option<Violation>,
    digest: u64,
    spins: u32,
    /// Bytes of partitions and copies sent on their way to whom they belong.
    moved: u64,
    effects: Vec<Effect>,
    /// A question outside of all plans, until it is answered.
    outside: Option<ClientRequest>,
    answer: Option<Response>,
    trace: Option<&'a mut dyn FnMut(&str)>,
    /// Who wants to know what clients are told.
    listener: Option<&'a mut dyn FnMut(Told)>,
}

/// After so long nobody is distrusted any more for having come and gone.
const FORGIVEN: Duration = Duration::from_secs(20);

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &Scenario, trace: Option<&'a mut dyn FnMut(&str)>) -> Self {
        Self::of(scenario, Machine::all(scenario, Disk::of), trace)
    }

    /// Of machines that have not started yet.
    pub(crate) fn of(
        scenario: &Scenario,
        machines: Vec<Machine>,
        trace: Option<&'a mut dyn FnMut(&str)>,
    ) -> Self {
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
            machines,
            birth: machine::ring(scenario),
            rings: BTreeMap::new(),
            said: BTreeMap::new(),
            links: (0..count * count).map(|_| Link::new()).collect(),
            clients: (0..scenario.clients).map(|_| Client::default()).collect(),
            asked: BTreeMap::new(),
            requests: 0,
            keys: keys.collect(),
            noise: Noise::default(),
            oracle: Oracle::new(manners, is_strict),
            ghost: Ghost::default(),
            retired: Arc::default(),
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
            talk: Talk::default(),
            violation: None,
            digest: 0,
            spins: 0,
            moved: 0,
            effects: Vec::new(),
            outside: None,
            answer: None,
            trace,
            listener: None,
        };
        for node in 0..count {
            world.machines[node].start(&mut world.dice);
            world.handle(node, Event::Tick);
        }
        for link in world.all_links() {
            world.schedule(Duration::ZERO, Happening::Dial { link });
        }
        if scenario.knobs.is_scrubbed {
            world.schedule(SCRUB, Happening::Scrub);
        }
        if let Some(first) = scenario.plan.first() {
            world.schedule(first.at + START, Happening::Plan(0));
        }
        for (at, decision) in scenario.decisions.iter().enumerate() {
            world.schedule(decision.at + START, Happening::Decide(at));
        }
        for (at, fault) in scenario.faults.iter().enumerate() {
            world.schedule(fault.at + START, Happening::Fault(at));
            world.schedule(fault.at + fault.lasts + START, Happening::FaultEnds(at));
        }
        world
    }

    /// From now on that one is told what clients are.
    pub(crate) fn listen(&mut self, listener: &'a mut dyn FnMut(Told)) {
        self.listener = Some(listener);
    }

    /// What was found wrong.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
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
        // What a read finds that replicas lack they are sent.
        self.ask_for_everything(Action::Get);
        if self.violation.is_none() {
            self.check_convergence();
        }
        if self.violation.is_none() {
            self.check_listings();
        }
        self.ask_for_everything(Action::Put);
        self.ask_for_everything(Action::Get);
        self.check_quiet();
        Report {
            violation: self.violation,
            counters: self.counters,
            simulated: self.now,
            digest: self.digest,
        }
    }

    fn ask_for_everything(&mut self, action: Action) {
        for key in 0..self.keys.len() {
            if self.violation.is_some() {
                return;
            }
            // With tiny limits a node may have too much to do just then.
            for _ in 0..10 {
                let refused = self.counters.of(Count::Overloaded);
                self.ask_all_replicas(key, action);
                if self.counters.of(Count::Overloaded) == refused {
                    break;
                }
                self.settle(Duration::from_millis(200));
            }
            // So that what one key still waits for is in nobody's way.
            self.settle(Duration::from_millis(200));
        }
        self.settle(TIMEOUT);
    }

    /// Lets so much time pass.
    pub(crate) fn settle(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end);
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
            Happening::Decide(at) => self.decide(at),
            Happening::Scrub => self.scrub(),
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
