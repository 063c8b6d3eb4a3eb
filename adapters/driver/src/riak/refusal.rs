//! Why something was not done, in the words that Riak's clients know.

use bytes::{Bytes, BytesMut};
use dynamo_proto::KeyError;
use dynamo_proto::node::{Demand, Failure, Found, Response};
use dynamo_proto::version::{MetadataError, MintError};

use super::exchange::Exchange;
use super::messages::{ERROR, Failed, write};
use super::pb::Undecodable;

/// An error to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// In the words that Protocol Buffers carry.
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// What other protocols have another word for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The text says all.
    Plain,
    /// The connection ends with it, as Riak's do where it did not expect that.
    Last,
    /// There is no bucket type of that name.
    NoType(String),
    /// A quorum of more than so many replicas.
    MoreThan(u8),
    Timeout,
    /// Of this number of replicas, this many must be there, and only so many are.
    TooFew(&'static str, u8, u8),
    /// So many nodes are to write it, and there is one.
    Alone,
    /// Counters of Riak 1.4 are only where siblings are kept.
    NoCounters,
    /// A bucket does not get this property, for this reason.
    Property(&'static str, &'static str),
}

impl Refusal {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::of_kind(Kind::Plain, text)
    }

    pub(crate) fn of_kind(kind: Kind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { text, kind }
    }

    pub(crate) fn is_last(&self) -> bool {
        self.kind == Kind::Last
    }

    pub(crate) fn write(self, out: &mut BytesMut) {
        let failed = Failed {
            errmsg: Bytes::from(self.text),
            errcode: 0,
        };
        write(ERROR, &failed, out);
    }

    /// What the node did not do, or may have done, of that exchange.
    pub(crate) fn of(response: &Response, exchange: &Exchange) -> Self {
        match response {
            Response::Failed(failure) => Self::failed(failure, exchange),
            Response::Unknown => Self::new("timeout"),
            Response::Got(_) | Response::Fetched(_) | Response::Put(_) | Response::Listed(_) => {
                Self::new("answered with something else")
            }
        }
    }

    fn failed(failure: &Failure, exchange: &Exchange) -> Self {
        let text = match *failure {
            Failure::Overloaded => "overload".into(),
            Failure::Expired => "timeout".into(),
            Failure::Invalid(Demand::Quorum { n, .. } | Demand::Replicas { n, .. }) => {
                return Self::more_than(n);
            }
            Failure::Refused(
                MintError::ValueTooLarge { len, .. }
                | MintError::MetadataTooLarge { len, .. }
                | MintError::RecordTooLarge { len, .. },
            ) => return Self::too_large(len),
            Failure::Refused(MintError::TooManySiblings { count, .. }) => {
                format!("{{too_many_siblings,{count}}}")
            }
            Failure::TooFew { need, got } => {
                let (what, need) = exchange.lacking(need, got);
                return Self::too_few(what, need, got);
            }
            Failure::Condition(Found::Value) => "match_found".into(),
            Failure::Condition(Found::Nothing) => "notfound".into(),
            Failure::Condition(Found::Change) => "modified".into(),
            _ => failure.to_string(),
        };
        Self::new(text)
    }

    /// A quorum of more than there are.
    pub(crate) fn more_than(n: u8) -> Self {
        Self::of_kind(Kind::MoreThan(n), format!("{{n_val_violation,{n}}}"))
    }

    pub(crate) fn too_few(what: &'static str, need: u8, got: u8) -> Self {
        let text = format!("{{{what}_val_unsatisfied,{need},{got}}}");
        Self::of_kind(Kind::TooFew(what, need, got), text)
    }

    pub(crate) fn alone(need: u8) -> Self {
        let text = format!("{{insufficient_vnodes,1,need,{need}}}");
        Self::of_kind(Kind::Alone, text)
    }

    pub(crate) fn too_large(len: usize) -> Self {
        Self::new(format!("{{too_large,{len}}}"))
    }

    pub(crate) fn timeout() -> Self {
        Self::of_kind(Kind::Timeout, "timeout")
    }

    /// There is no bucket type of that name, of which this is said.
    pub(crate) fn no_type(name: &[u8], text: impl Into<String>) -> Self {
        Self::of_kind(Kind::NoType(name.escape_ascii().to_string()), text)
    }

    pub(crate) fn no_such_type(name: &[u8]) -> Self {
        let text = format!("No bucket-type named '{}'", name.escape_ascii());
        Self::no_type(name, text)
    }

    pub(crate) fn unknown_code(code: u8) -> Self {
        Self::new(format!("Unknown message code: {code}"))
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::new(match error {
            KeyError::Empty(part) => {
                let part = match part {
                    dynamo_proto::KeyPart::BucketType => "Type",
                    dynamo_proto::KeyPart::Bucket => "Bucket",
                    dynamo_proto::KeyPart::Key => "Key",
                };
                format!("{part} cannot be zero-length")
            }
            error => error.to_string(),
        })
    }
}

impl From<MetadataError> for Refusal {
    fn from(error: MetadataError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<Undecodable> for Refusal {
    fn from(error: Undecodable) -> Self {
        Self::of_kind(Kind::Last, error.to_string())
    }
}
