//! What nodes keep, held against all that was ever minted: the checks that look inside.
//!
//! - A dot names one write, for ever, across all boots of all nodes.
//! - What a record keeps alive is just what its clock has seen and nothing else it has seen had
//!   seen.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_proto::version::{Clock, Dot, RequestId, Retirements, Siblings};

use crate::bits::Bits;
use crate::oracle::{Manner, Oracle};
use crate::report::{Count, Counters, Violation};

/// Every dot that was ever seen.
#[derive(Debug, Default)]
pub(crate) struct Ghost {
    dots: BTreeMap<(usize, Dot), RequestId>,
    stored: BTreeSet<Dot>,
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
        oracle: &Oracle,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        for sibling in siblings.values() {
            let (dot, id) = (sibling.dot, sibling.value.request);
            self.stored.insert(dot);
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
            self.check_alive(key, siblings, oracle)?;
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

    fn check_alive(
        &self,
        key: usize,
        siblings: &Siblings,
        oracle: &Oracle,
    ) -> Result<(), Violation> {
        let retired = Retirements::default();
        let covers = |clock: &Clock, dot: &Dot| clock.covers(dot, &retired);
        let Some(minted) = self.of_key.get(&key) else {
            return Ok(());
        };
        let mut superseded = Bits::default();
        let known = || {
            minted
                .iter()
                .filter(|(dot, _)| covers(siblings.clock(), dot))
        };
        for (dot, _) in known() {
            if let Some((_, _, past)) = oracle.past(self.dots[&(key, *dot)]) {
                superseded.add_all(past);
            }
        }
        let expected = known().filter(|(_, place)| !superseded.contains(*place));
        let mut expected: Vec<Dot> = expected.map(|(dot, _)| *dot).collect();
        expected.sort_unstable();
        let alive = siblings.values().iter().map(|sibling| sibling.dot);
        if alive.clone().eq(expected.iter().copied()) {
            return Ok(());
        }
        let alive: Vec<Dot> = alive.collect();
        let what = format!("key {key} keeps {alive:?} alive, its history says {expected:?}");
        Err(Violation::new("I4", what))
    }
}
