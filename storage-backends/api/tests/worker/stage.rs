//! An engine whose writes wait to be let through, and the short words to talk to a worker.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::node::Op;
use dynamo_proto::store::{
    Address, Batch, Change, Command, Completion, ReadOutcome, Space, WriteError,
};
use dynamo_storage::worker::{FlushPolicy, Stopped, Worker, WorkerOptions};
use dynamo_storage::{Backend, Limit, Page, ScanFailed, Span, Write};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Staged {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    map: BTreeMap<(Space, Address), Bytes>,
    /// Writes wait while it is.
    pub(crate) is_held: bool,
    /// Waiting in `write`.
    pub(crate) is_writing: bool,
    /// Of each group: how many batches, and the best that it asked for.
    pub(crate) groups: Vec<(usize, Durability)>,
    pub(crate) next_flush_fails: bool,
    pub(crate) panics: bool,
}

impl Staged {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn hold(&self) {
        self.state().is_held = true;
    }

    pub(crate) fn let_through(&self) {
        self.state().is_held = false;
        self.changed.notify_all();
    }

    /// Waits until a group stands before the gate.
    pub(crate) fn wait_until_writing(&self) {
        let state = self.state();
        let is_idle = |state: &mut State| !state.is_writing;
        let waited = self.changed.wait_timeout_while(state, PATIENCE, is_idle);
        assert!(!waited.unwrap().1.timed_out(), "nothing is written");
    }
}

impl Backend for Staged {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        let state = self.state();
        assert!(!state.panics, "planted: the engine panics");
        match state.map.get(&(space, at.clone())) {
            Some(bytes) => ReadOutcome::Found(bytes.clone()),
            None => ReadOutcome::Absent,
        }
    }

    fn write(&self, group: &mut [Write]) {
        let mut state = self.state();
        state.is_writing = true;
        self.changed.notify_all();
        let is_held = |state: &mut State| state.is_held;
        state = self.changed.wait_while(state, is_held).unwrap();
        state.is_writing = false;
        assert!(!state.panics, "planted: the engine panics");
        let asked = Write::most_demanding(group);
        state.groups.push((group.len(), asked));
        let fails = asked == Durability::Flushed && std::mem::take(&mut state.next_flush_fails);
        for Write { batch, answer } in group {
            for Change { space, at, bytes } in batch.changes.drain(..) {
                match bytes {
                    Some(bytes) => state.map.insert((space, at), bytes),
                    None => state.map.remove(&(space, at)),
                };
            }
            *answer = if fails {
                Err(WriteError::FlushFailed)
            } else {
                Ok(asked)
            };
        }
    }

    fn scan(&self, _: Space, _: &Span, _: Limit) -> Result<Page, ScanFailed> {
        Err(ScanFailed)
    }
}

pub(crate) fn start(policy: FlushPolicy) -> (Arc<Staged>, Worker) {
    start_with(WorkerOptions {
        flush: policy,
        ..WorkerOptions::default()
    })
}

pub(crate) fn start_with(options: WorkerOptions) -> (Arc<Staged>, Worker) {
    let staged = Arc::new(Staged::default());
    let node = thread::current();
    let worker = Worker::start(staged.clone(), options, move || node.unpark()).unwrap();
    (staged, worker)
}

/// Takes until so many have completed.
pub(crate) fn completed(worker: &mut Worker, count: usize) -> Vec<(Op, Completion)> {
    let (mut all, start) = (Vec::new(), Instant::now());
    while all.len() < count {
        assert!(start.elapsed() < PATIENCE, "only {} completed", all.len());
        thread::park_timeout(Duration::from_millis(10));
        worker.take(&mut all).unwrap();
    }
    assert_eq!(all.len(), count);
    all
}

/// Takes until the worker says that it has stopped.
pub(crate) fn stopped(worker: &mut Worker) -> (Vec<(Op, Completion)>, Stopped) {
    let (mut all, start) = (Vec::new(), Instant::now());
    loop {
        assert!(start.elapsed() < PATIENCE, "it goes on and on");
        if let Err(why) = worker.take(&mut all) {
            return (all, why);
        }
        thread::park_timeout(Duration::from_millis(10));
    }
}

pub(crate) fn place(position: u128) -> Address {
    Address {
        position,
        name: Bytes::from_static(b"cart"),
    }
}

pub(crate) fn read(position: u128) -> Command {
    Command::Read {
        space: Space::Objects,
        at: place(position),
    }
}

pub(crate) fn write(position: u128, text: impl Into<Bytes>) -> Command {
    let change = Change {
        space: Space::Objects,
        at: place(position),
        bytes: Some(text.into()),
    };
    Command::Write(Batch {
        changes: [change].into_iter().collect(),
        durability: Durability::Flushed,
        may_use_reserve: false,
    })
}

pub(crate) fn found(text: impl Into<Bytes>) -> Completion {
    Completion::Read(ReadOutcome::Found(text.into()))
}

pub(crate) fn wrote(durability: Durability) -> Completion {
    Completion::Wrote(Ok(durability))
}
