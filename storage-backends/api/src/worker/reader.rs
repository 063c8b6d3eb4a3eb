//! A thread that reads, beside whatever is being flushed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use dynamo_proto::node::Op;
use dynamo_proto::store::{Address, Limit, Space, Span};

use super::inbox::Inbox;
use super::order::Place;
use super::{LastWords, Shared};
use crate::Backend;

pub(super) struct Read {
    pub(super) op: Op,
    pub(super) space: Space,
    pub(super) sought: Sought,
}

/// What is to be looked at.
pub(super) enum Sought {
    One(Address),
    Some(Span, Limit),
}

impl Read {
    /// The place whose order it keeps: of a scan the first, since it may show or not show what is
    /// written while it is under way.
    pub(super) fn place(&self) -> Place {
        match &self.sought {
            Sought::One(at) => Place::of(self.space, at),
            Sought::Some(span, _) => Place::of(self.space, span.first()),
        }
    }
}

/// How many reads a reader has done, for a writer that waits for one of them.
#[derive(Default)]
pub(super) struct Progress {
    done: Mutex<u64>,
    moved: Condvar,
}

pub(super) fn run<B: Backend>(
    shared: &Shared<B>,
    mut inbox: Inbox<Read>,
    progress: &Progress,
    report: &LastWords,
) {
    let _end = End(progress);
    let mut reads = Vec::new();
    while inbox.wait(&mut reads, None).is_ok() {
        for read in reads.drain(..) {
            report.read(&read, shared.read(&read));
            // After its report, so that no later write of the place is reported before it.
            progress.step();
        }
    }
}

impl Progress {
    /// Sleeps until so many reads are done.
    pub(super) fn wait_for(&self, reads: u64) {
        let mut done = self.lock();
        while *done < reads {
            done = self
                .moved
                .wait(done)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn step(&self) {
        *self.lock() += 1;
        self.moved.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // A number is never half-way.
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets nobody wait for a reader that has ended, however it did.
struct End<'a>(&'a Progress);

impl Drop for End<'_> {
    fn drop(&mut self) {
        *self.0.lock() = u64::MAX;
        self.0.moved.notify_one();
    }
}
