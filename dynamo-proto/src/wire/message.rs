//! Messages and their bodies.
//!
//! ```text
//! unsupported  u8 version | u8 kind | u32 sequence
//! store        u64 ticket | u8 durability | u32 key length | key | siblings
//! stored       u64 ticket | u8 durability
//! fetch        u64 ticket | key
//! fetched      u64 ticket | u8 outcome | if found: siblings
//! ```

use bytes::{BufMut, BytesMut};

use super::{Body, Hello, Kind, Refusal, Welcome};
use crate::reader::{DecodeError, Reader};
use crate::version::Siblings;
use crate::{Key, KeyError};

/// Everything that travels between nodes, and between clients and nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Opens a connection.
    Hello(Hello),
    /// Accepts it.
    Welcome(Welcome),
    /// Ends it.
    Refused(Refusal),
    /// Answers what was not understood.
    Unsupported(Unsupported),
    /// Asks a replica to take in a state.
    Store {
        /// The sender's request, echoed in the answer.
        ticket: Ticket,
        /// How safe the state must be before the answer.
        durability: Durability,
        /// Whose state.
        key: Key,
        /// All that the sender has of it.
        siblings: Siblings,
    },
    /// The state is taken in.
    Stored {
        /// As in the question.
        ticket: Ticket,
        /// How safe it is.
        durability: Durability,
    },
    /// Asks a replica for a state.
    Fetch {
        /// The sender's request, echoed in the answer.
        ticket: Ticket,
        /// Whose state.
        key: Key,
    },
    /// What the replica has.
    Fetched {
        /// As in the question.
        ticket: Ticket,
        /// The state, or why there is none.
        outcome: Fetched,
    },
}

/// A running request, as the node that runs it names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// How safe a replica's copy is, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Gone when the process ends.
    Memory,
    /// Handed to the operating system: gone when the machine stops.
    Written,
    /// On the disk.
    Flushed,
}

/// What a replica found when asked for a key.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one allocation for every read"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Its state.
    Found(Siblings),
    /// It has never heard of the key.
    Absent,
    /// It has a record that it cannot read: not the same as absent.
    Damaged,
    /// It could not look.
    Failed,
}

/// A frame that its receiver does not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The version of its body.
    pub version: u8,
    /// Its kind.
    pub kind: Kind,
    /// Its place in the connection.
    pub sequence: u32,
}

/// Why a body is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A kind that this version does not know: to be answered with [`Unsupported`].
    #[error("unknown message kind {}", .0.0)]
    UnknownKind(Kind),
    /// Its bytes are wrong.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// Its key is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

const HELLO: Kind = Kind::HELLO;
const WELCOME: Kind = Kind::WELCOME;
const REFUSED: Kind = Kind::REFUSED;
const UNSUPPORTED: Kind = Kind(4);
const STORE: Kind = Kind(16);
const STORED: Kind = Kind(17);
const FETCH: Kind = Kind(18);
const FETCHED: Kind = Kind(19);

/// Longer than any fixed part of a body.
const FIXED: usize = 64;

impl Message {
    /// Which message it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => HELLO,
            Self::Welcome(_) => WELCOME,
            Self::Refused(_) => REFUSED,
            Self::Unsupported(_) => UNSUPPORTED,
            Self::Store { .. } => STORE,
            Self::Stored { .. } => STORED,
            Self::Fetch { .. } => FETCH,
            Self::Fetched { .. } => FETCHED,
        }
    }

    /// The message as bytes, once for all who are to get it.
    #[must_use]
    pub fn encode(&self) -> Body {
        let mut bytes = BytesMut::with_capacity(self.encoded_len());
        self.encode_into(&mut bytes);
        Body::new(self.kind(), bytes.freeze())
    }

    /// The message that a body holds. Values share the body's bytes.
    pub fn decode(body: &Body) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body.bytes());
        let message = match body.kind() {
            // Later versions may append to these three.
            HELLO => return Ok(Self::Hello(Hello::decode(&mut reader)?)),
            WELCOME => return Ok(Self::Welcome(Welcome::decode(&mut reader)?)),
            REFUSED => return Ok(Self::Refused(Refusal::decode(&mut reader)?)),
            UNSUPPORTED => Self::Unsupported(Unsupported::decode(&mut reader)?),
            STORE => {
                let ticket = Ticket::decode(&mut reader)?;
                let durability = Durability::decode(&mut reader)?;
                let key_len = reader.count(1, "a key")?;
                let key = Key::decode(reader.bytes(key_len, "a key")?)?;
                let mut siblings = Siblings::default();
                siblings.read(&mut reader)?;
                Self::Store {
                    ticket,
                    durability,
                    key,
                    siblings,
                }
            }
            STORED => Self::Stored {
                ticket: Ticket::decode(&mut reader)?,
                durability: Durability::decode(&mut reader)?,
            },
            FETCH => {
                let ticket = Ticket::decode(&mut reader)?;
                return Ok(Self::Fetch {
                    ticket,
                    key: Key::decode(reader.rest())?,
                });
            }
            FETCHED => Self::Fetched {
                ticket: Ticket::decode(&mut reader)?,
                outcome: Fetched::decode(&mut reader)?,
            },
            unknown => return Err(MessageError::UnknownKind(unknown)),
        };
        reader.finish()?;
        Ok(message)
    }

    /// How many bytes [`encode`](Self::encode) makes, or a few more.
    pub(super) fn encoded_len(&self) -> usize {
        FIXED
            + match self {
                Self::Store { key, siblings, .. } => key.encoded().len() + siblings.encoded_len(),
                Self::Fetch { key, .. } => key.encoded().len(),
                Self::Fetched {
                    outcome: Fetched::Found(siblings),
                    ..
                } => siblings.encoded_len(),
                _ => 0,
            }
    }

    pub(super) fn encode_into(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) => hello.encode(out),
            Self::Welcome(welcome) => welcome.encode(out),
            Self::Refused(refusal) => refusal.encode(out),
            Self::Unsupported(unsupported) => unsupported.encode(out),
            Self::Store {
                ticket,
                durability,
                key,
                siblings,
            } => {
                out.put_u64(ticket.0);
                out.put_u8(durability.code());
                out.put_u32(key.encoded().len() as u32); // limits keep keys far shorter
                out.put_slice(key.encoded());
                siblings.encode(out);
            }
            Self::Stored { ticket, durability } => {
                out.put_u64(ticket.0);
                out.put_u8(durability.code());
            }
            Self::Fetch { ticket, key } => {
                out.put_u64(ticket.0);
                out.put_slice(key.encoded());
            }
            Self::Fetched { ticket, outcome } => {
                out.put_u64(ticket.0);
                outcome.encode(out);
            }
        }
    }
}

impl Ticket {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u64("a ticket").map(Self)
    }
}

impl Durability {
    fn code(self) -> u8 {
        match self {
            Self::Memory => 0,
            Self::Written => 1,
            Self::Flushed => 2,
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8("a durability")? {
            0 => Ok(Self::Memory),
            1 => Ok(Self::Written),
            2 => Ok(Self::Flushed),
            _ => Err(DecodeError::Invalid("durability")),
        }
    }
}

impl Fetched {
    const FOUND: u8 = 0;
    const ABSENT: u8 = 1;
    const DAMAGED: u8 = 2;
    const FAILED: u8 = 3;

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Found(siblings) => {
                out.put_u8(Self::FOUND);
                siblings.encode(out);
            }
            Self::Absent => out.put_u8(Self::ABSENT),
            Self::Damaged => out.put_u8(Self::DAMAGED),
            Self::Failed => out.put_u8(Self::FAILED),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8("an outcome")? {
            Self::FOUND => {
                let mut siblings = Siblings::default();
                siblings.read(reader)?;
                Ok(Self::Found(siblings))
            }
            Self::ABSENT => Ok(Self::Absent),
            Self::DAMAGED => Ok(Self::Damaged),
            Self::FAILED => Ok(Self::Failed),
            _ => Err(DecodeError::Invalid("outcome")),
        }
    }
}

impl Unsupported {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.version);
        out.put_u8(self.kind.0);
        out.put_u32(self.sequence);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "an unsupported frame";
        Ok(Self {
            version: reader.u8(what)?,
            kind: Kind(reader.u8(what)?),
            sequence: reader.u32(what)?,
        })
    }
}
