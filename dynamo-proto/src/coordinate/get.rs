//! A read: ask the replicas, merge what they have, answer when enough did.

use core::time::Duration;

use smallvec::{SmallVec, smallvec};

use super::{Origin, Requests, Running, Terms, Verdict, Votes};
use crate::node::{Env, Failure, Got, Notice, Response, Slot};
use crate::replica::{Reader, Replica};
use crate::version::{Content, Context, Siblings};
use crate::wire::{Fetched, Message};
use crate::{Instant, Key, NodeId, Token};

/// A read under way, for one client or for several that asked for the same.
pub(crate) struct Get {
    key: Key,
    token: Token,
    terms: Terms,
    votes: Votes,
    askers: SmallVec<[Asker; 1]>,
    state: State,
    /// When it goes, or asks again.
    next: Instant,
    /// How long it then waits.
    patience: Duration,
}

#[derive(Clone, Copy)]
struct Asker {
    origin: Origin,
    head: bool,
    deadline: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Until one of the reads of this key that are under way has ended.
    Waiting,
    Asking,
}

/// How many times shorter than for an answer a read waits for others of its key to end.
const WAIT_SHARE: u32 = 100;

impl Get {
    pub(crate) fn start(
        key: Key,
        head: bool,
        (origin, terms, deadline): (Origin, Terms, Instant),
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let token = key.token();
        let asker = Asker {
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
            && get.key == key
        {
            get.askers.push(asker);
            requests.guests += 1;
            requests.wake_by(waiting, deadline);
            return;
        }
        let must_wait = !has_room && waiting.is_none();
        let on_duty = env
            .ring
            .lookup(token)
            .primaries(terms.n.into())
            .map(|member| member.id);
        let votes = Votes::ask(on_duty);
        let (state, patience) = if must_wait {
            (State::Waiting, env.config.timing.retry_after / WAIT_SHARE)
        } else {
            (State::Asking, env.config.timing.retry_after)
        };
        let next = env.mono() + patience;
        let wake = deadline.min(next);
        let askers = smallvec![asker];
        let get = Self {
            key,
            token,
            terms,
            votes,
            askers,
            state,
            next,
            patience,
        };
        let slot = requests.insert(Running::Get(get), wake);
        if must_wait {
            requests.flights.wait(token, slot);
        } else {
            requests.flights.begin(token);
            Self::ask(slot, requests, replica, env);
        }
    }

    /// Asks all replicas.
    fn ask(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        if let Some(Running::Get(get)) = requests.get_mut(slot) {
            ask(slot, &get.votes, &get.key, get.token, replica, env);
        }
    }

    /// A read that waited goes.
    fn go(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(Running::Get(get)) = requests.get_mut(slot) else {
            return;
        };
        get.state = State::Asking;
        get.patience = env.config.timing.retry_after;
        get.next = env.mono() + get.patience;
        if get.askers.len() > 1 {
            env.notify(Notice::Shared {
                reads: get.askers.len() as u32,
            });
        }
        let (token, wake) = (get.token, get.wake_at());
        requests.flights.no_longer_waits(token, slot);
        requests.flights.begin(token);
        requests.wake(slot, wake);
        Self::ask(slot, requests, replica, env);
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
        let policy = env.config.buckets.of(&get.key).policy;
        get.votes.take(from, outcome, policy, env.retired);
        if get.votes.verdict(&get.terms) != Verdict::Open {
            Self::end(slot, requests, replica, env);
        }
    }

    /// Time to go, to ask again, or to give up.
    pub(crate) fn wake(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(Running::Get(get)) = requests.get_mut(slot) else {
            return;
        };
        let (now, need, got) = (env.mono(), get.terms.reads(), get.votes.answered());
        let before = get.askers.len();
        get.askers.retain(|asker| {
            let waits = now < asker.deadline;
            if !waits {
                let failure = Failure::TooFew { need, got };
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
        if now < get.next {
            let wake = get.wake_at();
            return requests.wake(slot, wake);
        }
        if state == State::Waiting {
            return Self::go(slot, requests, replica, env);
        }
        ask_again(slot, &get.votes, &get.key, env);
        get.patience = get.patience.saturating_mul(2);
        get.next = now + get.patience;
        let wake = get.wake_at();
        requests.wake(slot, wake);
    }

    fn wake_at(&self) -> Instant {
        let deadlines = self.askers.iter().map(|asker| asker.deadline);
        deadlines.fold(self.next, Instant::min)
    }

    /// Answers all who asked and still wait, with what there is.
    fn end(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(Running::Get(get)) = requests.remove(slot) else {
            return;
        };
        requests.guests -= get.askers.len().saturating_sub(1);
        let (token, state) = (get.token, get.state);
        get.answer(env);
        match state {
            State::Waiting => requests.flights.no_longer_waits(token, slot),
            State::Asking => {
                if let Some(next) = requests.flights.end(token) {
                    Self::go(next, requests, replica, env);
                }
            }
        }
    }

    fn answer(self, env: &mut Env<'_>) {
        let Self {
            key,
            terms,
            votes,
            askers,
            ..
        } = self;
        if votes.versions() > 1 {
            env.notify(Notice::Divergent {
                versions: votes.versions(),
            });
        }
        if votes.verdict(&terms) != Verdict::Enough {
            let failure = Failure::TooFew {
                need: terms.reads(),
                got: votes.answered(),
            };
            for asker in askers {
                env.answer(asker.origin, Response::Failed(failure));
            }
            return;
        }
        let sealed = env.seal.close(&key, &votes.merged.past());
        let context = Context {
            sealed,
            fastest: votes.fastest,
        };
        let mut askers = askers.into_iter();
        let Some(last) = askers.next_back() else {
            return;
        };
        for asker in askers {
            let siblings = shown(votes.merged.clone(), asker.head);
            let response = Response::Got(Got {
                siblings,
                context: context.clone(),
            });
            env.answer(asker.origin, response);
        }
        let siblings = shown(votes.merged, last.head);
        env.answer(last.origin, Response::Got(Got { siblings, context }));
    }
}

/// Asks every replica of a read, this node included.
pub(super) fn ask(
    slot: Slot,
    votes: &Votes,
    key: &Key,
    token: Token,
    replica: &mut Replica,
    env: &mut Env<'_>,
) {
    let me = env.me();
    let is_local = votes.outstanding().any(|node| node == me);
    ask_others(slot, votes, key, env);
    if is_local {
        replica.fetch(token, key, Reader::Request(slot), env);
    }
}

/// Asks those again that have not answered. Not this node: a store answers whatever it is asked.
pub(super) fn ask_again(slot: Slot, votes: &Votes, key: &Key, env: &mut Env<'_>) {
    let me = env.me();
    for to in votes.outstanding().filter(|node| *node != me) {
        env.notify(Notice::Retried { to });
    }
    ask_others(slot, votes, key, env);
}

fn ask_others(slot: Slot, votes: &Votes, key: &Key, env: &mut Env<'_>) {
    let me = env.me();
    let others = votes.outstanding().filter(|node| *node != me);
    let message = Message::Fetch {
        ticket: env.mask.ticket(slot),
        key: key.clone(),
    };
    env.send_all(others.collect(), message);
}

fn shown(mut siblings: Siblings, head: bool) -> Siblings {
    if head {
        siblings.for_each_content(|content| {
            if let Content::Live { body, .. } = content {
                body.clear();
            }
        });
    }
    siblings
}
