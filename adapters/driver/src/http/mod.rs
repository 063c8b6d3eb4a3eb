//! HTTP/1.1: for curl, browsers and whatever watches a cluster.
//!
//! ```text
//!   GET  /ping /ready /health /metrics /status /ring
//!   GET  /cluster                    what `dynamo cluster status` shows
//!   POST /cluster                    {"do": "plan"}: what `dynamo cluster` does
//!   GET  /buckets/B/keys/K           200, 300 with siblings, 304, 404
//!   PUT  /buckets/B/keys/K           204, or what GET answers with ?returnbody=true
//!   POST /buckets/B/keys             201 and where the value is now
//!   DELETE /buckets/B/keys/K         204, 404
//!   GET  /buckets/B/keys/K/preflist  the nodes on duty
//! ```
//!
//! and the same under `/types/T`. Names and shapes are Riak's: `X-Riak-Vclock` carries the context,
//! `X-Riak-Meta-*` what a client says about its value, siblings come as `multipart/mixed` to who
//! accepts that. `r`, `w`, `dw`, `pr`, `pw`, `timeout`, `notfound_ok` and `basic_quorum` depart from
//! the bucket's ways.
//!
//! - One request of a connection is under way at a time; those behind it wait where they were
//!   received.
//! - `If-Match`, `If-Unmodified-Since` and tags in `If-None-Match` on a write are looked up first, and
//!   the write is then done only if what was found is still there. As all conditions here that is
//!   looked up just before, and no lock.
//! - What is no request, or too long, is answered with the reason, and the connection ends.
//! - 503 means that nothing was done, 504 that a write may have been done.

mod about;
mod answer;
mod body;
mod head;
mod refusal;
mod target;
mod text;
mod value;

use bytes::{Bytes, BytesMut};
use dynamo_proto::Key;
use dynamo_proto::node::{Condition, Failure, Found, Got, Mode, Operation, Response};
use dynamo_proto::version::Content;
use serde_json::Value;

use self::answer::{Answer, JSON, Manner};
use self::body::Body;
use self::head::{Fields, Finder, Head, Method, context_text};
use self::refusal::{Refusal, not_done};
use self::target::Target;
use crate::admin::{Command, Refused};
use crate::front::{Ask, Desk, Front, Goodbye, Ticket};

/// One connection of a client that speaks HTTP.
#[derive(Debug, Default)]
pub struct Http {
    finder: Finder,
    state: State,
    wants: usize,
}

#[derive(Debug, Default)]
enum State {
    /// A head is waited for.
    #[default]
    Idle,
    /// Then a body.
    Reading(Box<Head>, Body),
    /// Then the node.
    Asked(Box<Exchange>),
    /// Or the cluster.
    Told(Manner),
}

/// A request that the node is asked about.
#[derive(Debug)]
struct Exchange {
    head: Head,
    key: Key,
    body: Bytes,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// What is there is the answer.
    Read,
    /// What is there decides what is written.
    Look,
    Write,
}

/// What follows from an answer of the node.
enum Next {
    Say(Answer),
    Ask(Operation, Step),
}

/// Requests are asked one at a time.
const TICKET: Ticket = Ticket(0);

impl Http {
    /// A connection that has just begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn begin(&mut self, head: Head, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
        match Body::new(head.length, desk.site.config.limits.value_bytes) {
            Ok(body) => {
                if head.expects {
                    desk.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                self.state = State::Reading(Box::new(head), body);
                Ok(())
            }
            Err(refusal) => refuse(refusal, desk),
        }
    }

    /// A request is there whole.
    fn run(&mut self, head: Head, body: Bytes, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
        let manner = head.manner();
        match start(head, body, desk) {
            Ok(Started::Said(answer)) => finish(&answer, manner, desk),
            Ok(Started::Told(command)) => {
                desk.commands.push((TICKET, command));
                self.state = State::Told(manner);
                Ok(())
            }
            Ok(Started::Asked(exchange, operation)) => {
                ask(&exchange, operation, desk);
                self.state = State::Asked(exchange);
                Ok(())
            }
            Err(refusal) => finish(&refused(refusal), manner, desk),
        }
    }
}

impl Front for Http {
    fn receive(&mut self, input: &mut BytesMut, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
        self.wants = 0;
        loop {
            match &mut self.state {
                State::Asked(_) | State::Told(_) => return Ok(()),
                State::Idle if !desk.has_room() => return Ok(()),
                State::Idle => match self.finder.next(input) {
                    Ok(None) => return Ok(()),
                    Ok(Some(head)) => self.begin(head, desk)?,
                    Err(refusal) => return refuse(refusal, desk),
                },
                State::Reading(_, body) => match body.read(input) {
                    Ok(None) => {
                        self.wants = body.missing(input.len());
                        return Ok(());
                    }
                    Ok(Some(body)) => {
                        if let State::Reading(head, _) = std::mem::take(&mut self.state) {
                            self.run(*head, body, desk)?;
                        }
                    }
                    Err(refusal) => return refuse(refusal, desk),
                },
            }
        }
    }

    fn answered(
        &mut self,
        _: Ticket,
        response: Response,
        desk: &mut Desk<'_>,
    ) -> Result<(), Goodbye> {
        let State::Asked(mut exchange) = std::mem::take(&mut self.state) else {
            return Ok(());
        };
        match exchange.answered(response) {
            Next::Say(answer) => finish(&answer, exchange.head.manner(), desk),
            Next::Ask(operation, step) => {
                exchange.step = step;
                ask(&exchange, operation, desk);
                self.state = State::Asked(exchange);
                Ok(())
            }
        }
    }

    fn administered(
        &mut self,
        _: Ticket,
        outcome: Result<Value, Refused>,
        desk: &mut Desk<'_>,
    ) -> Result<(), Goodbye> {
        let State::Told(manner) = std::mem::take(&mut self.state) else {
            return Ok(());
        };
        finish(&about::administered(outcome), manner, desk)
    }

    fn kept_back(&self) -> usize {
        0
    }

    fn wants(&self) -> usize {
        self.wants
    }

    fn turn_away(&self, out: &mut BytesMut) {
        out.extend_from_slice(
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n\
              Content-Type: text/plain\r\nContent-Length: 21\r\n\r\ntoo many connections\n",
        );
    }
}

enum Started {
    Said(Answer),
    Told(Command),
    Asked(Box<Exchange>, Operation),
}

/// What a request comes to.
fn start(head: Head, body: Bytes, desk: &mut Desk<'_>) -> Result<Started, Refusal> {
    let site = &desk.site;
    let is_read = matches!(head.method, Method::Get | Method::Head);
    let names = match &head.target {
        Target::Nothing => return Err(Refusal::Nothing),
        Target::Value(names) => names.clone(),
        Target::Keys(names) if head.method == Method::Post => {
            let mut names = names.clone();
            names.key = format!("{:032x}", desk.dice.request().0).into_bytes();
            names
        }
        Target::Keys(_) => return Err(Refusal::Method("POST")),
        Target::Cluster if is_read => return Ok(Started::Told(Command::Status)),
        Target::Cluster if head.method == Method::Post => {
            return command(&head, &body).map(Started::Told);
        }
        Target::Cluster => return Err(Refusal::Method("GET, HEAD, POST")),
        _ if !is_read => return Err(Refusal::Method("GET, HEAD")),
        target => {
            return Ok(Started::Said(match target {
                Target::Ready => about::ready(site),
                Target::Health | Target::Ping => Answer::text(200, "OK"),
                Target::Metrics => about::metrics(site),
                Target::Status => about::status(site),
                Target::Ring => about::ring(site, &head.query),
                Target::PreferenceList(names) => {
                    about::preference_list(&names.key(&site.config.limits)?, site)
                }
                Target::Nothing | Target::Value(_) | Target::Keys(_) | Target::Cluster => {
                    return Err(Refusal::Nothing);
                }
            }));
        }
    };
    let mut exchange = Box::new(Exchange {
        key: names.key(&site.config.limits)?,
        head,
        body,
        step: Step::Read,
    });
    let operation = exchange.first()?;
    Ok(Started::Asked(exchange, operation))
}

/// A command for the cluster. A page in somebody's browser cannot send one: it would have to ask
/// first whether it may say that it sends JSON.
fn command(head: &Head, body: &[u8]) -> Result<Command, Refusal> {
    if head.fields.content_type.as_deref() != Some(JSON) {
        return Err(Refusal::NoJson);
    }
    serde_json::from_slice(body).map_err(|_| Refusal::NoCommand)
}

impl Head {
    fn manner(&self) -> Manner {
        Manner {
            is_head: self.method == Method::Head,
            closes: self.closes,
        }
    }
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
}

impl Exchange {
    /// What the node is asked first.
    fn first(&mut self) -> Result<Operation, Refusal> {
        let Head { method, fields, .. } = &self.head;
        let (operation, step) = match method {
            // A read shows lengths, so it needs the bodies even for its head.
            Method::Get | Method::Head => (Operation::read(), Step::Read),
            Method::Put | Method::Post if !fields.must_look() => {
                let condition = match (&fields.if_none_match, &fields.if_not_modified) {
                    (Some(_), _) => Condition::Absent,
                    (None, Some(sealed)) => Condition::Unchanged(sealed.clone()),
                    (None, None) => Condition::None,
                };
                (self.put(condition)?, Step::Write)
            }
            Method::Delete if fields.context.is_some() && !fields.must_look() => {
                let condition = fields.if_not_modified.clone();
                let condition = condition.map_or(Condition::None, Condition::Unchanged);
                (self.write(Content::Tombstone, condition), Step::Write)
            }
            Method::Put | Method::Post | Method::Delete => {
                let seen = Vec::new();
                (Operation::Get { head: true, seen }, Step::Look)
            }
        };
        self.step = step;
        Ok(operation)
    }

    fn put(&self, condition: Condition) -> Result<Operation, Refusal> {
        let content = value::content(&self.head.fields, self.body.clone())
            .map_err(|_| Refusal::Malformed("a header field is too long to be kept"))?;
        Ok(self.write(content, condition))
    }

    fn write(&self, content: Content, condition: Condition) -> Operation {
        let mode = match (&self.head.fields.context, &condition) {
            (Some(sealed), _) => Mode::Context([sealed.clone()].into_iter().collect()),
            // There may be tombstones, which it is not to stand beside.
            (None, Condition::Absent) => Mode::Overwrite,
            (None, _) => Mode::Blind,
        };
        Operation::Put {
            fastest: None,
            mode,
            content,
            condition,
        }
    }

    fn answered(&mut self, response: Response) -> Next {
        match (self.step, response) {
            (Step::Read, Response::Got(got)) => Next::Say(value::found(&got, &self.head)),
            (Step::Look, Response::Got(got)) => self.looked(got),
            (Step::Write, Response::Put(_)) if self.head.query.returnbody => {
                self.head.fields.if_none_match = None; // that was about the write
                self.head.fields.if_modified_since = None;
                Next::Ask(Operation::read(), Step::Read)
            }
            (Step::Write, Response::Put(written)) => {
                let answer = match &self.head.target {
                    Target::Keys(_) => {
                        let key = text::escaped(self.key.key());
                        let (kind, bucket) = (self.key.bucket_type(), self.key.bucket());
                        let bucket = text::escaped(bucket);
                        Answer::new(201).with(
                            "Location",
                            match kind {
                                b"default" => format!("/buckets/{bucket}/keys/{key}"),
                                _ => {
                                    let kind = text::escaped(kind);
                                    format!("/types/{kind}/buckets/{bucket}/keys/{key}")
                                }
                            },
                        )
                    }
                    _ => Answer::new(204),
                };
                Next::Say(match written.context {
                    Some(sealed) => answer.with("X-Riak-Vclock", context_text(&sealed)),
                    None => answer,
                })
            }
            // Found out between the look and the write: a precondition that held does no more.
            (Step::Write, Response::Failed(Failure::Condition(Found::Nothing | Found::Change)))
                if self.head.fields.must_look() =>
            {
                Next::Say(refused(Refusal::Precondition))
            }
            (_, response) => {
                let (status, text) = not_done(&response);
                Next::Say(Answer::text(status, text))
            }
        }
    }

    /// What is there decides.
    fn looked(&mut self, got: Got) -> Next {
        let fields = &mut self.head.fields;
        if !value::meets_preconditions(&got, fields) {
            return Next::Say(refused(Refusal::Precondition));
        }
        let is_conditional = fields.must_look();
        let is_delete = self.head.method == Method::Delete;
        if is_delete && got.siblings.is_deleted() {
            return Next::Say(Answer::text(404, "not found"));
        }
        let sealed = got.context.sealed;
        let condition = match got.siblings.is_absent() {
            _ if !is_conditional => Condition::None,
            true => Condition::Absent,
            false => Condition::Unchanged(sealed.clone()),
        };
        // What was looked at is what is written over.
        fields.context.get_or_insert(sealed);
        if is_delete {
            return Next::Ask(self.write(Content::Tombstone, condition), Step::Write);
        }
        match self.put(condition) {
            Ok(operation) => Next::Ask(operation, Step::Write),
            Err(refusal) => Next::Say(refused(refusal)),
        }
    }
}

fn ask(exchange: &Exchange, operation: Operation, desk: &mut Desk<'_>) {
    let bucket = desk.site.buckets.of(&exchange.key);
    desk.asks.push(Ask {
        ticket: TICKET,
        key: exchange.key.clone(),
        operation,
        options: exchange.head.query.options(bucket),
        leads_to_write: exchange.step == Step::Look,
    });
}

fn refused(refusal: Refusal) -> Answer {
    let answer = Answer::text(refusal.status(), refusal);
    match refusal {
        Refusal::Method(allowed) => answer.with("Allow", allowed),
        _ => answer,
    }
}

fn finish(answer: &Answer, manner: Manner, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
    answer.write(manner, desk.now.wall, desk.out);
    match manner.closes {
        true => Err(Goodbye::Asked),
        false => Ok(()),
    }
}

/// The end of a connection on which nothing can be told apart any more.
fn refuse(refusal: Refusal, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
    let manner = Manner {
        is_head: false,
        closes: true,
    };
    refused(refusal).write(manner, desk.now.wall, desk.out);
    Err(Goodbye::Senseless("what follows cannot be told apart"))
}
