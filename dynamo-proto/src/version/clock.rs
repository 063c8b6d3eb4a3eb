//! Vector clocks: which dots of each actor somebody has seen.

use alloc::vec::Vec;
use core::{array, fmt};

use smallvec::SmallVec;

use super::{Actor, Boot, Dot, Height, Retirements};
use crate::NodeId;

/// "Every dot of this actor up to this counter."
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whose dots.
    pub actor: Actor,
    /// How many of them: 1 to this one.
    pub counter: u32,
    /// When the last of them was minted, in seconds since 1970, by its coordinator's clock; 0 for
    /// a retired boot. Only [truncation](super::Rules::truncate_to) looks at it.
    pub updated: u32,
}

/// What somebody has seen of one key: for each actor its dots up to a counter, and all dots of the
/// boots retired up to a [`Height`].
///
/// Up to three entries are held in place. Entries are sorted by actor, so equal clocks are equal
/// bytes.
#[derive(Default, PartialEq, Eq)]
pub struct Clock {
    entries: Entries,
    height: Height,
}

/// How two clocks stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causality {
    /// Both have seen the same.
    Equal,
    /// The other has seen all of this, and more.
    Before,
    /// This has seen all of the other, and more.
    After,
    /// Each has seen something that the other has not.
    Concurrent,
}

/// As many actors as a key normally has replicas.
const INLINE: usize = 3;

pub(super) type Entries = SmallVec<[Entry; INLINE]>;

impl Clock {
    /// The entries, sorted by actor.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Which retirements are taken into account.
    #[must_use]
    pub fn height(&self) -> Height {
        self.height
    }

    /// Whether nothing has been seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.height == Height(0)
    }

    /// The last dot of that actor that is named here; 0 if none is.
    #[must_use]
    pub fn counter(&self, actor: &Actor) -> u32 {
        self.position(actor)
            .map_or(0, |at| self.entries[at].counter)
    }

    /// Whether that dot has been seen.
    #[must_use]
    pub fn covers(&self, dot: &Dot, retired: &Retirements) -> bool {
        self.counter(&dot.actor) >= dot.counter || retired.cover(self.height, &dot.actor)
    }

    /// How this clock stands to another.
    #[inline]
    #[must_use]
    pub fn compare(&self, other: &Self, retired: &Retirements) -> Causality {
        self.compare_same_actors(other)
            .unwrap_or_else(|| self.compare_any(other, retired))
    }

    /// The usual case, in which neither clock names anybody whom the other does not.
    #[inline]
    fn compare_same_actors(&self, other: &Self) -> Option<Causality> {
        let (ours, theirs): (&[Entry], &[Entry]) = (&self.entries, &other.entries);
        if ours.len() != theirs.len() || self.height.max(other.height) > Height(0) {
            return None;
        }
        // All words of all entries side by side, and one question at the end: that needs neither
        // branches nor more than a few instructions.
        let mut unlike = [0; 4];
        for (ours, theirs) in ours.iter().zip(theirs) {
            let (ours, theirs) = (ours.words(), theirs.words());
            unlike = array::from_fn(|at| unlike[at] | (ours[at] ^ theirs[at]));
        }
        let [node, boot, serial, _] = unlike;
        if unlike == [0; 4] {
            return Some(Causality::Equal);
        } else if node | boot | serial != 0 {
            return None;
        }
        let (mut ahead, mut behind) = (false, false);
        for (ours, theirs) in ours.iter().zip(theirs) {
            ahead |= ours.counter > theirs.counter;
            behind |= ours.counter < theirs.counter;
        }
        Some(Causality::of(ahead, behind))
    }

    #[cold]
    fn compare_any(&self, other: &Self, retired: &Retirements) -> Causality {
        let mut ahead = self.height > other.height;
        let mut behind = self.height < other.height;
        let (mut ours, mut theirs) = (self.entries.iter(), other.entries.iter());
        let (mut our, mut their) = (ours.next(), theirs.next());
        loop {
            // Of one actor at a time: how far each side names it, 0 where it does not.
            let (actor, here, there) = match (our, their) {
                (None, None) => break,
                (Some(a), Some(b)) if a.actor == b.actor => {
                    (our, their) = (ours.next(), theirs.next());
                    (&a.actor, a.counter, b.counter)
                }
                (Some(a), b) if b.is_none_or(|b| a.actor < b.actor) => {
                    our = ours.next();
                    (&a.actor, a.counter, 0)
                }
                (_, Some(b)) => {
                    their = theirs.next();
                    (&b.actor, 0, b.counter)
                }
                (Some(_), None) => unreachable!("taken by the arm that holds for no entry there"),
            };
            if here > there {
                ahead |= !retired.cover(other.height, actor);
            } else if here < there {
                behind |= !retired.cover(self.height, actor);
            }
        }
        Causality::of(ahead, behind)
    }

    /// Adds all that the other has seen.
    pub fn join(&mut self, other: &Self) {
        self.raise(other.height);
        let mut missing = 0;
        let mut at = 0;
        for entry in &other.entries {
            while self
                .entries
                .get(at)
                .is_some_and(|ours| ours.actor < entry.actor)
            {
                at += 1;
            }
            match self.entries.get_mut(at) {
                Some(ours) if ours.actor == entry.actor => ours.rise(entry),
                _ => missing += 1,
            }
        }
        if missing > 0 {
            self.weave(&other.entries, missing);
        }
    }

    /// Records a write just minted.
    pub(super) fn advance(&mut self, dot: Dot, updated: u32) {
        let entry = Entry {
            actor: dot.actor,
            counter: dot.counter,
            updated,
        };
        match self
            .entries
            .binary_search_by_key(&dot.actor, |entry| entry.actor)
        {
            Ok(at) => self.entries[at] = entry,
            Err(at) => self.entries.insert(at, entry),
        }
    }

    /// How many entries a join with the other would leave.
    pub(super) fn joined_len(&self, other: &Self) -> usize {
        let new = other
            .entries
            .iter()
            .filter(|entry| self.position(&entry.actor).is_none());
        self.entries.len() + new.count()
    }

    pub(super) fn raise(&mut self, height: Height) {
        self.height = self.height.max(height);
    }

    /// Reduces the entries of retired boots to what live values need: the counter of the last
    /// one, 0 where there is none.
    pub(super) fn leave_out_retired(
        &mut self,
        retired: &Retirements,
        last_live: impl Fn(&Actor) -> u32,
    ) {
        let height = self.height;
        self.entries.retain(|entry| {
            if retired.cover(height, &entry.actor) {
                *entry = Entry {
                    actor: entry.actor,
                    counter: last_live(&entry.actor),
                    updated: 0,
                };
            }
            entry.counter > 0
        });
    }

    /// Whether any entry is of a retired boot.
    pub(super) fn names_retired(&self, retired: &Retirements) -> bool {
        let height = retired.height();
        let mut entries = self.entries.iter();
        entries.any(|entry| retired.cover(height, &entry.actor))
    }

    /// Whether both name the same, but for retired boots.
    pub(super) fn names_same_beyond(&self, other: &Self, retired: &Retirements) -> bool {
        let height = retired.height();
        let is_left = |entry: &&Entry| !retired.cover(height, &entry.actor);
        let (ours, theirs) = (self.entries.iter(), other.entries.iter());
        ours.filter(is_left).eq(theirs.filter(is_left))
    }

    /// Whether all entries are of boots whose retirement is taken into account.
    pub(super) fn names_only_retired(&self, retired: &Retirements) -> bool {
        let mut entries = self.entries.iter();
        entries.all(|entry| retired.cover(self.height, &entry.actor))
    }

    /// Leaves out the entries updated longest ago, none that a live value needs, until at most
    /// `keep` remain.
    pub(super) fn truncate(&mut self, keep: usize, is_live: impl Fn(&Actor) -> bool) {
        let excess = self.entries.len().saturating_sub(keep);
        if excess == 0 {
            return;
        }
        let dead = self.entries.iter().filter(|entry| !is_live(&entry.actor));
        let mut oldest: Vec<_> = dead.map(|entry| (entry.updated, entry.actor)).collect();
        oldest.sort_unstable();
        oldest.truncate(excess);
        self.entries
            .retain(|entry| oldest.binary_search(&(entry.updated, entry.actor)).is_err());
    }

    /// Becomes a clock of these parts; `None` if they are not sorted or do not count from 1.
    #[inline]
    pub(super) fn fill(
        &mut self,
        entries: impl Iterator<Item = Entry>,
        height: Height,
    ) -> Option<()> {
        self.height = height;
        self.entries.clear();
        for entry in entries {
            let is_next = self
                .entries
                .last()
                .is_none_or(|last| last.actor < entry.actor);
            if !is_next || entry.counter == 0 {
                return None;
            }
            self.entries.push(entry);
        }
        Some(())
    }

    fn position(&self, actor: &Actor) -> Option<usize> {
        if self.entries.len() <= INLINE {
            self.entries.iter().position(|entry| entry.actor == *actor)
        } else {
            self.entries
                .binary_search_by_key(actor, |entry| entry.actor)
                .ok()
        }
    }

    /// Merges in sorted entries of which `missing` have no counterpart here: from the back, so
    /// that everything moves once.
    fn weave(&mut self, theirs: &[Entry], missing: usize) {
        let mut ours = self.entries.len();
        let mut to = ours + missing;
        self.entries.resize(to, Entry::NOTHING);
        for entry in theirs.iter().rev() {
            while ours > 0 && self.entries[ours - 1].actor > entry.actor {
                (ours, to) = (ours - 1, to - 1);
                self.entries[to] = self.entries[ours];
            }
            to -= 1;
            if ours > 0 && self.entries[ours - 1].actor == entry.actor {
                ours -= 1;
                self.entries[to] = self.entries[ours]; // already the higher of the two
            } else {
                self.entries[to] = *entry;
            }
        }
    }
}

impl Causality {
    #[inline]
    fn of(ahead: bool, behind: bool) -> Self {
        match (ahead, behind) {
            (false, false) => Self::Equal,
            (false, true) => Self::Before,
            (true, false) => Self::After,
            (true, true) => Self::Concurrent,
        }
    }
}

impl Entry {
    const NOTHING: Self = Self {
        actor: Actor {
            node: NodeId(0),
            boot: Boot(0),
            serial: 0,
        },
        counter: 0,
        updated: 0,
    };

    /// All that it says: its actor in three words, then the rest.
    #[inline]
    fn words(&self) -> [u64; 4] {
        let Actor { node, boot, serial } = self.actor;
        let rest = u64::from(self.updated) << 32 | u64::from(self.counter);
        [node.0, boot.0, serial, rest]
    }

    /// The later of two entries of one actor. A counter has one time; should two claim different
    /// ones, every replica must pick the same.
    fn rise(&mut self, other: &Self) {
        if (other.counter, other.updated) > (self.counter, self.updated) {
            *self = *other;
        }
    }
}

impl Clone for Clock {
    fn clone(&self) -> Self {
        // What SmallVec derives clones entry by entry; this copies them in one piece.
        Self {
            entries: SmallVec::from_slice(&self.entries),
            height: self.height,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.actor, self.counter)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.entries).finish()?;
        match self.height {
            Height(0) => Ok(()),
            Height(height) => write!(f, "^{height}"),
        }
    }
}
