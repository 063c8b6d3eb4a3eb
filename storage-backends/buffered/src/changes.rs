//! What is to become of places: the latest change of each.

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Space};
use dynamo_storage::{SPACES, Span};
use smallvec::SmallVec;

use crate::Bounds;

/// A map for each space, in the order of [`SPACES`]. `objects`, `urgent` and `bytes` are the sums
/// over all, always.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    spaces: [BTreeMap<Address, Latest>; SPACES.len()],
    objects: usize,
    urgent: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Latest {
    /// Nothing if the place is to be emptied.
    bytes: Option<Bytes>,
    /// It may use the room that is kept back, and so may all that is left of its batch.
    is_urgent: bool,
}

impl Changes {
    pub(crate) fn find(&self, space: Space, at: &Address) -> Option<&Option<Bytes>> {
        let latest = self.spaces[space as usize].get(at)?;
        Some(&latest.bytes)
    }

    pub(crate) fn within(
        &self,
        space: Space,
        span: &Span,
    ) -> impl Iterator<Item = (&Address, &Option<Bytes>)> {
        let places = self.spaces[space as usize].range(span.bounds());
        places.map(|(at, latest)| (at, &latest.bytes))
    }

    /// Takes in a batch.
    pub(crate) fn take_in(&mut self, changes: impl IntoIterator<Item = Change>, is_urgent: bool) {
        let mut hides_urgent = false;
        for Change { space, at, bytes } in changes {
            hides_urgent |= self.put(space, &at, bytes, is_urgent);
        }
        if hides_urgent && !is_urgent {
            self.calm();
        }
    }

    pub(crate) fn remove(&mut self, space: Space, at: &Address) {
        if let Some(latest) = self.spaces[space as usize].remove(at) {
            self.forget(at, &latest);
        }
    }

    pub(crate) fn remove_within(&mut self, space: Space, span: &Span) {
        let within = self.spaces[space as usize].extract_if(span.bounds(), |_, _| true);
        for (at, latest) in within.collect::<Vec<_>>() {
            self.forget(&at, &latest);
        }
    }

    /// What is urgent was written.
    pub(crate) fn remove_urgent(&mut self) {
        for places in SPACES.map(|space| space as usize) {
            let urgent = self.spaces[places].extract_if(.., |_, latest| latest.is_urgent);
            for (at, latest) in urgent.collect::<Vec<_>>() {
                self.forget(&at, &latest);
            }
        }
    }

    /// Goes back under what came later.
    pub(crate) fn put_under(mut self, later: &mut Self) {
        let places = || SPACES.into_iter().zip(&self.spaces);
        let is_hidden = |space, at: &Address| later.spaces[space as usize].get(at);
        let hides_urgent = places().any(|(space, places)| {
            let mut urgent = places.iter().filter(|(_, latest)| latest.is_urgent);
            urgent.any(|(at, _)| is_hidden(space, at).is_some_and(|later| !later.is_urgent))
        });
        if hides_urgent {
            self.calm();
        }
        for (space, places) in SPACES.into_iter().zip(self.spaces) {
            for (at, latest) in places {
                if later.find(space, &at).is_none() {
                    later.put(space, &at, latest.bytes, latest.is_urgent);
                }
            }
        }
    }

    /// All of it, which may use the reserve if all that is in it may.
    pub(crate) fn to_batch(&self, durability: Durability) -> Batch {
        let may_use_reserve = self.urgent > 0 && self.urgent == self.objects;
        self.batch(durability, may_use_reserve, |_| true)
    }

    /// What may use the reserve, of which only a part is.
    pub(crate) fn to_urgent_batch(&self, durability: Durability) -> Option<Batch> {
        let is_a_part = (1..self.objects).contains(&self.urgent);
        is_a_part.then(|| self.batch(durability, true, |latest| latest.is_urgent))
    }

    fn batch(
        &self,
        durability: Durability,
        may_use_reserve: bool,
        is_in: impl Fn(&Latest) -> bool,
    ) -> Batch {
        let mut changes = SmallVec::new();
        for (space, places) in SPACES.into_iter().zip(&self.spaces) {
            let within = places.iter().filter(|(_, latest)| is_in(latest));
            changes.extend(within.map(|(at, latest)| Change {
                space,
                at: at.clone(),
                bytes: latest.bytes.clone(),
            }));
        }
        Batch {
            changes,
            durability,
            may_use_reserve,
        }
    }

    /// Whether something urgent was there.
    fn put(&mut self, space: Space, at: &Address, bytes: Option<Bytes>, is_urgent: bool) -> bool {
        let places = &mut self.spaces[space as usize];
        self.bytes += size(at, bytes.as_ref());
        self.urgent += usize::from(is_urgent);
        let latest = Latest { bytes, is_urgent };
        if let Some(place) = places.get_mut(at) {
            let before = mem::replace(place, latest);
            self.bytes -= size(at, before.bytes.as_ref());
            self.urgent -= usize::from(before.is_urgent);
            return before.is_urgent;
        }
        // The name that came may be part of a whole received buffer, which no bound counts.
        let at = Address {
            position: at.position,
            name: Bytes::copy_from_slice(&at.name),
        };
        places.insert(at, latest);
        self.objects += 1;
        false
    }

    fn forget(&mut self, at: &Address, latest: &Latest) {
        self.objects -= 1;
        self.urgent -= usize::from(latest.is_urgent);
        self.bytes -= size(at, latest.bytes.as_ref());
    }

    /// An urgent batch is not whole any more, and it is not known which: nothing is urgent.
    fn calm(&mut self) {
        let places = self.spaces.iter_mut().flatten();
        places.for_each(|(_, latest)| latest.is_urgent = false);
        self.urgent = 0;
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
