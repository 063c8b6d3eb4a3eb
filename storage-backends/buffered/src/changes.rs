//! What is to become of places: the latest change of each.

use std::collections::BTreeMap;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Space};
use dynamo_storage::{SPACES, Span};

use crate::Bounds;

/// A map for each space, in the order of [`SPACES`]. Nothing at a place means that it is to be
/// removed. `objects` and `bytes` are the sums over all, always.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    spaces: [BTreeMap<Address, Option<Bytes>>; SPACES.len()],
    objects: usize,
    bytes: usize,
}

impl Changes {
    pub(crate) fn find(&self, space: Space, at: &Address) -> Option<&Option<Bytes>> {
        self.spaces[space as usize].get(at)
    }

    pub(crate) fn within(
        &self,
        space: Space,
        span: &Span,
    ) -> impl Iterator<Item = (&Address, &Option<Bytes>)> {
        self.spaces[space as usize].range(span.bounds())
    }

    pub(crate) fn put(&mut self, space: Space, at: &Address, bytes: Option<Bytes>) {
        let places = &mut self.spaces[space as usize];
        self.bytes += size(at, bytes.as_ref());
        if let Some(place) = places.get_mut(at) {
            self.bytes -= size(at, place.as_ref());
            *place = bytes;
        } else {
            // The name that came may be part of a whole received buffer, which no bound counts.
            let at = Address {
                position: at.position,
                name: Bytes::copy_from_slice(&at.name),
            };
            places.insert(at, bytes);
            self.objects += 1;
        }
    }

    pub(crate) fn remove(&mut self, space: Space, at: &Address) {
        if let Some(bytes) = self.spaces[space as usize].remove(at) {
            self.objects -= 1;
            self.bytes -= size(at, bytes.as_ref());
        }
    }

    pub(crate) fn remove_within(&mut self, space: Space, span: &Span) {
        let within = self.spaces[space as usize].extract_if(span.bounds(), |_, _| true);
        for (at, bytes) in within {
            self.objects -= 1;
            self.bytes -= size(&at, bytes.as_ref());
        }
    }

    /// Goes back under what came later.
    pub(crate) fn put_under(self, later: &mut Self) {
        for (space, places) in SPACES.into_iter().zip(self.spaces) {
            for (at, bytes) in places {
                if later.find(space, &at).is_none() {
                    later.put(space, &at, bytes);
                }
            }
        }
    }

    pub(crate) fn to_batch(&self, durability: Durability) -> Batch {
        let places = SPACES.into_iter().zip(&self.spaces);
        let changes = places.flat_map(|(space, places)| {
            places.iter().map(move |(at, bytes)| Change {
                space,
                at: at.clone(),
                bytes: bytes.clone(),
            })
        });
        Batch {
            changes: changes.collect(),
            durability,
            may_use_reserve: false,
        }
    }

    /// Whether all these fit in beside `others`. What they replace is not taken into account.
    pub(crate) fn have_room(&self, others: &Self, changes: &[Change], bounds: &Bounds) -> bool {
        let objects = self.objects + others.objects + changes.len();
        let sizes = changes.iter().map(|it| size(&it.at, it.bytes.as_ref()));
        let bytes = self.bytes + others.bytes + sizes.sum::<usize>();
        objects <= bounds.objects && bytes <= bounds.bytes
    }

    pub(crate) fn is_within(&self, bounds: &Bounds) -> bool {
        self.objects <= bounds.objects && self.bytes <= bounds.bytes
    }

    pub(crate) fn is_half_of(&self, bounds: &Bounds) -> bool {
        self.objects * 2 >= bounds.objects || self.bytes * 2 >= bounds.bytes
    }
}

fn size(at: &Address, bytes: Option<&Bytes>) -> usize {
    size_of::<(Address, Bytes)>() + at.name.len() + bytes.map_or(0, Bytes::len)
}
