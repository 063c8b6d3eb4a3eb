//! One request of one node of a demo.

use std::time::Duration;

use dynamo_proto::node::{Condition, Got, Mode, Operation, Options, Request, Response, Written};
use dynamo_proto::version::{Content, Context, RequestId};
use dynamo_proto::{Key, Limits};
use dynamo_tokio::{AskError, Client};

use crate::cli::{Delete, Get, Put, To};
use crate::demo::CLUSTER;
use crate::error::Error;

/// Buckets have no types of their own in a demo.
const BUCKET_TYPE: &str = "default";

const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn get(get: &Get) -> Result<Got, Error> {
    let answer = ask(&get.to, &get.key, Operation::Get { head: false }).await?;
    match answer.map_err(Error::Ask)? {
        Response::Got(got) => Ok(got),
        Response::Failed(failure) => Err(failure.into()),
        Response::Put(_) | Response::Unknown => Err(Error::Confused),
    }
}

pub(crate) async fn put(put: &Put) -> Result<Written, Error> {
    let content = Content::plain(put.value.clone());
    write(
        &put.to,
        &put.key,
        put.context.as_ref(),
        Mode::Blind,
        content,
    )
    .await
}

/// A blind delete would leave all that is there beside it.
pub(crate) async fn delete(delete: &Delete) -> Result<Written, Error> {
    let (context, without) = (delete.context.as_ref(), Mode::Overwrite);
    write(
        &delete.to,
        &delete.key,
        context,
        without,
        Content::Tombstone,
    )
    .await
}

async fn write(
    to: &To,
    key: &str,
    context: Option<&Context>,
    without_context: Mode,
    content: Content,
) -> Result<Written, Error> {
    let mode = context.map_or(without_context, |context| {
        Mode::Context([context.sealed.clone()].into_iter().collect())
    });
    let operation = Operation::Put {
        fastest: context.and_then(|context| context.fastest),
        mode,
        content,
        condition: Condition::None,
    };
    match ask(to, key, operation).await? {
        Ok(Response::Put(written)) => Ok(written),
        Ok(Response::Failed(failure)) => Err(failure.into()),
        Ok(Response::Unknown) => Err(Error::Unknown("too few replicas answered".into())),
        Ok(Response::Got(_)) => Err(Error::Confused),
        Err(unsent @ AskError::Unsent(_)) => Err(Error::Ask(unsent)),
        Err(error) => Err(Error::Unknown(error.to_string())),
    }
}

async fn ask(
    to: &To,
    key: &str,
    operation: Operation,
) -> Result<Result<Response, AskError>, Error> {
    let limits = Limits::default();
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(std::io::Error::from)?;
    let request = Request {
        id: RequestId(u128::from_be_bytes(id)),
        is_retry: false,
        key: Key::new(BUCKET_TYPE, &to.bucket, key, &limits)?,
        operation,
        options: Options::default(),
    };
    let client = Client::connect(to.node, CLUSTER, limits).await;
    let mut client = client.map_err(|lost| Error::connecting(to.node, lost))?;
    Ok(client.ask(request, PATIENCE).await)
}
