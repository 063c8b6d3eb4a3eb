//! Clocks and siblings as bytes: the one form in which they travel, are stored and are compared.
//!
//! All numbers are big-endian. A value names its actor by its place in the clock, so a state whose
//! values the clock does not cover cannot be written down.
//!
//! ```text
//! clock     u32 height | u32 entries | entries
//! entry     u64 node | u64 boot | u64 serial | u32 counter | u32 updated
//! siblings  clock | u32 values | values
//! record    u8 format | u64 checksum | u8 note | if noted: dot | u8 requests | u128 each |
//!           if held for others: u8 owners | u64 each | u8 durability owed | siblings
//! value     u32 entry | u32 counter | u128 request | u64 stamp | u8 kind | then if live:
//!           u32 metadata length | u32 body length | metadata | body; if data: u32 length | data
//! ```

use alloc::vec::Vec;
use core::array;

use bytes::{BufMut, Bytes};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::record::{Note, Record, WINDOW};
use super::{
    Actor, Boot, Clock, Content, Data, Dot, Entry, Height, Metadata, RequestId, Sibling, Siblings,
    Value,
};
use crate::reader::{DecodeError, Reader};
use crate::store::Address;
use crate::{Durability, NodeId, WallTime};

const CLOCK_HEAD: usize = 8;
const ENTRY: usize = 32;
const VALUE_HEAD: usize = 33;
const LIVE_HEAD: usize = 8;

const DOT: usize = 28;
const RECORD_HEAD: usize = 9;
const RECORD_FORMAT: u8 = 1;

const LIVE: u8 = 0;
const TOMBSTONE: u8 = 1;
const DATA: u8 = 2;

impl Clock {
    pub(crate) fn encoded_len(&self) -> usize {
        Self::len_of(self.entries().len())
    }

    /// How many bytes a clock of so many entries takes.
    pub(super) fn len_of(entries: usize) -> usize {
        CLOCK_HEAD + ENTRY * entries
    }

    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        self.encode_at(self.height(), out);
    }

    /// The same, as if it were of that height.
    fn encode_at(&self, height: Height, out: &mut impl BufMut) {
        out.put_u32(height.0);
        out.put_u32(self.entries().len() as u32); // memory ends first
        for entry in self.entries() {
            let mut bytes = [0; ENTRY];
            bytes[..8].copy_from_slice(&entry.actor.node.0.to_be_bytes());
            bytes[8..16].copy_from_slice(&entry.actor.boot.0.to_be_bytes());
            bytes[16..24].copy_from_slice(&entry.actor.serial.to_be_bytes());
            bytes[24..28].copy_from_slice(&entry.counter.to_be_bytes());
            bytes[28..].copy_from_slice(&entry.updated.to_be_bytes());
            out.put_slice(&bytes);
        }
    }

    /// Becomes the clock that is read. In place, here and below: a clock is too large to be handed
    /// back and forth while a message is decoded.
    #[inline]
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let height = Height(reader.u32("a clock")?);
        let count = reader.count(ENTRY, "a clock")?;
        let (entries, _) = reader.slice(ENTRY * count, "a clock")?.as_chunks();
        self.fill(entries.iter().map(Entry::decode), height)
            .ok_or(DecodeError::Invalid("clock"))
    }
}

impl Entry {
    #[inline]
    fn decode(bytes: &[u8; ENTRY]) -> Self {
        let (words, _) = bytes.as_chunks();
        let [node, boot, serial, rest] =
            array::from_fn(|at| words.get(at).map_or(0, |word| u64::from_be_bytes(*word)));
        Self {
            actor: Actor {
                node: NodeId(node),
                boot: Boot(boot),
                serial,
            },
            counter: (rest >> 32) as u32,
            updated: rest as u32,
        }
    }
}

impl Siblings {
    /// What says how many values there are.
    pub(super) const COUNT: usize = 4;

    /// How many bytes [`encode`](Self::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let values = self.values.iter().map(Sibling::encoded_len);
        self.clock.encoded_len() + Self::COUNT + values.sum::<usize>()
    }

    /// Appends the state's bytes: the same for equal states, wherever they are.
    pub fn encode(&self, out: &mut impl BufMut) {
        self.clock.encode(out);
        out.put_u32(self.values.len() as u32); // memory ends first
        let mut entry = 0; // values and entries are both sorted by actor
        for sibling in &self.values {
            while self.clock.entries()[entry].actor != sibling.dot.actor {
                entry += 1;
            }
            sibling.encode(entry, out);
        }
    }

    /// How many bytes [`encode_history`](Self::encode_history) writes.
    pub(crate) fn history_len(&self) -> usize {
        let data = self.values.iter().filter_map(|it| it.value.content.data());
        let data: usize = data.map(|data| data.encoded().len()).sum();
        self.clock.encoded_len() + 8 * self.values.len() + data
    }

    /// Appends which writes are named as seen and which of them are alive: the same for states that
    /// differ in no more than their height, and only for those.
    pub(crate) fn encode_history(&self, out: &mut impl BufMut) {
        self.clock.encode_at(Height(0), out);
        for Sibling { dot, value } in &self.values {
            let entries = self.clock.entries();
            let entry = entries.partition_point(|entry| entry.actor < dot.actor);
            out.put_u64((entry as u64) << 32 | u64::from(dot.counter));
            // One dot stands for all updates of it, and the clock may not name their actors any more.
            if let Some(data) = value.content.data() {
                out.put_slice(data.encoded());
            }
        }
    }

    /// The state whose encoding this is. Values share the bytes.
    ///
    /// ```
    /// use dynamo_proto::version::Siblings;
    ///
    /// let mut bytes = Vec::new();
    /// Siblings::default().encode(&mut bytes);
    /// assert_eq!(Siblings::decode(bytes.into())?, Siblings::default());
    /// # Ok::<(), dynamo_proto::DecodeError>(())
    /// ```
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&bytes);
        let mut siblings = Self::default();
        siblings.read(&mut reader)?;
        reader.finish()?;
        Ok(siblings)
    }

    /// Becomes the state that is read.
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.clock.read(reader)?;
        let count = reader.count(VALUE_HEAD, "siblings")?;
        self.values.clear();
        self.values.reserve_exact(count);
        for _ in 0..count {
            self.values.push(Sibling::decode(&self.clock, reader)?);
        }
        if self.is_sound() {
            Ok(())
        } else {
            Err(DecodeError::Invalid("siblings"))
        }
    }
}

impl Sibling {
    pub(super) fn encoded_len(&self) -> usize {
        Self::len_of(&self.value.content)
    }

    /// How many bytes a value of that content takes.
    pub(super) fn len_of(content: &Content) -> usize {
        VALUE_HEAD
            + match content {
                Content::Live { metadata, body } => {
                    LIVE_HEAD + metadata.encoded().len() + body.len()
                }
                Content::Data(data) => 4 + data.encoded().len(),
                Content::Tombstone => 0,
            }
    }

    fn encode(&self, entry: usize, out: &mut impl BufMut) {
        let Value {
            content,
            request,
            stamp,
        } = &self.value;
        let mut head = [0; VALUE_HEAD + LIVE_HEAD];
        head[..4].copy_from_slice(&(entry as u32).to_be_bytes());
        head[4..8].copy_from_slice(&self.dot.counter.to_be_bytes());
        head[8..24].copy_from_slice(&request.0.to_be_bytes());
        head[24..32].copy_from_slice(&stamp.as_micros().to_be_bytes());
        match content {
            Content::Live { metadata, body } => {
                let metadata = metadata.encoded();
                head[32] = LIVE;
                head[33..37].copy_from_slice(&(metadata.len() as u32).to_be_bytes());
                head[37..].copy_from_slice(&(body.len() as u32).to_be_bytes());
                out.put_slice(&head);
                out.put_slice(metadata);
                out.put_slice(body);
            }
            Content::Data(data) => {
                head[32] = DATA;
                head[33..37].copy_from_slice(&(data.encoded().len() as u32).to_be_bytes());
                out.put_slice(&head[..VALUE_HEAD + 4]);
                out.put_slice(data.encoded());
            }
            Content::Tombstone => {
                head[32] = TOMBSTONE;
                out.put_slice(&head[..VALUE_HEAD]);
            }
        }
    }

    #[inline]
    fn decode(clock: &Clock, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a value";
        let entry = usize::try_from(reader.u32(what)?).ok();
        let entry = entry.and_then(|at| clock.entries().get(at));
        let actor = entry.ok_or(DecodeError::Invalid("actor of a value"))?.actor;
        let counter = reader.u32(what)?;
        let request = RequestId(reader.u128(what)?);
        let stamp = WallTime::from_micros(reader.u64(what)?);
        let content = match reader.u8(what)? {
            LIVE => {
                let metadata_len = reader.u32(what)? as usize;
                let body_len = reader.u32(what)? as usize;
                let metadata = Metadata::decode(reader.bytes(metadata_len, "metadata")?)
                    .map_err(|_| DecodeError::Invalid("metadata"))?;
                Content::Live {
                    metadata,
                    body: reader.bytes(body_len, "a value's body")?,
                }
            }
            DATA => {
                let len = reader.u32(what)? as usize;
                Content::Data(Data::decode(reader.bytes(len, "data")?)?)
            }
            TOMBSTONE => Content::Tombstone,
            _ => return Err(DecodeError::Invalid("kind of value")),
        };
        Ok(Self {
            dot: Dot { actor, counter },
            value: Value {
                content,
                request,
                stamp,
            },
        })
    }
}

impl Record {
    /// The record as a store keeps it: checked by a sum that covers where it belongs, so that one
    /// found in another's place is known as damaged.
    #[must_use]
    pub fn encode(&self, at: &Address) -> Bytes {
        let Note {
            last,
            requests,
            has_more,
            owners,
            owed,
        } = &self.note;
        let mut note_len = 2 + if last.is_some() { DOT } else { 0 } + 16 * requests.len();
        if !owners.is_empty() {
            note_len += 2 + 8 * owners.len();
        }
        let mut bytes = Vec::with_capacity(RECORD_HEAD + note_len + self.siblings.encoded_len());
        bytes.put_u8(RECORD_FORMAT);
        bytes.put_u64(0);
        let flags = [last.is_some(), *has_more, !owners.is_empty()];
        let flags = flags
            .iter()
            .rev()
            .fold(0, |flags, flag| flags << 1 | u8::from(*flag));
        bytes.put_u8(flags);
        if let Some(Dot { actor, counter }) = last {
            bytes.put_u64(actor.node.0);
            bytes.put_u64(actor.boot.0);
            bytes.put_u64(actor.serial);
            bytes.put_u32(*counter);
        }
        bytes.put_u8(requests.len() as u8);
        for request in requests {
            bytes.put_u128(request.0);
        }
        if !owners.is_empty() {
            bytes.put_u8(owners.len() as u8); // not more than a key has replicas
            for owner in owners {
                bytes.put_u64(owner.0);
            }
            bytes.put_u8(owed.code());
        }
        self.siblings.encode(&mut bytes);
        let sum = sum(at, &bytes[RECORD_HEAD..]);
        bytes[1..RECORD_HEAD].copy_from_slice(&sum.to_be_bytes());
        bytes.into()
    }

    /// The record that a store kept there. Values share the bytes.
    pub fn decode(at: &Address, bytes: Bytes) -> Result<Self, DecodeError> {
        let mut record = Self::default();
        record.read(at, bytes)?;
        Ok(record)
    }

    /// Becomes the record that a store kept there; anything, if it is damaged.
    pub(crate) fn read(&mut self, at: &Address, bytes: Bytes) -> Result<(), DecodeError> {
        let body = bytes
            .get(RECORD_HEAD..)
            .ok_or(DecodeError::Truncated("a record"))?;
        let expected = sum(at, body);
        let mut reader = Reader::new(&bytes);
        if reader.u8("a record")? != RECORD_FORMAT {
            return Err(DecodeError::Invalid("record format"));
        }
        if reader.u64("a record")? != expected {
            return Err(DecodeError::Invalid("record checksum"));
        }
        let what = "a note";
        let flags = reader.u8(what)?;
        let Self { siblings, note } = self;
        note.last = if flags & 1 == 0 {
            None
        } else {
            Some(Dot::decode(&mut reader)?)
        };
        note.has_more = flags & 2 != 0;
        let count = usize::from(reader.u8(what)?);
        if count > WINDOW || flags > 7 {
            return Err(DecodeError::Invalid(what));
        }
        note.requests.clear();
        for _ in 0..count {
            note.requests.push(RequestId(reader.u128(what)?));
        }
        note.owners.clear();
        note.owed = Durability::Memory;
        if flags & 4 != 0 {
            for _ in 0..reader.u8(what)? {
                note.owners.push(NodeId(reader.u64(what)?));
            }
            if note.owners.is_empty() || !note.owners.is_sorted_by(|one, next| one < next) {
                return Err(DecodeError::Invalid(what));
            }
            note.owed = Durability::from_code(reader.u8(what)?)?;
        }
        siblings.read(&mut reader)?;
        reader.finish()
    }
}

impl Dot {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a dot";
        let node = NodeId(reader.u64(what)?);
        let boot = Boot(reader.u64(what)?);
        let serial = reader.u64(what)?;
        let counter = reader.u32(what)?;
        Ok(Self {
            actor: Actor { node, boot, serial },
            counter,
        })
    }
}

fn sum(at: &Address, body: &[u8]) -> u64 {
    let named = xxh3_64_with_seed(&at.name, xxh3_64(body));
    xxh3_64_with_seed(&at.position.to_be_bytes(), named)
}
