//! A scrub in a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use dynamo_mailbox::{Bound, Ended, Receiver, Refused, Sender, mailbox};

use super::{Damaged, Scrub};
use crate::Backend;
use crate::worker::Stopped;

/// As much waits to be taken; then the scrub waits too.
const BOUND: Bound = Bound {
    items: 1000,
    bytes: usize::MAX,
};

/// [`Scrub`]s an engine beside all else that goes on, round after round, and hands over what is
/// damaged. Dropping it ends it, within the reading of a page.
///
/// The node's part is to take what there is when it is woken, and to give what has an
/// [address](Damaged::into_address) to the core, which repairs it from its peers:
///
/// ```
/// use std::sync::Arc;
/// use std::{io, thread};
///
/// use dynamo_proto::store::Address;
/// use dynamo_storage::worker::Stopped;
/// use dynamo_storage::{Backend, Damaged, Scrubber};
///
/// fn start(store: Arc<impl Backend + Sync + 'static>) -> io::Result<Scrubber> {
///     let node = thread::current();
///     Scrubber::start(store, 200 << 10, move || node.unpark())
/// }
///
/// fn woken(scrubber: &mut Scrubber, repair: impl FnMut(Address)) -> Result<(), Stopped> {
///     let mut damaged = Vec::new();
///     scrubber.take(&mut damaged)?;
///     damaged.into_iter().filter_map(Damaged::into_address).for_each(repair);
///     Ok(())
/// }
/// ```
pub struct Scrubber {
    damaged: Receiver<Damaged>,
    is_over: Arc<AtomicBool>,
    /// Gone only while it is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Scrubber {
    /// Starts the thread, which reads so many bytes a second. `wake` is called in it when there is
    /// something to [`take`](Self::take).
    pub fn start<B: Backend + Sync + 'static>(
        backend: Arc<B>,
        bytes_a_second: u64,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (report, damaged) = mailbox(BOUND, wake);
        let is_over = Arc::new(AtomicBool::new(false));
        let rounds = Rounds {
            scrub: Scrub::new(bytes_a_second),
            report,
            is_over: is_over.clone(),
        };
        let thread = Builder::new()
            .name("store-scrubber".into())
            .spawn(move || rounds.run(&*backend))?;
        Ok(Self {
            damaged,
            is_over,
            thread: Some(thread),
        })
    }

    /// Takes all that was found damaged and not taken yet. As with
    /// [`Worker::take`](crate::worker::Worker::take), the node must end after an error.
    pub fn take(&mut self, into: &mut Vec<Damaged>) -> Result<(), Stopped> {
        self.damaged.take(into).map_err(|Ended| Stopped::Panicked)
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// What the thread does.
struct Rounds {
    scrub: Scrub,
    report: Sender<Damaged>,
    is_over: Arc<AtomicBool>,
}

impl Rounds {
    fn run<B: Backend>(mut self, backend: &B) {
        while !self.is_over.load(Ordering::Acquire) {
            let step = self.scrub.step(backend);
            for mut damaged in step.damaged {
                while let Err(Refused::Full(again)) = self.report.send(damaged, 0) {
                    damaged = again;
                    if !self.sleep(step.pause) {
                        return;
                    }
                }
            }
            self.sleep(step.pause);
        }
    }

    /// Whether it is to go on.
    fn sleep(&self, pause: Duration) -> bool {
        let start = Instant::now();
        loop {
            if self.is_over.load(Ordering::Acquire) {
                return false;
            }
            match pause.checked_sub(start.elapsed()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => return true,
            }
        }
    }
}
