//! What a bucket type promises.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::version::Policy;
use crate::{Durability, Key};

/// How the buckets of one type are kept.
///
/// ```
/// use dynamo_proto::Bucket;
/// let bucket = Bucket { w: 1, ..Bucket::default() };
/// assert_eq!((bucket.n, bucket.r), (3, 2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bucket {
    /// How many replicas a key has.
    pub n: u8,
    /// How many must answer a read.
    pub r: u8,
    /// How many must have a write.
    pub w: u8,
    /// How many of those that answer a read must be primaries.
    pub pr: u8,
    /// How many of those that have a write must be primaries.
    pub pw: u8,
    /// What becomes of concurrent writes.
    pub policy: Policy,
    /// How safe a replica must have a write before it says so.
    pub durability: Durability,
    /// The paper's write buffer: one more replica is asked to have every write flushed, and not
    /// waited for.
    pub one_flushed: bool,
    /// Whether a replica that has never heard of a key has answered a read.
    pub absent_counts: bool,
    /// Whether a majority that has never heard of a key ends a read.
    pub majority_absent: bool,
    /// The paper's truncation of clocks; see [`Rules`](crate::version::Rules::truncate_to) for what
    /// it gives up.
    pub truncate_to: Option<usize>,
}

/// Bucket types by name, and what holds for all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Buckets {
    /// Those with ways of their own.
    pub types: BTreeMap<Vec<u8>, Bucket>,
    /// All others.
    pub default: Bucket,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            n: 3,
            r: 2,
            w: 2,
            pr: 0,
            pw: 0,
            policy: Policy::Siblings,
            durability: Durability::Flushed,
            one_flushed: false,
            absent_counts: true,
            majority_absent: false,
            truncate_to: None,
        }
    }
}

impl Buckets {
    /// How that key is kept.
    #[must_use]
    pub fn of(&self, key: &Key) -> &Bucket {
        if self.types.is_empty() {
            return &self.default;
        }
        self.types.get(key.bucket_type()).unwrap_or(&self.default)
    }
}
