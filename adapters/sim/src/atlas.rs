//! The fault atlas: how much may be destroyed without breaking the promise that it is survived.
//!
//! A write is acknowledged when W hosts have it. So W - 1 hosts may lose what they have of a key,
//! in whatever way, and one sound copy of every acknowledged write is left. The atlas notes which
//! nodes' copies of which keys were destroyed, and says no to a fault that would be one too many.
//! It knows nothing of how copies come to be whole again: the world looks at the disks, and
//! whoever has all again that anybody has is taken off the list. So it is as strict as the cluster
//! is slow to repair itself.
//!
//! Of a key on its list less can be asked of reads, too: R and W overlap only while all who
//! acknowledged still have it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Atlas {
    w: usize,
    /// Each node's host.
    hosts: Vec<u8>,
    /// By key: who lost what it had of it, and when last.
    losers: BTreeMap<usize, BTreeMap<usize, Duration>>,
    /// By key: when it was last not whole.
    loose_until: BTreeMap<usize, Duration>,
    /// Nodes at which something is or was damaged.
    scarred: BTreeSet<usize>,
}

impl Atlas {
    /// For writes that `w` of these hosts must have.
    pub(crate) fn new(w: u8, hosts: Vec<u8>) -> Self {
        Self {
            w: w.into(),
            hosts,
            losers: BTreeMap::new(),
            loose_until: BTreeMap::new(),
            scarred: BTreeSet::new(),
        }
    }

    /// Whether all of these nodes may lose what they have of that key.
    pub(crate) fn may_lose(&self, key: usize, nodes: &[usize]) -> bool {
        let mut hosts = self.hosts_of(key);
        hosts.extend(nodes.iter().map(|node| self.hosts[*node]));
        hosts.len() < self.w
    }

    /// That node loses what it has of that key.
    pub(crate) fn lose(&mut self, key: usize, node: usize, now: Duration) {
        self.losers.entry(key).or_default().insert(node, now);
        self.scar(node);
    }

    /// Something is damaged at that node.
    pub(crate) fn scar(&mut self, node: usize) {
        self.scarred.insert(node);
    }

    /// That node has all of that key again.
    pub(crate) fn mend(&mut self, key: usize, node: usize, now: Duration) {
        if let Some(losers) = self.losers.get_mut(&key)
            && losers.remove(&node).is_some()
        {
            self.loose_until.insert(key, now);
            if losers.is_empty() {
                self.losers.remove(&key);
            }
        }
    }

    /// Who lost what it had of that key, and is not known to have it again, and when.
    pub(crate) fn losers_of(&self, key: usize) -> Vec<(usize, Duration)> {
        let losers = self.losers.get(&key).into_iter().flatten();
        losers.map(|(node, at)| (*node, *at)).collect()
    }

    /// Whether that node is one of them.
    pub(crate) fn is_loser(&self, key: usize, node: usize) -> bool {
        let losers = self.losers.get(&key);
        losers.is_some_and(|losers| losers.contains_key(&node))
    }

    /// The hosts that lost what they had of that key.
    pub(crate) fn hosts_of(&self, key: usize) -> BTreeSet<u8> {
        let losers = self.losers.get(&key).into_iter().flatten();
        losers.map(|(node, _)| self.hosts[*node]).collect()
    }

    /// Whether what began then, and ends now, may miss what was acknowledged for that key.
    pub(crate) fn is_loose(&self, key: usize, since: Duration) -> bool {
        let was_loose = self
            .loose_until
            .get(&key)
            .is_some_and(|until| *until >= since);
        was_loose || self.losers.contains_key(&key)
    }

    /// Whether something is or was damaged at that node.
    pub(crate) fn is_scarred(&self, node: usize) -> bool {
        self.scarred.contains(&node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(9);

    #[test]
    fn one_host_of_those_that_acknowledged_keeps_its_copy() {
        let mut atlas = Atlas::new(3, vec![0, 1, 2, 3]);
        assert!(atlas.may_lose(7, &[0, 1]) && !atlas.may_lose(7, &[0, 1, 2]));
        atlas.lose(7, 0, NOW);
        atlas.lose(7, 1, NOW);
        assert!(atlas.may_lose(7, &[0, 1]), "they have nothing left to lose");
        assert!(!atlas.may_lose(7, &[3]));
        assert!(atlas.may_lose(8, &[2, 3]), "another key");
        atlas.mend(7, 0, NOW);
        assert!(atlas.may_lose(7, &[3]));
    }

    #[test]
    fn with_w_of_one_nothing_may_be_lost() {
        assert!(!Atlas::new(1, vec![0, 1]).may_lose(0, &[0]));
    }

    #[test]
    fn nodes_of_one_host_count_once() {
        let atlas = Atlas::new(2, vec![0, 0, 1]);
        assert!(atlas.may_lose(0, &[0, 1]) && !atlas.may_lose(0, &[1, 2]));
    }

    #[test]
    fn a_key_is_loose_until_all_is_mended_and_for_what_began_before() {
        let mut atlas = Atlas::new(2, vec![0, 1]);
        assert!(!atlas.is_loose(0, NOW));
        atlas.lose(0, 1, NOW);
        assert!(atlas.is_loose(0, NOW) && !atlas.is_loose(1, NOW));
        atlas.mend(0, 1, NOW);
        assert!(atlas.is_loose(0, NOW) && !atlas.is_loose(0, NOW + NOW));
        assert!(atlas.is_scarred(1) && !atlas.is_scarred(0));
    }
}
