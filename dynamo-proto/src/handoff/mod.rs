//! Bringing home what is held for others.
//!
//! ```text
//!   holder                                   owner, trusted again
//!   look through what is held  --- Handoff --->  take each copy in, as safely as its bucket asks
//!   release what has arrived   <-- HandedOff --  which it has, and how much more it is ready for
//! ```
//!
//! A copy is released only when its owner has it, and only as far as it was delivered: what was
//! added meanwhile is delivered again. The owner grants what it can take in; client work goes first
//! on both sides. A few owners are served side by side, each in the order of keys.
//!
//! Left to others: deciding who stands in for whom, and what is held.

mod arrivals;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::node::{Env, Notice, Slot};
use crate::replica::{Held, Replica, Task, Walker};
use crate::store::{Limit, Page, ScanFailed, Span};
use crate::upkeep::{self, BATCH_BYTES, Jobs, Parcel, is_given_up, sound};
use crate::version::Clock;
use crate::wire::{HANDOFF_MOST, HeldCopy, Message};
use crate::{Durability, Instant, Key, NodeId};

pub(crate) use arrivals::{Arrivals, Batch};

/// Most owners that are served side by side.
pub(crate) const ABREAST: usize = 4;
/// More than fit in a batch are looked at, at a time: not all are held for the same owner.
const PAGE: Limit = Limit {
    items: 4 * upkeep::PAGE.items,
    bytes: upkeep::PAGE.bytes,
};
/// After a walk in vain its owner is left alone for so many patiences.
const REST: u32 = 4;

/// What is on its way home.
pub(crate) struct Handoff {
    walks: Jobs<Walk>,
    /// Owners that are not served before.
    resting: BTreeMap<NodeId, Instant>,
    /// When it is next looked for somebody to serve.
    next: Instant,
    /// Of the epochs by which others have asked for something.
    highest: u32,
}

/// All that is held for one owner, from the first key to the last.
struct Walk {
    owner: NodeId,
    /// Where it goes on.
    rest: Option<Span>,
    state: State,
    /// When the batch that is under way began.
    batch: Instant,
    /// How many bytes the owner is ready for.
    credit: u32,
    /// How often what is held had changed when this began.
    began: u64,
    /// What was found that is held for the owner.
    found: Held,
}

/// One copy on its way.
struct Delivery {
    key: Key,
    clock: Clock,
    /// How safe it is to be there.
    durability: Durability,
}

impl Delivery {
    /// What is held for the owner is let go, as far as this was delivered.
    fn release(self, owner: NodeId, replica: &mut Replica, env: &mut Env<'_>) {
        let release = Task::Release {
            owner,
            delivered: self.clock,
            durability: self.durability,
        };
        replica.submit(&self.key, release, env);
    }
}

enum State {
    /// The store is asked what is there.
    Looking,
    /// These were sent then.
    Sent(Instant, Vec<Delivery>),
    /// Something else goes first.
    Yielding,
}

impl Handoff {
    pub(crate) fn new() -> Self {
        Self {
            walks: Jobs::new(),
            resting: BTreeMap::new(),
            next: Instant::default(),
            highest: 0,
        }
    }

    /// Others go by an epoch of that height.
    pub(crate) fn met(&mut self, height: u32) {
        self.highest = self.highest.max(height);
    }

    /// When something is to be done next.
    pub(crate) fn next_deadline(&self, replica: &Replica) -> Option<Instant> {
        let is_idle = replica.inventory.all().copies == 0 || !replica.inventory.is_complete;
        let next = (!is_idle).then_some(self.next);
        self.walks.next_deadline().into_iter().chain(next).min()
    }

    /// Somebody is there again who may be owed something.
    pub(crate) fn hurry(&mut self, owner: NodeId, now: Instant) {
        self.resting.remove(&owner);
        self.next = now;
        // What was sent before may have been lost.
        let slots: Vec<_> = self.walks.slots().collect();
        for slot in slots {
            let walk = self.walks.get_mut(slot);
            if walk.is_some_and(|walk| walk.owner == owner && matches!(walk.state, State::Sent(..)))
            {
                self.walks.end(slot);
            }
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, replica: &mut Replica, env: &mut Env<'_>) {
        let now = env.mono();
        while let Some(slot) = self.walks.pop_due(now) {
            self.wake(slot, replica, env);
        }
        let inventory = &replica.inventory;
        if now < self.next || !inventory.is_complete || inventory.all().copies == 0 {
            return;
        }
        self.next = now + env.config.timing.retry_after;
        self.resting.retain(|_, until| *until > now);
        let is_served = |owner: &NodeId| self.walks.iter().any(|walk| walk.owner == *owner);
        let room = ABREAST.saturating_sub(self.walks.len());
        let owners: Vec<_> = (inventory.owners())
            .filter(|owner| is_to_serve(*owner, env))
            .filter(|owner| !self.resting.contains_key(owner) && !is_served(owner))
            .take(room)
            .collect();
        for owner in owners {
            let slot = self.walks.begin(Walk {
                owner,
                rest: Some(Span::all()),
                state: State::Yielding,
                batch: now,
                credit: BATCH_BYTES / HANDOFF_MOST as u32,
                began: replica.inventory.changes(),
                found: Held::default(),
            });
            self.go_on(slot, replica, env);
        }
    }

    /// What the store found.
    pub(crate) fn walked(
        &mut self,
        slot: Slot,
        page: Result<Page, ScanFailed>,
        replica: &mut Replica,
        arrivals: &mut Arrivals,
        env: &mut Env<'_>,
    ) {
        let Some(walk) = self.walks.get_mut(slot) else {
            return;
        };
        let Ok(page) = page else {
            return self.end(slot, env);
        };
        let span = walk.rest.take().unwrap_or_else(Span::all);
        walk.rest = page.rest;
        let mut sent = Vec::new();
        // So much that it can be sent, by way of another node too.
        let most = (walk.credit as usize).min(env.config.limits.frame_bytes / 2);
        let mut parcel = Parcel::of(most);
        for item in page.items {
            let len = item.len();
            let Some((at, key, record)) = sound(item, env) else {
                continue;
            };
            if !record.owners().contains(&walk.owner) {
                continue;
            }
            let n = usize::from(env.view.buckets.of(&key).n);
            let (view, token) = (env.view, key.token());
            let is_home = view.is_present(walk.owner) && view.is_on_duty(walk.owner, token, n);
            if !planted!(HeldForTheGone ? true; is_home) {
                // Whoever is not on duty may be by an epoch that this node has not learnt yet.
                if self.highest > view.epoch.height() {
                    walk.found.copies += 1;
                    walk.found.bytes += len as u64;
                    continue;
                }
                let owners = view.ring.lookup(token).primaries(n);
                let instead = owners.map(|member| member.id).collect();
                let owner = walk.owner;
                replica.submit(&key, Task::Rehold { owner, instead }, env);
                continue;
            }
            let copy = HeldCopy {
                durability: record.owed().min(replica.gives),
                key,
                siblings: record.into_siblings(),
            };
            let delivery = Delivery {
                key: copy.key.clone(),
                clock: copy.siblings.clock().clone(),
                durability: copy.durability,
            };
            if !parcel.pack(copy) {
                walk.rest = Some(span.starting_at(at));
                break;
            }
            walk.found.copies += 1;
            walk.found.bytes += len as u64;
            sent.push(delivery);
        }
        let copies = parcel.into_copies();
        if copies.is_empty() {
            return self.rest(slot, replica, env);
        }
        planted!(ReleasedUnsent => for delivery in core::mem::take(&mut sent) {
            delivery.release(walk.owner, replica, env);
        });
        let (ticket, to) = (env.mask.ticket(slot), walk.owner);
        walk.state = State::Sent(env.mono(), sent);
        self.walks.wait(slot, env);
        if to == env.me() {
            return arrivals.take(Batch::Home(ticket), copies, replica, env);
        }
        env.send(to, Message::Handoff { ticket, copies });
    }

    /// What became of a batch.
    pub(crate) fn handed_off(
        &mut self,
        slot: Slot,
        from: NodeId,
        (taken, credit): (u64, u32),
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let is_it = |walk: &Walk| walk.owner == from && matches!(walk.state, State::Sent(..));
        let Some(walk) = self.walks.answered(slot, is_it) else {
            return;
        };
        let state = core::mem::replace(&mut walk.state, State::Yielding);
        let State::Sent(_, sent) = state else {
            return;
        };
        walk.credit = credit.min(BATCH_BYTES);
        let mut arrived = 0;
        for (at, delivery) in sent.into_iter().enumerate() {
            if taken & 1 << at != 0 {
                arrived += 1;
                delivery.release(from, replica, env);
            }
        }
        if arrived > 0 {
            env.notify(Notice::HandedOff {
                to: from,
                copies: arrived,
            });
            return self.rest(slot, replica, env);
        }
        // What its owner cannot take must not keep back what comes after it, nor be hurried.
        if walk.credit == 0 {
            return self.end(slot, env);
        }
        self.walks.pause(slot, env);
    }

    /// A batch did not leave. One that is too long is a single copy, which must not keep back what
    /// comes after it.
    pub(crate) fn unsent(
        &mut self,
        slot: Slot,
        is_too_long: bool,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(walk) = self.walks.get_mut(slot) else {
            return;
        };
        let State::Sent(_, sent) = &walk.state else {
            return;
        };
        if !is_too_long {
            return self.end(slot, env);
        }
        for delivery in sent {
            replica.shorten(&delivery.key, walk.owner, env);
        }
        self.walks.stop_waiting(slot);
        self.go_on(slot, replica, env);
    }

    fn wake(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(walk) = self.walks.get_mut(slot) else {
            return;
        };
        match walk.state {
            State::Sent(since, _) => {
                if is_given_up(walk.owner, since, env) {
                    self.end(slot, env);
                } else {
                    self.walks.wait(slot, env);
                }
            }
            State::Yielding => {
                // To learn whether there is room by now, one copy is sent all the same.
                walk.credit = walk.credit.max(1);
                self.go_on(slot, replica, env);
            }
            State::Looking => {}
        }
    }

    /// Looks at the next stretch, unless something goes first or none is left.
    fn go_on(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(walk) = self.walks.get_mut(slot) else {
            return;
        };
        let Some(rest) = walk.rest.clone() else {
            // All has been looked through. What the store failed to do may have been counted wrongly.
            if walk.began == replica.inventory.changes() && !replica.is_changing_hints() {
                replica.inventory.correct(walk.owner, walk.found);
            }
            return self.end(slot, env);
        };
        if !is_to_serve(walk.owner, env) {
            return self.end(slot, env);
        }
        if walk.credit == 0 {
            walk.state = State::Yielding;
            return self.walks.pause(slot, env);
        }
        (walk.state, walk.batch) = (State::Looking, env.mono());
        replica.walk((Walker::Handoff, slot), rest, PAGE, env);
    }

    /// A batch is done. The next begins as soon as clients leave time for it.
    fn rest(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(walk) = self.walks.get_mut(slot) else {
            return;
        };
        walk.state = State::Yielding;
        let began = walk.batch;
        if self.walks.rest(slot, began, env) {
            self.go_on(slot, replica, env);
        }
    }

    fn end(&mut self, slot: Slot, env: &mut Env<'_>) {
        if let Some(walk) = self.walks.end(slot) {
            let rest = env.config.timing.retry_after.saturating_mul(REST);
            self.resting.insert(walk.owner, env.mono() + rest);
        }
    }
}

/// Whether there is anything to be done for that node now: it is there, or it is gone for good, and
/// others are to have what was held for it.
fn is_to_serve(owner: NodeId, env: &Env<'_>) -> bool {
    env.health.is_trusted(owner) || !env.view.is_present(owner)
}
