//! Partitions and the tokens that belong to them.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::key::Token;

/// A partition of one ring, numbered clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition(pub u32);

impl Partition {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}", self.0)
    }
}

/// The tokens from `first` clockwise to `last`, both included. A range that crosses the top of the
/// ring has a `first` above its `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRange {
    /// Where the range starts.
    pub first: Token,
    /// The last token in it.
    pub last: Token,
}

impl TokenRange {
    /// Whether the token is in the range.
    #[must_use]
    pub fn contains(&self, token: Token) -> bool {
        if self.wraps() {
            token >= self.first || token <= self.last
        } else {
            token >= self.first && token <= self.last
        }
    }

    /// Whether the range crosses the top of the ring, from the highest token to the lowest.
    #[must_use]
    pub fn wraps(&self) -> bool {
        self.first > self.last
    }
}

/// Which of so many equal portions of the ring a token is in: the token as a fraction of the ring,
/// times the portions, rounded down.
#[inline]
pub(crate) fn portion(token: Token, portions: u64) -> u64 {
    let portions = u128::from(portions);
    let low = ((token.0 & u128::from(u64::MAX)) * portions) >> 64;
    (((token.0 >> 64) * portions + low) >> 64) as u64
}

/// Where one of so many equal portions starts. A portion of portions starts where the first of its
/// own does.
pub(crate) fn portion_start(portion: u64, portions: u64) -> u128 {
    // 2^128 = portions * whole + rest, so that portion * 2^128 / portions, rounded up:
    let (portion, portions) = (u128::from(portion), u128::from(portions));
    let (whole, rest) = match u128::MAX % portions + 1 {
        even if even == portions => (u128::MAX / portions + u128::from(portions > 1), 0),
        rest => (u128::MAX / portions, rest),
    };
    portion * whole + (portion * rest).div_ceil(portions)
}

/// Which of so many equal partitions a token is in.
#[inline]
pub(super) fn equal_partition(token: Token, partitions: u32) -> Partition {
    Partition(portion(token, partitions.into()) as u32)
}

/// The tokens of one of so many equal partitions.
pub(super) fn equal_range(partition: Partition, partitions: u32) -> TokenRange {
    let start = |partition: u32| portion_start(partition.into(), partitions.into());
    let last = if partition.0 + 1 == partitions {
        u128::MAX
    } else {
        start(partition.0 + 1) - 1
    };
    TokenRange {
        first: Token(start(partition.0)),
        last: Token(last),
    }
}
