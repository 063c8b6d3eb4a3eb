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

use crate::coordinate::Requests;
use crate::node::{Deadlines, Env, Notice, Slot, Slots};
use crate::replica::{Replica, Task};
use crate::store::{Item, Limit, Page, ScanFailed, Span};
use crate::version::{Clock, Record};
use crate::wire::{HANDOFF_MOST, HeldCopy, Message};
use crate::{Instant, Key, NodeId};

pub(crate) use arrivals::Arrivals;

/// Most owners that are served side by side.
const ABREAST: usize = 4;
/// Most bytes on their way to one owner.
const BATCH_BYTES: u32 = 256 << 10;
/// How much is looked at, at a time.
const PAGE: Limit = Limit {
    items: 4 * HANDOFF_MOST,
    bytes: BATCH_BYTES as usize,
};
/// So many times shorter than for an answer it is waited for room or for client work to pass.
const YIELD_SHARE: u32 = 8;
/// It is waited for so many patiences for a batch to be taken in: that may take a while.
const WAIT: u32 = 16;
/// After a walk in vain its owner is left alone for so many patiences.
const REST: u32 = 4;

/// What is on its way home.
pub(crate) struct Handoff {
    walks: Slots<Walk>,
    deadlines: Deadlines,
    /// Owners that are not served before.
    resting: BTreeMap<NodeId, Instant>,
    /// When it is next looked for somebody to serve.
    next: Instant,
}

/// All that is held for one owner, from the first key to the last.
struct Walk {
    owner: NodeId,
    /// Where it goes on.
    rest: Option<Span>,
    state: State,
    /// How many bytes the owner is ready for.
    credit: u32,
}

enum State {
    /// The store is asked what is there.
    Looking,
    /// These were sent then.
    Sent(Instant, Vec<(Key, Clock)>),
    /// Something else goes first.
    Yielding,
}

impl Handoff {
    pub(crate) fn new() -> Self {
        Self {
            walks: Slots::new(),
            deadlines: Deadlines::default(),
            resting: BTreeMap::new(),
            next: Instant::default(),
        }
    }

    /// When something is to be done next.
    pub(crate) fn next_deadline(&self, replica: &Replica) -> Option<Instant> {
        let is_idle = replica.inventory.all().copies == 0 || !replica.inventory.is_complete;
        let next = (!is_idle).then_some(self.next);
        self.deadlines.next().into_iter().chain(next).min()
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
                self.deadlines.clear(slot);
                self.walks.remove(slot);
            }
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, replica: &mut Replica, requests: &Requests, env: &mut Env<'_>) {
        let now = env.mono();
        while let Some(slot) = self.deadlines.pop_due(now) {
            self.wake(slot, replica, requests, env);
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
            .filter(|owner| env.health.is_trusted(*owner) && *owner != env.me())
            .filter(|owner| !self.resting.contains_key(owner) && !is_served(owner))
            .take(room)
            .collect();
        for owner in owners {
            let slot = self.walks.insert(Walk {
                owner,
                rest: Some(Span::all()),
                state: State::Yielding,
                credit: BATCH_BYTES / HANDOFF_MOST as u32,
            });
            self.go_on(slot, replica, requests, env);
        }
    }

    /// What the store found.
    pub(crate) fn walked(
        &mut self,
        slot: Slot,
        page: Result<Page, ScanFailed>,
        replica: &mut Replica,
        requests: &Requests,
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
        let (mut copies, mut sent, mut bytes) = (Vec::new(), Vec::new(), 0);
        for item in page.items {
            let Item::Found { at, bytes: stored } = item else {
                env.notify(Notice::Damaged);
                continue;
            };
            let record = Record::decode(&at, stored).ok();
            let key = Key::decode(at.name.clone()).ok();
            let (Some(record), Some(key)) = (record, key) else {
                env.notify(Notice::Damaged);
                continue;
            };
            if !record.owners().contains(&walk.owner) {
                continue;
            }
            let siblings = record.into_siblings();
            let copy = HeldCopy { key, siblings };
            bytes += copy.encoded_len();
            let is_full = copies.len() == HANDOFF_MOST || bytes > walk.credit as usize;
            if is_full && !copies.is_empty() {
                walk.rest = Some(span.starting_at(at));
                break;
            }
            sent.push((copy.key.clone(), copy.siblings.clock().clone()));
            copies.push(copy);
        }
        if copies.is_empty() {
            return self.go_on(slot, replica, requests, env);
        }
        planted!(ReleasedUnsent => for (key, delivered) in &sent {
            let release = Task::Release { owner: walk.owner, delivered: delivered.clone() };
            replica.submit(key, release, env);
        });
        let (ticket, to) = (env.mask.ticket(slot), walk.owner);
        walk.state = State::Sent(env.mono(), sent);
        self.deadlines
            .set(slot, env.mono() + env.config.timing.retry_after);
        env.send(to, Message::Handoff { ticket, copies });
    }

    /// What became of a batch.
    pub(crate) fn handed_off(
        &mut self,
        slot: Slot,
        from: NodeId,
        (taken, credit): (u64, u32),
        replica: &mut Replica,
        requests: &Requests,
        env: &mut Env<'_>,
    ) {
        let Some(walk) = self.walks.get_mut(slot) else {
            return;
        };
        if walk.owner != from || !matches!(walk.state, State::Sent(..)) {
            return;
        }
        let state = core::mem::replace(&mut walk.state, State::Yielding);
        let State::Sent(_, sent) = state else {
            return;
        };
        walk.credit = credit.min(BATCH_BYTES);
        self.deadlines.clear(slot);
        let mut arrived = 0;
        for (at, (key, delivered)) in sent.into_iter().enumerate() {
            if taken & 1 << at != 0 {
                arrived += 1;
                let owner = from;
                replica.submit(&key, Task::Release { owner, delivered }, env);
            }
        }
        if arrived == 0 {
            return self.end(slot, env);
        }
        env.notify(Notice::HandedOff {
            to: from,
            copies: arrived,
        });
        self.go_on(slot, replica, requests, env);
    }

    fn wake(&mut self, slot: Slot, replica: &mut Replica, requests: &Requests, env: &mut Env<'_>) {
        let Some(walk) = self.walks.get_mut(slot) else {
            return;
        };
        match walk.state {
            State::Sent(since, _) => {
                env.missed(walk.owner, since);
                let patience = env.config.timing.retry_after;
                let is_over = env.mono() >= since + patience.saturating_mul(WAIT);
                if is_over || !env.health.is_trusted(walk.owner) {
                    self.end(slot, env);
                } else {
                    self.deadlines.set(slot, env.mono() + patience);
                }
            }
            State::Yielding => {
                // To learn whether there is room by now, one copy is sent all the same.
                walk.credit = walk.credit.max(1);
                self.go_on(slot, replica, requests, env);
            }
            State::Looking => {}
        }
    }

    /// Looks at the next stretch, unless something goes first or none is left.
    fn go_on(&mut self, slot: Slot, replica: &mut Replica, requests: &Requests, env: &mut Env<'_>) {
        let Some(walk) = self.walks.get_mut(slot) else {
            return;
        };
        let Some(rest) = walk
            .rest
            .clone()
            .filter(|_| env.health.is_trusted(walk.owner))
        else {
            return self.end(slot, env);
        };
        let is_busy = requests.len() > env.config.capacity.requests / 2;
        if walk.credit == 0 || is_busy || env.health.is_store_slow(env.now.mono) {
            walk.state = State::Yielding;
            let wait = env.config.timing.retry_after / YIELD_SHARE;
            return self.deadlines.set(slot, env.mono() + wait);
        }
        walk.state = State::Looking;
        replica.walk(slot, rest, PAGE, env);
    }

    fn end(&mut self, slot: Slot, env: &mut Env<'_>) {
        self.deadlines.clear(slot);
        if let Some(walk) = self.walks.remove(slot) {
            let rest = env.config.timing.retry_after.saturating_mul(REST);
            self.resting.insert(walk.owner, env.mono() + rest);
        }
    }
}
