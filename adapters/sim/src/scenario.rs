//! What happens in a run: the cluster, what clients do, and what goes wrong. All of it is written
//! down before the run begins, so that a failing run can be kept and made smaller.

use std::time::Duration;

use dynamo_proto::Durability;
use serde::{Deserialize, Serialize};

use crate::faults::{Fault, FaultClass};
use crate::oracle::Manner;

/// One run, whole: the same scenario always runs the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// What chance is left (latencies, how bytes fall into pieces) grows from this.
    pub seed: u64,
    /// The cluster's machines, by the host and zone that each node says it is on.
    pub nodes: Vec<Place>,
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
    /// How much nodes take on for each other.
    pub peers: usize,
    /// How long a node waits before it asks again.
    pub retry_after: Duration,
    /// How often in a million a node is woken for nothing after it was given something to do.
    pub wakes: u32,
    /// Whether a store does one command after the other.
    pub has_queues: bool,
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
    /// Whether all replicas of a key must become equal on their own when faults have ended. The
    /// core does not yet repair what a node missed.
    pub converges: bool,
}

impl Knobs {
    fn are_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            value_bytes: 1 << 20,
            actors: 1000,
            peers: 1000,
            retry_after: Duration::from_millis(500),
            wakes: 0,
            has_queues: false,
        }
    }
}
