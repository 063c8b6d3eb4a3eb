//! A write: make it a version, keep it here, have the others keep it too.

use alloc::boxed::Box;
use core::time::Duration;

use super::duty::{is_owner, seats};
use super::new_put::Change;
use super::spread::Spread;
use super::{Forward, NewPut, Origin, Requests, Running, Terms, Verdict, Votes, asking};
use crate::node::{Condition, Env, Failure, Found, Mode, Notice, Response, Slot};
use crate::replica::{Replica, Task};
use crate::store::WriteError;
use crate::version::{Content, MintError, Past, Record, Repeat, Rules, Siblings, Updated, Write};
use crate::wire::Fetched;
use crate::{Durability, Instant, Key, NodeId};

/// A write under way at its coordinator.
pub(crate) struct Put {
    pub(super) case: Case,
    /// What it supersedes: what its client had seen or, once read for it, what was there.
    past: Option<Past>,
    /// What was read for an update, to be taken in before it is done.
    found: Option<Box<Siblings>>,
    phase: Phase,
}

/// What a write is, whatever has become of it.
pub(super) struct Case {
    pub(super) origin: Origin,
    pub(super) asked: NewPut,
    /// Whom this node stands in for, if it is not on duty for the key itself.
    pub(super) held_for: Option<NodeId>,
    pub(super) terms: Terms,
    pub(super) deadline: Instant,
    pub(super) patience: Duration,
}

#[allow(
    clippy::large_enum_variant,
    reason = "a write goes through both; a box would be an allocation for each"
)]
enum Phase {
    /// Asking what is there, because the write depends on it.
    Reading {
        votes: Votes,
        /// When replicas were last asked.
        asked: Instant,
    },
    /// Waiting for this node's own copy.
    Minting,
    /// Waiting for a name to mint under.
    Nameless,
    /// This node has it; the others are told.
    Spreading(Spread),
}

/// What a write became in its coordinator's record.
pub(crate) enum Minting {
    /// A version, to be kept at least so safely.
    Done(Durability),
    /// A version that it already was.
    Repeated(Durability),
    /// Nothing: the client has been told why.
    Refused,
}

impl Put {
    pub(crate) fn start(
        asked: NewPut,
        (origin, terms, deadline): (Origin, Terms, Instant),
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let past = match asked.past(env) {
            Ok(past) => past,
            Err(error) => return env.answer(origin, Response::Failed(error.into())),
        };
        let must_read = asked.must_read();
        let patience = env.config.timing.retry_after;
        let (phase, wake) = if must_read {
            let votes = asking::candidates(&asked.key, &terms, env);
            let wake = deadline.min(env.mono() + patience);
            let asked = env.mono();
            (Phase::Reading { votes, asked }, wake)
        } else {
            (Phase::Minting, deadline)
        };
        let case = Case {
            origin,
            held_for: own_slot(&asked.key, terms.n, env),
            asked,
            terms,
            deadline,
            patience,
        };
        let slot = requests.insert(
            Running::Put(Self {
                case,
                past,
                found: None,
                phase,
            }),
            wake,
        );
        if !must_read {
            return Self::submit(slot, requests, replica, env);
        }
        if let Some(put) = requests.put_mut(slot)
            && let Phase::Reading { votes, .. } = &mut put.phase
        {
            asking::as_many_as_needed(
                slot,
                votes,
                &put.case.terms,
                &put.case.asked.key,
                replica,
                env,
            );
        }
    }

    /// Its part from when it is a version that others are told of.
    pub(super) fn spreading(&mut self) -> Option<(&mut Case, &mut Spread)> {
        match &mut self.phase {
            Phase::Spreading(spread) => Some((&mut self.case, spread)),
            Phase::Reading { .. } | Phase::Minting | Phase::Nameless => None,
        }
    }

    /// Whether its client has been told, and only replicas are waited for.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(&self.phase, Phase::Spreading(spread) if spread.is_answered)
    }

    /// Queues the write for this node's own record.
    fn submit(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let mint = Task::Mint {
            request: slot,
            held_for: put.case.held_for,
            is_delete: matches!(put.case.asked.change, Change::To(Content::Tombstone)),
        };
        replica.submit(&put.case.asked.key, mint, env);
    }

    /// The node has a name to mint under again.
    pub(crate) fn named(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        if let Phase::Nameless = put.phase {
            put.phase = Phase::Minting;
            Self::submit(slot, requests, replica, env);
        }
    }

    /// A replica has answered the read that the write depends on.
    pub(crate) fn vote(
        slot: Slot,
        from: NodeId,
        outcome: Fetched,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let Phase::Reading { votes, .. } = &mut put.phase else {
            return;
        };
        let policy = env.view.buckets.of(&put.case.asked.key).policy;
        votes.take(from, outcome, policy, env.retired);
        match votes.verdict(&put.case.terms) {
            Verdict::Open => {
                let key = &put.case.asked.key;
                asking::as_many_as_needed(slot, votes, &put.case.terms, key, replica, env);
            }
            Verdict::TooFew(got) => {
                let need = put.case.terms.reads();
                Self::fail(slot, Failure::TooFew { need, got }, requests, env);
            }
            Verdict::Enough => {
                let merged = core::mem::take(&mut votes.merged);
                match put.case.weigh(put.past.take(), &merged, env) {
                    Ok(past) => {
                        put.past = past;
                        if let Change::By(_) = put.case.asked.change {
                            put.found = Some(Box::new(merged));
                        }
                        put.phase = Phase::Minting;
                        let deadline = put.case.deadline;
                        requests.wake(slot, deadline);
                        Self::submit(slot, requests, replica, env);
                    }
                    Err(failure) => Self::fail(slot, failure, requests, env),
                }
            }
        }
    }

    /// Makes the write a version in this node's record.
    pub(crate) fn mint(
        slot: Slot,
        record: &mut Record,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) -> Minting {
        let Some(put) = requests.put_mut(slot) else {
            return Minting::Refused;
        };
        let Phase::Minting = put.phase else {
            return Minting::Refused;
        };
        if *env.is_nameless {
            put.phase = Phase::Nameless;
            return Minting::Refused;
        }
        match record.repeat(put.case.asked.id, put.case.asked.is_retry) {
            Repeat::No if put.case.asked.may_be_done(env) => {}
            Repeat::Yes => {
                env.notify(Notice::Repeated);
                put.phase = Phase::Spreading(Spread::of(&put.case, None, record, env));
                return Minting::Repeated(put.case.terms.durability);
            }
            Repeat::No | Repeat::Unclear => {
                Self::answer(slot, Response::Unknown, requests, env);
                return Minting::Refused;
            }
        }
        if env.mono() >= put.case.deadline {
            Self::fail(slot, Failure::Expired, requests, env);
            return Minting::Refused;
        }
        let bucket = env.view.buckets.of(&put.case.asked.key);
        let rules = Rules {
            policy: bucket.policy,
            truncate_to: bucket.truncate_to,
            limits: &env.config.limits,
            retired: env.retired,
        };
        let past = planted!(FutureForgotten ? put.past.as_ref().filter(|past| {
            let order = record.siblings().clock().compare(&past.clock, env.retired);
            matches!(order, crate::version::Causality::Equal | crate::version::Causality::After)
        }); put.past.as_ref());
        let (now, request) = (env.now.wall, put.case.asked.id);
        let minted = match &put.case.asked.change {
            Change::To(content) => {
                let content = content.clone();
                let write = Write {
                    past,
                    content,
                    request,
                };
                let minted = record.mint(write, now, env.births, &rules);
                minted.map(|minted| (minted.dot, minted.superseded, None))
            }
            Change::By(update) => {
                let seen = match put.case.asked.mode {
                    Mode::Context(_) => past,
                    Mode::Blind | Mode::Overwrite => None,
                };
                let mut updated = || {
                    let found = put.found.as_deref().filter(|found| !found.is_absent());
                    let Some(found) = found else {
                        return record.update(update, (seen, request), now, env.births, &rules);
                    };
                    let mut merged = record.clone(); // a refusal leaves it as it was
                    merged.merge(found.clone(), bucket.policy, env.retired)?;
                    let updated =
                        merged.update(update, (seen, request), now, env.births, &rules)?;
                    *record = merged;
                    Ok(updated)
                };
                updated().map(|Updated { dot, came_to }| (dot, 0, Some(came_to)))
            }
        };
        let (dot, superseded, came_to) = match minted {
            Ok(minted) => minted,
            Err(MintError::Impostor(_) | MintError::BootRetired) => {
                put.phase = Phase::Nameless;
                env.give_up_name();
                return Minting::Refused;
            }
            Err(error) => {
                Self::fail(slot, error.into(), requests, env);
                return Minting::Refused;
            }
        };
        if dot.counter == 1 {
            env.notify(Notice::Newborn);
        }
        if superseded > 0 {
            env.notify(Notice::Superseded {
                values: superseded as u32,
            });
        }
        put.phase = Phase::Spreading(Spread::of(&put.case, came_to, record, env));
        planted!(ToldBeforeStored => if let Phase::Spreading(spread) = &mut put.phase {
            spread.tell(slot, &put.case, record.siblings(), env);
        });
        Minting::Done(put.case.terms.durability)
    }

    /// This node could not keep its own copy. Where its store was full nothing is there, and
    /// somebody else may try; otherwise something of it may turn up again.
    pub(crate) fn lost(slot: Slot, error: WriteError, requests: &mut Requests, env: &mut Env<'_>) {
        match error {
            WriteError::Full => Self::blocked(slot, Failure::Full, requests, env),
            WriteError::Failed | WriteError::FlushFailed => {
                Self::answer(slot, Response::Unknown, requests, env);
            }
        }
    }

    /// This node cannot make a version of it: somebody else must.
    pub(crate) fn blocked(
        slot: Slot,
        failure: Failure,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(Running::Put(put)) = requests.remove(slot) else {
            return;
        };
        if put.is_answered() {
            return; // its time was up before
        }
        let Case {
            origin,
            asked,
            terms,
            deadline,
            ..
        } = put.case;
        match origin {
            Origin::Client { .. } if !asked.options.only_here => {
                let fate = (origin, terms, deadline);
                Forward::start_elsewhere(asked, fate, failure, requests, env);
            }
            // Who forwarded it knows others.
            Origin::Client { .. } | Origin::Peer { .. } | Origin::Nobody => {
                env.answer(origin, Response::Failed(failure))
            }
        }
    }

    /// Time to ask again, or to give up.
    pub(crate) fn wake(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let is_over = env.mono() >= put.case.deadline;
        match &mut put.phase {
            Phase::Reading { votes, .. } if is_over => {
                let (need, got) = (put.case.terms.reads(), votes.answered());
                return Self::fail(slot, Failure::TooFew { need, got }, requests, env);
            }
            Phase::Minting | Phase::Nameless if is_over => {
                return Self::fail(slot, Failure::Expired, requests, env);
            }
            Phase::Spreading(spread) if is_over => {
                let is_answered = planted!(AnsweredTwice ? false; spread.is_answered);
                let is_answered = planted!(NeverAnswered ? true; is_answered);
                let response = planted!(FailedAfterMint ? Response::Failed(Failure::Expired); Response::Unknown);
                let is_news = !core::mem::replace(&mut spread.is_answered, true);
                if !is_answered {
                    env.answer(put.case.origin, response);
                }
                requests.lingering += usize::from(is_news);
                return Self::end_spreading(slot, requests, replica, env);
            }
            Phase::Reading { votes, asked, .. } => {
                asking::all(slot, votes, *asked, &put.case.asked.key, replica, env);
                *asked = env.mono();
            }
            Phase::Minting | Phase::Nameless => {}
            Phase::Spreading(_) => Self::press(slot, requests, replica, env),
        }
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        put.case.patience = put.case.patience.saturating_mul(2);
        let wake = put.case.deadline.min(env.mono() + put.case.patience);
        if !put.is_ending() {
            requests.wake(slot, wake);
        }
    }

    /// Whether nothing is waited for but this node's own store.
    fn is_ending(&self) -> bool {
        matches!(&self.phase, Phase::Spreading(spread) if spread.is_keeping())
    }

    fn fail(slot: Slot, failure: Failure, requests: &mut Requests, env: &mut Env<'_>) {
        Self::answer(slot, Response::Failed(failure), requests, env);
    }

    /// Ends the request with an answer, unless it has had one.
    pub(super) fn answer(
        slot: Slot,
        response: Response,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(Running::Put(put)) = requests.remove(slot) else {
            return;
        };
        let is_answered = matches!(&put.phase, Phase::Spreading(spread) if spread.is_answered);
        if !is_answered {
            env.answer(put.case.origin, response);
        }
    }
}

impl Case {
    /// What the write supersedes, given what a read found; an error if its condition does not
    /// hold there.
    fn weigh(
        &self,
        past: Option<Past>,
        found: &Siblings,
        env: &Env<'_>,
    ) -> Result<Option<Past>, Failure> {
        let asked = &self.asked;
        // What it finds may be itself, if it came before.
        let is_done = found
            .values()
            .iter()
            .any(|sibling| sibling.value.request == asked.id);
        match &asked.condition {
            Condition::None => {}
            _ if is_done => {}
            Condition::Absent if found.is_deleted() => {}
            Condition::Absent => return Err(Failure::Condition(Found::Value)),
            Condition::Unchanged(sealed) => {
                let seen = env.seal.open(&asked.key, sealed)?;
                if found.is_nothing() {
                    return Err(Failure::Condition(Found::Nothing));
                }
                if !found.is_unchanged_since(&seen.clock, env.retired) {
                    return Err(Failure::Condition(Found::Change));
                }
            }
        }
        Ok(match &asked.mode {
            Mode::Overwrite => Some(found.past()),
            Mode::Blind | Mode::Context(_) => past,
        })
    }
}

/// Whom this node stands in for when it makes a version of a key, if it is not on duty for it.
fn own_slot(key: &Key, n: u8, env: &Env<'_>) -> Option<NodeId> {
    if is_owner(key, env) {
        return None;
    }
    let seats = seats(key, n, env);
    let own = seats.iter().find(|seat| seat.node == env.me());
    own.or(seats.last()).map(|seat| seat.owner())
}
