//! Partitions on their way to new owners, and what their old owners still have of them.
//!
//! ```text
//!   new owner                               who was on duty before
//!   list what is here of a stretch  --- Compare --->  list the same, leave out what is known
//!   keep what comes, go on behind it <-- Compared ---  copies, and how far it has looked
//!
//!   who is on duty no more                  each owner
//!   list what is here of a stretch  --- Compare --->  list the same
//!                                   <-- Compared ---  what it does not have as it is there
//!   if so, how far that has seen    --- Compare --->  look once more
//!   hold as a hint what an owner    <-- Compared ---  what it lacks
//!   lacks, then forget all of it
//! ```
//!
//! Whoever answers keeps nothing: a crash of either side costs a comparison. A node pulls when all
//! know the epoch, and says that it has moved when everybody who was on duty before and is not
//! removed has shown it everything. It forgets when all have switched. Client work goes first on
//! both sides.
//!
//! Left to others: which rings there are, and bringing hints home.

mod job;
mod show;
mod spans;

use alloc::vec::Vec;

use crate::handoff::{Arrivals, Batch};
use crate::membership::{Epoch, Membership, Step};
use crate::node::{Env, Few, Notice, Slot};
use crate::replica::{Replica, Walker};
use crate::store::{Address, Page, ScanFailed, Span};
use crate::upkeep::{BATCH_BYTES, Entry, Jobs, PAGE, is_given_up};
use crate::wire::{HANDOFF_MOST, HeldCopy, Message};
use crate::{Instant, NodeId};

use self::job::{Job, Kind, State};
pub(crate) use self::show::{SHOWN_ABREAST, Shows};
pub(crate) use self::spans::{parts, replicas};

/// Most nodes that are asked side by side.
pub(crate) const ABREAST: usize = 4;

/// What this node has still to get, and to give up.
pub(crate) struct Moving {
    jobs: Jobs<Job>,
    /// Jobs that wait for others to end, and those that wait for all others.
    waiting: Vec<Job>,
    last: Vec<Job>,
    /// What all these are for.
    aim: Option<Aim>,
    is_done: bool,
}

/// What there is to do: in which epoch, and beside how many older rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Aim {
    what: What,
    epoch: Epoch,
    past: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// To get what this node is on duty for.
    Pull,
    /// Nothing: it is for others to go on.
    Wait,
    /// To give up what it is not on duty for.
    Shed,
}

impl Moving {
    pub(crate) fn new() -> Self {
        Self {
            jobs: Jobs::new(),
            waiting: Vec::new(),
            last: Vec::new(),
            aim: None,
            is_done: true,
        }
    }

    /// When something is to be done next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.jobs.next_deadline()
    }

    /// Whether nothing is to be got or given up any more, as far as that can be done now.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Does what is due, and what there is to do anew if the membership has changed. Returns the epoch
    /// of which this node has just got everything.
    pub(crate) fn tick(
        &mut self,
        changed: Option<&Membership>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) -> Option<Epoch> {
        if let Some(membership) = changed {
            self.plan(membership, env);
        }
        self.look_again(replica, env);
        while let Some(slot) = self.jobs.pop_due(env.mono()) {
            self.wake(slot, replica, env);
        }
        if self.jobs.len() == 0 && self.waiting.is_empty() {
            self.waiting = core::mem::take(&mut self.last);
        }
        while self.jobs.len() < ABREAST
            && let Some(job) = self.waiting.pop()
        {
            let slot = self.jobs.begin(job);
            self.look(slot, replica, env);
        }
        if self.is_done || self.jobs.len() > 0 || !self.last.is_empty() {
            return None;
        }
        self.is_done = true;
        let aim = self.aim.filter(|aim| aim.what == What::Pull);
        aim.map(|aim| aim.epoch)
    }

    /// Begins anew where others are on duty, or all have taken a step.
    fn plan(&mut self, membership: &Membership, env: &Env<'_>) {
        let view = env.view;
        if !view.is_serving {
            return;
        }
        let has_said_so = membership.has_confirmed(Step::Moved, env.me());
        let what = if membership.is_switched() {
            What::Shed
        } else if membership.is_settled() && !has_said_so {
            What::Pull
        } else {
            What::Wait
        };
        let (epoch, past) = (membership.epoch(), view.past.len());
        let aim = Some(Aim { what, epoch, past });
        if self.aim == aim {
            return;
        }
        for slot in self.jobs.slots().collect::<Vec<_>>() {
            self.jobs.end(slot);
        }
        (self.aim, self.is_done) = (aim, false);
        [self.waiting, self.last] = match what {
            What::Pull => planted!(MovedUnasked ? Default::default(); spans::to_pull(env)),
            // What was never otherwise is not looked through.
            What::Shed if epoch.height > 1 => [spans::to_shed(env), Vec::new()],
            What::Wait | What::Shed => Default::default(),
        };
    }

    /// What was kept behind this node's back is given up too: changes that were begun while it was on
    /// duty for them.
    fn look_again(&mut self, replica: &mut Replica, env: &Env<'_>) {
        let is_shedding = self.aim.is_some_and(|aim| aim.what == What::Shed);
        if is_shedding && self.is_done && core::mem::take(&mut replica.has_strays) {
            self.is_done = false;
            self.waiting = spans::to_shed(env);
        }
    }

    fn wake(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let State::Asked(asked) = &job.state else {
            return self.look(slot, replica, env);
        };
        let mut is_over = false;
        for node in &asked.waiting {
            is_over |= is_given_up(*node, asked.since, env);
        }
        if is_over {
            job.state = State::Idle;
        }
        self.jobs.wait(slot, env);
    }

    /// Looks at the next stretch, unless something goes first or none is left.
    fn look(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let Some(span) = job.spans.last().cloned() else {
            self.jobs.end(slot);
            return;
        };
        job.state = State::Idle;
        let is_away = match job.kind {
            Kind::Pull { donor } => !env.health.is_trusted(donor),
            // Until it is known how much is held, no more is.
            Kind::Shed => !replica.inventory.is_complete,
        };
        if is_away || replica.is_full(env) {
            return self.pause(slot, env);
        }
        (job.state, job.began) = (State::Looking, env.mono());
        replica.walk((Walker::Moving, slot), span, PAGE, env);
    }

    /// What is here of that stretch.
    pub(crate) fn listed(
        &mut self,
        slot: Slot,
        page: Result<Page, ScanFailed>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let (Ok(page), State::Looking) = (page, &job.state) else {
            return self.pause(slot, env);
        };
        let rest = page.rest.map(|rest| rest.first().clone());
        let entries = page.items.into_iter();
        let entries = entries.filter_map(|item| Entry::of(item, env));
        let entries: Vec<Entry> = entries.collect();
        let most = env.admission.of(HANDOFF_MOST as u32, env.now.mono) as usize;
        match job.kind {
            Kind::Pull { donor } => {
                let known = entries.iter().map(|it| it.digest(env)).collect();
                let span = job.stretch(rest);
                self.ask(slot, &[donor], span, known, (Vec::new(), Vec::new()), env);
            }
            Kind::Shed => {
                let behind = rest.or_else(|| job.end());
                let mut foreign = entries
                    .into_iter()
                    .filter(|it| !it.is_of(env.me(), env))
                    .peekable();
                let Some(first) = foreign.peek() else {
                    job.advance(behind);
                    return self.rest(slot, replica, env);
                };
                let owners = first.owners(env);
                let first = first.at.clone();
                let most = (most / owners.len().max(1)).max(1);
                let is_same = |it: &Entry| {
                    // What is being changed is not given up before it is safe.
                    it.owners(env) == owners && !replica.is_changing(it.key.token(), false)
                };
                let mut entries = Vec::new();
                while entries.len() < most
                    && let Some(entry) = foreign.next_if(is_same)
                {
                    entries.push(entry);
                }
                let Some(last) = entries.last() else {
                    return self.pause(slot, env);
                };
                let span = Span::new(first, Some(last.at.successor()));
                planted!(ForgottenUnasked => {
                    for entry in entries {
                        let seen = entry.siblings.clock().clone();
                        let asker = crate::replica::Asker::Nobody;
                        let forget = crate::replica::Task::Forget { asker, seen };
                        replica.submit(&entry.key, forget, env);
                    }
                    job.advance(span.end().cloned());
                    return self.look(slot, replica, env);
                });
                let known = entries.iter().map(|it| it.digest(env)).collect();
                self.ask(slot, &owners, span, known, (entries, Vec::new()), env);
            }
        }
    }

    /// Asks nodes what they have of a stretch.
    fn ask(
        &mut self,
        slot: Slot,
        nodes: &[NodeId],
        span: Span,
        known: Vec<u128>,
        (entries, doubted): (Vec<Entry>, Vec<usize>),
        env: &mut Env<'_>,
    ) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let credit = match job.kind {
            Kind::Pull { .. } => env.admission.of(BATCH_BYTES, env.now.mono).max(1),
            Kind::Shed => 0,
        };
        let seen = doubted.iter().map(|at| {
            let entry = &entries[*at];
            (entry.at.clone(), entry.siblings.clock().clone())
        });
        let seen = seen.collect();
        job.state = State::Asked(job::Asked {
            since: env.mono(),
            span: span.clone(),
            waiting: nodes.into(),
            entries,
            doubted,
            lacking: Vec::new(),
        });
        let slot = self.jobs.wait_anew(slot, env);
        let message = Message::Compare {
            ticket: env.mask.ticket(slot),
            span,
            credit,
            known,
            seen,
        };
        env.send_all(nodes.into(), message);
    }

    /// What a node has of a stretch.
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
        let State::Asked(asked) = &mut job.state else {
            return;
        };
        let Some(at) = asked.waiting.iter().position(|node| *node == from) else {
            return;
        };
        asked.waiting.swap_remove(at);
        if rest.as_ref() == Some(asked.span.first()) && copies.is_empty() {
            return self.pause(slot, env); // it has too much else to do
        }
        match job.kind {
            Kind::Pull { .. } => {
                let next = rest.or_else(|| asked.span.end().cloned());
                job.state = State::Keeping {
                    next,
                    entries: Vec::new(),
                };
                self.jobs.stop_waiting(slot);
                env.notify(Notice::Pulled {
                    from,
                    copies: copies.len() as u32, // at most HANDOFF_MOST
                });
                let copies = copies.into_iter().map(|copy| (copy, None));
                arrivals.keep(Batch::Moved(slot), copies.collect(), replica, env);
            }
            Kind::Shed => {
                asked.lacking.push((from, lacking));
                if let Some(rest) = rest {
                    asked.entries.retain(|entry| entry.at < rest);
                }
                if !asked.waiting.is_empty() {
                    return;
                }
                let (entries, lacking, doubted) = (
                    core::mem::take(&mut asked.entries),
                    core::mem::take(&mut asked.lacking),
                    core::mem::take(&mut asked.doubted),
                );
                let span = asked.span.clone();
                let Some(last) = entries.last() else {
                    return self.pause(slot, env);
                };
                let next = Some(last.at.successor());
                let is_in = |bits: u64, at: usize| bits & 1 << at != 0;
                if doubted.is_empty() {
                    // Who does not have it as it is here has more, most likely.
                    let any = lacking.iter().fold(0, |any, (_, bits)| any | bits);
                    let doubted = (0..entries.len()).filter(|at| is_in(any, *at));
                    let doubted: Vec<usize> = doubted.collect();
                    if !doubted.is_empty() {
                        let doubts = |bits| doubted.iter().any(|at| is_in(bits, *at));
                        let owners = lacking.iter().filter(|(_, bits)| doubts(*bits));
                        let owners: Few = owners.map(|(owner, _)| *owner).collect();
                        let asked = (entries, doubted);
                        return self.ask(slot, &owners, span, Vec::new(), asked, env);
                    }
                }
                let mut hints = Vec::new();
                for (owner, lacking) in lacking {
                    let lacking = doubted.iter().enumerate().filter(|it| is_in(lacking, it.0));
                    for entry in lacking.filter_map(|(_, at)| entries.get(*at)) {
                        hints.push((entry.clone().into_copy(), Some(owner)));
                    }
                }
                job.state = State::Keeping { next, entries };
                self.jobs.stop_waiting(slot);
                arrivals.keep(Batch::Moved(slot), hints, replica, env);
            }
        }
    }

    /// What came is stored, or not all of it.
    pub(crate) fn kept(
        &mut self,
        slot: Slot,
        is_all: bool,
        replica: &mut Replica,
        arrivals: &mut Arrivals,
        env: &mut Env<'_>,
    ) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let state = core::mem::replace(&mut job.state, State::Idle);
        if !is_all {
            return self.pause(slot, env);
        }
        let next = match state {
            State::Keeping { next, entries } if !entries.is_empty() => {
                let records = entries.iter().map(|it| (&it.key, it.siblings.clock()));
                let records: Vec<_> = records.collect();
                let copies = records.len() as u32; // at most HANDOFF_MOST
                job.state = State::Forgetting { next, copies };
                return arrivals.forget(Batch::Moved(slot), &records, replica, env);
            }
            State::Keeping { next, .. } => next,
            State::Forgetting { next, copies } => {
                env.notify(Notice::Shed { copies });
                next
            }
            State::Idle | State::Looking | State::Asked(_) => return,
        };
        job.advance(next);
        self.rest(slot, replica, env);
    }

    /// A stretch is done. The next begins as soon as clients leave time for it.
    fn rest(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(began) = self.jobs.get_mut(slot).map(|job| job.began) else {
            return;
        };
        if self.jobs.rest(slot, began, env) {
            self.look(slot, replica, env);
        }
    }

    /// Something else goes first.
    fn pause(&mut self, slot: Slot, env: &Env<'_>) {
        if let Some(job) = self.jobs.get_mut(slot) {
            job.state = State::Idle;
            self.jobs.pause(slot, env);
        }
    }
}
