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

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::coordinate::{Forward, Get, NewPut, Origin, Put, Requests, Running, Terms};
use crate::replica::{Reader, Replica, Task};
use crate::ring::Ring;
use crate::rng::{Rng, Seed};
use crate::store::Completion;
use crate::version::{Births, Boot, Retirements, Seal};
use crate::wire::{Fetched, Message, NotStored, Ticket};
use crate::{Instant, KeyError, NodeId, Now};

use self::env::Mask;

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
    requests: Requests,
    replica: Replica,
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
        Ok(Self {
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
        })
    }

    /// Takes in one event and appends what is to be done about it.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        let mut parts = self.parts(now, effects);
        match event {
            Event::Client {
                client,
                arrived,
                request,
            } => {
                let origin = Origin::Client(client);
                parts.request(origin, request, arrived, None);
            }
            Event::Peer {
                from,
                arrived,
                message,
            } => parts.message(from, arrived, message),
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
        self.requests.next_deadline()
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
            requests,
            replica,
        } = self;
        let env = Env {
            config,
            ring,
            retired,
            births,
            is_nameless,
            rng,
            seal,
            mask: *mask,
            now,
            effects,
        };
        Parts {
            requests,
            replica,
            env,
        }
    }
}

/// The node while it handles one event.
struct Parts<'a> {
    requests: &'a mut Requests,
    replica: &'a mut Replica,
    env: Env<'a>,
}

impl Parts<'_> {
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
        let Request {
            id,
            is_retry,
            key,
            operation,
            options,
        } = request;
        let (fastest, mode, content, condition) = match operation {
            Operation::Get { head } => {
                return Get::start(key, head, fate, requests, replica, env);
            }
            Operation::Put {
                fastest,
                mode,
                content,
                condition,
            } => (fastest, mode, content, condition),
        };
        let put = NewPut {
            id,
            is_retry,
            key,
            fastest,
            mode,
            content,
            condition,
            options,
        };
        let mut on_duty = env.ring.lookup(put.key.token()).primaries(terms.n.into());
        if on_duty.any(|member| member.id == config.node) {
            return Put::start(put, fate, requests, replica, env);
        }
        match origin {
            Origin::Client(_) => Forward::start(put, fate, requests, env),
            Origin::Peer { .. } => refuse(Failure::NoCoordinator, env), // once is enough
        }
    }

    fn message(&mut self, from: NodeId, arrived: Instant, message: Message) {
        let Self {
            requests,
            replica,
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
                Forward::answered(slot(ticket), from, response, requests, env);
            }
            Message::Store {
                ticket,
                durability,
                key,
                siblings,
            } => {
                if replica.load() >= env.config.capacity.peers {
                    env.notify(Notice::Overloaded);
                    let reason = NotStored::Overloaded;
                    return env.send(from, Message::NotStored { ticket, reason });
                }
                let merge = Task::Merge {
                    from,
                    ticket,
                    durability,
                    siblings,
                };
                replica.submit(key.token(), &key, merge, env);
            }
            Message::Stored { ticket, durability } => {
                Put::acked(slot(ticket), from, Ok(durability), requests, env);
            }
            Message::NotStored { ticket, reason } => {
                Put::acked(slot(ticket), from, Err(reason), requests, env);
            }
            Message::Fetch { ticket, key } => {
                if replica.load() >= env.config.capacity.peers {
                    env.notify(Notice::Overloaded);
                    let outcome = Fetched::Failed;
                    return env.send(from, Message::Fetched { ticket, outcome });
                }
                replica.fetch(key.token(), &key, Reader::Peer { from, ticket }, env);
            }
            Message::Fetched { ticket, outcome } => self.fetched(slot(ticket), from, outcome),
            // The driver's own.
            Message::Hello(_)
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
        } = self;
        match requests.get_mut(slot) {
            Some(Running::Get(_)) => Get::vote(slot, from, outcome, requests, replica, env),
            Some(Running::Put(_)) => Put::vote(slot, from, outcome, requests, replica, env),
            Some(Running::Forward(_)) | None => {}
        }
    }

    fn peer_lost(&mut self, peer: NodeId) {
        let Self { requests, env, .. } = self;
        for slot in requests.all() {
            Forward::lost(slot, peer, requests, env);
        }
    }

    /// The node has a name again, and makes the versions that waited for it.
    fn drawn(&mut self, boot: Boot) {
        let Self {
            requests,
            replica,
            env,
        } = self;
        env.births.renew(boot);
        *env.is_nameless = false;
        for slot in requests.all() {
            Put::named(slot, requests, replica, env);
        }
    }

    fn unsent(&mut self, to: NodeId, message: Message) {
        let Self { requests, env, .. } = self;
        if let Message::Request { ticket, .. } = message {
            Forward::unsent(env.mask.slot(ticket.0), to, requests, env);
        }
        // Whatever else was not sent is asked for again by whoever waits for its answer.
    }

    fn stored(&mut self, op: Op, completion: Completion) {
        let Self {
            requests,
            replica,
            env,
        } = self;
        let slot = env.mask.slot(op.0);
        let Some((reader, fetched)) = replica.stored(slot, completion, requests, env) else {
            return;
        };
        match (reader, fetched) {
            (Reader::Request(slot), fetched) => {
                let me = env.me();
                self.fetched(slot, me, fetched);
            }
            (Reader::Spread(slot), fetched) => Put::tell_again(slot, &fetched, requests, env),
            (Reader::Peer { .. }, _) => {}
        }
    }

    /// Looks at every request whose time has come.
    fn tick(&mut self) {
        let Self {
            requests,
            replica,
            env,
        } = self;
        while let Some(slot) = requests.pop_due(env.mono()) {
            match requests.get_mut(slot) {
                Some(Running::Get(_)) => Get::wake(slot, requests, replica, env),
                Some(Running::Put(_)) => Put::wake(slot, requests, replica, env),
                Some(Running::Forward(_)) => Forward::wake(slot, requests, env),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
