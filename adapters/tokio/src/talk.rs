//! What is said on one connection, between the socket and the node.
//!
//! A client may only ask, and ends its connection with anything else. Whoever has many requests
//! unanswered, or talks to a busy node, is not read from meanwhile. To a socket that is not read
//! from, no more is given than it may hold; the rest waits at the node, bounded there.

use dynamo_driver::Event;
use dynamo_proto::wire::{Body, Message, Role};
use tokio::time::Instant;

use crate::line::{Line, Lost};
use crate::lobby::Lobby;
use crate::mail::{Arrival, Link, Posted};

/// Most bytes of what waits for the node.
pub(crate) const ARRIVED_BYTES: u32 = 64 << 20;

/// No more messages are taken for the socket once so many bytes wait for it.
pub(crate) const OUTGOING_BYTES: usize = 256 << 10;

/// One connection, established.
pub(crate) struct Talk<'a> {
    lobby: &'a Lobby,
    line: Line,
    posted: Posted,
    link: Link,
    role: Role,
    unanswered: usize,
    most_unanswered: usize,
    /// Bytes that were read, and not yet counted with a message.
    unpaid_bytes: usize,
}

impl<'a> Talk<'a> {
    /// Nothing is read while `most_unanswered` requests are not answered.
    pub(crate) fn new(
        lobby: &'a Lobby,
        line: Line,
        posted: Posted,
        (link, role): (Link, Role),
        most_unanswered: usize,
    ) -> Self {
        Self {
            lobby,
            line,
            posted,
            link,
            role,
            unanswered: 0,
            most_unanswered,
            unpaid_bytes: 0,
        }
    }

    /// Until either side has enough.
    pub(crate) async fn run(mut self) -> Result<(), Lost> {
        loop {
            while self.reads()
                && let Some(event) = self.line.poll()?
            {
                match event {
                    Event::Message(message) if self.may_say(&message) => self.hear(message).await,
                    Event::Message(_) => return Ok(()),
                    Event::Established(_) | Event::Unsupported(_) => {}
                }
            }
            let (reads, takes) = (self.reads(), self.line.waiting() < OUTGOING_BYTES);
            tokio::select! {
                read = self.line.exchange(reads) => self.unpaid_bytes += read?,
                posted = self.posted.next(), if takes => {
                    let Some(body) = posted else { return Ok(()) };
                    self.say(body);
                }
            }
        }
    }

    fn reads(&self) -> bool {
        self.unanswered < self.most_unanswered
    }

    fn may_say(&self, message: &Message) -> bool {
        match self.role {
            Role::Client => matches!(message, Message::Request { .. }),
            Role::Peer { .. } => true,
        }
    }

    async fn hear(&mut self, message: Message) {
        let arrived = Instant::now();
        if self.role == Role::Client {
            self.unanswered += 1;
        }
        // Messages that were read together are paid for with the first of them.
        let bytes = std::mem::take(&mut self.unpaid_bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(ARRIVED_BYTES);
        let queue = self.lobby.arrived_bytes.clone();
        let room = queue.acquire_many_owned(bytes).await;
        let room = room.expect("the semaphore is never closed");
        let said = Arrival::Said {
            link: self.link,
            arrived,
            message,
            room,
        };
        self.lobby.tell(said).await;
    }

    /// Takes this message for the socket, and others that wait behind it.
    fn say(&mut self, first: Body) {
        let mut next = Some(first);
        while let Some(body) = next {
            if self.role == Role::Client {
                self.unanswered -= 1;
            }
            let sent = self.line.send_body(&body);
            sent.expect("the node sends no frame over the limit, and the buffer has room for any");
            next = if self.line.waiting() < OUTGOING_BYTES {
                self.posted.try_next()
            } else {
                None
            };
        }
    }
}
