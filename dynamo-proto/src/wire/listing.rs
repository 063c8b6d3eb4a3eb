//! Listings as bytes.
//!
//! ```text
//! listing  u8 scope | u16 most | address | u8 ends | if so: address
//! listed   u8 goes on | if so: address | u32 keys | each: u32 length | key
//! ```

use alloc::vec::Vec;

use bytes::BufMut;

use super::MessageError;
use super::parts::{decode_address, decode_end, encode_address, encode_end};
use crate::Key;
use crate::node::{Listed, Listing, MOST_LISTED, Scope};
use crate::reader::{DecodeError, Reader};
use crate::store::Span;

impl Listing {
    pub(super) fn encoded_len(&self) -> usize {
        let end = self.span.end().map_or(0, |end| 20 + end.name.len());
        24 + self.span.first().name.len() + end
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u8(match self.scope {
            Scope::Bucket => 0,
            Scope::Buckets => 1,
            Scope::All => 2,
        });
        out.put_u16(self.most);
        encode_address(self.span.first(), out);
        encode_end(self.span.end(), out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let scope = match reader.u8("a listing")? {
            0 => Scope::Bucket,
            1 => Scope::Buckets,
            2 => Scope::All,
            _ => return Err(DecodeError::Invalid("scope")),
        };
        let most = u16::from_be_bytes(reader.array("a listing")?);
        let first = decode_address(reader)?;
        let end = decode_end(reader)?;
        if end.as_ref().is_some_and(|end| *end < first) {
            return Err(DecodeError::Invalid("span"));
        }
        Ok(Self {
            scope,
            span: Span::new(first, end),
            most,
        })
    }
}

impl Listed {
    pub(super) fn encoded_len(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |rest| 20 + rest.name.len());
        let keys = self.keys.iter().map(|key| 4 + key.encoded().len());
        5 + rest + keys.sum::<usize>()
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        encode_end(self.rest.as_ref(), out);
        out.put_u32(self.keys.len() as u32); // at most MOST_LISTED
        for key in &self.keys {
            out.put_u32(key.encoded().len() as u32); // limits keep keys far shorter
            out.put_slice(key.encoded());
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let rest = decode_end(reader)?;
        let count = reader.count(4, "keys")?;
        if count > usize::from(MOST_LISTED) {
            return Err(DecodeError::Invalid("keys").into());
        }
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            let len = reader.count(1, "a key")?;
            keys.push(Key::decode(reader.bytes(len, "a key")?)?);
        }
        Ok(Self { keys, rest })
    }
}
