//! The rings by which a node works just now.

use alloc::sync::Arc;
use alloc::vec::Vec;

use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::membership::{Membership, ShortEpoch, Standing};
use crate::ring::{Member, Ring, RingError};
use crate::{Buckets, NodeId, Token};

/// Who is on duty for what, as far as this node knows, while partitions move and when they do not.
pub(crate) struct View {
    /// What requests by it say.
    pub(crate) epoch: ShortEpoch,
    /// Of the current epoch.
    pub(crate) ring: Arc<Ring>,
    /// Whose owners have all that was acknowledged: by it reads go.
    pub(crate) reads: Arc<Ring>,
    /// Of that one.
    pub(crate) fingerprint: u64,
    /// The rings beside the current one by which others may still read or write. Empty while nothing
    /// moves.
    pub(crate) past: Vec<Arc<Ring>>,
    /// How keys are kept.
    pub(crate) buckets: Arc<Buckets>,
    /// Members and those who are leaving, in the order of their ids.
    pub(crate) present: Vec<NodeId>,
    /// Whether partitions ever had other owners.
    pub(crate) was_moved: bool,
    /// Whether this node answers for keys.
    pub(crate) is_serving: bool,
    /// Whether it never will again.
    pub(crate) is_over: bool,
}

/// A few nodes.
pub(crate) type Few = SmallVec<[NodeId; 4]>;

impl View {
    /// What a membership makes of it. A node that knows of no cluster yet sees only itself.
    pub(crate) fn of(membership: &mut Membership, me: &Member) -> Result<Self, RingError> {
        let Some(config) = membership.history().map(|it| it.birth().ring) else {
            let alone = Ring::birth(crate::ring::RingConfig::default(), [me.clone()].into());
            let ring = Arc::new(alone?);
            return Ok(Self {
                epoch: ShortEpoch::default(),
                reads: ring.clone(),
                fingerprint: ring.fingerprint(),
                ring,
                past: Vec::new(),
                buckets: Arc::default(),
                present: Vec::new(),
                was_moved: false,
                is_serving: false,
                is_over: false,
            });
        };
        debug_assert!(config.replicas > 0);
        let (ring, reads) = (membership.ring()?, membership.reads()?);
        let mut past = membership.past()?.into_rings();
        let reads = planted!(ReadsAhead ? ring.clone(); reads);
        planted!(NewRingOnly => past.clear());
        let reads = planted!(NewRingOnly ? ring.clone(); reads);
        if reads != ring && !past.contains(&reads) {
            past.push(reads.clone());
        }
        let state = membership.state();
        let standing = state.and_then(|state| state.standing(me.id));
        Ok(Self {
            epoch: membership.epoch().short(),
            present: state.map_or_else(Vec::new, |state| state.present().collect()),
            buckets: state.map_or_else(Arc::default, |state| state.buckets().clone()),
            was_moved: membership.epoch().height > 1,
            is_serving: membership.is_serving(),
            is_over: matches!(standing, Some(Standing::Removed)) || membership.is_overtaken(),
            fingerprint: reads.fingerprint(),
            ring,
            reads,
            past,
        })
    }

    /// Whether requests go by more than one ring.
    pub(crate) fn is_moving(&self) -> bool {
        !self.past.is_empty()
    }

    /// All rings by which writes go, the current one first.
    pub(crate) fn rings(&self) -> impl Iterator<Item = &Arc<Ring>> {
        core::iter::once(&self.ring).chain(&self.past)
    }

    /// Whether that node is of the cluster at all.
    pub(crate) fn is_present(&self, node: NodeId) -> bool {
        self.present.binary_search(&node).is_ok()
    }

    /// Whether a node is among the first `n` on duty by any of the rings.
    #[inline]
    pub(crate) fn is_on_duty(&self, node: NodeId, token: Token, n: usize) -> bool {
        let mut rings = self.rings();
        rings.any(|ring| ring.lookup(token).is_primary(node, n))
    }

    /// Who is on duty by an older ring only.
    pub(crate) fn older(&self, token: Token, n: usize) -> Few {
        let mut older = Few::new();
        for ring in &self.past {
            for member in ring.lookup(token).primaries(n) {
                let is_current = self.ring.lookup(token).is_primary(member.id, n);
                if !is_current && !older.contains(&member.id) && self.is_present(member.id) {
                    older.push(member.id);
                }
            }
        }
        older
    }

    /// The machine that a node stands on, as a number: the same for all that share it, as long as
    /// the rings are the same.
    pub(crate) fn host(&self, node: NodeId) -> Option<u64> {
        if !self.is_moving() {
            return self.ring.host(node).map(u64::from);
        }
        let member = self.rings().find_map(|ring| ring.member(node))?;
        let zone = xxh3_64(member.zone.as_bytes());
        Some(xxh3_64_with_seed(member.host.as_bytes(), zone))
    }
}
