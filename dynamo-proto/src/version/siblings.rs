//! The replicated state of a key.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;

use super::policy::{Sight, Values};
use super::{Actor, Behind, Causality, Clock, Content, Height, Policy, Retirements, Sibling};
use crate::WallTime;

/// All that replicas tell each other about a key: its live values and tombstones, each with its
/// own dot, under one clock (a dotted version vector set).
///
/// The clock says which writes have been seen, the dots which of them are alive; what is seen and
/// not alive was superseded. So merging needs no history, and states that have seen the same
/// writes are the same bytes. One value under up to three clock entries needs no allocation beyond
/// the value's own bytes.
///
/// ```
/// use dynamo_proto::version::{Policy, Retirements, Siblings};
///
/// let (policy, retired) = (Policy::Siblings, Retirements::default());
/// let mut absent = Siblings::default();
/// assert!(absent.is_absent());
/// assert_eq!(absent.merge(Siblings::default(), policy, &retired), Ok(false)); // nothing came of nothing
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Siblings {
    pub(super) clock: Clock,
    pub(super) values: Values,
}

/// What a reader has seen, and what a writer says that it had seen: the inside of a
/// [context](super::Context).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Every write that was seen, alive or superseded.
    pub clock: Clock,
    /// The last stamp among what was alive.
    pub stamp: WallTime,
}

impl Siblings {
    /// The state of a key of which everything that boots retired up to that height wrote has been
    /// seen, and nothing of it is left.
    pub(crate) fn nothing_since(height: Height) -> Self {
        let mut siblings = Self::default();
        siblings.clock.raise(height);
        siblings
    }

    /// What has been seen.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The live values and tombstones, sorted by dot: what replicas keep.
    #[must_use]
    pub fn values(&self) -> &[Sibling] {
        &self.values
    }

    /// What a reader is shown: of the writes of one request only the first. (A request that was
    /// retried at another coordinator, which no rule of ours does, still is one write to its
    /// client.)
    pub fn answers(&self) -> impl Iterator<Item = &Sibling> {
        let (has_several, mut shown) = (self.values.len() > 1, BTreeSet::new());
        self.values
            .iter()
            .filter(move |sibling| !has_several || shown.insert(sibling.value.request))
    }

    /// Whether this is the state of a key about which nothing was ever heard.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.clock.is_empty()
    }

    /// Whether there is nothing to keep but that something has been seen that all have.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.clock.entries().is_empty()
    }

    /// Whether a reader finds no value: nothing was ever written, or all that is left is deletes.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.values
            .iter()
            .all(|sibling| sibling.value.content.is_tombstone())
    }

    /// What whoever reads this state has then seen.
    #[must_use]
    pub fn past(&self) -> Past {
        Past {
            clock: self.clock.clone(),
            stamp: last_stamp(&self.values),
        }
    }

    /// Which of two states has seen more. Where the list of retirements reaches both, states that
    /// compare equal are equal.
    #[must_use]
    pub fn compare(&self, other: &Self, retired: &Retirements) -> Causality {
        self.clock.compare(&other.clock, retired)
    }

    /// Takes in all that another replica knows. Returns whether anything here changed.
    pub fn merge(
        &mut self,
        mut other: Self,
        policy: Policy,
        retired: &Retirements,
    ) -> Result<bool, Behind> {
        retired.reach(other.clock.height().max(self.clock.height()))?;
        if other.is_absent() || self.has_same_history(&other) {
            return Ok(false);
        }
        if self.is_absent() {
            policy.settle(&mut other.values);
            other.leave_out_retired(retired);
            *self = other;
            return Ok(true);
        }
        let order = self.compare(&other, retired);
        let has_seen_less = matches!(order, Causality::Before | Causality::Concurrent);
        let has_seen_more = matches!(order, Causality::After | Causality::Concurrent);
        // At one height both have seen all that retired boots wrote. What lives on one side only
        // was superseded by something that the other saw since, or one of them says what is not
        // so: then it stays.
        let is_level = self.clock.height() == other.clock.height();
        let ours = Sight::new(&self.clock, !is_level || has_seen_more, retired);
        let theirs = Sight::new(&other.clock, !is_level || has_seen_less, retired);
        let values = (&mut self.values, other.values);
        let has_new_values = policy.merge(values, (ours, theirs));
        self.clock.join(&other.clock);
        planted!(MergeKeepsOne => self.values.drain(..self.values.len().saturating_sub(1)););
        planted!(MergePrunes => self.clock.truncate(2, |actor| last_live(&self.values, actor) > 0));
        self.leave_out_retired(retired);
        Ok(has_seen_less || has_new_values)
    }

    /// Takes in that every dot of the boots retired up to `height` has been seen. Returns whether
    /// that changed anything.
    ///
    /// Right only for a replica that had subsumed them when the retirement was committed and has
    /// held the key ever since; all others learn it by merging.
    pub fn retire(&mut self, height: Height, retired: &Retirements) -> Result<bool, Behind> {
        retired.reach(height)?;
        let is_higher = height > self.clock.height();
        if is_higher {
            self.clock.raise(height);
            planted!(RetiredUncanonical => return Ok(true));
            self.leave_out_retired(retired);
        }
        Ok(is_higher)
    }

    /// Whether values are sorted and each is named by the clock.
    pub(super) fn is_sound(&self) -> bool {
        let sorted = self.values.windows(2).all(|pair| pair[0].dot < pair[1].dot);
        let named = self.values.iter().all(|sibling| {
            let dot = &sibling.dot;
            dot.counter > 0 && dot.counter <= self.clock.counter(&dot.actor)
        });
        let is_named = |sibling: &Sibling| match &sibling.value.content {
            Content::Data(data) => data.is_named_by(&self.clock),
            Content::Live { .. } | Content::Tombstone => true,
        };
        sorted && named && self.values.iter().all(is_named)
    }

    /// Changes what the values say, for whoever is shown them.
    pub(crate) fn for_each_content(&mut self, change: impl Fn(&mut Content)) {
        for sibling in &mut self.values {
            change(&mut sibling.value.content);
        }
    }

    /// The form that is the same everywhere: a retired boot is named only for its live values.
    pub(super) fn leave_out_retired(&mut self, retired: &Retirements) {
        if self.clock.height() > Height(0) {
            let Self { clock, values } = self;
            for sibling in &mut *values {
                if let Content::Data(data) = &mut sibling.value.content
                    && let Some(folded) = data.fold(clock.height(), retired)
                {
                    *data = folded;
                }
            }
            clock.leave_out_retired(retired, |actor| last_live(values, actor));
            // What everybody has seen deleted needs no record of that.
            if self.is_deleted() && self.clock.names_only_retired(retired) {
                *self = Self::nothing_since(self.clock.height());
            }
        }
    }

    /// The state as whoever knows of those retirements would have it, had he seen all that they
    /// stand for: the same wherever the same was seen and is alive, however far it is known there
    /// that all have seen it.
    pub(crate) fn beyond(&self, retired: &Retirements) -> Cow<'_, Self> {
        let height = retired.height();
        if height == Height(0) || !self.clock.names_retired(retired) {
            return Cow::Borrowed(self);
        }
        let mut beyond = self.clone();
        beyond.clock.raise(height);
        beyond.leave_out_retired(retired);
        Cow::Owned(beyond)
    }

    /// Whether this differs from another state in no more than how far it is known that all have
    /// seen it.
    pub(crate) fn is_level_with(&self, other: &Self, retired: &Retirements) -> bool {
        let (ours, theirs) = (self.beyond(retired), other.beyond(retired));
        ours.clock.entries() == theirs.clock.entries() && ours.has_same_values(&theirs)
    }

    /// Whether this is what somebody had seen when that was all that he had seen.
    pub(crate) fn is_unchanged_since(&self, seen: &Clock, retired: &Retirements) -> bool {
        let mut values = self.values.iter();
        self.clock.names_same_beyond(seen, retired)
            && values.all(|sibling| seen.covers(&sibling.dot, retired))
    }

    /// Equal clocks with the same dots alive: the usual meeting of two replicas, settled without
    /// looking at values.
    fn has_same_history(&self, other: &Self) -> bool {
        self.clock == other.clock && self.has_same_values(other)
    }

    /// Whether the same dots are alive, of data with the same in them.
    fn has_same_values(&self, other: &Self) -> bool {
        let mut pairs = self.values.iter().zip(&other.values);
        let is_same = |(ours, theirs): (&Sibling, &Sibling)| {
            ours.dot == theirs.dot && ours.value.content.data() == theirs.value.content.data()
        };
        self.values.len() == other.values.len() && pairs.all(is_same)
    }
}

impl Past {
    /// Adds what another read, or another node's part of the same read, has seen.
    pub fn join(&mut self, other: &Self) {
        self.clock.join(&other.clock);
        self.stamp = self.stamp.max(other.stamp);
    }
}

/// The counter of the last live value of that actor; 0 if none lives.
pub(super) fn last_live(values: &[Sibling], actor: &Actor) -> u32 {
    let after = values.partition_point(|sibling| sibling.dot.actor <= *actor);
    let last = after.checked_sub(1).map(|at| values[at].dot);
    last.filter(|dot| dot.actor == *actor)
        .map_or(0, |dot| dot.counter)
}

/// The last stamp of some values.
pub(super) fn last_stamp(values: &[Sibling]) -> WallTime {
    values
        .iter()
        .map(|sibling| sibling.value.stamp)
        .max()
        .unwrap_or_default()
}
