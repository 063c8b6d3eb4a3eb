//! Comparing with other nodes what this one is to have in common with them, and making it equal.

mod comparing;
mod job;
mod levelling;

use alloc::vec::Vec;

use self::job::{Job, State};
use super::ABREAST;
use super::answers::{self, Answers};
use super::audit::Audit;
use super::shape::Shape;
use super::topics::{Agreement, Level, Topics};
use crate::membership::Epoch;
use crate::node::{Config, Env, Notice, Slot, View};
use crate::replica::{Replica, Walker};
use crate::rng::Rng;
use crate::store::{Page, ScanFailed};
use crate::upkeep::{Jobs, PAGE, is_given_up};
use crate::version::{Boot, Height};
use crate::wire::{COMPARED_MOST, Exchange, Message, Ticket};
use crate::{Instant, NodeId, Seed};

/// What could not be compared is tried again after so many patiences.
const AGAIN: u32 = 8;

/// What this node does to be equal to others.
pub(crate) struct Entropy {
    audit: Audit,
    topics: Topics,
    jobs: Jobs<Job>,
    answers: Answers,
    /// For which rings the topics are.
    aim: Option<(Epoch, usize, Height)>,
    /// Of its own, so that what others draw does not hang on it.
    rng: Rng,
}

impl Entropy {
    pub(crate) fn new(seed: Seed) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            audit: Audit::new(Seed(rng.number())),
            topics: Topics::default(),
            jobs: Jobs::new(),
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
            self.jobs.next_deadline(),
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

    /// The same in short.
    pub(crate) fn level(&self, now: Instant) -> Level {
        self.topics.level(now)
    }

    /// Everything is to be compared with everybody once more.
    pub(crate) fn hurry_all(&mut self, now: Instant) {
        self.topics.hurry_all(now);
    }

    /// Whether it was, and came out the same, since then.
    pub(crate) fn is_level_since(&self, then: Instant) -> bool {
        self.audit.is_ready() && self.topics.have_agreed_since(then)
    }

    /// Goes through all records, unless that was begun just now.
    pub(crate) fn read_all(&mut self, replica: &Replica, now: Instant) {
        if let Some(shape) = replica.trees.shape() {
            self.audit.read_all(shape, now);
        }
    }

    /// Whether that was done by now, and begun since then.
    pub(crate) fn has_read_all_since(&self, then: Instant) -> bool {
        self.audit.has_read_all_since(then)
    }

    /// Whether records are not as the trees that were kept beside them say: the store has lost
    /// something. Said once.
    pub(crate) fn take_loss(&mut self) -> bool {
        self.audit.take_loss()
    }

    /// Goes through all records, and forgets those that say nothing any more.
    pub(crate) fn forget_all(&mut self, replica: &Replica, now: Instant) {
        if let Some(shape) = replica.trees.shape() {
            self.audit.go_round(shape, now);
        }
    }

    /// Finds out which boots are named in this node's records.
    pub(crate) fn name_all(&mut self, replica: &Replica, now: Instant) {
        if let Some(shape) = replica.trees.shape() {
            self.audit.name_all(shape, now);
        }
    }

    /// Those, when it is known.
    pub(crate) fn take_named(&mut self) -> Option<Vec<(NodeId, Boot)>> {
        self.audit.take_named()
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, epoch: Epoch, replica: &mut Replica, env: &mut Env<'_>) {
        if !env.view.is_serving {
            return;
        }
        self.plan(epoch, replica, env);
        self.audit.note_whole(replica, env);
        while let Some(slot) = self.jobs.pop_due(env.mono()) {
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
        while self.jobs.len() < ABREAST
            && self.topics.next_due().is_some_and(|due| due <= env.mono())
        {
            let is_talked_to = |node| self.jobs.iter().any(|job| job.peer == node);
            let taken = self.topics.take(is_talked_to, COMPARED_MOST, env);
            let topics: Vec<_> = taken.iter().filter_map(|at| self.topics.get(*at)).collect();
            let Some(first) = topics.first() else {
                return;
            };
            let with = (first.peer, first.n);
            let job = Job::new(with, taken, &topics, shape, env.mono());
            let slot = self.jobs.begin(job);
            self.step(slot, replica, env);
        }
    }

    /// Others may be on duty than before, or more boots retired.
    pub(crate) fn plan(&mut self, epoch: Epoch, replica: &mut Replica, env: &mut Env<'_>) {
        let aim = Some((epoch, env.view.past.len(), env.retired.height()));
        if self.aim == aim {
            return;
        }
        self.aim = aim;
        let shape = cut(env.view, env.config, replica);
        self.audit.follow(shape, replica, env);
        for slot in self.jobs.slots().collect::<Vec<_>>() {
            self.jobs.end(slot);
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
        if is_given_up(job.peer, since, env) {
            return self.give_up(slot, env);
        }
        self.jobs.wait(slot, env);
    }

    /// A step is done. The next begins as soon as clients leave time for it.
    fn go_on(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        job.state = State::Idle;
        let began = job.step;
        if self.jobs.rest(slot, began, env) {
            self.step(slot, replica, env);
        }
    }

    /// Does the next of what is left to do, the most particular first.
    fn step(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some((job, shape)) = self.jobs.get_mut(slot).zip(replica.trees.shape()) else {
            return;
        };
        (job.state, job.step) = (State::Idle, env.mono());
        if replica.is_full(env) || env.health.is_store_slow(env.now.mono) {
            return self.jobs.pause(slot, env);
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

    /// The name of what is asked next, whose answer is waited for.
    fn name(&mut self, slot: Slot, env: &Env<'_>) -> Ticket {
        env.mask.ticket_of_exchange(self.jobs.wait_anew(slot, env))
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
        let is_clean = planted!(AgreedUnlooked ? true; job.is_clean);
        for at in job.topics {
            match is_clean {
                true => self
                    .topics
                    .agreed_when_asked(at, job.began, &mut self.rng, env),
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
        let job = self.jobs.end(slot)?;
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
