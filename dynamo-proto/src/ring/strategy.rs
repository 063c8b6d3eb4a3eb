//! How a ring is made: what is fixed at the cluster's birth, and how large it may be.

use serde::{Deserialize, Serialize};

use super::{FALLBACKS_LISTED, RingError};

/// Most members of a ring.
pub const MAX_MEMBERS: usize = 65_535;
/// Most owners of a partition. A bucket may have more copies: the lists go on.
///
/// The work of placing a partition grows with the cube of its owners, so few of them keep the
/// placement of every ring quick.
pub const MAX_REPLICAS: u8 = 16;
/// Most places in the lists that a ring keeps at hand: its partitions, or all members' random
/// tokens, times the replicas and the three fallbacks listed beyond them. With 3 replicas that is
/// 699,050 partitions or tokens.
///
/// Reckoned as if there were members enough for whole lists, so that no membership makes a
/// configuration of equal partitions too large.
pub const MAX_SLOTS: u32 = 1 << 22;
/// Longest host or zone label.
pub const MAX_LABEL_BYTES: usize = 255;

/// How the ring is cut into partitions and who owns them: the paper's three strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Strategy {
    /// Random tokens; a partition starts at each token and belongs to the nodes of the tokens that
    /// a clockwise walk meets. Simple, but shares differ by chance and partitions change with
    /// every membership.
    RandomTokens {
        /// Tokens of a node of weight 1. See [`MAX_SLOTS`] for how many there may be in all.
        tokens_per_node: u32,
    },
    /// Equal partitions; each belongs to the nodes of the random tokens that follow its end.
    RandomTokensEqualPartitions {
        /// Tokens of a node of weight 1. See [`MAX_SLOTS`] for how many there may be in all.
        tokens_per_node: u32,
        /// How many partitions the ring is cut into. See [`MAX_SLOTS`] for how many there may be.
        partitions: u32,
    },
    /// Equal partitions, assigned one by one: every node has its share of them, no more, no less,
    /// and no token is left to chance.
    EqualPartitions {
        /// How many partitions the ring is cut into; best many times the nodes ever expected. See
        /// [`MAX_SLOTS`] for how many there may be.
        partitions: u32,
    },
}

/// What is fixed at a cluster's birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingConfig {
    /// How partitions are cut and placed.
    pub strategy: Strategy,
    /// How many owners a partition has, if there are so many members: 1 to [`MAX_REPLICAS`]. A
    /// bucket may use fewer copies, or more: the lists go on.
    pub replicas: u8,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::EqualPartitions { partitions: 1024 },
            replicas: 3,
        }
    }
}

impl RingConfig {
    pub(super) fn check(self) -> Result<(), RingError> {
        if self.replicas == 0 {
            return Err(RingError::ZeroReplicas);
        }
        if self.replicas > MAX_REPLICAS {
            return Err(RingError::TooManyReplicas {
                replicas: self.replicas,
            });
        }
        let partitions = match self.strategy {
            Strategy::RandomTokens { .. } => return Ok(()),
            Strategy::RandomTokensEqualPartitions { partitions, .. }
            | Strategy::EqualPartitions { partitions } => partitions,
        };
        if partitions == 0 {
            return Err(RingError::ZeroPartitions);
        }
        let limit = self.most_lists();
        if partitions > limit {
            return Err(RingError::TooManyPartitions { partitions, limit });
        }
        Ok(())
    }

    /// How many lists there may be: partitions, or tokens.
    pub(super) fn most_lists(self) -> u32 {
        MAX_SLOTS / (u32::from(self.replicas) + FALLBACKS_LISTED)
    }
}
