//! Damage, and flushes that fail.

use dynamo_proto::Durability;
use dynamo_proto::store::{Address, ReadOutcome, Space, WriteError};

use super::Subject;
use super::places::{apply, batch, expect, pages, place, set, unset};
use super::report::{Miss, Outcome, ensure};
use crate::{Backend, Item, Limit, Scan, Span, Write};

/// Three in a row, the middle one damaged.
fn damaged<S: Subject>(subject: &mut S) -> Outcome<(S::Backend, [Address; 3])> {
    let backend = subject.open();
    let places = [place(4, b"a"), place(4, b"b"), place(4, b"c")];
    for at in &places {
        let change = set(Space::Objects, at, "tea");
        super::places::write(&backend, batch([change], Durability::Flushed))?;
    }
    if subject.damage(&backend, Space::Objects, &places[1]) {
        Ok((backend, places))
    } else {
        Err(Miss::Skipped)
    }
}

pub(super) fn what_is_damaged_is_not_absent<S: Subject>(subject: &mut S) -> Outcome {
    let (backend, [before, middle, after]) = damaged(subject)?;
    let outcome = backend.read(Space::Objects, &middle);
    ensure!(outcome != ReadOutcome::Absent, "damage reads as absent");
    let mut is_shown = false;
    for item in Scan::new(&backend, Space::Objects, Span::all()) {
        is_shown |= match item.map_err(|failed| Miss::Broken(failed.to_string()))? {
            Item::Found { at, .. } => at == middle,
            Item::Corrupt(within) => within.contains(&middle),
        };
    }
    ensure!(is_shown, "a scan passes over damage");
    for at in [before, after] {
        expect(&backend, Space::Objects, &at, Some(&"tea".into()))?;
    }
    Ok(())
}

pub(super) fn what_is_damaged_can_be_replaced<S: Subject>(subject: &mut S) -> Outcome {
    let (backend, [_, middle, _]) = damaged(subject)?;
    apply(&backend, set(Space::Objects, &middle, "from a peer"))?;
    expect(
        &backend,
        Space::Objects,
        &middle,
        Some(&"from a peer".into()),
    )?;
    let found = pages(&backend, Space::Objects, &Span::all(), Limit::default())?;
    ensure!(found.len() == 3, "after the repair a scan shows {found:?}");

    ensure!(
        subject.damage(&backend, Space::Objects, &middle),
        "damaged once, but not twice"
    );
    apply(&backend, unset(Space::Objects, &middle))?;
    expect(&backend, Space::Objects, &middle, None)?;

    apply(&backend, set(Space::Objects, &middle, "tea"))?;
    ensure!(
        subject.damage(&backend, Space::Objects, &middle),
        "damaged twice, but not again"
    );
    let deleted = backend.delete(Space::Objects, &Span::all(), Durability::Memory);
    ensure!(deleted.is_ok(), "a delete was answered {deleted:?}");
    expect(&backend, Space::Objects, &middle, None)
}

pub(super) fn a_failed_flush_is_final<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let at = place(4, b"a");
    apply(&backend, set(Space::Objects, &at, "before"))?;
    if !subject.fail_next_flush(&backend) {
        return Err(Miss::Skipped);
    }
    let demanding = batch([set(Space::Objects, &at, "tea")], Durability::Flushed);
    let modest = batch([set(Space::Objects, &at, "tea")], Durability::Memory);
    for (attempt, batch) in [&demanding, &demanding, &modest].into_iter().enumerate() {
        let mut group = [Write::from(batch.clone())];
        backend.write(&mut group);
        ensure!(
            group[0].answer == Err(WriteError::FlushFailed),
            "write {attempt} from the failed flush on was answered {:?}",
            group[0].answer
        );
    }
    let deleted = backend.delete(Space::Objects, &Span::all(), Durability::Memory);
    ensure!(
        deleted == Err(WriteError::FlushFailed),
        "a delete after a failed flush was answered {deleted:?}"
    );
    Ok(())
}
