//! Whatever is damaged is found, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Space};
use dynamo_proto::version::Record;
use dynamo_storage::conformance::Subject as _;
use dynamo_storage::{Backend, Damaged, SPACES, Scrub, Span, Write};

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

fn round(engine: &Engine) -> (Vec<Damaged>, usize, Duration) {
    let (mut damaged, mut items, mut time) = (Vec::new(), 0, Duration::ZERO);
    let mut scrub = Scrub::new(1 << 20);
    while scrub.rounds() == 0 {
        let step = scrub.step(engine).unwrap();
        damaged.extend(step.damaged);
        items += step.items;
        time += step.pause;
    }
    (damaged, items, time)
}

#[test]
fn a_whole_store_is_looked_at_and_found_whole() {
    let (_disk, engine) = filled();
    let (damaged, items, _) = round(&engine);
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

    let (damaged, ..) = round(&engine);
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
    let (_, _, time) = round(&engine);
    assert!(time > Duration::from_millis(500), "{time:?}");
    let mut scrub = Scrub::new(64);
    let empty = Disk::with(Flaw::None).open();
    for _ in 0..SPACES.len() {
        assert_eq!(scrub.step(&empty).unwrap().pause, Duration::from_secs(1));
    }
    assert_eq!(scrub.rounds(), 1);
}
