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
mod listing;
mod members;
mod parts;
mod places;
mod request;
mod retiring;
mod slots;
mod start;
mod view;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::coordinate::{Origin, Requests};
use crate::entropy::{self, Entropy};
use crate::handoff::{Arrivals, Handoff};
use crate::health::Health;
use crate::membership::{
    Change, CommitError, Epoch, Membership, Output, Plan, PlanError, StageError, To,
};
use crate::moving::{Moving, Shows};
use crate::replica::{Looks, Replica};
use crate::ring::Ring;
use crate::rng::{Rng, Seed};
use crate::upkeep::Admission;
use crate::version::{Births, Boot, Retirements, Seal};
use crate::wire::Message;
use crate::{Buckets, Instant, NodeId, Now};

use self::env::Mask;
use self::members::Members;
use self::parts::Parts;
use self::retiring::Retiring;
pub(crate) use self::view::{Few, View};

#[doc(hidden)] // for benches
pub use crate::entropy::BareTrees;
pub use crate::entropy::{Agreement, Level, TreeCheck, check_tree};
pub use crate::replica::{Held, HintLimits};
pub use config::{Capacity, Config, ConfigError, Timing};
pub(crate) use deadlines::Deadlines;
pub(crate) use env::Env;
pub use event::{ClientRequest, Effect, Event, Notice, Op, Reason, Targets, Unsent};
pub use listing::{Listed, Listing, MOST_LISTED, Scope};
pub(crate) use places::Places;
pub use request::{
    Condition, Demand, Failure, Found, Got, Kept, Mode, Operation, Options, Request, Response,
    Written,
};
pub(crate) use slots::{Slot, Slots};
pub use start::{Known, ReadFailed, Start};

/// A node of a cluster.
pub struct Node {
    config: Arc<Config>,
    members: Members,
    view: View,
    retired: Arc<Retirements>,
    births: Births,
    /// Whether a new boot has been asked for and not come yet.
    is_nameless: bool,
    rng: Rng,
    seal: Seal,
    mask: Mask,
    health: Health,
    admission: Admission,
    requests: Requests,
    replica: Replica,
    handoff: Handoff,
    arrivals: Arrivals,
    moving: Moving,
    shows: Shows,
    entropy: Entropy,
    looks: Looks,
    retiring: Retiring,
    /// When this node was first and last there, and whether it ever was.
    began: Instant,
    last: Option<Instant>,
}

impl Node {
    /// A node that starts now. `boot` must be drawn from good randomness at every start.
    pub fn new(
        config: Arc<Config>,
        start: Start,
        boot: Boot,
        seed: Seed,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let mut rng = Rng::new(seed);
        let me = start.member.clone();
        let membership = start.membership(&config, boot, Seed(!seed.0))?;
        let mut members = Members::new(membership, me);
        let view = members.view()?;
        let retired = members.membership().retired().clone();
        let Timing {
            retry_after,
            slow_store,
            target,
            ..
        } = config.timing;
        let node = config.node;
        let mut health = Health::new(node, retry_after, slow_store);
        health.follow(&view.present);
        let mut replica = Replica::new(node);
        if view.is_serving {
            entropy::cut(&view, &config, &mut replica);
        }
        Ok(Self {
            health,
            admission: Admission::new(target),
            members,
            view,
            retired,
            births: Births::new(config.node, boot),
            is_nameless: false,
            seal: Seal::new(config.secret),
            // Not from the seed: an equal seed must not make two boots answer to one ticket.
            mask: Mask(boot.0 ^ rng.number()),
            rng,
            config,
            requests: Requests::new(),
            replica,
            handoff: Handoff::new(),
            arrivals: Arrivals::new(),
            began: Instant::default(),
            moving: Moving::new(),
            shows: Shows::new(),
            entropy: Entropy::new(Seed(seed.0.rotate_left(32))),
            looks: Looks::new(),
            retiring: Retiring::default(),
            last: None,
        })
    }

    /// Takes in one event and appends what is to be done about it.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        let last = self.last;
        // All that was due then was done then, so no deadline has been due for longer.
        let patience = self.config.timing.retry_after;
        let is_late = last.is_some_and(|last| now.mono.since(last) >= patience);
        let due = is_late.then(|| self.next_deadline()).flatten();
        self.last = Some(now.mono);
        if last.is_none() {
            self.began = now.mono;
        }
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
                message: Message::Gossip(gossip),
                ..
            } => parts.members.heard(now, from, gossip),
            Event::Peer {
                from,
                arrived,
                message,
            } => parts.arrived(from, arrived, message),
            Event::PeerLost { peer } => parts.peer_lost(peer),
            Event::Unsent { to, message, why } => parts.unsent(to, message, why),
            Event::Stored { op, completion } => parts.stored(op, completion),
            Event::Damaged { space, at } => parts.damaged(space, at),
            Event::Drawn { boot } => parts.drawn(boot),
            Event::Tick => {}
        }
        self.members.tick(now);
        self.follow(now, effects);
        self.parts(now, effects).tick();
        // It may have got the last of what it is on duty for.
        self.follow(now, effects);
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
            self.moving.next_deadline(),
            self.view
                .is_serving
                .then(|| self.entropy.next_deadline(&self.replica))
                .flatten(),
            self.shows.next_deadline(),
            self.members.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Which node this is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.node
    }

    /// The ring that this node works by.
    #[must_use]
    pub fn ring(&self) -> &Arc<Ring> {
        &self.view.ring
    }

    /// How keys are kept, as far as this node knows.
    #[must_use]
    pub fn buckets(&self) -> &Arc<Buckets> {
        &self.view.buckets
    }

    /// The ring by which it reads: whose owners have all that was acknowledged.
    #[must_use]
    pub fn reads(&self) -> &Arc<Ring> {
        &self.view.reads
    }

    /// What it knows of its cluster.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.members.membership()
    }

    /// Whether it is in no ring, and neither its own records nor what it holds for others are of any
    /// use to anybody: it may be removed.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let view = &self.view;
        let is_out = view.rings().all(|ring| ring.member(self.id()).is_none());
        is_out && self.moving.is_done() && self.held().copies == 0
    }

    /// Adds a change to those that will be committed together; see [`Membership::stage`].
    pub fn stage(&mut self, change: Change) -> Result<(), StageError> {
        self.members.membership_mut().stage(change)
    }

    /// Forgets what is staged.
    pub fn unstage(&mut self) {
        self.members.membership_mut().unstage();
    }

    /// What would come of what is staged; see [`Membership::plan`].
    pub fn plan(&mut self) -> Result<Plan, PlanError> {
        self.members.membership_mut().plan()
    }

    /// Makes a plan part of the cluster's history. It is carried out from now on.
    pub fn commit(
        &mut self,
        plan: Plan,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<Epoch, CommitError> {
        let epoch = self.members.commit(plan, now)?;
        self.follow(now, effects);
        Ok(epoch)
    }

    /// Whether nothing is under way but gossip and what is done every so often, and nothing is waited for.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let deadlines = [
            self.requests.next_deadline(),
            self.health.next_probe(),
            self.handoff.next_deadline(&self.replica),
            self.moving.next_deadline(),
            self.shows.next_deadline(),
        ];
        let is_level = !self.view.is_serving || self.entropy.is_at_rest(&self.replica);
        self.running() == 0 && self.load() == 0 && is_level && deadlines.iter().all(Option::is_none)
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

    /// How far it is from having agreed with each node that is to have the same, stretch by stretch.
    pub fn agreements(&self, now: Instant) -> impl Iterator<Item = Agreement> {
        self.entropy.agreements(now)
    }

    /// The same in short.
    #[must_use]
    pub fn level(&self, now: Instant) -> Level {
        self.entropy.level(now)
    }

    /// How many keys are its own, deleted ones included, as far as it has counted them.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.replica.trees.keys()
    }

    /// How many changes and store commands are under way.
    #[must_use]
    pub fn load(&self) -> usize {
        self.replica.load()
    }

    fn parts<'a>(&'a mut self, now: Now, effects: &'a mut Vec<Effect>) -> Parts<'a> {
        let Self {
            config,
            members,
            view,
            retired,
            births,
            is_nameless,
            rng,
            seal,
            mask,
            health,
            admission,
            requests,
            replica,
            handoff,
            arrivals,
            began,
            moving,
            shows,
            entropy,
            looks,
            retiring,
            last: _,
        } = self;
        let env = Env {
            earned: members.membership().earned(),
            config,
            view,
            retired,
            births,
            is_nameless,
            rng,
            seal,
            health,
            admission,
            mask: *mask,
            now,
            began: *began,
            effects,
        };
        Parts {
            requests,
            replica,
            handoff,
            arrivals,
            moving,
            shows,
            entropy,
            looks,
            retiring,
            members,
            env,
        }
    }

    /// Does what its membership wants done.
    fn follow(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.members.is_quiet() {
            return;
        }
        let (mut is_other, mut has_retired) = (false, false);
        let mut outputs = core::mem::take(&mut self.members.outputs);
        for output in outputs.drain(..) {
            let notice = match output {
                Output::Send { to, message } => {
                    let message = Message::Gossip(message);
                    effects.push(match to {
                        To::Node(node) => Effect::Send {
                            to: core::iter::once(node).collect(),
                            message,
                        },
                        To::Seed(seed) => Effect::Introduce { seed, message },
                    });
                    continue;
                }
                Output::Save(mark) => {
                    self.members.save(mark, now.mono);
                    continue;
                }
                Output::Changed(_) | Output::Moved(_) | Output::Switched(_) => {
                    is_other = true;
                    continue;
                }
                Output::Settled(_) => continue,
                Output::Retired => {
                    let list = self.members.membership().retired();
                    if list.height() > self.retired.height() {
                        self.retired = list.clone();
                        has_retired = true;
                    }
                    continue;
                }
                // Whom its neighbours cannot reach this node may.
                Output::Suspected(node) => {
                    self.health.missed(node, now.mono, now.mono);
                    continue;
                }
                Output::Trusted(node) => {
                    self.health.look_again(node, now.mono);
                    continue;
                }
                Output::Removed => {
                    is_other = true;
                    Notice::Removed
                }
                Output::Overtaken { .. } => {
                    is_other = true;
                    Notice::Overtaken
                }
                Output::OtherCluster(peer) => Notice::OtherCluster { peer },
                Output::Full => Notice::HistoryFull,
            };
            effects.push(Effect::Notify(notice));
        }
        self.members.outputs = outputs;
        if is_other {
            match self.members.view() {
                Ok(view) => self.view = view,
                Err(error) => return effects.push(Effect::Halt(Reason::NoRing(error))),
            }
            self.health.follow(&self.view.present);
            effects.push(Effect::Notify(Notice::Epoch {
                epoch: self.membership().epoch(),
                past: self.view.past.len() as u32, // bounded with the unsettled commits
            }));
        }
        let bytes = self.members.next_save(now.mono);
        if !is_other && !has_retired && bytes.is_none() {
            return;
        }
        let epoch = self.membership().epoch();
        let mut parts = self.parts(now, effects);
        if is_other {
            parts.ring_changed();
        }
        if has_retired {
            parts.replica.retired();
            if parts.env.view.is_serving {
                parts.entropy.plan(epoch, parts.replica, &mut parts.env);
            }
        }
        if let Some(bytes) = bytes {
            parts.replica.save(bytes, &mut parts.env);
        }
    }
}

#[cfg(test)]
mod tests;
