//! A request that the node is asked about, in one step or several.

use bytes::Bytes;
use dynamo_proto::Key;
use dynamo_proto::node::{Condition, Failure, Found, Operation, Response};
use dynamo_proto::version::DataType;

use super::answer::{Answer, JSON, TEXT};
use super::head::{Fields, Head, Method, context_text};
use super::list::Telling;
use super::refusal::{Refusal, not_done};
use super::target::Names;
use super::{data, finish, refused, value};
use crate::front::{Desk, Goodbye};
use crate::riak::exchange::{Exchange, Job, Next, Said, Undone};
use crate::riak::messages::{self, DataUpdated, DataValue, Got};
use crate::riak::pb::Signed;
use crate::riak::values::{Delete, Get, Put, Returns};
use crate::riak::wishes::Wishes;
use crate::riak::{object, place};

#[derive(Debug)]
pub(super) struct Asked {
    head: Head,
    names: Names,
    exchange: Box<Exchange>,
    /// What is done once it is known that what is there meets the preconditions.
    then: Option<Then>,
    telling: Option<Telling>,
}

#[derive(Debug)]
enum Then {
    Put(Box<messages::Content>),
    Delete,
}

impl Fields {
    /// Whether what is there has to be looked at before anything is written.
    fn must_look(&self) -> bool {
        let names_tags = self
            .if_none_match
            .as_deref()
            .is_some_and(|tags| tags != "*");
        self.if_match.is_some() || self.if_unmodified_since.is_some() || names_tags
    }

    fn no_conditions(&mut self) {
        (self.if_match, self.if_none_match) = (None, None);
        (self.if_modified_since, self.if_unmodified_since) = (None, None);
    }

    fn condition(&self) -> Condition {
        match (&self.if_none_match, &self.if_not_modified) {
            (Some(_), _) => Condition::Absent,
            (None, Some(sealed)) => Condition::Unchanged(sealed.clone()),
            (None, None) => Condition::None,
        }
    }
}

impl Asked {
    /// A value is got, put or deleted.
    pub(super) fn value(
        mut head: Head,
        names: Names,
        body: Bytes,
        desk: &mut Desk<'_>,
    ) -> Result<Box<Self>, Refusal> {
        let limits = &desk.site.config.limits;
        let is_key_new = names.key.is_none();
        let key = match is_key_new {
            true => names.key(&place::made_up(desk.dice), limits)?,
            false => names.key(b"", limits)?,
        };
        let is_past = |since: &u64| *since <= desk.now.wall.as_secs().into();
        let since = &mut head.fields.if_modified_since;
        *since = since.filter(is_past); // what is to come says nothing
        let fields = &head.fields;
        // A read shows lengths, so it needs the bodies even for its head.
        let read = |head| {
            Job::Get(Get {
                if_modified: None,
                head,
                deletedvclock: true,
            })
        };
        let (job, then) = match head.method {
            Method::Get | Method::Head => (read(false), None),
            Method::Put | Method::Post => {
                let content = value::content(fields, body);
                match fields.must_look() {
                    true => (read(true), Some(Then::Put(Box::new(content)))),
                    false => {
                        let put = put(&head, content, fields.condition(), is_key_new, desk)?;
                        (Job::Put(put), None)
                    }
                }
            }
            Method::Delete if fields.must_look() => (read(true), Some(Then::Delete)),
            Method::Delete => {
                let condition = fields.if_not_modified.clone();
                let condition = condition.map_or(Condition::None, Condition::Unchanged);
                let delete = Delete::new(fields.context.clone(), condition);
                (Job::Delete(delete), None)
            }
        };
        let mut asked = Self::data(head, names, key, job, desk)?;
        asked.then = then;
        Ok(asked)
    }

    /// Names are listed.
    pub(super) fn listing(
        mut head: Head,
        names: Names,
        any: Key,
        job: Job,
        telling: Telling,
        desk: &Desk<'_>,
    ) -> Result<Box<Self>, Refusal> {
        head.query.wishes = Wishes {
            timeout: head.query.wishes.timeout,
            ..Wishes::default()
        };
        let mut asked = Self::data(head, names, any, job, desk)?;
        asked.telling = Some(telling);
        Ok(asked)
    }

    /// Data is fetched or changed.
    pub(super) fn data(
        head: Head,
        names: Names,
        key: Key,
        job: Job,
        desk: &Desk<'_>,
    ) -> Result<Box<Self>, Refusal> {
        let exchange = Exchange::new(key, &head.query.wishes, job, desk)?;
        Ok(Box::new(Self {
            head,
            names,
            exchange,
            then: None,
            telling: None,
        }))
    }

    /// Asks the node first.
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>) {
        let operation = self.exchange.first();
        self.ask(operation, desk);
    }

    fn ask(&self, operation: Operation, desk: &mut Desk<'_>) {
        self.exchange.ask(operation, desk);
        if let (Some(_), Some(ask)) = (&self.then, desk.asks.last_mut()) {
            ask.leads_to_write = true;
        }
    }

    /// Whether the node was asked for more; if not, the client is answered.
    pub(super) fn answered(
        &mut self,
        response: Response,
        desk: &mut Desk<'_>,
    ) -> Result<bool, Goodbye> {
        let manner = self.head.manner();
        let answer = match self.exchange.answered(response, desk.now.mono) {
            Ok(Next::Ask(operation)) => {
                self.ask(operation, desk);
                return Ok(true);
            }
            Ok(Next::Tell(said, operation)) => {
                if let (Some(names), Some(telling)) = (said.names(), &mut self.telling) {
                    telling.page(names, desk.now.wall, desk.out);
                }
                self.ask(operation, desk);
                return Ok(true);
            }
            Ok(Next::Say(Said::Keys(last) | Said::Buckets(last))) => {
                let Some(telling) = &mut self.telling else {
                    return Ok(false);
                };
                telling.end(&last.names, manner, desk.now.wall, desk.out);
                return self.told();
            }
            Err(undone) if self.telling.as_ref().is_some_and(Telling::tells_errors) => {
                // No braces, by which some tell where an object ends.
                let why = match undone {
                    Undone::Refused(refusal) => refusal.text,
                    Undone::Failed(response) => match *response {
                        Response::Failed(Failure::Expired) => "timeout".into(),
                        response => not_done(&response, &self.exchange).1,
                    },
                };
                if let Some(telling) = &mut self.telling {
                    telling.fail(&why, desk.now.wall, desk.out);
                }
                return self.told();
            }
            // Whoever reads it sees that it is not whole.
            Err(_) if self.telling.as_ref().is_some_and(Telling::has_begun) => {
                return Err(Goodbye::Asked);
            }
            Ok(Next::Say(said)) => match (said, self.then.take()) {
                (Said::Got(got), Some(then)) => match self.looked(&got, then, desk) {
                    Ok(operation) => {
                        self.ask(operation, desk);
                        return Ok(true);
                    }
                    Err(refusal) => refused(&refusal),
                },
                (said, _) => self.answer(said),
            },
            Err(Undone::Refused(refusal)) => refused(&refusal.into()),
            Err(Undone::Failed(response)) => self.failed(&response),
        };
        finish(&answer, manner, desk).map(|()| false)
    }

    /// A listing is over.
    fn told(&self) -> Result<bool, Goodbye> {
        let telling = self.telling.as_ref();
        match self.head.closes || telling.is_some_and(Telling::ends_with_connection) {
            true => Err(Goodbye::Asked),
            false => Ok(false),
        }
    }

    /// What is there decides.
    fn looked(&mut self, got: &Got, then: Then, desk: &Desk<'_>) -> Result<Operation, Refusal> {
        if !value::meets_preconditions(got, &self.head.fields) {
            return Err(Refusal::Precondition);
        }
        // What was looked at is what is written over.
        let condition = match &got.vclock {
            None => Condition::Absent,
            Some(sealed) => Condition::Unchanged(sealed.clone()),
        };
        let fields = &mut self.head.fields;
        fields.context = fields.context.take().or_else(|| got.vclock.clone());
        self.exchange.job = match then {
            Then::Put(content) => {
                let is_key_new = self.names.key.is_none();
                Job::Put(put(&self.head, *content, condition, is_key_new, desk)?)
            }
            Then::Delete if got.content.is_empty() => return Err(Refusal::Nothing),
            Then::Delete => {
                let context = self.head.fields.context.clone();
                Job::Delete(Delete::new(context, condition))
            }
        };
        Ok(self.exchange.first())
    }

    fn answer(&mut self, said: Said) -> Answer {
        match said {
            Said::Got(got) => value::found(&got, &self.head, &self.names),
            Said::Put { done, context } => self.put(done, context),
            Said::Deleted { was_there: true } => Answer::new(204),
            Said::Deleted { was_there: false } => refused(&Refusal::Nothing),
            Said::Fetched(fetched) => match (self.kind(), &fetched.value) {
                (Some(kind), Some(value)) => {
                    let context = fetched.context.as_deref();
                    json(Answer::new(200), &data::json(kind, value, context))
                }
                (Some(kind), None) => json(Answer::new(404), &data::nothing(kind)),
                (None, _) => refused(&Refusal::Nothing),
            },
            Said::Changed(updated) => self.changed(updated),
            Said::Count(count) => count
                .value
                .map_or_else(|| refused(&Refusal::Nothing), number),
            Said::Counted(count) => count.value.map_or_else(|| Answer::new(204), number),
            Said::Keys(_) | Said::Buckets(_) => Answer::new(204), // told where pages are
        }
    }

    /// A value was written.
    fn put(&mut self, done: messages::DonePut, context: Option<Bytes>) -> Answer {
        let answer = match self.head.query.returnbody {
            true => {
                self.head.fields.no_conditions(); // those were about the write
                let got = Got {
                    content: done.content,
                    vclock: done.vclock,
                    unchanged: None,
                };
                value::found(&got, &self.head, &self.names)
            }
            false => {
                let answer = Answer::new(204);
                match context {
                    Some(sealed) => answer.with("X-Riak-Vclock", context_text(&sealed)),
                    None => answer,
                }
            }
        };
        match done.key {
            Some(key) => answer
                .with_status(201)
                .with("Location", self.names.path_of(&key)),
            None => answer,
        }
    }

    /// Data was changed.
    fn changed(&self, updated: DataUpdated) -> Answer {
        let answer = match (self.head.query.returnbody, self.kind()) {
            (true, Some(kind)) => {
                let value = DataValue {
                    counter: updated.counter,
                    set: updated.set,
                    map: updated.map,
                    hll: updated.hll,
                    gset: updated.gset,
                };
                let context = updated.context.as_deref();
                json(Answer::new(200), &data::json(kind, &value, context))
            }
            _ => Answer::new(204),
        };
        match updated.key {
            Some(key) => answer
                .with_status(201)
                .with("Location", self.names.path_of(&key)),
            None => answer,
        }
    }

    fn kind(&self) -> Option<DataType> {
        self.exchange.ways.data
    }

    fn failed(&self, response: &Response) -> Answer {
        let is_read = matches!(self.head.method, Method::Get | Method::Head);
        match response {
            // Found out between the look and the write: a precondition that held does no more.
            Response::Failed(Failure::Condition(Found::Nothing | Found::Change))
                if !is_read && self.head.fields.must_look() =>
            {
                refused(&Refusal::Precondition)
            }
            response => {
                let (status, text) = not_done(response, &self.exchange);
                Answer::text(status, text)
            }
        }
    }
}

impl Said {
    fn names(&self) -> Option<&[Bytes]> {
        match self {
            Self::Keys(listed) | Self::Buckets(listed) => Some(&listed.names),
            _ => None,
        }
    }
}

fn put(
    head: &Head,
    content: messages::Content,
    condition: Condition,
    is_key_new: bool,
    desk: &Desk<'_>,
) -> Result<Put, Refusal> {
    let content = object::read(content, &desk.site.config.limits);
    Ok(Put {
        content: content
            .map_err(|_| Refusal::Malformed("a header field is too long to be kept"))?,
        vclock: head.fields.context.clone(),
        condition,
        is_key_new,
        returns: match head.query.returnbody {
            true => Returns::Body,
            false => Returns::Nothing,
        },
    })
}

fn number(Signed(number): Signed) -> Answer {
    Answer::new(200).with_body(TEXT, number.to_string())
}

fn json(answer: Answer, value: &serde_json::Value) -> Answer {
    answer.with_body(JSON, value.to_string())
}
