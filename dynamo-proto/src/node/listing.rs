//! What a listing asks for, and what it is told.

use alloc::vec::Vec;

use crate::Key;
use crate::store::{Address, Span};

/// A page of the keys that have values, in the order of their tokens.
///
/// It shows what a quorum of the nodes on duty for each token has just then, which is no moment's
/// picture: what is there all along is shown once, what comes or goes meanwhile may be shown or not,
/// and so may what some replicas do not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which keys.
    pub scope: Scope,
    /// Where: positions are tokens. What is left of it comes with the answer.
    pub span: Span,
    /// Most keys in the answer, which never has more than [`MOST_LISTED`]. It may have fewer, or
    /// none, though there are more: a node does only so much for one request.
    pub most: u16,
}

/// Which keys are listed, beginning with the one that the request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of its bucket.
    Bucket,
    /// One of each bucket of its bucket type: the first of each in a page.
    Buckets,
    /// All, of whatever bucket.
    All,
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The keys, in the order of their tokens.
    pub keys: Vec<Key>,
    /// Where the next page begins; nothing is left if `None`.
    pub rest: Option<Address>,
}

/// Most keys in one page.
pub const MOST_LISTED: u16 = 256;

impl Scope {
    /// What the names of such keys begin with, in the form in which they are stored.
    pub(crate) fn prefix(self, key: &Key) -> &[u8] {
        let (kind, bucket) = (key.bucket_type().len(), key.bucket().len());
        let len = match self {
            Self::Bucket => 4 + kind + bucket,
            Self::Buckets => 2 + kind,
            Self::All => 0,
        };
        &key.encoded()[..len]
    }

    /// Whether a page that shows the one need not show the other.
    pub(crate) fn is_shown_by(self, key: &Key, shown: &Key) -> bool {
        match self {
            Self::Bucket | Self::All => key == shown,
            Self::Buckets => key.bucket() == shown.bucket(),
        }
    }
}
