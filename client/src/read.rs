//! What a read found: all of it, so that no sibling is overlooked.

use bytes::Bytes;
use dynamo_proto::NodeId;
use dynamo_proto::version::{Content, Context, Data, Siblings};
use smallvec::SmallVec;

use crate::machine::Found;

/// What a read found. There is no way to take one of several values by accident: whoever wants one
/// says what is to become of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read(Found);

/// The values that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "there may be several values"]
pub enum Value<T = Bytes> {
    /// None: nothing was ever written, or it is deleted.
    None,
    /// One.
    One(T),
    /// Several, that were written side by side. Whoever writes over this read supersedes them all.
    Siblings(Vec<T>),
}

/// There are several values where one was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} values were written side by side: merge them")]
pub struct Conflict(pub usize);

/// What a reader or a writer has seen of a key, sealed by the cluster: what a write supersedes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub(crate) contexts: SmallVec<[Bytes; 1]>,
    pub(crate) fastest: Option<NodeId>,
}

/// What a write supersedes. There is no default: each of them loses something that the others keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// What was seen, and nothing else: what others write at the same time stays beside it.
    Seen(Seen),
    /// Nothing: it is put beside all that is there.
    Blind,
    /// All that a read finds just before, whatever it is: what others wrote is lost unseen.
    Overwrite,
}

impl Read {
    pub(crate) fn new(found: Found) -> Self {
        Self(found)
    }

    /// The values, by copies that share their bytes.
    pub fn value(&self) -> Value {
        let bodies = self.0.siblings.answers();
        let mut bodies: Vec<_> = bodies
            .filter_map(|sibling| sibling.value.content.body().cloned())
            .collect();
        match bodies.len() {
            0 => Value::None,
            1 => Value::One(bodies.remove(0)),
            _ => Value::Siblings(bodies),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.0.siblings.is_deleted()
    }

    /// What the key holds, if it is of a data type.
    #[must_use]
    pub fn data(&self) -> Option<&Data> {
        let mut contents = self.0.siblings.answers().map(|it| &it.value.content);
        contents.find_map(|content| match content {
            Content::Data(data) => Some(data),
            Content::Live { .. } | Content::Tombstone => None,
        })
    }

    /// What was seen, for the write that follows.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            contexts: self.0.contexts.iter().cloned().collect(),
            fastest: self.0.fastest,
        }
    }

    /// All that is known: metadata, stamps, tombstones.
    #[must_use]
    pub fn siblings(&self) -> &Siblings {
        &self.0.siblings
    }
}

impl<T> Value<T> {
    /// The one value, or an error if there are several.
    pub fn one(self) -> Result<Option<T>, Conflict> {
        match self {
            Self::None => Ok(None),
            Self::One(value) => Ok(Some(value)),
            Self::Siblings(values) => Err(Conflict(values.len())),
        }
    }

    /// All of them; more than one if they were written side by side.
    #[must_use]
    pub fn all(self) -> Vec<T> {
        match self {
            Self::None => Vec::new(),
            Self::One(value) => vec![value],
            Self::Siblings(values) => values,
        }
    }

    /// One value made of all of them.
    pub fn merge(self, merge: impl FnOnce(Vec<T>) -> T) -> Option<T> {
        match self {
            Self::None => None,
            Self::One(value) => Some(value),
            Self::Siblings(values) => Some(merge(values)),
        }
    }
}

impl Seen {
    /// As one run of bytes, to be carried through a form or a cookie; nothing if this client asked
    /// the replicas itself and so holds several.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        let [sealed] = &self.contexts[..] else {
            return None;
        };
        Some(Context {
            sealed: sealed.clone(),
            fastest: self.fastest,
        })
    }
}

impl From<Context> for Seen {
    fn from(Context { sealed, fastest }: Context) -> Self {
        Self {
            contexts: [sealed].into_iter().collect(),
            fastest,
        }
    }
}

impl From<Seen> for Over {
    fn from(seen: Seen) -> Self {
        Self::Seen(seen)
    }
}

impl From<&Read> for Over {
    fn from(read: &Read) -> Self {
        Self::Seen(read.seen())
    }
}
