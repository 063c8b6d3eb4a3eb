//! Who must be looked at next, and when.

use alloc::vec::Vec;

use super::slots::Slot;
use crate::Instant;

/// At most one deadline for each slot; the earliest is found at once and is never one that was
/// taken back.
///
/// A binary heap that knows where each slot's entry stands.
#[derive(Default)]
pub(crate) struct Deadlines {
    heap: Vec<(Instant, Slot)>,
    /// By a slot's index: where in the heap its entry is, [`NOWHERE`] if it has none.
    places: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Deadlines {
    /// The earliest of all.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest, if it has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Slot> {
        let (at, slot) = *self.heap.first()?;
        (at <= now).then(|| {
            self.clear(slot);
            slot
        })
    }

    /// Sets a slot's deadline in place of any that it has.
    pub(crate) fn set(&mut self, slot: Slot, at: Instant) {
        if slot.index() >= self.places.len() {
            self.places.resize(slot.index() + 1, NOWHERE);
        }
        let place = match self.places[slot.index()] {
            NOWHERE => {
                self.heap.push((at, slot));
                self.heap.len() - 1
            }
            place => {
                self.heap[place as usize] = (at, slot);
                place as usize
            }
        };
        self.settle(place);
    }

    /// Sets a slot's deadline unless it has an earlier one.
    pub(crate) fn bring_forward(&mut self, slot: Slot, at: Instant) {
        let place = self.places.get(slot.index());
        let has = place.and_then(|place| self.heap.get(*place as usize));
        if has.is_none_or(|(earlier, _)| at < *earlier) {
            self.set(slot, at);
        }
    }

    /// Takes a slot's deadline back, if it has one.
    pub(crate) fn clear(&mut self, slot: Slot) {
        let Some(place) = self.places.get_mut(slot.index()) else {
            return;
        };
        let place = match core::mem::replace(place, NOWHERE) {
            NOWHERE => return,
            place => place as usize,
        };
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.settle(place);
        }
    }

    /// Moves an entry up or down to where it belongs.
    fn settle(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] <= entry {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        loop {
            let mut child = 2 * place + 1;
            if child + 1 < self.heap.len() && self.heap[child + 1] < self.heap[child] {
                child += 1;
            }
            if child >= self.heap.len() || self.heap[child] >= entry {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: (Instant, Slot)) {
        self.heap[place] = entry;
        self.places[entry.1.index()] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::slots::Slots;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_earliest_deadline_is_always_at_hand(steps in prop::collection::vec((0..20_usize, prop::option::of(0..50_u64)), 0..200)) {
            let mut slots = Slots::new();
            let slots: Vec<_> = (0..20).map(|_| slots.insert(())).collect();
            let (mut deadlines, mut model) = (Deadlines::default(), BTreeMap::new());
            for (at, deadline) in steps {
                match deadline {
                    Some(nanos) => {
                        deadlines.set(slots[at], Instant::from_nanos(nanos));
                        model.insert(slots[at], Instant::from_nanos(nanos));
                    }
                    None => {
                        deadlines.clear(slots[at]);
                        model.remove(&slots[at]);
                    }
                }
                prop_assert_eq!(deadlines.next(), model.values().min().copied());
            }
            let mut last = Instant::default();
            while let Some(next) = deadlines.next() {
                prop_assert!(next >= last);
                last = next;
                let slot = deadlines.pop_due(next).unwrap();
                prop_assert_eq!(model.remove(&slot), Some(next));
            }
            prop_assert!(model.is_empty());
        }
    }
}
