//! Frames: where one message ends and the next begins, and that it arrived as it left.
//!
//! All numbers are big-endian. The header is the same in every version; the version speaks of the
//! body.
//!
//! ```text
//!  0   u32 length     of the whole frame
//!  4   u8  version    of the body
//!  5   u8  kind       of the message
//!  6   u16 reserved   0, not looked at
//!  8   u32 nonce      the receiver's for this connection; 0 in a Hello, sent before it is known
//! 12   u32 sequence   of the frames to that receiver on this connection, from 0
//! 16   u64 checksum   XXH3 of the 16 bytes above, seeded with the XXH3 of the body
//! 24   body
//! ```
//!
//! The checksum finds what memory, cables and middle boxes do to bytes. It keeps nobody from
//! forging frames.

use core::fmt;
use core::num::NonZeroU32;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Message;
use crate::Limits;

/// How long a frame's header is.
pub const HEADER_BYTES: usize = 24;

/// The version of bodies that this crate writes.
pub(super) const VERSION: u8 = 1;

/// Before the handshake is over nobody may send more than this.
const STRANGER_FRAME_BYTES: usize = 1024;

const CHECKED: usize = 16;

/// Which message a body holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

/// A number that one side of a connection draws for it at random, and that every frame to that
/// side carries: a frame of an earlier connection is told by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(NonZeroU32);

/// A message in its encoded form, to be framed for one or several connections.
#[derive(Clone, Debug)]
pub struct Body {
    kind: Kind,
    bytes: Bytes,
    sum: u64,
}

/// Writes the frames of one direction of a connection.
#[derive(Debug)]
pub struct Outbound {
    nonce: u32,
    sequence: u32,
}

/// Reads the frames of one direction of a connection, from whatever pieces they arrive in.
#[derive(Debug)]
pub struct Inbound {
    nonce: u32,
    sequence: u32,
    frame_bytes: usize,
}

/// One frame that arrived whole.
#[derive(Debug)]
pub enum Received {
    /// A body of a version that this crate reads, or a handshake's, which all versions read. Its
    /// kind may still be unknown.
    Body {
        /// Its place in the connection, for the answer if its kind is unknown.
        sequence: u32,
        /// The message.
        body: Body,
    },
    /// A body of another version: to be answered with [`Unsupported`](super::Unsupported).
    OtherVersion {
        /// Its version.
        version: u8,
        /// Its kind, as that version numbers them.
        kind: Kind,
        /// Its place in the connection.
        sequence: u32,
    },
    /// A frame of an earlier connection, or one that already arrived: dropped.
    Stray,
}

/// Why a connection cannot go on: what follows in it cannot be told apart any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length shorter than the header: this is no frame.
    #[error("a frame of {0} bytes is shorter than its header")]
    TooShort(usize),
    /// A length over the limit.
    #[error("a frame of {len} bytes is over the limit of {limit}")]
    TooLong {
        /// What the frame announces.
        len: usize,
        /// What is allowed on this connection now.
        limit: usize,
    },
    /// Bytes changed on the way.
    #[error("a frame's checksum is wrong")]
    Damaged,
    /// Frames are missing.
    #[error("frame {got} arrived where {expected} was due")]
    Gap {
        /// Which one was due.
        expected: u32,
        /// Which one arrived.
        got: u32,
    },
}

impl Kind {
    pub(super) const HELLO: Self = Self(1);
    pub(super) const WELCOME: Self = Self(2);
    pub(super) const REFUSED: Self = Self(3);

    /// Whether it belongs to the handshake, whose messages every version reads.
    #[must_use]
    pub fn is_handshake(self) -> bool {
        matches!(self, Self::HELLO | Self::WELCOME | Self::REFUSED)
    }
}

impl Nonce {
    /// A nonce of that number, unless it is 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

impl Body {
    pub(super) fn new(kind: Kind, bytes: Bytes) -> Self {
        let sum = xxh3_64(&bytes);
        Self { kind, bytes, sum }
    }

    /// Which message it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message's bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Outbound {
    /// Frames to somebody whose nonce is not known yet: only a Hello may be sent so.
    #[must_use]
    pub fn to_stranger() -> Self {
        Self {
            nonce: 0,
            sequence: 0,
        }
    }

    /// Frames to whoever drew that nonce.
    #[must_use]
    pub fn to(nonce: Nonce) -> Self {
        Self {
            nonce: nonce.number(),
            sequence: 0,
        }
    }

    /// From the next frame on, addresses whoever drew that nonce.
    pub fn address(&mut self, nonce: Nonce) {
        self.nonce = nonce.number();
    }

    /// The header of the next frame, which is to be followed by the body's bytes: for whoever
    /// writes the two without bringing them together.
    pub fn header(&mut self, body: &Body) -> [u8; HEADER_BYTES] {
        self.next_header(body.kind, body.bytes.len(), body.sum)
    }

    /// Appends the next frame: an encoded message.
    pub fn write_body(&mut self, body: &Body, out: &mut BytesMut) {
        out.reserve(HEADER_BYTES + body.bytes.len());
        out.put_slice(&self.header(body));
        out.put_slice(&body.bytes);
    }

    /// Appends the next frame: a message, encoded in place.
    pub fn write(&mut self, message: &Message, out: &mut BytesMut) {
        let start = out.len();
        out.reserve(HEADER_BYTES + message.encoded_len());
        out.put_bytes(0, HEADER_BYTES);
        message.encode_into(out);
        let body = &out[start + HEADER_BYTES..];
        let header = self.next_header(message.kind(), body.len(), xxh3_64(body));
        out[start..start + HEADER_BYTES].copy_from_slice(&header);
    }

    fn next_header(&mut self, kind: Kind, body_len: usize, body_sum: u64) -> [u8; HEADER_BYTES] {
        let len = HEADER_BYTES + body_len;
        let len = u32::try_from(len).expect("limits keep messages under four gigabytes");
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&len.to_be_bytes());
        header[4] = VERSION;
        header[5] = kind.0;
        header[8..12].copy_from_slice(&self.nonce.to_be_bytes());
        header[12..16].copy_from_slice(&self.sequence.to_be_bytes());
        let sum = xxh3_64_with_seed(&header[..CHECKED], body_sum);
        header[CHECKED..].copy_from_slice(&sum.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        header
    }
}

impl Inbound {
    /// Frames from somebody who does not know our nonce yet: short ones, until
    /// [`admit`](Self::admit).
    #[must_use]
    pub fn from_stranger() -> Self {
        Self {
            nonce: 0,
            sequence: 0,
            frame_bytes: STRANGER_FRAME_BYTES,
        }
    }

    /// Frames from somebody to whom we said hello with that nonce: short ones, until
    /// [`admit`](Self::admit).
    #[must_use]
    pub fn awaiting_welcome(nonce: Nonce) -> Self {
        Self {
            nonce: nonce.number(),
            ..Self::from_stranger()
        }
    }

    /// Frames from somebody who knows our nonce and was admitted.
    #[must_use]
    pub fn from(nonce: Nonce, limits: &Limits) -> Self {
        let mut inbound = Self::from_stranger();
        inbound.admit(nonce, limits);
        inbound
    }

    /// The handshake is over: from the next frame on, our nonce and full length.
    pub fn admit(&mut self, nonce: Nonce, limits: &Limits) {
        self.nonce = nonce.number();
        self.frame_bytes = limits.frame_bytes;
    }

    /// How many more bytes the buffer needs before it holds a whole frame: at least 1 if it does
    /// not, and never more than the limit allows.
    pub fn missing(&self, buffer: &[u8]) -> Result<usize, FrameError> {
        let need = self.frame_len(buffer)?.unwrap_or(HEADER_BYTES);
        Ok(need.saturating_sub(buffer.len()))
    }

    /// Takes the next frame off the front of the buffer, if it is there whole.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Received>, FrameError> {
        let len = match self.frame_len(buffer)? {
            Some(len) if len <= buffer.len() => len,
            _ => return Ok(None),
        };
        let mut frame = buffer.split_to(len).freeze();
        let header = frame.first_chunk().ok_or(FrameError::TooShort(len))?;
        let Header {
            version,
            kind,
            nonce,
            sequence,
            sum,
            checked,
        } = Header::parse(header);
        frame.advance(HEADER_BYTES);
        let body = Body::new(kind, frame);
        if xxh3_64_with_seed(&checked, body.sum) != sum {
            return Err(FrameError::Damaged);
        }
        // How far ahead of the one that is due, counted around the end of the numbers.
        let ahead = sequence.wrapping_sub(self.sequence).cast_signed();
        if nonce != self.nonce || ahead < 0 {
            return Ok(Some(Received::Stray));
        }
        if ahead > 0 {
            return Err(FrameError::Gap {
                expected: self.sequence,
                got: sequence,
            });
        }
        self.sequence = self.sequence.wrapping_add(1);
        if version != VERSION && !kind.is_handshake() {
            return Ok(Some(Received::OtherVersion {
                version,
                kind,
                sequence,
            }));
        }
        Ok(Some(Received::Body { sequence, body }))
    }

    /// The length that the frame at the front of the buffer announces, if it is there and allowed.
    fn frame_len(&self, buffer: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(len) = buffer.first_chunk() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*len) as usize;
        if len < HEADER_BYTES {
            Err(FrameError::TooShort(len))
        } else if len > self.frame_bytes {
            Err(FrameError::TooLong {
                len,
                limit: self.frame_bytes,
            })
        } else {
            Ok(Some(len))
        }
    }
}

struct Header {
    version: u8,
    kind: Kind,
    nonce: u32,
    sequence: u32,
    sum: u64,
    checked: [u8; CHECKED],
}

impl Header {
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [
            _,
            _,
            _,
            _,
            version,
            kind,
            _,
            _,
            n0,
            n1,
            n2,
            n3,
            s0,
            s1,
            s2,
            s3,
            ref sum @ ..,
        ] = *bytes;
        let mut checked = [0; CHECKED];
        checked.copy_from_slice(&bytes[..CHECKED]);
        Self {
            version,
            kind: Kind(kind),
            nonce: u32::from_be_bytes([n0, n1, n2, n3]),
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            sum: u64::from_be_bytes(*sum),
            checked,
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.0)
    }
}
