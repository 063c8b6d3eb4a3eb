//! One machine: a node, its disk and its clocks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use dynamo_proto::node::{Capacity, Config, Event, HintLimits, Known, Node, Op, Start, Timing};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::store::{Completion, Item, Limit, ReadOutcome, Space, Span};
use dynamo_proto::version::{Boot, DataType, Dot, Height, Policy, Record};
use dynamo_proto::{Bucket, Buckets, ClusterId, Instant, Key, Limits, NodeId, Now, Seed, WallTime};

use crate::dice::Dice;
use crate::disk::{Disk, Stop, WriteNumber};
use crate::oracle::Manner;
use crate::scenario::Scenario;

/// How long a request may take in these runs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// For so long after it was first asked for a write may be asked for again.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The calendar's time when a run begins, in seconds since 1970.
const BEGINNING_SECS: i64 = 1_700_000_000;

pub(crate) const CLUSTER: ClusterId = ClusterId(0xd1a0);

pub(crate) struct Machine {
    /// What is wrong with its disk.
    pub(crate) ails: Ails,
    /// What its store has still to do, if it does one command after the other.
    pub(crate) queue: VecDeque<Answer>,
    /// Whether it is doing one.
    pub(crate) is_serving: bool,
    pub(crate) node: Option<Node>,
    pub(crate) config: Arc<Config>,
    pub(crate) start: Start,
    pub(crate) disk: Disk,
    /// Whether its disk is the one that it always had.
    pub(crate) is_its_own: bool,
    /// What it minted in this boot and with which write that became safe.
    pub(crate) minted: BTreeMap<Dot, WriteNumber>,
    /// Whether it was given up, and never starts again.
    pub(crate) is_gone: bool,
    /// How often its process has started.
    pub(crate) boots: u32,
    /// How many faults want it to stand still.
    pub(crate) pauses: u32,
    /// What waits for a process that stands still.
    pub(crate) inbox: Vec<Event>,
    /// How many times as long everything takes.
    pub(crate) slowness: u32,
    /// How far its wall clock is off, in seconds.
    pub(crate) off_by: i64,
    /// When it will next look at its deadlines.
    pub(crate) tick: Option<Duration>,
    /// When and how it is going to stop.
    pub(crate) doom: Option<Doom>,
    /// When it last could not be expected to be on time.
    pub(crate) late_until: Duration,
    /// How many retirements it has seen all of, when it was last there.
    pub(crate) earned: Height,
}

/// What became of a command to a store, before the node hears of it.
pub(crate) struct Answer {
    pub(crate) op: Op,
    pub(crate) completion: Completion,
    pub(crate) write: Option<WriteNumber>,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ails {
    /// How many times as long it takes.
    pub(crate) slowness: u32,
    /// How often in a million it fails to read.
    pub(crate) reads: u32,
    /// How often in a million it fails to write.
    pub(crate) writes: u32,
    /// Whether what it failed to write may be there.
    pub(crate) is_half_done: bool,
    /// Whether its next flush fails.
    pub(crate) fails_flush: bool,
    /// How many faults say that it is full.
    pub(crate) full: u32,
    /// How many faults say that a loss of power tears what is being written.
    pub(crate) tears: u32,
    /// How many of the next writes it loses, and how.
    pub(crate) loses: u32,
    pub(crate) is_misdirected: bool,
    pub(crate) is_live: bool,
}

impl Default for Ails {
    fn default() -> Self {
        Self {
            slowness: 1,
            reads: 0,
            writes: 0,
            is_half_done: false,
            fails_flush: false,
            full: 0,
            tears: 0,
            loses: 0,
            is_misdirected: false,
            is_live: false,
        }
    }
}

/// How a process is going to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doom {
    /// After how many more effects.
    pub(crate) effects: u32,
    /// And then not before it has given its store something to write.
    pub(crate) writing: bool,
    pub(crate) stop: Stop,
}

impl Machine {
    /// How many copies its disk holds for others; one that is held for two counts for each. What
    /// cannot be read any more goes nowhere.
    pub(crate) fn copies_held(&self) -> u64 {
        let all = Limit {
            items: usize::MAX,
            bytes: usize::MAX,
        };
        let page = self.disk.scan(Space::Hints, &Span::all(), all);
        let owners = page.items.into_iter().filter_map(|item| match item {
            Item::Found { at, bytes } => Some(Record::decode(&at, bytes).ok()?.owners().len()),
            Item::Corrupt(_) => None,
        });
        owners.sum::<usize>() as u64
    }

    /// All machines of a scenario, their processes not yet started, on disks of this kind.
    pub(crate) fn all(scenario: &Scenario, disk: impl Fn(usize) -> Disk) -> Vec<Self> {
        let ring = ring(scenario);
        (0..scenario.nodes.len())
            .map(|at| Self {
                node: None,
                config: Arc::new(config(scenario, id(at))),
                start: start(scenario, &ring, at),
                ails: Ails::default(),
                queue: VecDeque::new(),
                is_serving: false,
                disk: disk(at),
                is_its_own: true,
                minted: BTreeMap::new(),
                is_gone: false,
                boots: 0,
                pauses: 0,
                inbox: Vec::new(),
                slowness: 1,
                off_by: 0,
                tick: None,
                doom: None,
                late_until: Duration::ZERO,
                earned: Height(0),
            })
            .collect()
    }

    /// Starts the process on what the disk holds.
    pub(crate) fn start(&mut self, dice: &mut Dice) {
        self.boots += 1;
        self.minted.clear();
        let (boot, seed) = (Boot(dice.number()), Seed(dice.number()));
        let saved = match self.disk.read(Start::SPACE, &Start::place()) {
            ReadOutcome::Found(bytes) => Some(bytes),
            _ => None,
        };
        let start = Start {
            is_restored: !self.is_its_own,
            saved,
            ..self.start.clone()
        };
        let node = Node::new(self.config.clone(), start, boot, seed);
        self.node = Some(node.expect("scenarios are drawn within what a node accepts"));
    }

    /// From now on it has that disk.
    pub(crate) fn give(&mut self, disk: Disk) {
        self.disk = disk;
        self.is_its_own = false;
    }

    /// Its clocks, when the world's is at `now`.
    pub(crate) fn clocks(&self, now: Duration) -> Now {
        let mono = Instant::from_nanos(now.as_nanos() as u64);
        let secs = BEGINNING_SECS.saturating_add(self.off_by).max(0) as u64;
        let wall = WallTime::from_micros(secs * 1_000_000 + now.as_micros() as u64);
        Now { mono, wall }
    }

    /// Whether its disk is its own.
    pub(crate) fn has_own_disk(&self) -> bool {
        place(self.config.node) == self.disk.owner()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.node.is_some()
    }

    /// Whether it is no newcomer, nor gone: clients know it.
    pub(crate) fn is_known(&self) -> bool {
        let node = self.node.as_ref();
        !self.is_gone && node.is_none_or(|node| node.membership().is_serving())
    }
}

pub(crate) fn id(at: usize) -> NodeId {
    NodeId(at as u64 + 1)
}

pub(crate) fn place(id: NodeId) -> usize {
    id.0 as usize - 1
}

/// The key of that number, in the bucket type that is written so.
pub(crate) fn key(number: usize, manner: Manner) -> Key {
    let name = format!("key-{number}");
    Key::new(bucket_type(manner), "sim", name, &Limits::default()).expect("short names")
}

pub(crate) fn bucket_type(manner: Manner) -> &'static str {
    match manner {
        Manner::Causal => "causal",
        Manner::Overwrite => "overwrite",
        Manner::LastWriteWins => "last-write-wins",
        Manner::Counter => "counter",
        Manner::Set => "set",
    }
}

pub(crate) fn member(scenario: &Scenario, at: usize) -> Member {
    let place = scenario.nodes[at];
    Member::new(
        id(at),
        format!("zone-{}", place.zone),
        format!("host-{}", place.host),
    )
}

fn start(scenario: &Scenario, ring: &Ring, at: usize) -> Start {
    let founders = scenario.founders.unwrap_or(scenario.nodes.len());
    let founder = Start::founder(CLUSTER, ring, buckets(scenario), id(at.min(founders - 1)));
    let known = match at < founders {
        true => founder.known.clone(),
        false => Known::Nothing,
    };
    Start {
        member: member(scenario, at),
        // All founders but one are seeds.
        seeds: (founders - 1).max(1) as u16,
        known,
        ..founder
    }
}

pub(crate) fn ring(scenario: &Scenario) -> Ring {
    let config = RingConfig {
        strategy: Strategy::EqualPartitions { partitions: 16 },
        replicas: scenario.quorum.n,
    };
    let founders = scenario.founders.unwrap_or(scenario.nodes.len());
    let members = (0..founders).map(|at| member(scenario, at));
    Ring::birth(config, members.collect()).expect("scenarios have at least one node")
}

fn config(scenario: &Scenario, node: NodeId) -> Config {
    let (quorum, knobs) = (scenario.quorum, scenario.knobs);
    let usual = Timing::default();
    Config {
        node,
        cluster: CLUSTER,
        secret: *b"a simulated seal",
        limits: Limits {
            siblings: quorum.siblings,
            value_bytes: knobs.value_bytes,
            metadata_bytes: 0,
            actors: knobs.actors,
            record_bytes: knobs.record_bytes,
            frame_bytes: knobs.frame_bytes,
            keys: knobs.expected_keys,
            ..Limits::default()
        },
        capacity: Capacity {
            requests: quorum.requests,
            peers: knobs.peers,
            reads_per_key: quorum.reads_per_key,
            ..Capacity::default()
        },
        timing: Timing {
            timeout: TIMEOUT,
            longest_timeout: knobs.longest_timeout,
            retry_after: knobs.retry_after,
            exchange_every: knobs.exchange_every,
            audit_every: knobs.audit_every,
            retire_every: knobs.retire_every,
            target: knobs.target.unwrap_or(usual.target),
            ..usual
        },
        hints: HintLimits {
            copies: scenario.knobs.hints,
            ..HintLimits::default()
        },
    }
}

pub(crate) fn buckets(scenario: &Scenario) -> Buckets {
    let quorum = scenario.quorum;
    let bucket = |policy| Bucket {
        n: quorum.n,
        r: quorum.r,
        w: quorum.w,
        pr: if quorum.is_strict { quorum.r } else { 0 },
        pw: if quorum.is_strict { quorum.w } else { 0 },
        durability: quorum.durability,
        one_flushed: quorum.one_flushed,
        policy,
        ..Bucket::default()
    };
    let last_write_wins = Policy::LastWriteWins {
        max_skew: Duration::from_secs(7200),
    };
    let types = [
        (Manner::Causal, Policy::Siblings),
        (Manner::Overwrite, Policy::Siblings),
        (Manner::LastWriteWins, last_write_wins),
        (Manner::Counter, Policy::Data(DataType::Counter)),
        (Manner::Set, Policy::Data(DataType::Set)),
    ];
    let types: BTreeMap<_, _> = types
        .into_iter()
        .map(|(manner, policy)| (bucket_type(manner).as_bytes().to_vec(), bucket(policy)))
        .collect();
    Buckets {
        types,
        ..Buckets::default()
    }
}
