//! Stores that are full.

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Change, Space, WriteError};

use super::Subject;
use super::places::{apply, batch, expect, place, set, unset};
use super::report::{Miss, Outcome, ensure};
use crate::{Backend, Write};

const ROOM: usize = 256 << 10;
const HUGE: Bytes = Bytes::from_static(&[7; 2 * ROOM]);

fn large() -> Bytes {
    HUGE.slice(..4096)
}

/// A store that refused the last of its writes as too much, and what it holds.
fn full<S: Subject>(subject: &mut S) -> Outcome<(S::Backend, Vec<Address>)> {
    let backend = subject.open_bounded(ROOM).ok_or(Miss::Skipped)?;
    let mut held = Vec::new();
    for position in 0..ROOM as u128 {
        let at = place(position, b"large");
        match answer(&backend, [set(Space::Objects, &at, large())]) {
            Ok(_) => held.push(at),
            Err(WriteError::Full) => break,
            Err(error) => ensure!(false, "a write was answered {error:?}"),
        }
        let is_bounded = held.len() * large().len() <= 2 * ROOM;
        ensure!(
            is_bounded,
            "{} large values in a store of {ROOM} bytes",
            held.len()
        );
    }
    ensure!(held.len() > 2, "nothing fits into a store of {ROOM} bytes");
    Ok((backend, held))
}

fn answer<B: Backend>(
    backend: &B,
    changes: impl IntoIterator<Item = Change>,
) -> Result<Durability, WriteError> {
    let mut group = [Write::from(batch(changes, Durability::Memory))];
    backend.write(&mut group);
    let [write] = group;
    write.answer
}

pub(super) fn a_full_store_takes_nothing_of_a_batch<S: Subject>(subject: &mut S) -> Outcome {
    let (backend, held) = full(subject)?;
    let (new, huge) = (place(0, b"new"), place(1, b"huge"));
    let refused = answer(
        &backend,
        [
            set(Space::Objects, &held[0], "less"),
            unset(Space::Objects, &held[1]),
            set(Space::Trees, &new, ""),
            set(Space::Hints, &huge, HUGE),
        ],
    );
    ensure!(
        refused == Err(WriteError::Full),
        "twice the room was answered {refused:?}"
    );
    expect(&backend, Space::Trees, &new, None)?;
    expect(&backend, Space::Hints, &huge, None)?;
    for at in &held {
        expect(&backend, Space::Objects, at, Some(&large()))?;
    }
    Ok(())
}

pub(super) fn a_full_store_can_be_emptied<S: Subject>(subject: &mut S) -> Outcome {
    let (backend, held) = full(subject)?;
    apply(&backend, set(Space::Objects, &held[0], "less"))?;
    expect(&backend, Space::Objects, &held[0], Some(&"less".into()))?;
    let changes = [
        [set(Space::Hints, &held[1], HUGE)],
        [unset(Space::Objects, &held[1])],
    ];
    let mut group = changes.map(|changes| Write::from(batch(changes, Durability::Memory)));
    backend.write(&mut group);
    let [refused, taken] = group;
    ensure!(
        refused.answer == Err(WriteError::Full) && taken.answer.is_ok(),
        "too much, then a removal, were answered {:?} and {:?}",
        refused.answer,
        taken.answer
    );
    expect(&backend, Space::Objects, &held[1], None)?;
    for at in &held {
        apply(&backend, unset(Space::Objects, at))?;
        expect(&backend, Space::Objects, at, None)?;
    }
    Ok(())
}
