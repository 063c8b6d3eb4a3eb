//! What the child writes, known to the parent by number.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Space};

use crate::Dice;

/// How many places there are. What belongs to a place is written in both [`SPACES`], together.
pub(super) const PLACES: usize = 32;

pub(super) const SPACES: [Space; 2] = [Space::Objects, Space::Trees];

/// All that one run writes.
#[derive(Clone, Copy)]
pub(super) struct Work {
    pub(super) seed: u64,
}

impl Work {
    /// How many batches are written together from this one on.
    pub(super) fn group_len(self, first: u64) -> u64 {
        let mut dice = self.dice(first);
        [1, 1, 2, 4, 16][dice.below(5)]
    }

    /// The places that a batch changes; whether it removes what is there.
    pub(super) fn places(self, number: u64) -> Vec<(usize, bool)> {
        let mut dice = self.dice(number);
        dice.any(); // the group's length
        let count = 1 + dice.below(3);
        let places: BTreeSet<_> = (0..count).map(|_| dice.below(PLACES)).collect();
        let removes = |_| dice.below(8) == 0;
        let removals: Vec<_> = places.iter().map(removes).collect();
        places.into_iter().zip(removals).collect()
    }

    pub(super) fn batch(self, number: u64) -> Batch {
        let mut dice = self.dice(!number);
        let changes = self
            .places(number)
            .into_iter()
            .flat_map(|(place, is_removed)| {
                SPACES.map(|space| Change {
                    space,
                    at: address(place),
                    bytes: (!is_removed).then(|| self.value(number, space, place)),
                })
            });
        Batch {
            changes: changes.collect(),
            durability: match dice.below(8) {
                0..3 => Durability::Flushed,
                3..5 => Durability::Written,
                _ => Durability::Memory,
            },
            may_use_reserve: false,
        }
    }

    /// Begins with its batch's number, and all of it follows from that and from where it is.
    pub(super) fn value(self, number: u64, space: Space, place: usize) -> Bytes {
        let mut dice = self.dice(number ^ ((space as u64) << 60) ^ ((place as u64) << 50));
        let len = dice.one_of(&[8, 100, 1000, 5000]);
        let mut bytes = BytesMut::with_capacity(len + 16);
        bytes.put_u64(number);
        while bytes.len() < len {
            bytes.put_u64(dice.any());
        }
        bytes.freeze()
    }

    /// The number of the batch that wrote this there, unless it is not what that wrote.
    pub(super) fn number_of(self, space: Space, place: usize, bytes: &Bytes) -> Option<u64> {
        let number = u64::from_be_bytes(*bytes.first_chunk()?);
        (self.value(number, space, place) == *bytes).then_some(number)
    }

    fn dice(self, number: u64) -> Dice {
        Dice::new(self.seed.rotate_left(32) ^ number)
    }
}

/// Spread over the ring.
pub(super) fn address(place: usize) -> Address {
    Address {
        position: place as u128 * (u128::MAX / PLACES as u128),
        name: format!("place {place}").into(),
    }
}

pub(super) fn place_of(at: &Address) -> Option<usize> {
    (0..PLACES).find(|place| address(*place) == *at)
}
