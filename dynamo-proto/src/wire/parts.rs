//! What messages are made of, as bytes.

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use super::{Fetched, HANDOFF_MOST, HeldCopy, Kind, MessageError, NotStored, Ticket, Unsupported};
use crate::reader::{DecodeError, Reader};
use crate::store::Address;
use crate::version::{Clock, Siblings};
use crate::{Durability, Key, NodeId};

impl HeldCopy {
    /// How many bytes it takes in a message.
    pub(crate) fn encoded_len(&self) -> usize {
        9 + self.key.encoded().len() + self.siblings.encoded_len()
    }
}

pub(super) fn encode_copies(copies: &[HeldCopy], out: &mut BytesMut) {
    out.put_u32(copies.len() as u32); // at most HANDOFF_MOST
    for HeldCopy {
        durability,
        key,
        siblings,
    } in copies
    {
        out.put_u8(durability.code());
        out.put_u32(key.encoded().len() as u32);
        out.put_slice(key.encoded());
        out.put_u32(siblings.encoded_len() as u32); // a frame is shorter
        siblings.encode(out);
    }
}

pub(super) fn decode_copies(reader: &mut Reader<'_>) -> Result<Vec<HeldCopy>, MessageError> {
    let count = reader.count(9, "a handoff")?;
    if count > HANDOFF_MOST {
        return Err(DecodeError::Invalid("handoff").into());
    }
    let mut copies = Vec::with_capacity(count);
    for _ in 0..count {
        let durability = Durability::decode(reader)?;
        let len = reader.count(1, "a key")?;
        let key = Key::decode(reader.bytes(len, "a key")?)?;
        let len = reader.count(1, "a copy")?;
        let siblings = Siblings::decode(reader.bytes(len, "a copy")?)?;
        copies.push(HeldCopy {
            durability,
            key,
            siblings,
        });
    }
    Ok(copies)
}

pub(super) fn encode_address(at: &Address, out: &mut impl BufMut) {
    out.put_u128(at.position);
    out.put_u32(at.name.len() as u32); // as long as a key
    out.put_slice(&at.name);
}

pub(super) fn decode_address(reader: &mut Reader<'_>) -> Result<Address, DecodeError> {
    let position = reader.u128("an address")?;
    let len = reader.count(1, "an address")?;
    let name = reader.bytes(len, "an address")?;
    Ok(Address { position, name })
}

/// How far each of some records has seen.
pub(super) fn encode_seen(seen: &[(Address, Clock)], out: &mut BytesMut) {
    out.put_u32(seen.len() as u32); // at most HANDOFF_MOST
    for (at, clock) in seen {
        encode_address(at, out);
        clock.encode(out);
    }
}

pub(super) fn decode_seen(reader: &mut Reader<'_>) -> Result<Vec<(Address, Clock)>, DecodeError> {
    let count = reader.count(20, "records")?;
    if count > HANDOFF_MOST {
        return Err(DecodeError::Invalid("records"));
    }
    let mut seen = Vec::with_capacity(count);
    for _ in 0..count {
        let (at, mut clock) = (decode_address(reader)?, Clock::default());
        clock.read(reader)?;
        seen.push((at, clock));
    }
    Ok(seen)
}

pub(super) fn encode_end(at: Option<&Address>, out: &mut impl BufMut) {
    out.put_u8(at.is_some().into());
    if let Some(at) = at {
        encode_address(at, out);
    }
}

pub(super) fn decode_end(reader: &mut Reader<'_>) -> Result<Option<Address>, DecodeError> {
    let is_there = reader.bool("an address")?;
    is_there.then(|| decode_address(reader)).transpose()
}

const HELD: u8 = 1;
const REPAIR: u8 = 2;

pub(super) fn encode_role(held_for: Option<NodeId>, is_repair: bool, out: &mut BytesMut) {
    let held = if held_for.is_some() { HELD } else { 0 };
    out.put_u8(held | if is_repair { REPAIR } else { 0 });
    if let Some(owner) = held_for {
        out.put_u64(owner.0);
    }
}

pub(super) fn decode_role(reader: &mut Reader<'_>) -> Result<(Option<NodeId>, bool), DecodeError> {
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
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u64("a ticket").map(Self)
    }
}

impl NotStored {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Overloaded => 0,
            Self::Full => 1,
            Self::Failed => 2,
            Self::Behind => 3,
            Self::HintsFull => 4,
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
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
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Memory => 0,
            Self::Written => 1,
            Self::Flushed => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Self, DecodeError> {
        match code {
            0 => Ok(Self::Memory),
            1 => Ok(Self::Written),
            2 => Ok(Self::Flushed),
            _ => Err(DecodeError::Invalid("durability")),
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_code(reader.u8("a durability")?)
    }
}

impl Fetched {
    const FOUND: u8 = 0;
    const ABSENT: u8 = 1;
    const DAMAGED: u8 = 2;
    const FAILED: u8 = 3;

    pub(super) fn encode(&self, out: &mut impl BufMut) {
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

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
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
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.version);
        out.put_u8(self.kind.0);
        out.put_u32(self.sequence);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "an unsupported frame";
        Ok(Self {
            version: reader.u8(what)?,
            kind: Kind(reader.u8(what)?),
            sequence: reader.u32(what)?,
        })
    }
}
