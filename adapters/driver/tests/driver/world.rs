//! Nodes that are joined by pipes. Bytes arrive in pieces of any size; the clock jumps from one
//! deadline to the next, so whatever nobody has asked to be woken for never happens.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dynamo_driver::driver::{Action, Driver, Entrance, Lane, Link, Setup};
use dynamo_driver::resp::Resp;
use dynamo_driver::{Bounds, Dice, Waits};
use dynamo_proto::node::{Capacity, Config, HintLimits, Start, Timing, Unsent};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::version::Boot;
use dynamo_proto::wire::Message;
use dynamo_proto::{
    Bucket, ClusterId, Durability, Generation, Instant, Limits, NodeId, Now, WallTime,
};
use dynamo_storage::carry_out;
use dynamo_storage_memory::Memory;

pub(crate) const CLUSTER: ClusterId = ClusterId(7);

/// More rounds than anything here takes: a deadline that spins fails.
const ROUNDS: usize = 1_000_000;

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Duration,
    pipes: Vec<Pipe>,
    dice: Dice,
    ring: Arc<Ring>,
    addresses: BTreeMap<NodeId, SocketAddr>,
    bounds: Bounds,
    starts: u64,
}

pub(crate) struct Node {
    pub(crate) driver: Driver,
    memory: Memory,
    is_up: bool,
    /// It stands still, and the world goes on.
    pub(crate) is_paused: bool,
    /// What other nodes of its process say is not taken.
    pub(crate) is_full: bool,
    /// What it wanted to dial while nobody was there, and when.
    pub(crate) dials: Vec<Duration>,
}

/// Two ends, and what is on its way to each.
struct Pipe {
    ends: [End; 2],
    bytes: [VecDeque<u8>; 2],
    /// Takes no more than this on its way.
    capacity: usize,
    is_open: bool,
    /// Nothing arrives at an end.
    is_frozen: [bool; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Node(usize, Link),
    /// The test itself.
    Test,
}

/// The test's end of a pipe.
#[derive(Clone, Copy)]
pub(crate) struct Line(usize);

impl World {
    /// That many nodes that have met.
    pub(crate) fn of(nodes: u64, bounds: Bounds) -> Self {
        let mut world = Self::apart(nodes, bounds);
        world.settle();
        for node in &world.nodes {
            assert_eq!(node.connected(), nodes as usize - 1);
        }
        world
    }

    /// That many nodes that have only just been started.
    pub(crate) fn apart(nodes: u64, bounds: Bounds) -> Self {
        let ids = || (1..=nodes).map(NodeId);
        let members = ids().map(|id| Member::new(id, "zone", format!("host-{id}")));
        let config = RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 16 },
            replicas: nodes.min(3) as u8,
        };
        let address = |id: NodeId| SocketAddr::from(([127, 0, 0, 1], 7400 + id.0 as u16));
        let mut world = Self {
            nodes: Vec::new(),
            now: Duration::from_secs(1),
            pipes: Vec::new(),
            dice: Dice::new([3; 32]),
            ring: Arc::new(Ring::birth(config, members.collect()).unwrap()),
            addresses: ids().map(|id| (id, address(id))).collect(),
            bounds,
            starts: 0,
        };
        for at in 0..nodes as usize {
            let node = world.start(at);
            world.nodes.push(node);
        }
        world
    }

    fn start(&mut self, at: usize) -> Node {
        self.starts += 1;
        let n = self.addresses.len().min(3) as u8;
        let bucket = Bucket {
            n,
            r: n / 2 + 1,
            w: n / 2 + 1,
            durability: Durability::Memory,
            ..Bucket::default()
        };
        let config = Config {
            node: id(at),
            cluster: CLUSTER,
            secret: *b"sixteen secrets!",
            limits: Limits::default(),
            capacity: Capacity::default(),
            timing: Timing::default(),
            hints: HintLimits::default(),
        };
        let setup = Setup {
            config: Arc::new(config),
            start: Start {
                is_restored: true,
                ..Start::founder(CLUSTER, &self.ring, bucket.into(), id(at))
            },
            peers: self.addresses.clone(),
            seeds: Vec::new(),
            generation: Generation(self.starts),
            boot: Boot(self.dice.number()),
            seed: [self.starts as u8; 32],
            bounds: self.bounds,
            waits: Waits::default(),
        };
        Node {
            driver: Driver::new(setup, self.now()).unwrap(),
            memory: Memory::new(),
            is_up: true,
            is_paused: false,
            is_full: false,
            dials: Vec::new(),
        }
    }

    /// The node is gone, with all that it had.
    pub(crate) fn kill(&mut self, at: usize) {
        self.nodes[at].is_up = false;
        for pipe in 0..self.pipes.len() {
            let ends = self.pipes[pipe].ends;
            if ends
                .iter()
                .any(|end| matches!(end, End::Node(node, _) if *node == at))
            {
                self.close(pipe);
            }
        }
    }

    pub(crate) fn restart(&mut self, at: usize) {
        self.nodes[at] = self.start(at);
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            mono: Instant::default() + self.now,
            wall: WallTime::from_secs(1_700_000_000),
        }
    }

    /// A client of a front that speaks RESP.
    pub(crate) fn resp(&mut self, node: usize, lane: Lane) -> Line {
        self.connect(node, Entrance::Front(Box::new(Resp::default()), lane))
    }

    /// Somebody at the port for nodes and native clients.
    pub(crate) fn stranger(&mut self, node: usize) -> Line {
        self.connect(node, Entrance::Native)
    }

    fn connect(&mut self, node: usize, entrance: Entrance) -> Line {
        let now = self.now();
        let link = self.nodes[node].driver.accepted(now, entrance);
        self.pipe(End::Node(node, link), End::Test)
    }

    fn pipe(&mut self, one: End, other: End) -> Line {
        self.pipes.push(Pipe {
            ends: [one, other],
            bytes: Default::default(),
            capacity: 64 << 10,
            is_open: true,
            is_frozen: [false; 2],
        });
        Line(self.pipes.len() - 1)
    }

    pub(crate) fn say(&mut self, line: Line, bytes: &[u8]) {
        self.pipes[line.0].bytes[0].extend(bytes);
    }

    /// What has come to the test's end.
    pub(crate) fn hear(&mut self, line: Line) -> Vec<u8> {
        self.pipes[line.0].bytes[1].drain(..).collect()
    }

    /// The same, and whatever more comes once that is taken.
    pub(crate) fn hear_all(&mut self, line: Line) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let heard = self.hear(line);
            if heard.is_empty() {
                return all;
            }
            all.extend(heard);
            self.settle();
        }
    }

    pub(crate) fn is_open(&self, line: Line) -> bool {
        self.pipes[line.0].is_open
    }

    /// The test's end is shut for writing.
    pub(crate) fn finish(&mut self, line: Line) {
        let now = self.now();
        if let End::Node(node, link) = self.pipes[line.0].ends[0] {
            self.nodes[node].driver.finished(now, link);
        }
    }

    /// Between two nodes nothing arrives any more, or does again; neither notices by itself.
    pub(crate) fn freeze(&mut self, one: usize, other: usize, is_frozen: bool) {
        for pipe in &mut self.pipes {
            let is_at = |node| {
                let mut ends = pipe.ends.iter();
                ends.any(|end| matches!(end, End::Node(at, _) if *at == node))
            };
            if pipe.is_open && is_at(one) && is_at(other) {
                pipe.is_frozen = [is_frozen; 2];
            }
        }
    }

    /// Until nothing more happens now.
    pub(crate) fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let mut is_quiet = true;
            for at in 0..self.nodes.len() {
                is_quiet &= !self.act(at);
            }
            for pipe in 0..self.pipes.len() {
                is_quiet &= !self.carry(pipe);
            }
            let due = (0..self.nodes.len())
                .filter(|at| self.is_due(*at))
                .collect::<Vec<_>>();
            is_quiet &= due.is_empty();
            for at in due {
                let now = self.now();
                self.nodes[at].driver.tick(now);
            }
            if is_quiet {
                return;
            }
        }
        panic!("it never settles");
    }

    /// Lets so much time pass, from one deadline to the next.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..ROUNDS {
            self.settle();
            let up = self
                .nodes
                .iter()
                .filter(|node| node.is_up && !node.is_paused);
            let next = up.filter_map(|node| node.driver.next_deadline()).min();
            let next = next.map(|next| Duration::from_nanos(next.as_nanos()));
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = next,
                None => {
                    self.now = end;
                    return self.settle();
                }
            }
        }
        panic!("a deadline spins");
    }

    fn is_due(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        let due = node.driver.next_deadline();
        node.is_up && !node.is_paused && due.is_some_and(|due| due <= self.now().mono)
    }

    fn act(&mut self, at: usize) -> bool {
        let mut has_acted = false;
        while self.nodes[at].is_up
            && !self.nodes[at].is_paused
            && let Some(action) = self.nodes[at].driver.poll()
        {
            has_acted = true;
            let now = self.now();
            match action {
                Action::Dial { link, address } => self.dial(at, link, address),
                Action::Close(link) => {
                    if let Some(pipe) = self.pipe_of(End::Node(at, link)) {
                        self.flush(pipe, 0);
                        self.close(pipe);
                    }
                }
                Action::Store { op, command } => {
                    let node = &mut self.nodes[at];
                    let completion = carry_out(&node.memory, command);
                    node.driver.completed(now, op, completion);
                }
                Action::Draw => {
                    let boot = Boot(self.dice.number());
                    self.nodes[at].driver.drawn(now, boot);
                }
                Action::Pass { to, message } => self.move_to(at, to, message),
                Action::Write(_) | Action::Read(_) => {} // carried anyway
                Action::Halt(reason) => panic!("{reason}"),
            }
        }
        has_acted
    }

    fn dial(&mut self, at: usize, link: Link, address: SocketAddr) {
        let now = self.now();
        let found = self.addresses.values().position(|it| *it == address);
        let other = found.filter(|other| self.nodes[*other].is_up);
        if let Some(other) = other {
            let theirs = self.nodes[other].driver.accepted(now, Entrance::Native);
            self.pipe(End::Node(at, link), End::Node(other, theirs));
        } else {
            self.nodes[at].dials.push(self.now);
        }
        let node = &mut self.nodes[at];
        node.driver.dialed(now, link, other.is_some());
    }

    /// These are in one process from now on.
    pub(crate) fn put_beside(&mut self, one: usize, other: usize) {
        let now = self.now();
        for (at, beside) in [(one, other), (other, one)] {
            let (node, address) = (id(beside), self.addresses[&id(beside)]);
            self.nodes[at].driver.met_beside(now, node, address);
        }
    }

    fn move_to(&mut self, from: usize, to: NodeId, message: Message) {
        let (now, at) = (self.now(), to.0 as usize - 1);
        let why = match &mut self.nodes[at] {
            node if !node.is_up => Unsent::Unreachable,
            node if node.is_full => Unsent::Full,
            node => return node.driver.passed(now, id(from), message),
        };
        self.nodes[from].driver.unpassed(now, to, message, why);
    }

    fn pipe_of(&self, end: End) -> Option<usize> {
        self.pipes.iter().position(|pipe| pipe.ends.contains(&end))
    }

    /// Brings what is written into the pipe, and some of what is in it to the other end.
    fn carry(&mut self, pipe: usize) -> bool {
        let mut is_moved = false;
        for side in 0..2 {
            is_moved |= self.flush(pipe, side);
            is_moved |= self.arrive(pipe, side);
        }
        is_moved
    }

    fn flush(&mut self, pipe: usize, side: usize) -> bool {
        let now = self.now();
        let pipe = &mut self.pipes[pipe];
        let End::Node(at, link) = pipe.ends[side] else {
            return false;
        };
        if !pipe.is_open || self.nodes[at].is_paused {
            return false;
        }
        let driver = &mut self.nodes[at].driver;
        let room = pipe.capacity.saturating_sub(pipe.bytes[1 - side].len());
        let outgoing = driver.outgoing(link);
        let len = outgoing.len().min(room);
        pipe.bytes[1 - side].extend(&outgoing[..len]);
        if len > 0 {
            driver.sent(now, link, len);
        }
        len > 0
    }

    fn arrive(&mut self, at_pipe: usize, side: usize) -> bool {
        let now = self.now();
        let pipe = &mut self.pipes[at_pipe];
        let End::Node(at, link) = pipe.ends[side] else {
            return false;
        };
        if !pipe.is_open || pipe.is_frozen[side] || self.nodes[at].is_paused {
            return false;
        }
        let driver = &mut self.nodes[at].driver;
        let most = driver.wants(link).min(pipe.bytes[side].len());
        if most == 0 {
            return false;
        }
        let len = 1 + self.dice.number() as usize % most;
        let bytes: Vec<u8> = pipe.bytes[side].drain(..len).collect();
        driver.received(now, link, &bytes);
        true
    }

    fn close(&mut self, pipe: usize) {
        let now = self.now();
        let pipe = &mut self.pipes[pipe];
        if !std::mem::replace(&mut pipe.is_open, false) {
            return;
        }
        for end in pipe.ends {
            if let End::Node(at, link) = end
                && self.nodes[at].is_up
            {
                self.nodes[at].driver.closed(now, link);
            }
        }
    }
}

impl Node {
    pub(crate) fn connected(&self) -> usize {
        let peers = self.driver.site().peers.iter();
        peers.filter(|peer| peer.connected.is_some()).count()
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.driver.site().load.waiting_bytes
    }

    pub(crate) fn counted(&self, name: &str) -> u64 {
        self.driver.site().metrics.counted(name).unwrap()
    }
}

pub(crate) fn id(at: usize) -> NodeId {
    NodeId(at as u64 + 1)
}

/// A command of RESP.
pub(crate) fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    bytes
}
