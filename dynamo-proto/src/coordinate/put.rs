//! A write: make it a version, keep it here, have the others keep it too.

use core::time::Duration;

use super::duty::{is_owner, seats};
use super::spread::Spread;
use super::{Forward, Origin, Requests, Running, Terms, Verdict, Votes, asking};
use crate::node::{
    Condition, Env, Failure, Found, Mode, Notice, Operation, Options, Request, Response, Slot,
};
use crate::replica::{Replica, Task};
use crate::store::WriteError;
use crate::version::{
    Content, ContextError, MintError, Past, Record, Repeat, RequestId, Rules, Siblings, Write,
};
use crate::wire::Fetched;
use crate::{Durability, Instant, Key, NodeId};

/// A write under way at its coordinator.
pub(crate) struct Put {
    pub(super) origin: Origin,
    pub(super) asked: NewPut,
    /// Whom this node stands in for, if it is not on duty for the key itself.
    pub(super) held_for: Option<NodeId>,
    pub(super) terms: Terms,
    pub(super) phase: Phase,
    pub(super) deadline: Instant,
    pub(super) patience: Duration,
}

pub(super) enum Phase {
    /// Asking what is there, because the write depends on it; since when.
    Reading(Votes, Instant),
    /// Waiting for this node's own copy.
    Minting(Option<Past>),
    /// Waiting for a name to mint under.
    Nameless(Option<Past>),
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

/// A write as it arrives.
pub(crate) struct NewPut {
    pub(crate) id: RequestId,
    pub(crate) is_retry: bool,
    pub(crate) key: Key,
    pub(crate) fastest: Option<NodeId>,
    pub(crate) mode: Mode,
    pub(crate) content: Content,
    pub(crate) condition: Condition,
    pub(crate) options: Options,
}

impl NewPut {
    /// The write that a request asks for, if it asks for one.
    pub(crate) fn of(request: Request) -> Option<Self> {
        let Request {
            id,
            is_retry,
            key,
            operation,
            options,
        } = request;
        let Operation::Put {
            fastest,
            mode,
            content,
            condition,
        } = operation
        else {
            return None;
        };
        Some(Self {
            id,
            is_retry,
            key,
            fastest,
            mode,
            content,
            condition,
            options,
        })
    }

    pub(crate) fn into_request(self) -> Request {
        let Self {
            id,
            is_retry,
            key,
            fastest,
            mode,
            content,
            condition,
            options,
        } = self;
        let operation = Operation::Put {
            fastest,
            mode,
            content,
            condition,
        };
        Request {
            id,
            is_retry,
            key,
            operation,
            options,
        }
    }

    /// What the client had seen, by the contexts that it hands back.
    fn past(&self, env: &Env<'_>) -> Result<Option<Past>, ContextError> {
        if let Condition::Unchanged(sealed) = &self.condition {
            env.seal.open(&self.key, sealed)?;
        }
        match &self.mode {
            Mode::Context(sealed) => env.seal.open_all(&self.key, sealed).map(Some),
            Mode::Blind | Mode::Overwrite => Ok(None),
        }
    }
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
        let must_read = asked.mode == Mode::Overwrite || asked.condition != Condition::None;
        let patience = env.config.timing.retry_after;
        let (phase, wake) = if must_read {
            let votes = asking::candidates(&asked.key, &terms, env);
            let wake = deadline.min(env.mono() + patience);
            (Phase::Reading(votes, env.mono()), wake)
        } else {
            (Phase::Minting(past), deadline)
        };
        let put = Self {
            origin,
            held_for: own_slot(&asked.key, terms.n, env),
            asked,
            terms,
            phase,
            deadline,
            patience,
        };
        let slot = requests.insert(Running::Put(put), wake);
        if !must_read {
            return Self::submit(slot, requests, replica, env);
        }
        if let Some(put) = requests.put_mut(slot)
            && let Phase::Reading(votes, _) = &mut put.phase
        {
            asking::as_many_as_needed(slot, votes, &put.terms, &put.asked.key, replica, env);
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
            held_for: put.held_for,
            is_delete: matches!(put.asked.content, Content::Tombstone),
        };
        replica.submit(&put.asked.key, mint, env);
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
        if let Phase::Nameless(past) = &mut put.phase {
            put.phase = Phase::Minting(past.take());
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
        let Phase::Reading(votes, _) = &mut put.phase else {
            return;
        };
        let policy = env.config.buckets.of(&put.asked.key).policy;
        votes.take(from, outcome, policy, env.retired);
        match votes.verdict(&put.terms) {
            Verdict::Open => {
                let key = &put.asked.key;
                asking::as_many_as_needed(slot, votes, &put.terms, key, replica, env);
            }
            Verdict::TooFew(got) => {
                let need = put.terms.reads();
                Self::fail(slot, Failure::TooFew { need, got }, requests, env);
            }
            Verdict::Enough => {
                let merged = core::mem::take(&mut votes.merged);
                match put.weigh(&merged, env) {
                    Ok(past) => {
                        put.phase = Phase::Minting(past);
                        let deadline = put.deadline;
                        requests.wake(slot, deadline);
                        Self::submit(slot, requests, replica, env);
                    }
                    Err(failure) => Self::fail(slot, failure, requests, env),
                }
            }
        }
    }

    /// What the write supersedes, given what a read found; an error if its condition does not
    /// hold there.
    fn weigh(&self, found: &Siblings, env: &Env<'_>) -> Result<Option<Past>, Failure> {
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
                if found.is_absent() {
                    return Err(Failure::Condition(Found::Nothing));
                }
                if seen.clock != *found.clock() {
                    return Err(Failure::Condition(Found::Change));
                }
            }
        }
        match &asked.mode {
            Mode::Overwrite => Ok(Some(found.past())),
            Mode::Blind | Mode::Context(_) => Ok(asked.past(env)?),
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
        let Phase::Minting(past) = &mut put.phase else {
            return Minting::Refused;
        };
        if *env.is_nameless {
            put.phase = Phase::Nameless(past.take());
            return Minting::Refused;
        }
        match record.repeat(put.asked.id, put.asked.is_retry) {
            Repeat::No => {}
            Repeat::Yes => {
                env.notify(Notice::Repeated);
                put.spread(record, env);
                return Minting::Repeated(put.terms.durability);
            }
            Repeat::Unclear => {
                Self::answer(slot, Response::Unknown, requests, env);
                return Minting::Refused;
            }
        }
        if env.mono() >= put.deadline {
            Self::fail(slot, Failure::Expired, requests, env);
            return Minting::Refused;
        }
        let bucket = env.config.buckets.of(&put.asked.key);
        let rules = Rules {
            policy: bucket.policy,
            truncate_to: bucket.truncate_to,
            limits: &env.config.limits,
            retired: env.retired,
        };
        let past = planted!(FutureForgotten ? past.as_ref().filter(|past| {
            let order = record.siblings().clock().compare(&past.clock, env.retired);
            matches!(order, crate::version::Causality::Equal | crate::version::Causality::After)
        }); past.as_ref());
        let write = Write {
            past,
            content: put.asked.content.clone(),
            request: put.asked.id,
        };
        let minted = match record.mint(write, env.now.wall, env.births, &rules) {
            Ok(minted) => minted,
            Err(MintError::Impostor(_) | MintError::BootRetired) => {
                if let Phase::Minting(past) = &mut put.phase {
                    put.phase = Phase::Nameless(past.take());
                }
                env.give_up_name();
                return Minting::Refused;
            }
            Err(error) => {
                Self::fail(slot, error.into(), requests, env);
                return Minting::Refused;
            }
        };
        if minted.dot.counter == 1 {
            env.notify(Notice::Newborn);
        }
        if minted.superseded > 0 {
            env.notify(Notice::Superseded {
                values: minted.superseded as u32,
            });
        }
        put.spread(record, env);
        planted!(ToldBeforeStored => put.tell(slot, record.siblings(), env));
        Minting::Done(put.terms.durability)
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
        let Self {
            origin,
            asked,
            terms,
            deadline,
            ..
        } = put;
        match origin {
            Origin::Client { .. } => {
                let fate = (origin, terms, deadline);
                Forward::start_elsewhere(asked, fate, failure, requests, env);
            }
            // Who forwarded it knows others.
            Origin::Peer { .. } => env.answer(origin, Response::Failed(failure)),
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
        let is_over = env.mono() >= put.deadline;
        match &mut put.phase {
            Phase::Reading(votes, _) if is_over => {
                let (need, got) = (put.terms.reads(), votes.answered());
                return Self::fail(slot, Failure::TooFew { need, got }, requests, env);
            }
            Phase::Minting(_) | Phase::Nameless(_) if is_over => {
                return Self::fail(slot, Failure::Expired, requests, env);
            }
            Phase::Spreading(spread) if is_over => {
                let is_answered = planted!(AnsweredTwice ? false; spread.is_answered);
                let is_answered = planted!(NeverAnswered ? true; is_answered);
                let response = planted!(FailedAfterMint ? Response::Failed(Failure::Expired); Response::Unknown);
                let is_news = !core::mem::replace(&mut spread.is_answered, true);
                if !is_answered {
                    env.answer(put.origin, response);
                }
                requests.lingering += usize::from(is_news);
                return Self::end_spreading(slot, requests, replica, env);
            }
            Phase::Reading(votes, asked) => {
                asking::all(slot, votes, *asked, &put.asked.key, replica, env);
                *asked = env.mono();
            }
            Phase::Minting(_) | Phase::Nameless(_) => {}
            Phase::Spreading(_) => Self::press(slot, requests, replica, env),
        }
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        put.patience = put.patience.saturating_mul(2);
        let wake = put.deadline.min(env.mono() + put.patience);
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
            env.answer(put.origin, response);
        }
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
