//! Trees with no node around them: for whoever measures what a change of a key costs.

use alloc::vec::Vec;

use super::leaf::Known;
use super::shape::Shape;
use super::trees::Trees;
use crate::ring::Ring;
use crate::store::{Change, Page, ReadOutcome};
use crate::version::{Retirements, Siblings};
use crate::{NodeId, Token};

/// The trees of keys that are all kept as one is told, on a store that never fails.
pub struct BareTrees {
    trees: Trees,
    shape: Shape,
    n: u8,
    retired: Retirements,
}

impl BareTrees {
    /// Of no keys yet. `keys` is for how many the cluster is cut out, `n` how many replicas each has.
    #[must_use]
    pub fn new(ring: &Ring, keys: u64, n: u8) -> Self {
        let shape = Shape::of(ring, keys);
        let mut trees = Trees::new(NodeId(0));
        trees.cut(shape);
        let (items, rest) = (Vec::new(), None);
        trees.count_all(0..shape.leaves(), &Page { items, rest });
        Self {
            trees,
            shape,
            n,
            retired: Retirements::default(),
        }
    }

    /// A key changes. Returns what is to be written beside it.
    pub fn change(&mut self, token: Token, before: &Siblings, after: &Siblings) -> Option<Change> {
        let cell = self.trees.cell(token, self.n)?;
        if self.trees.want(cell) {
            self.trees.read(cell, &ReadOutcome::Absent);
        }
        let known = |siblings| Known::of(token, siblings, &self.retired);
        let (before, after) = (known(before), known(after));
        let change = self.trees.change(cell, before, after);
        self.trees.wrote(cell, None);
        change
    }

    /// What all keys say together.
    #[must_use]
    pub fn root(&self) -> Option<u64> {
        let twigs = self.shape.twig(self.shape.leaves());
        Some(self.trees.sum(self.n, 0..twigs)?.digests)
    }
}
