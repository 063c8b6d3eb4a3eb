//! Which thread a command goes to so that commands on one place keep their order.
//!
//! Everything here happens in the node's thread. The writer does its jobs one after the other, and
//! each reader its reads. So a read follows the writes of its place to the writer while any is
//! under way, and a write is told how far a reader must have come that still reads its place.

use std::collections::HashMap;

use dynamo_proto::store::{Address, Change, Completion, Space};
use smallvec::SmallVec;

/// What has an order of its own: a position of a space. Its names share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    space: Space,
    position: u128,
}

pub(super) type Places = SmallVec<[Place; 1]>;

/// How far readers must have come: each by its number, and the number of its read.
pub(super) type After = SmallVec<[(usize, u64); 1]>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Writer,
    Reader(usize),
}

pub(super) struct Order {
    under_way: HashMap<Place, UnderWay>,
    /// How many reads each reader was given.
    given: Vec<u64>,
    outstanding: usize,
    most: usize,
}

#[derive(Default)]
struct UnderWay {
    /// At the writer, reads that wait for writes among them.
    at_writer: u32,
    at_reader: u32,
    /// The number of the last one.
    last_read: u64,
}

impl Place {
    pub(super) fn of(space: Space, at: &Address) -> Self {
        Self {
            space,
            position: at.position,
        }
    }

    pub(super) fn of_change(change: &Change) -> Self {
        Self::of(change.space, &change.at)
    }
}

/// How much of the queue a change takes.
pub(super) fn bytes(change: &Change) -> usize {
    let value = change.bytes.as_ref().map_or(0, |bytes| bytes.len());
    size_of::<Change>() + change.at.name.len() + value
}

impl Order {
    pub(super) fn new(readers: usize, most: usize) -> Self {
        Self {
            under_way: HashMap::new(),
            given: vec![0; readers],
            outstanding: 0,
            most,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.outstanding < self.most
    }

    pub(super) fn route_read(&self, place: Place) -> Route {
        match self.under_way.get(&place) {
            Some(under_way) if under_way.at_writer > 0 => Route::Writer,
            _ => Route::Reader(self.reader_of(place)),
        }
    }

    /// What these writes must wait for.
    pub(super) fn reads_before(&self, places: &Places) -> After {
        let reads = places.iter().filter_map(|place| {
            let under_way = self.under_way.get(place)?;
            (under_way.at_reader > 0).then(|| (self.reader_of(*place), under_way.last_read))
        });
        reads.collect()
    }

    pub(super) fn entered_read(&mut self, place: Place) {
        self.outstanding += 1;
        let reader = self.reader_of(place);
        let under_way = self.under_way.entry(place).or_default();
        if under_way.at_writer > 0 {
            under_way.at_writer += 1;
        } else {
            self.given[reader] += 1;
            under_way.at_reader += 1;
            under_way.last_read = self.given[reader];
        }
    }

    pub(super) fn entered_write(&mut self, places: &Places) {
        self.outstanding += 1;
        for place in places {
            self.under_way.entry(*place).or_default().at_writer += 1;
        }
    }

    pub(super) fn left(&mut self, completion: &Completion, places: &Places) {
        self.outstanding -= 1;
        for place in places {
            let Some(under_way) = self.under_way.get_mut(place) else {
                continue;
            };
            // A place has reads at its reader only from before those at the writer, which wait for
            // them. So they leave first.
            let is_read = !matches!(completion, Completion::Wrote(_));
            if is_read && under_way.at_reader > 0 {
                under_way.at_reader -= 1;
            } else {
                under_way.at_writer -= 1;
            }
            if under_way.at_writer == 0 && under_way.at_reader == 0 {
                self.under_way.remove(place);
            }
        }
    }

    /// One place is always read by the same.
    fn reader_of(&self, place: Place) -> usize {
        (place.position % self.given.len() as u128) as usize
    }
}
