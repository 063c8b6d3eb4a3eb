//! What a bucket type promises.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::version::{DataType, Policy};
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
    /// What fronts note of it for themselves; the machine does not look into it.
    pub notes: Vec<u8>,
}

/// Most that fronts may note of a bucket.
pub const MAX_NOTES: usize = 255;

/// Bucket types by name, what holds for all others, and single buckets that are kept in another way
/// than their type says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Those with ways of their own.
    pub types: BTreeMap<Vec<u8>, Bucket>,
    /// All others.
    pub default: Bucket,
    /// By type and name.
    pub single: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Bucket>>,
}

/// Why there can be no such bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// A quorum that cannot be met.
    #[error("n = {n} replicas: r and w must be at least 1, and no quorum more than n")]
    Quorum {
        /// How many replicas it has.
        n: u8,
    },
    /// A data type that truncates clocks.
    #[error("a bucket of a data type cannot truncate clocks: its updates would be lost")]
    Truncates,
    /// More notes than are kept.
    #[error("more than {MAX_NOTES} bytes are noted of a bucket")]
    Notes,
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
            notes: Vec::new(),
        }
    }
}

impl Bucket {
    /// Whether there can be such a bucket.
    pub fn check(&self) -> Result<(), BucketError> {
        let quorums = [self.r, self.w, self.pr, self.pw];
        if self.r == 0 || self.w == 0 || quorums.iter().any(|quorum| *quorum > self.n) {
            return Err(BucketError::Quorum { n: self.n });
        }
        if self.truncate_to.is_some() && matches!(self.policy, Policy::Data(_)) {
            return Err(BucketError::Truncates);
        }
        if self.notes.len() > MAX_NOTES {
            return Err(BucketError::Notes);
        }
        Ok(())
    }
}

impl Buckets {
    /// All as the default is, and of each [data type](DataType) a bucket type of that name.
    #[must_use]
    pub fn with_data_types(default: Bucket) -> Self {
        let of = |kind: DataType| {
            let policy = Policy::Data(kind);
            let bucket = Bucket {
                policy,
                ..default.clone()
            };
            (kind.name().as_bytes().to_vec(), bucket)
        };
        let types = DataType::ALL.into_iter().map(of).collect();
        Self {
            types,
            ..Self::from(default)
        }
    }

    /// How that key is kept.
    #[must_use]
    pub fn of(&self, key: &Key) -> &Bucket {
        if !self.single.is_empty()
            && let Some(single) = self.single.get(key.bucket_type())
            && let Some(bucket) = single.get(key.bucket())
        {
            return bucket;
        }
        if self.types.is_empty() {
            return &self.default;
        }
        self.types.get(key.bucket_type()).unwrap_or(&self.default)
    }

    /// How the buckets of a type are kept.
    #[must_use]
    pub fn of_type(&self, name: &[u8]) -> &Bucket {
        self.types.get(name).unwrap_or(&self.default)
    }

    /// How a bucket of a type is kept, if that was said of this one.
    #[must_use]
    pub fn single(&self, bucket_type: &[u8], name: &[u8]) -> Option<&Bucket> {
        self.single.get(bucket_type)?.get(name)
    }

    /// Every way in which a key may be kept.
    pub fn all(&self) -> impl Iterator<Item = &Bucket> {
        let single = self.single.values().flat_map(BTreeMap::values);
        (self.types.values().chain([&self.default])).chain(single)
    }

    /// How many buckets are kept in another way than their type says.
    #[must_use]
    pub fn singles(&self) -> usize {
        self.single.values().map(BTreeMap::len).sum()
    }
}

impl From<Bucket> for Buckets {
    /// All are kept like this.
    fn from(default: Bucket) -> Self {
        Self {
            types: BTreeMap::new(),
            default,
            single: BTreeMap::new(),
        }
    }
}
