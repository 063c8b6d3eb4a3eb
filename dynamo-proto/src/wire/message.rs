//! Messages and their bodies.
//!
//! ```text
//! unsupported  u8 version | u8 kind | u32 sequence
//! store        u64 ticket | u8 durability | u8 role | if held: u64 owner | u32 key length | key |
//!              siblings
//! stored       u64 ticket | u8 durability
//! fetch        u64 ticket | u8 role | if held: u64 owner | key
//! fetched      u64 ticket | u8 outcome | if found: siblings
//! not stored   u64 ticket | u8 reason
//! request      u64 ticket | u32 patience in ms | request
//! response     u64 ticket | response
//! ping, pong   u64 ticket
//! relay        u64 from | u64 to | u8 kind | body
//! handoff      u64 ticket | u32 copies | each: u32 key length | key | u32 length | siblings
//! handed off   u64 ticket | u64 taken | u32 credit
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{BufMut, BytesMut};

use super::{Body, Hello, Kind, Refusal, Welcome};
use crate::node::{Request, Response};
use crate::reader::{DecodeError, Reader};
use crate::version::Siblings;
use crate::{Durability, Key, KeyError, NodeId};

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
        /// The node on duty that is to have it, if this is not the receiver: held for that one
        /// until it is back.
        held_for: Option<NodeId>,
        /// Whether this is upkeep and no client's write.
        is_repair: bool,
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
    /// The state is not taken in.
    NotStored {
        /// As in the question.
        ticket: Ticket,
        /// Why.
        reason: NotStored,
    },
    /// Asks a replica for a state.
    Fetch {
        /// The sender's request, echoed in the answer.
        ticket: Ticket,
        /// The node on duty in whose place it is asked, if it is not itself.
        held_for: Option<NodeId>,
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
    /// Asks a node to do a client's request: of a client, or of a node that forwards it.
    Request {
        /// The sender's request, echoed in the answer.
        ticket: Ticket,
        /// How long the sender waits.
        patience: Duration,
        /// What to do.
        request: Request,
    },
    /// What became of it.
    Response {
        /// As in the question.
        ticket: Ticket,
        /// The outcome.
        response: Response,
    },
    /// Asks whether the receiver is there.
    Ping {
        /// Echoed in the answer.
        ticket: Ticket,
    },
    /// It is.
    Pong {
        /// As in the question.
        ticket: Ticket,
    },
    /// A message on its way between two nodes that do not reach each other.
    Relay {
        /// Whose message.
        from: NodeId,
        /// For whom.
        to: NodeId,
        /// What it says.
        message: Box<Message>,
    },
    /// Brings copies home that were held for the receiver.
    Handoff {
        /// The sender's batch, echoed in the answer.
        ticket: Ticket,
        /// The copies, at most [`HANDOFF_MOST`].
        copies: Vec<HeldCopy>,
    },
    /// What became of them.
    HandedOff {
        /// As in the question.
        ticket: Ticket,
        /// A bit for each copy that the receiver has now, the first lowest.
        taken: u64,
        /// How many bytes of further copies it is ready for.
        credit: u32,
    },
}

/// Most copies in one [`Message::Handoff`].
pub const HANDOFF_MOST: usize = 64;

/// A copy that was held for another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCopy {
    /// Of which key.
    pub key: Key,
    /// All that is known of it.
    pub siblings: Siblings,
}

/// A running request, as the node that runs it names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Why a replica did not take a state in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// It has too much to do.
    Overloaded,
    /// Its store has no room.
    Full,
    /// It holds as many copies for others as it may.
    HintsFull,
    /// Its store failed.
    Failed,
    /// The state takes retirements into account that it has not heard of.
    Behind,
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
const NOT_STORED: Kind = Kind(20);
const PING: Kind = Kind(21);
const PONG: Kind = Kind(22);
const RELAY: Kind = Kind(23);
const HANDOFF: Kind = Kind(24);
const HANDED_OFF: Kind = Kind(25);
const REQUEST: Kind = Kind(32);
const RESPONSE: Kind = Kind(33);

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
            Self::NotStored { .. } => NOT_STORED,
            Self::Request { .. } => REQUEST,
            Self::Response { .. } => RESPONSE,
            Self::Ping { .. } => PING,
            Self::Pong { .. } => PONG,
            Self::Relay { .. } => RELAY,
            Self::Handoff { .. } => HANDOFF,
            Self::HandedOff { .. } => HANDED_OFF,
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
                let (held_for, is_repair) = decode_role(&mut reader)?;
                let key_len = reader.count(1, "a key")?;
                let key = Key::decode(reader.bytes(key_len, "a key")?)?;
                let mut siblings = Siblings::default();
                siblings.read(&mut reader)?;
                Self::Store {
                    ticket,
                    durability,
                    held_for,
                    is_repair,
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
                let (held_for, is_repair) = decode_role(&mut reader)?;
                if is_repair {
                    return Err(DecodeError::Invalid("role").into());
                }
                return Ok(Self::Fetch {
                    ticket,
                    held_for,
                    key: Key::decode(reader.rest())?,
                });
            }
            FETCHED => Self::Fetched {
                ticket: Ticket::decode(&mut reader)?,
                outcome: Fetched::decode(&mut reader)?,
            },
            NOT_STORED => Self::NotStored {
                ticket: Ticket::decode(&mut reader)?,
                reason: NotStored::decode(&mut reader)?,
            },
            REQUEST => {
                let ticket = Ticket::decode(&mut reader)?;
                let patience = Duration::from_millis(reader.u32("a request")?.into());
                let request = Request::decode(&mut reader)?;
                Self::Request {
                    ticket,
                    patience,
                    request,
                }
            }
            RESPONSE => Self::Response {
                ticket: Ticket::decode(&mut reader)?,
                response: Response::decode(&mut reader)?,
            },
            PING => Self::Ping {
                ticket: Ticket::decode(&mut reader)?,
            },
            PONG => Self::Pong {
                ticket: Ticket::decode(&mut reader)?,
            },
            RELAY => {
                let from = NodeId(reader.u64("a relay")?);
                let to = NodeId(reader.u64("a relay")?);
                let kind = Kind(reader.u8("a relay")?);
                let is_relayable = matches!(
                    kind,
                    STORE
                        | STORED
                        | FETCH
                        | FETCHED
                        | NOT_STORED
                        | PING
                        | PONG
                        | HANDOFF
                        | HANDED_OFF
                        | REQUEST
                        | RESPONSE
                );
                if !is_relayable {
                    return Err(DecodeError::Invalid("relayed message").into());
                }
                let inner = Self::decode(&Body::new(kind, reader.rest()))?;
                return Ok(Self::Relay {
                    from,
                    to,
                    message: Box::new(inner),
                });
            }
            HANDOFF => {
                let ticket = Ticket::decode(&mut reader)?;
                let count = reader.count(8, "a handoff")?;
                if count > HANDOFF_MOST {
                    return Err(DecodeError::Invalid("handoff").into());
                }
                let mut copies = Vec::with_capacity(count);
                for _ in 0..count {
                    let len = reader.count(1, "a key")?;
                    let key = Key::decode(reader.bytes(len, "a key")?)?;
                    let len = reader.count(1, "a copy")?;
                    let siblings = Siblings::decode(reader.bytes(len, "a copy")?)?;
                    copies.push(HeldCopy { key, siblings });
                }
                Self::Handoff { ticket, copies }
            }
            HANDED_OFF => Self::HandedOff {
                ticket: Ticket::decode(&mut reader)?,
                taken: reader.u64("a handoff")?,
                credit: reader.u32("a handoff")?,
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
                Self::Request { request, .. } => request.encoded_len(),
                Self::Response { response, .. } => response.encoded_len(),
                Self::Relay { message, .. } => message.encoded_len(),
                Self::Handoff { copies, .. } => copies.iter().map(HeldCopy::encoded_len).sum(),
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
                held_for,
                is_repair,
                key,
                siblings,
            } => {
                out.put_u64(ticket.0);
                out.put_u8(durability.code());
                encode_role(*held_for, *is_repair, out);
                out.put_u32(key.encoded().len() as u32); // limits keep keys far shorter
                out.put_slice(key.encoded());
                siblings.encode(out);
            }
            Self::Stored { ticket, durability } => {
                out.put_u64(ticket.0);
                out.put_u8(durability.code());
            }
            Self::Fetch {
                ticket,
                held_for,
                key,
            } => {
                out.put_u64(ticket.0);
                encode_role(*held_for, false, out);
                out.put_slice(key.encoded());
            }
            Self::Fetched { ticket, outcome } => {
                out.put_u64(ticket.0);
                outcome.encode(out);
            }
            Self::NotStored { ticket, reason } => {
                out.put_u64(ticket.0);
                out.put_u8(reason.code());
            }
            Self::Request {
                ticket,
                patience,
                request,
            } => {
                out.put_u64(ticket.0);
                out.put_u32(u32::try_from(patience.as_millis()).unwrap_or(u32::MAX));
                request.encode(out);
            }
            Self::Response { ticket, response } => {
                out.put_u64(ticket.0);
                response.encode(out);
            }
            Self::Ping { ticket } | Self::Pong { ticket } => out.put_u64(ticket.0),
            Self::Relay { from, to, message } => {
                out.put_u64(from.0);
                out.put_u64(to.0);
                out.put_u8(message.kind().0);
                message.encode_into(out);
            }
            Self::Handoff { ticket, copies } => {
                out.put_u64(ticket.0);
                out.put_u32(copies.len() as u32); // at most HANDOFF_MOST
                for HeldCopy { key, siblings } in copies {
                    out.put_u32(key.encoded().len() as u32);
                    out.put_slice(key.encoded());
                    out.put_u32(siblings.encoded_len() as u32); // a frame is shorter
                    siblings.encode(out);
                }
            }
            Self::HandedOff {
                ticket,
                taken,
                credit,
            } => {
                out.put_u64(ticket.0);
                out.put_u64(*taken);
                out.put_u32(*credit);
            }
        }
    }
}

impl HeldCopy {
    /// How many bytes it takes in a message.
    pub(crate) fn encoded_len(&self) -> usize {
        8 + self.key.encoded().len() + self.siblings.encoded_len()
    }
}

const HELD: u8 = 1;
const REPAIR: u8 = 2;

fn encode_role(held_for: Option<NodeId>, is_repair: bool, out: &mut BytesMut) {
    let held = if held_for.is_some() { HELD } else { 0 };
    out.put_u8(held | if is_repair { REPAIR } else { 0 });
    if let Some(owner) = held_for {
        out.put_u64(owner.0);
    }
}

fn decode_role(reader: &mut Reader<'_>) -> Result<(Option<NodeId>, bool), DecodeError> {
    let role = reader.u8("a role")?;
    if role > HELD | REPAIR {
        return Err(DecodeError::Invalid("role"));
    }
    let held_for = if role & HELD == 0 {
        None
    } else {
        Some(NodeId(reader.u64("a role")?))
    };
    Ok((held_for, role & REPAIR != 0))
}

impl Ticket {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u64("a ticket").map(Self)
    }
}

impl NotStored {
    fn code(self) -> u8 {
        match self {
            Self::Overloaded => 0,
            Self::Full => 1,
            Self::Failed => 2,
            Self::Behind => 3,
            Self::HintsFull => 4,
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8("a reason")? {
            3 => Ok(Self::Behind),
            4 => Ok(Self::HintsFull),
            0 => Ok(Self::Overloaded),
            1 => Ok(Self::Full),
            2 => Ok(Self::Failed),
            _ => Err(DecodeError::Invalid("reason")),
        }
    }
}

impl Durability {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Memory => 0,
            Self::Written => 1,
            Self::Flushed => 2,
        }
    }

    pub(super) fn from_code(code: u8) -> Result<Self, DecodeError> {
        match code {
            0 => Ok(Self::Memory),
            1 => Ok(Self::Written),
            2 => Ok(Self::Flushed),
            _ => Err(DecodeError::Invalid("durability")),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_code(reader.u8("a durability")?)
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
