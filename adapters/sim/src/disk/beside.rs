//! A real engine beside an invented disk: it is asked everything that the disk is asked, and has to
//! say the same.
//!
//! When the process stops it is dropped as it is and opened again. What is in it then must be
//! something that the disk could have been left with; what the disk is left with may be less, and
//! the rest is taken out of the engine by hand, so that both go on alike.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Item, Limit, Page, ReadOutcome, Space, Span};
use dynamo_storage::{Backend, Scan, Write};

use super::Place;

/// What an engine has, or a disk.
pub(super) type Content = BTreeMap<Place, Bytes>;

/// Opens a machine's store, which was dropped before unless it is opened for the first time.
pub(crate) type Open = Rc<dyn Fn(usize) -> Box<dyn Backend>>;

pub(super) struct Beside {
    machine: usize,
    open: Open,
    /// The best that it answers a write.
    best: Durability,
    /// Gone only while it is opened again.
    engine: Option<Box<dyn Backend>>,
}

impl Beside {
    pub(super) fn new(machine: usize, best: Durability, open: Open) -> Self {
        let engine = Some(open(machine));
        Self {
            machine,
            open,
            best,
            engine,
        }
    }

    pub(super) fn expect_read(&self, space: Space, at: &Address, expected: &ReadOutcome) {
        let found = self.engine().read(space, at);
        assert_eq!(found, *expected, "{self:?} reads {space:?} {at:?}");
    }

    pub(super) fn expect_page(&self, space: Space, span: &Span, limit: Limit, expected: &Page) {
        let page = self.engine().scan(space, span, limit);
        assert_eq!(
            page.as_ref(),
            Ok(expected),
            "{self:?} scans {space:?} {span:?}"
        );
    }

    pub(super) fn write(&self, batch: &Batch) {
        let mut group = [Write::from(batch.clone())];
        self.engine().write(&mut group);
        let [Write { answer, .. }] = group;
        let least = batch.durability.min(self.best);
        assert!(
            answer.is_ok_and(|reached| reached >= least),
            "{self:?} answers {answer:?} to {batch:?}"
        );
    }

    /// Ends it as its process would end, and looks at what is left.
    pub(super) fn reopen(&mut self) -> Content {
        self.engine = None;
        self.engine = Some((self.open)(self.machine));
        let mut left = Content::new();
        for space in Space::ALL {
            for item in Scan::new(self.engine(), space, Span::all()) {
                let Ok(Item::Found { at, bytes }) = item else {
                    panic!("{self:?} is left with {item:?}");
                };
                left.insert((space, at), bytes);
            }
        }
        left
    }

    /// Makes one content of another.
    pub(super) fn adjust(&self, from: &Content, to: &Content) {
        let gone = from.keys().filter(|place| !to.contains_key(place));
        let gone = gone.map(|place| (place, None));
        let other = to
            .iter()
            .filter(|(place, bytes)| from.get(place) != Some(bytes));
        let changes = gone.chain(other.map(|(place, bytes)| (place, Some(bytes.clone()))));
        let changes = changes.map(|((space, at), bytes)| Change {
            space: *space,
            at: at.clone(),
            bytes,
        });
        self.write(&Batch {
            changes: changes.collect(),
            durability: Durability::Flushed,
            may_use_reserve: true,
        });
    }

    fn engine(&self) -> &dyn Backend {
        self.engine
            .as_deref()
            .expect("nobody asks while it is opened")
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the engine of machine {}", self.machine)
    }
}
