//! What a node is told at its start.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::entropy::COMMANDS as ENTROPY;
use crate::handoff::ABREAST;
use crate::membership::{SavedError, StartError};
use crate::moving;
use crate::replica::HintLimits;
use crate::ring::RingError;
use crate::wire::HANDOFF_MOST;
use crate::{ClusterId, Limits, NodeId};

/// What a node is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which node this is.
    pub node: NodeId,
    /// Of which cluster.
    pub cluster: ClusterId,
    /// What all nodes of the cluster share and nobody else has: contexts are sealed with it.
    pub secret: [u8; 16],
    /// How large things may become.
    pub limits: Limits,
    /// How many there may be at once.
    pub capacity: Capacity,
    /// How long to wait.
    pub timing: Timing,
    /// How much is held for nodes that are away.
    pub hints: HintLimits,
}

/// How many things a node does at once; more are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capacity {
    /// Requests of clients, this node's own and forwarded ones.
    pub requests: usize,
    /// Changes and store commands, beyond which what other nodes ask for is refused. Clients'
    /// requests are refused beyond half of that.
    pub peers: usize,
    /// Reads of one key side by side; those beyond wait a moment for each other and are done
    /// together.
    pub reads_per_key: u32,
    /// Keys that are repaired within [`Timing::retry_after`].
    pub repairs: usize,
}

/// How long a node waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// For a request, unless it says otherwise.
    pub timeout: Duration,
    /// For a request, whatever it says.
    pub longest_timeout: Duration,
    /// Before it asks again who has not answered; twice as long each further time.
    pub retry_after: Duration,
    /// How long its store may take to write before a node leaves coordinating to others.
    pub slow_store: Duration,
    /// In how long ninety-nine of a hundred clients are to be answered: when more wait longer, what a
    /// node does besides yields.
    pub target: Duration,
    /// How often it gossips with one other node, and pings its neighbours.
    pub gossip_every: Duration,
    /// Within what time it compares what it has with every other node that is to have the same.
    pub exchange_every: Duration,
    /// Within what time it compares its trees with what it has.
    pub audit_every: Duration,
    /// How often what everybody has seen is forgotten: deletes, and who wrote what in boots that
    /// are over.
    pub retire_every: Duration,
}

/// Why a node cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It starts as somebody else.
    #[error("it is to start as node {0}, and is configured as another")]
    OtherMember(NodeId),
    /// It cannot take part in its cluster.
    #[error(transparent)]
    Start(#[from] StartError),
    /// What it wrote down about its cluster is of no use.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// There is no such ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// No room for even one request.
    #[error("no capacity: requests, peers and reads_per_key must be at least 1")]
    Capacity,
    /// A value that may be written and not kept, or a key that may be kept and not sent.
    #[error(
        "limits: value_bytes and metadata_bytes together must be at most record_bytes, and record_bytes at most half of frame_bytes"
    )]
    Limits,
    /// No time for even one retry.
    #[error(
        "retry_after, gossip_every, exchange_every, audit_every and retire_every must not be 0"
    )]
    NoTime,
}

impl Config {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Capacity {
            requests,
            peers,
            reads_per_key,
            repairs: _,
        } = self.capacity;
        if requests == 0 || peers == 0 || reads_per_key == 0 {
            return Err(ConfigError::Capacity);
        }
        let limits = &self.limits;
        let longest = limits.value_bytes.saturating_add(limits.metadata_bytes);
        if longest > limits.record_bytes || limits.record_bytes > limits.frame_bytes / 2 {
            return Err(ConfigError::Limits);
        }
        let Timing {
            retry_after,
            gossip_every,
            exchange_every,
            audit_every,
            retire_every,
            ..
        } = self.timing;
        let all = [
            retry_after,
            gossip_every,
            exchange_every,
            audit_every,
            retire_every,
        ];
        if all.iter().any(Duration::is_zero) {
            return Err(ConfigError::NoTime);
        }
        Ok(())
    }
}

impl Capacity {
    /// The most store commands that are ever outstanding: what a worker's queue must hold. Some may
    /// be left by requests that are over, so requests are refused too when as much is under way as
    /// all requests and peers together may ask for; those taken on before may then each ask for
    /// one more thing.
    #[must_use]
    pub fn stores(&self) -> usize {
        self.load().saturating_add(self.requests)
    }

    /// As much as is under way before clients' requests are refused: half of what is done for others
    /// before they are, so that requests which some nodes have taken on find the rest of them ready.
    pub(crate) fn own(&self) -> usize {
        self.peers.div_ceil(2)
    }

    /// Changes and store commands of a node that has all it can do: each request, and each that is
    /// answered and lingers, a read of its own, a change of its key and the leaf that it is in, and one
    /// of what is held of it for others; what peers ask for; a batch of copies that come home, a few walks that look for
    /// those to bring home, and a batch for each that is released; batches of what moves, coming and
    /// given up, and what others are shown; and what is compared with trees, and levelled.
    pub(crate) fn load(&self) -> usize {
        let handoff = (2 + ABREAST) * HANDOFF_MOST;
        let moving = (2 * moving::ABREAST * HANDOFF_MOST) + moving::SHOWN_ABREAST;
        let handoff = 2 * (handoff + moving) + ENTROPY;
        let requests = self.requests.saturating_mul(8);
        requests.saturating_add(self.peers).saturating_add(handoff)
    }
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            requests: 10_000,
            peers: 20_000,
            reads_per_key: 4,
            repairs: 1000,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            longest_timeout: Duration::from_secs(60),
            retry_after: Duration::from_millis(500),
            slow_store: Duration::from_millis(250),
            target: Duration::from_millis(100),
            gossip_every: Duration::from_secs(1),
            exchange_every: Duration::from_secs(15 * 60),
            audit_every: Duration::from_secs(7 * 24 * 60 * 60),
            retire_every: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}
