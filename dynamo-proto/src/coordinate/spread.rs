//! Having a version kept by as many as are to have it.
//!
//! Each node on duty for the key is a slot. Its own copy fills it, or one that somebody holds for
//! it; two copies in one slot count once. A slot that stays empty is filled by this node, which
//! holds the version for its owner, though not on another host.

use bytes::Bytes;
use smallvec::SmallVec;

use super::duty::{Seat, seats, stand_in};
use super::put::{Phase, Put};
use super::{Requests, Terms};
use crate::node::{Env, Notice, Response, Slot, Targets, Written};
use crate::replica::{Asker, Reader, Replica, Task};
use crate::version::{Causality, Clock, Record, Siblings};
use crate::wire::{Fetched, Message, NotStored};
use crate::{Durability, Instant, NodeId};

/// Who has a version.
pub(super) struct Spread {
    /// All that the version had seen when it was minted.
    clock: Clock,
    copies: SmallVec<[Copy; 4]>,
    pub(super) is_answered: bool,
    written: Option<Written>,
    /// When the others were last told.
    told: Instant,
    /// Whether this node's record is being read, to be sent again.
    is_reading: bool,
    /// Whether all that is left is to hold the version for those that do not have it.
    is_keeping: bool,
}

#[derive(Clone, Copy)]
struct Copy {
    seat: Seat,
    /// Whose place among those on duty it takes.
    slot: u8,
    /// The host that it is on, and the one that it will go home to. Two copies that share any are
    /// one when all are home, or while only one of them is.
    hosts: [Option<u16>; 2],
    durability: Durability,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Asked,
    Has,
    Refused,
}

impl Put {
    /// From now on the version exists; nobody else has it yet.
    pub(super) fn spread(&mut self, record: &Record, env: &Env<'_>) {
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
        let mut spread = Spread {
            clock: siblings.clock().clone(),
            copies: SmallVec::new(),
            is_answered: false,
            written: Some(written),
            told: env.mono(),
            is_reading: false,
            is_keeping: false,
        };
        let me = env.me();
        for (slot, mut seat) in seats(&self.asked.key, self.terms.n, env)
            .into_iter()
            .enumerate()
        {
            // This node stands in for whom it minted for, whatever it thinks of that node now.
            if self.held_for == Some(seat.owner()) {
                seat = Seat {
                    node: me,
                    held_for: self.held_for,
                };
            } else if seat.node == me && seat.held_for.is_some() {
                seat = Seat {
                    node: seat.owner(),
                    held_for: None,
                };
            }
            spread.add(seat, slot as u8, self.terms.durability, env);
            // Where only those on duty count, they are asked even if they seem to be away.
            if seat.held_for.is_some() && self.terms.pw > 0 {
                let on_duty = Seat {
                    node: seat.owner(),
                    held_for: None,
                };
                spread.add(on_duty, slot as u8, self.terms.durability, env);
            }
        }
        if env.config.buckets.of(&self.asked.key).one_flushed
            && let Some(last) = spread.copies.iter_mut().rfind(|copy| copy.seat.node != me)
        {
            last.durability = Durability::Flushed;
        }
        self.phase = Phase::Spreading(spread);
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
        if let Some(own) = spread.copies.iter_mut().find(|copy| copy.seat.node == me) {
            own.state = State::Has;
        }
        put.tell(slot, siblings, env);
        let wake = put.deadline.min(env.mono() + put.patience);
        requests.wake(slot, wake);
    }

    /// Sends the version to all who are not known to have it.
    pub(super) fn tell(&mut self, slot: Slot, siblings: &Siblings, env: &mut Env<'_>) {
        let Phase::Spreading(spread) = &mut self.phase else {
            return;
        };
        spread.told = env.mono();
        let asked = |copy: &&Copy| copy.state == State::Asked;
        let mut sent: SmallVec<[(Durability, Option<NodeId>); 4]> = SmallVec::new();
        // One message for all who are told the same.
        for copy in spread.copies.iter().filter(asked) {
            let what = (copy.durability, copy.seat.held_for);
            if sent.contains(&what) {
                continue;
            }
            sent.push(what);
            let same = |other: &&Copy| (other.durability, other.seat.held_for) == what;
            let to: Targets = (spread.copies.iter().filter(asked).filter(same))
                .map(|copy| copy.seat.node)
                .collect();
            let message = Message::Store {
                ticket: env.mask.ticket(slot),
                durability: copy.durability,
                held_for: copy.seat.held_for,
                is_repair: false,
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
        if spread.is_in(siblings, env) {
            put.tell(slot, siblings, env);
        } else {
            Self::answer(slot, Response::Unknown, requests, env);
        }
    }

    /// A replica says that it has the version, or that it will not.
    pub(crate) fn acked(
        slot: Slot,
        from: NodeId,
        has: Result<Durability, NotStored>,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let Phase::Spreading(spread) = &mut put.phase else {
            return;
        };
        let asked = |copy: &Copy| copy.seat.node == from && copy.state == State::Asked;
        let Some(at) = spread.copies.iter().position(asked) else {
            return;
        };
        let copy = &mut spread.copies[at];
        copy.state = match has {
            Ok(durability) if durability >= copy.durability => State::Has,
            Err(NotStored::Overloaded) => return, // asked again later
            Ok(_) | Err(_) => State::Refused,
        };
        if copy.state == State::Refused && put.replace(at, env) {
            put.tell_replacements(slot, replica, env);
        }
        Self::settle(slot, requests, replica, env);
    }

    /// Finds somebody to hold the version for the owner of a copy's slot, if nobody else has it or
    /// was asked to.
    fn replace(&mut self, at: usize, env: &Env<'_>) -> bool {
        let Phase::Spreading(spread) = &mut self.phase else {
            return false;
        };
        let (failed, durability) = (spread.copies[at], self.terms.durability);
        let fills = |other: &Copy| {
            let is_stand_in = other.seat.held_for.is_some();
            other.slot == failed.slot && is_stand_in && other.state != State::Refused
        };
        let others = spread.copies.iter().enumerate();
        if (others.clone()).any(|(other, copy)| other != at && fills(copy)) {
            return false;
        }
        let is_taken = |node| spread.copies.iter().any(|copy| copy.seat.node == node);
        let Some(node) = stand_in(&self.asked.key, is_taken, env) else {
            return false;
        };
        let held_for = Some(failed.seat.owner());
        spread.add(Seat { node, held_for }, failed.slot, durability, env);
        true
    }

    /// What this node has of the key by now goes to those who were asked only just now.
    fn tell_replacements(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Phase::Spreading(spread) = &mut self.phase else {
            return;
        };
        let (key, is_hint) = (&self.asked.key, self.held_for.is_some());
        // What is being changed may not leave before it is safe: then the next time. Nor is a store
        // asked more that does not keep up.
        if replica.is_changing(key.token(), is_hint) || spread.is_reading || replica.is_full(env) {
            return;
        }
        spread.is_reading = true;
        replica.fetch(key, is_hint, Reader::Spread(slot), env);
    }

    /// Some have been silent for too long: they are told again, and so is whoever stands in for
    /// them.
    pub(super) fn press(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let Phase::Spreading(spread) = &put.phase else {
            return;
        };
        let (told, is_met) = (spread.told, spread.is_met(&put.terms));
        for at in 0..spread.copies.len() {
            let Phase::Spreading(spread) = &put.phase else {
                return;
            };
            let copy = spread.copies[at];
            if copy.state != State::Asked {
                continue;
            }
            env.missed(copy.seat.node, told);
            if !is_met || !env.health.is_trusted(copy.seat.node) {
                put.replace(at, env);
            }
            env.notify(Notice::Retried { to: copy.seat.node });
        }
        put.tell_replacements(slot, replica, env);
        Self::settle(slot, requests, replica, env);
    }

    /// Answers the client as soon as the outcome is certain, and ends when nothing is awaited.
    pub(crate) fn settle(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let is_crowded = requests.lingering > env.config.capacity.requests;
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let Phase::Spreading(spread) = &mut put.phase else {
            return;
        };
        if spread.is_keeping {
            return;
        }
        let is_met = spread.is_met(&put.terms);
        // Whoever is away is not waited for where that is not needed.
        let is_awaited = |copy: &Copy| {
            let is_asked = copy.state == State::Asked;
            is_asked && (!is_met || env.health.is_trusted(copy.seat.node))
        };
        let is_open = spread.copies.iter().any(is_awaited);
        let mut is_answered = spread.is_answered;
        if !is_answered {
            let response = if is_met {
                spread.written.take().map(Response::Put)
            } else if is_open {
                None
            } else {
                Some(Response::Unknown)
            };
            if let Some(response) = response {
                (spread.is_answered, is_answered) = (true, true);
                env.answer(put.origin, response);
                requests.lingering += 1;
            }
        }
        if !is_open || (is_crowded && is_answered) {
            Self::end_spreading(slot, requests, replica, env);
        }
    }

    /// Nothing more is awaited: what nobody has is held here for its owner.
    pub(super) fn end_spreading(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        let is_hint = put.held_for.is_some();
        let Phase::Spreading(spread) = &mut put.phase else {
            return;
        };
        if planted!(NothingOwed ? true; spread.lacking(env.me()).next().is_none()) {
            requests.remove(slot);
            return;
        }
        if !spread.is_keeping {
            spread.is_keeping = true;
            replica.fetch(&put.asked.key, is_hint, Reader::Keep(slot), env);
            requests.sleep(slot);
        }
    }

    /// Holds the version for all who are not known to have it, and ends.
    pub(crate) fn keep(
        slot: Slot,
        siblings: &Siblings,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(put) = requests.put_mut(slot) else {
            return;
        };
        if let Phase::Spreading(spread) = &put.phase
            && spread.is_in(siblings, env)
        {
            for owner in spread.lacking(env.me()) {
                let merge = Task::Merge {
                    asker: Asker::Nobody,
                    durability: put.terms.durability,
                    held_for: Some(owner),
                    is_repair: false,
                    siblings: siblings.clone(),
                };
                replica.submit(&put.asked.key, merge, env);
            }
        }
        requests.remove(slot);
    }
}

impl Spread {
    fn add(&mut self, seat: Seat, slot: u8, durability: Durability, env: &Env<'_>) {
        self.copies.push(Copy {
            seat,
            slot,
            hosts: [seat.node, seat.owner()].map(|node| env.ring.host(node)),
            durability,
            state: State::Asked,
        });
    }

    pub(super) fn is_keeping(&self) -> bool {
        self.is_keeping
    }

    /// Whether a state has all that the version had seen: the record may have been damaged and
    /// repaired meanwhile, by those who never got it.
    fn is_in(&self, siblings: &Siblings, env: &Env<'_>) -> bool {
        let order = siblings.clock().compare(&self.clock, env.retired);
        matches!(order, Causality::Equal | Causality::After)
    }

    fn is_met(&self, terms: &Terms) -> bool {
        let has = |copy: &&Copy| copy.state == State::Has;
        let mut counted: SmallVec<[&Copy; 4]> = SmallVec::new();
        for copy in self.copies.iter().filter(has) {
            let is_same = |other: &&Copy| {
                let is_slot = planted!(SlotCountsTwice ? false; other.slot == copy.slot);
                let mut hosts = copy.hosts.iter();
                let is_host = hosts.any(|host| other.hosts.contains(host));
                planted!(HostsNotCounted ? false; is_host) || is_slot
            };
            if !counted.iter().any(is_same) {
                counted.push(copy);
            }
        }
        let is_primary = |copy: &&Copy| copy.seat.held_for.is_none();
        let primaries = self.copies.iter().filter(has).filter(is_primary);
        counted.len() >= usize::from(terms.w) && primaries.count() >= usize::from(terms.pw)
    }

    /// Nodes on duty, but for this one, that neither have the version nor have anybody hold it for
    /// them.
    fn lacking(&self, me: NodeId) -> impl Iterator<Item = NodeId> {
        let is_primary = |copy: &&Copy| {
            let first = self.copies.iter().find(|other| other.slot == copy.slot);
            first.is_some_and(|first| first.seat == copy.seat)
        };
        let has = |slot| {
            let mut copies = self.copies.iter();
            copies.any(|copy| copy.slot == slot && copy.state == State::Has)
        };
        let slots = self.copies.iter().filter(is_primary);
        slots
            .filter(move |copy| !has(copy.slot))
            .map(|copy| copy.seat.owner())
            .filter(move |owner| *owner != me)
    }
}
