//! Making keys equal that two nodes are to have in common: what one of them has and the other does not
//! goes to the other, both ways.

use alloc::vec::Vec;

use super::Entropy;
use super::job::{Job, State, Then};
use crate::NodeId;
use crate::handoff::{Arrivals, Batch};
use crate::node::{Env, Slot};
use crate::replica::{Replica, Walker};
use crate::store::{Address, Page, Span};
use crate::upkeep::{BATCH_BYTES, Entry, PAGE, Parcel};
use crate::wire::{HeldCopy, Message};

/// A stretch that the other has no time for so often is left for later.
const REFUSALS: u8 = 8;

impl Entropy {
    /// Asks for what else there is of what is next.
    pub(super) fn ask(&mut self, slot: Slot, page: Page, env: &mut Env<'_>) {
        let Some(job) = self.jobs.get_mut(slot) else {
            return;
        };
        let Some(stretch) = job.stretches.last() else {
            return;
        };
        let first = stretch.span.first().clone();
        let span = match page.rest {
            Some(rest) => Span::new(first, Some(rest.first().clone())),
            None => stretch.span.clone(),
        };
        let entries = page.items.into_iter();
        let entries = entries.filter_map(|item| Entry::of(item, env));
        let entries: Vec<Entry> = entries.collect();
        let both = entries
            .iter()
            .filter(|it| is_common(it, job.peer, job.n, env));
        let (known, places) = both.map(|it| (it.digest(env), it.at.clone())).unzip();
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
        let is_it = |job: &Job| job.peer == from && matches!(job.state, State::Asked(..));
        let Some(job) = self.jobs.answered(slot, is_it) else {
            return;
        };
        let State::Asked(_, span, places) = core::mem::replace(&mut job.state, State::Idle) else {
            return;
        };
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
            return self.jobs.pause(slot, env); // it has too much else to do
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
    pub(super) fn send(
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
        let mut parcel = Parcel::of(most);
        for item in page.items {
            if !then.lacking.contains(item.first()) {
                continue;
            }
            let Some(entry) = Entry::of(item, env) else {
                continue;
            };
            // What is being changed may not leave before it is safe: whoever changes it tells.
            let is_changing = replica.is_changing(entry.key.token(), false);
            if is_changing || !is_common(&entry, job.peer, job.n, env) {
                continue;
            }
            if !parcel.pack(entry.into_copy()) {
                break;
            }
        }
        let copies = parcel.into_copies();
        // What is left out is found again.
        job.is_clean &= copies.len() == then.lacking.len();
        if copies.is_empty() {
            job.advance(then.rest);
            return self.jobs.pause(slot, env);
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
        let is_it = |job: &Job| job.peer == from && matches!(job.state, State::Sent(..));
        let Some(job) = self.jobs.answered(slot, is_it) else {
            return;
        };
        let State::Sent(_, then) = core::mem::replace(&mut job.state, State::Idle) else {
            return;
        };
        job.gave += taken.count_ones();
        job.is_clean &= taken.count_ones() as usize >= then.lacking.len();
        job.advance(then.rest);
        match credit {
            0 => self.jobs.pause(slot, env),
            _ => self.go_on(slot, replica, env),
        }
    }

    /// What was to be sent was not.
    pub(crate) fn unsent(&mut self, slot: Slot, env: &mut Env<'_>) {
        self.give_up(slot, env);
    }
}

/// Whether both this node and that one are to have it, and it is in the trees that are compared.
fn is_common(entry: &Entry, peer: NodeId, n: u8, env: &Env<'_>) -> bool {
    let is_compared = env.view.buckets.of(&entry.key).n == n;
    is_compared && entry.is_of(env.me(), env) && entry.is_of(peer, env)
}
