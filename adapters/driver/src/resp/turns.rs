//! The line of answers: each command's turn comes when those before it are answered.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use dynamo_proto::Key;
use dynamo_proto::node::{Operation, Response};

use super::commands::Verb;
use super::data::{self, Question};
use super::outcome;
use super::reader::Arguments;
use super::reply::{Reply, Version};
use super::{BUCKET, delete, key};
use crate::front::{Desk, Ticket};

/// Most commands that wait for their turn.
const MOST_TURNS: usize = 1024;

/// A longer line is given back once it is empty.
const KEPT_TURNS: usize = 64;

/// A ticket is a turn and which of its parts.
const PART_BITS: u32 = 20;

/// Answers that are waited for, in the order in which they go out.
#[derive(Debug, Default)]
pub(super) struct Turns {
    line: VecDeque<Turn>,
    /// The number of the first one in line.
    first: u64,
    /// Bytes of answers behind one that is not there yet.
    kept_back: usize,
}

#[derive(Debug)]
struct Turn {
    version: Version,
    state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Said(Reply),
    Asked(Wish),
    /// A command for the cluster.
    Told,
    Several(Several),
}

/// What becomes of the node's answer.
#[derive(Debug)]
pub(super) enum Wish {
    Ok,
    Value,
    Length,
    Lifetime,
    Siblings,
    Context,
    /// What an update came to, but no more than that.
    CameTo(i64),
    /// An answer to a question about data.
    Data(Question),
    /// What is read is to be deleted.
    Taken(Key),
    /// It was read, and is being deleted.
    Gone(Bytes),
}

/// Several keys, and one answer for all of them.
#[derive(Debug)]
pub(super) struct Several {
    verb: Verb,
    arguments: Arguments,
    left: usize,
    done: i64,
    /// The first error.
    failed: Option<Reply>,
}

/// What follows from an answer.
enum Next {
    Say(Reply),
    Ask(Key, Operation),
    Wait,
}

impl Turns {
    pub(super) fn ticket(turn: u64, part: usize) -> Ticket {
        Ticket(turn << PART_BITS | part as u64)
    }

    pub(super) fn have_room(&self) -> bool {
        self.line.len() < MOST_TURNS
    }

    pub(super) fn are_over(&self) -> bool {
        self.line.is_empty()
    }

    pub(super) fn kept_back(&self) -> usize {
        self.kept_back
    }

    /// Joins the line; which turn it has.
    pub(super) fn take(&mut self, state: State, version: Version) -> u64 {
        self.line.push_back(Turn { version, state });
        self.first + self.line.len() as u64 - 1
    }

    /// An answer that is there already.
    pub(super) fn say(&mut self, reply: Reply, version: Version, out: &mut BytesMut) {
        if self.line.is_empty() {
            return reply.write(version, out);
        }
        self.kept_back += reply.bytes();
        self.take(State::Said(reply), version);
    }

    /// One of several keys cannot even be asked for.
    pub(super) fn part_failed(&mut self, turn: u64, reply: Reply, out: &mut BytesMut) {
        if let Some(State::Several(several)) = self.state(turn)
            && let Next::Say(reply) = several.part(Err(reply))
        {
            self.settle(turn, reply, out);
        }
    }

    /// The node has answered; what is to be asked next under the same ticket.
    pub(super) fn answered(
        &mut self,
        Ticket(ticket): Ticket,
        response: Response,
        desk: &mut Desk<'_>,
    ) -> Option<(Key, Operation)> {
        let (turn, part) = (ticket >> PART_BITS, ticket & ((1 << PART_BITS) - 1));
        let next = match self.state(turn)? {
            State::Said(_) | State::Told => return None,
            State::Asked(wish) => wish.answered(response),
            State::Several(several) => several.answered(part as usize, response, desk),
        };
        match next {
            Next::Say(reply) => self.settle(turn, reply, desk.out),
            Next::Ask(key, operation) => return Some((key, operation)),
            Next::Wait => {}
        }
        None
    }

    /// A command for the cluster was carried out, or not.
    pub(super) fn administered(
        &mut self,
        Ticket(ticket): Ticket,
        reply: Reply,
        out: &mut BytesMut,
    ) {
        self.settle(ticket >> PART_BITS, reply, out);
    }

    fn state(&mut self, turn: u64) -> Option<&mut State> {
        let at = usize::try_from(turn.checked_sub(self.first)?).ok()?;
        self.line.get_mut(at).map(|turn| &mut turn.state)
    }

    /// An answer is there: it goes out if it is its turn, and so do those that waited for it.
    fn settle(&mut self, turn: u64, reply: Reply, out: &mut BytesMut) {
        let bytes = reply.bytes();
        if let Some(state) = self.state(turn) {
            *state = State::Said(reply);
            self.kept_back += bytes;
        }
        while let Some(Turn {
            version,
            state: State::Said(reply),
        }) = self.line.front()
        {
            reply.write(*version, out);
            self.kept_back -= reply.bytes();
            self.line.pop_front();
            self.first += 1;
        }
        if self.line.is_empty() && self.line.capacity() > KEPT_TURNS {
            self.line = VecDeque::new();
        }
    }
}

impl Wish {
    fn answered(&mut self, response: Response) -> Next {
        Next::Say(match (&*self, response) {
            (Self::Gone(value), Response::Put(_)) => Reply::Bulk(value.clone()),
            (Self::Ok, Response::Put(_)) => Reply::Ok,
            (Self::Context, Response::Put(written)) => outcome::new_context(written),
            (Self::CameTo(most), Response::Put(written)) => data::came_to(&written, *most),
            (Self::Data(question), Response::Got(got)) => data::answer(question, &got),
            (Self::Siblings, Response::Got(got)) => outcome::context_and_values(&got),
            (Self::Lifetime, Response::Got(got)) => match got.siblings.is_deleted() {
                true => Reply::Integer(-2),
                false => Reply::Integer(-1),
            },
            (Self::Value | Self::Length | Self::Taken(_), Response::Got(got)) => {
                let value = match outcome::only_value(&got) {
                    Ok(value) => value,
                    Err(reply) => return Next::Say(reply),
                };
                match (&*self, value) {
                    (Self::Length, value) => {
                        Reply::Integer(value.map_or(0, |value| value.len()) as i64)
                    }
                    (_, None) => Reply::Nil,
                    (Self::Taken(key), Some(value)) => {
                        let key = key.clone();
                        *self = Self::Gone(value.clone());
                        return Next::Ask(key, delete(got));
                    }
                    (_, Some(value)) => Reply::Bulk(value),
                }
            }
            (_, response) => outcome::not_done(&response),
        })
    }
}

impl Several {
    pub(super) fn new(verb: Verb, arguments: Arguments) -> Self {
        let keys = match verb {
            Verb::MSet => arguments.len() / 2,
            _ => arguments.len() - 1,
        };
        Self {
            verb,
            arguments,
            left: keys,
            done: 0,
            failed: None,
        }
    }

    fn answered(&mut self, part: usize, response: Response, desk: &Desk<'_>) -> Next {
        match (self.verb, response) {
            (_, Response::Put(_)) => self.part(Ok(1)),
            (_, Response::Got(got)) if got.siblings.is_deleted() => self.part(Ok(0)),
            (Verb::Exists, Response::Got(_)) => self.part(Ok(1)),
            (Verb::Del, Response::Got(got)) => {
                let limits = &desk.site.config.limits;
                match key(BUCKET, self.arguments.at(part), limits) {
                    Ok(key) => Next::Ask(key, delete(got)),
                    Err(error) => self.part(Err(outcome::bad_key(error))),
                }
            }
            (_, response) => self.part(Err(outcome::not_done(&response))),
        }
    }

    /// One key is done with.
    fn part(&mut self, outcome: Result<i64, Reply>) -> Next {
        self.left -= 1;
        match outcome {
            Ok(done) => self.done += done,
            Err(reply) => {
                self.failed.get_or_insert(reply);
            }
        }
        if self.left > 0 {
            return Next::Wait;
        }
        Next::Say(match (self.failed.take(), self.verb) {
            (Some(Reply::Error(error)), Verb::MSet | Verb::Del) => {
                let done = self.done;
                Reply::error(format!(
                    "{error} (of other keys of this command {done} are done)"
                ))
            }
            (Some(reply), _) => reply,
            (None, Verb::MSet) => Reply::Ok,
            (None, _) => Reply::Integer(self.done),
        })
    }
}
