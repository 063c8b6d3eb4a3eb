//! The name of what a node knows of its cluster.

use core::fmt;

use bytes::BufMut;

use crate::reader::{DecodeError, Reader};

/// How much is known, and a digest of all of it.
///
/// A node's epochs only ever become higher. Two of one height are the same, or belong to branches
/// of which neither is newer.
///
/// ```
/// use dynamo_proto::membership::Epoch;
/// assert!(Epoch::default().is_nothing());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// How many commits there are, the birth included.
    pub height: u32,
    /// The digest of those that no other follows, and so of all.
    pub digest: u64,
}

/// An epoch in eight bytes, in the head of every request: its height and half of its digest. Nothing
/// for a client, which goes by none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShortEpoch(pub u64);

impl ShortEpoch {
    /// How many commits there are, the birth included.
    #[must_use]
    pub fn height(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl Epoch {
    /// Bytes of an epoch on the wire.
    pub const BYTES: usize = 12;

    /// Whether this is the epoch of a newcomer that has not heard of any cluster.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self.height == 0
    }

    /// What requests say of it.
    #[must_use]
    pub fn short(self) -> ShortEpoch {
        ShortEpoch(u64::from(self.height) << 32 | self.digest >> 32)
    }

    pub(crate) fn encode(self, out: &mut impl BufMut) {
        out.put_u32(self.height);
        out.put_u64(self.digest);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            height: reader.u32("an epoch")?,
            digest: reader.u64("an epoch")?,
        })
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.height, self.digest >> 32)
    }
}
