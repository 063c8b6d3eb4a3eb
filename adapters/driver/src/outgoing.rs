//! Frames until they are written to the socket: bounded, and counted.

use bytes::{Buf, BytesMut};
use dynamo_proto::Limits;
use dynamo_proto::wire::{Body, HEADER_BYTES, Message, Nonce, Outbound};

use crate::Unsent;

/// What answers to unknown messages may take beyond the bound: some seventy of them.
const ANSWER_BYTES: usize = 4 << 10;

/// A buffer that grew beyond this is given back when it is empty.
const KEEP_BYTES: usize = 256 << 10;

/// What waits to be written to the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Frames, one that is written in part included.
    pub frames: usize,
    /// Bytes.
    pub bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Outgoing {
    outbound: Outbound,
    bytes: BytesMut,
    bound: usize,
    frame_limit: usize,
    frames: usize,
    /// How much of the frame at the front is left: 0 if there is none.
    front: usize,
    /// The most bytes that waited since none did.
    peak: usize,
}

impl Outgoing {
    pub(crate) fn new(bound: usize, limits: &Limits) -> Self {
        Self {
            outbound: Outbound::to_stranger(),
            bytes: BytesMut::new(),
            bound,
            frame_limit: limits.frame_bytes,
            frames: 0,
            front: 0,
            peak: 0,
        }
    }

    /// From now on so many bytes may wait.
    pub(crate) fn bound(&mut self, bytes: usize) {
        self.bound = bytes;
    }

    /// From the next frame on, addresses whoever drew that nonce.
    pub(crate) fn address(&mut self, theirs: Nonce) {
        self.outbound.address(theirs);
    }

    /// Appends a message of the handshake, which is short and always the first.
    pub(crate) fn open(&mut self, message: &Message) {
        self.outbound.write(message, &mut self.bytes);
        self.count(0);
    }

    /// Appends a message.
    pub(crate) fn push(&mut self, message: &Message) -> Result<(), Unsent> {
        self.write(message, self.bound)
    }

    /// Appends a message that is encoded already.
    pub(crate) fn push_body(&mut self, body: &Body) -> Result<(), Unsent> {
        self.check(HEADER_BYTES + body.bytes().len(), self.bound)?;
        let before = self.bytes.len();
        self.outbound.write_body(body, &mut self.bytes);
        self.count(before);
        Ok(())
    }

    /// Appends an answer to what was not understood: it has some room of its own, so that a full
    /// buffer alone ends no connection.
    pub(crate) fn answer(&mut self, message: &Message) -> Result<(), Unsent> {
        // A frame beyond the bound is alone when it comes, so it is the one at the front.
        let full = self.bound.max(self.front);
        self.write(message, full.saturating_add(ANSWER_BYTES))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn waiting(&self) -> Waiting {
        Waiting {
            frames: self.frames,
            bytes: self.bytes.len(),
        }
    }

    /// That many bytes at the front are on their way.
    pub(crate) fn sent(&mut self, mut len: usize) {
        while self.frames > 0 && len >= self.front {
            len -= self.front;
            self.bytes.advance(self.front);
            self.frames -= 1;
            self.front = self.announced();
        }
        self.bytes.advance(len);
        self.front -= len;
        if self.frames == 0 {
            self.emptied();
        }
    }

    /// All that waits, in a buffer of its own.
    pub(crate) fn take(&mut self) -> BytesMut {
        let taken = self.bytes.split();
        (self.frames, self.front) = (0, 0);
        self.emptied();
        taken
    }

    fn write(&mut self, message: &Message, bound: usize) -> Result<(), Unsent> {
        let before = self.bytes.len();
        if before >= bound && before > 0 {
            return Err(Unsent::Full);
        }
        // A number in the sequence that is dealt out cannot be taken back, so it must be known before
        // that the frame fits. Mostly it is at once.
        let at_most = HEADER_BYTES + message.encoded_len();
        if self.check(at_most, bound).is_ok() {
            self.outbound.write(message, &mut self.bytes);
            self.count(before);
            return Ok(());
        }
        // How long it is exactly shows when it is written: the first writing is for the length only.
        Outbound::to_stranger().write(message, &mut self.bytes);
        let len = self.bytes.len() - before;
        self.peak = self.peak.max(self.bytes.len());
        self.bytes.truncate(before);
        self.check(len, bound)?;
        self.outbound.write(message, &mut self.bytes);
        self.count(before);
        Ok(())
    }

    /// Whether a frame of that length may be appended. An empty buffer takes any one frame that the
    /// other side does: else what is longer than the bound could never be sent.
    fn check(&self, len: usize, bound: usize) -> Result<(), Unsent> {
        let limit = self.frame_limit;
        if len > limit {
            Err(Unsent::TooLong { len, limit })
        } else if self.frames > 0 && self.bytes.len() + len > bound {
            Err(Unsent::Full)
        } else {
            Ok(())
        }
    }

    /// One frame more, which begins there.
    fn count(&mut self, start: usize) {
        if self.frames == 0 {
            self.front = self.bytes.len() - start;
        }
        self.frames += 1;
        self.peak = self.peak.max(self.bytes.len());
    }

    /// How long the whole frame at the front is: 0 if there is none.
    fn announced(&self) -> usize {
        self.bytes
            .first_chunk()
            .map_or(0, |len| u32::from_be_bytes(*len) as usize)
    }

    fn emptied(&mut self) {
        if self.peak > KEEP_BYTES {
            self.bytes = BytesMut::new();
        }
        self.peak = 0;
    }
}
