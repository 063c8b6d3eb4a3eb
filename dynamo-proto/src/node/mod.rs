//! One node as a pure state machine: events in, effects out.
//!
//! ```text
//!               Event                                  Effect
//!   client ---> Client ----+                     +---> Reply ---> client
//!   peers  ---> Peer ------+---> Node::handle ---+---> Send ----> peers
//!   store  ---> Stored ----+          |          +---> Store ---> store
//!   clock  ---> Tick ------+   next_deadline     +---> Notify, Halt
//! ```
//!
//! [`Node::handle`] never fails and never waits. What must wait for the store waits for
//! [`Event::Stored`]; what must wait for time waits for the moment that
//! [`Node::next_deadline`] names. Effects carry no order of durability among themselves, except
//! that commands on one position of the store take effect in the order in which they were given.
//!
//! The same seed and the same events give the same effects, to the byte.

mod config;
mod deadlines;
mod env;
mod event;
mod request;
mod slots;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::coordinate::{Forward, Get, NewPut, Origin, Put, Requests, Running, Terms, is_owner};
use crate::handoff::{Arrivals, Handoff};
use crate::health::Health;
use crate::replica::{Asker, Outcome, Reader, Replica, Task};
use crate::ring::Ring;
use crate::rng::{Rng, Seed};
use crate::store::Completion;
use crate::version::{Births, Boot, Retirements, Seal};
use crate::wire::{Fetched, Message, NotStored, Ticket};
use crate::{Instant, KeyError, NodeId, Now};

use self::env::Mask;

pub use crate::replica::{Held, HintLimits};
pub use config::{Capacity, Config, ConfigError, Timing};
pub(crate) use deadlines::Deadlines;
pub(crate) use env::Env;
pub use event::{ClientRequest, Effect, Event, Notice, Op, Reason, Targets};
pub use request::{
    Condition, Demand, Failure, Found, Got, Mode, Operation, Options, Request, Response, Written,
};
pub(crate) use slots::{Slot, Slots};

/// A node of a cluster.
pub struct Node {
    config: Arc<Config>,
    ring: Arc<Ring>,
    retired: Retirements,
    births: Births,
    /// Whether a new boot has been asked for and not come yet.
    is_nameless: bool,
    rng: Rng,
    seal: Seal,
    mask: Mask,
    health: Health,
    requests: Requests,
    replica: Replica,
    handoff: Handoff,
    arrivals: Arrivals,
    /// When this node was last there, and whether it ever was.
    last: Option<Instant>,
}

impl Node {
    /// A node that starts now. `boot` must be drawn from good randomness at every start.
    pub fn new(
        config: Arc<Config>,
        ring: Arc<Ring>,
        boot: Boot,
        seed: Seed,
    ) -> Result<Self, ConfigError> {
        config.check(&ring)?;
        let mut rng = Rng::new(seed);
        let others = ring.members().iter().map(|member| member.id);
        let others = others.filter(|node| *node != config.node);
        let Timing {
            retry_after,
            slow_store,
            ..
        } = config.timing;
        let health = Health::new(others, retry_after, slow_store);
        Ok(Self {
            health,
            ring,
            retired: Retirements::default(),
            births: Births::new(config.node, boot),
            is_nameless: false,
            seal: Seal::new(config.secret),
            // Not from the seed: an equal seed must not make two boots answer to one ticket.
            mask: Mask(boot.0 ^ rng.number()),
            rng,
            config,
            requests: Requests::new(),
            replica: Replica::new(),
            handoff: Handoff::new(),
            arrivals: Arrivals::new(),
            last: None,
        })
    }

    /// Takes in one event and appends what is to be done about it.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        let due = self.next_deadline();
        let last = self.last.replace(now.mono);
        let mut parts = self.parts(now, effects);
        parts.wake_up(last, due);
        match event {
            Event::Client {
                client,
                arrived,
                request,
            } => {
                let origin = Origin::Client { client, arrived };
                parts.request(origin, request, arrived, None);
            }
            Event::Peer {
                from,
                arrived,
                message,
            } => parts.arrived(from, arrived, message),
            Event::PeerLost { peer } => parts.peer_lost(peer),
            Event::Unsent { to, message } => parts.unsent(to, message),
            Event::Stored { op, completion } => parts.stored(op, completion),
            Event::Drawn { boot } => parts.drawn(boot),
            Event::Tick => {}
        }
        parts.tick();
    }

    /// When to come back with [`Event::Tick`] at the latest, if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.last.is_none() {
            return Some(Instant::default()); // to count what it holds for others
        }
        let deadlines = [
            self.requests.next_deadline(),
            self.health.next_probe(),
            self.handoff.next_deadline(&self.replica),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Which node this is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.node
    }

    /// How many requests are under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.requests.len()
    }

    /// How much this node holds for others that are away.
    #[must_use]
    pub fn held(&self) -> Held {
        self.replica.inventory.all()
    }

    /// How many changes and store commands are under way.
    #[must_use]
    pub fn load(&self) -> usize {
        self.replica.load()
    }

    fn parts<'a>(&'a mut self, now: Now, effects: &'a mut Vec<Effect>) -> Parts<'a> {
        let Self {
            config,
            ring,
            retired,
            births,
            is_nameless,
            rng,
            seal,
            mask,
            health,
            requests,
            replica,
            handoff,
            arrivals,
            last: _,
        } = self;
        let env = Env {
            config,
            ring,
            retired,
            births,
            is_nameless,
            rng,
            seal,
            health,
            mask: *mask,
            now,
            effects,
        };
        Parts {
            requests,
            replica,
            handoff,
            arrivals,
            env,
        }
    }
}

/// The node while it handles one event.
struct Parts<'a> {
    requests: &'a mut Requests,
    replica: &'a mut Replica,
    handoff: &'a mut Handoff,
    arrivals: &'a mut Arrivals,
    env: Env<'a>,
}

impl Parts<'_> {
    /// What comes first: of all, and after a pause.
    fn wake_up(&mut self, last: Option<Instant>, due: Option<Instant>) {
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
    fn request(
        &mut self,
        origin: Origin,
        request: Request,
        arrived: Instant,
        patience: Option<core::time::Duration>,
    ) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        let config = env.config;
        let refuse = |failure, env: &mut Env<'_>| env.answer(origin, Response::Failed(failure));
        let most = planted!(CapacityIgnored ? usize::MAX; config.capacity.requests);
        if requests.len() >= most || replica.is_full(env) {
            env.notify(Notice::Overloaded);
            return refuse(Failure::Overloaded, env);
        }
        if let Err(KeyError::TooLong { part, len, limit }) = request.key.check(&config.limits) {
            return refuse(Failure::KeyTooLong { part, len, limit }, env);
        }
        let terms = match Terms::of(&request.options, config.buckets.of(&request.key)) {
            Ok(terms) => terms,
            Err(demand) => return refuse(Failure::Invalid(demand), env),
        };
        let timeout = request.options.timeout.unwrap_or(config.timing.timeout);
        let timeout = timeout
            .min(patience.unwrap_or(timeout))
            .min(config.timing.longest_timeout);
        let deadline = arrived + timeout;
        if deadline <= env.mono() {
            return refuse(Failure::Expired, env);
        }
        let fate = (origin, terms, deadline);
        if let Operation::Get { head } = request.operation {
            return Get::start(request.key, head, fate, requests, replica, env);
        }
        let Some(put) = NewPut::of(request) else {
            return;
        };
        let mut on_duty = env.ring.lookup(put.key.token()).primaries(terms.n.into());
        let is_on_duty = on_duty.any(|member| member.id == config.node);
        match origin {
            // Where the disk is slow others had better do it, if there are any.
            Origin::Client { .. } if is_on_duty && !env.health.is_store_slow(env.now.mono) => {
                Put::start(put, fate, requests, replica, env);
            }
            Origin::Client { .. } => Forward::start(put, fate, requests, replica, env),
            // Passing it on once is enough. Whoever chose this node knows of nobody better.
            Origin::Peer { .. } if is_on_duty || !is_owner(&put.key, env) => {
                Put::start(put, fate, requests, replica, env);
            }
            Origin::Peer { .. } => refuse(Failure::NoCoordinator, env),
        }
    }

    /// A message came, perhaps by way of another node.
    fn arrived(&mut self, from: NodeId, arrived: Instant, message: Message) {
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
        match &message {
            Message::Stored { .. }
            | Message::NotStored { .. }
            | Message::Fetched { .. }
            | Message::Response { .. }
            | Message::HandedOff { .. } => self.answered(from, via),
            Message::Pong { ticket } if self.env.health.is_pong(*ticket, self.env.mask.0) => {
                self.answered(from, via);
            }
            Message::Store { .. }
            | Message::Fetch { .. }
            | Message::Request { .. }
            | Message::Handoff { .. } => self.env.health.heard(from, via),
            _ => {}
        }
        let Self {
            requests,
            replica,
            handoff,
            arrivals,
            env,
        } = self;
        let mask = env.mask;
        let slot = |ticket: Ticket| mask.slot(ticket.0);
        match message {
            Message::Request {
                ticket,
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
                if held_for.is_some() && !replica.inventory.is_complete {
                    // Until it is known how much is held, no more is.
                    let reason = NotStored::Overloaded;
                    return env.send(from, Message::NotStored { ticket, reason });
                }
                let merge = Task::Merge {
                    asker: Asker::Peer { from, ticket },
                    durability,
                    held_for,
                    is_repair,
                    siblings,
                };
                replica.submit(&key, merge, env);
            }
            Message::Stored { ticket, durability } => {
                Put::acked(slot(ticket), from, Ok(durability), requests, replica, env);
            }
            Message::NotStored { ticket, reason } => {
                Put::acked(slot(ticket), from, Err(reason), requests, replica, env);
            }
            Message::Fetch {
                ticket,
                held_for,
                key,
            } => {
                if replica.load() >= env.config.capacity.peers {
                    env.notify(Notice::Overloaded);
                    let outcome = Fetched::Failed;
                    return env.send(from, Message::Fetched { ticket, outcome });
                }
                let reader = Reader::Peer { from, ticket };
                replica.fetch(&key, held_for.is_some(), reader, env);
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
                arrivals.take(from, ticket, copies, replica, env);
            }
            Message::HandedOff {
                ticket,
                taken,
                credit,
            } => {
                let fate = (taken, credit);
                handoff.handed_off(slot(ticket), from, fate, replica, requests, env);
            }
            // Dealt with above, and the driver's own.
            Message::Pong { .. }
            | Message::Relay { .. }
            | Message::Hello(_)
            | Message::Welcome(_)
            | Message::Refused(_)
            | Message::Unsupported(_) => {}
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
            Some(Running::Forward(_)) | None => {}
        }
    }

    /// A node answers: it is there.
    fn answered(&mut self, from: NodeId, via: Option<NodeId>) {
        let now = self.env.mono();
        if self.env.health.answered(from, via, now) {
            self.env.notify(Notice::Trusted { peer: from });
            self.handoff.hurry(from, now);
        }
    }

    fn peer_lost(&mut self, peer: NodeId) {
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

    /// The node has a name again, and makes the versions that waited for it.
    fn drawn(&mut self, boot: Boot) {
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

    fn unsent(&mut self, to: NodeId, message: Message) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        let (to, message) = match message {
            Message::Relay { to, message, .. } => (to, *message),
            message => (to, message),
        };
        env.unreachable(to);
        if let Message::Request { ticket, .. } = message {
            Forward::unsent(env.mask.slot(ticket.0), to, requests, replica, env);
        }
        // Whatever else was not sent is asked for again by whoever waits for its answer.
    }

    fn stored(&mut self, op: Op, completion: Completion) {
        let Self {
            requests,
            replica,
            handoff,
            arrivals,
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
            Some(Outcome::Walked(walk, page)) => {
                handoff.walked(walk, page, replica, requests, env);
            }
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
            Some(Outcome::Read(Reader::Peer { .. }, _)) | None => {}
        }
    }

    /// Looks at every request whose time has come.
    fn tick(&mut self) {
        let Self {
            requests,
            replica,
            handoff,
            env,
            ..
        } = self;
        while let Some(slot) = requests.pop_due(env.mono()) {
            match requests.get_mut(slot) {
                Some(Running::Get(_)) => Get::wake(slot, requests, replica, env),
                Some(Running::Put(_)) => Put::wake(slot, requests, replica, env),
                Some(Running::Forward(_)) => Forward::wake(slot, requests, env),
                None => {}
            }
        }
        handoff.tick(replica, requests, env);
        let (me, mask, now) = (env.me(), env.mask.0, env.mono());
        env.health.probe(me, mask, now, env.rng, env.effects);
    }
}

#[cfg(test)]
mod tests;
