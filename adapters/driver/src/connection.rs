//! One side of one connection: what arrives as messages, what leaves as bytes.
//!
//! It promises:
//! - a message is yielded once, in order, as it was sent, whatever pieces it arrives in; frames of
//!   an earlier connection and repeated ones are dropped, missing or damaged ones end it;
//! - nobody says anything before the handshake is over, and nobody says the handshake's words after
//!   it; a stranger's frames are short;
//! - what is not understood is answered with [`Unsupported`] and skipped;
//! - memory: at most the longest frame that is allowed now and one read of incoming bytes; outgoing
//!   ones as [`send`](Connection::send) says. Nothing is allocated per message but what a message
//!   itself needs.
//!
//! Left to others: sockets, when to dial and when to give up waiting, what to do about a message
//! that was not sent, what a peer or a client may ask.

use bytes::buf::Limit;
use bytes::{Buf, BytesMut};
use dynamo_proto::wire::{
    Body, Hello, Inbound, Kind, Message, MessageError, Nonce, Received, Refusal, Unsupported,
};
use dynamo_proto::{Limits, NodeId};

use crate::handshake::{Handshake, Heard};
use crate::incoming::Incoming;
use crate::outgoing::Outgoing;
use crate::{Ended, Established, Identity, Unsent, Waiting};

/// One side of one connection.
///
/// The order of calls: [`receive`](Self::receive) some bytes, or read them into the
/// [`read_buffer`](Self::read_buffer); [`poll`](Self::poll) until there is nothing more; write what
/// is [`outgoing`](Self::outgoing) and say how much was [`sent`](Self::sent).
#[derive(Debug)]
pub struct Connection {
    stage: Stage,
    incoming: Incoming,
    outgoing: Outgoing,
    limits: Limits,
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one allocation for every message"
)]
pub enum Event {
    /// The handshake is over: messages may be sent.
    Established(Established),
    /// The other side says something. Its values are slices of the receive buffer, and keep all of
    /// that alive: whoever keeps one for long copies it.
    Message(Message),
    /// The other side does not understand what we sent, and has skipped it.
    Unsupported(Unsupported),
}

#[derive(Debug)]
enum Stage {
    Handshake(Handshake),
    Open(Established),
    Ended(Ended),
}

impl Connection {
    /// The side that dials, and says hello at once. If a certain node is expected to answer, no
    /// other will do. Both sides have to be given the same `limits.frame_bytes`.
    #[must_use]
    pub fn dial(
        hello: Hello,
        expected: Option<NodeId>,
        limits: Limits,
        outgoing_bytes: usize,
    ) -> Self {
        let mut outgoing = Outgoing::new(outgoing_bytes, &limits);
        outgoing.open(&Message::Hello(hello));
        Self {
            stage: Stage::Handshake(Handshake::Dialed { hello, expected }),
            incoming: Incoming::new(Inbound::awaiting_welcome(hello.nonce)),
            outgoing,
            limits,
        }
    }

    /// The side that is dialed. The nonce is to be drawn at random for every connection.
    #[must_use]
    pub fn accept(identity: Identity, nonce: Nonce, limits: Limits, outgoing_bytes: usize) -> Self {
        Self {
            stage: Stage::Handshake(Handshake::Accepting { identity, nonce }),
            incoming: Incoming::new(Inbound::from_stranger()),
            outgoing: Outgoing::new(outgoing_bytes, &limits),
            limits,
        }
    }

    /// The side that is dialed and has no room: whoever says hello is told that reason, and the
    /// connection [ends](Ended::RefusedByUs).
    #[must_use]
    pub fn refuse(identity: Identity, reason: Refusal, limits: Limits) -> Self {
        Self {
            stage: Stage::Handshake(Handshake::Refusing { identity, reason }),
            incoming: Incoming::new(Inbound::from_stranger()),
            outgoing: Outgoing::new(0, &limits),
            limits,
        }
    }

    /// Takes some of the bytes that arrived: at least one of them, if [`poll`](Self::poll) has said
    /// that there is nothing more to take. Of a connection that is over it takes all and drops them.
    pub fn receive(&mut self, bytes: &mut impl Buf) {
        if matches!(self.stage, Stage::Ended(_)) {
            bytes.advance(bytes.remaining());
        } else {
            self.incoming.receive(bytes);
        }
    }

    /// How many bytes [`receive`](Self::receive) takes now: none while there are events to
    /// [`poll`](Self::poll), or if the connection is over.
    #[must_use]
    pub fn room(&self) -> usize {
        match self.stage {
            Stage::Ended(_) => 0,
            Stage::Handshake(_) | Stage::Open(_) => self.incoming.room(),
        }
    }

    /// How many bytes have arrived and are not a message yet.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.incoming.len()
    }

    /// Where to read the next bytes into, for whoever can read into a buffer of ours. `None` while
    /// there are events to [`poll`](Self::poll), or if the connection is over.
    pub fn read_buffer(&mut self) -> Option<Limit<&mut BytesMut>> {
        match self.stage {
            Stage::Ended(_) => None,
            Stage::Handshake(_) | Stage::Open(_) => self.incoming.buffer(),
        }
    }

    /// What happened next, `None` if more bytes must arrive first. Once it has ended it stays so.
    pub fn poll(&mut self) -> Result<Option<Event>, Ended> {
        let polled = self.advance();
        if let Err(ended) = polled {
            self.stage = Stage::Ended(ended);
            self.incoming.clear();
        }
        polled
    }

    /// Appends a message to what is outgoing.
    ///
    /// More than `outgoing_bytes` never wait, but that an empty buffer takes any one frame that the
    /// other side does, and that answers to what we do not support have 4 KiB of their own. Nothing
    /// is queued before the handshake is over, for somebody who may never answer.
    pub fn send(&mut self, message: &Message) -> Result<(), Unsent> {
        self.may_send(message.kind())?;
        self.outgoing.push(message)
    }

    /// As [`send`](Self::send), a message that was encoded once for several connections.
    pub fn send_body(&mut self, body: &Body) -> Result<(), Unsent> {
        self.may_send(body.kind())?;
        self.outgoing.push_body(body)
    }

    /// From now on so many bytes may wait to be sent.
    pub fn bound_outgoing(&mut self, bytes: usize) {
        self.outgoing.bound(bytes);
    }

    /// What is to be written to the socket.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.outgoing.bytes()
    }

    /// The socket has taken that many of the [`outgoing`](Self::outgoing) bytes.
    ///
    /// # Panics
    ///
    /// If there were not that many.
    pub fn sent(&mut self, len: usize) {
        self.outgoing.sent(len);
    }

    /// All that is to be written, for sockets that want a buffer of their own. It does not count as
    /// waiting any more, so whoever takes it writes it before taking more.
    #[must_use]
    pub fn take_outgoing(&mut self) -> BytesMut {
        self.outgoing.take()
    }

    /// How much is outgoing.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.outgoing.waiting()
    }

    /// What the handshake has settled, while the connection lasts.
    #[must_use]
    pub fn established(&self) -> Option<Established> {
        match self.stage {
            Stage::Open(established) => Some(established),
            Stage::Handshake(_) | Stage::Ended(_) => None,
        }
    }

    fn may_send(&self, kind: Kind) -> Result<(), Unsent> {
        if !matches!(self.stage, Stage::Open(_)) {
            Err(Unsent::NotEstablished)
        } else if kind.is_handshake() {
            Err(Unsent::Handshake(kind))
        } else {
            Ok(())
        }
    }

    fn advance(&mut self) -> Result<Option<Event>, Ended> {
        if let Stage::Ended(ended) = self.stage {
            return Err(ended);
        }
        while let Some(received) = self.incoming.next()? {
            let event = match (&self.stage, received) {
                (_, Received::Stray) => None,
                (Stage::Open(established), Received::Body { sequence, body }) => {
                    let version = established.version;
                    self.understand(&body, version, sequence)?
                }
                (
                    Stage::Open(_),
                    Received::OtherVersion {
                        version,
                        kind,
                        sequence,
                    },
                ) => {
                    self.unsupported(version, kind, sequence)?;
                    None
                }
                (Stage::Handshake(handshake), Received::Body { body, .. }) => {
                    let heard = handshake.hear(&body)?;
                    Some(self.settle(heard)?)
                }
                (Stage::Handshake(_), Received::OtherVersion { kind, .. }) => {
                    return Err(Ended::Unexpected(kind));
                }
                (Stage::Ended(ended), _) => return Err(*ended),
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn settle(&mut self, heard: Heard) -> Result<Event, Ended> {
        match heard {
            Heard::Agreed {
                established,
                ours,
                theirs,
                answer,
            } => {
                self.incoming.admit(ours, established.peer, &self.limits);
                self.outgoing.address(theirs);
                if let Some(welcome) = answer {
                    self.outgoing.open(&Message::Welcome(welcome));
                }
                self.stage = Stage::Open(established);
                Ok(Event::Established(established))
            }
            Heard::Refused { theirs, reason } => {
                self.outgoing.address(theirs);
                self.outgoing.open(&Message::Refused(reason));
                Err(Ended::RefusedByUs(reason))
            }
        }
    }

    fn understand(
        &mut self,
        body: &Body,
        version: u8,
        sequence: u32,
    ) -> Result<Option<Event>, Ended> {
        if body.kind().is_handshake() {
            return Err(Ended::Unexpected(body.kind()));
        }
        match Message::decode(body) {
            Ok(Message::Unsupported(unsupported)) => Ok(Some(Event::Unsupported(unsupported))),
            Ok(message) => Ok(Some(Event::Message(message))),
            Err(MessageError::UnknownKind(kind)) => {
                self.unsupported(version, kind, sequence)?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn unsupported(&mut self, version: u8, kind: Kind, sequence: u32) -> Result<(), Ended> {
        let unsupported = Unsupported {
            version,
            kind,
            sequence,
        };
        let answered = self.outgoing.answer(&Message::Unsupported(unsupported));
        answered.map_err(|_| Ended::Deaf)
    }
}
