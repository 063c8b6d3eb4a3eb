//! A write: make it a version, keep it here, have the others keep it too.

use core::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::get::{ask, ask_again};
use super::{Forward, Origin, Requests, Running, Terms, Verdict, Votes};
use crate::node::{
    Condition, Env, Failure, Found, Mode, Notice, Operation, Options, Request, Response, Slot,
    Targets, Written,
};
use crate::replica::{Reader, Replica, Task};
use crate::store::WriteError;
use crate::version::{
    Causality, Clock, Content, ContextError, MintError, Past, Record, Repeat, RequestId, Rules,
    Siblings, Write,
};
use crate::wire::{Fetched, Message, NotStored};
use crate::{Durability, Instant, Key, NodeId, Token};

/// A write under way at its coordinator.
pub(crate) struct Put {
    origin: Origin,
    asked: NewPut,
    token: Token,
    terms: Terms,
    phase: Phase,
    deadline: Instant,
    patience: Duration,
}

enum Phase {
    /// Asking what is there, because the write depends on it.
    Reading(Votes),
    /// Waiting for this node's own copy.
    Minting(Option<Past>),
    /// Waiting for a name to mint under.
    Nameless(Option<Past>),
    /// This node has it; the others are told.
    Spreading(Spread),
}

/// Who has a version.
struct Spread {
    /// All that the version had seen when it was minted.
    clock: Clock,
    replicas: SmallVec<[Copy; 4]>,
    is_answered: bool,
    /// Whether this node's record is being read, to be sent again.
    is_reading: bool,
    written: Option<Written>,
}

#[derive(Clone, Copy)]
struct Copy {
    node: NodeId,
    /// The same for replicas on one host.
    host: u8,
    durability: Durability,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Asked,
    Has,
    Refused,
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
        let token = asked.key.token();
        let must_read = asked.mode == Mode::Overwrite || asked.condition != Condition::None;
        let patience = env.config.timing.retry_after;
        let phase = if must_read {
            let on_duty = env
                .ring
                .lookup(token)
                .primaries(terms.n.into())
                .map(|member| member.id);
            Phase::Reading(Votes::ask(on_duty))
        } else {
            Phase::Minting(past)
        };
        let wake = if must_read {
            deadline.min(env.mono() + patience)
        } else {
            deadline
        };
        let put = Self {
            origin,
            asked,
            token,
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
            && let Phase::Reading(votes) = &put.phase
        {
            ask(slot, votes, &put.asked.key, put.token, replica, env);
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
        let mint = Task::Mint { request: slot };
        replica.submit(put.token, &put.asked.key, mint, env);
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
        let Phase::Reading(votes) = &mut put.phase else {
            return;
        };
        let policy = env.config.buckets.of(&put.asked.key).policy;
        votes.take(from, outcome, policy, env.retired);
        match votes.verdict(&put.terms) {
            Verdict::Open => {}
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
            matches!(order, Causality::Equal | Causality::After)
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

    /// From now on the version exists; nobody else has it yet.
    fn spread(&mut self, record: &Record, env: &Env<'_>) {
        let bucket = env.config.buckets.of(&self.asked.key);
        let siblings = record.siblings();
        // Of a write that came again, what stands alone now may be somebody else's.
        let stands_alone = match siblings.values() {
            [only] => planted!(RepeatCoversUnseen ? true; only.value.request == self.asked.id),
            _ => false,
        };
        let stands_alone = planted!(ContextCoversUnseen ? true; stands_alone);
        let context: Option<Bytes> =
            stands_alone.then(|| env.seal.close(&self.asked.key, &siblings.past()));
        let written = Written {
            siblings: siblings.values().len() as u32,
            context,
        };
        let list = env.ring.lookup(self.token);
        let mut replicas: SmallVec<[Copy; 4]> = SmallVec::new();
        for (at, member) in list.primaries(self.terms.n.into()).enumerate() {
            let same = list
                .primaries(at)
                .position(|other| other.host == member.host && other.zone == member.zone);
            let host = same.map_or(at, |same| replicas[same].host.into()) as u8;
            let host = planted!(HostsNotCounted ? at as u8; host);
            let (node, durability) = (member.id, self.terms.durability);
            replicas.push(Copy {
                node,
                host,
                durability,
                state: State::Asked,
            });
        }
        if bucket.one_flushed
            && let Some(last) = replicas.iter_mut().rfind(|copy| copy.node != env.me())
        {
            last.durability = Durability::Flushed;
        }
        self.phase = Phase::Spreading(Spread {
            clock: siblings.clock().clone(),
            replicas,
            is_answered: false,
            is_reading: false,
            written: Some(written),
        });
    }

    /// This node's own copy is stored: if as safely as was asked, the version may leave.
    pub(crate) fn kept(
        slot: Slot,
        durability: Durability,
        siblings: &Siblings,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let Phase::Spreading(spread) = &mut put.phase else {
            return;
        };
        if durability < put.terms.durability {
            // It may be read here, but nobody else will hear of it.
            env.notify(Notice::TooWeak {
                has: durability,
                asked: put.terms.durability,
            });
            return Self::answer(slot, Response::Unknown, requests, env);
        }
        let me = env.me();
        if let Some(own) = spread.replicas.iter_mut().find(|copy| copy.node == me) {
            own.state = State::Has;
        }
        put.tell(slot, siblings, env);
        let wake = put.deadline.min(env.mono() + put.patience);
        requests.wake(slot, wake);
        Self::settle(slot, requests, env);
    }

    /// Sends the version to all who are not known to have it.
    pub(crate) fn tell(&mut self, slot: Slot, siblings: &Siblings, env: &mut Env<'_>) {
        let Phase::Spreading(spread) = &self.phase else {
            return;
        };
        let asked = |copy: &&Copy| copy.state == State::Asked;
        let mut level = None;
        // One message for all, but for the one that is to flush.
        while let Some(durability) = spread
            .replicas
            .iter()
            .filter(asked)
            .map(|copy| copy.durability)
            .filter(|durability| level.is_none_or(|level| *durability > level))
            .min()
        {
            level = Some(durability);
            let to: Targets = spread
                .replicas
                .iter()
                .filter(asked)
                .filter(|copy| copy.durability == durability)
                .map(|copy| copy.node)
                .collect();
            let message = Message::Store {
                ticket: env.mask.ticket(slot),
                durability,
                key: self.asked.key.clone(),
                siblings: siblings.clone(),
            };
            env.send_all(to, message);
        }
    }

    /// Sends the version again, from what this node's record holds now.
    pub(crate) fn tell_again(
        slot: Slot,
        found: &Fetched,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let Phase::Spreading(spread) = &mut put.phase else {
            return;
        };
        spread.is_reading = false;
        let Fetched::Found(siblings) = found else {
            return;
        };
        // The record may have been damaged and repaired meanwhile, by those who never got this.
        let order = siblings.clock().compare(&spread.clock, env.retired);
        if matches!(order, Causality::Equal | Causality::After) {
            put.tell(slot, siblings, env);
        } else {
            Self::answer(slot, Response::Unknown, requests, env);
        }
    }

    /// This node could not keep its own copy; unless the store was full, something of it may turn
    /// up again.
    pub(crate) fn lost(slot: Slot, error: WriteError, requests: &mut Requests, env: &mut Env<'_>) {
        let response = match error {
            WriteError::Full => Response::Failed(Failure::Full),
            WriteError::Failed | WriteError::FlushFailed => Response::Unknown,
        };
        Self::answer(slot, response, requests, env);
    }

    /// This node cannot look into its own record: somebody else must coordinate.
    pub(crate) fn blocked(slot: Slot, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(Running::Put(put)) = requests.remove(slot) else {
            return;
        };
        let Self {
            origin,
            asked,
            terms,
            deadline,
            ..
        } = put;
        match origin {
            Origin::Client(_) => Forward::start(asked, (origin, terms, deadline), requests, env),
            // Who forwarded it knows others.
            Origin::Peer { .. } => {
                env.answer(origin, Response::Failed(Failure::NoCoordinator));
            }
        }
    }

    /// A replica says that it has the version, or that it will not.
    pub(crate) fn acked(
        slot: Slot,
        from: NodeId,
        has: Result<Durability, NotStored>,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let Phase::Spreading(spread) = &mut put.phase else {
            return;
        };
        let asked = |copy: &&mut Copy| copy.node == from && copy.state == State::Asked;
        let Some(copy) = spread.replicas.iter_mut().find(asked) else {
            return;
        };
        copy.state = match has {
            Ok(durability) if durability >= copy.durability => State::Has,
            Err(NotStored::Overloaded) => return, // asked again later
            Ok(_) | Err(_) => State::Refused,
        };
        Self::settle(slot, requests, env);
    }

    /// Answers the client as soon as the outcome is certain, and ends when nothing is awaited.
    fn settle(slot: Slot, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let Phase::Spreading(spread) = &mut put.phase else {
            return;
        };
        let is_open = spread
            .replicas
            .iter()
            .any(|copy| copy.state == State::Asked);
        if !spread.is_answered {
            let response = if spread.is_met(&put.terms) {
                spread.written.take().map(Response::Put)
            } else if is_open {
                None
            } else {
                Some(Response::Unknown)
            };
            if let Some(response) = response {
                spread.is_answered = true;
                env.answer(put.origin, response);
                requests.lingering += 1;
            }
        }
        let is_crowded = requests.lingering > env.config.capacity.requests;
        if !is_open || is_crowded {
            requests.remove(slot);
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
            Phase::Reading(votes) if is_over => {
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
                if !is_answered {
                    env.answer(put.origin, response);
                }
                requests.remove(slot);
                return;
            }
            Phase::Reading(votes) => {
                ask_again(slot, votes, &put.asked.key, env);
            }
            Phase::Minting(_) | Phase::Nameless(_) => {}
            // What is being changed may not leave before it is safe: then the next time.
            Phase::Spreading(_) if replica.is_changing(put.token) => {}
            // Nor is a store asked more that does not keep up.
            Phase::Spreading(spread) if spread.is_reading || replica.is_full(env) => {}
            Phase::Spreading(spread) => {
                spread.is_reading = true;
                for copy in spread
                    .replicas
                    .iter()
                    .filter(|copy| copy.state == State::Asked)
                {
                    env.notify(Notice::Retried { to: copy.node });
                }
                replica.fetch(put.token, &put.asked.key, Reader::Spread(slot), env);
            }
        }
        put.patience = put.patience.saturating_mul(2);
        let wake = put.deadline.min(env.mono() + put.patience);
        requests.wake(slot, wake);
    }

    fn fail(slot: Slot, failure: Failure, requests: &mut Requests, env: &mut Env<'_>) {
        Self::answer(slot, Response::Failed(failure), requests, env);
    }

    /// Ends the request with an answer, unless it has had one.
    fn answer(slot: Slot, response: Response, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(Running::Put(put)) = requests.remove(slot) else {
            return;
        };
        let is_answered = matches!(&put.phase, Phase::Spreading(spread) if spread.is_answered);
        if !is_answered {
            env.answer(put.origin, response);
        }
    }
}

impl Spread {
    fn is_met(&self, terms: &Terms) -> bool {
        let has = |copy: &&Copy| copy.state == State::Has;
        let copies = self.replicas.iter().filter(has);
        // A host counts with the first of its replicas.
        let hosts = copies.clone().filter(|copy| {
            let mut same = self
                .replicas
                .iter()
                .filter(has)
                .filter(|other| other.host == copy.host);
            same.next().is_some_and(|first| first.node == copy.node)
        });
        hosts.count() >= usize::from(terms.w) && copies.count() >= usize::from(terms.pw)
    }
}
