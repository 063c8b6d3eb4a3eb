//! A request that the node is asked about, in one step or several.

use bytes::Bytes;
use dynamo_proto::Key;
use dynamo_proto::node::{Failure, Operation, Options, Response};

use super::data::{self, Change, Fetch};
use super::listing::List;
use super::messages;
use super::place::ways;
use super::refusal::Refusal;
use super::values::{Delete, Get, Put};
use super::ways::{MoreThan, Ways};
use super::wishes::Wishes;
use crate::front::{Ask, Desk, Ticket};

/// Requests of a connection are asked one at a time.
const TICKET: Ticket = Ticket(0);

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) key: Key,
    pub(crate) ways: Ways,
    pub(crate) options: Options,
    pub(crate) job: Job,
}

/// What it is about.
#[derive(Debug)]
pub(crate) enum Job {
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
pub(crate) enum Next {
    /// The client is told this, and that is all.
    Say(Said),
    Ask(Operation),
    /// The client is told this, and there is more.
    Tell(Said, Operation),
}

/// What a client is told, in whatever protocol it speaks.
#[derive(Debug)]
pub(crate) enum Said {
    Got(messages::Got),
    Put {
        done: messages::DonePut,
        /// The context of what was written, if the node told it and nothing stands beside.
        context: Option<Bytes>,
    },
    Deleted {
        was_there: bool,
    },
    Fetched(messages::Data),
    Changed(messages::DataUpdated),
    Count(messages::Counter),
    Counted(messages::Counter),
    Keys(messages::Listed),
    Buckets(messages::Listed),
}

/// Why a request comes to nothing.
#[derive(Debug)]
pub(crate) enum Undone {
    Refused(Refusal),
    /// The node did not do it, or may have done it.
    Failed(Box<Response>),
}

impl Exchange {
    /// A request on a key.
    pub(crate) fn new(
        key: Key,
        wishes: &Wishes,
        job: Job,
        desk: &Desk<'_>,
    ) -> Result<Box<Self>, Refusal> {
        let no_type = || Refusal::no_type(key.bucket_type(), "no_type");
        let ways = ways(&key, desk).ok_or_else(no_type)?;
        let options = ways.options(wishes);
        let options = options.map_err(|MoreThan(n)| Refusal::more_than(n))?;
        if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Refusal::timeout());
        }
        Ok(Box::new(Self {
            key,
            ways,
            options,
            job,
        }))
    }

    /// Asks the node for the next step.
    pub(crate) fn ask(&self, operation: Operation, desk: &mut Desk<'_>) {
        let is_read = matches!(self.job, Job::Get(_) | Job::List(_));
        desk.asks.push(Ask {
            ticket: TICKET,
            key: self.key.clone(),
            operation,
            options: self.options,
            leads_to_write: !is_read,
        });
    }

    /// What the node is asked first.
    pub(crate) fn first(&mut self) -> Operation {
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

    pub(crate) fn answered(&mut self, response: Response) -> Result<Next, Undone> {
        let (key, ways) = (self.key.key(), &self.ways);
        Ok(match (&mut self.job, response) {
            (Job::Get(get), Response::Got(got)) => Next::Say(get.answer(&got, ways)),
            (Job::Put(put), Response::Put(written)) => put.written(key, written.context),
            (Job::Put(put), Response::Got(got)) => Next::Say(put.answer(key, &got, ways)),
            (Job::Delete(delete), Response::Got(got)) => delete.looked(&got),
            (Job::Delete(_), Response::Put(_)) => Next::Say(Said::Deleted { was_there: true }),
            (Job::List(list), Response::Listed(page)) => list.page(page)?,
            (Job::Fetch(fetch), Response::Got(got)) => Next::Say(fetch.answer(&got)),
            (Job::GetCount, Response::Got(got)) => Next::Say(data::told(&got)),
            (Job::Change(change) | Job::Count(change), Response::Got(got)) => {
                change.read(key, &got)?
            }
            (Job::Change(change) | Job::Count(change), Response::Put(_)) => change.done(key),
            // Enough have answered, and not enough that know the key: Riak calls that not found. Here
            // whatever is known is looked at once more.
            (
                Job::Get(_) | Job::Fetch(_) | Job::GetCount,
                Response::Failed(Failure::TooFew { need, got }),
            ) if got >= need && self.options.absent_counts == Some(false) => {
                self.options.absent_counts = Some(true);
                Next::Ask(self.first())
            }
            (_, response) => return Err(Undone::Failed(Box::new(response))),
        })
    }
}

impl From<Refusal> for Undone {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(crate) fn read(head: bool) -> Operation {
    let seen = Vec::new();
    Operation::Get { head, seen }
}
