//! The thread that writes: whatever waits becomes one group, with one flush.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use dynamo_proto::Durability;
use dynamo_proto::node::Op;
use dynamo_proto::store::{Batch, Completion, WriteError};
use smallvec::SmallVec;

use super::inbox::Inbox;
use super::order::{After, Place, Places};
use super::reader::{Progress, Read};
use super::{FlushPolicy, LastWords, Report, Shared, Stopped};
use crate::{Backend, Write};

/// A group that has so many bytes is written before more join it: one engine's transaction, and
/// what everyone in it waits for.
const GROUP_BYTES: usize = 16 << 20;

pub(super) enum Job {
    Write {
        op: Op,
        places: Places,
        after: After,
        bytes: usize,
        batch: Batch,
    },
    /// Of a place that is written before it in the queue.
    Read(Read),
}

pub(super) struct Writer<B> {
    shared: Arc<Shared<B>>,
    policy: FlushPolicy,
    readers: Vec<Arc<Progress>>,
    report: LastWords,
    /// When the first write was answered that is not flushed yet.
    unflushed_since: Option<Instant>,
    group: Vec<Write>,
    whose: Vec<(Op, Places)>,
    bytes: usize,
    /// To be done after the group.
    reads: Vec<Read>,
    /// What they read.
    read_after: HashSet<Place>,
}

impl<B: Backend> Writer<B> {
    pub(super) fn new(
        shared: Arc<Shared<B>>,
        policy: FlushPolicy,
        readers: Vec<Arc<Progress>>,
        report: LastWords,
    ) -> Self {
        Self {
            shared,
            policy,
            readers,
            report,
            unflushed_since: None,
            group: Vec::new(),
            whose: Vec::new(),
            bytes: 0,
            reads: Vec::new(),
            read_after: HashSet::new(),
        }
    }

    /// Until nothing more can come; then flushes what is not flushed yet.
    pub(super) fn run(mut self, mut inbox: Inbox<Job>) {
        let mut jobs = Vec::new();
        loop {
            let due = self.flush_due();
            if inbox.wait(&mut jobs, due).is_err() {
                break;
            }
            for job in jobs.drain(..) {
                self.add(job);
            }
            self.finish_group();
            if self.flush_due().is_some_and(|due| due <= Instant::now()) {
                self.flush();
            }
        }
        if self.unflushed_since.is_some() {
            self.flush();
        }
    }

    fn flush_due(&self) -> Option<Instant> {
        match self.policy {
            FlushPolicy::Every(interval) => self.unflushed_since?.checked_add(interval),
            FlushPolicy::EachGroup | FlushPolicy::Never => None,
        }
    }

    fn add(&mut self, job: Job) {
        match job {
            Job::Read(read) => {
                self.read_after.insert(read.place());
                self.reads.push(read);
            }
            Job::Write {
                op,
                places,
                after,
                bytes,
                mut batch,
            } => {
                let is_read_first = places.iter().any(|place| self.read_after.contains(place));
                if is_read_first || self.bytes >= GROUP_BYTES {
                    self.finish_group();
                }
                for (reader, reads) in after {
                    self.readers[reader].wait_for(reads);
                }
                batch.durability = batch.durability.min(self.policy.best_answer());
                self.bytes += bytes;
                self.group.push(Write::from(batch));
                self.whose.push((op, places));
            }
        }
    }

    fn finish_group(&mut self) {
        if !self.group.is_empty() {
            self.write_group();
        }
        self.read_after.clear();
        for read in self.reads.drain(..) {
            self.report.read(&read, self.shared.read(&read));
        }
    }

    fn write_group(&mut self) {
        if self.shared.has_failed() {
            for write in &mut self.group {
                write.answer = Err(WriteError::FlushFailed);
            }
        } else {
            self.shared.backend.write(&mut self.group);
        }
        let answers = || self.group.iter().map(|write| write.answer);
        if answers().any(|answer| answer == Err(WriteError::FlushFailed)) {
            self.stop();
        }
        match answers().flatten().min() {
            // It holds for all that went before.
            Some(Durability::Flushed) => self.unflushed_since = None,
            Some(_) => {
                self.unflushed_since.get_or_insert_with(Instant::now);
            }
            None => {}
        }
        self.bytes = 0;
        for ((op, places), write) in self.whose.drain(..).zip(self.group.drain(..)) {
            self.report
                .done(op, places, Completion::Wrote(write.answer));
        }
    }

    fn flush(&mut self) {
        self.unflushed_since = None;
        if self.shared.has_failed() {
            return;
        }
        let mut flush = [Write::from(Batch {
            changes: SmallVec::new(),
            durability: Durability::Flushed,
            may_use_reserve: false,
        })];
        self.shared.backend.write(&mut flush);
        // An engine that flushes nothing says so each time; that is its promise, not a failure.
        if flush[0].answer.is_err() {
            self.stop();
        }
    }

    fn stop(&self) {
        let had_failed = self.shared.has_failed.swap(true, Ordering::AcqRel);
        if !had_failed {
            self.report.say(Report::Stopped(Stopped::FlushFailed));
        }
    }
}
