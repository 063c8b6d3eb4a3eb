//! What became of requests, as answers.

use bytes::Bytes;
use dynamo_proto::KeyError;
use dynamo_proto::node::{Failure, Got, Response, Written};
use dynamo_proto::version::{Content, Context, Sibling};

use super::data;
use super::reply::Reply;

/// The error for a request that was not done, or of which that is not known.
pub(super) fn not_done(response: &Response) -> Reply {
    Reply::error(match response {
        Response::Failed(failure) => format!("{} {failure}", word(failure)),
        Response::Unknown => {
            "UNKNOWN too few replicas answered: the write may have been done, or may yet be".into()
        }
        Response::Got(_) | Response::Put(_) | Response::Fetched(_) | Response::Listed(_) => {
            "ERR answered with something else".into()
        }
    })
}

/// What programs tell failures apart by.
fn word(failure: &Failure) -> &'static str {
    match failure {
        Failure::Overloaded => "OVERLOADED",
        Failure::Expired => "TIMEOUT",
        Failure::TooFew { .. } | Failure::NoCoordinator => "NOREPLICAS",
        Failure::NotServing | Failure::OtherRing => "NOTSERVING",
        Failure::Stale => "STALE",
        Failure::Full | Failure::HintsFull => "FULL",
        Failure::Context(_) => "BADCONTEXT",
        Failure::Invalid(_)
        | Failure::KeyTooLong { .. }
        | Failure::Refused(_)
        | Failure::Condition(_) => "ERR",
    }
}

pub(super) fn bad_key(error: KeyError) -> Reply {
    Reply::error(format!("ERR {error}"))
}

/// The one value of a key, none if it has none, an error if there are several: plain commands
/// cannot say which they mean.
pub(super) fn only_value(got: &Got) -> Result<Option<Bytes>, Reply> {
    if let [Sibling { value, .. }] = got.siblings.values()
        && let Content::Data(data) = &value.content
    {
        return data::plain_value(&data.view());
    }
    let mut values = got.siblings.answers().filter_map(body);
    let value = values.next();
    match values.count() {
        0 => Ok(value.cloned()),
        others => Err(Reply::error(format!(
            "SIBLINGS the key has {} concurrent values: DYNAMO.GET shows them, and DYNAMO.PUT with \
             its context settles them",
            others + 1
        ))),
    }
}

fn body(sibling: &Sibling) -> Option<&Bytes> {
    sibling.value.content.body()
}

/// What `DYNAMO.GET` answers.
pub(super) fn context_and_values(got: &Got) -> Reply {
    let values = match got.siblings.is_deleted() {
        true => Vec::new(),
        false => got
            .siblings
            .answers()
            .map(|sibling| match &sibling.value.content {
                Content::Live { body, .. } => Reply::Bulk(body.clone()),
                Content::Data(data) => data::rendered(&data.view()),
                Content::Tombstone => Reply::Nil,
            })
            .collect(),
    };
    Reply::Array(vec![
        Reply::Bulk(got.context.encode()),
        Reply::Array(values),
    ])
}

/// What `DYNAMO.PUT` and `DYNAMO.DEL` answer.
pub(super) fn new_context(written: Written) -> Reply {
    written.context.map_or(Reply::Nil, |sealed| {
        let fastest = None;
        Reply::Bulk(Context { sealed, fastest }.encode())
    })
}
