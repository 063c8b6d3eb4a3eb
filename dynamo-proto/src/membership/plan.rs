//! What staged changes would do, to be looked at before they are committed.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Change, Epoch};
use crate::NodeId;
use crate::ring::{Move, Ring, RingError};

/// What staged changes would do to the cluster as it was when the plan was made.
///
/// Made by [`Membership::plan`](super::Membership::plan); committing it is refused if anything else
/// was committed meanwhile.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) basis: Epoch,
    pub(super) changes: Vec<Change>,
    pub(super) before: Arc<Ring>,
    pub(super) after: Arc<Ring>,
}

/// What a plan does to one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Copies of ranges that it holds now: of partitions, where those are assigned one by one.
    pub before: usize,
    /// And then.
    pub after: usize,
    /// Copies that come to it.
    pub gains: usize,
    /// Copies that it gives up.
    pub gives: usize,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing is staged.
    #[error("nothing is staged: stage a change first")]
    Nothing,
    /// This node has heard of no cluster yet.
    #[error("this node knows of no cluster yet: give it a seed, or ask another node")]
    NoCluster,
    /// There is no such ring.
    #[error(transparent)]
    Ring(#[from] RingError),
}

impl Plan {
    /// On what it builds.
    #[must_use]
    pub fn basis(&self) -> Epoch {
        self.basis
    }

    /// What would be committed.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The ring as it is.
    #[must_use]
    pub fn before(&self) -> &Arc<Ring> {
        &self.before
    }

    /// The ring as it would be.
    #[must_use]
    pub fn after(&self) -> &Arc<Ring> {
        &self.after
    }

    /// What would move.
    pub fn moves(&self) -> impl Iterator<Item = Move> {
        self.before.moves(&self.after)
    }

    /// The share of all keys, times their copies, that has to move: 1 is as much as there are keys.
    #[must_use]
    pub fn moved(&self) -> f64 {
        let keys = |it: Move| (it.range.last.0 - it.range.first.0) as f64 / u128::MAX as f64;
        self.moves().filter(|it| it.to.is_some()).map(keys).sum()
    }

    /// What it does to each node.
    #[must_use]
    pub fn loads(&self) -> BTreeMap<NodeId, Load> {
        let mut loads: BTreeMap<NodeId, Load> = BTreeMap::new();
        for (ring, is_after) in [(&self.before, false), (&self.after, true)] {
            for member in ring.members() {
                loads.entry(member.id).or_default();
            }
            for partition in ring.partitions() {
                for owner in ring.preference(partition).primaries(ring.replicas()) {
                    let load = loads.entry(owner.id).or_default();
                    if is_after {
                        load.after += 1;
                    } else {
                        load.before += 1;
                    }
                }
            }
        }
        for it in self.moves() {
            if let Some(node) = it.to {
                loads.entry(node).or_default().gains += 1;
            }
            if let Some(node) = it.from {
                loads.entry(node).or_default().gives += 1;
            }
        }
        loads
    }
}
