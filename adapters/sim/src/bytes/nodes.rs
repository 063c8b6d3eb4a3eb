//! Drivers, and what they want done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::driver::{Action, Driver, Entrance, Link, Setup};
use dynamo_proto::node::{Op, Start};
use dynamo_proto::store::{Command, Completion, ReadOutcome};
use dynamo_proto::version::Boot;
use dynamo_proto::{Generation, NodeId, Now};

use super::pipes::End;
use super::{BOUNDS, Happening, LOOK, World};
use crate::disk::{Stop, WriteNumber};
use crate::machine::{self, Machine};

/// A process.
pub(super) struct Node {
    pub(super) machine: Machine,
    pub(super) driver: Option<Driver>,
    /// Its connections: which pipe, and which end of it.
    pub(super) pipes: BTreeMap<Link, (usize, usize)>,
    /// What it dials.
    dials: BTreeSet<Link>,
    /// For when it will be woken.
    tick: Option<Duration>,
    /// What happened to it while it stood still.
    missed: Vec<Happening>,
    /// When it last was not there, or stood still.
    pub(super) away_at: Duration,
}

/// What its store answers.
pub(super) struct Stored {
    op: Op,
    completion: Completion,
    write: Option<WriteNumber>,
}

impl Node {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            driver: None,
            pipes: BTreeMap::new(),
            dials: BTreeSet::new(),
            tick: None,
            missed: Vec::new(),
            away_at: Duration::ZERO,
        }
    }

    /// Whether it does anything now.
    pub(super) fn runs(&self) -> bool {
        self.driver.is_some() && self.machine.pauses == 0
    }
}

pub(super) fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7400 + node as u16))
}

impl World {
    pub(super) fn clocks(&self, node: usize) -> Now {
        self.nodes[node].machine.clocks(self.now)
    }

    /// Starts the process on what its disk holds.
    pub(super) fn start(&mut self, node: usize) {
        let now = self.clocks(node);
        let boot = Boot(self.dice.number());
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.dice.number().to_le_bytes());
        let peers = (0..self.nodes.len()).map(|at| (machine::id(at), address(at)));
        let peers = peers.collect();
        let Node {
            machine, driver, ..
        } = &mut self.nodes[node];
        machine.boots += 1;
        let saved = match machine.disk.read(Start::SPACE, &Start::place()) {
            ReadOutcome::Found(bytes) => Some(bytes),
            _ => None,
        };
        let setup = Setup {
            config: machine.config.clone(),
            start: Start {
                saved,
                ..machine.start.clone()
            },
            peers,
            seeds: Vec::new(),
            generation: Generation(machine.boots.into()),
            boot,
            seed,
            bounds: BOUNDS,
            waits: self.waits,
        };
        *driver = Some(Driver::new(setup, now).expect("it is a config that nodes accept"));
        self.nodes[node].tick = None;
        self.touched.insert(node);
    }

    /// Its process is gone: others are told, or it vanished with its machine.
    pub(super) fn kill(&mut self, node: usize, vanishes: bool) {
        let of = &mut self.nodes[node];
        if of.driver.take().is_none() {
            return;
        }
        of.missed.clear();
        of.dials.clear();
        of.away_at = self.now;
        of.machine.disk.stop(Stop::Kill, &mut self.dice, |_| false);
        for (pipe, end) in std::mem::take(&mut of.pipes).into_values() {
            self.pipes[pipe].is_void |= vanishes;
            self.close(pipe, end);
        }
    }

    /// It stands still, or goes on.
    pub(super) fn pause(&mut self, node: usize, begins: bool) {
        let of = &mut self.nodes[node];
        of.away_at = self.now;
        if begins {
            of.machine.pauses += 1;
            return;
        }
        of.machine.pauses -= 1;
        if of.machine.pauses == 0 && of.driver.is_some() {
            for missed in std::mem::take(&mut of.missed) {
                self.schedule(Duration::ZERO, missed);
            }
            for (pipe, end) in self.nodes[node].pipes.clone().into_values() {
                self.take(pipe, end);
            }
            self.touched.insert(node);
        }
    }

    fn driver(&mut self, node: usize) -> Option<&mut Driver> {
        let of = &mut self.nodes[node];
        if of.machine.pauses > 0 {
            return None;
        }
        self.touched.insert(node);
        of.driver.as_mut()
    }

    /// Whether that happens to the process that it was meant for; if it stands still, later.
    fn is_for(&mut self, node: usize, boot: u32, what: impl FnOnce() -> Happening) -> bool {
        let of = &mut self.nodes[node];
        if of.driver.is_none() || of.machine.boots != boot {
            return false;
        }
        if of.machine.pauses > 0 {
            of.missed.push(what());
            return false;
        }
        true
    }

    pub(super) fn tick(&mut self, node: usize, boot: u32) {
        if self.is_for(node, boot, || Happening::Tick { node, boot }) {
            if self.nodes[node].tick.is_some_and(|at| at > self.now) {
                return; // it was told of an earlier one
            }
            self.nodes[node].tick = None;
            let now = self.clocks(node);
            self.driver(node).into_iter().for_each(|it| it.tick(now));
        }
    }

    pub(super) fn stored(&mut self, node: usize, boot: u32, stored: Stored) {
        let mut stored = Some(stored);
        let again = || Happening::Stored {
            node,
            boot,
            stored: stored.take().expect("once"),
        };
        if !self.is_for(node, boot, again) {
            return;
        }
        let Some(Stored {
            op,
            completion,
            write,
        }) = stored
        else {
            return;
        };
        if let (Completion::Wrote(Ok(durability)), Some(write)) = (&completion, write) {
            self.nodes[node].machine.disk.complete(write, *durability);
        }
        let now = self.clocks(node);
        if let Some(driver) = self.driver(node) {
            driver.completed(now, op, completion);
        }
    }

    /// Somebody comes in.
    pub(super) fn accept(&mut self, node: usize, entrance: Entrance) -> Option<End> {
        let now = self.clocks(node);
        let link = self.driver(node)?.accepted(now, entrance);
        Some(End::Node(node, link))
    }

    pub(super) fn dialed(&mut self, node: usize, boot: u32, link: Link, to: usize) {
        let again = || Happening::Dialed {
            node,
            boot,
            link,
            to,
        };
        if !self.is_for(node, boot, again) {
            return;
        }
        let (now, is_cut) = (self.clocks(node), self.is_cut(node, to));
        let is_there = self.nodes[to].runs();
        // Nobody answers for a machine that is not reached: who dials waits, and gives up.
        if is_cut || (self.nodes[to].driver.is_some() && !is_there) {
            return;
        }
        // It may have been given up meanwhile.
        if self.nodes[node].dials.remove(&link) {
            if let Some(theirs) = self.accept(to, Entrance::Native) {
                self.join([End::Node(node, link), theirs]);
            }
            if let Some(driver) = self.driver(node) {
                driver.dialed(now, link, is_there);
            }
        }
    }

    fn is_cut(&self, one: usize, other: usize) -> bool {
        let is_cut = |way| self.cuts.get(&way).is_some_and(|cuts| *cuts > 0);
        is_cut((one, other)) || is_cut((other, one))
    }

    /// What has arrived, in pieces, as far as it is wanted.
    pub(super) fn read(&mut self, node: usize, link: Link, pipe: usize, end: usize) {
        let now = self.clocks(node);
        while self.nodes[node].runs() && self.pipes[pipe].is_open[end] {
            let there = self.pipes[pipe].arrived[end].len();
            let Some(driver) = self.driver(node) else {
                return;
            };
            let most = driver.wants(link).min(there);
            if most == 0 {
                break;
            }
            let len = match self.dice.is_one_in(3) {
                true => 1 + self.dice.index(most),
                false => most,
            };
            let bytes: Vec<u8> = self.pipes[pipe].arrived[end].drain(..len).collect();
            if let Some(driver) = self.driver(node) {
                driver.received(now, link, &bytes);
            }
        }
        let of = &self.pipes[pipe];
        if of.has_ended[end]
            && of.arrived[end].is_empty()
            && of.is_open[end]
            && let Some(driver) = self.driver(node)
        {
            driver.finished(now, link);
        }
    }

    pub(super) fn write(&mut self, node: usize, link: Link, pipe: usize, end: usize) {
        let now = self.clocks(node);
        while self.nodes[node].runs() && self.pipes[pipe].is_open[end] {
            let window = self.window(pipe, end);
            let Some(driver) = self.driver(node) else {
                return;
            };
            let outgoing = driver.outgoing(link);
            let len = outgoing.len().min(window);
            if len == 0 {
                return;
            }
            let bytes = Bytes::copy_from_slice(&outgoing[..len]);
            driver.sent(now, link, len);
            self.carry(pipe, end, bytes);
        }
    }

    pub(super) fn end_of(
        &mut self,
        node: usize,
        link: Link,
        pipe: usize,
        end: usize,
        is_reset: bool,
    ) {
        let now = self.clocks(node);
        if is_reset {
            if let Some(driver) = self.driver(node) {
                driver.closed(now, link);
            }
        } else {
            self.read(node, link, pipe, end);
        }
    }

    /// Does all that drivers want.
    pub(super) fn settle(&mut self) {
        while let Some(node) = self.touched.pop_first() {
            if !self.nodes[node].runs() {
                continue;
            }
            while let Some(action) = self.nodes[node].driver.as_mut().and_then(Driver::poll) {
                self.act(node, action);
            }
            self.wake_in_time(node);
        }
    }

    fn wake_in_time(&mut self, node: usize) {
        let of = &mut self.nodes[node];
        let due = of.driver.as_ref().and_then(Driver::next_deadline);
        let Some(due) = due.map(|due| Duration::from_nanos(due.as_nanos()).max(self.now)) else {
            return;
        };
        if of.tick.is_none_or(|tick| due < tick) {
            of.tick = Some(due);
            let boot = of.machine.boots;
            self.schedule(due - self.now, Happening::Tick { node, boot });
        }
    }

    fn act(&mut self, node: usize, action: Action) {
        let now = self.clocks(node);
        let pipe = |world: &Self, link| world.nodes[node].pipes.get(&link).copied();
        match action {
            Action::Write(link) => {
                if let Some((pipe, end)) = pipe(self, link) {
                    self.write(node, link, pipe, end);
                }
            }
            Action::Read(link) => {
                if let Some((pipe, end)) = pipe(self, link) {
                    self.take(pipe, end);
                }
            }
            Action::Close(link) => {
                if let Some((pipe, end)) = pipe(self, link) {
                    self.close(pipe, end);
                }
                self.nodes[node].pipes.remove(&link);
                self.nodes[node].dials.remove(&link);
            }
            Action::Dial { link, address: to } => {
                let to = (0..self.nodes.len()).find(|at| address(*at) == to);
                let to = to.expect("it was told of nobody else");
                self.nodes[node].dials.insert(link);
                let boot = self.nodes[node].machine.boots;
                let wait = 2 * self.scenario.latency.0 + self.dice.delay(self.scenario.latency.1);
                self.schedule(
                    wait,
                    Happening::Dialed {
                        node,
                        boot,
                        link,
                        to,
                    },
                );
            }
            Action::Store { op, command } => self.store(node, op, command),
            Action::Draw => {
                let boot = Boot(self.dice.number());
                if let Some(driver) = self.driver(node) {
                    driver.drawn(now, boot);
                }
            }
            Action::Pass { .. } => self.fail("beside", "nobody is in its process".into()),
            Action::Halt(reason) => self.fail("halt", format!("node {node} halts: {reason}")),
        }
    }

    fn store(&mut self, node: usize, op: Op, command: Command) {
        let disk = &mut self.nodes[node].machine.disk;
        let (completion, write) = match command {
            Command::Read { space, at } => (Completion::Read(disk.read(space, &at)), None),
            Command::Scan { space, span, limit } => (
                Completion::Scanned(Ok(disk.scan(space, &span, limit))),
                None,
            ),
            Command::Write(batch) => {
                let write = disk.write(&batch);
                (Completion::Wrote(Ok(batch.durability)), Some(write))
            }
        };
        let (takes, boot) = (
            self.dice.delay(self.scenario.disk),
            self.nodes[node].machine.boots,
        );
        let stored = Stored {
            op,
            completion,
            write,
        };
        self.schedule(takes, Happening::Stored { node, boot, stored });
    }

    /// Whether what waits is no more than may.
    pub(super) fn look(&mut self) {
        self.schedule(LOOK, Happening::Look);
        for at in 0..self.nodes.len() {
            let Some(driver) = &self.nodes[at].driver else {
                continue;
            };
            let load = driver.site().load;
            // Beyond the sum clients are refused and what is known of peers still comes in.
            let most = BOUNDS.total_bytes + self.nodes.len() * BOUNDS.peer_bytes;
            if load.waiting_bytes > most || load.clients > BOUNDS.clients + BOUNDS.admins {
                self.fail("bounds", format!("node {at} has {load:?}"));
            }
        }
    }

    /// After all faults each node is connected to each other, once.
    pub(super) fn check_met(&mut self) {
        let others = self.nodes.len() - 1;
        for at in 0..self.nodes.len() {
            let Some(driver) = &self.nodes[at].driver else {
                return self.fail("meeting", format!("node {at} is not there"));
            };
            let site = driver.site();
            let connected = site.peers.iter().filter(|it| it.connected.is_some());
            let connected: Vec<NodeId> = connected.map(|it| it.node).collect();
            if connected.len() != others {
                let what = format!("node {at} has only met {connected:?} again");
                return self.fail("meeting", what);
            }
        }
    }
}
