//! A node's part in its cluster's membership: what it hears of it goes into the rings that it works
//! by, what has to be written down goes to the store, what has to be said to others.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::View;
use crate::membership::{
    CommitError, Epoch, Gossip, Mark, Membership, Output, Plan, Question, ShortEpoch, Stage,
};
use crate::ring::{Member, RingError};
use crate::version::{Boot, Height};
use crate::{Instant, NodeId, Now};

/// The membership, and what is under way of it.
pub(crate) struct Members {
    membership: Membership,
    me: Member,
    /// What it wants done.
    pub(crate) outputs: Vec<Output>,
    /// What is being written down.
    saving: Option<Mark>,
    /// What is to be written down next, and not before.
    unsaved: Option<(Mark, Instant)>,
    /// Whether anything may be otherwise than when it was last asked.
    is_other: bool,
}

impl Members {
    pub(crate) fn new(membership: Membership, me: Member) -> Self {
        Self {
            membership,
            me,
            outputs: Vec::new(),
            saving: None,
            unsaved: None,
            is_other: true,
        }
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    pub(crate) fn membership_mut(&mut self) -> &mut Membership {
        self.is_other = true;
        &mut self.membership
    }

    pub(crate) fn view(&mut self) -> Result<View, RingError> {
        self.is_other = true;
        View::of(&mut self.membership, &self.me)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let again = self.unsaved.filter(|_| self.saving.is_none());
        let again = again.map(|(_, at)| at);
        self.membership
            .next_deadline()
            .into_iter()
            .chain(again)
            .min()
    }

    pub(crate) fn tick(&mut self, now: Now) {
        let due = self.membership.next_deadline();
        if due.is_some_and(|due| due <= now.mono) {
            self.is_other = true;
            self.membership.tick(now, &mut self.outputs);
        }
    }

    /// Whether nothing is wanted done and nothing is to be written down: so it mostly is.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.outputs.is_empty() && self.unsaved.is_none()
    }

    /// Whether the membership may be otherwise than when this was last asked.
    pub(crate) fn is_other(&mut self) -> bool {
        core::mem::take(&mut self.is_other)
    }

    pub(crate) fn heard(&mut self, now: Now, from: NodeId, gossip: Gossip) {
        self.is_other = true;
        let out = &mut self.outputs;
        self.membership.handle(now, from, gossip, out);
    }

    /// A node has asked for something by another epoch. Whether anything was said about that.
    pub(crate) fn met(&mut self, now: Instant, from: NodeId, epoch: ShortEpoch) -> bool {
        self.is_other = true;
        self.membership.met(now, from, epoch, &mut self.outputs)
    }

    /// A node has answered a question of somebody's else: it is there.
    pub(crate) fn is_there(&mut self, now: Instant, node: NodeId) {
        self.membership.is_there(now, node);
    }

    /// Makes a plan part of the history.
    pub(crate) fn commit(&mut self, plan: Plan, now: Now) -> Result<Epoch, CommitError> {
        self.is_other = true;
        self.membership.commit(plan, now, &mut self.outputs)
    }

    /// This node holds all that it is on duty for.
    pub(crate) fn moved(&mut self, epoch: Epoch) {
        self.is_other = true;
        self.membership.moved(epoch, &mut self.outputs);
    }

    /// What this node is asked before boots are retired.
    #[inline]
    pub(crate) fn question(&self) -> Option<(u64, Stage)> {
        self.membership.question().map(Question::name)
    }

    /// What it was asked is so.
    pub(crate) fn answer(&mut self, named: Vec<(NodeId, Boot)>, living: Vec<Boot>) {
        self.membership.answer((named, living), &mut self.outputs);
    }

    /// It mints under that boot from now on.
    pub(crate) fn mints_under(&mut self, boot: Boot) {
        self.membership.mints_under(boot);
    }

    /// It has seen all that was written by so many of those that are retired.
    pub(crate) fn earn(&mut self, height: Height) {
        self.membership.earn(height);
    }

    /// That is to be written down.
    pub(crate) fn save(&mut self, mark: Mark, now: Instant) {
        self.unsaved = Some((mark, now));
    }

    /// What is to be written down now, if anything.
    pub(crate) fn next_save(&mut self, now: Instant) -> Option<Bytes> {
        let due = self.unsaved.filter(|(_, at)| *at <= now);
        if self.saving.is_some() {
            return None;
        }
        let (mark, _) = due?;
        (self.saving, self.unsaved) = (Some(mark), None);
        Some(self.membership.to_bytes())
    }

    /// What was being written down is safe, or must be written again.
    pub(crate) fn saved(&mut self, is_safe: bool, now: Instant, patience: Duration) {
        let Some(mark) = self.saving.take() else {
            return;
        };
        if is_safe {
            self.is_other = true;
            self.membership.saved(mark, &mut self.outputs);
        } else if self.unsaved.is_none() {
            self.unsaved = Some((mark, now + patience));
        }
    }
}
