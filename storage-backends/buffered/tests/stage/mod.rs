//! An engine below the buffer that can be held up, refused room, made to fail and cut off, and that
//! notes what it was given.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space, WriteError};
use dynamo_storage::{Backend, Limit, Page, ScanFailed, Span, Write};
use dynamo_storage_memory::Memory;

/// Memory that says it is on a disk. All clones are one.
#[derive(Clone, Default)]
pub(crate) struct Stage(Arc<Inner>);

#[derive(Default)]
struct Inner {
    memory: Mutex<Memory>,
    script: Mutex<Script>,
    in_next_scan: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    moved: Condvar,
}

#[derive(Default)]
struct Script {
    is_held_up: bool,
    is_waited_for: bool,
    /// Whether it takes only what may use what is kept back.
    is_full: bool,
    /// Answers of the next calls, which then change nothing.
    refusals: VecDeque<WriteError>,
    /// What each call that was taken asked for, and how many changes it had.
    calls: Vec<(Durability, usize)>,
}

impl Stage {
    /// Writes wait from now on, reads do not.
    pub(crate) fn hold_up(&self) {
        self.script().is_held_up = true;
    }

    pub(crate) fn let_go(&self) {
        self.script().is_held_up = false;
        self.0.moved.notify_all();
    }

    /// Until a write is held up.
    pub(crate) fn wait_for_a_write(&self) {
        let script = self.script();
        let waited = self.0.moved.wait_while(script, |it| !it.is_waited_for);
        drop(waited.unwrap());
    }

    pub(crate) fn refuse_next(&self, errors: impl IntoIterator<Item = WriteError>) {
        self.script().refusals.extend(errors);
    }

    /// From now on there is no room but for what may use the reserve, or there is again.
    pub(crate) fn fill(&self, is_full: bool) {
        self.script().is_full = is_full;
    }

    /// Does this when the next scan has begun.
    pub(crate) fn in_next_scan(&self, act: impl FnOnce() + Send + 'static) {
        *self.0.in_next_scan.lock().unwrap() = Some(Box::new(act));
    }

    pub(crate) fn calls(&self) -> Vec<(Durability, usize)> {
        self.script().calls.clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap()
    }
}

impl Backend for Stage {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        self.memory().read(space, at)
    }

    fn write(&self, group: &mut [Write]) {
        let mut script = self.script();
        script.is_waited_for = script.is_held_up;
        self.0.moved.notify_all();
        // Not for ever: a test that failed meanwhile must end.
        let patience = Duration::from_secs(20);
        let held = self
            .0
            .moved
            .wait_timeout_while(script, patience, |it| it.is_held_up);
        (script, _) = held.unwrap();
        script.is_waited_for = false;
        if let Some(error) = script.refusals.pop_front() {
            group.iter_mut().for_each(|write| write.answer = Err(error));
            return;
        }
        let grows = |write: &Write| !write.batch.changes.is_empty() && !write.batch.may_use_reserve;
        if script.is_full && group.iter().any(grows) {
            let full = Err(WriteError::Full);
            group.iter_mut().for_each(|write| write.answer = full);
            return;
        }
        let asked = Write::most_demanding(group);
        let changes = group.iter().map(|write| write.batch.changes.len()).sum();
        script.calls.push((asked, changes));
        self.memory().write(group);
        for write in group {
            write.answer = write.answer.map(|_| asked);
        }
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        let act = self.0.in_next_scan.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
        self.memory().scan(space, span, limit)
    }

    fn delete(
        &self,
        space: Space,
        span: &Span,
        durability: Durability,
    ) -> Result<Durability, WriteError> {
        self.memory().delete(space, span, durability)?;
        Ok(durability)
    }
}

pub(crate) fn place(position: u128) -> Address {
    Address {
        position,
        name: Bytes::from_static(b"cart"),
    }
}

pub(crate) fn set(position: u128, bytes: impl Into<Bytes>) -> Change {
    Change {
        space: Space::Objects,
        at: place(position),
        bytes: Some(bytes.into()),
    }
}

pub(crate) fn unset(position: u128) -> Change {
    Change {
        bytes: None,
        ..set(position, "")
    }
}

pub(crate) fn write(
    backend: &impl Backend,
    changes: impl IntoIterator<Item = Change>,
    durability: Durability,
) -> Result<Durability, WriteError> {
    write_marked(backend, changes, durability, false)
}

/// Something that may use what is kept back, if it is marked so.
pub(crate) fn write_marked(
    backend: &impl Backend,
    changes: impl IntoIterator<Item = Change>,
    durability: Durability,
    may_use_reserve: bool,
) -> Result<Durability, WriteError> {
    let changes = changes.into_iter().collect();
    let mut group = [Write::from(Batch {
        changes,
        durability,
        may_use_reserve,
    })];
    backend.write(&mut group);
    let [write] = group;
    write.answer
}

pub(crate) fn read(backend: &impl Backend, position: u128) -> Option<String> {
    match backend.read(Space::Objects, &place(position)) {
        ReadOutcome::Found(bytes) => Some(String::from_utf8(bytes.into()).unwrap()),
        ReadOutcome::Absent => None,
        outcome => panic!("{outcome:?}"),
    }
}
