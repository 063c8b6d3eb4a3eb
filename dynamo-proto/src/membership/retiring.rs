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

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::BufMut;
use xxhash_rust::xxh3::xxh3_64;

use super::exchange::say;
use super::gossip::Kind;
use super::limits::MAX_RETIRED;
use super::{Epoch, Membership, Output, To, nanos};
use crate::reader::{DecodeError, Reader};
use crate::version::{Boot, Height, Retirements};
use crate::{Instant, NodeId};

/// A round that takes so many times as long as there is between two begins anew.
const PATIENCE: u32 = 2;
/// Boots in one message.
const AT_ONCE: usize = 2048;

/// What everybody is asked, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Whether all that was retired is on the disk.
    Listed,
    /// Whether of every key all was seen that those wrote.
    Raised,
    /// Which boots are named in clocks.
    Named,
    /// Whether nothing is held for anybody.
    Home,
}

/// What everybody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    round: u64,
    epoch: Epoch,
    /// How many boots were retired before, and which, as a digest.
    height: Height,
    listed: u64,
    pub(crate) stage: Stage,
    /// Those that are to be.
    boots: Vec<(NodeId, Boot)>,
}

/// What everybody says to that when it is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    round: u64,
    stage: Stage,
    /// Which life of the node says so.
    life: Boot,
    /// Which boots its keys name, if it was asked.
    named: Vec<(NodeId, Boot)>,
    /// Under which of its own it may still mint.
    living: Vec<Boot>,
}

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

/// What whoever leads remembers.
#[derive(Debug)]
struct Lead {
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

    /// Of whom those are that everybody can be asked about: all that are retired are known to all.
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

    /// Asks who has not answered, if this node leads.
    pub(super) fn lead(&mut self, now: Instant, out: &mut Vec<Output>) {
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
        match lead.stage {
            None if now < lead.next => return,
            None => {
                *lead = Lead {
                    is_due: true,
                    next: now + every,
                    ..Lead::of(
                        self.rng.number(),
                        now,
                        epoch,
                        (height, self.retiring.listed),
                    )
                };
            }
            // Somebody has started again since, perhaps, and was not asked what came before.
            Some(_) if now > lead.began + every.saturating_mul(PATIENCE) => {
                *lead = Lead {
                    is_due: true,
                    next: now + every,
                    ..Lead::of(
                        self.rng.number(),
                        now,
                        epoch,
                        (height, self.retiring.listed),
                    )
                };
            }
            Some(_) if present.iter().all(|node| lead.done.contains(node)) => {
                lead.advance(&self.retiring.list, (listed, anew));
            }
            Some(_) => {}
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
    pub(super) fn answered_by(&mut self, from: NodeId, answer: Answer) {
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

impl Question {
    fn height_after(&self) -> Height {
        Height(self.height.0 + self.boots.len() as u32) // at most MAX_RETIRED
    }

    /// Which it is.
    pub(crate) fn name(&self) -> (u64, Stage) {
        (self.round, self.stage)
    }

    pub(super) fn encoded_len(&self) -> usize {
        8 + Epoch::BYTES + 13 + 4 + 16 * self.boots.len() + 8
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u64(self.round);
        self.epoch.encode(out);
        out.put_u32(self.height.0);
        out.put_u64(self.listed);
        out.put_u8(self.stage as u8);
        put_boots(self.height, &self.boots, out);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let round = reader.u64(WHAT)?;
        let epoch = Epoch::read(reader)?;
        let height = Height(reader.u32(WHAT)?);
        let listed = reader.u64(WHAT)?;
        let stage = stage(reader)?;
        let boots = boots(height, reader)?;
        Ok(Self {
            round,
            epoch,
            height,
            listed,
            stage,
            boots,
        })
    }
}

impl Answer {
    pub(super) fn encoded_len(&self) -> usize {
        17 + 4 + 16 * self.named.len() + 8 + 4 + 8 * self.living.len()
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u64(self.round);
        out.put_u8(self.stage as u8);
        out.put_u64(self.life.0);
        put_boots(Height(0), &self.named, out);
        out.put_u32(self.living.len() as u32); // one or two
        self.living.iter().for_each(|boot| out.put_u64(boot.0));
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            round: reader.u64(WHAT)?,
            stage: stage(reader)?,
            life: Boot(reader.u64(WHAT)?),
            named: boots(Height(0), reader)?,
            living: {
                let count = reader.count(8, WHAT)?;
                let living = (0..count).map(|_| reader.u64(WHAT).map(Boot));
                living.collect::<Result<_, _>>()?
            },
        })
    }
}

const WHAT: &str = "retirements";

fn stage(reader: &mut Reader<'_>) -> Result<Stage, DecodeError> {
    let all = [Stage::Listed, Stage::Raised, Stage::Named, Stage::Home];
    let stage = all.get(usize::from(reader.u8(WHAT)?));
    stage.copied().ok_or(DecodeError::Invalid(WHAT))
}

/// Boots, and a sum of them: of these no bit may be wrong.
pub(super) fn put_boots(first: Height, boots: &[(NodeId, Boot)], out: &mut impl BufMut) {
    out.put_u32(boots.len() as u32); // at most AT_ONCE, or MAX_RETIRED in all
    for (node, boot) in boots {
        out.put_u64(node.0);
        out.put_u64(boot.0);
    }
    out.put_u64(sum(first, boots));
}

pub(super) fn boots(
    first: Height,
    reader: &mut Reader<'_>,
) -> Result<Vec<(NodeId, Boot)>, DecodeError> {
    let count = reader.count(16, WHAT)?;
    if count > MAX_RETIRED {
        return Err(DecodeError::Invalid(WHAT));
    }
    let mut boots = Vec::with_capacity(count);
    for _ in 0..count {
        boots.push((NodeId(reader.u64(WHAT)?), Boot(reader.u64(WHAT)?)));
    }
    match reader.u64(WHAT)? == sum(first, &boots) {
        true => Ok(boots),
        false => Err(DecodeError::Invalid(WHAT)),
    }
}

/// The digest of a list that has one more.
fn chained(listed: u64, (node, boot): &(NodeId, Boot)) -> u64 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&listed.to_be_bytes());
    bytes[8..16].copy_from_slice(&node.0.to_be_bytes());
    bytes[16..].copy_from_slice(&boot.0.to_be_bytes());
    xxh3_64(&bytes)
}

fn sum(first: Height, boots: &[(NodeId, Boot)]) -> u64 {
    let mut bytes = Vec::with_capacity(4 + 16 * boots.len());
    bytes.put_u32(first.0);
    for (node, boot) in boots {
        bytes.put_u64(node.0);
        bytes.put_u64(boot.0);
    }
    xxh3_64(&bytes)
}
