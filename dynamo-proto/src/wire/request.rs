//! Requests and responses as bytes: the same between a client and a node as between nodes.
//!
//! ```text
//! request   u128 id | u8 retry | u32 key length | key | options | operation
//! options   u16 which are said | u8 n, r, w, pr, pw, durability, absent counts, majority absent |
//!           u32 timeout in ms, each only if said; "only here" is said by its bit alone
//! get       u8 1 | u8 head | u32 sealed parts | each: u32 length | bytes
//! fetch     u8 4 | u64 fingerprint of a ring
//! put       u8 2 | u8 has fastest | u64 fastest | mode | content | condition
//! mode      u8 0 | u32 contexts | each: u32 length | bytes     or u8 1 blind     or u8 2 overwrite
//! list      u8 5 | listing
//! update    u8 3 | u8 has fastest | u64 fastest | steps, as they are written down in `version`
//!           or u8 6 | u8 has fastest | u64 fastest | u32 length | context | steps
//! content   u8 0 | u32 metadata length | u32 body length | metadata | body     or u8 1 tombstone
//!           or u8 2 | u32 length | data, which no write may have
//! condition u8 0 none     or u8 1 absent     or u8 2 unchanged | u32 length | bytes
//! response  u8 0 | u8 has fastest | u64 fastest | u32 length | context | siblings
//!           u8 1 | u32 siblings | u8 1 context, 2 receipt or 0 | u32 length | bytes | u8 came to
//!           something | i64
//!           u8 2 | failure
//!           u8 3 unknown
//!           u8 4 | outcome, as in fetched, after u8 has context | u32 length | context
//!           u8 5 | listed
//! ```

use core::time::Duration;

use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

use super::{Fetched, MessageError};
use crate::node::{
    Condition, Demand, Failure, Found, Got, Kept, Listed, Listing, Mode, Operation, Options,
    Request, Response, Written,
};
use crate::reader::{DecodeError, Reader};
use crate::version::{
    Behind, Content, Context, ContextError, Data, DataType, Height, Metadata, MintError, RequestId,
    Siblings, Update,
};
use crate::{Durability, Key, KeyPart, NodeId};

/// Longer than the fixed parts of a request or a response.
const FIXED: usize = 96;

impl Request {
    pub(super) fn encoded_len(&self) -> usize {
        let operation = match &self.operation {
            Operation::Get { seen, .. } => seen.iter().map(|sealed| 4 + sealed.len()).sum(),
            Operation::Fetch { .. } => 0,
            Operation::Update {
                update, context, ..
            } => update.encoded_len() + context.as_ref().map_or(0, Bytes::len),
            Operation::List(listing) => listing.encoded_len(),
            Operation::Put {
                mode,
                content,
                condition,
                ..
            } => {
                let mode = match mode {
                    Mode::Context(contexts) => contexts.iter().map(|sealed| 4 + sealed.len()).sum(),
                    Mode::Blind | Mode::Overwrite => 0,
                };
                let content = match content {
                    Content::Live { metadata, body } => metadata.encoded().len() + body.len(),
                    Content::Data(data) => data.encoded().len(),
                    Content::Tombstone => 0,
                };
                let condition = match condition {
                    Condition::Unchanged(sealed) => sealed.len(),
                    Condition::None | Condition::Absent => 0,
                };
                mode + content + condition
            }
        };
        FIXED + self.key.encoded().len() + operation
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u128(self.id.0);
        out.put_u8(u8::from(self.is_retry));
        put_run(out, self.key.encoded());
        self.options.encode(out);
        match &self.operation {
            Operation::Get { head, seen } => {
                out.put_slice(&[1, u8::from(*head)]);
                out.put_u32(seen.len() as u32); // memory ends first
                seen.iter().for_each(|sealed| put_run(out, sealed));
            }
            Operation::List(listing) => {
                out.put_u8(5);
                listing.encode(out);
            }
            Operation::Fetch { ring } => {
                out.put_u8(4);
                out.put_u64(*ring);
            }
            Operation::Update {
                fastest,
                update,
                context,
            } => {
                out.put_u8(if context.is_some() { 6 } else { 3 });
                put_node(out, *fastest);
                if let Some(sealed) = context {
                    put_run(out, sealed);
                }
                update.encode(out);
            }
            Operation::Put {
                fastest,
                mode,
                content,
                condition,
            } => {
                out.put_u8(2);
                put_node(out, *fastest);
                match mode {
                    Mode::Context(contexts) => {
                        out.put_u8(0);
                        out.put_u32(contexts.len() as u32); // memory ends first
                        contexts.iter().for_each(|sealed| put_run(out, sealed));
                    }
                    Mode::Blind => out.put_u8(1),
                    Mode::Overwrite => out.put_u8(2),
                }
                match content {
                    Content::Live { metadata, body } => {
                        out.put_u8(0);
                        put_run(out, metadata.encoded());
                        put_run(out, body);
                    }
                    Content::Tombstone => out.put_u8(1),
                    Content::Data(data) => {
                        out.put_u8(2);
                        put_run(out, data.encoded());
                    }
                }
                match condition {
                    Condition::None => out.put_u8(0),
                    Condition::Absent => out.put_u8(1),
                    Condition::Unchanged(sealed) => {
                        out.put_u8(2);
                        put_run(out, sealed);
                    }
                }
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let what = "a request";
        let id = RequestId(reader.u128(what)?);
        let is_retry = reader.bool(what)?;
        let key = Key::decode(run(reader, "a key")?)?;
        let options = Options::decode(reader)?;
        let operation = match reader.u8(what)? {
            1 => {
                let head = reader.bool(what)?;
                let count = reader.count(4, "contexts")?;
                let seen = (0..count).map(|_| run(reader, "a context"));
                Operation::Get {
                    head,
                    seen: seen.collect::<Result<_, _>>()?,
                }
            }
            4 => Operation::Fetch {
                ring: reader.u64(what)?,
            },
            2 => {
                let fastest = node(reader)?;
                let mode = match reader.u8(what)? {
                    0 => {
                        let count = reader.count(4, "contexts")?;
                        let contexts: Result<SmallVec<_>, _> =
                            (0..count).map(|_| run(reader, "a context")).collect();
                        Mode::Context(contexts?)
                    }
                    1 => Mode::Blind,
                    2 => Mode::Overwrite,
                    _ => return Err(DecodeError::Invalid("mode").into()),
                };
                let content = match reader.u8(what)? {
                    0 => {
                        let metadata = Metadata::decode(run(reader, "metadata")?)
                            .map_err(|_| DecodeError::Invalid("metadata"))?;
                        Content::Live {
                            metadata,
                            body: run(reader, "a value's body")?,
                        }
                    }
                    1 => Content::Tombstone,
                    2 => Content::Data(Data::decode(run(reader, "data")?)?),
                    _ => return Err(DecodeError::Invalid("kind of value").into()),
                };
                let condition = match reader.u8(what)? {
                    0 => Condition::None,
                    1 => Condition::Absent,
                    2 => Condition::Unchanged(run(reader, "a context")?),
                    _ => return Err(DecodeError::Invalid("condition").into()),
                };
                Operation::Put {
                    fastest,
                    mode,
                    content,
                    condition,
                }
            }
            kind @ (3 | 6) => {
                let fastest = node(reader)?;
                let context = match kind {
                    3 => None,
                    _ => Some(run(reader, "a context")?),
                };
                Operation::Update {
                    fastest,
                    update: Update::decode(reader)?,
                    context,
                }
            }
            5 => Operation::List(Listing::decode(reader)?),
            _ => return Err(DecodeError::Invalid("operation").into()),
        };
        Ok(Self {
            id,
            is_retry,
            key,
            operation,
            options,
        })
    }
}

impl Options {
    fn encode(&self, out: &mut impl BufMut) {
        let numbers = self.numbers();
        let said = (0..).zip(&numbers).filter(|(_, number)| number.is_some());
        let said = said.fold(0_u16, |said, (bit, _)| said | 1 << bit);
        let said = said | u16::from(self.timeout.is_some()) << numbers.len();
        out.put_u16(said | u16::from(self.only_here) << (numbers.len() + 1));
        numbers
            .into_iter()
            .flatten()
            .for_each(|number| out.put_u8(number));
        if let Some(timeout) = self.timeout {
            out.put_u32(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "options";
        let said = u16::from_be_bytes(reader.array(what)?);
        let mut numbers = [None; 8];
        for (bit, number) in (0..).zip(&mut numbers) {
            if said & 1 << bit != 0 {
                *number = Some(reader.u8(what)?);
            }
        }
        let has_timeout = said & 1 << numbers.len() != 0;
        let only_here = said & 1 << (numbers.len() + 1) != 0;
        let timeout = if has_timeout {
            Some(Duration::from_millis(reader.u32(what)?.into()))
        } else {
            None
        };
        let [n, r, w, pr, pw, durability, absent_counts, majority_absent] = numbers;
        let flag = |number: Option<u8>| match number {
            None => Ok(None),
            Some(number @ 0..=1) => Ok(Some(number == 1)),
            Some(_) => Err(DecodeError::Invalid(what)),
        };
        Ok(Self {
            n,
            r,
            w,
            pr,
            pw,
            durability: durability.map(Durability::from_code).transpose()?,
            absent_counts: flag(absent_counts)?,
            majority_absent: flag(majority_absent)?,
            timeout,
            only_here,
        })
    }

    fn numbers(&self) -> [Option<u8>; 8] {
        [
            self.n,
            self.r,
            self.w,
            self.pr,
            self.pw,
            self.durability.map(Durability::code),
            self.absent_counts.map(u8::from),
            self.majority_absent.map(u8::from),
        ]
    }
}

impl Response {
    pub(super) fn encoded_len(&self) -> usize {
        FIXED
            + match self {
                Self::Got(Got { siblings, context }) => {
                    siblings.encoded_len() + context.sealed.len()
                }
                Self::Listed(listed) => listed.encoded_len(),
                Self::Put(Written {
                    context, receipt, ..
                }) => context.as_ref().or(receipt.as_ref()).map_or(0, Bytes::len),
                Self::Fetched(Kept { outcome, sealed }) => {
                    let sealed = sealed.as_ref().map_or(0, Bytes::len);
                    match outcome {
                        Fetched::Found(siblings) => sealed + siblings.encoded_len(),
                        Fetched::Absent | Fetched::Damaged | Fetched::Failed => sealed,
                    }
                }
                Self::Failed(_) | Self::Unknown => 0,
            }
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Got(Got { siblings, context }) => {
                out.put_u8(0);
                put_node(out, context.fastest);
                put_run(out, &context.sealed);
                siblings.encode(out);
            }
            Self::Put(Written {
                siblings,
                context,
                receipt,
                came_to,
            }) => {
                out.put_u8(1);
                out.put_u32(*siblings);
                match (context, receipt) {
                    (Some(sealed), _) => {
                        out.put_u8(1);
                        put_run(out, sealed);
                    }
                    (None, Some(receipt)) => {
                        out.put_u8(2);
                        put_run(out, receipt);
                    }
                    (None, None) => out.put_u8(0),
                }
                out.put_u8(u8::from(came_to.is_some()));
                if let Some(came_to) = came_to {
                    out.put_i64(*came_to);
                }
            }
            Self::Failed(failure) => {
                out.put_u8(2);
                failure.encode(out);
            }
            Self::Unknown => out.put_u8(3),
            Self::Listed(listed) => {
                out.put_u8(5);
                listed.encode(out);
            }
            Self::Fetched(Kept { outcome, sealed }) => {
                out.put_u8(4);
                out.put_u8(sealed.is_some().into());
                if let Some(sealed) = sealed {
                    put_run(out, sealed);
                }
                outcome.encode(out);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let what = "a response";
        Ok(match reader.u8(what)? {
            0 => {
                let fastest = node(reader)?;
                let sealed = run(reader, "a context")?;
                let mut siblings = Siblings::default();
                siblings.read(reader)?;
                Self::Got(Got {
                    siblings,
                    context: Context { sealed, fastest },
                })
            }
            1 => {
                let siblings = reader.u32(what)?;
                let (context, receipt) = match reader.u8(what)? {
                    0 => (None, None),
                    1 => (Some(run(reader, "a context")?), None),
                    2 => (None, Some(run(reader, "a receipt")?)),
                    _ => return Err(DecodeError::Invalid(what).into()),
                };
                let came_to = match reader.bool(what)? {
                    true => Some(i64::from_be_bytes(reader.array(what)?)),
                    false => None,
                };
                Self::Put(Written {
                    siblings,
                    context,
                    receipt,
                    came_to,
                })
            }
            4 => {
                let sealed = match reader.bool(what)? {
                    true => Some(run(reader, "a context")?),
                    false => None,
                };
                let outcome = Fetched::decode(reader)?;
                Self::Fetched(Kept { outcome, sealed })
            }
            2 => Self::Failed(Failure::decode(reader)?),
            3 => Self::Unknown,
            5 => Self::Listed(Listed::decode(reader)?),
            _ => return Err(DecodeError::Invalid(what).into()),
        })
    }
}

impl Failure {
    /// One byte that says which, and up to two numbers that it comes with.
    fn encode(&self, out: &mut impl BufMut) {
        let (code, first, second) = match *self {
            Self::Overloaded => (0, 0, 0),
            Self::Expired => (1, 0, 0),
            Self::Invalid(Demand::Replicas { asked, n }) => (2, asked.into(), n.into()),
            Self::Invalid(Demand::Quorum { asked, n }) => (3, asked.into(), n.into()),
            Self::Invalid(Demand::Durability) => (4, 0, 0),
            Self::Context(ContextError::Forged) => (5, 0, 0),
            Self::Context(ContextError::Newer(version)) => (6, version.into(), 0),
            Self::Context(ContextError::Truncated) => (7, 0, 0),
            Self::Refused(error) => match error {
                MintError::TooManySiblings { count, limit } => (8, count as u64, limit as u64),
                MintError::TooManyActors { count, limit } => (9, count as u64, limit as u64),
                MintError::ValueTooLarge { len, limit } => (10, len as u64, limit as u64),
                MintError::MetadataTooLarge { len, limit } => (11, len as u64, limit as u64),
                MintError::ClockSkew { ahead } => (12, ahead.as_micros() as u64, 0),
                // A node's own trouble, not its client's.
                MintError::Impostor(_) | MintError::BootRetired => (18, 0, 0),
                MintError::Behind(Behind { height }) => (19, height.0.into(), 0),
                MintError::RecordTooLarge { len, limit } => (24, len as u64, limit as u64),
                MintError::Unfit { kind } => (26, kind.code().into(), 0),
                MintError::Plain => (27, 0, 0),
                MintError::Overflow => (28, 0, 0),
                MintError::ElementTooLong { len } => (29, len as u64, 0),
            },
            Self::KeyTooLong { part, len, limit } => {
                let part = match part {
                    KeyPart::BucketType => 20,
                    KeyPart::Bucket => 21,
                    KeyPart::Key => 22,
                };
                (part, len as u64, limit as u64)
            }
            Self::TooFew { need, got } => (13, need.into(), got.into()),
            Self::Condition(Found::Value) => (14, 0, 0),
            Self::Condition(Found::Nothing) => (15, 0, 0),
            Self::Condition(Found::Change) => (16, 0, 0),
            Self::Full => (17, 0, 0),
            Self::NoCoordinator => (18, 0, 0),
            Self::HintsFull => (23, 0, 0),
            Self::NotServing => (25, 0, 0),
            Self::Stale => (30, 0, 0),
            Self::OtherRing => (31, 0, 0),
        };
        out.put_u8(code);
        out.put_u64(first);
        out.put_u64(second);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a failure";
        let code = reader.u8(what)?;
        let (first, second) = (reader.u64(what)?, reader.u64(what)?);
        let small = |number: u64| u8::try_from(number).map_err(|_| DecodeError::Invalid(what));
        let size = |number: u64| usize::try_from(number).map_err(|_| DecodeError::Invalid(what));
        Ok(match code {
            0 => Self::Overloaded,
            1 => Self::Expired,
            2 => Self::Invalid(Demand::Replicas {
                asked: small(first)?,
                n: small(second)?,
            }),
            3 => Self::Invalid(Demand::Quorum {
                asked: small(first)?,
                n: small(second)?,
            }),
            4 => Self::Invalid(Demand::Durability),
            5 => Self::Context(ContextError::Forged),
            6 => Self::Context(ContextError::Newer(small(first)?)),
            7 => Self::Context(ContextError::Truncated),
            8 => Self::Refused(MintError::TooManySiblings {
                count: size(first)?,
                limit: size(second)?,
            }),
            9 => Self::Refused(MintError::TooManyActors {
                count: size(first)?,
                limit: size(second)?,
            }),
            10 => Self::Refused(MintError::ValueTooLarge {
                len: size(first)?,
                limit: size(second)?,
            }),
            11 => Self::Refused(MintError::MetadataTooLarge {
                len: size(first)?,
                limit: size(second)?,
            }),
            12 => Self::Refused(MintError::ClockSkew {
                ahead: Duration::from_micros(first),
            }),
            13 => Self::TooFew {
                need: small(first)?,
                got: small(second)?,
            },
            14 => Self::Condition(Found::Value),
            15 => Self::Condition(Found::Nothing),
            16 => Self::Condition(Found::Change),
            17 => Self::Full,
            18 => Self::NoCoordinator,
            19 => {
                let height = u32::try_from(first).map_err(|_| DecodeError::Invalid(what))?;
                Self::Refused(MintError::Behind(Behind {
                    height: Height(height),
                }))
            }
            20..=22 => {
                let part = match code {
                    20 => KeyPart::BucketType,
                    21 => KeyPart::Bucket,
                    _ => KeyPart::Key,
                };
                Self::KeyTooLong {
                    part,
                    len: size(first)?,
                    limit: size(second)?,
                }
            }
            23 => Self::HintsFull,
            24 => Self::Refused(MintError::RecordTooLarge {
                len: size(first)?,
                limit: size(second)?,
            }),
            25 => Self::NotServing,
            26 => {
                let kind = DataType::of_code(small(first)?).ok_or(DecodeError::Invalid(what))?;
                Self::Refused(MintError::Unfit { kind })
            }
            27 => Self::Refused(MintError::Plain),
            28 => Self::Refused(MintError::Overflow),
            30 => Self::Stale,
            31 => Self::OtherRing,
            29 => Self::Refused(MintError::ElementTooLong { len: size(first)? }),
            _ => return Err(DecodeError::Invalid(what)),
        })
    }
}

fn put_run(out: &mut impl BufMut, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32); // limits keep every run far shorter
    out.put_slice(bytes);
}

fn run(reader: &mut Reader<'_>, what: &'static str) -> Result<Bytes, DecodeError> {
    let len = reader.count(1, what)?;
    reader.bytes(len, what)
}

fn put_node(out: &mut impl BufMut, node: Option<NodeId>) {
    out.put_u8(u8::from(node.is_some()));
    if let Some(node) = node {
        out.put_u64(node.0);
    }
}

fn node(reader: &mut Reader<'_>) -> Result<Option<NodeId>, DecodeError> {
    let has_node = reader.bool("a node")?;
    if has_node {
        reader.u64("a node").map(|id| Some(NodeId(id)))
    } else {
        Ok(None)
    }
}
