//! Chance, from one seed.

use std::time::Duration;

use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A source of chance that gives the same from the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// Chance that grows from this seed.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// An index below `len`, which is at least 1.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    /// True `millionths` times in a million.
    pub(crate) fn is_one_in_million(&mut self, millionths: u32) -> bool {
        millionths > 0 && self.below(1_000_000) < u64::from(millionths)
    }

    /// True once in `times`.
    pub(crate) fn is_one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A time around `mean`: often shorter, seldom much longer.
    pub(crate) fn delay(&mut self, mean: Duration) -> Duration {
        // The logarithm of a uniform number is exponential. Its integer part is counted in leading
        // zeros, the rest is spread evenly: no floating point, which differs between machines.
        let number = self.number() | 1;
        let halvings = u64::from(number.leading_zeros());
        let rest = (number << halvings) >> 32 & 0x7fff_ffff;
        let thousandths = (halvings * 1000 + 1000 - rest * 1000 / 0x8000_0000) * 693 / 1000;
        mean * u32::try_from(thousandths).unwrap_or(u32::MAX) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_have_the_mean_asked_for() {
        let mut dice = Dice::new(1);
        let total: Duration = (0..100_000)
            .map(|_| dice.delay(Duration::from_millis(10)))
            .sum();
        let mean = total / 100_000;
        assert!(
            mean > Duration::from_micros(9_500) && mean < Duration::from_micros(10_700),
            "{mean:?}"
        );
    }
}
