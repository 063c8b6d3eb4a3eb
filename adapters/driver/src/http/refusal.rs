//! Why a request is not done, as a status and a line of text.

use dynamo_proto::KeyError;
use dynamo_proto::node::{Failure, Found, Response};
use dynamo_proto::version::MintError;

/// Why a request is refused before the node is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
}

impl Refusal {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Key(_) | Self::NoCommand => 400,
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

impl From<httparse::Error> for Refusal {
    fn from(error: httparse::Error) -> Self {
        Self::NoHttp(error)
    }
}

/// The status and text for what the node did not do, or may have done.
pub(super) fn not_done(response: &Response) -> (u16, String) {
    match response {
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
        Failure::Refused(MintError::ValueTooLarge { .. } | MintError::MetadataTooLarge { .. }) => {
            413
        }
        Failure::Refused(MintError::TooManySiblings { .. } | MintError::TooManyActors { .. }) => {
            409
        }
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
