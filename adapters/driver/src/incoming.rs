//! Received bytes until they are whole frames.
//!
//! Never more than the frame at the front and one read beyond it: further bytes are taken only when
//! that frame is. A length is believed as far as it has been lived up to: there is room for as much
//! again as has arrived, and memory is taken for no more.

use bytes::buf::Limit;
use bytes::{Buf, BufMut, BytesMut};
use dynamo_proto::Limits;
use dynamo_proto::wire::{FrameError, Inbound, Nonce, Received, Role};

/// How much is read at once of a node while nothing large is on its way.
const PEER_READ_BYTES: usize = 64 << 10;

/// The same of a client.
const CLIENT_READ_BYTES: usize = 16 << 10;

/// Before the handshake is over: a Hello is shorter, and nothing may follow it.
const STRANGER_READ_BYTES: usize = 256;

/// What the contexts of one request may take.
const CONTEXTS_BYTES: usize = 1 << 20;

/// Frames longer than this take their buffer with them, so that one large value does not leave its
/// room behind with every connection that it passed.
const KEEP_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct Incoming {
    inbound: Inbound,
    bytes: BytesMut,
    read_bytes: usize,
    /// The least that a buffer is made for: there are few nodes, whose buffers are kept, and many
    /// clients, who mostly say nothing.
    buffer_bytes: usize,
}

impl Incoming {
    pub(crate) fn new(inbound: Inbound) -> Self {
        Self {
            inbound,
            bytes: BytesMut::new(),
            read_bytes: STRANGER_READ_BYTES,
            buffer_bytes: 0,
        }
    }

    /// The handshake is over.
    pub(crate) fn admit(&mut self, ours: Nonce, role: Role, limits: &Limits) {
        match role {
            Role::Peer { .. } => {
                self.inbound.admit(ours, limits);
                self.read_bytes = PEER_READ_BYTES;
                self.buffer_bytes = PEER_READ_BYTES;
            }
            Role::Client | Role::Admin => {
                let frame_bytes = limits.frame_bytes.min(request_bytes(limits));
                let limits = Limits {
                    frame_bytes,
                    ..*limits
                };
                self.inbound.admit(ours, &limits);
                self.read_bytes = CLIENT_READ_BYTES;
            }
        }
    }

    /// Takes as many of the bytes as there is room for.
    pub(crate) fn receive(&mut self, bytes: &mut impl Buf) {
        let len = bytes.remaining().min(self.room());
        self.reserve(len);
        self.bytes.put(bytes.take(len));
    }

    /// Where to read the next bytes into, and how many; `None` if a frame is to be taken first.
    pub(crate) fn buffer(&mut self) -> Option<Limit<&mut BytesMut>> {
        let room = self.room();
        if room == 0 {
            return None;
        }
        self.reserve(room);
        Some((&mut self.bytes).limit(room))
    }

    /// The next frame, if it is there whole.
    pub(crate) fn next(&mut self) -> Result<Option<Received>, FrameError> {
        let before = self.bytes.len();
        let received = self.inbound.next(&mut self.bytes)?;
        if before - self.bytes.len() > KEEP_BYTES {
            self.bytes = BytesMut::from(&self.bytes[..]);
        }
        Ok(received)
    }

    /// How many bytes are not taken yet.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Gives back all memory.
    pub(crate) fn clear(&mut self) {
        self.bytes = BytesMut::new();
    }

    /// How many bytes there is room for: none if a frame is to be taken first.
    pub(crate) fn room(&self) -> usize {
        match self.inbound.missing(&self.bytes) {
            Ok(0) | Err(_) => 0,
            Ok(missing) => missing.min(self.bytes.len()).max(self.read_bytes),
        }
    }

    fn reserve(&mut self, len: usize) {
        if self.bytes.capacity() - self.bytes.len() < len {
            // Whole reads at once: while received values are still in use each costs a new buffer.
            self.bytes.reserve(len.max(self.buffer_bytes));
        }
    }
}

/// More than any request is long that a client may make: its key, its value, and the contexts that
/// it hands back.
fn request_bytes(limits: &Limits) -> usize {
    let key = limits.key_bytes.saturating_add(2 * limits.bucket_bytes);
    let value = limits.value_bytes.saturating_add(limits.metadata_bytes);
    key.saturating_add(value).saturating_add(CONTEXTS_BYTES)
}
