//! Reading everything again, slowly, so that damage is found while there are peers to repair it.

use std::time::Duration;

use dynamo_proto::store::{Address, ReadOutcome, Space};
use dynamo_proto::version::Record;

use crate::{Backend, Item, Limit, SPACES, ScanFailed, Span};

/// A walk through a whole store, again and again, at a pace.
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
/// use dynamo_storage::{Backend, ScanFailed, Scrub};
///
/// /// 500 GiB at this pace take a month.
/// const BYTES_A_SECOND: u64 = 200 << 10;
///
/// fn scrub(store: &dyn Backend, mut repair: impl FnMut(dynamo_storage::Damaged)) -> ScanFailed {
///     let mut scrub = Scrub::new(BYTES_A_SECOND);
///     loop {
///         match scrub.step(store) {
///             Ok(step) => {
///                 step.damaged.into_iter().for_each(&mut repair);
///                 thread::sleep(step.pause);
///             }
///             Err(failed) => return failed,
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Scrub {
    bytes_a_second: u64,
    space: usize,
    rest: Span,
    rounds: u64,
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
        }
    }

    /// How often it has been through everything.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Reads the next page. After a failure it is the same one again.
    pub fn step<B: Backend + ?Sized>(&mut self, backend: &B) -> Result<Step, ScanFailed> {
        let space = SPACES[self.space];
        let page = backend.scan(space, &self.rest, STEP)?;
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
        match page.rest {
            Some(rest) => self.rest = rest,
            None => {
                self.rest = Span::all();
                self.space = (self.space + 1) % SPACES.len();
                self.rounds += u64::from(self.space == 0);
            }
        }
        step.pause = Duration::from_secs_f64(bytes as f64 / self.bytes_a_second as f64);
        Ok(step)
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
