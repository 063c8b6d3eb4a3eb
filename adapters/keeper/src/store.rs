//! Where a node keeps its part: in line, or in threads of their own.

use std::error::Error;
use std::io;
use std::sync::Arc;

use dynamo_driver::driver::Driver;
use dynamo_proto::Now;
use dynamo_proto::node::Op;
use dynamo_proto::store::{Address, Command, Completion, ReadOutcome, Space};
use dynamo_storage::worker::{Stopped, Worker, WorkerOptions};
use dynamo_storage::{Backend, Damaged, Scrubber, carry_out};

type Close = Box<dyn FnOnce() -> Result<(), CloseError> + Send>;
type Read = Box<dyn Fn(Space, &Address) -> ReadOutcome + Send>;
type Begin = Box<dyn FnOnce(Wake) -> io::Result<(Worker, Option<Scrubber>)> + Send>;
type Wake = Arc<dyn Fn() + Send + Sync>;

/// Why a store was not closed as it should be. What was answered is as safe as it was said to be.
pub type CloseError = Box<dyn Error + Send + Sync>;

/// Where a node keeps its part.
pub struct Store(Kind);

enum Kind {
    InLine(Box<dyn Backend>),
    Threads {
        read: Read,
        start: Begin,
        close: Close,
    },
}

/// A store at work. When nothing is asked of it any more, it is to be [closed](Self::close).
pub struct Keeping {
    work: Work,
    /// Kept for their room.
    completed: Vec<(Op, Completion)>,
    damaged: Vec<Damaged>,
}

enum Work {
    InLine(Box<dyn Backend>),
    Threads {
        worker: Box<Worker>,
        scrubber: Option<Scrubber>,
        close: Close,
    },
}

impl Store {
    /// One that is asked in the node's own task: for memory only, since whatever waits there makes
    /// everything else wait.
    #[must_use]
    pub fn in_line(backend: impl Backend + 'static) -> Self {
        Self(Kind::InLine(Box::new(backend)))
    }

    /// One in threads of its own. It is read through for damage at so many bytes a second, if that is
    /// said. When the node has stopped and all is flushed, it is closed.
    #[must_use]
    pub fn in_threads<B: Backend + Sync + 'static>(
        backend: B,
        options: WorkerOptions,
        scrub: Option<u64>,
        close: impl FnOnce(B) -> Result<(), CloseError> + Send + 'static,
    ) -> Self {
        let backend = Arc::new(backend);
        let (kept, read) = (backend.clone(), backend.clone());
        let start = move |wake: Wake| {
            let woken = wake.clone();
            let scrubber = match scrub {
                Some(pace) => Some(Scrubber::start(backend.clone(), pace, move || woken())?),
                None => None,
            };
            Ok((Worker::start(backend, options, move || wake())?, scrubber))
        };
        let close = move || match Arc::into_inner(kept) {
            Some(backend) => close(backend),
            None => Err("its threads have not ended".into()),
        };
        Self(Kind::Threads {
            read: Box::new(move |space, at| read.read(space, at)),
            start: Box::new(start),
            close: Box::new(close),
        })
    }

    /// What is there before it starts. Blocks.
    pub fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        match &self.0 {
            Kind::InLine(backend) => backend.read(space, at),
            Kind::Threads { read, .. } => read(space, at),
        }
    }

    /// Sets it to work. `wake` is called, in whatever thread, when there is something to take.
    pub fn start(self, wake: impl Fn() + Send + Sync + 'static) -> io::Result<Keeping> {
        let work = match self.0 {
            Kind::InLine(backend) => Work::InLine(backend),
            Kind::Threads { start, close, .. } => {
                let (worker, scrubber) = start(Arc::new(wake))?;
                Work::Threads {
                    worker: Box::new(worker),
                    scrubber,
                    close,
                }
            }
        };
        Ok(Keeping {
            work,
            completed: Vec::new(),
            damaged: Vec::new(),
        })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::InLine(_) => "Store in line",
            Kind::Threads { .. } => "Store in threads",
        })
    }
}

impl Keeping {
    /// Does, or hands in, what the driver wants done: an [`Action::Store`].
    ///
    /// [`Action::Store`]: dynamo_driver::driver::Action::Store
    pub fn ask(&mut self, driver: &mut Driver, now: Now, op: Op, command: Command) {
        let completion = match &mut self.work {
            Work::InLine(backend) => Some(carry_out(backend.as_ref(), command)),
            Work::Threads { worker, .. } => worker.submit(op, command).err(),
        };
        if let Some(completion) = completion {
            driver.completed(now, op, completion);
        }
    }

    /// Tells the driver all that has completed since, and all that was found damaged. If this fails
    /// the node must end.
    pub fn tell(&mut self, driver: &mut Driver, now: Now) -> Result<(), Stopped> {
        let taken = match &mut self.work {
            Work::InLine(_) => Ok(()),
            Work::Threads {
                worker, scrubber, ..
            } => {
                let taken = worker.take(&mut self.completed);
                match scrubber {
                    Some(scrubber) => taken.and(scrubber.take(&mut self.damaged)),
                    None => taken,
                }
            }
        };
        for (op, completion) in self.completed.drain(..) {
            driver.completed(now, op, completion);
        }
        for damaged in self.damaged.drain(..) {
            let space = damaged.space;
            match damaged.into_address() {
                Some(at) => driver.damaged(now, space, at),
                None => driver.unreadable(),
            }
        }
        taken
    }

    /// Waits until all is flushed, and closes. Blocks.
    pub fn close(self) -> Result<(), CloseError> {
        match self.work {
            Work::InLine(_) => Ok(()),
            Work::Threads {
                worker,
                scrubber,
                close,
            } => {
                drop(scrubber);
                worker.close()?;
                close()
            }
        }
    }
}
