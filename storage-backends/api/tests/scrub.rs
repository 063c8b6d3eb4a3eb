//! Whatever is damaged is found, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::node::Op;
use dynamo_proto::store::{Address, Batch, Change, Command, Completion, ReadOutcome, Space};
use dynamo_proto::version::Record;
use dynamo_storage::conformance::Subject as _;
use dynamo_storage::worker::{Worker, WorkerOptions};
use dynamo_storage::{
    Backend, Damaged, Limit, Page, SPACES, ScanFailed, Scrub, Scrubber, Span, Write,
};

mod planted;

use planted::{Disk, Engine, Flaw};

const PLACES: u128 = 5000;

fn place(position: u128) -> Address {
    Address {
        position,
        name: Bytes::from_static(b"cart"),
    }
}

fn put(engine: &Engine, space: Space, at: Address, bytes: Bytes) {
    let bytes = Some(bytes);
    let changes = [Change { space, at, bytes }].into_iter().collect();
    let mut group = [Write::from(Batch {
        changes,
        durability: Durability::Memory,
        may_use_reserve: false,
    })];
    engine.write(&mut group);
    group[0].answer.unwrap();
}

fn filled() -> (Disk, Engine) {
    let mut disk = Disk::with(Flaw::None);
    let engine = disk.open();
    for position in 0..PLACES {
        let at = place(position);
        let bytes = Record::default().encode(&at);
        put(&engine, Space::Objects, at.clone(), bytes);
        put(&engine, Space::Trees, at, Bytes::from_static(b"no record"));
    }
    (disk, engine)
}

fn round(engine: &impl Backend, bytes_a_second: u64) -> (Vec<Damaged>, usize, Duration) {
    let (mut damaged, mut items, mut time) = (Vec::new(), 0, Duration::ZERO);
    let mut scrub = Scrub::new(bytes_a_second);
    while scrub.rounds() == 0 {
        let step = scrub.step(engine);
        damaged.extend(step.damaged);
        items += step.items;
        time += step.pause;
    }
    (damaged, items, time)
}

#[test]
fn a_whole_store_is_looked_at_and_found_whole() {
    let (_disk, engine) = filled();
    let (damaged, items, _) = round(&engine, 1 << 20);
    assert_eq!((damaged, items), (vec![], 2 * PLACES as usize));
}

#[test]
fn all_that_is_damaged_is_reported() {
    let (mut disk, engine) = filled();
    let [by_engine, flipped, misplaced] = [7, 1234, PLACES - 1].map(place);
    assert!(disk.damage(&engine, Space::Objects, &by_engine));
    assert!(disk.damage(&engine, Space::Trees, &by_engine));
    let mut bytes = Record::default().encode(&flipped).to_vec();
    bytes[0] ^= 1;
    put(&engine, Space::Objects, flipped.clone(), bytes.into());
    // Whole, but of another address.
    let bytes = Record::default().encode(&place(1));
    put(&engine, Space::Objects, misplaced.clone(), bytes);

    let (damaged, ..) = round(&engine, 1 << 20);
    let one = |space, at: &Address| Damaged {
        space,
        within: Span::of_one(at.clone()),
    };
    assert_eq!(
        damaged,
        [
            one(Space::Objects, &by_engine),
            one(Space::Objects, &flipped),
            one(Space::Objects, &misplaced),
            one(Space::Trees, &by_engine),
        ]
    );
}

#[test]
fn it_keeps_its_pace_also_where_nothing_is() {
    let (_disk, engine) = filled();
    let (_, _, time) = round(&engine, 1 << 20);
    assert!(time > Duration::from_millis(500), "{time:?}");
    let mut scrub = Scrub::new(64);
    let empty = Disk::with(Flaw::None).open();
    for _ in 0..SPACES.len() {
        assert_eq!(scrub.step(&empty).pause, Duration::from_secs(1));
    }
    assert_eq!(scrub.rounds(), 1);
}

/// An engine of which some positions cannot be looked at, the first times or ever.
struct Unreadable {
    engine: Engine,
    positions: RangeInclusive<u128>,
    fails: AtomicUsize,
}

impl Backend for Unreadable {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        self.engine.read(space, at)
    }

    fn write(&self, group: &mut [Write]) {
        self.engine.write(group);
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        let page = self.engine.scan(space, span, limit)?;
        let positions = page.items.iter().map(|item| item.first().position);
        let is_hit =
            space == Space::Objects && positions.into_iter().any(|it| self.positions.contains(&it));
        let fails = |left: usize| left.checked_sub(1);
        if is_hit
            && self
                .fails
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails)
                .is_ok()
        {
            return Err(ScanFailed);
        }
        Ok(page)
    }
}

#[test]
fn what_cannot_be_looked_at_is_reported_and_the_walk_goes_on_behind_it() {
    for (first, last) in [
        (0, 0),
        (1234, 1300),
        (PLACES - 1, u128::MAX),
        (0, u128::MAX),
    ] {
        let (_disk, engine) = filled();
        let bad = Unreadable {
            engine,
            positions: first..=last,
            fails: AtomicUsize::new(usize::MAX),
        };
        let (damaged, items, _) = round(&bad, 1 << 20);
        let [
            Damaged {
                space: Space::Objects,
                within,
            },
        ] = &damaged[..]
        else {
            panic!("{damaged:?}");
        };
        for position in 0..PLACES {
            let is_bad = (first..=last).contains(&position);
            assert_eq!(within.contains(&place(position)), is_bad, "{position}");
        }
        let unread = (first..=last.min(PLACES - 1)).count();
        assert_eq!(items, 2 * PLACES as usize - unread);
    }
}

#[test]
fn what_fails_once_or_twice_is_not_reported() {
    let (_disk, engine) = filled();
    let slow = Unreadable {
        engine,
        positions: 1234..=1300,
        fails: AtomicUsize::new(2),
    };
    let (damaged, items, _) = round(&slow, 1 << 20);
    assert_eq!((damaged, items), (vec![], 2 * PLACES as usize));
}

/// Objects have addresses that the core can repair; of the rest nothing is lost, only not there.
#[test]
fn what_is_damaged_has_an_address_if_it_is_an_object() {
    let whole = |space| Damaged {
        space,
        within: Span::of_one(place(7)),
    };
    assert_eq!(whole(Space::Objects).into_address(), Some(place(7)));
    assert_eq!(whole(Space::Trees).into_address(), None);
    let some = Damaged {
        space: Space::Objects,
        within: Span::of_positions(1..=7),
    };
    assert_eq!(some.into_address(), None);
}

#[test]
fn damage_is_handed_over_while_the_worker_goes_on() {
    let (mut disk, engine) = filled();
    let damaged = [7, 1234, PLACES - 1].map(place);
    for at in &damaged {
        assert!(disk.damage(&engine, Space::Objects, at));
    }
    let engine = Arc::new(engine);
    let mut worker = Worker::start(engine.clone(), WorkerOptions::default(), || ()).unwrap();
    let node = thread::current();
    let mut scrubber = Scrubber::start(engine.clone(), 4 << 20, move || node.unpark()).unwrap();

    let start = Instant::now();
    let (mut found, mut completed, mut reads) = (Vec::new(), Vec::new(), 0);
    while found.len() < 2 * damaged.len() {
        assert!(start.elapsed() < Duration::from_secs(60), "{found:?}");
        let at = place(reads % PLACES);
        let space = Space::Trees;
        worker
            .submit(Op(reads as u64), Command::Read { space, at })
            .unwrap();
        while completed.is_empty() {
            worker.take(&mut completed).unwrap();
        }
        let [(_, Completion::Read(_))] = completed[..] else {
            panic!("{completed:?}");
        };
        completed.clear();
        reads += 1;
        let mut taken = Vec::new();
        scrubber.take(&mut taken).unwrap();
        found.extend(taken.into_iter().filter_map(Damaged::into_address));
    }
    // A round and some of the next, which the pace makes long.
    let (_, _, round) = round(&engine, 4 << 20);
    assert!(
        start.elapsed() >= round,
        "{:?} < {round:?}",
        start.elapsed()
    );
    // Were they held up, each of some thirty pages would let one through.
    assert!(reads > 100, "only {reads} reads beside it");
    assert_eq!(
        [&found[..3], &found[3..]].map(<[_]>::to_vec),
        [damaged.to_vec(), damaged.to_vec()]
    );
    drop(scrubber);
    worker.close().unwrap();
}

/// It sleeps for most of an hour, and ends at once all the same.
#[test]
fn a_scrubber_ends_when_it_is_dropped() {
    let start = Instant::now();
    let engine = Arc::new(Disk::with(Flaw::None).open());
    drop(Scrubber::start(engine, 1, || ()).unwrap());
    assert!(start.elapsed() < Duration::from_secs(10));
}
