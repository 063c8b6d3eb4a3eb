//! Choices that grow from a seed, so that what failed can be run again.

use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::SplitMix64;

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Dice(SplitMix64);

impl Dice {
    /// The same choices for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::seed_from_u64(seed))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below this one.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.any() % bound as u64) as usize
    }

    /// One of these.
    pub fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}
