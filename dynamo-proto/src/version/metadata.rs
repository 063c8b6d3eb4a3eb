//! What a client says about a value, kept as the bytes in which it travels and is stored.
//!
//! Replicas carry metadata without looking inside; only the fronts read it. It is a run of fields,
//! each with a kind, a name (empty where the kind says it all) and a value, big-endian:
//!
//! ```text
//! u8 kind | u16 name length | u32 value length | name | value
//! ```
//!
//! Kinds that this version does not know are kept as they are: a newer front's fields survive an
//! older node.

use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};

/// The fields of one value, in the order in which they were written.
///
/// ```
/// use dynamo_proto::version::{FieldKind, Metadata};
///
/// let mut fields = Metadata::builder();
/// fields.push(FieldKind::CONTENT_TYPE, b"", b"text/plain")?;
/// fields.push(FieldKind::USER, b"origin", b"web")?;
/// let metadata = fields.build();
///
/// assert_eq!(metadata.first(FieldKind::CONTENT_TYPE), Some(&b"text/plain"[..]));
/// assert_eq!(metadata.fields().count(), 2);
/// assert_eq!(Metadata::decode(metadata.encoded().clone())?, metadata);
/// # Ok::<(), dynamo_proto::version::MetadataError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(Bytes);

/// Collects fields for a [`Metadata`].
#[derive(Debug, Default)]
pub struct MetadataBuilder(BytesMut);

/// What a field speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldKind(pub u8);

/// One field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// What it speaks of.
    pub kind: FieldKind,
    /// Its name, where a kind has several.
    pub name: &'a [u8],
    /// What it says.
    pub value: &'a [u8],
}

/// Why bytes are not metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A field ends beyond the last byte.
    #[error("truncated metadata field")]
    Truncated,
    /// A name of more than 65,535 bytes or a value of more than four gigabytes.
    #[error("a metadata field does not fit its length prefix")]
    TooLong,
}

impl FieldKind {
    /// The media type of the value.
    pub const CONTENT_TYPE: Self = Self(1);
    /// How the value is encoded, such as gzip.
    pub const CONTENT_ENCODING: Self = Self(2);
    /// The character set of the value.
    pub const CHARSET: Self = Self(3);
    /// A pair of the user's own.
    pub const USER: Self = Self(4);
    /// A link to another key: the name is its tag, the value a key's encoding.
    pub const LINK: Self = Self(5);
    /// An entry of a secondary index: the name is the index, the value the term.
    pub const INDEX: Self = Self(6);
}

impl Metadata {
    /// Nothing yet.
    #[must_use]
    pub fn builder() -> MetadataBuilder {
        MetadataBuilder::default()
    }

    /// The metadata whose [`encoded`](Self::encoded) form this is. Shares the bytes.
    pub fn decode(encoded: Bytes) -> Result<Self, MetadataError> {
        let mut rest = &encoded[..];
        while !rest.is_empty() {
            (_, rest) = split_field(rest).ok_or(MetadataError::Truncated)?;
        }
        Ok(Self(encoded))
    }

    /// The bytes in which it travels and is stored.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        &self.0
    }

    /// All fields, in the order in which they were written.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let mut rest = &self.0[..];
        core::iter::from_fn(move || {
            let (field, after) = split_field(rest)?;
            rest = after;
            Some(field)
        })
    }

    /// What the first field of that kind says.
    #[must_use]
    pub fn first(&self, kind: FieldKind) -> Option<&[u8]> {
        self.fields()
            .find(|field| field.kind == kind)
            .map(|field| field.value)
    }
}

impl MetadataBuilder {
    /// Adds a field after the others.
    pub fn push(
        &mut self,
        kind: FieldKind,
        name: &[u8],
        value: &[u8],
    ) -> Result<&mut Self, MetadataError> {
        let name_len = u16::try_from(name.len()).map_err(|_| MetadataError::TooLong)?;
        let value_len = u32::try_from(value.len()).map_err(|_| MetadataError::TooLong)?;
        self.0.put_u8(kind.0);
        self.0.put_u16(name_len);
        self.0.put_u32(value_len);
        self.0.put_slice(name);
        self.0.put_slice(value);
        Ok(self)
    }

    /// The metadata with the fields collected.
    #[must_use]
    pub fn build(self) -> Metadata {
        Metadata(self.0.freeze())
    }
}

fn split_field(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (name_len, rest) = rest.split_first_chunk()?;
    let (value_len, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u16::from_be_bytes(*name_len).into())?;
    let value_len = usize::try_from(u32::from_be_bytes(*value_len)).ok()?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((
        Field {
            kind: FieldKind(*kind),
            name,
            value,
        },
        rest,
    ))
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields()).finish()
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (self.name.escape_ascii(), self.value.escape_ascii());
        write!(f, "{}:{name}={value}", self.kind.0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn fields_of_unknown_kinds_survive() {
        let mut fields = Metadata::builder();
        fields.push(FieldKind(200), b"n", b"v").unwrap();
        fields.push(FieldKind::USER, b"", b"").unwrap();
        let metadata = fields.build();
        let again = Metadata::decode(metadata.encoded().clone()).unwrap();
        assert_eq!(again, metadata);
        let fields: Vec<_> = again.fields().collect();
        assert_eq!(
            fields[0],
            Field {
                kind: FieldKind(200),
                name: b"n",
                value: b"v"
            }
        );
        assert_eq!(
            fields[1],
            Field {
                kind: FieldKind::USER,
                name: b"",
                value: b""
            }
        );
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn a_field_cut_short_is_an_error() {
        let mut fields = Metadata::builder();
        fields.push(FieldKind::USER, b"name", b"value").unwrap();
        let whole = fields.build().encoded().clone();
        for cut in 1..whole.len() {
            assert_eq!(
                Metadata::decode(whole.slice(..cut)),
                Err(MetadataError::Truncated)
            );
        }
        assert!(Metadata::decode(Bytes::new()).is_ok());
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        let name = vec![b'n'; 65_536];
        let mut fields = Metadata::builder();
        assert_eq!(
            fields.push(FieldKind::USER, &name, b"").err(),
            Some(MetadataError::TooLong)
        );
        assert!(fields.push(FieldKind::USER, &name[1..], b"").is_ok());
    }
}
