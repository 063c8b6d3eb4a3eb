//! One request of the cluster that a node belongs to.

use std::net::SocketAddr;

use dynamo_client::{Answer, Ask, Client, ConnectError, Failed, Found, Settings};
use dynamo_proto::Key;
use dynamo_proto::node::{Condition, Got, Mode, Operation, Options, Written};
use dynamo_proto::version::{Content, Context};

use crate::cli::{Delete, Get, Put, To};
use crate::error::Error;

/// Buckets have no types of their own yet.
pub(crate) const BUCKET_TYPE: &str = "default";

pub(crate) async fn get(get: &Get) -> Result<Got, Error> {
    match ask(&get.to, &get.key, Operation::read()).await? {
        Answer::Got(found) => got(found),
        Answer::Failed(failed) => Err(failed.into()),
        Answer::Put(_) | Answer::Listed(_) | Answer::Unknown => Err(Error::Confused),
    }
}

pub(crate) async fn put(put: &Put) -> Result<Written, Error> {
    let content = Content::plain(put.value.clone());
    let context = put.context.as_ref();
    write(&put.to, &put.key, context, Mode::Blind, content).await
}

/// A blind delete would leave all that is there beside it.
pub(crate) async fn delete(delete: &Delete) -> Result<Written, Error> {
    let (context, without) = (delete.context.as_ref(), Mode::Overwrite);
    let content = Content::Tombstone;
    write(&delete.to, &delete.key, context, without, content).await
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
        Answer::Put(written) => Ok(written),
        Answer::Failed(failed) => Err(failed.into()),
        Answer::Unknown => Err(Error::Unknown),
        Answer::Got(_) | Answer::Listed(_) => Err(Error::Confused),
    }
}

async fn ask(to: &To, key: &str, operation: Operation) -> Result<Answer, Error> {
    let settings = Settings::of(&to.cluster, [to.node.to_string()]);
    let key = Key::new(BUCKET_TYPE, &to.bucket, key, &settings.limits)?;
    let client = connect(to.node, settings).await?;
    let ask = Ask {
        key,
        operation,
        options: Options::default(),
        is_driven: false,
    };
    Ok(client.ask(ask).await)
}

/// A client by way of that node.
pub(crate) async fn connect(node: SocketAddr, settings: Settings) -> Result<Client, Error> {
    let client = Client::connect(settings).await;
    client.map_err(|error| match error {
        ConnectError::NotMet(trouble) => Error::meeting(node, trouble),
        ConnectError::Randomness(error) => Error::System(error.into()),
    })
}

/// What a read found that nodes coordinated.
pub(crate) fn got(found: Found) -> Result<Got, Error> {
    let sealed = found.contexts.into_iter().next();
    Ok(Got {
        siblings: found.siblings,
        context: Context {
            sealed: sealed.ok_or(Error::Confused)?,
            fastest: found.fastest,
        },
    })
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Node(failure) => Self::Failed(failure),
            failed => Self::NotDone(failed),
        }
    }
}
