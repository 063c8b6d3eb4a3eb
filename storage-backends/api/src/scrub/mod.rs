//! Reading everything again, slowly, so that damage is found while there are peers to repair it.

mod around;
mod scrubber;

use std::time::Duration;

use dynamo_proto::store::{Address, ReadOutcome, Space};
use dynamo_proto::version::Record;

use crate::{Backend, Item, Limit, SPACES, Span};
use around::Around;
pub use scrubber::Scrubber;

/// A walk through a whole store, again and again, at a pace. A [`Scrubber`] takes it in a thread of
/// its own.
///
/// Whoever runs it takes a [`step`](Self::step), hands what is damaged to the node, sleeps for as
/// long as it is told, and takes the next, in a thread that may wait for the disk. It holds nothing
/// of the store between steps and never waits for a writer, nor do writers wait for it.
///
/// Every record of an object is checked against its own checksum, which covers its address; in the
/// other spaces it is the engine that tells. What looks damaged is read once more before it is
/// reported.
///
/// ```
/// use std::thread;
///
/// use dynamo_storage::{Backend, Damaged, Scrub};
///
/// /// 500 GiB at this pace take a month.
/// const BYTES_A_SECOND: u64 = 200 << 10;
///
/// fn scrub(store: &dyn Backend, mut repair: impl FnMut(Damaged)) {
///     let mut scrub = Scrub::new(BYTES_A_SECOND);
///     while scrub.rounds() == 0 {
///         let step = scrub.step(store);
///         step.damaged.into_iter().for_each(&mut repair);
///         thread::sleep(step.pause);
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Scrub {
    bytes_a_second: u64,
    space: usize,
    rest: Span,
    rounds: u64,
    /// How often the rest could not be looked at, one time after the other.
    failures: u32,
    /// So many items are read one by one, since a page that held them could not be read.
    one_by_one: usize,
    /// The way around something that cannot be looked at.
    around: Option<Around>,
}

/// What came of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What is damaged.
    pub damaged: Vec<Damaged>,
    /// How many places were looked at.
    pub items: usize,
    /// How long to wait before the next step.
    pub pause: Duration,
}

/// Something that was written cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// In which space.
    pub space: Space,
    /// Where; of one address if it is known so closely.
    pub within: Span,
}

/// As much as is read at a time.
const STEP: Limit = Limit {
    items: 1000,
    bytes: 256 << 10,
};

/// So often something is looked at before it is taken for what cannot be looked at.
const TRIES: u32 = 4;

/// What an item costs beyond its bytes, so that empty ones and an empty store have a pace too.
const ITEM_BYTES: u64 = 64;

impl Scrub {
    /// From the beginning, so many bytes a second.
    #[must_use]
    pub fn new(bytes_a_second: u64) -> Self {
        Self {
            bytes_a_second: bytes_a_second.max(1),
            space: 0,
            rest: Span::all(),
            rounds: 0,
            failures: 0,
            one_by_one: 0,
            around: None,
        }
    }

    /// How often it has been through everything.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Reads the next page, or looks for a way around one that cannot be read.
    pub fn step<B: Backend + ?Sized>(&mut self, backend: &B) -> Step {
        let space = SPACES[self.space];
        if let Some(around) = self.around.take() {
            return self.go_around(around, backend);
        }
        let items = if self.one_by_one == 0 { STEP.items } else { 1 };
        let Ok(page) = backend.scan(space, &self.rest, Limit { items, ..STEP }) else {
            self.failures += 1;
            self.one_by_one = STEP.items;
            if self.failures == TRIES {
                self.around = Some(Around::from(self.rest.first().position));
            }
            return Step {
                pause: self.pause_after(STEP.bytes as u64),
                ..Step::default()
            };
        };
        let mut step = Step {
            items: page.items.len(),
            ..Step::default()
        };
        let mut bytes = ITEM_BYTES;
        for item in page.items {
            bytes += ITEM_BYTES;
            let within = match item {
                Item::Found { at, bytes: value } => {
                    bytes += (at.name.len() + value.len()) as u64;
                    if is_whole(space, &at, value) || is_whole_now(backend, space, &at) {
                        continue;
                    }
                    Span::of_one(at)
                }
                Item::Corrupt(within) => within,
            };
            step.damaged.push(Damaged { space, within });
        }
        self.one_by_one = self.one_by_one.saturating_sub(1);
        self.go_on_at(page.rest);
        step.pause = self.pause_after(bytes);
        step
    }

    /// One attempt to begin further on.
    fn go_around<B: Backend + ?Sized>(&mut self, around: Around, backend: &B) -> Step {
        let space = SPACES[self.space];
        let limit = Limit { items: 1, ..STEP };
        let can_begin = |at: Address| {
            let span = self.rest.starting_at(at);
            backend.scan(space, &span, limit).is_ok()
        };
        let mut step = Step {
            pause: self.pause_after(ITEM_BYTES),
            ..Step::default()
        };
        match around.look(can_begin) {
            Ok(behind) => {
                let within = Span::new(self.rest.first().clone(), behind.clone());
                step.damaged.push(Damaged { space, within });
                self.one_by_one = 0;
                self.go_on_at(behind.map(|behind| self.rest.starting_at(behind)));
            }
            Err(around) => self.around = Some(around),
        }
        step
    }

    /// At the rest of the space, or in the next one.
    fn go_on_at(&mut self, rest: Option<Span>) {
        self.failures = 0;
        if rest.is_none() {
            self.space = (self.space + 1) % SPACES.len();
            self.rounds += u64::from(self.space == 0);
        }
        self.rest = rest.unwrap_or_else(Span::all);
    }

    fn pause_after(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.bytes_a_second as f64)
    }
}

impl Damaged {
    /// Where the object is whose record is damaged, if it is an object's and known so closely: what
    /// the core can repair by itself.
    #[must_use]
    pub fn into_address(self) -> Option<Address> {
        (self.space == Space::Objects)
            .then(|| self.within.into_one())
            .flatten()
    }
}

fn is_whole(space: Space, at: &Address, bytes: bytes::Bytes) -> bool {
    space != Space::Objects || Record::decode(at, bytes).is_ok()
}

fn is_whole_now<B: Backend + ?Sized>(backend: &B, space: Space, at: &Address) -> bool {
    match backend.read(space, at) {
        ReadOutcome::Found(bytes) => is_whole(space, at, bytes),
        ReadOutcome::Absent => true,
        ReadOutcome::Corrupt | ReadOutcome::Failed => false,
    }
}
