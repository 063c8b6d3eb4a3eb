//! Native clients: one request at a time, and what they see is held against the oracle.

use std::time::Duration;

use dynamo_driver::driver::Entrance;
use dynamo_driver::{Connection, Event};
use dynamo_proto::Limits;
use dynamo_proto::node::{Options, Response};
use dynamo_proto::wire::{Hello, Message, Nonce, Role, Ticket, Versions};

use super::guests::Kind;
use super::{KEYS, World};
use crate::client::{Attempt, Client, Memory, Sizes};
use crate::machine::{CLUSTER, TIMEOUT};
use crate::oracle::Terms;
use crate::report::Count;
use crate::scenario::Action;

/// How much longer than a node may take its answer is waited for.
const ON_THE_WAY: Duration = Duration::from_secs(4);

#[derive(Default)]
pub(super) struct Native {
    connection: Option<Connection>,
    is_established: bool,
    client: Client,
    asked: Option<Asked>,
    tickets: u64,
    /// Reads that key, at all of its owners, and no more.
    pub(super) last: Option<usize>,
}

struct Asked {
    ticket: Ticket,
    key: usize,
    at: Duration,
    write: Option<Attempt>,
}

impl World {
    fn native(&mut self, at: usize) -> &mut Native {
        match &mut self.guests[at].kind {
            Kind::Native(native) => native,
            _ => unreachable!("it was one just now"),
        }
    }

    pub(super) fn native_turn(&mut self, at: usize) -> Duration {
        let now = self.now;
        let native = self.native(at);
        let is_late = |asked: &Asked| now > asked.at + TIMEOUT + ON_THE_WAY;
        if native.asked.as_ref().is_some_and(is_late) {
            self.leave(at);
            self.native_forgets(at);
        } else if self.guests[at].pipe.is_none() {
            self.introduce(at);
        } else if self.native(at).is_established && self.native(at).asked.is_none() {
            self.native_asks(at);
        }
        Duration::from_millis(20)
    }

    fn introduce(&mut self, at: usize) {
        let node = self.dice.index(self.nodes.len());
        if !self.call(at, node, Entrance::Native) {
            return;
        }
        let hello = Hello {
            versions: Versions::OURS,
            nonce: Nonce::new(self.dice.number() as u32 | 1).expect("not 0"),
            cluster: CLUSTER,
            role: Role::Client,
        };
        let native = self.native(at);
        native.is_established = false;
        native.connection = Some(Connection::dial(hello, None, Limits::default(), 1 << 20));
        self.native_says(at);
    }

    fn native_asks(&mut self, at: usize) {
        let (now, node) = (self.now, self.guests[at].node);
        let last = self.native(at).last;
        if last.is_none() && !self.is_open_for_guests() {
            return;
        }
        let actions = [
            Action::Get,
            Action::Get,
            Action::Put,
            Action::Put,
            Action::Blind,
            Action::Delete,
        ];
        let action = match last {
            Some(_) => Action::Get,
            None => *self.dice.pick(&actions),
        };
        let key = last.unwrap_or_else(|| self.dice.index(KEYS));
        let sizes = Sizes {
            usual: None,
            most: 1 << 20,
        };
        let Kind::Native(native) = &mut self.guests[at].kind else {
            return;
        };
        let place = (node, key);
        let (mut request, write) =
            (native.client).ask(action, place, sizes, &mut self.oracle, now, &mut self.dice);
        if last.is_some() {
            request.options = Options {
                r: Some(self.scenario.quorum.n),
                ..request.options
            };
        }
        let ticket = Ticket(native.tickets);
        native.tickets += 1;
        native.asked = Some(Asked {
            ticket,
            key,
            at: now,
            write,
        });
        let message = Message::Request {
            ticket,
            epoch: Default::default(),
            patience: TIMEOUT,
            request,
        };
        if let Some(connection) = &mut native.connection {
            let sent = connection.send(&message);
            sent.expect("one request fits");
        }
        self.native_says(at);
    }

    fn native_says(&mut self, at: usize) {
        let connection = self.native(at).connection.as_mut();
        let bytes = connection.map(Connection::take_outgoing);
        self.guests[at].outgoing.extend(bytes.iter().flatten());
        self.say(at);
    }

    pub(super) fn native_hears(&mut self, at: usize) {
        let heard = std::mem::take(&mut self.guests[at].heard);
        let mut bytes = &heard[..];
        while let Some(connection) = self.native(at).connection.as_mut() {
            match connection.poll() {
                Ok(Some(Event::Established(_))) => self.native(at).is_established = true,
                Ok(Some(Event::Message(Message::Response { ticket, response }))) => {
                    self.native_answered(at, ticket, &response);
                }
                Ok(Some(other)) => self.fail("wire", format!("a client hears {other:?}")),
                Ok(None) if bytes.is_empty() => return,
                Ok(None) => connection.receive(&mut bytes),
                Err(_) => {
                    // Turned away, for want of room.
                    self.leave(at);
                    self.native_forgets(at);
                }
            }
        }
    }

    fn native_answered(&mut self, at: usize, ticket: Ticket, response: &Response) {
        let native = self.native(at);
        let Some(asked) = native.asked.take_if(|asked| asked.ticket == ticket) else {
            return self.fail(
                "I10",
                format!("{ticket:?} was answered twice, or never asked"),
            );
        };
        let (is_last, key) = (native.last.is_some(), asked.key);
        let now = self.now;
        let memory = match (&asked.write, response) {
            (Some(write), _) => {
                let counters = &mut self.counters;
                let seen = self
                    .oracle
                    .answered(write.id, Some(response), now, counters);
                match (seen, response) {
                    (Some(seen), Response::Put(written)) => {
                        let sealed = written.context.clone();
                        sealed.map(|sealed| Memory {
                            seen,
                            sealed,
                            fastest: None,
                        })
                    }
                    _ => None,
                }
            }
            (None, Response::Got(got)) => {
                let terms = Terms {
                    invoked: asked.at,
                    is_whole: false,
                };
                let counters = &mut self.counters;
                let read = self.oracle.read(key, &got.siblings, &terms, counters);
                let checked = read.and_then(|seen| match is_last {
                    true => self.oracle.end(key, &got.siblings).map(|()| seen),
                    false => Ok(seen),
                });
                match checked {
                    Ok(seen) => Some(Memory {
                        seen,
                        sealed: got.context.sealed.clone(),
                        fastest: got.context.fastest,
                    }),
                    Err(violation) => return self.fail(violation.check, violation.what),
                }
            }
            (None, response) => {
                self.counters.add(Count::ReadFailed, 1);
                if is_last {
                    let what = format!("all is well and key {key} cannot be read: {response:?}");
                    self.fail("liveness", what);
                }
                None
            }
        };
        if let Some(memory) = memory {
            self.native(at).client.remember(key, memory);
        }
        if is_last {
            self.leave(at);
            self.guests[at].has_left = true;
        }
    }

    /// What it asked for last may have been done.
    pub(super) fn native_forgets(&mut self, at: usize) {
        let now = self.now;
        let native = self.native(at);
        native.connection = None;
        native.is_established = false;
        if let Some(write) = native.asked.take().and_then(|asked| asked.write) {
            self.oracle
                .answered(write.id, None, now, &mut self.counters);
        }
    }

    /// All is well: each key has what it must have.
    pub(super) fn ask_for_everything(&mut self) {
        for key in 0..KEYS {
            let native = Native {
                last: Some(key),
                ..Native::default()
            };
            let at = self.welcome(Kind::Native(Box::new(native)), Duration::ZERO);
            self.run_until(self.now + TIMEOUT + ON_THE_WAY);
            if self.violation.is_none() && !self.guests[at].has_left {
                self.fail("liveness", format!("key {key} is not answered"));
            }
        }
    }
}
