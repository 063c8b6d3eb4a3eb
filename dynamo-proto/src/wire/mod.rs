//! What nodes and clients say to each other, as bytes.
//!
//! A connection carries [frames](Outbound) both ways: length-prefixed, versioned, checksummed, and
//! bound to their connection by a nonce and a sequence number. A frame's body is one [`Message`].
//! A received value is a slice of the buffer it arrived in; nothing is allocated on the word of a
//! length alone.
//!
//! ```text
//!   Message --encode--> Body --Outbound--> bytes ~~~~> Inbound --> Received --decode--> Message
//!                        |  \--Outbound--> bytes ~~~~>   one body, several connections
//! ```
//!
//! Whoever opens a connection says [`Hello`]; the answer is [`Welcome`] or a [`Refusal`], and only
//! then anything else. A kind or version that the receiver does not know is answered with
//! [`Unsupported`] and skipped, so neighbouring versions can talk.
//!
//! ```
//! use bytes::BytesMut;
//! use dynamo_proto::membership::ShortEpoch;
//! use dynamo_proto::wire::{Inbound, Message, Nonce, Outbound, Received, Ticket};
//! use dynamo_proto::{Key, Limits};
//!
//! let limits = Limits::default();
//! let nonce = Nonce::new(7).expect("not 0");
//! let (mut sender, mut receiver) = (Outbound::to(nonce), Inbound::from(nonce, &limits));
//!
//! let key = Key::new("default", "carts", "alice", &limits)?;
//! let epoch = ShortEpoch::default();
//! let message = Message::Fetch { ticket: Ticket(1), epoch, held_for: None, key };
//! let mut buffer = BytesMut::new();
//! sender.write(&message, &mut buffer);
//!
//! let Some(Received::Body { body, .. }) = receiver.next(&mut buffer)? else { panic!("one frame") };
//! assert_eq!(Message::decode(&body)?, message);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Left to others: when to connect, what to do about errors, and queues.

mod encoding;
mod exchange;
mod frame;
mod handshake;
mod listing;
mod message;
mod parts;
mod request;

pub use exchange::{COMPARED_MOST, Exchange};
pub use frame::{Body, FrameError, HEADER_BYTES, Inbound, Kind, Nonce, Outbound, Received};
pub use handshake::{Hello, OtherReason, Refusal, Role, Versions, Welcome};
pub use message::{
    Fetched, HANDOFF_MOST, HeldCopy, Message, MessageError, NotStored, Ticket, Unsupported,
};
