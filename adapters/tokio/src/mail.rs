//! What passes between the node's task and those of its connections: bounded, in count and bytes.
//!
//! ```text
//!   connection --- Arrival ---> node      all share one queue, and wait while it is full
//!   connection <--- Body ------ node      each has its own; what does not fit is Unsent
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dynamo_proto::wire::{Body, Message, Role};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

/// Names a connection, for as long as its node is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Link(pub(crate) u64);

/// What a connection tells the node.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one allocation for every message"
)]
pub(crate) enum Arrival {
    /// It is established.
    Opened {
        link: Link,
        role: Role,
        outbox: Outbox,
    },
    /// The other side says something.
    Said {
        link: Link,
        arrived: Instant,
        message: Message,
        /// What the message takes of the queue's bytes, given back when it is dropped.
        room: OwnedSemaphorePermit,
    },
    /// It is over.
    Closed { link: Link },
}

/// The node's end of what waits for one connection.
pub(crate) struct Outbox {
    bodies: mpsc::Sender<Body>,
    bytes: Arc<AtomicUsize>,
}

/// The connection's end.
pub(crate) struct Posted {
    bodies: mpsc::Receiver<Body>,
    bytes: Arc<AtomicUsize>,
}

/// Nothing was queued: there is no room, or the connection is over.
pub(crate) struct NotQueued;

/// A queue for so many messages.
pub(crate) fn outbox(messages: usize) -> (Outbox, Posted) {
    let (sender, receiver) = mpsc::channel(messages);
    let bytes = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox {
        bodies: sender,
        bytes: bytes.clone(),
    };
    let posted = Posted {
        bodies: receiver,
        bytes,
    };
    (outbox, posted)
}

impl Outbox {
    /// Queues a message unless more than `most` bytes would wait; an empty queue takes any one.
    pub(crate) fn push(&self, body: Body, most: usize) -> Result<(), NotQueued> {
        let len = body.bytes().len();
        let waiting = self.bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting.saturating_add(len) > most {
            return Err(NotQueued);
        }
        // Counted first, so that the other end never takes off what was not yet added.
        self.bytes.fetch_add(len, Ordering::Relaxed);
        self.bodies.try_send(body).map_err(|_| {
            self.bytes.fetch_sub(len, Ordering::Relaxed);
            NotQueued
        })
    }
}

impl Posted {
    /// The next message, `None` if the node wants this connection no more.
    pub(crate) async fn next(&mut self) -> Option<Body> {
        let body = self.bodies.recv().await;
        self.count(body)
    }

    /// The next message, if one is there already.
    pub(crate) fn try_next(&mut self) -> Option<Body> {
        let body = self.bodies.try_recv().ok();
        self.count(body)
    }

    fn count(&self, body: Option<Body>) -> Option<Body> {
        if let Some(body) = &body {
            self.bytes.fetch_sub(body.bytes().len(), Ordering::Relaxed);
        }
        body
    }
}
