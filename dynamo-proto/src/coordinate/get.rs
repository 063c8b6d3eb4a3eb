//! A read: ask as many replicas as are needed, merge what they have, answer, and bring those up to
//! date that lagged.
//!
//! ```text
//!   [Waiting] -> Asking -- enough --> answered -> Following -- all have answered --> repaired
//!                  |  \ late: ask one more              \ or it has taken long enough
//!                  +-- later: ask all, and whoever stands in for the silent
//!                  +-- has not seen what it must: ask all
//! ```

use alloc::boxed::Box;
use core::time::Duration;

use smallvec::{SmallVec, smallvec};

use super::duty::is_owner;
use super::{Origin, Requests, Running, Terms, Verdict, Votes, asking};
use crate::node::{Env, Failure, Got, Notice, Options, Response, Slot};
use crate::replica::{Asker, Replica, Task};
use crate::store::{Address, Space};
use crate::version::{Causality, Content, Context, Past, Siblings};
use crate::wire::{Fetched, Message};
use crate::{Durability, Instant, Key, NodeId};

/// A read under way, for one client or for several that asked for the same.
pub(crate) struct Get {
    key: Key,
    terms: Terms,
    votes: Votes,
    /// What the answer must have seen too, for a session.
    seen: Option<Box<Past>>,
    askers: SmallVec<[AskerOf; 1]>,
    state: State,
    /// When replicas were last asked.
    asked: Instant,
    /// When an answer is late, and one more replica is asked.
    late: Option<Instant>,
    /// When it goes, or asks again.
    next: Instant,
    /// How long it then waits.
    patience: Duration,
}

#[derive(Clone, Copy)]
struct AskerOf {
    origin: Origin,
    head: bool,
    deadline: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Until one of the reads of this key that are under way has ended.
    Waiting,
    Asking,
    /// Answered; what comes late shows who else lags.
    Following,
}

/// How many times shorter than for an answer a read waits for others of its key to end.
const WAIT_SHARE: u32 = 100;

impl Get {
    pub(crate) fn start(
        key: Key,
        (head, seen): (bool, Option<Past>),
        (origin, terms, deadline): (Origin, Terms, Instant),
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let token = key.token();
        let asker = AskerOf {
            origin,
            head,
            deadline,
        };
        let has_room = requests
            .flights
            .has_room(token, env.config.capacity.reads_per_key);
        let waiting = requests.flights.waiting(token);
        if !has_room
            && let Some(waiting) = waiting
            && let Some(Running::Get(get)) = requests.get_mut(waiting)
            && get.terms == terms
            && get.seen.is_none()
            && seen.is_none()
            && get.key == key
        {
            get.askers.push(asker);
            requests.guests += 1;
            requests.wake_by(waiting, deadline);
            return;
        }
        let must_wait = !has_room && waiting.is_none();
        let votes = asking::candidates(&key, &terms, env);
        let (state, patience) = if must_wait {
            (State::Waiting, env.config.timing.retry_after / WAIT_SHARE)
        } else {
            (State::Asking, env.config.timing.retry_after)
        };
        let next = env.mono() + patience;
        let get = Self {
            key,
            terms,
            votes,
            seen: seen.map(Box::new),
            askers: smallvec![asker],
            state,
            asked: env.mono(),
            late: None,
            next,
            patience,
        };
        let slot = requests.insert(Running::Get(get), deadline.min(next));
        if must_wait {
            requests.flights.wait(token, slot);
        } else {
            requests.flights.begin(token);
            Self::begin(slot, requests, replica, env);
        }
    }

    /// One of this node's own records is damaged: its replicas are asked for the key, and what they
    /// have repairs it. What is held for others nobody else may have. Nor is anything done while
    /// there is much else to do: it will be found again.
    pub(crate) fn mend(
        space: Space,
        at: Address,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let key = Key::decode(at.name).ok().filter(|key| {
            let is_there = space == Space::Objects && key.token().0 == at.position;
            is_there && is_owner(key, env)
        });
        let Some(key) = key else {
            return env.notify(Notice::Damaged);
        };
        if requests.len() > env.config.capacity.requests / 2 || replica.is_full(env) {
            return;
        }
        let options = Options {
            r: Some(1),
            pr: Some(0),
            ..Options::default()
        };
        if let Ok(terms) = Terms::of(&options, env.view.buckets.of(&key)) {
            let deadline = env.mono() + env.config.timing.timeout;
            let fate = (Origin::Nobody, terms, deadline);
            Self::start(key, (false, None), fate, requests, replica, env);
        }
    }

    /// Asks as many replicas as are needed.
    fn begin(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(Running::Get(get)) = requests.get_mut(slot) else {
            return;
        };
        env.health.earn_hedge();
        get.asked = env.mono();
        let late =
            asking::as_many_as_needed(slot, &mut get.votes, &get.terms, &get.key, replica, env);
        get.late = late.map(|late| get.asked + late);
        get.next = get.asked + get.patience;
        let wake = get.wake_at();
        requests.wake(slot, wake);
    }

    /// A read that waited goes.
    fn go(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(Running::Get(get)) = requests.get_mut(slot) else {
            return;
        };
        get.state = State::Asking;
        get.patience = env.config.timing.retry_after;
        if get.askers.len() > 1 {
            env.notify(Notice::Shared {
                reads: get.askers.len() as u32,
            });
        }
        let token = get.key.token();
        requests.flights.no_longer_waits(token, slot);
        requests.flights.begin(token);
        Self::begin(slot, requests, replica, env);
    }

    /// A replica has answered.
    pub(crate) fn vote(
        slot: Slot,
        from: NodeId,
        outcome: Fetched,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(Running::Get(get)) = requests.get_mut(slot) else {
            return;
        };
        let policy = env.view.buckets.of(&get.key).policy;
        let asked = get.asked;
        if get.votes.take(from, outcome, policy, env.retired) {
            env.health
                .read_took(from, env.now.mono.since(asked), env.now.mono);
        }
        match get.state {
            State::Waiting => {}
            State::Following => Self::follow(slot, requests, replica, env),
            State::Asking => match get.votes.verdict(&get.terms) {
                Verdict::Open => {
                    // Instead of one that has no vote.
                    let (votes, key) = (&mut get.votes, &get.key);
                    asking::as_many_as_needed(slot, votes, &get.terms, key, replica, env);
                }
                Verdict::Enough if !get.has_seen(env) && get.widen(slot, replica, env) => {}
                Verdict::Enough | Verdict::TooFew(_) => Self::end(slot, requests, replica, env),
            },
        }
    }

    /// Whether what was found has seen all that it must have.
    fn has_seen(&self, env: &Env<'_>) -> bool {
        let Some(seen) = &self.seen else {
            return true;
        };
        let order = self.votes.merged.clock().compare(&seen.clock, env.retired);
        let has_seen = matches!(order, Causality::Equal | Causality::After);
        planted!(SessionForgotten ? true; has_seen)
    }

    /// Asks all others too. Returns whether there is anybody whose answer may come.
    fn widen(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) -> bool {
        while let Some(seat) = self.votes.ask_next() {
            asking::one(slot, seat, &self.key, replica, env);
        }
        self.votes.outstanding().next().is_some()
    }

    /// Time to go, to ask more, to ask again, or to give up.
    pub(crate) fn wake(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(Running::Get(get)) = requests.get_mut(slot) else {
            return;
        };
        if get.state == State::Following {
            return Self::repair(slot, requests, replica, env);
        }
        let (now, need, got) = (env.mono(), get.terms.reads(), get.votes.answered());
        let is_stale = get.votes.verdict(&get.terms) == Verdict::Enough;
        let before = get.askers.len();
        get.askers.retain(|asker| {
            let waits = now < asker.deadline;
            if !waits {
                let failure = match is_stale {
                    true => Failure::Stale,
                    false => Failure::TooFew { need, got },
                };
                env.answer(asker.origin, Response::Failed(failure));
            }
            waits
        });
        let (left, state) = (get.askers.len(), get.state);
        // The first of those who asked is the request itself, the others are its guests.
        requests.guests -= before.saturating_sub(1) - left.saturating_sub(1);
        if left == 0 {
            return Self::end(slot, requests, replica, env);
        }
        let Some(Running::Get(get)) = requests.get_mut(slot) else {
            return;
        };
        if get.late.is_some_and(|late| late <= now) {
            get.late = None;
            get.hedge(slot, replica, env);
        }
        if get.next <= now {
            if state == State::Waiting {
                return Self::go(slot, requests, replica, env);
            }
            asking::all(slot, &mut get.votes, get.asked, &get.key, replica, env);
            get.asked = now;
            get.late = None;
            get.patience = get.patience.saturating_mul(2);
            get.next = now + get.patience;
        }
        let wake = get.wake_at();
        requests.wake(slot, wake);
    }

    /// An answer is late: one more is asked, if that does not happen too often.
    fn hedge(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        if env.health.spend_hedge()
            && let Some(seat) = self.votes.ask_next()
        {
            env.notify(Notice::Hedged { to: seat.node });
            asking::one(slot, seat, &self.key, replica, env);
        }
    }

    fn wake_at(&self) -> Instant {
        let deadlines = self.askers.iter().map(|asker| asker.deadline);
        deadlines.chain(self.late).fold(self.next, Instant::min)
    }

    /// Answers all who asked and still wait, with what there is.
    fn end(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(Running::Get(get)) = requests.get_mut(slot) else {
            return;
        };
        let guests = get.askers.len().saturating_sub(1);
        let (token, state) = (get.key.token(), get.state);
        get.answer(env);
        get.state = State::Following;
        requests.guests -= guests;
        requests.lingering += 1;
        Self::follow(slot, requests, replica, env);
        match state {
            State::Waiting => requests.flights.no_longer_waits(token, slot),
            State::Asking | State::Following => {
                if let Some(next) = requests.flights.end(token) {
                    Self::go(next, requests, replica, env);
                }
            }
        }
    }

    fn answer(&mut self, env: &mut Env<'_>) {
        let askers = core::mem::take(&mut self.askers);
        if askers.is_empty() {
            return;
        }
        let has_seen = self.has_seen(env);
        let (votes, terms) = (&mut self.votes, &self.terms);
        if votes.versions() > 1 {
            env.notify(Notice::Divergent {
                versions: votes.versions(),
            });
        }
        if votes.verdict(terms) != Verdict::Enough {
            let failure = Failure::TooFew {
                need: terms.reads(),
                got: votes.answered(),
            };
            for asker in askers {
                env.answer(asker.origin, Response::Failed(failure));
            }
            return;
        }
        if !has_seen {
            for asker in askers {
                env.answer(asker.origin, Response::Failed(Failure::Stale));
            }
            return;
        }
        let sealed = env.seal.close(&self.key, &votes.merged.past());
        let context = Context {
            sealed,
            fastest: votes.fastest,
        };
        let is_needed = votes.lagging().next().is_some() || votes.outstanding().next().is_some();
        // The last takes what the others are given copies of.
        let mut askers = askers.into_iter();
        let Some(last) = askers.next_back() else {
            return;
        };
        for asker in askers {
            let siblings = shown(votes.merged.clone(), asker.head);
            let context = context.clone();
            env.answer(asker.origin, Response::Got(Got { siblings, context }));
        }
        let merged = if is_needed {
            votes.merged.clone()
        } else {
            core::mem::take(&mut votes.merged)
        };
        let siblings = shown(merged, last.head);
        env.answer(last.origin, Response::Got(Got { siblings, context }));
    }

    /// What is known of replicas that lag: waits for those that were asked, and where some lag asks
    /// the rest; then repairs.
    fn follow(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        let is_crowded = requests.lingering > env.config.capacity.requests;
        let Some(Running::Get(get)) = requests.get_mut(slot) else {
            return;
        };
        let has_lagging = get.votes.versions() > 0 && get.votes.lagging().next().is_some();
        if has_lagging && !is_crowded {
            while let Some(seat) = get.votes.ask_next() {
                asking::one(slot, seat, &get.key, replica, env);
            }
        }
        if is_crowded || get.votes.outstanding().next().is_none() {
            return Self::repair(slot, requests, replica, env);
        }
        let wake = env.mono() + env.config.timing.retry_after;
        requests.wake(slot, wake);
    }

    /// Sends those that lag what was found, and ends.
    fn repair(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(Running::Get(get)) = requests.remove(slot) else {
            return;
        };
        let Self { key, votes, .. } = get;
        let is_sound = votes.versions() > 0 && votes.lagging().next().is_some();
        // What is being changed here may not leave before it is safe.
        let is_changing = replica.is_changing(key.token(), !is_owner(&key, env));
        if planted!(NeverRepairs ? true; !is_sound) || is_changing {
            return;
        }
        let (now, patience) = (env.mono(), env.config.timing.retry_after);
        let most = env.config.capacity.repairs;
        if !requests.repairs.begin(key.token(), now, patience, most) {
            return;
        }
        let bucket = env.view.buckets.of(&key);
        for node in votes.lagging() {
            env.notify(Notice::Repaired { to: node });
            let siblings = votes.merged.clone();
            if node == env.me() {
                let merge = Task::Merge {
                    asker: Asker::Nobody,
                    durability: Durability::Memory, // at least the bucket's
                    held_for: None,
                    is_repair: true,
                    siblings,
                };
                replica.submit(&key, merge, env);
                continue;
            }
            let message = Message::Store {
                ticket: env.mask.ticket(slot), // nobody waits for the answer
                epoch: env.view.epoch,
                durability: bucket.durability,
                held_for: None,
                is_repair: true,
                key: key.clone(),
                siblings,
            };
            env.send(node, message);
        }
    }

    /// Whether its client has been told.
    pub(crate) fn is_answered(&self) -> bool {
        self.state == State::Following
    }
}

/// As clients see it. That everybody has seen the end of something is nothing to them.
fn shown(mut siblings: Siblings, head: bool) -> Siblings {
    if siblings.is_nothing() {
        return Siblings::default();
    }
    if head {
        siblings.for_each_content(|content| {
            if let Content::Live { body, .. } = content {
                body.clear();
            }
        });
    }
    siblings
}
