//! Whether the trees that are kept are those of the records beside them: for whoever checks a store.

use alloc::collections::BTreeMap;

use bytes::Bytes;

use super::audit::{note, note_place};
use super::leaf::{Known, Sum, Value};
use super::shape::{Cell, Shape};
use crate::ring::Ring;
use crate::store::Address;
use crate::version::{Record, Retirements};
use crate::{Buckets, Key};

/// What the trees in a store are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeCheck {
    /// Leaves that do not say what their keys are.
    pub wrong: usize,
    /// Leaves that say of themselves that they have to be made anew.
    pub unsure: usize,
}

/// Compares what a node keeps of its trees with its records. `None` if the trees are still being
/// made. `keys` is for how many the cluster is cut out. Records that cannot be read are in no tree.
pub fn check_tree(
    (ring, buckets, retired): (&Ring, &Buckets, &Retirements),
    keys: u64,
    records: impl IntoIterator<Item = (Address, Bytes)>,
    kept: impl IntoIterator<Item = (Address, Bytes)>,
) -> Option<TreeCheck> {
    let shape = Shape::of(ring, keys);
    let mut kept: BTreeMap<Address, Bytes> = kept.into_iter().collect();
    if kept.remove(&note_place()) != Some(note(shape, buckets, retired)) {
        return None;
    }
    let mut right: BTreeMap<Address, Sum> = BTreeMap::new();
    for (at, bytes) in records {
        let record = Record::decode(&at, bytes).ok();
        let Some((record, key)) = record.zip(Key::decode(at.name).ok()) else {
            continue;
        };
        let cell = Cell {
            number: shape.leaf(key.token().0),
            n: buckets.of(&key).n,
        };
        if let Some(sum) = Known::of(key.token(), record.siblings(), retired).sum() {
            right.entry(shape.place(cell)).or_default().add(sum);
        }
    }
    let mut check = TreeCheck::default();
    for (at, bytes) in kept {
        match Value::decode(&at, &bytes) {
            Value::Unsure => check.unsure += 1,
            Value::Sure(sum) => check.wrong += usize::from(right.get(&at) != Some(&sum)),
        }
        right.remove(&at);
    }
    check.wrong += right.values().filter(|sum| !sum.is_nothing()).count();
    Some(check)
}
