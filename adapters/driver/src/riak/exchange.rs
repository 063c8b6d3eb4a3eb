//! A request that the node is asked about, in one step or several.

use bytes::Bytes;
use dynamo_proto::node::{Condition, Failure, Operation, Options, Response, Written};
use dynamo_proto::{Instant, Key};

use super::data::{self, Change, Fetch};
use super::listing::List;
use super::messages::{self, Listed};
use super::place::{counter_of, is_alone, on_duty_and_there, ways};
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
    /// When the client's own time is over, if it said one.
    deadline: Option<Instant>,
    /// Whether something is done, which no error may deny.
    is_written: bool,
    /// What is asked after it: a counter of Riak 1.4 is kept apart, and to clients is one of the
    /// values of its bucket.
    of_counters: Option<Box<Self>>,
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
    Keys(Listed),
    Buckets(Listed),
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
        let mut options = options.map_err(|MoreThan(n)| Refusal::more_than(n))?;
        if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Refusal::timeout());
        }
        if let Job::List(_) = job {
            // Fewer replicas than there are would be asked for all keys, and may not have them.
            (options.n, options.r, options.pr) = (None, None, None);
        }
        let there = on_duty_and_there(&key, options.n.unwrap_or(ways.n), desk);
        if is_alone(desk) {
            job.check_alone(&options, there)?;
        }
        if job.goes_over_what_is_there(&ways) {
            // Whoever asks for few copies of a write asks for no more to be read for it; nor must the
            // write fail for a read that nobody asked for.
            options.r = options.r.min(options.w).min(Some(there.max(1)));
            options.pr = Some(0);
        }
        let of_counters = match (&job, counter_of(&key, &ways, desk)) {
            (Job::Delete(_), Some(counter)) => {
                let delete = Delete::new(None, Condition::None);
                Some(Self::new(counter, wishes, Job::Delete(delete), desk)?)
            }
            (Job::List(list), Some(counter)) if list.is_of_keys() => {
                Some(Self::new(counter, wishes, Job::List(List::keys()), desk)?)
            }
            _ => None,
        };
        let deadline = options.timeout.map(|timeout| desk.now.mono + timeout);
        Ok(Box::new(Self {
            key,
            ways,
            options,
            job,
            deadline,
            is_written: false,
            of_counters,
        }))
    }

    /// Asks the node for the next step. All steps have the client's time together.
    pub(crate) fn ask(&self, operation: Operation, desk: &mut Desk<'_>) {
        let is_read = matches!(self.job, Job::Get(_) | Job::List(_));
        let timeout = self.deadline;
        let timeout = timeout.map(|deadline| deadline.since(desk.now.mono));
        desk.asks.push(Ask {
            ticket: TICKET,
            key: self.key.clone(),
            operation,
            options: Options {
                timeout,
                ..self.options
            },
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

    pub(crate) fn answered(&mut self, response: Response, now: Instant) -> Result<Next, Undone> {
        let response = match response {
            Response::Failed(_) if self.is_written => Response::Unknown,
            Response::Failed(Failure::TooFew { .. })
                if self.deadline.is_some_and(|deadline| now >= deadline) =>
            {
                Response::Failed(Failure::Expired)
            }
            response => response,
        };
        let next = self.step(response)?;
        Ok(match (next, self.of_counters.take()) {
            (Next::Say(said), Some(of_counters)) => self.go_on(said, *of_counters),
            (Next::Say(Said::Deleted { .. }), None) => Next::Say(Said::Deleted {
                was_there: self.is_written,
            }),
            (next, of_counters) => {
                self.of_counters = of_counters;
                next
            }
        })
    }

    /// What was asked is over; now for the counters.
    fn go_on(&mut self, said: Said, of_counters: Self) -> Next {
        *self = Self {
            is_written: self.is_written,
            ..of_counters
        };
        let operation = self.first();
        match said {
            Said::Keys(listed) if !listed.names.is_empty() => {
                let done = None;
                Next::Tell(Said::Keys(Listed { done, ..listed }), operation)
            }
            _ => Next::Ask(operation),
        }
    }

    fn step(&mut self, response: Response) -> Result<Next, Undone> {
        let (key, ways) = (self.key.key(), &self.ways);
        if let Response::Put(_) = &response {
            self.is_written = true;
            // What is read after that has seen it, whoever has it.
            (self.options.r, self.options.pr) = (Some(1), Some(0));
        }
        Ok(match (&mut self.job, response) {
            (Job::Get(get), Response::Got(got)) => Next::Say(get.answer(&got, ways)),
            (Job::Put(put), Response::Put(written)) => put.written(key, written),
            // Some are there and have nothing sound: what its coordinator has is gone over, as in Riak.
            (job, Response::Failed(Failure::TooFew { .. }))
                if job.goes_over_what_is_there(ways) && self.options.r > Some(1) =>
            {
                self.options.r = Some(1);
                Next::Ask(self.first())
            }
            (Job::Put(put), Response::Got(got)) => Next::Say(put.answer(key, &got, ways)),
            (Job::Delete(delete), Response::Got(got)) => delete.looked(&got),
            (Job::Delete(_), Response::Put(_)) => Next::Say(Said::Deleted { was_there: true }),
            (Job::List(list), Response::Listed(page)) => list.page(page)?,
            (Job::Fetch(fetch), Response::Got(got)) => Next::Say(fetch.answer(&got)),
            (Job::GetCount, Response::Got(got)) => Next::Say(data::told(&got)),
            (Job::Change(change) | Job::Count(change), Response::Got(got)) => {
                change.read(key, &got)?
            }
            (Job::Change(change) | Job::Count(change), Response::Put(written)) => {
                change.done(key, written)
            }
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

    /// Which number of replicas there must be was not reached when so many answered, and what it is.
    pub(crate) fn lacking(&self, need: u8, got: u8) -> (&'static str, u8) {
        let Options { w, pr, pw, .. } = self.options;
        let (primaries, all) = match self.job.goes_over_what_is_there(&self.ways) {
            true => (("pw", pw), ("dw", w.unwrap_or(need))),
            false => (("pr", pr), ("r", need)),
        };
        match primaries {
            (name, Some(primaries)) if primaries > got && primaries >= all.1 => (name, primaries),
            _ => all,
        }
    }
}

impl Job {
    /// Whether one node can do it, of which there are so many on duty: it need not wait for others to
    /// say what it knows.
    fn check_alone(&self, options: &Options, there: u8) -> Result<(), Refusal> {
        let Options { w, pr, pw, .. } = *options;
        let (what, primaries, copies) = match self {
            Self::Get(_) | Self::Fetch(_) | Self::GetCount => ("pr", pr, None),
            Self::Put(_) | Self::Delete(_) | Self::Change(_) | Self::Count(_) => ("pw", pw, w),
            Self::List(_) => return Ok(()),
        };
        match (primaries, copies) {
            (Some(need), _) if need > there => Err(Refusal::too_few(what, need, there)),
            (_, Some(need)) if need > 1 => Err(Refusal::alone(need)),
            _ => Ok(()),
        }
    }

    /// Whether it is a write that what is there does not decide about.
    fn goes_over_what_is_there(&self, ways: &Ways) -> bool {
        match self {
            Self::Put(put) => put.condition == Condition::None,
            Self::Delete(delete) => delete.is_of_what_was_read() && ways.data.is_none(),
            _ => false,
        }
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

/// A read that finds what was written, if it finds anything.
pub(crate) fn read_after(written: Written, head: bool) -> Operation {
    let seen = written.context.or(written.receipt).into_iter().collect();
    Operation::Get { head, seen }
}
