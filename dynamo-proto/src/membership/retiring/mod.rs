//! Boots that nobody needs named any more: how the cluster makes sure of it, and commits it.
//!
//! ```text
//!   the first of those present, who leads          everybody, itself included
//!   Listed   have you all that was retired?  --->  on the disk
//!   Raised                                   --->  and seen all that those wrote, of every key
//!   (waits)
//!   Named    which boots do your keys name?  --->  these, and here I may still mint under those
//!   Home     those are over                  --->  and I hold nothing for anybody
//!   Listed   they are retired                --->  on the disk
//!   Raised                                   --->  and since then found, or made, the same as here
//!                                                  with each that is to have the same
//! ```
//!
//! A stage is over when everybody has said so, however long that takes; if anybody starts again, or
//! others come to be members, it all begins anew. So what those boots wrote is with owners and
//! nowhere else when they are retired, and with each of them when the first says that it has seen
//! all of it. Whoever leads, no two lists of them disagree: nobody takes part in making one longer
//! who has a longer one.
//!
//! What it leaves to the node: to find out whether what it is asked for is so.

mod lead;
mod words;

use alloc::sync::Arc;
use alloc::vec::Vec;

use self::lead::Lead;
use self::words::chained;
use super::exchange::say;
use super::gossip::Kind;
use super::limits::MAX_RETIRED;
use super::{Membership, Output, To};
use crate::NodeId;
use crate::version::{Boot, Height, Retirements};

pub(super) use self::words::{Answer, boots, put_boots};
pub(crate) use self::words::{Question, Stage};

/// Boots in one message.
const AT_ONCE: usize = 2048;

/// What a node knows of retirements.
#[derive(Debug)]
pub(super) struct Retiring {
    pub(super) list: Arc<Retirements>,
    /// Its digest.
    listed: u64,
    /// As much of it is on the disk.
    saved: Height,
    /// As much of it everybody has.
    pub(super) common: Height,
    /// So much of it this node has seen everything of, whatever the key. Not kept: a store may
    /// have lost something while nobody looked.
    earned: Height,
    /// What it is asked and has not answered yet.
    question: Option<Question>,
    /// What it has answered last.
    last: Option<Answer>,
    lead: Option<Lead>,
    /// The boot under which this node mints.
    pub(super) minting: Boot,
}

impl Retiring {
    pub(super) fn of(list: Retirements, common: Height, minting: Boot) -> Self {
        Self {
            saved: list.height(),
            common: common.min(list.height()),
            earned: Height(0),
            listed: list.since(Height(0)).iter().fold(0, chained),
            list: Arc::new(list),
            question: None,
            last: None,
            lead: None,
            minting,
        }
    }

    /// So much of the list is on the disk.
    pub(super) fn saved(&mut self, height: Height) {
        self.saved = self.saved.max(height);
    }
}

impl Membership {
    /// The boots that were retired.
    #[must_use]
    pub fn retired(&self) -> &Arc<Retirements> {
        &self.retiring.list
    }

    /// Of how many of them this node has seen all that they wrote, whatever the key.
    #[must_use]
    pub fn earned(&self) -> Height {
        self.retiring.earned
    }

    /// What the node is asked, if it may answer and has the list that is asked about.
    pub(crate) fn question(&self) -> Option<&Question> {
        let question = self.retiring.question.as_ref();
        question
            .filter(|it| it.stage != Stage::Listed && self.may_answer(it) && self.has_list_of(it))
    }

    /// How many of them everybody has on the disk.
    pub(crate) fn common(&self) -> Height {
        self.retiring.common
    }

    /// This node has seen all that was written by so many of those that were retired.
    pub(crate) fn earn(&mut self, height: Height) {
        self.retiring.earned = height.min(self.retiring.common);
    }

    /// This node mints under that boot from now on.
    pub(crate) fn mints_under(&mut self, boot: Boot) {
        self.retiring.minting = boot;
    }

    /// What this node was asked is so.
    pub(crate) fn answer(
        &mut self,
        (named, living): (Vec<(NodeId, Boot)>, Vec<Boot>),
        out: &mut Vec<Output>,
    ) {
        let Some(Question { round, stage, .. }) = self.retiring.question.take() else {
            return;
        };
        let answer = Answer {
            round,
            stage,
            life: self.config.boot,
            named,
            living,
        };
        self.retiring.last = Some(answer.clone());
        self.tell_leader(answer, out);
    }

    fn tell_leader(&mut self, answer: Answer, out: &mut Vec<Output>) {
        match self.leader() {
            Some(leader) if leader == self.config.member.id => self.answered_by(leader, answer),
            Some(leader) => say(To::Node(leader), Kind::Answer(answer), out),
            None => {}
        }
    }

    fn leader(&self) -> Option<NodeId> {
        self.state()?.present().next()
    }

    fn may_answer(&self, question: &Question) -> bool {
        question.epoch == self.epoch() && self.is_switched()
    }

    /// Whether this node has the list from which the question goes out.
    fn has_list_of(&self, question: &Question) -> bool {
        let retiring = &self.retiring;
        retiring.list.height() == question.height && retiring.listed == question.listed
    }

    /// Whoever leads asks.
    pub(super) fn asked(&mut self, from: NodeId, question: Question, out: &mut Vec<Output>) {
        let own = (self.config.member.id, self.retiring.minting);
        let is_over = planted!(RetiredAlive ? true; !question.boots.contains(&own));
        if self.leader() != Some(from) || !self.may_answer(&question) || !is_over {
            return;
        }
        let is_last = |answer: &&Answer| (answer.round, answer.stage) == question.name();
        if let Some(answer) = self.retiring.last.as_ref().filter(is_last) {
            let answer = answer.clone();
            return self.tell_leader(answer, out);
        }
        let base = question.height;
        match question.stage {
            Stage::Listed => {
                let has_list = self.has_list_of(&question);
                let listed = question.boots.iter().fold(question.listed, chained);
                if has_list {
                    self.retire(&question.boots, out);
                }
                let list = &self.retiring.list;
                let is_known =
                    list.height() == question.height_after() && self.retiring.listed == listed;
                let is_saved = self.retiring.saved >= self.retiring.list.height();
                self.retiring.question = Some(question);
                if is_known && is_saved {
                    self.answer((Vec::new(), Vec::new()), out);
                }
            }
            _ if !self.has_list_of(&question) => {}
            _ => {
                // What was retired before is known to all.
                if self.retiring.common < base {
                    self.retiring.common = base;
                    self.save(out);
                }
                let before = self.retiring.question.as_ref().map(Question::name);
                if before != Some(question.name()) {
                    self.retiring.question = Some(question);
                }
            }
        }
    }

    fn retire(&mut self, boots: &[(NodeId, Boot)], out: &mut Vec<Output>) {
        if boots.is_empty() {
            return;
        }
        let list = Arc::make_mut(&mut self.retiring.list);
        for (node, boot) in boots {
            list.commit(*node, *boot);
        }
        self.retiring.listed = boots.iter().fold(self.retiring.listed, chained);
        planted!(RaisedUnearned => self.retiring.earned = self.retiring.list.height());
        out.push(Output::Retired);
        self.save(out);
    }

    /// Another has a list of that length.
    pub(super) fn compare_retired(&self, from: To, theirs: Height, out: &mut Vec<Output>) {
        let ours = self.retiring.list.height();
        if theirs > ours {
            say(from, self.digest(), out);
        } else if theirs < ours {
            let mut boots = self.retiring.list.since(theirs);
            boots.truncate(AT_ONCE);
            let first = theirs;
            say(from, Kind::Retired { first, boots }, out);
        }
    }

    /// Another has told what follows.
    pub(super) fn told_retired(
        &mut self,
        from: NodeId,
        first: Height,
        boots: &[(NodeId, Boot)],
        out: &mut Vec<Output>,
    ) {
        if !self.is_present(from) {
            return;
        }
        let list = &self.retiring.list;
        let Some(known) = list.height().0.checked_sub(first.0) else {
            return;
        };
        // One list is the beginning of the other, or nothing of it is believed.
        let news = boots.get(known as usize..).unwrap_or_default();
        let is_new = |(node, boot): &(NodeId, Boot)| !list.contains(*node, *boot);
        let has_room = list.height().0 as usize + news.len() <= MAX_RETIRED;
        if has_room && boots.starts_with(&list.since(first)) && news.iter().all(is_new) {
            let news = news.to_vec();
            self.retire(&news, out);
        }
    }
}
