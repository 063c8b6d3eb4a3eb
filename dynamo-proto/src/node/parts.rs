//! What becomes of one event.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::coordinate::{
    Forward, Get, List, Look, NewPut, Origin, Put, Requests, Running, Terms, is_owner,
};
use crate::entropy::Entropy;
use crate::handoff::{Arrivals, Batch, Handoff};
use crate::membership::ShortEpoch;
use crate::moving::{Moving, Shows};
use crate::replica::{Asker, Lister, Looks, Outcome, Reader, Replica, Task, Walker};
use crate::store::{Address, Completion, Space};
use crate::version::Boot;
use crate::wire::{Exchange, Fetched, Message, NotStored, Ticket};
use crate::{Instant, KeyError, NodeId};

use super::{
    Env, Failure, Few, Listed, Notice, Op, Operation, Request, Response, Slot, Unsent,
    members::Members,
};

/// The node while it handles one event.
pub(super) struct Parts<'a> {
    pub(super) requests: &'a mut Requests,
    pub(super) replica: &'a mut Replica,
    pub(super) handoff: &'a mut Handoff,
    pub(super) arrivals: &'a mut Arrivals,
    pub(super) moving: &'a mut Moving,
    pub(super) shows: &'a mut Shows,
    pub(super) entropy: &'a mut Entropy,
    pub(super) looks: &'a mut Looks,
    pub(super) members: &'a mut Members,
    pub(super) env: Env<'a>,
}

impl Parts<'_> {
    /// What comes first: of all, and after a pause.
    pub(super) fn wake_up(&mut self, last: Option<Instant>, due: Option<Instant>) {
        let (now, patience) = (self.env.mono(), self.env.config.timing.retry_after);
        match (last, due) {
            (None, _) => self.replica.count(&mut self.env),
            // Should have been woken long ago: it was this node that was not there.
            (Some(_), Some(due)) if now.since(due) >= patience => {
                self.env.health.was_away(now);
                self.env.notify(Notice::WasAway);
            }
            _ => {}
        }
    }

    /// A request arrives, from a client or forwarded. `patience` is how long who forwarded it
    /// waits.
    pub(super) fn request(
        &mut self,
        origin: Origin,
        request: Request,
        arrived: Instant,
        patience: Option<core::time::Duration>,
    ) {
        let Self {
            requests,
            replica,
            looks,
            env,
            ..
        } = self;
        let config = env.config;
        let refuse = |failure, env: &mut Env<'_>| env.answer(origin, Response::Failed(failure));
        if !env.view.is_serving {
            return refuse(Failure::NotServing, env);
        }
        let timeout = request.options.timeout.unwrap_or(config.timing.timeout);
        let timeout = timeout
            .min(patience.unwrap_or(timeout))
            .min(config.timing.longest_timeout);
        let most = planted!(CapacityIgnored ? usize::MAX; config.capacity.requests);
        let is_behind = replica.is_behind(timeout, env);
        // What others can do needs nothing of a store that has too much to do.
        let is_for_others = matches!(origin, Origin::Client { .. })
            && !request.options.only_here
            && matches!(request.operation, Operation::Put { .. })
            && !is_owner(&request.key, env);
        if requests.len() >= most || (is_behind && !is_for_others) {
            env.notify(Notice::Overloaded);
            return refuse(Failure::Overloaded, env);
        }
        if let Err(KeyError::TooLong { part, len, limit }) = request.key.check(&config.limits) {
            return refuse(Failure::KeyTooLong { part, len, limit }, env);
        }
        let terms = match Terms::of(&request.options, env.view.buckets.of(&request.key)) {
            Ok(terms) => terms,
            Err(demand) => return refuse(Failure::Invalid(demand), env),
        };
        let deadline = arrived + timeout;
        if deadline <= env.mono() {
            return refuse(Failure::Expired, env);
        }
        let fate = (origin, terms, deadline);
        match request.operation {
            Operation::Get { head, ref seen } => {
                let past = match seen.is_empty() {
                    true => Ok(None),
                    false => env.seal.open_seen(&request.key, seen).map(Some),
                };
                match past {
                    Ok(seen) => Get::start(request.key, (head, seen), fate, requests, replica, env),
                    Err(error) => refuse(error.into(), env),
                }
                return;
            }
            Operation::Fetch { ring } => {
                let fate = (origin, deadline);
                return Look::start(request.key, ring, fate, requests, replica, env);
            }
            Operation::List(listing) => {
                return List::start(request.key, listing, fate, requests, looks, replica, env);
            }
            Operation::Put { .. } | Operation::Update { .. } => {}
        }
        let Some(put) = NewPut::of(request) else {
            return;
        };
        let is_on_duty = (env.view).is_on_duty(config.node, put.key.token(), terms.n.into());
        match origin {
            Origin::Client { .. } if put.options.only_here => {
                if !is_on_duty {
                    return refuse(Failure::NoCoordinator, env);
                }
                Put::start(put, fate, requests, replica, env);
            }
            // Where the disk is slow others had better do it, if there are any.
            Origin::Client { .. } if is_on_duty && !env.health.is_store_slow(env.now.mono) => {
                Put::start(put, fate, requests, replica, env);
            }
            Origin::Client { .. } if is_behind => {
                Forward::start_once(put, fate, Failure::Overloaded, requests, env);
            }
            Origin::Client { .. } => Forward::start(put, fate, requests, replica, env),
            // Passing it on once is enough. Whoever chose this node knows of nobody better.
            Origin::Peer { .. } if is_on_duty || !is_owner(&put.key, env) => {
                Put::start(put, fate, requests, replica, env);
            }
            Origin::Peer { .. } | Origin::Nobody => refuse(Failure::NoCoordinator, env),
        }
    }

    /// A message came, perhaps by way of another node.
    pub(super) fn arrived(&mut self, from: NodeId, arrived: Instant, message: Message) {
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

    /// Running writes go by other rings from now on.
    pub(super) fn ring_changed(&mut self) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        for slot in requests.all() {
            Put::ring_changed(slot, requests, replica, env);
        }
    }

    fn fetched(&mut self, slot: Slot, from: NodeId, outcome: Fetched) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        match requests.get_mut(slot) {
            Some(Running::Get(_)) => Get::vote(slot, from, outcome, requests, replica, env),
            Some(Running::Put(_)) => Put::vote(slot, from, outcome, requests, replica, env),
            Some(Running::Look(_)) => Look::found(slot, outcome, requests, env),
            Some(Running::Forward(_) | Running::List(_)) | None => {}
        }
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

    pub(super) fn peer_lost(&mut self, peer: NodeId) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        env.unreachable(peer);
        for slot in requests.all() {
            Forward::lost(slot, peer, requests, replica, env);
        }
    }

    pub(super) fn damaged(&mut self, space: Space, at: Address) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        Get::mend(space, at, requests, replica, env);
    }

    /// The node has a name again, and makes the versions that waited for it.
    pub(super) fn drawn(&mut self, boot: Boot) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        env.births.renew(boot);
        *env.is_nameless = false;
        for slot in requests.all() {
            Put::named(slot, requests, replica, env);
        }
    }

    /// A message did not leave. What is not dealt with here is asked for again by whoever waits for
    /// its answer.
    pub(super) fn unsent(&mut self, to: NodeId, message: Message, why: Unsent) {
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

    pub(super) fn stored(&mut self, op: Op, completion: Completion) {
        let Self {
            requests,
            replica,
            handoff,
            arrivals,
            moving,
            shows,
            entropy,
            looks,
            members,
            env,
        } = self;
        let slot = env.mask.slot(op.0);
        let outcome = replica.stored(slot, completion, requests, env);
        arrivals.settle(replica, env);
        let mut kept = core::mem::take(&mut replica.kept);
        for slot in kept.drain(..) {
            Put::settle(slot, requests, replica, env);
        }
        replica.kept = kept;
        match outcome {
            Some(Outcome::Saved(is_safe)) => {
                let patience = env.config.timing.retry_after;
                members.saved(is_safe, env.now.mono, patience);
            }
            Some(Outcome::Walked(walker, slot, page)) => match walker {
                Walker::Handoff => handoff.walked(slot, page, replica, arrivals, env),
                Walker::Moving => moving.listed(slot, page, replica, env),
                Walker::Showing => shows.listed(slot, page, replica, env),
                Walker::Audit => entropy.audited(page, replica, env),
                Walker::Exchange => entropy.listed(slot, page, replica, env),
                Walker::Answer => entropy.answer(slot, page, replica, env),
                Walker::Listing => {
                    if let Some((slot, question, listed)) = looks.found(slot, page, env) {
                        let me = env.me();
                        List::answered(slot, me, question, listed, requests, env);
                    }
                }
            },
            Some(Outcome::Read(Reader::Request(slot), fetched)) => {
                let me = env.me();
                self.fetched(slot, me, fetched);
            }
            Some(Outcome::Read(Reader::Spread(slot), fetched)) => {
                Put::tell_again(slot, &fetched, requests, env);
            }
            Some(Outcome::Read(Reader::Keep(slot), fetched)) => {
                let siblings = match fetched {
                    Fetched::Found(siblings) => siblings,
                    Fetched::Absent | Fetched::Damaged | Fetched::Failed => Default::default(),
                };
                Put::keep(slot, &siblings, requests, replica, env);
            }
            Some(Outcome::Read(Reader::Held { .. } | Reader::Peer { .. }, _)) | None => {}
        }
    }

    /// Looks at every request whose time has come.
    pub(super) fn tick(&mut self) {
        let Self {
            requests,
            replica,
            handoff,
            arrivals,
            moving,
            entropy,
            shows,
            looks,
            members,
            env,
        } = self;
        while let Some(slot) = requests.pop_due(env.mono()) {
            match requests.get_mut(slot) {
                Some(Running::Get(_)) => Get::wake(slot, requests, replica, env),
                Some(Running::Put(_)) => Put::wake(slot, requests, replica, env),
                Some(Running::Forward(_)) => Forward::wake(slot, requests, env),
                Some(Running::List(_)) => List::wake(slot, requests, looks, replica, env),
                Some(Running::Look(_)) => Look::wake(slot, requests, env),
                None => {}
            }
        }
        while let Some((batch, taken)) = arrivals.pop_done() {
            match batch {
                Batch::Levelled(slot) => {
                    entropy.kept(slot, taken != 0, replica, env);
                }
                Batch::Moved(slot) => moving.kept(slot, taken != 0, replica, arrivals, env),
                Batch::Home(ticket) => {
                    let fate = (taken, u32::MAX);
                    let slot = env.mask.slot(ticket.0);
                    handoff.handed_off(slot, env.me(), fate, replica, env);
                }
                Batch::Peer { .. } => {}
            }
        }
        let changed = members.is_other().then(|| members.membership());
        if let Some(epoch) = moving.tick(changed, replica, env) {
            members.moved(epoch);
        }
        shows.tick(replica, env);
        handoff.tick(replica, env);
        let epoch = members.membership().epoch();
        entropy.tick(epoch, replica, env);
        let (me, mask, now) = (env.me(), env.mask.0, env.mono());
        env.health.probe(me, mask, now, env.rng, env.effects);
    }
}
