//! A request that the node is asked about, in one step or several.

use bytes::BytesMut;
use dynamo_proto::Key;
use dynamo_proto::node::{Failure, Operation, Options, Response};

use super::data::{self, Change, Fetch};
use super::listing::List;
use super::messages::{DELETED, write_empty};
use super::refusal::Refusal;
use super::values::{Delete, Get, Put};
use super::ways::Ways;

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) key: Key,
    pub(super) ways: Ways,
    pub(super) options: Options,
    pub(super) job: Job,
}

/// What it is about.
#[derive(Debug)]
pub(super) enum Job {
    Get(Get),
    Put(Put),
    Delete(Delete),
    Fetch(Fetch),
    Change(Change),
    /// An old counter, which is not of a bucket type of its own to its clients.
    GetCount,
    Count(Change),
    List(List),
}

/// What follows from an answer of the node.
pub(super) enum Next {
    /// The client is answered.
    Done,
    Ask(Operation),
}

impl Exchange {
    /// What the node is asked first.
    pub(super) fn first(&mut self) -> Operation {
        let ways = &self.ways;
        match &mut self.job {
            Job::Get(get) => get.first(),
            Job::Put(put) => put.first(ways),
            Job::Delete(delete) => delete.first(ways),
            Job::Fetch(_) | Job::GetCount => read(false),
            Job::Change(change) | Job::Count(change) => change.first(),
            Job::List(list) => list.next(),
        }
    }

    pub(super) fn answered(
        &mut self,
        response: Response,
        out: &mut BytesMut,
    ) -> Result<Next, Refusal> {
        let (key, ways) = (self.key.key(), &self.ways);
        match (&mut self.job, response) {
            (Job::Get(get), Response::Got(got)) => get.answer(&got, ways, out),
            (Job::Put(put), Response::Put(_)) => return Ok(put.written(key, out)),
            (Job::Put(put), Response::Got(got)) => put.answer(key, &got, ways, out),
            (Job::Delete(delete), Response::Got(got)) => return Ok(delete.looked(&got, out)),
            (Job::Delete(_), Response::Put(_)) => write_empty(DELETED, out),
            (Job::List(list), Response::Listed(page)) => return list.page(page, out),
            (Job::Fetch(fetch), Response::Got(got)) => fetch.answer(&got, out),
            (Job::GetCount, Response::Got(got)) => data::answer_count(&got, out),
            (Job::Change(change) | Job::Count(change), Response::Got(got)) => {
                return change.read(key, &got, out);
            }
            (Job::Change(change), Response::Put(_)) => return Ok(change.done(false, key, out)),
            (Job::Count(change), Response::Put(_)) => return Ok(change.done(true, key, out)),
            // Enough have answered, and not enough that know the key: Riak calls that not found. Here
            // whatever is known is looked at once more.
            (
                Job::Get(_) | Job::Fetch(_) | Job::GetCount,
                Response::Failed(Failure::TooFew { need, got }),
            ) if got >= need && self.options.absent_counts == Some(false) => {
                self.options.absent_counts = Some(true);
                return Ok(Next::Ask(self.first()));
            }
            (_, response) => return Err(Refusal::of(&response, &self.options)),
        }
        Ok(Next::Done)
    }
}

pub(super) fn read(head: bool) -> Operation {
    let seen = Vec::new();
    Operation::Get { head, seen }
}
