//! What happens in a run: the cluster, what clients do, and what goes wrong. All of it is written
//! down before the run begins, so that a failing run can be kept and made smaller.

use std::time::Duration;

use dynamo_proto::node::HintLimits;
use dynamo_proto::{Durability, Limits};
use serde::{Deserialize, Serialize};

use crate::faults::{Fault, FaultClass};
use crate::machine::LONGEST_TIMEOUT;
use crate::oracle::Manner;

/// One run, whole: the same scenario always runs the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// What chance is left (latencies, how bytes fall into pieces) grows from this.
    pub seed: u64,
    /// The cluster's machines, by the host and zone that each node says it is on.
    pub nodes: Vec<Place>,
    /// How many of them, the first, are the cluster's first members, if not all are. The others are
    /// newcomers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub founders: Option<usize>,
    /// How keys are kept.
    pub quorum: Quorum,
    /// How each key is written.
    pub keys: Vec<Manner>,
    /// How many clients there are.
    pub clients: usize,
    /// How long one way between two machines takes, at least and on average beyond that.
    pub latency: (Duration, Duration),
    /// How long the store takes for one command, on average.
    pub disk: Duration,
    /// When clients have done and faults have ended.
    pub length: Duration,
    /// What is usually left alone.
    #[serde(default, skip_serializing_if = "Knobs::are_usual")]
    pub knobs: Knobs,
    /// Whether all replicas of a key become equal on their own when faults have ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub converges: bool,
    /// What clients do, in order.
    pub plan: Vec<Planned>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What administrators decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
}

/// What an administrator decides about the cluster: it is staged and committed at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Duration,
    /// Which node is told.
    pub told: usize,
    /// What changes, together.
    pub changes: Vec<Wish>,
}

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// A newcomer becomes a member.
    Join(usize),
    /// A member gives away what it holds.
    Leave(usize),
    /// A node is no part of the cluster any more.
    Remove(usize),
    /// A newcomer takes the place of a node that is dead.
    Replace {
        /// Who is dead.
        dead: usize,
        /// Who comes.
        by: usize,
    },
    /// A member is to hold another share.
    Weigh {
        /// Which.
        node: usize,
        /// Compared to others.
        weight: u32,
    },
    /// A member stands in another zone.
    Rezone {
        /// Which.
        node: usize,
        /// In which.
        zone: u8,
    },
}

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its machine.
    pub host: u8,
    /// Its zone.
    pub zone: u8,
}

/// How many replicas there are and how many must answer, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// How many replicas a key has.
    pub n: u8,
    /// How many must answer a read.
    pub r: u8,
    /// How many must have a write.
    pub w: u8,
    /// Whether only the nodes on duty count, and nobody who stands in for one.
    #[serde(default)]
    pub is_strict: bool,
    /// How safe they must have it.
    pub durability: Durability,
    /// Whether one more replica flushes.
    pub one_flushed: bool,
    /// How many requests a node takes on at once.
    pub requests: usize,
    /// How many reads of one key go side by side.
    pub reads_per_key: u32,
    /// How many siblings a client may make.
    pub siblings: usize,
}

/// What is usually left alone, and in some runs is tiny or hurried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Knobs {
    /// The largest value that a client may write.
    pub value_bytes: usize,
    /// The most clock entries of one key.
    pub actors: usize,
    /// How much of one key clients may make alive at one node.
    pub record_bytes: usize,
    /// The longest that nodes can send each other.
    pub frame_bytes: usize,
    /// How much nodes take on for each other.
    pub peers: usize,
    /// How many copies a node holds for others.
    pub hints: u64,
    /// How long a node waits before it asks again.
    pub retry_after: Duration,
    /// Within what time replicas compare what they have.
    pub exchange_every: Duration,
    /// Within what time a node compares its trees with what it has.
    pub audit_every: Duration,
    /// How often boots are retired.
    pub retire_every: Duration,
    /// How long a request may be asked for, again and again.
    pub longest_timeout: Duration,
    /// How many keys the cluster is cut out for.
    pub expected_keys: usize,
    /// How often in a million a node is woken for nothing after it was given something to do.
    pub wakes: u32,
    /// Whether a store does one command after the other.
    pub has_queues: bool,
    /// Whether every store is looked through for damage again and again.
    pub is_scrubbed: bool,
    /// How long all values are, at least 16 bytes, where that is not left to chance.
    pub body_bytes: Option<usize>,
    /// Whether a client that finds nobody listening asks another node at once.
    pub asks_another: bool,
    /// In how long clients are to be answered, if not in the usual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Duration>,
}

/// One thing that a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When.
    pub at: Duration,
    /// Which client.
    pub client: usize,
    /// At which node.
    pub node: usize,
    /// To which key.
    pub key: usize,
    /// What.
    pub action: Action,
    /// How long it waits, if less than usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether it wants its write flushed, whatever is usual.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_flushed: bool,
    /// Whether it asks a node on duty for the key, which alone may coordinate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_here: bool,
    /// Whether it is gone before it hears the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vanishes: bool,
}

/// What a client can do to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Read, and remember.
    Get,
    /// Write with what was remembered last.
    Put,
    /// Write with what was remembered before that.
    PutStale,
    /// Write with both.
    PutBoth,
    /// Write without having read.
    Blind,
    /// Delete with what was remembered last.
    Delete,
    /// Write more than may be written, with what was remembered last.
    Oversized,
    /// Ask once more for the write whose outcome is unknown, at the same node.
    Retry,
    /// Make another write of it, at the same node.
    Redo,
}

/// What a drawn scenario is to be like, where that is not left to chance.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// How long clients work.
    pub length: Option<Duration>,
    /// How much they do in that time.
    pub ops: Option<usize>,
    /// How many nodes there are.
    pub nodes: Option<usize>,
    /// Which faults are drawn; if none is named, some of all that the core survives.
    pub faults: Vec<FaultClass>,
    /// Whether all replicas of a key must become equal on their own when faults have ended, also
    /// in runs in which they do not compare what they have.
    pub converges: bool,
}

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(1 << 30);

impl Scenario {
    /// A cluster of so many nodes, each on a host of its own, in which nothing is slow and nothing
    /// happens. Of its keys' replicas, three at the most, a majority must answer.
    #[must_use]
    pub(crate) fn calm(nodes: usize) -> Self {
        let n = nodes.min(3) as u8;
        let on_its_own = |at| Place {
            host: at as u8, // few
            zone: 0,
        };
        Self {
            seed: 1,
            nodes: (0..nodes).map(on_its_own).collect(),
            founders: None,
            quorum: Quorum {
                n,
                r: n / 2 + 1,
                w: n / 2 + 1,
                is_strict: false,
                durability: Durability::Flushed,
                one_flushed: false,
                requests: 1000,
                reads_per_key: 4,
                siblings: 100,
            },
            keys: Vec::new(),
            clients: 0,
            latency: (Duration::from_micros(200), Duration::from_micros(50)),
            disk: Duration::from_micros(100),
            length: Duration::ZERO,
            knobs: Knobs::default(),
            converges: false,
            plan: Vec::new(),
            faults: Vec::new(),
            decisions: Vec::new(),
        }
    }
}

impl Knobs {
    fn are_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether replicas compare what they have.
    pub(crate) fn are_level(&self) -> bool {
        self.exchange_every < NEVER
    }
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            value_bytes: 1 << 20,
            actors: 1000,
            record_bytes: Limits::default().record_bytes,
            frame_bytes: Limits::default().frame_bytes,
            peers: 1000,
            hints: HintLimits::default().copies,
            retry_after: Duration::from_millis(500),
            exchange_every: NEVER,
            audit_every: NEVER,
            retire_every: NEVER,
            longest_timeout: LONGEST_TIMEOUT,
            expected_keys: Limits::default().keys,
            wakes: 0,
            has_queues: false,
            is_scrubbed: false,
            body_bytes: None,
            asks_another: false,
            target: None,
        }
    }
}
