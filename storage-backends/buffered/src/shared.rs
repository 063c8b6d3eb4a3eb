//! What callers and the writer share: the buffer, and whose turn it is to write below.
//!
//! Two locks. `state` is held for moments, never across a call of the engine. `turn` is held by
//! whoever writes below, for as long as that takes; it is what keeps writes below in order. With
//! `turn` one may take `state`, never the other way round.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space, WriteError};
use dynamo_storage::{Backend, Limit, Page, Scan, ScanFailed, Span, Write};

use crate::Bounds;
use crate::changes::Changes;
use crate::merge::merge;

pub(crate) struct Shared<B> {
    engine: B,
    bounds: Bounds,
    state: Mutex<State>,
    /// For the writer, when there is something to do.
    wake: Condvar,
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Came since the last who had the turn began.
    fresh: Changes,
    /// Is being written below.
    leaving: Changes,
    /// What is being written through, behind all that was buffered.
    passing: BTreeSet<(Space, Address)>,
    /// Since when something has been less than flushed, or when that was last tried in vain.
    unsafe_since: Option<Instant>,
    /// The engine would not take what was leaving, which is fresh again. Nothing is buffered until
    /// it does.
    is_held_back: bool,
    has_flush_failed: bool,
    is_closing: bool,
    /// How often something below was changed.
    changed_below: u64,
}

const UNPOISONED: &str = "nothing that can panic is done while the state is locked";

/// How often a scan tries to find the layers at rest before it waits its turn.
const SCANS_BESIDE_WRITES: usize = 3;

impl<B: Backend> Shared<B> {
    pub(crate) fn new(engine: B, bounds: Bounds) -> Self {
        Self {
            engine,
            bounds,
            state: Mutex::default(),
            wake: Condvar::new(),
            turn: Mutex::new(()),
        }
    }

    pub(crate) fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        match self.state().find(space, at) {
            Some(Some(bytes)) => return ReadOutcome::Found(bytes.clone()),
            Some(None) => return ReadOutcome::Absent,
            None => {}
        }
        self.engine.read(space, at)
    }

    pub(crate) fn write(&self, group: &mut [Write]) {
        let mut rest = group;
        if Write::most_demanding(rest) == Durability::Memory {
            let buffered = self.buffer(rest);
            rest = &mut rest[buffered..];
        }
        if !rest.is_empty() {
            self.write_through(rest);
        }
    }

    pub(crate) fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        for _ in 0..SCANS_BESIDE_WRITES {
            let (page, is_at_rest) = self.scan_both(space, span, limit);
            if is_at_rest {
                return page;
            }
        }
        let _turn = self.turn.lock().map_err(|_| ScanFailed)?;
        self.scan_both(space, span, limit).0
    }

    pub(crate) fn delete(
        &self,
        space: Space,
        span: &Span,
        durability: Durability,
    ) -> Result<Durability, WriteError> {
        let _turn = self.turn.lock().map_err(|_| WriteError::Failed)?;
        let unsafe_since = match self.write_out(Durability::Memory, BTreeSet::new()) {
            Ok(unsafe_since) => unsafe_since,
            Err(WriteError::Full) => None,
            Err(error) => return Err(error),
        };
        let mut answer = self.engine.delete(space, span, durability);
        let mut state = self.state();
        if let (true, Ok(reached)) = (state.is_held_back, &mut answer) {
            state.fresh.remove_within(space, span);
            // What went before is no safer.
            *reached = Durability::Memory;
        }
        state.note_written_below([&answer], durability, unsafe_since);
        self.wake.notify_one();
        answer
    }

    /// What the writer's thread does.
    pub(crate) fn write_out_until_closed(&self) {
        while let Some(is_last) = self.wait_for_work() {
            let Ok(_turn) = self.turn.lock() else {
                return;
            };
            // What becomes of it is in the state, and the next to write is told.
            let _ = self.write_out(Durability::Flushed, BTreeSet::new());
            if is_last {
                return;
            }
        }
    }

    pub(crate) fn close(&self) {
        self.state().is_closing = true;
        self.wake.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }

    /// Waits until something is to be written out; whether that is the last. `None` if nothing will
    /// ever be.
    fn wait_for_work(&self) -> Option<bool> {
        let mut state = self.state();
        loop {
            if state.has_flush_failed {
                return None;
            }
            if state.is_closing {
                return Some(true);
            }
            let left = match state.unsafe_since {
                None => Duration::MAX,
                Some(since) => self.bounds.age.saturating_sub(since.elapsed()),
            };
            let is_crowded = !state.is_held_back && state.fresh.is_half_of(&self.bounds);
            if left.is_zero() || (is_crowded && state.unsafe_since.is_some()) {
                return Some(false);
            }
            (state, _) = self.wake.wait_timeout(state, left).expect(UNPOISONED);
        }
    }

    /// Takes in as many as there is room for, from the first on, and answers them.
    fn buffer(&self, group: &mut [Write]) -> usize {
        let mut state = self.state();
        let mut buffered = 0;
        for Write { batch, answer } in group {
            if state.has_flush_failed {
                *answer = Err(WriteError::FlushFailed);
            } else if state.must_wait(&batch.changes, &self.bounds) {
                break;
            } else {
                let changes = batch.changes.drain(..);
                state.fresh.take_in(changes, batch.may_use_reserve);
                *answer = Ok(Durability::Memory);
            }
            buffered += 1;
        }
        let is_first = state.unsafe_since.is_none();
        state.unsafe_since.get_or_insert_with(Instant::now);
        if is_first || state.fresh.is_half_of(&self.bounds) {
            self.wake.notify_one();
        }
        buffered
    }

    /// Writes what is buffered, and then these.
    fn write_through(&self, group: &mut [Write]) {
        // A holder panicked in the engine. The answers say that it failed.
        let Ok(_turn) = self.turn.lock() else {
            return;
        };
        let places = group.iter().flat_map(|write| &write.batch.changes);
        let places = places.map(|change| (change.space, change.at.clone()));
        let asked = Write::most_demanding(group);
        let mut unsafe_since = None;
        let mut beside_held_back = Vec::new();
        match self.write_out(Durability::Memory, places.collect()) {
            Ok(since) => unsafe_since = since,
            Err(WriteError::Full) if self.state().fresh.is_within(&self.bounds) => {
                beside_held_back.extend(group.iter().map(|write| write.batch.clone()));
            }
            Err(error) => {
                let is_final = error == WriteError::FlushFailed;
                for write in group {
                    write.answer = Err(if is_final { error } else { WriteError::Failed });
                }
                self.state().passing.clear();
                return;
            }
        }
        self.engine.write(group);

        let mut state = self.state();
        state.passing.clear();
        for (Write { answer, .. }, batch) in group.iter_mut().zip(beside_held_back) {
            state.settle_beside_held_back(answer, batch);
        }
        let answers = group.iter().map(|write| &write.answer);
        state.note_written_below(answers, asked, unsafe_since);
        self.wake.notify_one();
    }

    /// Writes out what is buffered, as one batch; whoever calls has the turn. Returns since when
    /// some of what is below is not flushed. What the engine does not take is fresh again.
    fn write_out(
        &self,
        durability: Durability,
        passing: BTreeSet<(Space, Address)>,
    ) -> Result<Option<Instant>, WriteError> {
        let (batch, unsafe_since) = {
            let mut state = self.state();
            if state.has_flush_failed {
                return Err(WriteError::FlushFailed);
            }
            state.passing = passing;
            state.leaving = mem::take(&mut state.fresh);
            let unsafe_since = state.unsafe_since.take();
            (state.leaving.to_batch(durability), unsafe_since)
        };
        let needs_flush = durability == Durability::Flushed && unsafe_since.is_some();
        let mut group = [Write::from(batch)];
        if needs_flush || !group[0].batch.changes.is_empty() {
            self.engine.write(&mut group);
        } else {
            group[0].answer = Ok(Durability::Memory);
        }
        let [Write { mut answer, .. }] = group;
        let mut urgent = None;
        if answer == Err(WriteError::Full) {
            urgent = self.write_urgent_out(durability);
            answer = answer.map_err(|full| urgent.and_then(Result::err).unwrap_or(full));
        }
        let mut state = self.state();
        let mut leaving = mem::take(&mut state.leaving);
        if let Some(Ok(_)) = urgent {
            leaving.remove_urgent();
        }
        state.changed_below += 1;
        state.is_held_back = answer.is_err();
        if let Err(error) = answer {
            leaving.put_under(&mut state.fresh);
            state.has_flush_failed = error == WriteError::FlushFailed;
            state.unsafe_since = Some(Instant::now());
            return Err(error);
        }
        Ok(unsafe_since.filter(|_| !needs_flush))
    }

    /// Of what is leaving, for which there is no room, what may use the reserve, if a part may.
    fn write_urgent_out(&self, durability: Durability) -> Option<Result<Durability, WriteError>> {
        let urgent = self.state().leaving.to_urgent_batch(durability)?;
        let mut group = [Write::from(urgent)];
        self.engine.write(&mut group);
        let [Write { answer, .. }] = group;
        Some(answer)
    }

    /// A page of the engine's under what is buffered, and whether it shows one moment: nothing was
    /// written below meanwhile.
    fn scan_both(
        &self,
        space: Space,
        span: &Span,
        limit: Limit,
    ) -> (Result<Page, ScanFailed>, bool) {
        // The buffer first: what is written out in between is then shown twice, and taken once.
        let (above, changed_below) = {
            let state = self.state();
            (state.within(space, span), state.changed_below)
        };
        let below = Scan::by(&self.engine, space, span.clone(), limit);
        let page = Page::fill(span, limit, merge(below, above.into_iter()));
        (page, self.state().changed_below == changed_below)
    }
}

impl State {
    fn find(&self, space: Space, at: &Address) -> Option<&Option<Bytes>> {
        let fresh = self.fresh.find(space, at);
        fresh.or_else(|| self.leaving.find(space, at))
    }

    fn within(&self, space: Space, span: &Span) -> BTreeMap<Address, Option<Bytes>> {
        let leaving = self.leaving.within(space, span);
        let all = leaving.chain(self.fresh.within(space, span));
        all.map(|(at, bytes)| (at.clone(), bytes.clone())).collect()
    }

    /// Whether these must go through.
    fn must_wait(&self, changes: &[Change], bounds: &Bounds) -> bool {
        let is_passing = |it: &Change| self.passing.contains(&(it.space, it.at.clone()));
        self.is_held_back
            || !self.fresh.have_room(&self.leaving, changes, bounds)
            || (!self.passing.is_empty() && changes.iter().any(is_passing))
    }

    /// After a batch went past what the engine had no room for.
    fn settle_beside_held_back(
        &mut self,
        answer: &mut Result<Durability, WriteError>,
        batch: Batch,
    ) {
        match answer {
            Ok(reached) => {
                for Change { space, at, .. } in batch.changes {
                    self.fresh.remove(space, &at);
                }
                // What went before is no safer.
                *reached = Durability::Memory;
            }
            // All or nothing of it is there, and some of it may lie under what is held back: made
            // all, so that no part of it can show alone.
            Err(WriteError::Failed) => {
                self.fresh.take_in(batch.changes, batch.may_use_reserve);
            }
            Err(WriteError::Full | WriteError::FlushFailed) => {}
        }
    }

    fn note_written_below<'a>(
        &mut self,
        answers: impl IntoIterator<Item = &'a Result<Durability, WriteError>>,
        asked: Durability,
        unsafe_since: Option<Instant>,
    ) {
        self.changed_below += 1;
        let mut are_all_taken = true;
        for answer in answers {
            are_all_taken &= answer.is_ok();
            self.has_flush_failed |= *answer == Err(WriteError::FlushFailed);
        }
        let is_flushed = asked == Durability::Flushed && are_all_taken && !self.is_held_back;
        if !is_flushed {
            let since = unsafe_since.or(self.unsafe_since);
            self.unsafe_since = Some(since.unwrap_or_else(Instant::now));
        }
    }
}
