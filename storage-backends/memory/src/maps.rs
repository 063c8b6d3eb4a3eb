//! The maps, and how much is in them.

use std::collections::BTreeMap;

use bytes::Bytes;
use dynamo_proto::store::{Address, Change, Space};
use dynamo_storage::Span;

/// One map for each space. `bytes` is the sum over all entries, always.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    objects: BTreeMap<Address, Bytes>,
    hints: BTreeMap<Address, Bytes>,
    trees: BTreeMap<Address, Bytes>,
    meta: BTreeMap<Address, Bytes>,
    bytes: usize,
}

impl Maps {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn find(&self, space: Space, at: &Address) -> Option<&Bytes> {
        self.of(space).get(at)
    }

    pub(crate) fn within(
        &self,
        space: Space,
        span: &Span,
    ) -> impl Iterator<Item = (&Address, &Bytes)> {
        self.of(space).range(span.bounds())
    }

    /// Whether these may all be applied.
    pub(crate) fn have_room(&self, changes: &[Change], capacity: Option<usize>) -> bool {
        let Some(capacity) = capacity else {
            return true;
        };
        let (mut taken, mut freed) = (0, 0);
        for Change { space, at, bytes } in changes {
            taken += bytes.as_ref().map_or(0, |bytes| size(at, bytes));
            freed += self.find(*space, at).map_or(0, |bytes| size(at, bytes));
        }
        taken <= freed || self.bytes - freed + taken <= capacity
    }

    pub(crate) fn apply(&mut self, change: Change) {
        let Change { space, at, bytes } = change;
        let Some(bytes) = bytes else {
            return self.remove(space, &at);
        };
        let taken = size(&at, &bytes);
        let map = self.of_mut(space);
        if let Some(place) = map.get_mut(&at) {
            let freed = size(&at, place);
            *place = bytes;
            self.bytes = self.bytes - freed + taken;
        } else {
            // The name that came may be part of a whole received buffer; it stays for as long as
            // the entry, through all overwrites, so it is worth a copy.
            let at = Address {
                position: at.position,
                name: Bytes::copy_from_slice(&at.name),
            };
            map.insert(at, bytes);
            self.bytes += taken;
        }
    }

    pub(crate) fn remove_within(&mut self, space: Space, span: &Span) {
        let within = self.of_mut(space).extract_if(span.bounds(), |_, _| true);
        let freed: usize = within.map(|(at, bytes)| size(&at, &bytes)).sum();
        self.bytes -= freed;
    }

    fn remove(&mut self, space: Space, at: &Address) {
        if let Some(bytes) = self.of_mut(space).remove(at) {
            self.bytes -= size(at, &bytes);
        }
    }

    fn of(&self, space: Space) -> &BTreeMap<Address, Bytes> {
        match space {
            Space::Objects => &self.objects,
            Space::Hints => &self.hints,
            Space::Trees => &self.trees,
            Space::Meta => &self.meta,
        }
    }

    fn of_mut(&mut self, space: Space) -> &mut BTreeMap<Address, Bytes> {
        match space {
            Space::Objects => &mut self.objects,
            Space::Hints => &mut self.hints,
            Space::Trees => &mut self.trees,
            Space::Meta => &mut self.meta,
        }
    }
}

fn size(at: &Address, bytes: &Bytes) -> usize {
    size_of::<(Address, Bytes)>() + at.name.len() + bytes.len()
}
