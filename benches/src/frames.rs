//! Our frames: a state on its way to a replica.

use bytes::BytesMut;
use dynamo_proto::Durability;
use dynamo_proto::Limits;
use dynamo_proto::membership::ShortEpoch;
use dynamo_proto::wire::{Inbound, Message, Nonce, Outbound, Received, Ticket};

use crate::{scattered, states};

/// The values measured, in bytes.
pub const BODIES: [(&str, usize); 3] = [("100 B", 100), ("1 KiB", 1 << 10), ("16 KiB", 16 << 10)];

/// What a connection reads from its socket at a time, about.
const READ: usize = 64 << 10;

/// Frames that follow each other on a connection.
#[derive(Clone, Debug)]
pub struct Burst {
    /// Their bytes.
    pub bytes: BytesMut,
    /// How many they are.
    pub frames: u64,
}

/// One side of a connection, which reads.
#[derive(Debug)]
pub struct Connection {
    inbound: Inbound,
}

/// What a coordinator sends to a replica: a value of so many bytes under a clock of three actors.
#[must_use]
pub fn store(body_bytes: usize) -> Message {
    Message::Store {
        ticket: Ticket(7),
        epoch: ShortEpoch(scattered(23)),
        durability: Durability::Flushed,
        held_for: None,
        is_repair: false,
        key: states::key(),
        siblings: states::siblings(&[2, 2, 2], body_bytes),
    }
}

/// A connection's other end, which writes.
#[must_use]
pub fn outbound() -> Outbound {
    Outbound::to(nonce())
}

/// About as many frames of that message as one read brings.
#[must_use]
pub fn burst(message: &Message) -> Burst {
    let mut outbound = outbound();
    Burst::filled(|bytes| outbound.write(message, bytes))
}

impl Burst {
    /// About as many frames as one read brings.
    pub fn filled(mut write: impl FnMut(&mut BytesMut)) -> Self {
        let mut bytes = BytesMut::new();
        let mut frames = 0;
        while bytes.len() < READ {
            write(&mut bytes);
            frames += 1;
        }
        Self { bytes, frames }
    }
}

impl Connection {
    /// A connection that is admitted, before its first frame.
    #[must_use]
    pub fn admitted() -> Self {
        Self {
            inbound: Inbound::from(nonce(), &Limits::default()),
        }
    }

    /// What is measured: takes the next frame off the buffer and the message out of it.
    #[inline]
    pub fn next(&mut self, buffer: &mut BytesMut) -> Message {
        let received = self.inbound.next(buffer).expect("the frame is whole");
        let Some(Received::Body { body, .. }) = received else {
            panic!("the frame is the one that is due");
        };
        Message::decode(&body).expect("the message is as it was written")
    }
}

fn nonce() -> Nonce {
    Nonce::new(scattered(19) as u32).expect("not 0")
}
