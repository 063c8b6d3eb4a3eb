//! What a bucket does about concurrent writes.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Actor, Clock, Content, Data, DataType, Dot, Retirements, Sibling};
use crate::WallTime;

/// A bucket's conflict policy: chosen at its birth, never changed.
///
/// Whatever the policy, merging is commutative, associative and idempotent, and looks at nothing
/// but the states merged: never at a clock on the wall, a request id or a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Concurrent writes are all kept until a client that has seen them writes again.
    #[default]
    Siblings,
    /// One write stays: of concurrent ones that with the higher stamp, or the higher dot where
    /// stamps are equal. **Loses acknowledged writes by design.**
    ///
    /// A write is stamped later than all that it supersedes, so what came causally later always
    /// wins, whatever the clocks say.
    LastWriteWins {
        /// How far a stamp may run ahead of the coordinator's clock before a write is refused
        /// whose client has not read what it would follow.
        max_skew: Duration,
    },
    /// Every key is of this type. Updates made at the same time are all kept and merge by
    /// themselves.
    Data(DataType),
}

/// The live values of a key, sorted by dot; usually one.
pub(super) type Values = SmallVec<[Sibling; 1]>;

/// What one side of a merge has seen.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) clock: &'a Clock,
    /// Whether what it is known to have seen by its height alone is to be taken as superseded
    /// there.
    by_height: bool,
    retired: &'a Retirements,
}

impl<'a> Sight<'a> {
    pub(super) fn new(clock: &'a Clock, by_height: bool, retired: &'a Retirements) -> Self {
        Self {
            clock,
            by_height,
            retired,
        }
    }

    fn covers(self, sibling: &Sibling) -> bool {
        let Dot { actor, counter } = &sibling.dot;
        self.clock.counter(actor) >= *counter || self.covers_retired(sibling)
    }

    /// How many of an actor's dots it has seen.
    pub(super) fn counter(self, actor: &Actor) -> u32 {
        match self.by_height && self.retired.cover(self.clock.height(), actor) {
            true => u32::MAX,
            false => self.clock.counter(actor),
        }
    }

    /// Whether it has seen that because all have.
    fn covers_retired(self, sibling: &Sibling) -> bool {
        let (height, actor) = (self.clock.height(), &sibling.dot.actor);
        (self.by_height || sibling.value.content.is_tombstone())
            && self.retired.cover(height, actor)
    }
}

impl Policy {
    /// The stamp of a write at a coordinator where values are stamped up to `seen`; an error if the
    /// policy forbids it, saying how far ahead it would be. Who has seen those values may go on
    /// from them, however far ahead they are: it was not this write that ran away.
    pub(super) fn stamp(
        &self,
        wall: WallTime,
        seen: WallTime,
        has_read: bool,
    ) -> Result<WallTime, Duration> {
        let Self::LastWriteWins { max_skew } = self else {
            return Ok(wall);
        };
        let stamp = planted!(StampIgnoresSeen ? wall; wall.max(seen.next()));
        let ahead = Duration::from_micros(stamp.as_micros() - wall.as_micros());
        let is_last = stamp == seen; // nothing can come after the end of time
        if is_last || (ahead > *max_skew && !has_read) {
            Err(ahead)
        } else {
            Ok(stamp)
        }
    }

    /// Adds to `ours` what of `theirs` stays alive and drops from it what does not. What each side
    /// has seen is that of before the merge. Returns whether `ours` changed.
    pub(super) fn merge(
        &self,
        (ours, theirs): (&mut Values, Values),
        (our_sight, their_sight): (Sight<'_>, Sight<'_>),
    ) -> bool {
        match self {
            Self::Siblings => {
                let before = ours.len();
                ours.retain(|sibling| {
                    position(&theirs, &sibling.dot).is_ok() || !their_sight.covers(sibling)
                });
                let mut has_changed = ours.len() < before;
                let known = ours.len();
                for sibling in theirs {
                    let is_known = position(&ours[..known], &sibling.dot).is_ok();
                    if !is_known && !our_sight.covers(&sibling) {
                        ours.push(sibling);
                    }
                }
                if ours.len() > known {
                    ours.sort_unstable_by_key(|sibling| sibling.dot);
                    has_changed = true;
                }
                has_changed
            }
            Self::LastWriteWins { .. } => {
                let before = ours.len();
                let is_left = |sibling: &Sibling, others: &Values, sight: Sight<'_>| {
                    position(others, &sibling.dot).is_ok() || !sight.covers_retired(sibling)
                };
                let mut theirs = theirs;
                theirs.retain(|sibling| is_left(sibling, ours, our_sight));
                ours.retain(|sibling| is_left(sibling, &theirs, their_sight));
                let mut has_changed = ours.len() < before;
                for sibling in theirs {
                    has_changed |= self.admit(ours, sibling);
                }
                has_changed
            }
            Self::Data(kind) => {
                let (our, their) = (data(*kind, ours), data(*kind, &theirs));
                let merged = Data::merge((&our, our_sight), (&their, their_sight));
                self.replace(ours, theirs.into_iter().next_back(), merged)
            }
        }
    }

    /// Leaves data as the one value, named by the last dot of all that went into it: so its name is
    /// the same wherever the same was seen. Returns whether that changed anything.
    pub(super) fn replace(
        &self,
        values: &mut Values,
        other: Option<Sibling>,
        merged: Data,
    ) -> bool {
        let before = values.first().cloned();
        let stamps = before.iter().chain(&other).map(|it| it.value.stamp);
        let stamp = stamps.max();
        let named = before.clone().into_iter().chain(other);
        let Some(mut after) = named.max_by_key(|sibling| sibling.dot) else {
            return false; // neither has ever had a value
        };
        after.value.stamp = stamp.unwrap_or_default();
        after.value.content = match merged.is_empty() {
            true => Content::Tombstone,
            false => Content::Data(merged),
        };
        let has_changed = before.as_ref() != Some(&after);
        values.clear();
        values.push(after);
        has_changed
    }

    /// Drops what may not stay beside the others in a state that is taken over as it came. A
    /// bucket's policy never changes, so only a peer of another mind can send such a one.
    pub(super) fn settle(&self, values: &mut Values) {
        match self {
            Self::Siblings => {}
            Self::LastWriteWins { .. } => {
                while values.len() > 1 {
                    let loser = usize::from(rank(&values[0]) > rank(&values[1]));
                    values.remove(loser);
                }
            }
            Self::Data(kind) => {
                values.drain(..values.len().saturating_sub(1));
                let data = data(*kind, values);
                self.replace(values, None, data);
            }
        }
    }

    /// Adds one plain value to those that it does not supersede. Returns whether it stayed.
    pub(super) fn admit(&self, values: &mut Values, sibling: Sibling) -> bool {
        match self {
            Self::Siblings | Self::Data(_) => {
                let at = position(values, &sibling.dot).unwrap_or_else(|at| at);
                values.insert(at, sibling);
                true
            }
            // The maximum of a total order: a merge by itself, whatever the clocks. Stamps rise
            // along causality, so it never picks what the other supersedes.
            Self::LastWriteWins { .. } => match values.first_mut() {
                None => {
                    values.push(sibling);
                    true
                }
                Some(last) if rank(last) < rank(&sibling) => {
                    *last = sibling;
                    true
                }
                Some(_) => false,
            },
        }
    }
}

/// The data among a key's values: nothing yet if there is none, or if it is of another type, which
/// only a peer of another mind can send.
pub(super) fn data(kind: DataType, values: &[Sibling]) -> Data {
    match values.last().map(|sibling| &sibling.value.content) {
        Some(Content::Data(data)) if data.kind() == kind => data.clone(),
        _ => Data::new(kind),
    }
}

fn position(values: &[Sibling], dot: &Dot) -> Result<usize, usize> {
    values.binary_search_by_key(dot, |sibling| sibling.dot)
}

fn rank(sibling: &Sibling) -> (WallTime, Dot) {
    (sibling.value.stamp, sibling.dot)
}
