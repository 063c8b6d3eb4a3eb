//! HTTP/1.1: for curl, browsers, whatever watches a cluster, and Riak's clients.
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
//!   GET  /buckets?buckets=true /buckets/B/keys?keys=true
//!   GET, PUT, DELETE /buckets/B/props
//!   GET, POST /buckets/B/counters/K /types/T/buckets/B/datatypes/K
//! ```
//!
//! and the same under `/types/T`. Names, shapes and meanings are Riak's, and made by what makes them
//! for its Protocol Buffers: [`crate::riak`] says what is asked of the node and what is told, this
//! front how that is said in HTTP.
//!
//! - One request of a connection is under way at a time; those behind it wait where they were
//!   received.
//! - `If-Match`, `If-Unmodified-Since` and tags in `If-None-Match` on a write are looked up first, and
//!   the write is then done only if what was found is still there. As all conditions here that is
//!   looked up just before, and no lock.
//! - What is no request, or too long, is answered with the reason, and the connection ends. What only
//!   asks for something that makes no sense is answered too, and the next request is read.
//! - 503 means that nothing was done, 504 that a write may have been done.

mod about;
mod answer;
mod asked;
mod body;
mod data;
mod head;
mod links;
mod list;
mod props;
mod query;
mod refusal;
mod start;
mod target;
mod text;
mod value;

use bytes::{Bytes, BytesMut};
use dynamo_proto::node::Response;
use serde_json::Value;

use self::answer::{Answer, JSON, Manner};
use self::asked::Asked;
use self::body::Body;
use self::head::{Finder, Framed, Head, Method};
use self::refusal::Refusal;
use self::start::{Started, start};
use crate::admin::Refused;
use crate::front::{Desk, Front, Goodbye, Ticket};

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
    Reading(Box<Framed>, Body),
    /// Then the node.
    Asked(Box<Asked>),
    /// Or the cluster.
    Told(Manner),
    /// Or the cluster, about what is noted of a bucket.
    Noting(Manner),
}

/// Requests are asked one at a time.
const TICKET: Ticket = Ticket(0);

impl Http {
    /// A connection that has just begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn begin(&mut self, framed: Framed, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
        let body = match (&framed.head, framed.expects) {
            // The body may come or not.
            (Err(refusal), true) => Err(refusal.clone()),
            _ => Body::new(framed.length, desk.site.config.limits.value_bytes),
        };
        match body {
            Ok(body) => {
                if framed.expects {
                    desk.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                self.state = State::Reading(Box::new(framed), body);
                Ok(())
            }
            Err(refusal) => refuse(refusal, desk),
        }
    }

    /// A request is there whole.
    fn run(&mut self, framed: Framed, body: Bytes, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
        let manner = framed.manner;
        match framed.head.and_then(|head| start(head, body, desk)) {
            Ok(Started::Said(answer)) => finish(&answer, manner, desk),
            Ok(Started::Told(command)) => {
                desk.commands.push((TICKET, command));
                self.state = State::Told(manner);
                Ok(())
            }
            Ok(Started::Noting(command)) => {
                desk.commands.push((TICKET, command));
                self.state = State::Noting(manner);
                Ok(())
            }
            Ok(Started::Asked(mut asked)) => {
                asked.begin(desk);
                self.state = State::Asked(asked);
                Ok(())
            }
            Err(refusal) => finish(&refused(&refusal), manner, desk),
        }
    }
}

impl Front for Http {
    fn receive(&mut self, input: &mut BytesMut, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
        self.wants = 0;
        loop {
            match &mut self.state {
                State::Asked(_) | State::Told(_) | State::Noting(_) => return Ok(()),
                State::Idle if !desk.has_room() => return Ok(()),
                State::Idle => match self.finder.next(input) {
                    Ok(None) => return Ok(()),
                    Ok(Some(framed)) => self.begin(framed, desk)?,
                    Err(refusal) => return refuse(refusal, desk),
                },
                State::Reading(_, body) => match body.read(input) {
                    Ok(None) => {
                        self.wants = body.missing(input.len());
                        return Ok(());
                    }
                    Ok(Some(body)) => {
                        if let State::Reading(framed, _) = std::mem::take(&mut self.state) {
                            self.run(*framed, body, desk)?;
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
        let State::Asked(mut asked) = std::mem::take(&mut self.state) else {
            return Ok(());
        };
        if asked.answered(response, desk)? {
            self.state = State::Asked(asked);
        }
        Ok(())
    }

    fn administered(
        &mut self,
        _: Ticket,
        outcome: Result<Value, Refused>,
        desk: &mut Desk<'_>,
    ) -> Result<(), Goodbye> {
        match (std::mem::take(&mut self.state), outcome) {
            (State::Told(manner), outcome) => finish(&about::administered(outcome), manner, desk),
            (State::Noting(manner), Ok(_)) => finish(&Answer::new(204), manner, desk),
            (State::Noting(manner), Err(refused)) => {
                finish(&Answer::text(409, refused), manner, desk)
            }
            _ => Ok(()),
        }
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

impl Head {
    fn manner(&self) -> Manner {
        Manner {
            is_head: self.method == Method::Head,
            closes: self.closes,
        }
    }
}

fn refused(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Props(json) => Answer::new(refusal.status()).with_body(JSON, json.clone()),
        Refusal::Method(allowed) => Answer::text(refusal.status(), refusal).with("Allow", allowed),
        _ => Answer::text(refusal.status(), refusal),
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
    refused(&refusal).write(manner, desk.now.wall, desk.out);
    Err(Goodbye::Senseless("what follows cannot be told apart"))
}
