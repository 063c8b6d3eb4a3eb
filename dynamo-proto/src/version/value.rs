//! What a write leaves at a replica: a value or a tombstone, with what is known about it.

use bytes::Bytes;

use super::{Data, Dot, Metadata, Tag};
use crate::WallTime;

/// One write of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What it says.
    pub content: Content,
    /// The client's request that it came from.
    pub request: RequestId,
    /// When its coordinator believed it to be. Last-write-wins goes by this; people see it as the
    /// time of last modification.
    pub stamp: WallTime,
}

/// What a write says of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The key has this value.
    Live {
        /// What the client says about the value.
        metadata: Metadata,
        /// The value.
        body: Bytes,
    },
    /// The key is a counter, a set, or another type that merges by itself, and holds this.
    Data(Data),
    /// The key is deleted.
    Tombstone,
}

/// Names one request of one client, the same on every retry. Reads show the writes of one request
/// once; merging never looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

/// A value or tombstone and the dot that it was minted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// Which write it was.
    pub dot: Dot,
    /// What that write left.
    pub value: Value,
}

impl Content {
    /// A value about which nothing is said.
    #[must_use]
    pub fn plain(body: impl Into<Bytes>) -> Self {
        Self::Live {
            metadata: Metadata::default(),
            body: body.into(),
        }
    }

    /// The value, unless deleted or of a data type.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        match self {
            Self::Live { body, .. } => Some(body),
            Self::Data(_) | Self::Tombstone => None,
        }
    }

    /// The data, if it is of a data type.
    pub(crate) fn data(&self) -> Option<&Data> {
        match self {
            Self::Data(data) => Some(data),
            Self::Live { .. } | Self::Tombstone => None,
        }
    }

    /// Whether this is a delete.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        matches!(self, Self::Tombstone)
    }
}

impl Sibling {
    /// The write's short name.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.dot.tag()
    }
}
