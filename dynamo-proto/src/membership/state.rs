//! What a history makes of a cluster: who is in it, how buckets are kept, and what had no effect.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::commit::{Birth, Change, Commit, CommitId};
use super::limits::{MAX_BUCKET_TYPES, MAX_SINGLE_BUCKETS};
use crate::ring::{MAX_MEMBERS, Member, RingConfig};
use crate::version::Policy;
use crate::{Bucket, Buckets, NodeId};

/// The bucket type of keys that name none.
const DEFAULT_TYPE: &[u8] = b"default";

/// What a node is to its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In the ring.
    Member(Arc<Member>),
    /// No more in the ring, and not removed either: it gives away what it holds.
    Leaving(Arc<Member>),
    /// No part of the cluster, for ever.
    Removed,
}

/// Why a change has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Void {
    /// It joins who is there.
    #[error("node {0} is a member already")]
    IsMember(NodeId),
    /// It names who was removed.
    #[error(
        "node {0} was removed, which is final: give it an empty store, and with it a new identity"
    )]
    WasRemoved(NodeId),
    /// It names who is no member.
    #[error("node {0} is not a member")]
    NotMember(NodeId),
    /// It names who is about to go.
    #[error("node {0} is leaving: remove it, or let it finish")]
    IsLeaving(NodeId),
    /// It would leave a cluster of nobody.
    #[error("node {0} is the last member: let another join first")]
    LastMember(NodeId),
    /// It would make more members than a ring has places for.
    #[error("there are {MAX_MEMBERS} members already, the most that a ring can number")]
    TooManyMembers,
    /// It would make more random tokens than a ring has places for.
    #[error("the members would weigh more than {most} together, the most for this strategy")]
    TooHeavy {
        /// The limit.
        most: u64,
    },
    /// It would make another bucket type.
    #[error("there are {MAX_BUCKET_TYPES} bucket types already: use one of them")]
    TooManyTypes,
    /// It would change how concurrent writes are settled.
    #[error("the policy of a bucket type is chosen once: use another name")]
    PolicyIsFixed,
    /// It would make another bucket that is not kept as its type says.
    #[error(
        "{MAX_SINGLE_BUCKETS} buckets are kept in ways of their own already: make a bucket type for \
         those that are to be kept alike"
    )]
    TooManyBuckets,
    /// It would change how many replicas there are of keys that may have been written.
    #[error("the number of replicas, n, is chosen once: use another name")]
    ReplicasAreFixed,
    /// It asks for what no bucket, node or weight can be.
    #[error("a weight must not be 0, labels at most 255 bytes, quorums at most n and not 0")]
    Unsound,
}

/// A change of the history that has no effect, because of what comes before it in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voided {
    /// In which commit.
    pub commit: CommitId,
    /// Which of its changes, counted from 0.
    pub change: usize,
    /// Why.
    pub why: Void,
}

/// A cluster as one history has made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    config: RingConfig,
    /// All that were ever members or turned away, in the order of their ids.
    nodes: Vec<(NodeId, Standing)>,
    members: usize,
    weight: u64,
    buckets: Arc<Buckets>,
    voided: Vec<Voided>,
    /// Counts what makes another ring.
    shifts: u32,
}

impl State {
    pub(super) fn birth(birth: &Birth) -> Self {
        let nodes: Vec<_> = birth
            .members
            .iter()
            .map(|member| (member.id, Standing::Member(member.clone())))
            .collect();
        Self {
            config: birth.ring,
            members: nodes.len(),
            weight: birth.members.iter().map(|it| u64::from(it.weight)).sum(),
            nodes,
            buckets: Arc::new(birth.buckets.clone()),
            voided: Vec::new(),
            shifts: 0,
        }
    }

    /// What a node is to the cluster; nothing if no commit names it.
    #[must_use]
    pub fn standing(&self, node: NodeId) -> Option<&Standing> {
        self.position(node).ok().map(|at| &self.nodes[at].1)
    }

    /// Whether it is in the ring.
    #[must_use]
    pub fn is_member(&self, node: NodeId) -> bool {
        matches!(self.standing(node), Some(Standing::Member(_)))
    }

    /// Whether it is out for ever.
    #[must_use]
    pub fn is_removed(&self, node: NodeId) -> bool {
        matches!(self.standing(node), Some(Standing::Removed))
    }

    /// Who is in the ring, in the order of ids.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.nodes
            .iter()
            .filter_map(|(_, standing)| match standing {
                Standing::Member(member) => Some(member),
                _ => None,
            })
    }

    /// Everybody whose word counts, in the order of ids: members and who is leaving.
    pub fn present(&self) -> impl Iterator<Item = NodeId> {
        let present = |it: &&(NodeId, Standing)| it.1 != Standing::Removed;
        self.nodes.iter().filter(present).map(|(node, _)| *node)
    }

    /// Everybody who was removed or turned away, in the order of ids.
    pub fn removed(&self) -> impl Iterator<Item = NodeId> {
        let removed = |it: &&(NodeId, Standing)| it.1 == Standing::Removed;
        self.nodes.iter().filter(removed).map(|(node, _)| *node)
    }

    /// How keys are kept.
    #[must_use]
    pub fn buckets(&self) -> &Arc<Buckets> {
        &self.buckets
    }

    /// What of the history has no effect, in its order.
    #[must_use]
    pub fn voided(&self) -> &[Voided] {
        &self.voided
    }

    /// Takes the next commit into account. Returns whether that makes another ring.
    pub(super) fn apply(&mut self, id: CommitId, commit: &Commit) -> bool {
        let before = self.shifts;
        for (at, change) in commit.changes.iter().enumerate() {
            if let Err(why) = self.change(change) {
                self.voided.push(Voided {
                    commit: id,
                    change: at,
                    why,
                });
            }
        }
        self.shifts != before
    }

    /// Takes one change into account, or says why it has no effect.
    pub(super) fn change(&mut self, change: &Change) -> Result<(), Void> {
        if !change.is_sound() {
            return Err(Void::Unsound);
        }
        match change {
            Change::Join(member) => self.join(member, None),
            Change::Leave(node) => {
                let member = self.member(*node)?.clone();
                self.check_not_last(*node)?;
                self.set(*node, Standing::Leaving(member));
                Ok(())
            }
            Change::Remove(node) => {
                match self.standing(*node) {
                    Some(Standing::Member(_)) => self.check_not_last(*node)?,
                    Some(Standing::Removed) => return Err(Void::WasRemoved(*node)),
                    Some(Standing::Leaving(_)) | None => {}
                }
                self.set(*node, Standing::Removed);
                Ok(())
            }
            Change::Replace { dead, by } => {
                self.join(by, Some(*dead))?;
                self.set(*dead, Standing::Removed);
                Ok(())
            }
            Change::Weigh { node, weight } => {
                let member = Member {
                    weight: *weight,
                    ..Member::clone(self.member(*node)?)
                };
                self.check_weight(*weight, Some(*node))?;
                self.set(*node, Standing::Member(Arc::new(member)));
                Ok(())
            }
            Change::Place { node, zone, host } => {
                let member = Member {
                    zone: zone.clone(),
                    host: host.clone(),
                    ..Member::clone(self.member(*node)?)
                };
                self.set(*node, Standing::Member(Arc::new(member)));
                Ok(())
            }
            Change::Keep {
                bucket_type,
                name: None,
                bucket,
            } => self.keep(bucket_type, bucket),
            Change::Keep {
                bucket_type,
                name: Some(name),
                bucket,
            } => self.keep_one(bucket_type, name, bucket),
        }
    }

    /// Bytes that this keeps on the heap, as if it shared nothing.
    pub(super) fn heap_bytes(&self) -> usize {
        let labels = |standing: &Standing| match standing {
            Standing::Member(member) | Standing::Leaving(member) => {
                size_of::<Member>() + member.zone.len() + member.host.len()
            }
            Standing::Removed => 0,
        };
        self.nodes.capacity() * size_of::<(NodeId, Standing)>()
            + self.nodes.iter().map(|(_, it)| labels(it)).sum::<usize>()
            + self.voided.capacity() * size_of::<Voided>()
            + self.buckets.all().count() * (size_of::<Bucket>() + 32)
    }

    fn join(&mut self, member: &Arc<Member>, instead_of: Option<NodeId>) -> Result<(), Void> {
        match self.standing(member.id) {
            None => {}
            Some(Standing::Member(_)) => return Err(Void::IsMember(member.id)),
            Some(Standing::Leaving(_)) => return Err(Void::IsLeaving(member.id)),
            Some(Standing::Removed) => return Err(Void::WasRemoved(member.id)),
        }
        let leaves = instead_of.filter(|node| self.is_member(*node));
        if leaves.is_none() && self.members == MAX_MEMBERS {
            return Err(Void::TooManyMembers);
        }
        self.check_weight(member.weight, leaves)?;
        self.set(member.id, Standing::Member(member.clone()));
        Ok(())
    }

    fn keep(&mut self, name: &[u8], bucket: &Bucket) -> Result<(), Void> {
        let buckets = &self.buckets;
        match buckets.types.get(name) {
            Some(kept) => may_become(kept, bucket)?,
            None if name == DEFAULT_TYPE => may_become(&buckets.default, bucket)?,
            None if buckets.types.len() >= MAX_BUCKET_TYPES => return Err(Void::TooManyTypes),
            None => {}
        }
        let buckets = Arc::make_mut(&mut self.buckets);
        buckets.types.insert(name.into(), bucket.clone());
        Ok(())
    }

    /// Until something is said of a single bucket it may have been written as its type is kept. What
    /// was, stays what it is where concurrent writes are settled in another way from now on.
    fn keep_one(&mut self, bucket_type: &[u8], name: &[u8], bucket: &Bucket) -> Result<(), Void> {
        let buckets = &self.buckets;
        match buckets.single(bucket_type, name) {
            Some(kept) => may_become(kept, bucket)?,
            None if buckets.singles() >= MAX_SINGLE_BUCKETS => return Err(Void::TooManyBuckets),
            None => {
                let kept = buckets.of_type(bucket_type);
                let is_data = |bucket: &Bucket| matches!(bucket.policy, Policy::Data(_));
                if kept.policy != bucket.policy && (is_data(kept) || is_data(bucket)) {
                    return Err(Void::PolicyIsFixed);
                }
                have_as_many_replicas(kept, bucket)?;
            }
        }
        let buckets = Arc::make_mut(&mut self.buckets);
        let single = buckets.single.entry(bucket_type.into()).or_default();
        single.insert(name.into(), bucket.clone());
        Ok(())
    }

    fn member(&self, node: NodeId) -> Result<&Arc<Member>, Void> {
        match self.standing(node) {
            Some(Standing::Member(member)) => Ok(member),
            Some(Standing::Leaving(_)) => Err(Void::IsLeaving(node)),
            Some(Standing::Removed) => Err(Void::WasRemoved(node)),
            None => Err(Void::NotMember(node)),
        }
    }

    fn check_not_last(&self, node: NodeId) -> Result<(), Void> {
        if self.members > 1 {
            Ok(())
        } else {
            Err(Void::LastMember(node))
        }
    }

    /// Whether somebody of that weight may come, or take the place of a member.
    fn check_weight(&self, weight: u32, instead_of: Option<NodeId>) -> Result<(), Void> {
        let freed = instead_of
            .and_then(|node| self.member(node).ok())
            .map_or(0, |member| member.weight);
        let most = self.config.most_weight();
        if self.weight - u64::from(freed) + u64::from(weight) <= most {
            Ok(())
        } else {
            Err(Void::TooHeavy { most })
        }
    }

    fn set(&mut self, node: NodeId, standing: Standing) {
        let at = self.position(node);
        let old = at.ok().map(|at| &self.nodes[at].1);
        let counts = |standing: Option<&Standing>| match standing {
            Some(Standing::Member(member)) => (1, u64::from(member.weight)),
            _ => (0, 0),
        };
        let (left, came) = (counts(old), counts(Some(&standing)));
        self.members = self.members - left.0 + came.0;
        self.weight = self.weight - left.1 + came.1;
        if (left.0 > 0 || came.0 > 0) && old != Some(&standing) {
            self.shifts += 1;
        }
        match at {
            Ok(at) => self.nodes[at].1 = standing,
            Err(at) => self.nodes.insert(at, (node, standing)),
        }
    }

    fn position(&self, node: NodeId) -> Result<usize, usize> {
        self.nodes.binary_search_by_key(&node, |(node, _)| *node)
    }
}

/// Whether a type or bucket that is kept in the first way may be kept in the second.
fn may_become(kept: &Bucket, bucket: &Bucket) -> Result<(), Void> {
    if kept.policy != bucket.policy {
        return Err(Void::PolicyIsFixed);
    }
    have_as_many_replicas(kept, bucket)
}

fn have_as_many_replicas(kept: &Bucket, bucket: &Bucket) -> Result<(), Void> {
    if kept.n == bucket.n {
        Ok(())
    } else {
        Err(Void::ReplicasAreFixed)
    }
}
