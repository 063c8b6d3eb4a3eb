//! Asking everybody, one question after the other.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::AT_ONCE;
use super::words::{Answer, Question, Stage};
use crate::membership::exchange::say;
use crate::membership::gossip::Kind;
use crate::membership::limits::MAX_RETIRED;
use crate::membership::{Epoch, Membership, Output, To, nanos};
use crate::version::{Boot, Height, Retirements};
use crate::{Instant, NodeId};

/// A round that takes twice as long as there is between two, and as long as this, begins anew.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// What whoever leads remembers.
#[derive(Debug)]
pub(super) struct Lead {
    round: u64,
    epoch: Epoch,
    height: Height,
    /// The digest of the list of that height.
    listed: u64,
    /// When it began.
    began: Instant,
    /// Nothing while it waits.
    stage: Option<Stage>,
    /// Whether it is time to retire others.
    is_due: bool,
    /// Whether somebody has started again meanwhile: what he said before may not be so any more.
    is_void: bool,
    /// When it goes on.
    next: Instant,
    /// What is to be retired.
    boots: Vec<(NodeId, Boot)>,
    named: BTreeSet<(NodeId, Boot)>,
    living: BTreeSet<(NodeId, Boot)>,
    done: BTreeSet<NodeId>,
    lives: BTreeMap<NodeId, Boot>,
}

impl Membership {
    /// Asks who has not answered, if this node leads.
    pub(in crate::membership) fn lead(&mut self, now: Instant, out: &mut Vec<Output>) {
        let me = self.config.member.id;
        if self.leader() != Some(me) || !self.is_switched() {
            self.retiring.lead = None;
            return;
        }
        let (epoch, height) = (self.epoch(), self.retiring.list.height());
        let every = self.config.retire_every;
        let present: Vec<NodeId> = self
            .state()
            .map_or_else(Vec::new, |it| it.present().collect());
        let is_over = |lead: &Lead| lead.is_void || lead.epoch != epoch || !lead.expects(height);
        if self.retiring.lead.as_ref().is_none_or(is_over) {
            let before = self.retiring.lead.take();
            self.retiring.lead = Some(Lead {
                // It may not be there as long as there is between two rounds.
                next: now + Duration::from_nanos(self.rng.below(nanos(every))),
                is_due: before.is_some_and(|lead| lead.is_due),
                ..Lead::of(
                    self.rng.number(),
                    now,
                    epoch,
                    (height, self.retiring.listed),
                )
            });
        }
        let (listed, anew) = (self.retiring.listed, self.rng.number());
        let Some(lead) = &mut self.retiring.lead else {
            return;
        };
        // Somebody has started again since a round began, perhaps, and was not asked what came before.
        let is_stale = now > lead.began + every.saturating_mul(2).max(PATIENCE);
        match lead.stage {
            None if now < lead.next => return,
            stage if stage.is_none() || is_stale => {
                *lead = Lead {
                    is_due: true,
                    next: now + every,
                    ..Lead::of(anew, now, epoch, (height, listed))
                };
            }
            _ if present.iter().all(|node| lead.done.contains(node)) => {
                lead.advance(&self.retiring.list, (listed, anew));
            }
            _ => {}
        }
        let Some(question) = lead.question() else {
            return;
        };
        let done = lead.done.clone();
        for node in present.into_iter().filter(|node| !done.contains(node)) {
            match node == me {
                true => self.asked(me, question.clone(), out),
                false => say(To::Node(node), Kind::Ask(question.clone()), out),
            }
        }
    }

    /// Somebody has said that what he was asked is so.
    pub(in crate::membership) fn answered_by(&mut self, from: NodeId, answer: Answer) {
        let Some(lead) = &mut self.retiring.lead else {
            return;
        };
        let is_other = |life: &Boot| *life != answer.life;
        if lead.lives.get(&from).is_some_and(is_other) {
            lead.is_void = true;
            return;
        }
        if answer.round != lead.round || Some(answer.stage) != lead.stage {
            return;
        }
        lead.lives.insert(from, answer.life);
        lead.done.insert(from);
        lead.named.extend(answer.named);
        let living = answer.living.into_iter();
        lead.living.extend(living.map(|boot| (from, boot)));
    }
}

impl Lead {
    /// It begins with what was retired before, which some may not have heard of.
    fn of(round: u64, began: Instant, epoch: Epoch, (height, listed): (Height, u64)) -> Self {
        Self {
            round,
            epoch,
            height,
            listed,
            began,
            stage: Some(Stage::Listed),
            is_due: false,
            is_void: false,
            next: Instant::default(),
            boots: Vec::new(),
            named: BTreeSet::new(),
            living: BTreeSet::new(),
            done: BTreeSet::new(),
            lives: BTreeMap::new(),
        }
    }

    /// Whether the list can be so long at this stage.
    fn expects(&self, height: Height) -> bool {
        let is_growing = self.stage == Some(Stage::Listed);
        height == self.height || (is_growing && height == self.height_after())
    }

    fn height_after(&self) -> Height {
        Height(self.height.0 + self.boots.len() as u32) // at most MAX_RETIRED
    }

    fn question(&self) -> Option<Question> {
        Some(Question {
            listed: self.listed,
            round: self.round,
            epoch: self.epoch,
            height: self.height,
            stage: self.stage?,
            boots: self.boots.clone(),
        })
    }

    /// Everybody has answered.
    fn advance(&mut self, list: &Retirements, (listed, anew): (u64, u64)) {
        self.done.clear();
        self.stage = match self.stage {
            Some(Stage::Listed) => {
                self.is_due &= self.boots.is_empty();
                (self.height, self.listed) = (self.height_after(), listed);
                self.boots.clear();
                Some(Stage::Raised)
            }
            Some(Stage::Named) => {
                let named = core::mem::take(&mut self.named);
                let is_over =
                    |it: &(NodeId, Boot)| !self.living.contains(it) && !list.contains(it.0, it.1);
                let room = MAX_RETIRED.saturating_sub(list.height().0 as usize);
                let over = named.into_iter().filter(is_over);
                self.boots = over.take(room.min(AT_ONCE)).collect();
                self.is_due = !self.boots.is_empty();
                self.is_due.then_some(Stage::Home)
            }
            // The last two stages are asked for a second time: answers to the first are over.
            Some(Stage::Home) => {
                self.round = anew;
                Some(Stage::Listed)
            }
            Some(Stage::Raised) if self.is_due => Some(Stage::Named),
            Some(Stage::Raised) | None => None,
        };
    }
}
