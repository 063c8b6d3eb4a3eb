//! Running an engine in threads of its own, so that a node never waits for a disk.
//!
//! ```text
//!                          +--> writer: whatever waits -> one group -> one flush --+
//!   node --> Worker -------+                                                       +--> completions
//!              (order)     +--> readers: beside the flush -------------------------+
//! ```
//!
//! A [`Worker`] promises:
//! - **Order.** Commands on one position of a space take effect in the order in which they were
//!   submitted. A read of a position that is being written waits for that write; every other read
//!   goes on beside the flush. A write waits for the reads of its positions that came before it.
//! - **One flush for all that wait.** See [`FlushPolicy`].
//! - **A failed flush ends it.** Every write from then on is answered
//!   [`FlushFailed`](WriteError::FlushFailed) without another attempt, every read
//!   [`Failed`](ReadOutcome::Failed), and [`Worker::take`] says [`Stopped`].
//! - **Bounds.** No more commands are under way than it was told, and no more bytes wait to be
//!   written. No lock is held while the engine works.
//!
//! It leaves to others: what to do when it has stopped. The node must end then, whatever its core
//! says: after a panic in the engine the core hears of nothing any more. So [`Worker::take`] is an
//! error from then on, and `wake` is called for it as for a completion.

mod inbox;
mod order;
mod policy;
mod reader;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use dynamo_mailbox::{Bound, Ended, Receiver, Sender, mailbox};
use dynamo_proto::node::Op;
use dynamo_proto::store::{Command, Completion, ReadOutcome, ScanFailed, WriteError};
use smallvec::SmallVec;

use crate::Backend;
use inbox::inbox;
use order::{Order, Place, Places, Route};
pub use policy::FlushPolicy;
use reader::{Progress, Read, Sought};
use writer::{Job, Writer};

/// How a [`Worker`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerOptions {
    /// Most commands under way: what the machine says of itself, in
    /// [`Capacity::stores`](dynamo_proto::node::Capacity::stores).
    pub outstanding: usize,
    /// Most bytes that wait to be written. A write beyond them completes at once, as
    /// [`Full`](WriteError::Full).
    pub waiting_bytes: usize,
    /// How many threads read.
    pub readers: usize,
    /// When to flush.
    pub flush: FlushPolicy,
}

/// An engine in threads of its own; see the [module](self).
///
/// ```
/// use std::sync::Arc;
/// use std::thread;
///
/// use dynamo_proto::Durability;
/// use dynamo_proto::node::Op;
/// use dynamo_proto::store::*;
/// use dynamo_storage::worker::{Worker, WorkerOptions};
/// # use dynamo_storage::{Backend, Limit, Page, ScanFailed, Span, Write};
/// # struct Disk;
/// # impl Backend for Disk {
/// #     fn read(&self, _: Space, _: &Address) -> ReadOutcome { ReadOutcome::Absent }
/// #     fn write(&self, group: &mut [Write]) {
/// #         group.iter_mut().for_each(|write| write.answer = Ok(Durability::Flushed));
/// #     }
/// #     fn scan(&self, _: Space, _: &Span, _: Limit) -> Result<Page, ScanFailed> { Err(ScanFailed) }
/// # }
///
/// let node = thread::current();
/// let wake = move || node.unpark();
/// let mut worker = Worker::start(Arc::new(Disk), WorkerOptions::default(), wake)?;
///
/// let flush = Batch {
///     changes: Default::default(),
///     durability: Durability::Flushed,
///     may_use_reserve: false,
/// };
/// worker.submit(Op(1), Command::Write(flush)).expect("nothing else waits");
/// let mut completed = Vec::new();
/// while completed.is_empty() {
///     thread::park();
///     worker.take(&mut completed)?;
/// }
/// assert_eq!(completed, [(Op(1), Completion::Wrote(Ok(Durability::Flushed)))]);
/// worker.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Worker {
    writer: Sender<Job>,
    readers: Vec<Sender<Read>>,
    reports: Receiver<Report>,
    /// What was taken and not yet looked at; kept for its room.
    taken: Vec<Report>,
    order: Order,
    stopped: Option<Stopped>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a worker does nothing more. The node must end: what its store holds is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// A flush failed.
    #[error("the store failed to flush: restart to recover from what is on the disk")]
    FlushFailed,
    /// The engine panicked.
    #[error("the storage engine panicked: restart to recover from what is on the disk")]
    Panicked,
}

/// What the threads say.
enum Report {
    Done {
        op: Op,
        places: Places,
        completion: Completion,
    },
    Stopped(Stopped),
}

/// What the threads share.
struct Shared<B> {
    backend: Arc<B>,
    /// A flush has failed.
    has_failed: AtomicBool,
}

impl Worker {
    /// Starts the threads. `wake` is called in one of them when there is something to
    /// [`take`](Self::take).
    pub fn start<B: Backend + Sync + 'static>(
        backend: Arc<B>,
        options: WorkerOptions,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let readers = options.readers.max(1);
        let all = |bytes| Bound {
            items: options.outstanding,
            bytes,
        };
        // One report for each command, and the last words of each thread.
        let items = options.outstanding.saturating_add(readers + 1);
        let bytes = usize::MAX;
        let (report, reports) = mailbox(Bound { items, bytes }, wake);
        let shared = Arc::new(Shared {
            backend,
            has_failed: AtomicBool::new(false),
        });

        let (mut threads, mut senders, mut progress) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..readers {
            let (sender, inbox) = inbox(all(usize::MAX));
            let done = Arc::new(Progress::default());
            let (shared, report) = (shared.clone(), LastWords(report.clone()));
            senders.push(sender);
            progress.push(done.clone());
            let name = format!("store-reader-{number}");
            let run = move || reader::run(&shared, inbox, &done, &report);
            threads.push(Builder::new().name(name).spawn(run)?);
        }
        let (sender, inbox) = inbox(all(options.waiting_bytes));
        let writer = Writer::new(shared, options.flush, progress, LastWords(report));
        let run = move || writer.run(inbox);
        threads.push(Builder::new().name("store-writer".into()).spawn(run)?);
        Ok(Self {
            writer: sender,
            readers: senders,
            reports,
            taken: Vec::new(),
            order: Order::new(readers, options.outstanding),
            stopped: None,
            threads,
        })
    }

    /// Hands in a command. If there is no room for it, it completes at once, with this, and
    /// nothing was done; so does all that is submitted to a worker that has stopped.
    #[expect(
        clippy::result_large_err,
        reason = "it happens seldom, and a box would be an allocation under overload"
    )]
    pub fn submit(&mut self, op: Op, command: Command) -> Result<(), Completion> {
        let is_open = self.stopped.is_none() && self.order.has_room();
        match command {
            Command::Read { space, at } => {
                let sought = Sought::One(at);
                if !is_open || !self.read(Read { op, space, sought }) {
                    return Err(Completion::Read(ReadOutcome::Failed));
                }
            }
            Command::Scan { space, span, limit } => {
                let sought = Sought::Some(span, limit);
                if !is_open || !self.read(Read { op, space, sought }) {
                    return Err(Completion::Scanned(Err(ScanFailed)));
                }
            }
            Command::Write(batch) => {
                let refused = match self.stopped {
                    Some(Stopped::FlushFailed) => WriteError::FlushFailed,
                    Some(Stopped::Panicked) => WriteError::Failed,
                    None => WriteError::Full,
                };
                let places: Places = batch.changes.iter().map(Place::of_change).collect();
                let bytes = batch.changes.iter().map(order::bytes).sum();
                let after = self.order.reads_before(&places);
                let job = Job::Write {
                    op,
                    places: places.clone(),
                    after,
                    bytes,
                    batch,
                };
                if !is_open || self.writer.send(job, bytes).is_err() {
                    return Err(Completion::Wrote(Err(refused)));
                }
                self.order.entered_write(&places);
            }
        }
        Ok(())
    }

    /// Whether somebody will read that.
    fn read(&mut self, read: Read) -> bool {
        let place = read.place();
        let is_sent = match self.order.route_read(place) {
            Route::Writer => self.writer.send(Job::Read(read), 0).is_ok(),
            Route::Reader(reader) => self.readers[reader].send(read, 0).is_ok(),
        };
        if is_sent {
            self.order.entered_read(place);
        }
        is_sent
    }

    /// Takes all that completed, in any order. The commands that were under way when the worker
    /// stopped may never be among it.
    pub fn take(&mut self, into: &mut Vec<(Op, Completion)>) -> Result<(), Stopped> {
        if self.reports.take(&mut self.taken) == Err(Ended) {
            self.stopped.get_or_insert(Stopped::Panicked);
        }
        for report in self.taken.drain(..) {
            match report {
                Report::Done {
                    op,
                    places,
                    completion,
                } => {
                    self.order.left(&completion, &places);
                    into.push((op, completion));
                }
                Report::Stopped(why) => {
                    self.stopped.get_or_insert(why);
                }
            }
        }
        self.stopped.map_or(Ok(()), Err)
    }

    /// Waits until all that was submitted is done and flushed, whatever the policy. After `Ok`
    /// everything is on the disk, and the engine is free to be closed.
    pub fn close(self) -> Result<(), Stopped> {
        let Self {
            writer,
            readers,
            mut reports,
            threads,
            ..
        } = self;
        drop((writer, readers));
        for thread in threads {
            // If it panicked, its last words say so.
            let _ = thread.join();
        }
        let mut last = Vec::new();
        let _ = reports.take(&mut last);
        let why = last.into_iter().find_map(|report| match report {
            Report::Stopped(why) => Some(why),
            Report::Done { .. } => None,
        });
        why.or(self.stopped).map_or(Ok(()), Err)
    }
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            outstanding: dynamo_proto::node::Capacity::default().stores(),
            waiting_bytes: 256 << 20,
            readers: 2,
            flush: FlushPolicy::default(),
        }
    }
}

impl<B> Shared<B> {
    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }
}

impl<B: Backend> Shared<B> {
    fn read(&self, read: &Read) -> Completion {
        let space = read.space;
        let completion = match &read.sought {
            Sought::One(at) => Completion::Read(self.backend.read(space, at)),
            Sought::Some(span, limit) => {
                Completion::Scanned(self.backend.scan(space, span, *limit))
            }
        };
        // What can still be read after a failed flush may be gone.
        match completion {
            Completion::Read(_) if self.has_failed() => Completion::Read(ReadOutcome::Failed),
            Completion::Scanned(_) if self.has_failed() => Completion::Scanned(Err(ScanFailed)),
            completion => completion,
        }
    }
}

/// A thread's way to report, and to be missed if it panics.
struct LastWords(Sender<Report>);

impl LastWords {
    fn say(&self, report: Report) {
        // There is room for it; and if nobody listens any more, nobody needs to know.
        let _ = self.0.send(report, 0);
    }

    fn done(&self, op: Op, places: Places, completion: Completion) {
        self.say(Report::Done {
            op,
            places,
            completion,
        });
    }

    fn read(&self, read: &Read, completion: Completion) {
        self.done(read.op, SmallVec::from([read.place()]), completion);
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say(Report::Stopped(Stopped::Panicked));
        }
    }
}
