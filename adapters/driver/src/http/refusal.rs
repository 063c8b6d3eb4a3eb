//! Why a request is not done, as a status and a line of text.

use dynamo_proto::KeyError;
use dynamo_proto::node::{Failure, Found, Response};
use dynamo_proto::version::MintError;

use crate::riak::exchange::Exchange;
use crate::riak::refusal::{self as riak, Kind};

/// Why a request is refused before the node is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Malformed(&'static str),
    #[error("this is no HTTP request: {0}")]
    NoHttp(httparse::Error),
    #[error("the head of the request is too long")]
    HeadTooLong,
    #[error("the body is over the limit for values")]
    BodyTooLong,
    #[error("a transfer encoding other than chunked is not supported")]
    UnknownEncoding,
    #[error("an expectation other than 100-continue is not supported")]
    UnknownExpectation,
    #[error("the methods are GET, HEAD, PUT, POST and DELETE")]
    UnknownMethod,
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("not found")]
    Nothing,
    #[error("only {0}")]
    Method(&'static str),
    #[error("commands for the cluster are sent as Content-Type: application/json")]
    NoJson,
    #[error("this is no command for the cluster: docs/http.md names them")]
    NoCommand,
    #[error("a precondition does not hold")]
    Precondition,
    #[error(
        "{0} query parameter must be an integer or one of the following words: 'one', 'quorum' or 'all'"
    )]
    Quorum(&'static str),
    #[error("{0} query parameter must be true or false")]
    Truth(&'static str),
    #[error("timeout query parameter must be an integer greater than 0")]
    Timeout,
    #[error("Unknown bucket type: {0}")]
    NoType(String),
    #[error("Specified w/dw/pw/node_confirms values invalid for bucket n value of {0}")]
    MoreThan(u8),
    #[error("request timed out")]
    TimedOut,
    #[error("{0}-value unsatisfied: {2}/{1}")]
    TooFew(String, u8, u8),
    #[error("{0}")]
    Alone(String),
    /// Counters of Riak 1.4 are not in every bucket.
    #[error("{0}")]
    NoCounters(String),
    /// JSON, as Riak answers what is wrong with properties.
    #[error("{0}")]
    Props(String),
    #[error("properties are an object of JSON: {{\"props\":{{...}}}}")]
    NoProps,
    #[error("Bucket datatype '{0}' is not a supported type.")]
    NoData(&'static str),
    #[error("updates of data are sent as Content-Type: application/json")]
    NoUpdate,
    #[error("{{error,{{indexes_not_supported,dynamo}}}}")]
    NoIndexes,
    #[error("{0}")]
    Riak(String),
}

impl Refusal {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Key(_) | Self::NoCommand => 400,
            Self::Quorum(_) | Self::Truth(_) | Self::Timeout | Self::MoreThan(_) => 400,
            Self::Props(_) | Self::NoProps | Self::Riak(_) => 400,
            Self::NoData(_) => 403,
            Self::NoType(_) => 404,
            Self::NoUpdate => 406,
            Self::NoCounters(_) => 409,
            Self::NoIndexes => 500,
            Self::TimedOut | Self::TooFew(..) | Self::Alone(_) => 503,
            Self::NoJson => 415,
            Self::NoHttp(httparse::Error::Version) => 505,
            Self::NoHttp(httparse::Error::TooManyHeaders) | Self::HeadTooLong => 431,
            Self::NoHttp(_) => 400,
            Self::BodyTooLong => 413,
            Self::UnknownEncoding | Self::UnknownMethod => 501,
            Self::UnknownExpectation => 417,
            Self::Nothing => 404,
            Self::Method(_) => 405,
            Self::Precondition => 412,
        }
    }
}

impl From<riak::Refusal> for Refusal {
    fn from(refusal: riak::Refusal) -> Self {
        let riak::Refusal { text, kind } = refusal;
        match kind {
            Kind::Plain | Kind::Last => Self::Riak(text),
            Kind::NoType(name) => Self::NoType(name),
            Kind::MoreThan(n) => Self::MoreThan(n),
            Kind::Timeout => Self::TimedOut,
            Kind::TooFew(what, need, got) => Self::TooFew(what.to_ascii_uppercase(), need, got),
            Kind::Alone => Self::Alone(text),
            Kind::NoCounters => Self::NoCounters(text),
            Kind::Property(name, why) => Self::Props(format!("{{\"{name}\":\"{why}\"}}")),
        }
    }
}

impl From<httparse::Error> for Refusal {
    fn from(error: httparse::Error) -> Self {
        Self::NoHttp(error)
    }
}

/// The status and text for what the node did not do, or may have done, of that exchange.
pub(super) fn not_done(response: &Response, exchange: &Exchange) -> (u16, String) {
    match response {
        Response::Failed(Failure::TooFew { need, got }) => {
            let (what, need) = exchange.lacking(*need, *got);
            let refusal = Refusal::TooFew(what.to_ascii_uppercase(), need, *got);
            (refusal.status(), refusal.to_string())
        }
        Response::Failed(Failure::Expired) => (503, "request timed out".into()),
        Response::Failed(failure) => (status(failure), failure.to_string()),
        Response::Unknown => (
            504,
            "unknown: too few replicas answered; a write may have been done, or may yet be".into(),
        ),
        Response::Got(_) | Response::Put(_) | Response::Fetched(_) | Response::Listed(_) => {
            (500, "answered with something else".into())
        }
    }
}

fn status(failure: &Failure) -> u16 {
    match failure {
        Failure::Invalid(_) | Failure::KeyTooLong { .. } | Failure::Context(_) => 400,
        Failure::Condition(Found::Value) => 412,
        Failure::Condition(Found::Nothing | Found::Change) => 409,
        Failure::Refused(
            MintError::Unfit { .. }
            | MintError::Plain
            | MintError::Overflow
            | MintError::ElementTooLong { .. },
        ) => 400,
        Failure::Refused(MintError::ValueTooLarge { .. } | MintError::MetadataTooLarge { .. }) => {
            413
        }
        Failure::Refused(
            MintError::TooManySiblings { .. }
            | MintError::TooManyActors { .. }
            | MintError::RecordTooLarge { .. },
        ) => 409,
        Failure::Full => 507,
        Failure::Refused(_)
        | Failure::Overloaded
        | Failure::Expired
        | Failure::TooFew { .. }
        | Failure::HintsFull
        | Failure::NoCoordinator
        | Failure::Stale
        | Failure::OtherRing
        | Failure::NotServing => 503,
    }
}
