//! Sums of leaves, some hundreds of them together.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use super::leaf::Sum;

/// So many twigs lie in a row, so that what they say together is quickly added up.
const BLOCK: u64 = 64;

type Block = [Sum; BLOCK as usize];

/// Of all twigs, what they say.
#[derive(Default)]
pub(super) struct Twigs(Vec<Kind>);

/// The twigs of the keys that have so many replicas.
struct Kind {
    n: u8,
    /// A block of which no twig ever said anything is not there.
    blocks: Vec<Option<Box<Block>>>,
}

impl Twigs {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What a twig says.
    pub(super) fn get_mut(&mut self, n: u8, twig: u64) -> &mut Sum {
        let (number, place) = ((twig / BLOCK) as usize, (twig % BLOCK) as usize);
        let kind = self.0.iter().position(|kind| kind.n == n);
        let kind = kind.unwrap_or_else(|| {
            let blocks = Vec::new();
            self.0.push(Kind { n, blocks });
            self.0.len() - 1
        });
        let blocks = &mut self.0[kind].blocks;
        if blocks.len() <= number {
            blocks.resize_with(number + 1, || None);
        }
        let nothing = || Box::new([Sum::default(); BLOCK as usize]);
        &mut blocks[number].get_or_insert_with(nothing)[place]
    }

    /// What some twigs say together.
    pub(super) fn sum(&self, n: u8, twigs: &Range<u64>) -> Sum {
        let mut sum = Sum::default();
        let Some(kind) = self.0.iter().find(|kind| kind.n == n) else {
            return sum;
        };
        let mut next = twigs.start;
        while next < twigs.end {
            let first = next - next % BLOCK;
            let end = twigs.end.min(first + BLOCK);
            let Some(block) = kind.blocks.get((first / BLOCK) as usize) else {
                break;
            };
            if let Some(block) = block {
                let block = &block[(next - first) as usize..(end - first) as usize];
                block.iter().for_each(|twig| sum.add(*twig));
            }
            next = end;
        }
        sum
    }

    /// What one says for all numbers of replicas is to be found out anew.
    pub(super) fn forget(&mut self, twig: u64) {
        for kind in &mut self.0 {
            if let Some(Some(block)) = kind.blocks.get_mut((twig / BLOCK) as usize) {
                block[(twig % BLOCK) as usize] = Sum::default();
            }
        }
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> u64 {
        let blocks = self.0.iter().flat_map(|kind| kind.blocks.iter().flatten());
        blocks
            .flat_map(|block| block.iter().map(|twig| twig.keys))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_says_what_its_twigs_say_wherever_its_ends_lie() {
        let mut twigs = Twigs::default();
        for twig in [0, 1, 63, 64, 200, 1000] {
            *twigs.get_mut(3, twig) = Sum {
                keys: 1,
                digests: twig,
            };
        }
        twigs.get_mut(2, 64).keys = 5;
        let sum = |range| {
            let Sum { keys, digests } = twigs.sum(3, &range);
            (keys, digests)
        };
        assert_eq!(sum(0..1001), (6, 1328));
        assert_eq!(sum(1..64), (2, 64));
        assert_eq!(sum(63..65), (2, 127));
        assert_eq!(sum(65..1000), (1, 200));
        assert_eq!(sum(128..192), (0, 0));
        assert_eq!(sum(64..64), (0, 0));
        assert_eq!(twigs.keys(), 11);
        twigs.forget(64);
        assert_eq!(twigs.keys(), 5);
    }
}
