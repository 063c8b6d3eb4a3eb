//! What is left after an end that nobody announced.

use std::collections::BTreeMap;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Space};

use super::model::Dice;
use super::places::{apply, batch, look, pages, place, set, write};
use super::report::{Miss, Outcome, ensure};
use super::{End, Subject};
use crate::{Backend, Limit, SPACES, Span};

pub(super) fn what_was_written_outlives_the_process<S: Subject>(subject: &mut S) -> Outcome {
    survives(subject, End::Process, Durability::Written)
}

pub(super) fn what_was_flushed_outlives_the_machine<S: Subject>(subject: &mut S) -> Outcome {
    survives(subject, End::Machine, Durability::Flushed)
}

/// Several lives, each of which goes on from what the last one left.
fn survives<S: Subject>(subject: &mut S, end: End, level: Durability) -> Outcome {
    let (mut backend, mut dice) = (subject.open(), Dice::new(2));
    for _ in 0..4 {
        let mut ledger = Ledger::of(&backend)?;
        for _ in 0..100 {
            let batch = dice.batch();
            ledger.enter(&batch);
            ledger.reach(write(&backend, batch)?);
        }
        backend = reopen(subject, backend, end)?;
        ledger.check(&backend, level)?;
    }
    Ok(())
}

/// Also of what had been deleted, and of what was asked to be no safer than memory.
pub(super) fn a_flush_covers_what_went_before<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let mut ledger = Ledger::default();
    let (kept, gone) = (place(1, b"kept"), place(2, b"gone"));
    apply(&backend, set(Space::Objects, &gone, "tea"))?;
    for batch in [
        batch([set(Space::Objects, &kept, "tea")], Durability::Memory),
        batch([set(Space::Trees, &kept, "leaf")], Durability::Written),
    ] {
        ledger.enter(&batch);
        ledger.reach(write(&backend, batch)?);
    }
    let deleted = backend.delete(
        Space::Objects,
        &Span::of_one(gone.clone()),
        Durability::Memory,
    );
    ensure!(deleted.is_ok(), "a delete was answered {deleted:?}");
    let flushed = write(&backend, batch([], Durability::Flushed))?;
    ledger.reach(flushed);
    let backend = reopen(subject, backend, End::Machine)?;
    ledger.check(&backend, Durability::Flushed)?;
    if flushed == Durability::Flushed {
        let back = look(&backend, Space::Objects, &gone)?;
        ensure!(
            back.is_none(),
            "{back:?} was deleted and flushed, and is back"
        );
    }
    Ok(())
}

pub(super) fn a_batch_survives_whole_or_not_at_all<S: Subject>(subject: &mut S) -> Outcome {
    let mut backend = subject.open();
    let (object, leaf) = (place(1, b"object"), place(u128::MAX, b"leaf"));
    let levels = [Durability::Memory, Durability::Written, Durability::Flushed];
    for (life, end) in [End::Process, End::Machine]
        .into_iter()
        .cycle()
        .take(12)
        .enumerate()
    {
        for number in 0..=life * 7 {
            let bytes = format!("{life} {number}");
            let changes = [
                set(Space::Objects, &object, bytes.clone()),
                set(Space::Trees, &leaf, bytes),
            ];
            write(&backend, batch(changes, levels[number % 3]))?;
        }
        backend = reopen(subject, backend, end)?;
        let halves = (
            look(&backend, Space::Objects, &object)?,
            look(&backend, Space::Trees, &leaf)?,
        );
        ensure!(halves.0 == halves.1, "{halves:?} were written together");
    }
    Ok(())
}

/// A node that reads a record after it was opened tells others of it, so no later power cut may
/// take it back.
pub(super) fn what_can_be_read_after_opening_stays<S: Subject>(subject: &mut S) -> Outcome {
    let (mut backend, mut dice) = (subject.open(), Dice::new(3));
    for number in 0..100 {
        let mut batch = dice.batch();
        batch.durability = if number % 2 == 0 {
            Durability::Memory
        } else {
            Durability::Written
        };
        write(&backend, batch)?;
    }
    backend = reopen(subject, backend, End::Process)?;
    let believed = contents(&backend)?;
    backend = reopen(subject, backend, End::Machine)?;
    let left = contents(&backend)?;
    ensure!(
        left == believed,
        "{} places could be read after opening, {} after a power cut, or others",
        believed.len(),
        left.len()
    );
    Ok(())
}

fn reopen<S: Subject>(subject: &mut S, backend: S::Backend, end: End) -> Outcome<S::Backend> {
    subject.reopen(backend, end).ok_or(Miss::Skipped)
}

fn contents<B: Backend>(backend: &B) -> Outcome<BTreeMap<(Space, Address), Bytes>> {
    let mut all = BTreeMap::new();
    for space in SPACES {
        let found = pages(backend, space, &Span::all(), Limit::default())?;
        all.extend(found.into_iter().map(|(at, bytes)| ((space, at), bytes)));
    }
    Ok(all)
}

/// All states of each place, oldest first, and how safe each is said to be.
#[derive(Default)]
struct Ledger(BTreeMap<(Space, Address), Vec<State>>);

struct State {
    bytes: Option<Bytes>,
    is_at: Durability,
}

impl Ledger {
    /// What can be read in a store that was just opened is as safe as can be.
    fn of<B: Backend>(backend: &B) -> Outcome<Self> {
        let states = contents(backend)?.into_iter().map(|(place, bytes)| {
            let state = State {
                bytes: Some(bytes),
                is_at: Durability::Flushed,
            };
            (place, vec![state])
        });
        Ok(Self(states.collect()))
    }

    fn enter(&mut self, batch: &Batch) {
        for change in &batch.changes {
            let states = self.0.entry((change.space, change.at.clone())).or_default();
            states.push(State {
                bytes: change.bytes.clone(),
                is_at: Durability::Memory,
            });
        }
    }

    /// All of it is at least so safe now.
    fn reach(&mut self, level: Durability) {
        for state in self.0.values_mut().flatten() {
            state.is_at = state.is_at.max(level);
        }
    }

    /// Each place must be in the last state that was safe enough, or in a later one.
    fn check<B: Backend>(&self, backend: &B, level: Durability) -> Outcome {
        for ((space, at), states) in &self.0 {
            let found = look(backend, *space, at)?;
            let last_safe = states.iter().rposition(|state| state.is_at >= level);
            let was_absent = last_safe.is_none() && found.is_none();
            let may_be = &states[last_safe.unwrap_or(0)..];
            ensure!(
                was_absent || may_be.iter().any(|state| state.bytes == found),
                "{space:?} at {at:?} reads as {found:?}, which is older than {level:?}, or never was"
            );
        }
        Ok(())
    }
}
