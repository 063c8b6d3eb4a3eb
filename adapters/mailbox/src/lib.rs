//! The one object that crosses threads: a bounded queue whose reader is woken by a callback.
//!
//! ```text
//!   Sender --+                                +--> wake(): unpark a thread, poke a reactor
//!   Sender --+--> [ first ... last ] ---------+
//!   Sender --+     so many items, so many bytes     Receiver::take: all of them at once
//! ```
//!
//! Between a node and the thread that runs its storage, commands go one way and completions the
//! other; between the cores of a process, requests and frames. Neither side ever waits for the
//! other: a full mailbox refuses, an empty one gives nothing.
//!
//! It promises:
//! - what was sent is taken once, in the order in which each sender sent it;
//! - no more waits than its [`Bound`] says, in items and in bytes;
//! - whatever is sent while nothing waits calls `wake` after it can be taken, and so does the end
//!   of the last sender. So whoever takes all there is whenever woken misses nothing. `wake` runs
//!   in the sender's thread and may come when there is nothing to take any more;
//! - once both sides have held as many items as ever wait, nothing is allocated.
//!
//! It leaves to others: waiting. There is no runtime here and no clock. A thread sleeps with
//! [`std::thread::park`] and is woken by its `unpark`, a reactor by its own event:
//!
//! ```
//! use std::sync::OnceLock;
//! use std::thread;
//!
//! use dynamo_mailbox::{Bound, Ended, mailbox};
//!
//! static READER: OnceLock<thread::Thread> = OnceLock::new();
//! let wake = || if let Some(reader) = READER.get() { reader.unpark() };
//! let (sender, mut receiver) = mailbox(Bound { items: 64, bytes: 1 << 20 }, wake);
//!
//! let reader = thread::spawn(move || {
//!     READER.get_or_init(thread::current);
//!     let (mut all, mut sum) = (Vec::new(), 0);
//!     loop {
//!         match receiver.take(&mut all) {
//!             Err(Ended) => return sum,
//!             Ok(()) if all.is_empty() => thread::park(),
//!             Ok(()) => sum += all.drain(..).sum::<u64>(),
//!         }
//!     }
//! });
//! for number in 1..=10 {
//!     sender.send(number, size_of::<u64>())?;
//! }
//! drop(sender);
//! assert_eq!(reader.join().unwrap(), 55);
//! # Ok::<(), dynamo_mailbox::Refused<u64>>(())
//! ```
//!
//! Inside is a lock around a vector that is never held longer than it takes to push one item or to
//! swap two vectors; nothing is called or allocated for the reader under it.
#![forbid(unsafe_code)]

#[cfg(loom)]
use loom::sync::{Arc, Mutex, MutexGuard};
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::{Arc, Mutex, MutexGuard};

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Most items.
    pub items: usize,
    /// Most bytes, as their senders count them; an empty mailbox takes any one item.
    pub bytes: usize,
}

/// Where items are sent. Clones send to the same mailbox.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Where items are taken from. Whatever waits when it is dropped is dropped with it.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

/// An item that was not sent, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// As much waits as may.
    Full(T),
    /// Nobody will ever take it.
    Closed(T),
}

/// Nothing is left and nothing will come: all senders are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

struct Shared<T> {
    bound: Bound,
    waiting: Mutex<Waiting<T>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

struct Waiting<T> {
    items: Vec<T>,
    bytes: usize,
    senders: usize,
    has_receiver: bool,
}

/// A mailbox that calls `wake` when something comes into it while it is empty.
pub fn mailbox<T>(
    bound: Bound,
    wake: impl Fn() + Send + Sync + 'static,
) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        bound,
        waiting: Mutex::new(Waiting {
            items: Vec::new(),
            bytes: 0,
            senders: 1,
            has_receiver: true,
        }),
        wake: Box::new(wake),
    });
    let sender = Sender {
        shared: shared.clone(),
    };
    (sender, Receiver { shared })
}

impl<T> Sender<T> {
    /// Sends an item of so many bytes, unless the mailbox is full or nobody reads it.
    pub fn send(&self, item: T, bytes: usize) -> Result<(), Refused<T>> {
        let bound = self.shared.bound;
        let mut waiting = self.shared.lock();
        if !waiting.has_receiver {
            return Err(Refused::Closed(item));
        }
        let is_first = waiting.items.is_empty();
        let sum = waiting.bytes.saturating_add(bytes);
        if waiting.items.len() >= bound.items || (sum > bound.bytes && !is_first) {
            return Err(Refused::Full(item));
        }
        waiting.items.push(item);
        waiting.bytes = sum;
        drop(waiting);
        if is_first {
            (self.shared.wake)();
        }
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// Takes all that waits, behind what is in `into` already. Into an empty vector it is moved as
    /// a whole, and the mailbox goes on with that one's room.
    pub fn take(&mut self, into: &mut Vec<T>) -> Result<(), Ended> {
        let mut waiting = self.shared.lock();
        waiting.bytes = 0;
        if waiting.items.is_empty() && waiting.senders == 0 {
            return Err(Ended);
        }
        if into.is_empty() {
            std::mem::swap(into, &mut waiting.items);
        } else {
            into.append(&mut waiting.items);
        }
        Ok(())
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        // Nothing under the lock panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut waiting = self.shared.lock();
        waiting.senders -= 1;
        let was_last = waiting.senders == 0;
        drop(waiting);
        if was_last {
            (self.shared.wake)();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut waiting = self.shared.lock();
        waiting.has_receiver = false;
        let items = std::mem::take(&mut waiting.items);
        drop(waiting);
        // An item may hold a sender of this very mailbox, so it goes without the lock.
        drop(items);
    }
}

impl<T> std::fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the mailbox is full: try again when its reader has caught up",
            Self::Closed(_) => "the mailbox has no reader any more",
        })
    }
}

impl<T: std::fmt::Debug> std::error::Error for Refused<T> {}
