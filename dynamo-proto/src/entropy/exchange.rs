//! Comparing with other nodes what this one is to have in common with them, and making it equal.

use alloc::vec::Vec;

use super::ABREAST;
use super::answers::{self, Answers, bits, is_set};
use super::audit::Audit;
use super::job::{Job, State, Then};
use super::shape::Shape;
use super::topics::{Agreement, Topics};
use crate::handoff::{Arrivals, Batch};
use crate::membership::Epoch;
use crate::moving::{Entry, entry};
use crate::node::{Config, Deadlines, Env, Notice, Slot, Slots, View};
use crate::replica::{Replica, Walker};
use crate::rng::Rng;
use crate::store::{Address, Limit, Page, ScanFailed};
use crate::wire::{COMPARED_MOST, Exchange, HANDOFF_MOST, HeldCopy, Message, Ticket};
use crate::{Durability, Instant, NodeId, Seed};

/// Most bytes of copies that are asked for, or sent, at a time.
const BATCH_BYTES: u32 = 256 << 10;
/// How many keys are compared at a time.
const PAGE: Limit = Limit {
    items: HANDOFF_MOST,
    bytes: BATCH_BYTES as usize,
};
/// So many times shorter than for an answer it is waited for client work to pass.
const YIELD_SHARE: u32 = 8;
/// It is waited for so many patiences for an answer.
const WAIT: u32 = 16;
/// What could not be compared is tried again after so many patiences.
const AGAIN: u32 = 8;
/// A stretch that the other has no time for so often is left for later.
const REFUSALS: u8 = 8;

/// What this node does to be equal to others.
pub(crate) struct Entropy {
    audit: Audit,
    topics: Topics,
    jobs: Slots<Job>,
    deadlines: Deadlines,
    answers: Answers,
    /// For which rings the topics are.
    aim: Option<(Epoch, usize)>,
    /// Of its own, so that what others draw does not hang on it.
    rng: Rng,
}

impl Entropy {
    pub(crate) fn new(seed: Seed) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            audit: Audit::new(Seed(rng.number())),
            topics: Topics::default(),
            jobs: Slots::new(),
            deadlines: Deadlines::default(),
            answers: Answers::new(),
            aim: None,
            rng,
        }
    }

    /// When something is to be done next.
    pub(crate) fn next_deadline(&self, replica: &Replica) -> Option<Instant> {
        let due = (self.jobs.len() < ABREAST && self.audit.is_ready())
            .then(|| self.topics.next_due())
            .flatten();
        let all = [
            self.audit.next_deadline(replica),
            self.deadlines.next(),
            due,
        ];
        all.into_iter().flatten().min()
    }

    /// Whether nothing is under way.
    pub(crate) fn is_at_rest(&self, replica: &Replica) -> bool {
        self.jobs.len() == 0 && self.answers.is_empty() && self.audit.is_at_rest(replica)
    }

    /// How far this node is from having agreed with each that is to have the same.
    pub(crate) fn agreements(&self, now: Instant) -> impl Iterator<Item = Agreement> {
        self.topics.agreements(now)
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, epoch: Epoch, replica: &mut Replica, env: &mut Env<'_>) {
        if !env.view.is_serving {
            return;
        }
        self.plan(epoch, replica, env);
        while let Some(slot) = self.deadlines.pop_due(env.mono()) {
            self.wake(slot, replica, env);
        }
        if let Some((tokens, is_all)) = replica.trees.take_dirty() {
            self.topics.mark(&tokens, is_all, env);
        }
        self.begin(replica, env);
        // What the exchanges suspect is looked at last.
        self.audit.tick(replica, env);
    }

    /// Begins exchanges that are due.
    fn begin(&mut self, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(shape) = replica.trees.shape().filter(|_| self.audit.is_ready()) else {
            return;
        };
        while self.jobs.len() < ABREAST {
            let is_talked_to = |node| self.jobs.iter().any(|job| job.peer == node);
            let taken = self.topics.take(is_talked_to, COMPARED_MOST, env);
            let topics: Vec<_> = taken.iter().filter_map(|at| self.topics.get(*at)).collect();
            let Some(first) = topics.first() else {
                return;
            };
            let with = (first.peer, first.n);
            let job = Job::new(with, taken, &topics, shape, env.mono());
            let slot = self.jobs.insert(job);
            self.step(slot, replica, env);
        }
    }

    /// Others may be on duty than before.
    fn plan(&mut self, epoch: Epoch, replica: &mut Replica, env: &mut Env<'_>) {
        let aim = Some((epoch, env.view.past.len()));
        if self.aim == aim {
            return;
        }
        self.aim = aim;
        let shape = cut(env.view, env.config, replica);
        self.audit.follow(shape, &env.view.buckets);
        for slot in self.jobs.slots().collect::<Vec<_>>() {
            self.deadlines.clear(slot);
            self.jobs.remove(slot);
        }
        self.topics.plan(shape, &mut self.rng, env);
    }

    fn wake(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let (State::Roots(since, _)
        | State::Leaves(since, _)
        | State::Asked(since, ..)
        | State::Sent(since, _)) = job.state
        else {
            return self.step(slot, replica, env);
        };
        env.missed(job.peer, since);
        let patience = env.config.timing.retry_after;
        let is_over = env.mono() >= since + patience.saturating_mul(WAIT);
        if is_over || !env.health.is_trusted(job.peer) {
            return self.give_up(slot, env);
        }
        self.deadlines.set(slot, env.mono() + patience);
    }

    /// A step is done. The next begins as soon as clients leave time for it.
    fn go_on(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        job.state = State::Idle;
        match env.admission.next(job.step, env.now.mono) {
            next if next > env.mono() => self.deadlines.set(slot, next),
            _ => self.step(slot, replica, env),
        }
    }

    /// Does the next of what is left to do, the most particular first.
    fn step(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some((job, shape)) = self.jobs.get_mut(slot).zip(replica.trees.shape()) else {
            return;
        };
        (job.state, job.step) = (State::Idle, env.mono());
        if replica.is_full(env) || env.health.is_store_slow(env.now.mono) {
            return self.pause(slot, env);
        }
        if let Some(stretch) = job.stretches.last() {
            let span = stretch.span.clone();
            job.state = State::Listing;
            return replica.walk((Walker::Exchange, slot), span, PAGE, env);
        }
        if let Some(twig) = job.twigs.pop() {
            let span = shape.span(&shape.leaves_of(twig..twig + 1));
            job.state = State::Reading(replica.trees.look(), twig);
            return replica.walk_trees((Walker::Exchange, slot), span, answers::PAGE, env);
        }
        if job.parts.is_empty() {
            return self.end(slot, shape, replica, env);
        }
        let first = job.parts.len().saturating_sub(COMPARED_MOST);
        let mut asked = job.parts.split_off(first);
        asked.reverse();
        let mut parts = Vec::with_capacity(asked.len());
        for part in &asked {
            let Some(sum) = replica.trees.sum(job.n, part.clone()) else {
                return self.give_up(slot, env);
            };
            parts.push((part.clone(), sum.digests));
        }
        let (to, n) = (job.peer, job.n);
        job.state = State::Roots(env.mono(), asked);
        let ticket = self.name(slot, env);
        let exchange = Exchange::Roots {
            ticket,
            leaves: shape.leaves(),
            n,
            parts,
        };
        env.send(to, Message::Exchange(exchange));
    }

    /// Each question has a name of its own: an answer to an earlier one is none to this.
    fn name(&mut self, slot: Slot, env: &Env<'_>) -> Ticket {
        let Some(job) = self.jobs.remove(slot) else {
            return env.mask.ticket_of_exchange(slot);
        };
        self.deadlines.clear(slot);
        let slot = self.jobs.insert(job);
        let patience = env.config.timing.retry_after;
        self.deadlines.set(slot, env.mono() + patience);
        env.mask.ticket_of_exchange(slot)
    }

    /// Something about an exchange came.
    pub(crate) fn heard(
        &mut self,
        from: NodeId,
        exchange: Exchange,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let shape = replica.trees.shape().filter(|_| self.audit.is_ready());
        let is_alike = |leaves| shape.filter(|shape| shape.leaves() == leaves);
        match exchange {
            Exchange::Roots {
                ticket,
                leaves,
                n,
                parts,
            } => {
                let differs = is_alike(leaves).and_then(|shape| {
                    let sums: Option<Vec<_>> = (parts.iter())
                        .map(|(twigs, _)| replica.trees.sum(n, twigs.clone()))
                        .collect();
                    let pairs = sums?.into_iter().zip(&parts);
                    let differs = pairs.map(|(ours, (twigs, theirs))| {
                        if ours.digests == *theirs {
                            self.topics
                                .agreed_by(from, n, twigs, shape, &mut self.rng, env);
                        }
                        ours.digests != *theirs
                    });
                    Some(bits(differs))
                });
                answers::tell((from, ticket), differs, env);
            }
            Exchange::Leaves {
                ticket,
                leaves,
                n,
                twig,
                digests,
            } => match is_alike(leaves) {
                Some(shape) => {
                    let theirs = (n, twig, digests);
                    self.answers
                        .ask((from, ticket), theirs, shape, replica, env);
                }
                None => answers::tell((from, ticket), None, env),
            },
            Exchange::Unequal {
                ticket,
                is_sure,
                differs,
            } => {
                if let Some(slot) = env.mask.exchange(ticket) {
                    let differs = is_sure.then_some(differs);
                    self.told(slot, from, differs, replica, env);
                }
            }
            Exchange::Doubt { leaves, numbers } => {
                let known = is_alike(leaves).map_or(0, Shape::leaves);
                for leaf in numbers.into_iter().filter(|leaf| *leaf < known) {
                    replica.trees.suspect(leaf);
                }
            }
        }
    }

    /// What differs.
    fn told(
        &mut self,
        slot: Slot,
        from: NodeId,
        differs: Option<Vec<u64>>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some((job, shape)) = self.jobs.get_mut(slot).zip(replica.trees.shape()) else {
            return;
        };
        if job.peer != from || !matches!(job.state, State::Roots(..) | State::Leaves(..)) {
            return;
        }
        self.deadlines.clear(slot);
        let Some(differs) = differs else {
            return self.give_up(slot, env);
        };
        match core::mem::replace(&mut job.state, State::Idle) {
            State::Roots(_, asked) => {
                let all = asked.into_iter().enumerate();
                job.cut(all.filter_map(|(at, part)| is_set(&differs, at).then_some(part)));
            }
            State::Leaves(_, leaves) => {
                let all = leaves.enumerate();
                let differing = all.filter_map(|(at, leaf)| is_set(&differs, at).then_some(leaf));
                job.differ(differing, shape);
            }
            _ => {}
        }
        self.go_on(slot, replica, env);
    }

    /// What the store has, to be compared.
    pub(crate) fn listed(
        &mut self,
        slot: Slot,
        page: Result<Page, ScanFailed>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some((job, shape)) = self.jobs.get_mut(slot).zip(replica.trees.shape()) else {
            return;
        };
        match core::mem::replace(&mut job.state, State::Idle) {
            State::Reading(look, twig) => {
                let is_sure = replica.trees.looked(look);
                let Some(page) = page.ok().filter(|page| is_sure && page.rest.is_none()) else {
                    return self.give_up(slot, env);
                };
                let leaves = shape.leaves_of(twig..twig + 1);
                let digests = replica.trees.leaves(job.n, &leaves, &page);
                let (to, n) = (job.peer, job.n);
                job.state = State::Leaves(env.mono(), leaves);
                let exchange = Exchange::Leaves {
                    ticket: self.name(slot, env),
                    leaves: shape.leaves(),
                    n,
                    twig,
                    digests,
                };
                env.send(to, Message::Exchange(exchange));
            }
            State::Listing => {
                let Ok(page) = page else {
                    return self.give_up(slot, env);
                };
                self.ask(slot, page, env);
            }
            State::Rereading(then) => {
                let Ok(page) = page else {
                    return self.give_up(slot, env);
                };
                self.send(slot, page, then, replica, env);
            }
            _ => {}
        }
    }

    /// Asks for what else there is of what is next.
    fn ask(&mut self, slot: Slot, page: Page, env: &mut Env<'_>) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let Some(stretch) = job.stretches.last() else {
            return;
        };
        let first = stretch.span.first().clone();
        let span = match page.rest {
            Some(rest) => crate::store::Span::new(first, Some(rest.first().clone())),
            None => stretch.span.clone(),
        };
        let entries = page.items.into_iter().filter_map(|item| entry(item, env));
        let entries: Vec<Entry> = entries.collect();
        let both = entries
            .iter()
            .filter(|it| is_common(it, job.peer, job.n, env));
        let (known, places) = both.map(|it| (it.digest(), it.at.clone())).unzip();
        let to = job.peer;
        job.state = State::Asked(env.mono(), span.clone(), places);
        let message = Message::Compare {
            ticket: self.name(slot, env),
            span,
            credit: BATCH_BYTES,
            known,
            seen: Vec::new(),
        };
        env.send(to, message);
    }

    /// What else there is.
    pub(crate) fn compared(
        &mut self,
        slot: Slot,
        from: NodeId,
        (copies, lacking, rest): (Vec<HeldCopy>, u64, Option<Address>),
        replica: &mut Replica,
        arrivals: &mut Arrivals,
        env: &mut Env<'_>,
    ) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        if job.peer != from || !matches!(job.state, State::Asked(..)) {
            return;
        }
        let State::Asked(_, span, places) = core::mem::replace(&mut job.state, State::Idle) else {
            return;
        };
        self.deadlines.clear(slot);
        let Some(stretch) = job.stretches.last_mut() else {
            return;
        };
        if rest.as_ref() == Some(span.first()) && copies.is_empty() {
            stretch.refusals += 1;
            stretch.has_differed = true;
            if stretch.refusals >= REFUSALS {
                job.is_clean = false;
                job.stretches.pop();
            }
            return self.pause(slot, env); // it has too much else to do
        }
        let rest = rest.or_else(|| span.end().cloned());
        let is_shown = |at: &Address| rest.as_ref().is_none_or(|rest| at < rest);
        let places = places.into_iter().enumerate();
        let lacking: Vec<Address> = places
            .filter(|(at, place)| lacking & 1 << at != 0 && is_shown(place))
            .map(|(_, place)| place)
            .collect();
        stretch.has_differed |= !lacking.is_empty() || !copies.is_empty();
        job.got += copies.len() as u32; // at most HANDOFF_MOST
        job.state = State::Keeping(Then {
            span,
            lacking,
            rest,
        });
        let copies = copies.into_iter().map(|copy| (copy, None));
        arrivals.keep(Batch::Levelled(slot), copies.collect(), replica, env);
    }

    /// What came is stored, or not all of it.
    pub(crate) fn kept(
        &mut self,
        slot: Slot,
        is_all: bool,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let State::Keeping(then) = core::mem::replace(&mut job.state, State::Idle) else {
            return;
        };
        job.is_clean &= is_all;
        if then.lacking.is_empty() {
            job.advance(then.rest);
            return self.go_on(slot, replica, env);
        }
        // What came may have changed it, and others may have.
        let span = then.span.clone();
        job.state = State::Rereading(then);
        replica.walk((Walker::Exchange, slot), span, PAGE, env);
    }

    /// Sends what the other lacks, as it is by now.
    fn send(
        &mut self,
        slot: Slot,
        page: Page,
        then: Then,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let most = (BATCH_BYTES as usize).min(env.config.limits.frame_bytes / 2);
        let (mut copies, mut bytes, mut found) = (Vec::new(), 0, 0);
        for item in page.items {
            if !then.lacking.contains(item.first()) {
                continue;
            }
            let Some(entry) = entry(item, env) else {
                continue;
            };
            // What is being changed may not leave before it is safe: whoever changes it tells.
            let is_changing = replica.is_changing(entry.key.token(), false);
            if is_changing || !is_common(&entry, job.peer, job.n, env) {
                continue;
            }
            let copy = HeldCopy {
                durability: Durability::Memory, // at least the bucket's
                key: entry.key,
                siblings: entry.siblings,
            };
            bytes += copy.encoded_len();
            if bytes > most && !copies.is_empty() {
                break;
            }
            found += 1;
            copies.push(copy);
        }
        // What is left out is found again.
        job.is_clean &= found == then.lacking.len();
        if copies.is_empty() {
            job.advance(then.rest);
            return self.pause(slot, env);
        }
        let to = job.peer;
        job.state = State::Sent(env.mono(), then);
        let ticket = self.name(slot, env);
        env.send(to, Message::Handoff { ticket, copies });
    }

    /// What became of what was sent.
    pub(crate) fn handed_off(
        &mut self,
        slot: Slot,
        from: NodeId,
        (taken, credit): (u64, u32),
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        if job.peer != from || !matches!(job.state, State::Sent(..)) {
            return;
        }
        let State::Sent(_, then) = core::mem::replace(&mut job.state, State::Idle) else {
            return;
        };
        self.deadlines.clear(slot);
        job.gave += taken.count_ones();
        job.is_clean &= taken.count_ones() as usize >= then.lacking.len();
        job.advance(then.rest);
        match credit {
            0 => self.pause(slot, env),
            _ => self.go_on(slot, replica, env),
        }
    }

    /// What was to be sent was not.
    pub(crate) fn unsent(&mut self, slot: Slot, env: &mut Env<'_>) {
        self.give_up(slot, env);
    }

    /// Something else goes first.
    fn pause(&mut self, slot: Slot, env: &Env<'_>) {
        let wait = env.config.timing.retry_after / YIELD_SHARE;
        self.deadlines.set(slot, env.mono() + wait);
    }

    /// All was compared.
    fn end(&mut self, slot: Slot, shape: Shape, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(mut job) = self.close(slot, env) else {
            return;
        };
        if !job.doubted.is_empty() {
            // Either tree is wrong, or a key was just being changed.
            job.doubted.truncate(COMPARED_MOST);
            for leaf in &job.doubted {
                replica.trees.suspect(*leaf);
            }
            let exchange = Exchange::Doubt {
                leaves: shape.leaves(),
                numbers: job.doubted,
            };
            env.send(job.peer, Message::Exchange(exchange));
        }
        let again = self.again(env);
        for at in job.topics {
            match job.is_clean {
                true => self.topics.agreed(at, job.began, &mut self.rng, env),
                false => self.topics.put_back(at, again),
            }
        }
    }

    /// Not all could be compared: it is tried again later.
    fn give_up(&mut self, slot: Slot, env: &mut Env<'_>) {
        let Some(job) = self.close(slot, env) else {
            return;
        };
        let again = self.again(env);
        for at in job.topics {
            self.topics.put_back(at, again);
        }
    }

    fn close(&mut self, slot: Slot, env: &mut Env<'_>) -> Option<Job> {
        self.deadlines.clear(slot);
        let job = self.jobs.remove(slot)?;
        if job.got + job.gave > 0 {
            env.notify(Notice::Levelled {
                with: job.peer,
                got: job.got,
                gave: job.gave,
            });
        }
        Some(job)
    }

    fn again(&mut self, env: &Env<'_>) -> Instant {
        let wait = env.config.timing.retry_after.saturating_mul(AGAIN);
        env.mono() + wait / 2 + super::part_of(wait / 2, &mut self.rng)
    }

    /// What the store has, for whoever asked.
    pub(crate) fn answer(
        &mut self,
        slot: Slot,
        page: Result<Page, ScanFailed>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        self.answers.listed(slot, page, replica, env);
    }

    /// A node is there again.
    pub(crate) fn hurry(&mut self, peer: NodeId, now: Instant) {
        self.topics.hurry(peer, now);
    }

    /// What the store has, for whoever looks after the trees.
    pub(crate) fn audited(
        &mut self,
        page: Result<Page, ScanFailed>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        self.audit.listed(page, replica, env);
    }
}

/// Cuts the trees as the ring is cut, unless they are. To be done before any key changes.
pub(crate) fn cut(view: &View, config: &Config, replica: &mut Replica) -> Shape {
    let shape = Shape::of(&view.ring, config.limits.keys as u64);
    if replica.trees.shape() != Some(shape) {
        replica.trees.cut(shape);
    }
    shape
}

/// Whether both this node and that one are to have it, and it is in the trees that are compared.
fn is_common(entry: &Entry, peer: NodeId, n: u8, env: &Env<'_>) -> bool {
    let (view, token) = (env.view, entry.key.token());
    let is_on_duty = |node| view.is_on_duty(node, token, n.into());
    env.view.buckets.of(&entry.key).n == n && is_on_duty(env.me()) && is_on_duty(peer)
}
