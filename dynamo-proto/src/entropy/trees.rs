//! The trees of this node: leaves as far as they are at hand, and sums of all.
//!
//! A leaf changes with its keys, in one batch with each of them. Batches of keys of one leaf go one
//! after the other: so what a leaf says is never more than what is stored beside it, whatever fails
//! and wherever the process ends. Leaves are many, so two keys that change at once seldom share one.
//!
//! Twigs are sums of leaves, made when the node starts by reading the leaves that are kept, and kept
//! up with them from then on.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::iter;
use core::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use super::leaf::{Known, Sum, Value};
use super::leaves::{Leaf, Leaves};
use super::shape::{self, Cell, Shape};
use super::twigs::Twigs;
use crate::node::Slot;
use crate::store::{Address, Change, Item, Page, ReadOutcome, Space, WriteError};
use crate::{NodeId, Token};

/// Most leaves that are kept at hand when nothing is done to them.
const KEPT: usize = 1 << 16;
/// So often it is tried, before a look, to let go of some.
const LET_GO: usize = 128;
/// Most stretches that are to be read; if there were more, everything is.
const UNREAD: usize = 64;
/// Most leaves that are suspected, and most keys that replicas are known to lack.
const MARKED: usize = 1024;

pub(crate) struct Trees {
    shape: Option<Shape>,
    /// What a leaf counts for that says nothing: nobody else has that.
    unsure: Sum,
    leaves: Leaves,
    twigs: Twigs,
    /// Leaves that are not in the twigs yet.
    unread: Vec<Range<u64>>,
    /// How many stretches are being looked through just now.
    looking: u32,
    /// How often leaves were let go meanwhile: what was seen is of no use then.
    lapses: u64,
    /// Counts what happens to leaves.
    ticks: u64,
    /// Leaves that may say what is not so.
    suspects: BTreeSet<u64>,
    /// Keys that some replica may lack.
    dirty: BTreeSet<Token>,
    is_all_dirty: bool,
}

/// Whether a key of a leaf may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Now,
    /// When the leaf has been read, which is under way, or others have changed it.
    Later,
    /// When the leaf has been read, which must be asked for.
    Unread,
}

/// The beginning of a look through a stretch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    lapses: u64,
    ticks: u64,
}

impl Trees {
    pub(crate) fn new(me: NodeId) -> Self {
        let digests = xxh3_64(&me.0.to_be_bytes());
        Self {
            shape: None,
            unsure: Sum { keys: 0, digests },
            leaves: Leaves::default(),
            twigs: Twigs::default(),
            unread: Vec::new(),
            looking: 0,
            lapses: 0,
            ticks: 0,
            suspects: BTreeSet::new(),
            dirty: BTreeSet::new(),
            is_all_dirty: false,
        }
    }

    pub(crate) fn shape(&self) -> Option<Shape> {
        self.shape
    }

    /// From now on trees are cut so. Everything is to be read.
    pub(crate) fn cut(&mut self, shape: Shape) {
        self.shape = Some(shape);
        self.lapses += 1;
        self.leaves.clear();
        self.twigs.clear();
        self.suspects.clear();
        self.unread = iter::once(0..shape.leaves()).collect();
    }

    /// The leaf of a key that has so many replicas.
    #[inline]
    pub(crate) fn cell(&self, token: Token, n: u8) -> Option<Cell> {
        let number = self.shape?.leaf(token.0);
        Some(Cell { number, n })
    }

    /// A key of this leaf is going to change. Returns whether the leaf must be read.
    pub(crate) fn want(&mut self, cell: Cell) -> bool {
        if let Some(leaf) = self.leaves.get_mut(cell) {
            leaf.was_used = true;
            return false;
        }
        self.make_room();
        self.leaves.insert(cell);
        true
    }

    /// Whether a key of that leaf may change now; if not, `slot` is told when it may.
    pub(crate) fn turn(&mut self, cell: Cell, slot: Slot) -> Turn {
        if let Some(leaf) = self.leaves.get_mut(cell) {
            leaf.was_used = true;
            if leaf.is_free() {
                return Turn::Now;
            }
            leaf.waiting.push_back(slot);
            return Turn::Later;
        }
        self.make_room();
        self.leaves.insert(cell).waiting.push_back(slot);
        Turn::Unread
    }

    /// Tells `slot` when a key of that leaf may change.
    pub(crate) fn wait(&mut self, cell: Cell, slot: Slot) {
        if let Some(leaf) = self.leaves.get_mut(cell) {
            leaf.waiting.push_back(slot);
        }
    }

    /// Who may change a key of that leaf next, if anybody waits and may.
    pub(crate) fn next(&mut self, cell: Cell) -> Option<Slot> {
        let leaf = self.leaves.get_mut(cell)?;
        leaf.is_free().then(|| leaf.waiting.pop_front()).flatten()
    }

    /// A key of a leaf changes. Returns what is to be written beside it.
    pub(crate) fn change(&mut self, cell: Cell, before: Known, after: Known) -> Option<Change> {
        self.write(cell, |value| Some(value?.changed(before, after)))
    }

    /// A leaf is made anew.
    pub(crate) fn mend(&mut self, cell: Cell, sum: Sum) -> Option<Change> {
        self.write(cell, |_| Some(Value::Sure(sum)))
    }

    #[inline]
    fn write(
        &mut self,
        cell: Cell,
        next: impl FnOnce(Option<Value>) -> Option<Value>,
    ) -> Option<Change> {
        let shape = self.shape?;
        let leaf = self.leaves.get_mut(cell)?;
        let next = next(leaf.value)?;
        self.ticks += 1;
        leaf.changed = self.ticks;
        leaf.next = Some(next);
        if leaf.value == Some(next) && (next != Value::Unsure || leaf.is_flagged) {
            return None;
        }
        let at = Address {
            position: *leaf
                .position
                .get_or_insert_with(|| shape.start(cell.number)),
            name: shape::name(cell.n),
        };
        Some(Change {
            space: Space::Trees,
            bytes: next.encode(&at),
            at,
        })
    }

    /// What was written is kept, or not. Returns whether the leaf must be read, since nobody knows.
    pub(crate) fn wrote(&mut self, cell: Cell, error: Option<WriteError>) -> bool {
        self.ticks += 1;
        let Some(leaf) = self.leaves.get_mut(cell) else {
            return false;
        };
        leaf.changed = self.ticks;
        let (Some(next), Some(value)) = (leaf.next.take(), leaf.value) else {
            return false;
        };
        match error {
            None => {
                leaf.is_flagged = next == Value::Unsure;
                let next = match core::mem::take(&mut leaf.is_doubted) {
                    true => Value::Unsure,
                    false => next,
                };
                leaf.value = Some(next);
                if next == Value::Unsure {
                    self.suspect(cell.number);
                }
                self.count(cell, value, next);
                false
            }
            // Nothing was written.
            Some(WriteError::Full) => false,
            Some(WriteError::Failed | WriteError::FlushFailed) => {
                leaf.counted = Some(value);
                leaf.value = None;
                true
            }
        }
    }

    /// A leaf was read.
    pub(crate) fn read(&mut self, cell: Cell, outcome: &ReadOutcome) {
        let Some((shape, leaf)) = self.shape.zip(self.leaves.get_mut(cell)) else {
            return;
        };
        if leaf.value.is_some() {
            return;
        }
        let at = shape.place(cell);
        let (value, is_flagged) = match outcome {
            ReadOutcome::Found(bytes) => (Value::decode(&at, bytes), true),
            ReadOutcome::Absent => (Value::Sure(Sum::default()), true),
            ReadOutcome::Corrupt => (Value::Unsure, true),
            ReadOutcome::Failed => (Value::Unsure, false),
        };
        leaf.value = Some(value);
        leaf.is_flagged = is_flagged && value == Value::Unsure;
        let counted = leaf.counted.take();
        if value == Value::Unsure {
            self.suspect(cell.number);
        }
        match counted {
            Some(counted) => self.count(cell, counted, value),
            // What is kept is counted, whatever it is.
            None if !is_flagged => self.forget_twig(cell.number),
            None => {}
        }
    }

    /// The twig counts a leaf as something else.
    fn count(&mut self, cell: Cell, before: Value, after: Value) {
        let Some(shape) = self.shape else {
            return;
        };
        if before == after || self.is_unread(&(cell.number..cell.number + 1)) {
            return;
        }
        let (before, after) = (self.weight(before), self.weight(after));
        let twig = self.twigs.get_mut(cell.n, shape.twig(cell.number));
        twig.take_out(before);
        twig.add(after);
    }

    fn weight(&self, value: Value) -> Sum {
        match value {
            Value::Sure(sum) => sum,
            Value::Unsure => self.unsure,
        }
    }

    fn make_room(&mut self) {
        let len = self.leaves.len();
        if len < KEPT || (self.looking > 0 && len < 2 * KEPT) {
            return;
        }
        let were_let_go = self.leaves.make_room();
        self.lapses += u64::from(self.looking > 0 && were_let_go);
    }

    /// A stretch is going to be looked through: what happens to leaves from now on is remembered.
    pub(crate) fn look(&mut self) -> Look {
        // What the last one mended is at hand since.
        for _ in 0..LET_GO {
            self.make_room();
        }
        self.looking += 1;
        Look {
            lapses: self.lapses,
            ticks: self.ticks,
        }
    }

    /// It was, or it was not. Returns whether anything can be said about what was seen.
    pub(crate) fn looked(&mut self, look: Look) -> bool {
        self.looking = self.looking.saturating_sub(1);
        self.lapses == look.lapses
    }

    /// Whether nothing happened to a leaf since a look began.
    pub(crate) fn is_still(&self, cell: Cell, look: Look) -> bool {
        self.leaves
            .get(cell)
            .is_none_or(|leaf| leaf.is_free() && leaf.changed <= look.ticks)
    }

    /// Leaves of a stretch that have to be read.
    pub(crate) fn next_unread(&self) -> Option<Range<u64>> {
        self.unread.last().cloned()
    }

    fn is_unread(&self, leaves: &Range<u64>) -> bool {
        let meets = |it: &Range<u64>| it.start < leaves.end && leaves.start < it.end;
        self.unread.iter().any(meets)
    }

    fn forget_twig(&mut self, leaf: u64) {
        let Some(shape) = self.shape else {
            return;
        };
        let twig = shape.twig(leaf);
        let leaves = shape.leaves_of(twig..twig + 1);
        let is_all = self.unread.len() >= UNREAD;
        match is_all {
            true => self.twigs.clear(),
            false => self.twigs.forget(twig),
        }
        let mut unread = Vec::new();
        // What of it was not read yet is not read twice.
        for it in core::mem::take(&mut self.unread) {
            unread.push(it.start..it.end.min(leaves.start.max(it.start)));
            unread.push(it.start.max(leaves.end.min(it.end))..it.end);
        }
        unread.retain(|it| !it.is_empty());
        unread.insert(0, leaves);
        self.unread = match is_all {
            true => iter::once(0..shape.leaves()).collect(),
            false => unread,
        };
        self.lapses += 1; // whoever reads it just now begins again
    }

    /// What is kept of the leaves from `first` up to `end`, as a look that ended just now saw it, but
    /// for what this node knows better. Those that say nothing are not shown.
    fn values(&self, leaves: &Range<u64>, page: &Page) -> BTreeMap<Cell, Value> {
        let mut values = BTreeMap::new();
        let Some(shape) = self.shape else {
            return values;
        };
        for item in &page.items {
            let (at, value) = match item {
                Item::Found { at, bytes } => (at.clone(), Value::decode(at, bytes)),
                Item::Corrupt(span) => (span.first().clone(), Value::Unsure),
            };
            if let Some(cell) = shape.cell(&at).filter(|it| leaves.contains(&it.number)) {
                values.insert(cell, value);
            }
        }
        for (cell, leaf) in self.leaves.within(leaves) {
            if let Some(value) = leaf.counted.or(leaf.value) {
                values.insert(cell, value);
            }
        }
        values.retain(|_, value| *value != Value::Sure(Sum::default()));
        values
    }

    /// Leaves were read, up to but not including `end`: the twigs count them from now on.
    pub(crate) fn count_all(&mut self, leaves: Range<u64>, page: &Page) {
        let Some(shape) = self.shape else {
            return;
        };
        for (cell, value) in self.values(&leaves, page) {
            let weight = self.weight(value);
            let twig = self.twigs.get_mut(cell.n, shape.twig(cell.number));
            twig.add(weight);
            if value == Value::Unsure {
                self.suspect(cell.number);
            }
        }
        if let Some(last) = self.unread.last_mut()
            && last.start == leaves.start
        {
            last.start = leaves.end;
            if last.is_empty() {
                self.unread.pop();
            }
        }
    }

    /// Which of these leaves, as they are kept, are not what they should be, and can be mended now:
    /// nothing has happened to them since. Others are suspected, and while trees are made will say of
    /// themselves that they are unsure: what goes on changing is never found at rest.
    pub(crate) fn wrong(
        &mut self,
        leaves: &Range<u64>,
        page: &Page,
        right: &BTreeMap<Cell, Sum>,
        (look, are_being_made): (Look, bool),
    ) -> Vec<(Cell, Sum)> {
        let kept = self.values(leaves, page);
        let mut wrong = Vec::new();
        let cells: BTreeSet<Cell> = kept.keys().chain(right.keys()).copied().collect();
        for cell in cells {
            let kept = kept.get(&cell).copied();
            let right = right.get(&cell).copied().unwrap_or_default();
            if kept.unwrap_or(Value::Sure(Sum::default())) == Value::Sure(right) {
                continue;
            }
            if !self.is_still(cell, look) {
                self.suspect(cell.number);
                if are_being_made {
                    self.doubt(cell);
                }
                continue;
            }
            let leaf = match self.leaves.get_mut(cell) {
                Some(leaf) => leaf,
                None => self.leaves.insert(cell),
            };
            leaf.value = leaf.value.or(kept).or(Some(Value::Sure(Sum::default())));
            wrong.push((cell, right));
        }
        wrong
    }

    fn doubt(&mut self, cell: Cell) {
        let Some(leaf) = self.leaves.get_mut(cell) else {
            return;
        };
        match (leaf.next, leaf.value) {
            (None, Some(value)) if value != Value::Unsure => {
                leaf.value = Some(Value::Unsure);
                self.count(cell, value, Value::Unsure);
            }
            (Some(_), _) => leaf.is_doubted = true,
            _ => {}
        }
    }

    /// Whether any leaf is suspected that is kept as if it were sure.
    pub(crate) fn has_doubts(&self) -> bool {
        self.suspects.iter().any(|number| {
            let at_hand = self.leaves.within(&(*number..number + 1));
            let is_flagged = |leaf: &Leaf| leaf.value == Some(Value::Unsure) && leaf.is_flagged;
            at_hand.is_empty() || !at_hand.iter().all(|(_, leaf)| is_flagged(leaf))
        })
    }

    /// What the leaves of a twig say, in order.
    pub(crate) fn leaves(&self, n: u8, leaves: &Range<u64>, page: &Page) -> Vec<u64> {
        let len = leaves.end.saturating_sub(leaves.start) as usize; // a twig is short
        let mut digests = alloc::vec![0; len];
        for (cell, value) in self.values(leaves, page) {
            if cell.n == n {
                let at = (cell.number - leaves.start) as usize;
                digests[at] = self.weight(value).digests;
            }
        }
        digests
    }

    /// What some twigs say together, if there are such and all of them were read.
    pub(crate) fn sum(&self, n: u8, twigs: Range<u64>) -> Option<Sum> {
        let shape = self.shape?;
        if twigs.end > shape.twig(shape.leaves()) || self.is_unread(&shape.leaves_of(twigs.clone()))
        {
            return None;
        }
        Some(self.twigs.sum(n, &twigs))
    }

    /// How many keys there are, as far as the trees have been read.
    pub(crate) fn keys(&self) -> u64 {
        self.twigs.keys()
    }

    /// A leaf may say what is not so.
    pub(crate) fn suspect(&mut self, leaf: u64) {
        if self.suspects.len() < MARKED {
            self.suspects.insert(leaf);
        }
    }

    pub(crate) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    pub(crate) fn pop_suspect(&mut self) -> Option<u64> {
        self.suspects.pop_first()
    }

    /// Some replica of a key may lack what another has.
    pub(crate) fn mark(&mut self, token: Token) {
        if self.dirty.len() < MARKED {
            self.dirty.insert(token);
        } else {
            self.is_all_dirty = true;
        }
    }

    /// Where that is, since it was last asked; everywhere, if it is not known any more.
    pub(crate) fn take_dirty(&mut self) -> Option<(BTreeSet<Token>, bool)> {
        if self.dirty.is_empty() && !self.is_all_dirty {
            return None;
        }
        let is_all = core::mem::take(&mut self.is_all_dirty);
        Some((core::mem::take(&mut self.dirty), is_all))
    }

    /// Whether that address of the trees' space is that of a leaf.
    pub(crate) fn is_leaf(&self, at: &Address) -> bool {
        self.shape.is_some_and(|shape| shape.cell(at).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Member, Ring, RingConfig, Strategy};

    const NOTHING: Page = Page {
        items: Vec::new(),
        rest: None,
    };

    /// Cut, and read: nothing is kept.
    fn empty(keys: u64) -> (Trees, Shape) {
        let config = RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 64 },
            replicas: 1,
        };
        let member = Member::new(NodeId(1), "zone", "host");
        let shape = Shape::of(&Ring::birth(config, [member].into()).unwrap(), keys);
        let mut trees = Trees::new(NodeId(1));
        trees.cut(shape);
        assert_eq!(trees.sum(3, 0..1), None, "not read yet");
        trees.count_all(0..shape.leaves(), &NOTHING);
        (trees, shape)
    }

    #[test]
    fn nothing_is_said_of_twigs_that_are_not_there() {
        let (trees, shape) = empty(0);
        let twigs = shape.twig(shape.leaves());
        assert_eq!(trees.sum(3, 0..twigs), Some(Sum::default()));
        assert_eq!(trees.sum(3, 0..twigs + 1), None);
        assert_eq!(trees.sum(3, u64::MAX - 1..u64::MAX), None);
    }

    #[test]
    fn trees_that_are_made_anew_are_not_at_hand_as_a_whole() {
        let (mut trees, shape) = empty(16 << 18);
        assert_eq!(shape.leaves(), 1 << 18);
        let (page, sum) = (
            1 << 10,
            Sum {
                keys: 1,
                digests: 7,
            },
        );
        for first in (0..shape.leaves()).step_by(page) {
            let leaves = first..first + page as u64;
            let cells = leaves.clone().map(|number| Cell { number, n: 3 });
            let right: BTreeMap<_, _> = cells.map(|cell| (cell, sum)).collect();
            let look = trees.look();
            assert!(trees.looked(look));
            let wrong = trees.wrong(&leaves, &NOTHING, &right, (look, false));
            assert_eq!(wrong.len(), page);
            for (cell, sum) in wrong {
                assert!(trees.mend(cell, sum).is_some());
                assert!(!trees.wrote(cell, None));
            }
            assert!(trees.leaves.len() <= KEPT + 2 * page);
        }
        assert_eq!(trees.keys(), shape.leaves());
    }
}
