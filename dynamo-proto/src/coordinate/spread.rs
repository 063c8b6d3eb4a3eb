//! Having a version kept by as many as are to have it.
//!
//! Each node on duty for the key is a slot. Its own copy fills it, or one that somebody holds for
//! it; two copies in one slot count once. A slot that stays empty is filled by this node, which
//! holds the version for its owner, though not on another host.

use alloc::boxed::Box;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Requests;
use super::duty::{Seat, seats, stand_in};
use super::put::{Case, Put};
use crate::node::{Env, Notice, Response, Slot, Targets, Written};
use crate::replica::{Asker, Reader, Replica, Task};
use crate::version::{Causality, Clock, Content, Record, Siblings};
use crate::wire::{Fetched, Message, NotStored};
use crate::{Durability, Instant, NodeId};

/// Who has a version.
pub(super) struct Spread {
    /// All that the version had seen when it was minted.
    clock: Clock,
    /// The whole of it as it was stored, with all that was minted beside it, where this node only
    /// stands in: its record may go home before all others have been told.
    kept: Option<Box<Siblings>>,
    copies: SmallVec<[Copy; 4]>,
    pub(super) is_answered: bool,
    written: Option<Written>,
    /// When the others were last told.
    told: Instant,
    /// Whether others were on duty when it began: not every copy fills a slot any more.
    has_moved: bool,
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
    hosts: [Option<u64>; 2],
    durability: Durability,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Asked,
    Has,
    Refused,
}

impl Spread {
    /// The version exists; nobody else has it yet.
    pub(super) fn of(case: &Case, came_to: Option<i64>, record: &Record, env: &Env<'_>) -> Self {
        let siblings = record.siblings();
        // Of a write that came again, what stands alone now may be somebody else's.
        let stands_alone = match siblings.values() {
            // In data there is more than the last write to it.
            [only] if matches!(only.value.content, Content::Data(_)) => false,
            [only] => planted!(RepeatCoversUnseen ? true; only.value.request == case.asked.id),
            _ => false,
        };
        let stands_alone = planted!(ContextCoversUnseen ? true; stands_alone);
        let context: Option<Bytes> =
            stands_alone.then(|| env.seal.close(&case.asked.key, &siblings.past()));
        let receipt = match context {
            Some(_) => None,
            None => Some(env.seal.receipt(&case.asked.key, &siblings.past())),
        };
        let written = Written {
            siblings: siblings.values().len() as u32,
            context,
            receipt,
            came_to,
        };
        let mut spread = Self {
            clock: siblings.clock().clone(),
            kept: None,
            copies: SmallVec::new(),
            is_answered: false,
            written: Some(written),
            told: env.mono(),
            has_moved: false,
            is_reading: false,
            is_keeping: false,
        };
        let me = env.me();
        for (slot, mut seat) in seats(&case.asked.key, case.terms.n, env)
            .into_iter()
            .enumerate()
        {
            // This node stands in for whom it minted for, whatever it thinks of that node now.
            if case.held_for == Some(seat.owner()) {
                seat = Seat {
                    node: me,
                    held_for: case.held_for,
                };
            } else if seat.node == me && seat.held_for.is_some() {
                seat = Seat {
                    node: seat.owner(),
                    held_for: None,
                };
            }
            spread.add(seat, slot as u8, case.terms.durability, env);
            // Where only those on duty count, they are asked even if they seem to be away.
            if seat.held_for.is_some() && case.terms.pw > 0 {
                let on_duty = Seat {
                    node: seat.owner(),
                    held_for: None,
                };
                spread.add(on_duty, slot as u8, case.terms.durability, env);
            }
        }
        if env.view.buckets.of(&case.asked.key).one_flushed
            && let Some(last) = spread.copies.iter_mut().rfind(|copy| copy.seat.node != me)
        {
            last.durability = Durability::Flushed;
        }
        spread
    }
}

impl Put {
    /// This node's own copy is stored: if as safely as was asked, the version may leave.
    pub(crate) fn kept(
        slot: Slot,
        durability: Durability,
        siblings: &Siblings,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some((case, spread)) = requests.spreading(slot) else {
            return;
        };
        if durability < case.terms.durability {
            // It may be read here, but nobody else will hear of it.
            env.notify(Notice::TooWeak {
                has: durability,
                asked: case.terms.durability,
            });
            return Self::answer(slot, Response::Unknown, requests, env);
        }
        let me = env.me();
        if let Some(own) = spread.copies.iter_mut().find(|copy| copy.seat.node == me) {
            own.state = State::Has;
        }
        spread.kept = case.held_for.map(|_| Box::new(siblings.clone()));
        spread.tell(slot, case, siblings, env);
        let wake = case.deadline.min(env.mono() + case.patience);
        requests.wake(slot, wake);
    }

    /// Sends the version again, from what this node's record holds now.
    pub(crate) fn tell_again(
        slot: Slot,
        found: &Fetched,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some((case, spread)) = requests.spreading(slot) else {
            return;
        };
        spread.is_reading = false;
        let found = match found {
            Fetched::Found(siblings) => Some(siblings),
            Fetched::Absent | Fetched::Damaged | Fetched::Failed => None,
        };
        let kept = spread.kept.clone();
        match found
            .filter(|siblings| spread.is_in(siblings, env))
            .or(kept.as_deref())
        {
            Some(siblings) => spread.tell(slot, case, siblings, env),
            None if found.is_some() => Self::answer(slot, Response::Unknown, requests, env),
            None => {}
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
        let Some((case, spread)) = requests.spreading(slot) else {
            return;
        };
        let asked = |copy: &Copy| copy.seat.node == from && copy.state == State::Asked;
        let Some(at) = spread.copies.iter().position(asked) else {
            return;
        };
        let copy = &mut spread.copies[at];
        let asked = copy.durability;
        copy.state = match has {
            Ok(has) if has >= case.terms.durability => {
                if has < asked {
                    env.notify(Notice::TooWeak { has, asked });
                }
                State::Has
            }
            Err(NotStored::Overloaded) => return, // asked again later
            Ok(_) | Err(_) => State::Refused,
        };
        if copy.state == State::Refused && spread.replace(at, case, env) {
            spread.tell_replacements(slot, case, replica, env);
        }
        Self::settle(slot, requests, replica, env);
    }

    /// A node cannot be sent the version, nor can anybody else: no frame would hold it.
    pub(crate) fn untellable(
        slot: Slot,
        to: NodeId,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some((_, spread)) = requests.spreading(slot) else {
            return;
        };
        let mut copies = spread.copies.iter_mut();
        if let Some(copy) = copies.find(|copy| copy.seat.node == to && copy.state == State::Asked) {
            copy.state = State::Refused;
            Self::settle(slot, requests, replica, env);
        }
    }

    /// Some have been silent for too long: they are told again, and so is whoever stands in for
    /// them.
    pub(super) fn press(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some((case, spread)) = requests.spreading(slot) else {
            return;
        };
        let (told, is_met) = (spread.told, spread.is_met(case, env));
        for at in 0..spread.copies.len() {
            let copy = spread.copies[at];
            if copy.state != State::Asked {
                continue;
            }
            env.missed(copy.seat.node, told);
            if !is_met || !env.health.is_trusted(copy.seat.node) {
                spread.replace(at, case, env);
            }
            env.notify(Notice::Retried { to: copy.seat.node });
        }
        spread.tell_replacements(slot, case, replica, env);
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
        let Some((case, spread)) = requests.spreading(slot) else {
            return;
        };
        if spread.is_keeping {
            return;
        }
        let is_met = spread.is_met(case, env);
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
                env.answer(case.origin, response);
                requests.lingering += 1;
            }
        }
        if !is_open || (is_crowded && is_answered) {
            Self::end_spreading(slot, requests, replica, env);
        }
    }

    /// Other nodes are on duty, or others still count: those who are not told yet are told.
    pub(crate) fn ring_changed(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some((case, spread)) = requests.spreading(slot) else {
            return;
        };
        if spread.is_answered || spread.is_keeping {
            return;
        }
        planted!(RunningUntold => return);
        spread.has_moved = true;
        for copy in &mut spread.copies {
            copy.hosts = hosts(&copy.seat, env);
        }
        for seat in seats(&case.asked.key, case.terms.n, env) {
            let mut copies = spread.copies.iter();
            if !copies.any(|copy| copy.seat.owner() == seat.owner()) {
                let slot = spread.copies.iter().map(|copy| copy.slot).max();
                let slot = slot.map_or(0, |slot| slot + 1);
                spread.add(seat, slot, case.terms.durability, env);
            }
        }
        spread.tell_replacements(slot, case, replica, env);
        Self::settle(slot, requests, replica, env);
    }

    /// Nothing more is awaited: what nobody has is held here for its owner.
    pub(super) fn end_spreading(
        slot: Slot,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some((case, spread)) = requests.spreading(slot) else {
            return;
        };
        if planted!(NothingOwed ? true; spread.lacking(env.me()).next().is_none()) {
            requests.clear(slot);
            return;
        }
        if !spread.is_keeping {
            spread.is_keeping = true;
            let is_hint = case.held_for.is_some();
            replica.fetch(&case.asked.key, is_hint, Reader::Keep(slot), env);
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
        if let Some((case, spread)) = requests.spreading(slot)
            && let is_in = spread.is_in(siblings, env)
            && let Some(siblings) = is_in.then_some(siblings).or(spread.kept.as_deref())
        {
            for (owner, durability) in spread.lacking(env.me()) {
                let merge = Task::Merge {
                    asker: Asker::Nobody,
                    durability,
                    held_for: Some(owner),
                    is_repair: false,
                    siblings: siblings.clone(),
                };
                replica.submit(&case.asked.key, merge, env);
            }
        }
        requests.clear(slot);
    }
}

impl Spread {
    /// Sends the version to all who are not known to have it.
    pub(super) fn tell(&mut self, slot: Slot, case: &Case, siblings: &Siblings, env: &mut Env<'_>) {
        self.told = env.mono();
        let asked = |copy: &&Copy| copy.state == State::Asked;
        let mut sent: SmallVec<[(Durability, Option<NodeId>); 4]> = SmallVec::new();
        // One message for all who are told the same.
        for copy in self.copies.iter().filter(asked) {
            let what = (copy.durability, copy.seat.held_for);
            if sent.contains(&what) {
                continue;
            }
            sent.push(what);
            let same = |other: &&Copy| (other.durability, other.seat.held_for) == what;
            let to: Targets = (self.copies.iter().filter(asked).filter(same))
                .map(|copy| copy.seat.node)
                .collect();
            let message = Message::Store {
                ticket: env.mask.ticket(slot),
                epoch: env.view.epoch,
                durability: copy.durability,
                held_for: copy.seat.held_for,
                is_repair: false,
                key: case.asked.key.clone(),
                siblings: siblings.clone(),
            };
            env.send_all(to, message);
        }
    }

    /// Finds somebody to hold the version for the owner of a copy's slot, if nobody else has it or
    /// was asked to.
    fn replace(&mut self, at: usize, case: &Case, env: &Env<'_>) -> bool {
        let failed = self.copies[at];
        let fills = |other: &Copy| {
            let is_stand_in = other.seat.held_for.is_some();
            other.slot == failed.slot && is_stand_in && other.state != State::Refused
        };
        let others = self.copies.iter().enumerate();
        if (others.clone()).any(|(other, copy)| other != at && fills(copy)) {
            return false;
        }
        let is_taken = |node| self.copies.iter().any(|copy| copy.seat.node == node);
        let held_for = Some(failed.seat.owner());
        let Some(node) = stand_in(&case.asked.key, held_for, is_taken, env) else {
            return false;
        };
        let seat = Seat { node, held_for };
        self.add(seat, failed.slot, failed.durability, env);
        true
    }

    /// What this node has of the key by now goes to those who were asked only just now.
    fn tell_replacements(
        &mut self,
        slot: Slot,
        case: &Case,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let (key, is_hint) = (&case.asked.key, case.held_for.is_some());
        // What is being changed may not leave before it is safe: then the next time. Nor is a store
        // asked more that does not keep up.
        if replica.is_changing(key.token(), is_hint) || self.is_reading || replica.is_full(env) {
            return;
        }
        self.is_reading = true;
        replica.fetch(key, is_hint, Reader::Spread(slot), env);
    }

    fn add(&mut self, seat: Seat, slot: u8, durability: Durability, env: &Env<'_>) {
        self.copies.push(Copy {
            seat,
            slot,
            hosts: hosts(&seat, env),
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

    /// Whether as many have it as are to, by every ring that counts.
    fn is_met(&self, case: &Case, env: &Env<'_>) -> bool {
        let (terms, view) = (&case.terms, env.view);
        if planted!(OldRingNotCounted ? true; !view.is_moving() && !self.has_moved) {
            return self.is_enough(terms.w, terms.pw, |_| true);
        }
        let n = usize::from(terms.n);
        view.rings().all(|ring| {
            let list = ring.lookup(case.asked.key.token());
            // Who was removed since does not count, and is not counted on.
            let owners = list.primaries(n).filter(|it| view.is_present(it.id));
            let most = owners.count() as u8; // at most n
            let is_slot = |owner| list.is_primary(owner, n);
            self.is_enough(terms.w.min(most), terms.pw.min(most), is_slot)
        })
    }

    /// Whether so many slots of those owners are filled, and so many by their owners.
    fn is_enough(&self, w: u8, pw: u8, is_slot: impl Fn(NodeId) -> bool) -> bool {
        let has = |copy: &&Copy| copy.state == State::Has && is_slot(copy.seat.owner());
        let mut counted: SmallVec<[&Copy; 4]> = SmallVec::new();
        for copy in self.copies.iter().filter(has) {
            // Copies in one slot go home to one host.
            let is_same = |other: &&Copy| {
                let mut hosts = copy.hosts.iter();
                let is_host = hosts.any(|host| other.hosts.contains(host));
                planted!(HostsNotCounted ? other.slot == copy.slot; is_host)
            };
            if !counted.iter().any(is_same) {
                counted.push(copy);
            }
        }
        let is_primary = |copy: &&Copy| copy.seat.held_for.is_none();
        let primaries = self.copies.iter().filter(has).filter(is_primary);
        counted.len() >= usize::from(w) && primaries.count() >= usize::from(pw)
    }

    /// Nodes on duty, but for this one, that neither have the version nor have anybody hold it for
    /// them, and how safe they were to have it.
    fn lacking(&self, me: NodeId) -> impl Iterator<Item = (NodeId, Durability)> {
        let is_primary = |copy: &&Copy| {
            let first = self.copies.iter().find(|other| other.slot == copy.slot);
            first.is_some_and(|first| first.seat == copy.seat)
        };
        let has = |slot| {
            let mut copies = self.copies.iter();
            copies.any(|copy| copy.slot == slot && copy.state == State::Has)
        };
        let asked = |slot| {
            let copies = self.copies.iter().filter(move |copy| copy.slot == slot);
            let asked = copies.map(|copy| copy.durability).max();
            asked.unwrap_or(Durability::Flushed)
        };
        let slots = self.copies.iter().filter(is_primary);
        slots
            .filter(move |copy| !has(copy.slot))
            .map(move |copy| (copy.seat.owner(), asked(copy.slot)))
            .filter(move |(owner, _)| *owner != me)
    }
}

fn hosts(seat: &Seat, env: &Env<'_>) -> [Option<u64>; 2] {
    let home = planted!(SlotCountsTwice ? seat.node; seat.owner());
    let host = env.view.host(seat.node);
    match home == seat.node {
        true => [host, host],
        false => [host, env.view.host(home)],
    }
}
