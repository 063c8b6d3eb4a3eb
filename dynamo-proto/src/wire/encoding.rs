//! Messages as bytes.
//!
//! ```text
//! unsupported  u8 version | u8 kind | u32 sequence
//! store        u64 ticket | u64 epoch | u8 durability | u8 role | if held: u64 owner | u32 key length | key |
//!              siblings
//! stored       u64 ticket | u8 durability
//! fetch        u64 ticket | u64 epoch | u8 role | if held: u64 owner | key
//! fetched      u64 ticket | u8 outcome | if found: siblings
//! not stored   u64 ticket | u8 reason
//! request      u64 ticket | u64 epoch | u32 patience in ms | request
//! response     u64 ticket | response
//! ping, pong   u64 ticket
//! relay        u64 from | u64 to | u8 kind | body
//! handoff      u64 ticket | u32 copies | each: u8 durability | u32 key length | key |
//!              u32 length | siblings
//! handed off   u64 ticket | u64 taken | u32 credit
//! gossip       as membership encodes it
//! compare      u64 ticket | address | u8 ends | if so: address | u32 credit | u32 known | u128 each |
//!              u32 seen | each: address, clock
//! compared     u64 ticket | u64 lacking | u8 goes on | if so: address | copies as in a handoff
//! exchange     u8 what | 1 roots: u64 ticket | u64 leaves | u8 n | u32 parts | each: gap, length,
//!              u64 digest; 2 leaves: u64 ticket | u64 leaves | u8 n | u64 twig | u32 digests | u64 each;
//!              3 unequal: u64 ticket | u8 was looked at | u32 words | u64 each;
//!              4 doubt: u64 leaves | u32 numbers | u64 each
//! list         u64 ticket | u32 question | u32 key length | key | listing
//! listed       u64 ticket | u32 question | listed
//! admin        u64 ticket | JSON
//! administered u64 ticket | u8 done | JSON
//! ask directory  u64 ticket | u64 digest of the one that is known, or 0
//! directory    u64 ticket | u8 is another | the directory, as membership encodes it
//! new epoch    u32 height | u64 digest
//! address      u128 position | u32 length | name
//! ```

use alloc::boxed::Box;
use core::time::Duration;

use bytes::{BufMut, BytesMut};

use super::parts::{
    decode_address, decode_copies, decode_end, decode_role, decode_seen, encode_address,
    encode_copies, encode_end, encode_role, encode_seen,
};
use super::{
    Body, Exchange, Fetched, HANDOFF_MOST, HeldCopy, Hello, Kind, Message, MessageError, NotStored,
    Refusal, Ticket, Unsupported, Welcome,
};
use crate::membership::{Directory, Epoch, Gossip, ShortEpoch};
use crate::node::{Listed, Listing, Request, Response};
use crate::reader::{DecodeError, Reader};
use crate::store::Span;
use crate::version::Siblings;
use crate::{Durability, Key, NodeId};

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
const GOSSIP: Kind = Kind(26);
const COMPARE: Kind = Kind(27);
const COMPARED: Kind = Kind(28);
const EXCHANGE: Kind = Kind(29);
const LIST: Kind = Kind(40);
const LISTED: Kind = Kind(41);
const REQUEST: Kind = Kind(32);
const RESPONSE: Kind = Kind(33);
const ASK_DIRECTORY: Kind = Kind(34);
const DIRECTORY: Kind = Kind(35);
const NEW_EPOCH: Kind = Kind(36);
const ADMIN: Kind = Kind(48);
const ADMINISTERED: Kind = Kind(49);

/// Longer than any fixed part of a body.
const FIXED: usize = 80;

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
            Self::Gossip(_) => GOSSIP,
            Self::Compare { .. } => COMPARE,
            Self::Compared { .. } => COMPARED,
            Self::Exchange(_) => EXCHANGE,
            Self::AskDirectory { .. } => ASK_DIRECTORY,
            Self::Directory { .. } => DIRECTORY,
            Self::NewEpoch(_) => NEW_EPOCH,
            Self::Admin { .. } => ADMIN,
            Self::Administered { .. } => ADMINISTERED,
            Self::List { .. } => LIST,
            Self::Listed { .. } => LISTED,
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
                let epoch = ShortEpoch(reader.u64("an epoch")?);
                let durability = Durability::decode(&mut reader)?;
                let (held_for, is_repair) = decode_role(&mut reader)?;
                let key_len = reader.count(1, "a key")?;
                let key = Key::decode(reader.bytes(key_len, "a key")?)?;
                let mut siblings = Siblings::default();
                siblings.read(&mut reader)?;
                Self::Store {
                    ticket,
                    epoch,
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
                let epoch = ShortEpoch(reader.u64("an epoch")?);
                let (held_for, is_repair) = decode_role(&mut reader)?;
                if is_repair {
                    return Err(DecodeError::Invalid("role").into());
                }
                return Ok(Self::Fetch {
                    ticket,
                    epoch,
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
                let epoch = ShortEpoch(reader.u64("an epoch")?);
                let patience = Duration::from_millis(reader.u32("a request")?.into());
                let request = Request::decode(&mut reader)?;
                Self::Request {
                    ticket,
                    epoch,
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
                        | COMPARE
                        | COMPARED
                        | EXCHANGE
                        | LIST
                        | LISTED
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
                let copies = decode_copies(&mut reader)?;
                if copies.is_empty() {
                    return Err(DecodeError::Invalid("handoff").into());
                }
                Self::Handoff { ticket, copies }
            }
            HANDED_OFF => Self::HandedOff {
                ticket: Ticket::decode(&mut reader)?,
                taken: reader.u64("a handoff")?,
                credit: reader.u32("a handoff")?,
            },
            COMPARE => {
                let ticket = Ticket::decode(&mut reader)?;
                let first = decode_address(&mut reader)?;
                let end = decode_end(&mut reader)?;
                if end.as_ref().is_some_and(|end| *end < first) {
                    return Err(DecodeError::Invalid("span").into());
                }
                let credit = reader.u32("a comparison")?;
                let count = reader.count(16, "digests")?;
                if count > HANDOFF_MOST {
                    return Err(DecodeError::Invalid("digests").into());
                }
                let known = (0..count).map(|_| reader.u128("digests"));
                Self::Compare {
                    ticket,
                    span: Span::new(first, end),
                    credit,
                    known: known.collect::<Result<_, _>>()?,
                    seen: decode_seen(&mut reader)?,
                }
            }
            COMPARED => Self::Compared {
                ticket: Ticket::decode(&mut reader)?,
                lacking: reader.u64("a comparison")?,
                rest: decode_end(&mut reader)?,
                copies: decode_copies(&mut reader)?,
            },
            EXCHANGE => Self::Exchange(Exchange::decode(&mut reader)?),
            LIST => {
                let ticket = Ticket::decode(&mut reader)?;
                let question = reader.u32("a listing")?;
                let key_len = reader.count(1, "a key")?;
                Self::List {
                    ticket,
                    question,
                    key: Key::decode(reader.bytes(key_len, "a key")?)?,
                    listing: Listing::decode(&mut reader)?,
                }
            }
            LISTED => Self::Listed {
                ticket: Ticket::decode(&mut reader)?,
                question: reader.u32("a listing")?,
                listed: Listed::decode(&mut reader)?,
            },
            ADMIN => {
                let ticket = Ticket::decode(&mut reader)?;
                let command = reader.rest();
                return Ok(Self::Admin { ticket, command });
            }
            ADMINISTERED => {
                let ticket = Ticket::decode(&mut reader)?;
                let is_done = reader.bool("an answer")?;
                return Ok(Self::Administered {
                    ticket,
                    is_done,
                    answer: reader.rest(),
                });
            }
            ASK_DIRECTORY => Self::AskDirectory {
                ticket: Ticket::decode(&mut reader)?,
                known: reader.u64("a digest")?,
            },
            DIRECTORY => {
                let ticket = Ticket::decode(&mut reader)?;
                let directory = match reader.bool("a directory")? {
                    true => Some(Box::new(Directory::decode(&reader.rest())?)),
                    false => {
                        reader.finish()?;
                        None
                    }
                };
                return Ok(Self::Directory { ticket, directory });
            }
            NEW_EPOCH => Self::NewEpoch(Epoch::read(&mut reader)?),
            GOSSIP => return Ok(Self::Gossip(Gossip::decode(&reader.rest())?)),
            unknown => return Err(MessageError::UnknownKind(unknown)),
        };
        reader.finish()?;
        Ok(message)
    }

    /// How many bytes [`encode`](Self::encode) makes, or a few more.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
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
                Self::Gossip(gossip) => gossip.encoded_len(),
                Self::Exchange(exchange) => exchange.encoded_len(),
                Self::Admin { command, .. } => command.len(),
                Self::Administered { answer, .. } => answer.len(),
                Self::Directory {
                    directory: Some(directory),
                    ..
                } => directory.encoded_len(),
                Self::Compare {
                    span, known, seen, ..
                } => {
                    let end = span.end().map_or(0, |end| 20 + end.name.len());
                    let seen = seen.iter();
                    let seen = seen.map(|(at, clock)| 20 + at.name.len() + clock.encoded_len());
                    span.first().name.len() + end + 16 * known.len() + seen.sum::<usize>()
                }
                Self::Compared { rest, copies, .. } => {
                    let rest = rest.as_ref().map_or(0, |rest| 20 + rest.name.len());
                    rest + copies.iter().map(HeldCopy::encoded_len).sum::<usize>()
                }
                Self::List { key, listing, .. } => key.encoded().len() + listing.encoded_len(),
                Self::Listed { listed, .. } => listed.encoded_len(),
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
                epoch,
                durability,
                held_for,
                is_repair,
                key,
                siblings,
            } => {
                out.put_u64(ticket.0);
                out.put_u64(epoch.0);
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
                epoch,
                held_for,
                key,
            } => {
                out.put_u64(ticket.0);
                out.put_u64(epoch.0);
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
                epoch,
                patience,
                request,
            } => {
                out.put_u64(ticket.0);
                out.put_u64(epoch.0);
                out.put_u32(u32::try_from(patience.as_millis()).unwrap_or(u32::MAX));
                request.encode(out);
            }
            Self::Response { ticket, response } => {
                out.put_u64(ticket.0);
                response.encode(out);
            }
            Self::Ping { ticket } | Self::Pong { ticket } => out.put_u64(ticket.0),
            Self::Admin { ticket, command } => {
                out.put_u64(ticket.0);
                out.put_slice(command);
            }
            Self::Administered {
                ticket,
                is_done,
                answer,
            } => {
                out.put_u64(ticket.0);
                out.put_u8((*is_done).into());
                out.put_slice(answer);
            }
            Self::Relay { from, to, message } => {
                out.put_u64(from.0);
                out.put_u64(to.0);
                out.put_u8(message.kind().0);
                message.encode_into(out);
            }
            Self::Handoff { ticket, copies } => {
                out.put_u64(ticket.0);
                encode_copies(copies, out);
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
            Self::Gossip(gossip) => gossip.encode(out),
            Self::Exchange(exchange) => exchange.encode(out),
            Self::AskDirectory { ticket, known } => {
                out.put_u64(ticket.0);
                out.put_u64(*known);
            }
            Self::Directory { ticket, directory } => {
                out.put_u64(ticket.0);
                out.put_u8(directory.is_some().into());
                if let Some(directory) = directory {
                    directory.encode(out);
                }
            }
            Self::NewEpoch(epoch) => epoch.encode(out),
            Self::Compare {
                ticket,
                span,
                credit,
                known,
                seen,
            } => {
                out.put_u64(ticket.0);
                encode_address(span.first(), out);
                encode_end(span.end(), out);
                out.put_u32(*credit);
                out.put_u32(known.len() as u32); // at most HANDOFF_MOST
                known.iter().for_each(|digest| out.put_u128(*digest));
                encode_seen(seen, out);
            }
            Self::Compared {
                ticket,
                lacking,
                rest,
                copies,
            } => {
                out.put_u64(ticket.0);
                out.put_u64(*lacking);
                encode_end(rest.as_ref(), out);
                encode_copies(copies, out);
            }
            Self::List {
                ticket,
                question,
                key,
                listing,
            } => {
                out.put_u64(ticket.0);
                out.put_u32(*question);
                out.put_u32(key.encoded().len() as u32); // limits keep keys far shorter
                out.put_slice(key.encoded());
                listing.encode(out);
            }
            Self::Listed {
                ticket,
                question,
                listed,
            } => {
                out.put_u64(ticket.0);
                out.put_u32(*question);
                listed.encode(out);
            }
        }
    }
}
