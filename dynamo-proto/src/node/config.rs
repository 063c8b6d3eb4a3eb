//! What a node is told at its start.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ring::Ring;
use crate::{Buckets, ClusterId, Limits, NodeId};

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
    /// How keys are kept.
    pub buckets: Buckets,
}

/// How many things a node does at once; more are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capacity {
    /// Requests of clients, this node's own and forwarded ones.
    pub requests: usize,
    /// Changes and store commands, beyond which what other nodes ask for is refused.
    pub peers: usize,
    /// Reads of one key side by side; those beyond wait a moment for each other and are done
    /// together.
    pub reads_per_key: u32,
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
}

/// Why a node cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The ring does not have it.
    #[error("node {0} is not a member of its ring")]
    NotMember(NodeId),
    /// A bucket type with a quorum that cannot be met, or with no replicas.
    #[error("a bucket type asks for quorums of more than its n = {n} replicas, or for none")]
    Quorum {
        /// How many replicas it has.
        n: u8,
    },
    /// No room for even one request.
    #[error("no capacity: requests, peers and reads_per_key must be at least 1")]
    Capacity,
    /// No time for even one retry.
    #[error("retry_after must not be 0")]
    RetryAfter,
}

impl Config {
    pub(super) fn check(&self, ring: &Ring) -> Result<(), ConfigError> {
        if ring.member(self.node).is_none() {
            return Err(ConfigError::NotMember(self.node));
        }
        for bucket in self.buckets.types.values().chain([&self.buckets.default]) {
            let quorums = [bucket.r, bucket.w, bucket.pr, bucket.pw];
            let is_possible =
                bucket.r > 0 && bucket.w > 0 && quorums.iter().all(|q| *q <= bucket.n);
            if !is_possible {
                return Err(ConfigError::Quorum { n: bucket.n });
            }
        }
        let Capacity {
            requests,
            peers,
            reads_per_key,
        } = self.capacity;
        if requests == 0 || peers == 0 || reads_per_key == 0 {
            return Err(ConfigError::Capacity);
        }
        if self.timing.retry_after.is_zero() {
            return Err(ConfigError::RetryAfter);
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
        self.load() + self.requests
    }

    /// Changes and store commands of a node that has all it can do: each request a read of its own
    /// and the key that it changes, and what peers ask for.
    pub(crate) fn load(&self) -> usize {
        2 * self.requests + self.peers
    }
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            requests: 10_000,
            peers: 20_000,
            reads_per_key: 4,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            longest_timeout: Duration::from_secs(60),
            retry_after: Duration::from_millis(500),
        }
    }
}
