//! What a scan shows at a time.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Address, Span};

/// How much a page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Most items.
    pub items: usize,
    /// The page ends with the item that reaches so many bytes of names and values.
    pub bytes: usize,
}

/// Some of a span, in the order of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What is there. At least one if anything is.
    pub items: Vec<Item>,
    /// Where the next page begins; nothing is left if `None`.
    pub rest: Option<Span>,
}

/// One thing that a scan came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Bytes, and where they are.
    Found {
        /// Where.
        at: Address,
        /// What is there.
        bytes: Bytes,
    },
    /// Something in here is damaged; the engine cannot tell more closely where. A span of one
    /// address if it can.
    Corrupt(Span),
}

/// The engine could not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store failed to scan")]
pub struct ScanFailed;

impl Page {
    /// Takes items, which come from the span in order, until the limit is reached; what follows is
    /// the rest.
    pub fn fill<E>(
        span: &Span,
        limit: Limit,
        items: impl IntoIterator<Item = Result<Item, E>>,
    ) -> Result<Self, E> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        for item in items {
            let item = item?;
            if !taken.is_empty() && (taken.len() >= limit.items || bytes >= limit.bytes) {
                return Ok(Self {
                    items: taken,
                    rest: Some(span.starting_at(item.first().clone())),
                });
            }
            bytes += item.len();
            taken.push(item);
        }
        Ok(Self {
            items: taken,
            rest: None,
        })
    }
}

impl Item {
    /// Where it is, or begins.
    #[must_use]
    pub fn first(&self) -> &Address {
        match self {
            Self::Found { at, .. } => at,
            Self::Corrupt(within) => within.first(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Found { at, bytes } => at.name.len() + bytes.len(),
            Self::Corrupt(_) => 0,
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            items: 256,
            bytes: 1 << 20,
        }
    }
}
