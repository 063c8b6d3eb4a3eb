//! What nodes keep, held against all that was ever minted: the checks that look inside.
//!
//! - A dot names one write, for ever, across all boots of all nodes.
//! - What a record keeps alive is just what its clock has seen and nothing else it has seen had
//!   seen.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_proto::version::{Content, Dot, Height, RequestId, Retirements, Siblings};

use crate::bits::Bits;
use crate::oracle::{Manner, Oracle};
use crate::report::{Count, Counters, Violation};

/// Every dot that was ever seen.
#[derive(Debug, Default)]
pub(crate) struct Ghost {
    dots: BTreeMap<(usize, Dot), RequestId>,
    stored: BTreeSet<Dot>,
    /// Those that are deletes.
    deletes: BTreeSet<(usize, Dot)>,
    /// By key: the dots of its writes, and the writes' places.
    of_key: BTreeMap<usize, Vec<(Dot, usize)>>,
}

impl Ghost {
    /// Whether that dot was ever stored anywhere.
    pub(crate) fn knows(&self, dot: &Dot) -> bool {
        self.stored.contains(dot)
    }

    /// Looks at what a node is about to keep of a key.
    pub(crate) fn check(
        &mut self,
        key: usize,
        siblings: &Siblings,
        retired: &Retirements,
        oracle: &Oracle,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        for sibling in siblings.values() {
            let (dot, id) = (sibling.dot, sibling.value.request);
            self.stored.insert(dot);
            if sibling.value.content == Content::Tombstone {
                self.deletes.insert((key, dot));
            }
            match self.dots.insert((key, dot), id) {
                None => {
                    counters.add(Count::Minted, 1);
                    if let Some((_, place, _)) = oracle.past(id) {
                        self.of_key.entry(key).or_default().push((dot, place));
                    }
                }
                Some(earlier) if earlier == id => {}
                Some(earlier) => {
                    let what = format!(
                        "{dot:?} of key {key} names write {} and write {}",
                        earlier.0 - 1,
                        id.0.wrapping_sub(1)
                    );
                    return Err(Violation::new("I3", what));
                }
            }
        }
        if oracle.manner(key) == Manner::Causal {
            self.check_alive(key, siblings, retired, oracle)?;
        }
        Ok(())
    }

    /// The dots that a write was stored with: more than one if the first was lost with the end of
    /// a disk and the write came again.
    pub(crate) fn dots(&self, key: usize, id: RequestId) -> Vec<Dot> {
        let minted = self
            .of_key
            .get(&key)
            .into_iter()
            .flatten()
            .map(|(dot, _)| *dot);
        minted.filter(|dot| self.dots[&(key, *dot)] == id).collect()
    }

    /// Deletes that need not be kept where so many retirements are taken into account, by key.
    pub(crate) fn deletes_of(
        &self,
        height: Height,
        retired: &Retirements,
    ) -> impl Iterator<Item = (usize, RequestId)> {
        let over = self.deletes.iter();
        over.filter(move |(_, dot)| retired.cover(height, &dot.actor))
            .map(|it| (it.0, self.dots[it]))
    }

    fn check_alive(
        &self,
        key: usize,
        siblings: &Siblings,
        retired: &Retirements,
        oracle: &Oracle,
    ) -> Result<(), Violation> {
        let Some(minted) = self.of_key.get(&key) else {
            return Ok(());
        };
        let mut superseded = Bits::default();
        // What a retired boot wrote may have been lost before anybody was told of it.
        let known = || {
            let clock = siblings.clock();
            let named = |dot: &Dot| dot.counter <= clock.counter(&dot.actor);
            minted.iter().filter(move |(dot, _)| named(dot))
        };
        for (dot, _) in known() {
            if let Some((_, _, past)) = oracle.past(self.dots[&(key, *dot)]) {
                superseded.add_all(past);
            }
        }
        // A delete that all have seen need not be kept.
        let is_needed = |dot: &Dot| {
            let is_over = retired.cover(siblings.clock().height(), &dot.actor);
            !is_over || !self.deletes.contains(&(key, *dot))
        };
        let expected = known().filter(|(_, place)| !superseded.contains(*place));
        let expected = expected.filter(|(dot, _)| is_needed(dot));
        let mut expected: Vec<Dot> = expected.map(|(dot, _)| *dot).collect();
        expected.sort_unstable();
        let alive = siblings.values().iter().map(|sibling| sibling.dot);
        let alive = alive.filter(is_needed);
        if alive.clone().eq(expected.iter().copied()) {
            return Ok(());
        }
        let alive: Vec<Dot> = alive.collect();
        let what = format!("key {key} keeps {alive:?} alive, its history says {expected:?}");
        Err(Violation::new("I4", what))
    }
}
