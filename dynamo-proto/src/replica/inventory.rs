//! How much this node holds for others, and how much it may.

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// How much a node holds for others while they are away; beyond it, writes are refused rather than
/// forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HintLimits {
    /// Most copies in all.
    pub copies: u64,
    /// Most bytes in all.
    pub bytes: u64,
    /// Most copies for one node.
    pub copies_for_one: u64,
    /// Most bytes for one node.
    pub bytes_for_one: u64,
}

impl Default for HintLimits {
    fn default() -> Self {
        Self {
            copies: 4_000_000,
            bytes: 16 << 30,
            copies_for_one: 2_000_000,
            bytes_for_one: 8 << 30,
        }
    }
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Copies; one that is held for two nodes counts for each.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What this node holds for others. Counted when it starts, and with every change from then on.
#[derive(Default)]
pub(crate) struct Inventory {
    owners: BTreeMap<NodeId, Held>,
    all: Held,
    /// How often it, or what it is about, has changed.
    changes: u64,
    /// Whether all that was there at the start has been counted.
    pub(crate) is_complete: bool,
}

impl Inventory {
    /// Whether so much more may be held for that node.
    pub(crate) fn has_room(&self, owner: NodeId, more: Held, limits: &HintLimits) -> bool {
        let fits = |held: Held, copies, bytes| {
            held.copies.saturating_add(more.copies) <= copies
                && held.bytes.saturating_add(more.bytes) <= bytes
        };
        let one = self.of(owner);
        fits(self.all, limits.copies, limits.bytes)
            && fits(one, limits.copies_for_one, limits.bytes_for_one)
    }

    /// How often anything has changed so far.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// What is stored has changed.
    pub(crate) fn stored(&mut self) {
        self.changes += 1;
    }

    /// A record of so many bytes is held for these.
    pub(crate) fn add(&mut self, owners: &[NodeId], bytes: usize) {
        self.changes += 1;
        for owner in owners {
            for held in [self.owners.entry(*owner).or_default(), &mut self.all] {
                held.copies += 1;
                held.bytes += bytes as u64;
            }
        }
    }

    /// It is not held any more.
    pub(crate) fn take_out(&mut self, owners: &[NodeId], bytes: usize) {
        self.changes += 1;
        for owner in owners {
            let one = self.owners.entry(*owner).or_default();
            for held in [&mut *one, &mut self.all] {
                held.copies = held.copies.saturating_sub(1);
                held.bytes = held.bytes.saturating_sub(bytes as u64);
            }
            if one.copies == 0 {
                self.owners.remove(owner);
            }
        }
    }

    /// This is what is held for that node, as was found by looking.
    pub(crate) fn correct(&mut self, owner: NodeId, found: Held) {
        let believed = self.owners.remove(&owner).unwrap_or_default();
        self.all.copies = self.all.copies.saturating_sub(believed.copies) + found.copies;
        self.all.bytes = self.all.bytes.saturating_sub(believed.bytes) + found.bytes;
        if found.copies > 0 {
            self.owners.insert(owner, found);
        }
        self.changes += 1;
    }

    /// How much is held for that node.
    pub(crate) fn of(&self, owner: NodeId) -> Held {
        self.owners.get(&owner).copied().unwrap_or_default()
    }

    /// How much is held for all.
    pub(crate) fn all(&self) -> Held {
        self.all
    }

    /// For whom anything is held.
    pub(crate) fn owners(&self) -> impl Iterator<Item = NodeId> {
        self.owners.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_and_taken_out_is_nothing() {
        let mut inventory = Inventory::default();
        let (one, two) = (NodeId(1), NodeId(2));
        inventory.add(&[one, two], 100);
        inventory.add(&[two], 10);
        let held = |copies, bytes| Held { copies, bytes };
        assert_eq!(inventory.of(one), held(1, 100));
        assert_eq!(inventory.of(two), held(2, 110));
        assert_eq!(inventory.all(), held(3, 210));
        inventory.take_out(&[one, two], 100);
        assert_eq!(inventory.owners().collect::<alloc::vec::Vec<_>>(), [two]);
        inventory.take_out(&[two], 10);
        assert_eq!(inventory.all(), Held::default());
        assert_eq!(inventory.owners().count(), 0);
    }

    #[test]
    fn what_was_found_by_looking_is_what_is_held() {
        let mut inventory = Inventory::default();
        let (one, two) = (NodeId(1), NodeId(2));
        let held = |copies, bytes| Held { copies, bytes };
        inventory.add(&[one, two], 100);
        inventory.correct(one, held(2, 30));
        assert_eq!(inventory.of(one), held(2, 30));
        assert_eq!(inventory.all(), held(3, 130));
        inventory.correct(one, held(0, 0));
        inventory.correct(two, held(1, 7));
        assert_eq!(inventory.owners().collect::<alloc::vec::Vec<_>>(), [two]);
        assert_eq!(inventory.all(), held(1, 7));
    }

    #[test]
    fn each_limit_is_one() {
        let limits = HintLimits {
            copies: 3,
            bytes: 1000,
            copies_for_one: 2,
            bytes_for_one: 500,
        };
        let (one, two) = (NodeId(1), NodeId(2));
        let held = |copies, bytes| Held { copies, bytes };
        let mut inventory = Inventory::default();
        assert!(inventory.has_room(one, held(1, 500), &limits));
        assert!(!inventory.has_room(one, held(1, 501), &limits));
        inventory.add(&[one], 400);
        assert!(
            !inventory.has_room(one, held(1, 200), &limits),
            "bytes for one"
        );
        inventory.add(&[one], 1);
        assert!(
            !inventory.has_room(one, held(1, 1), &limits),
            "copies for one"
        );
        assert!(
            inventory.has_room(one, held(0, 99), &limits),
            "longer, not more"
        );
        inventory.add(&[two], 499);
        assert!(
            !inventory.has_room(two, held(1, 1), &limits),
            "copies in all"
        );
    }
}
