//! How the ring is cut into what trees are made of.

use core::hash::{Hash, Hasher};
use core::ops::Range;

use bytes::Bytes;

use crate::Token;
use crate::ring::{Ring, Strategy, portion, portion_start};
use crate::store::{Address, Span};

/// The leaves and twigs of all trees: a function of what is fixed at a cluster's birth and of how
/// many keys it is cut out for, so the same on all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// How many leaves the whole ring has.
    leaves: u64,
    /// How many of them make a twig.
    twig: u64,
}

/// A leaf of the tree of the keys that have so many replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) number: u64,
    pub(crate) n: u8,
}

impl Hash for Cell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.number << 8 | u64::from(self.n));
    }
}

/// So many keys are to be in a leaf.
const KEYS: u64 = 16;
/// A leaf's number is below two to this.
const MOST_BITS: u32 = 40;
/// A twig has two to this many leaves, or as many as a partition has.
const TWIG_BITS: u32 = 8;

impl Shape {
    /// Where partitions never change, each has a power of two of leaves.
    pub(crate) fn of(ring: &Ring, keys: u64) -> Self {
        let partitions = match ring.config().strategy {
            Strategy::EqualPartitions { partitions }
            | Strategy::RandomTokensEqualPartitions { partitions, .. } => partitions.into(),
            Strategy::RandomTokens { .. } => 1,
        };
        let mut bits = 0;
        while bits < TWIG_BITS || (partitions << bits) < keys.div_ceil(KEYS) {
            if partitions << (bits + 1) > 1 << MOST_BITS {
                break;
            }
            bits += 1;
        }
        Self {
            leaves: partitions << bits,
            twig: 1 << bits.min(TWIG_BITS),
        }
    }

    pub(crate) fn leaves(self) -> u64 {
        self.leaves
    }

    /// How many leaves make a twig.
    pub(crate) fn twig_len(self) -> u64 {
        self.twig
    }

    /// Which leaf that is.
    #[inline]
    pub(crate) fn leaf(self, position: u128) -> u64 {
        portion(Token(position), self.leaves)
    }

    /// Which twig a leaf is of.
    pub(crate) fn twig(self, leaf: u64) -> u64 {
        leaf / self.twig
    }

    /// The leaves of some twigs.
    pub(crate) fn leaves_of(self, twigs: Range<u64>) -> Range<u64> {
        twigs.start * self.twig..twigs.end * self.twig
    }

    /// Where the first of a leaf's keys would be.
    pub(crate) fn start(self, leaf: u64) -> u128 {
        portion_start(leaf, self.leaves)
    }

    /// Where a leaf is kept.
    #[inline]
    pub(crate) fn place(self, cell: Cell) -> Address {
        Address {
            position: self.start(cell.number),
            name: name(cell.n),
        }
    }

    /// The leaf that is kept there, if one can be.
    pub(crate) fn cell(self, at: &Address) -> Option<Cell> {
        let cell = Cell {
            number: self.leaf(at.position),
            n: *at.name.first()?,
        };
        (self.place(cell) == *at).then_some(cell)
    }

    /// All positions of some leaves.
    pub(crate) fn span(self, leaves: &Range<u64>) -> Span {
        if leaves.is_empty() {
            let nowhere = Span::all().first().clone();
            return Span::new(nowhere.clone(), Some(nowhere));
        }
        let first = portion_start(leaves.start, self.leaves);
        let last = match leaves.end < self.leaves {
            true => portion_start(leaves.end, self.leaves) - 1,
            false => u128::MAX,
        };
        Span::of_positions(first..=last)
    }

    /// The leaves that lie in a stretch of positions as a whole.
    pub(crate) fn whole(self, first: u128, last: u128) -> Range<u64> {
        let mut start = self.leaf(first);
        start += u64::from(portion_start(start, self.leaves) < first);
        let end = match last {
            u128::MAX => self.leaves,
            last => self.leaf(last + 1),
        };
        start..end.max(start)
    }
}

/// The name of a leaf of keys that have so many replicas.
#[inline]
pub(super) fn name(n: u8) -> Bytes {
    Bytes::from_static(&NAMES[usize::from(n)..][..1])
}

/// All names that a leaf can have.
static NAMES: [u8; 256] = {
    let mut names = [0; 256];
    let mut at = 0;
    while at < 256 {
        names[at] = at as u8;
        at += 1;
    }
    names
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;
    use crate::ring::{Member, RingConfig};

    fn shape(strategy: Strategy, keys: u64) -> (Ring, Shape) {
        let config = RingConfig {
            strategy,
            replicas: 3,
        };
        let members = (1..=5).map(|id| Member::new(NodeId(id), "zone", alloc::format!("{id}")));
        let ring = Ring::birth(config, members.collect()).unwrap();
        let shape = Shape::of(&ring, keys);
        (ring, shape)
    }

    #[test]
    fn partitions_that_stay_are_whole_twigs() {
        for partitions in [1, 3, 64, 1000, 1024] {
            for keys in [0, 1, 1_000_000, u64::MAX] {
                let (ring, shape) = shape(Strategy::EqualPartitions { partitions }, keys);
                for partition in ring.partitions() {
                    let range = ring.range(partition);
                    let leaves = shape.whole(range.first.0, range.last.0);
                    assert_eq!(
                        shape.span(&leaves),
                        Span::of_positions(range.first.0..=range.last.0)
                    );
                    assert_eq!(leaves.start % shape.twig_len(), 0);
                    assert_eq!(leaves.end % shape.twig_len(), 0);
                    assert!(!leaves.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_leaf_has_about_sixteen_keys_of_as_many_as_are_expected() {
        let (_, shape) = shape(Strategy::EqualPartitions { partitions: 64 }, 1_000_000);
        let keys = 1_000_000 / shape.leaves();
        assert!((8..=16).contains(&keys), "{keys}");
    }

    #[test]
    fn a_place_is_of_one_leaf_and_found_again() {
        let (_, shape) = shape(Strategy::RandomTokens { tokens_per_node: 8 }, 1000);
        for number in 0..shape.leaves() {
            let cell = Cell { number, n: 3 };
            let at = shape.place(cell);
            assert_eq!(shape.cell(&at), Some(cell));
            let other = Address {
                position: at.position + 1,
                ..at
            };
            assert_eq!(shape.cell(&other), None);
        }
    }

    #[test]
    fn only_whole_leaves_are_in_a_stretch() {
        let (_, shape) = shape(Strategy::EqualPartitions { partitions: 3 }, 0);
        let start = |leaf| portion_start(leaf, shape.leaves());
        assert_eq!(shape.whole(0, u128::MAX), 0..shape.leaves());
        assert_eq!(shape.whole(start(1), start(2) - 1), 1..2);
        assert_eq!(shape.whole(start(1) + 1, start(2) - 1), 2..2);
        assert_eq!(shape.whole(start(1), start(2) - 2), 1..1);
        assert_eq!(shape.whole(start(1), start(2)), 1..2);
    }
}
