//! The leaves that are at hand.
//!
//! Every change of a key comes here several times, so a leaf is found by one look into a hash table.
//! They lie in a row beside it, in which they are gone through: never in the order of hashes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasherDefault;
use core::ops::Range;

use hashbrown::HashMap;

use super::leaf::Value;
use super::shape::Cell;
use crate::hash::NumberHasher;
use crate::node::Slot;

/// So many leaves are looked at, at a time, for one that can be let go.
const SWEPT: usize = 16;

/// Leaves, found by their cells.
#[derive(Default)]
pub(super) struct Leaves {
    places: HashMap<Cell, usize, BuildHasherDefault<NumberHasher>>,
    all: Vec<Leaf>,
    /// All numbers of replicas for which there ever were some.
    kinds: Vec<u8>,
    /// Where it is looked next for leaves that can be let go.
    hand: usize,
}

/// A leaf at hand.
pub(super) struct Leaf {
    cell: Cell,
    /// Where it is kept, once that was asked for.
    pub(super) position: Option<u128>,
    /// What is kept; nothing while it is being read.
    pub(super) value: Option<Value>,
    /// What the twig counts for it, where that is not what is kept.
    pub(super) counted: Option<Value>,
    /// What is being written.
    pub(super) next: Option<Value>,
    /// Whether it is kept that it is unsure, if it is.
    pub(super) is_flagged: bool,
    /// Whether it is to be unsure as soon as it is written again.
    pub(super) is_doubted: bool,
    /// Changes of keys that wait for it.
    pub(super) waiting: VecDeque<Slot>,
    /// When anything last happened to it.
    pub(super) changed: u64,
    pub(super) was_used: bool,
}

impl Leaves {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[inline]
    pub(super) fn get(&self, cell: Cell) -> Option<&Leaf> {
        self.all.get(*self.places.get(&cell)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, cell: Cell) -> Option<&mut Leaf> {
        self.all.get_mut(*self.places.get(&cell)?)
    }

    /// A leaf that is not at hand yet.
    pub(super) fn insert(&mut self, cell: Cell) -> &mut Leaf {
        if !self.kinds.contains(&cell.n) {
            self.kinds.push(cell.n);
        }
        let at = self.all.len();
        self.places.insert(cell, at);
        self.all.push(Leaf {
            cell,
            position: None,
            value: None,
            counted: None,
            next: None,
            is_flagged: false,
            is_doubted: false,
            waiting: VecDeque::new(),
            changed: 0,
            was_used: false,
        });
        &mut self.all[at]
    }

    /// Lets go of some to which nothing is done, if the next few are such. Returns whether it did.
    pub(super) fn make_room(&mut self) -> bool {
        let before = self.all.len();
        for _ in 0..SWEPT.min(before) {
            if self.hand >= self.all.len() {
                self.hand = 0;
            }
            let Some(leaf) = self.all.get_mut(self.hand) else {
                break;
            };
            if !leaf.is_idle() || core::mem::take(&mut leaf.was_used) {
                self.hand += 1;
                continue;
            }
            self.places.remove(&leaf.cell);
            self.all.swap_remove(self.hand);
            if let Some(moved) = self.all.get(self.hand) {
                self.places.insert(moved.cell, self.hand);
            }
        }
        self.all.len() < before
    }

    /// Those of a stretch, in no particular order.
    pub(super) fn within(&self, numbers: &Range<u64>) -> Vec<(Cell, &Leaf)> {
        let len = numbers.end.saturating_sub(numbers.start);
        let cells = len.saturating_mul(self.kinds.len() as u64);
        if cells > self.all.len() as u64 {
            let all = self.all.iter().map(|leaf| (leaf.cell, leaf));
            return all
                .filter(|(cell, _)| numbers.contains(&cell.number))
                .collect();
        }
        let kinds = |number| self.kinds.iter().map(move |n| Cell { number, n: *n });
        let cells = numbers.clone().flat_map(kinds);
        cells
            .filter_map(|cell| Some((cell, self.get(cell)?)))
            .collect()
    }
}

impl Leaf {
    /// Whether a key of it may change.
    pub(super) fn is_free(&self) -> bool {
        self.value.is_some() && self.next.is_none()
    }

    /// Whether nothing is done to it, and what is known of it can be read again.
    fn is_idle(&self) -> bool {
        let is_kept = self.value != Some(Value::Unsure) || self.is_flagged;
        self.is_free() && self.waiting.is_empty() && is_kept
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::entropy::leaf::Sum;

    fn cell(number: u64, n: u8) -> Cell {
        Cell { number, n }
    }

    fn numbers(leaves: &Leaves, within: &Range<u64>) -> Vec<Cell> {
        let mut cells: Vec<_> = leaves.within(within).iter().map(|it| it.0).collect();
        cells.sort_unstable();
        cells
    }

    #[test]
    fn a_stretch_shows_its_leaves_of_all_kinds_however_long_it_is() {
        let mut leaves = Leaves::default();
        for number in 0..100 {
            leaves.insert(cell(number * 10, 3 + (number % 2) as u8));
        }
        let few = vec![cell(20, 3), cell(30, 4)];
        assert_eq!(numbers(&leaves, &(11..40)), few);
        let all = numbers(&leaves, &(0..u64::MAX));
        assert_eq!((all.len(), all[99]), (100, cell(990, 4)));
        assert_eq!(numbers(&leaves, &(7..7)), []);
    }

    #[test]
    fn only_what_was_not_used_and_can_be_read_again_is_let_go() {
        let mut leaves = Leaves::default();
        for number in 0..6 {
            let leaf = leaves.insert(cell(number, 3));
            leaf.value = Some(Value::Sure(Sum::default()));
        }
        leaves.all[0].was_used = true;
        leaves.all[1].value = None;
        leaves.all[2].next = Some(Value::Unsure);
        leaves.all[3].value = Some(Value::Unsure);
        leaves.all[4].waiting.push_back(Slot::from_number(1));
        assert!(leaves.make_room());
        let left = [0, 1, 2, 3, 4].map(|number| cell(number, 3));
        assert_eq!(numbers(&leaves, &(0..6)), left);
        // It was not used since.
        assert!(leaves.make_room());
        assert_eq!(numbers(&leaves, &(0..6)), left[1..]);
        assert!(!leaves.make_room());
        assert!(left[1..].iter().all(|at| leaves.get(*at).is_some()));
    }
}
