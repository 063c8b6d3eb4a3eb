//! A mailbox whose reader is a thread that sleeps.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Instant;

use dynamo_mailbox::{Bound, Ended, Receiver, Sender, mailbox};

pub(super) struct Inbox<T> {
    receiver: Receiver<T>,
    sleeper: Arc<OnceLock<Thread>>,
}

/// Of whichever thread first looks into it.
pub(super) fn inbox<T>(bound: Bound) -> (Sender<T>, Inbox<T>) {
    let sleeper = Arc::new(OnceLock::<Thread>::new());
    let wake = {
        let sleeper = sleeper.clone();
        move || {
            if let Some(thread) = sleeper.get() {
                thread.unpark();
            }
        }
    };
    let (sender, receiver) = mailbox(bound, wake);
    (sender, Inbox { receiver, sleeper })
}

impl<T> Inbox<T> {
    /// Sleeps until there is something, and takes all of it; takes nothing if the time has come.
    pub(super) fn wait(&mut self, into: &mut Vec<T>, until: Option<Instant>) -> Result<(), Ended> {
        self.sleeper.get_or_init(thread::current);
        loop {
            self.receiver.take(into)?;
            if !into.is_empty() {
                return Ok(());
            }
            match until {
                None => thread::park(),
                Some(until) => match until.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => thread::park_timeout(left),
                    _ => return Ok(()),
                },
            }
        }
    }
}
