//! One machine: a node, its disk and its clocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dynamo_proto::node::{Capacity, Config, Event, Node, Timing};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::version::{Boot, Dot, Policy};
use dynamo_proto::{Bucket, Buckets, ClusterId, Instant, Key, Limits, NodeId, Now, Seed, WallTime};

use crate::dice::Dice;
use crate::disk::{Disk, Stop, WriteNumber};
use crate::oracle::Manner;
use crate::scenario::Scenario;

/// How long a request may take in these runs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a node waits before it asks again who has not answered; up to half as much more before
/// it forwards again what may have been lost.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The calendar's time when a run begins, in seconds since 1970.
const BEGINNING_SECS: i64 = 1_700_000_000;

pub(crate) const CLUSTER: ClusterId = ClusterId(0xd1a0);

pub(crate) struct Machine {
    pub(crate) node: Option<Node>,
    pub(crate) config: Arc<Config>,
    pub(crate) ring: Arc<Ring>,
    pub(crate) disk: Disk,
    /// What it minted in this boot and with which write that became safe.
    pub(crate) minted: BTreeMap<Dot, WriteNumber>,
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
    /// All machines of a scenario, their processes not yet started.
    pub(crate) fn all(scenario: &Scenario) -> Vec<Self> {
        let ring = Arc::new(ring(scenario));
        (0..scenario.nodes.len())
            .map(|at| Self {
                node: None,
                config: Arc::new(config(scenario, id(at))),
                ring: ring.clone(),
                disk: Disk::default(),
                minted: BTreeMap::new(),
                boots: 0,
                pauses: 0,
                inbox: Vec::new(),
                slowness: 1,
                off_by: 0,
                tick: None,
                doom: None,
                late_until: Duration::ZERO,
            })
            .collect()
    }

    /// Starts the process on what the disk holds.
    pub(crate) fn start(&mut self, dice: &mut Dice) {
        self.boots += 1;
        self.minted.clear();
        let (boot, seed) = (Boot(dice.number()), Seed(dice.number()));
        let node = Node::new(self.config.clone(), self.ring.clone(), boot, seed);
        self.node = Some(node.expect("scenarios are drawn within what a node accepts"));
    }

    /// Its clocks, when the world's is at `now`.
    pub(crate) fn clocks(&self, now: Duration) -> Now {
        let mono = Instant::from_nanos(now.as_nanos() as u64);
        let secs = BEGINNING_SECS.saturating_add(self.off_by).max(0) as u64;
        let wall = WallTime::from_micros(secs * 1_000_000 + now.as_micros() as u64);
        Now { mono, wall }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.node.is_some()
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
    }
}

fn ring(scenario: &Scenario) -> Ring {
    let config = RingConfig {
        strategy: Strategy::EqualPartitions { partitions: 16 },
        replicas: scenario.quorum.n,
    };
    let members = scenario.nodes.iter().enumerate().map(|(at, place)| {
        Member::new(
            id(at),
            format!("zone-{}", place.zone),
            format!("host-{}", place.host),
        )
    });
    Ring::birth(config, members.collect()).expect("scenarios have at least one node")
}

fn config(scenario: &Scenario, node: NodeId) -> Config {
    let quorum = scenario.quorum;
    let bucket = |policy| Bucket {
        n: quorum.n,
        r: quorum.r,
        w: quorum.w,
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
    ];
    let types: BTreeMap<_, _> = types
        .into_iter()
        .map(|(manner, policy)| (bucket_type(manner).as_bytes().to_vec(), bucket(policy)))
        .collect();
    Config {
        node,
        cluster: CLUSTER,
        secret: *b"a simulated seal",
        limits: Limits {
            siblings: quorum.siblings,
            ..Limits::default()
        },
        capacity: Capacity {
            requests: quorum.requests,
            peers: 1000,
            reads_per_key: quorum.reads_per_key,
        },
        timing: Timing {
            timeout: TIMEOUT,
            retry_after: RETRY_AFTER,
            ..Timing::default()
        },
        buckets: Buckets {
            types,
            default: Bucket::default(),
        },
    }
}
