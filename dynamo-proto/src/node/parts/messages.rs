//! What other nodes say, to whom of this node it goes, and what becomes of what did not leave.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Parts;
use crate::coordinate::{Forward, List, Origin, Put, is_owner};
use crate::handoff::Batch;
use crate::membership::ShortEpoch;
use crate::node::{Failure, Few, Listed, Notice, Response, Unsent};
use crate::replica::{Asker, Lister, Reader, Task};
use crate::wire::{Exchange, Fetched, Message, NotStored, Ticket};
use crate::{Instant, NodeId};

impl Parts<'_> {
    /// A message came, perhaps by way of another node.
    pub(in crate::node) fn arrived(&mut self, from: NodeId, arrived: Instant, message: Message) {
        let Message::Relay {
            from: origin,
            to,
            message,
        } = message
        else {
            return self.message(from, None, arrived, message);
        };
        if to == self.env.me() {
            return self.message(origin, Some(from), arrived, *message);
        }
        // Once is enough.
        if self.env.health.via(to).is_none() {
            let message = Message::Relay {
                from: origin,
                to,
                message,
            };
            self.env.send(to, message);
        }
    }

    fn message(&mut self, from: NodeId, via: Option<NodeId>, arrived: Instant, message: Message) {
        if !self.env.view.is_serving && self.turn_away(from, &message) {
            return;
        }
        if let Some(epoch) = message.epoch() {
            self.met(from, epoch);
        }
        match &message {
            Message::Stored { .. }
            | Message::NotStored { .. }
            | Message::Fetched { .. }
            | Message::Response { .. }
            | Message::HandedOff { .. }
            | Message::Listed { .. }
            | Message::Compared { .. }
            | Message::Exchange(Exchange::Unequal { .. }) => self.answered(from, via),
            Message::Pong { ticket } if self.env.health.is_pong(*ticket, self.env.mask.0) => {
                self.answered(from, via);
            }
            Message::Store { .. }
            | Message::Fetch { .. }
            | Message::Request { .. }
            | Message::Handoff { .. }
            | Message::List { .. }
            | Message::Compare { .. }
            | Message::Exchange(_) => self.env.health.heard(from, via),
            _ => {}
        }
        let Self {
            requests,
            replica,
            handoff,
            arrivals,
            moving,
            shows,
            entropy,
            looks,
            retiring: _,
            members: _,
            env,
        } = self;
        let mask = env.mask;
        let slot = |ticket: Ticket| mask.slot(ticket.0);
        match message {
            Message::Request {
                ticket,
                epoch: _,
                patience,
                request,
            } => {
                let origin = Origin::Peer { node: from, ticket };
                self.request(origin, request, arrived, Some(patience));
            }
            Message::Response { ticket, response } => {
                Forward::answered(slot(ticket), from, response, requests, replica, env);
            }
            Message::Store {
                ticket,
                epoch: _,
                durability,
                held_for,
                is_repair,
                key,
                siblings,
            } => {
                if replica.load() >= env.config.capacity.peers {
                    env.notify(Notice::Overloaded);
                    let reason = NotStored::Overloaded;
                    return env.send(from, Message::NotStored { ticket, reason });
                }
                // Who sends it does not know yet that others are on duty: it is held for them.
                let n = usize::from(env.view.buckets.of(&key).n);
                let is_stray = held_for.is_none() && env.view.was_moved && !is_owner(&key, env);
                let owners = || -> Few {
                    let list = env.view.ring.lookup(key.token());
                    list.primaries(n).map(|member| member.id).collect()
                };
                let owners = if is_stray { owners() } else { Few::new() };
                let held_for = match is_stray {
                    true => owners.first().copied(),
                    false => held_for,
                };
                if held_for == Some(env.me()) {
                    let reason = NotStored::Failed;
                    return env.send(from, Message::NotStored { ticket, reason });
                }
                if held_for.is_some() && !replica.inventory.is_complete {
                    // Until it is known how much is held, no more is.
                    let reason = NotStored::Overloaded;
                    return env.send(from, Message::NotStored { ticket, reason });
                }
                let merge = Task::Merge {
                    asker: Asker::Peer {
                        from,
                        ticket,
                        arrived,
                    },
                    durability,
                    held_for,
                    is_repair,
                    siblings,
                };
                replica.submit(&key, merge, env);
                if let Some(owner) = held_for.filter(|_| is_stray) {
                    let instead = owners;
                    replica.submit(&key, Task::Rehold { owner, instead }, env);
                }
            }
            Message::Stored { ticket, durability } => {
                Put::acked(slot(ticket), from, Ok(durability), requests, replica, env);
            }
            Message::NotStored { ticket, reason } => {
                Put::acked(slot(ticket), from, Err(reason), requests, replica, env);
            }
            Message::Fetch {
                ticket,
                epoch: _,
                held_for,
                key,
            } => {
                if replica.load() >= env.config.capacity.peers {
                    env.notify(Notice::Overloaded);
                    let outcome = Fetched::Failed;
                    return env.send(from, Message::Fetched { ticket, outcome });
                }
                let reader = Reader::Peer {
                    from,
                    ticket,
                    arrived,
                };
                let is_hint = held_for.is_some() && !is_owner(&key, env);
                replica.fetch(&key, is_hint, reader, env);
            }
            Message::Fetched { ticket, outcome } => self.fetched(slot(ticket), from, outcome),
            Message::Ping { ticket } => {
                let pong = Message::Pong { ticket };
                match via {
                    // The way it came, whatever is known of others.
                    Some(relay) => {
                        let message = Message::Relay {
                            from: env.me(),
                            to: from,
                            message: Box::new(pong),
                        };
                        env.send(relay, message);
                    }
                    None => env.send_directly(from, pong),
                }
            }
            Message::Handoff { ticket, copies } => {
                arrivals.take(Batch::Peer { from, ticket }, copies, replica, env);
            }
            Message::HandedOff {
                ticket,
                taken,
                credit,
            } => {
                let fate = (taken, credit);
                if let Some(slot) = mask.exchange(ticket) {
                    return entropy.handed_off(slot, from, fate, replica, env);
                }
                handoff.handed_off(slot(ticket), from, fate, replica, env);
            }
            Message::Compare {
                ticket,
                span,
                credit,
                known,
                seen,
            } => shows.ask((from, ticket), span, credit, (&known, seen), replica, env),
            Message::Compared {
                ticket,
                lacking,
                rest,
                copies,
            } => {
                let answer = (copies, lacking, rest);
                if let Some(slot) = mask.exchange(ticket) {
                    return entropy.compared(slot, from, answer, replica, arrivals, env);
                }
                moving.compared(slot(ticket), from, answer, replica, arrivals, env);
            }
            Message::Exchange(exchange) => {
                entropy.heard(from, exchange, replica, env);
            }
            Message::List {
                ticket,
                question,
                key,
                listing,
            } => {
                let asker = Lister::Peer(from, ticket, question);
                looks.ask(asker, key, listing, replica, env);
            }
            Message::Listed {
                ticket,
                question,
                listed,
            } => List::answered(slot(ticket), from, question, listed, requests, env),
            // Dealt with above, and the driver's own.
            Message::Pong { .. }
            | Message::Relay { .. }
            | Message::Gossip(_)
            | Message::Admin { .. }
            | Message::Administered { .. }
            | Message::AskDirectory { .. }
            | Message::Directory { .. }
            | Message::NewEpoch(_)
            | Message::Hello(_)
            | Message::Welcome(_)
            | Message::Refused(_)
            | Message::Unsupported(_) => {}
        }
    }

    /// A node asks by that epoch. One that lags behind learns so now and not from the next rounds of
    /// gossip.
    fn met(&mut self, from: NodeId, epoch: ShortEpoch) {
        if epoch == self.env.view.epoch || planted!(EpochUnread ? true; false) {
            return;
        }
        self.handoff.met(epoch.height());
        let (now, members) = (self.env.mono(), &mut self.members);
        if members.met(now, from, epoch) {
            self.env.notify(Notice::OtherEpoch { peer: from });
        }
    }

    /// A node that serves nothing says so, or leaves it to be asked again if it soon may. Returns
    /// whether it was asked for anything.
    fn turn_away(&mut self, from: NodeId, message: &Message) -> bool {
        let is_over = self.env.view.is_over;
        let answer = match *message {
            Message::Store { ticket, .. } => Message::NotStored {
                ticket,
                reason: match is_over {
                    true => NotStored::Failed,
                    false => NotStored::Overloaded,
                },
            },
            Message::Fetch { ticket, .. } => Message::Fetched {
                ticket,
                outcome: Fetched::Failed,
            },
            Message::Request { ticket, .. } => Message::Response {
                ticket,
                response: Response::Failed(Failure::NoCoordinator),
            },
            Message::Handoff { ticket, .. } => Message::HandedOff {
                ticket,
                taken: 0,
                credit: 0,
            },
            Message::Compare {
                ticket, ref span, ..
            } => Message::Compared {
                ticket,
                lacking: u64::MAX,
                rest: Some(span.first().clone()),
                copies: Vec::new(),
            },
            Message::List {
                ticket,
                question,
                ref listing,
                ..
            } => Message::Listed {
                ticket,
                question,
                listed: Listed {
                    keys: Vec::new(),
                    rest: Some(listing.span.first().clone()),
                },
            },
            _ => return false,
        };
        self.env.send_directly(from, answer);
        true
    }

    /// A node answers: it is there.
    fn answered(&mut self, from: NodeId, via: Option<NodeId>) {
        let now = self.env.mono();
        self.members.is_there(now, from);
        if self.env.health.answered(from, via, now) {
            self.env.notify(Notice::Trusted { peer: from });
            self.handoff.hurry(from, now);
            self.entropy.hurry(from, now);
        }
    }

    /// A message did not leave. What is not dealt with here is asked for again by whoever waits for
    /// its answer.
    pub(in crate::node) fn unsent(&mut self, to: NodeId, message: Message, why: Unsent) {
        let Self {
            requests,
            replica,
            handoff,
            entropy,
            env,
            ..
        } = self;
        let len = message.encoded_len();
        let (to, message, is_relayed) = match message {
            Message::Relay {
                from, to, message, ..
            } if from == env.me() => (to, *message, true),
            message => (to, message, false),
        };
        match why {
            // That there is no direct way is no news of a node that is spoken to by way of another.
            Unsent::Unreachable if is_relayed || env.health.via(to).is_none() => {
                env.unreachable(to);
            }
            Unsent::Unreachable | Unsent::Full => {}
            Unsent::TooLong => env.notify(Notice::TooLong {
                to,
                bytes: len as u64,
            }),
        }
        let mask = env.mask;
        let slot = |ticket: Ticket| mask.slot(ticket.0);
        match message {
            Message::Request { ticket, .. } => {
                Forward::unsent(slot(ticket), to, requests, replica, env);
            }
            Message::Handoff { ticket, .. } if mask.exchange(ticket).is_some() => {
                if let Some(slot) = mask.exchange(ticket) {
                    entropy.unsent(slot, env);
                }
            }
            Message::Handoff { ticket, .. } => {
                let is_too_long = why == Unsent::TooLong;
                handoff.unsent(slot(ticket), is_too_long, replica, env);
            }
            Message::Store { ticket, .. } if why == Unsent::TooLong => {
                Put::untellable(slot(ticket), to, requests, replica, env);
            }
            Message::Fetched { ticket, .. } if why == Unsent::TooLong => {
                let outcome = Fetched::Failed;
                env.send(to, Message::Fetched { ticket, outcome });
            }
            _ => {}
        }
    }
}
