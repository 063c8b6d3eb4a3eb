//! Reading the trees that are kept, and comparing them with the keys that they are of.
//!
//! One stretch after the other, and only a page of it at a time. What changes meanwhile is left for
//! later; nothing waits for it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;

use bytes::{BufMut, Bytes};
use xxhash_rust::xxh3::xxh3_64;

use super::leaf::{Known, Sum};
use super::no_slot;
use super::shape::{Cell, Shape};
use super::trees::Look;
use crate::node::{Env, Notice};
use crate::replica::{Asker, Replica, Task, Walker};
use crate::rng::Rng;
use crate::store::{Address, Item, Limit, Page, ScanFailed, Span};
use crate::version::{Boot, Record, Retirements};
use crate::wire::HANDOFF_MOST;
use crate::{Buckets, Instant, Key, NodeId, Seed, Token};

/// Most boots that are named to whoever asks.
const NAMED: usize = 4096;
/// How much is looked at, at a time.
const PAGE: Limit = Limit {
    items: 1000,
    bytes: 1 << 20,
};
/// Most leaves that are mended at a time: where there are few keys, each of a page has one of its own.
const MENDED: usize = PAGE.items;
/// So many times shorter than for an answer it is waited between pages.
const YIELD_SHARE: u32 = 8;

pub(super) struct Audit {
    state: State,
    /// What is left of looking through everything, if that is being done.
    round: Option<Range<u64>>,
    /// When that was begun.
    round_began: Instant,
    /// Whether what is being looked at was begun before.
    is_look_void: bool,
    /// When what was done last was begun.
    read_all: Option<Instant>,
    /// Whether a leaf was found that is not what its keys say.
    has_lost: bool,
    /// When it is done again.
    next_round: Instant,
    /// Nothing is looked at before.
    not_before: Instant,
    /// When what is being looked at was begun.
    began: Instant,
    /// Whether the trees that are kept are of this shape, and whole.
    is_noted: bool,
    /// Whether all was looked at to make them, but for what is suspected since.
    is_made: bool,
    /// What is kept about that.
    note: Bytes,
    /// Boots that records name, as far as they were looked at to find that out.
    naming: Option<BTreeSet<(NodeId, Boot)>>,
    /// The same of all records.
    named: Option<BTreeSet<(NodeId, Boot)>>,
    /// Whether more could be forgotten than was.
    has_more: bool,
    rng: Rng,
}

enum State {
    Idle,
    /// Leaves are read, to be counted.
    Counting(Look, Range<u64>),
    /// Keys are read, which are of these leaves.
    Keys {
        look: Look,
        leaves: Range<u64>,
        right: BTreeMap<Cell, Sum>,
    },
    /// What is kept of these leaves is read.
    Leaves {
        look: Look,
        leaves: Range<u64>,
        right: BTreeMap<Cell, Sum>,
    },
}

impl Audit {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            state: State::Idle,
            round: None,
            round_began: Instant::default(),
            is_look_void: false,
            read_all: None,
            has_lost: false,
            next_round: Instant::default(),
            not_before: Instant::default(),
            began: Instant::default(),
            is_noted: false,
            is_made: false,
            note: Bytes::new(),
            naming: None,
            named: None,
            has_more: false,
            rng: Rng::new(seed),
        }
    }

    /// Keys of some buckets may have another number of replicas now: then they are in other leaves.
    /// Nor do leaves say what they did of keys that were written in boots that are retired now.
    /// Until all are made anew nothing says that they are whole.
    pub(super) fn follow(&mut self, shape: Shape, replica: &mut Replica, env: &mut Env<'_>) {
        let is_other = self.is_noted && self.note != note(shape, &env.view.buckets, env.retired);
        if is_other {
            replica.mend(Vec::new(), [(note_place(), None)].into(), env);
        }
        let is_being_made = !self.is_noted && (self.round.is_some() || self.is_made);
        if is_other || is_being_made {
            (self.is_noted, self.is_made) = (false, false);
            self.go_round(shape, env.mono());
        }
    }

    /// Goes through all records now.
    pub(super) fn go_round(&mut self, shape: Shape, now: Instant) {
        self.round = Some(0..shape.leaves());
        self.round_began = now;
        self.is_look_void = !matches!(self.state, State::Idle | State::Counting(..));
    }

    /// The same, unless that is being done since just now.
    pub(super) fn read_all(&mut self, shape: Shape, now: Instant) {
        if self.round.is_none() || self.round_began < now {
            self.go_round(shape, now);
        }
    }

    /// Whether all was gone through since then.
    pub(super) fn has_read_all_since(&self, then: Instant) -> bool {
        self.is_noted && self.read_all.is_some_and(|began| began >= then)
    }

    /// Whether a leaf was not what its keys said, which nothing of this node's explains.
    pub(super) fn take_loss(&mut self) -> bool {
        core::mem::take(&mut self.has_lost)
    }

    /// The same, to see which boots are named in them.
    pub(super) fn name_all(&mut self, shape: Shape, now: Instant) {
        self.go_round(shape, now);
        (self.naming, self.named) = (Some(BTreeSet::new()), None);
    }

    /// Those that are, when that is done.
    pub(super) fn take_named(&mut self) -> Option<Vec<(NodeId, Boot)>> {
        let named = self.named.take()?;
        Some(named.into_iter().collect())
    }

    /// Whether all leaves are those of the keys, as far as is known.
    pub(super) fn is_ready(&self) -> bool {
        self.is_noted
    }

    /// Whether nothing is being looked at, nor is to be before the next round.
    pub(super) fn is_at_rest(&self, replica: &Replica) -> bool {
        self.is_waiting(replica) && self.is_noted
    }

    fn is_waiting(&self, replica: &Replica) -> bool {
        let has_more = self.round.is_some()
            || replica.trees.has_suspects()
            || replica.trees.next_unread().is_some();
        matches!(self.state, State::Idle) && !has_more
    }

    pub(super) fn next_deadline(&self, replica: &Replica) -> Option<Instant> {
        replica.trees.shape()?;
        if !matches!(self.state, State::Idle) {
            return None;
        }
        Some(match self.is_waiting(replica) {
            true => self.next_round.max(self.not_before),
            false => self.not_before,
        })
    }

    /// Looks at what is next.
    pub(super) fn tick(&mut self, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(shape) = replica.trees.shape() else {
            return;
        };
        if !matches!(self.state, State::Idle) || env.mono() < self.not_before {
            return;
        }
        self.began = env.mono();
        if let Some(leaves) = replica.trees.next_unread() {
            let look = replica.trees.look();
            self.state = State::Counting(look, leaves.clone());
            return replica.walk_trees((Walker::Audit, no_slot()), shape.span(&leaves), PAGE, env);
        }
        let is_round_due = self.is_noted && self.round.is_none() && env.mono() >= self.next_round;
        if !replica.trees.has_suspects() && self.round.is_none() && !is_round_due {
            return;
        }
        if replica.is_full(env) || env.health.is_store_slow(env.now.mono) {
            return self.pause(env);
        }
        if is_round_due {
            self.go_round(shape, env.mono());
        }
        let suspect = replica.trees.pop_suspect().map(|leaf| leaf..leaf + 1);
        let Some(leaves) = suspect.or_else(|| self.round.clone()) else {
            return;
        };
        let look = replica.trees.look();
        let span = shape.span(&leaves);
        self.state = State::Keys {
            look,
            leaves,
            right: BTreeMap::new(),
        };
        replica.walk((Walker::Audit, no_slot()), span, PAGE, env);
    }

    /// What is there.
    pub(super) fn listed(
        &mut self,
        page: Result<Page, ScanFailed>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let state = core::mem::replace(&mut self.state, State::Idle);
        let Some(shape) = replica.trees.shape() else {
            return;
        };
        if core::mem::take(&mut self.is_look_void)
            && let State::Keys { look, leaves, .. } | State::Leaves { look, leaves, .. } = &state
        {
            replica.trees.looked(*look);
            self.again(leaves, replica);
            return self.pause(env);
        }
        let Ok(page) = page else {
            if let State::Counting(look, _)
            | State::Keys { look, .. }
            | State::Leaves { look, .. } = state
            {
                replica.trees.looked(look);
            }
            if let State::Keys { leaves, .. } | State::Leaves { leaves, .. } = state {
                self.again(&leaves, replica);
            }
            return self.pause(env);
        };
        match state {
            State::Idle => {}
            State::Counting(look, leaves) => {
                if !replica.trees.looked(look) {
                    return;
                }
                if leaves.start == 0 {
                    self.read_note(&page, shape, env);
                }
                let is_wide = |item: &Item| match item {
                    Item::Corrupt(span) => span.clone().into_one().is_none(),
                    Item::Found { .. } => false,
                };
                if page.items.iter().any(is_wide) {
                    // Nobody can say which leaves are lost.
                    self.is_noted = false;
                    self.go_round(shape, env.mono());
                }
                let leaves = leaves.start..end(&page, shape).unwrap_or(leaves.end);
                replica.trees.count_all(leaves, &page);
            }
            State::Keys {
                look,
                leaves,
                mut right,
            } => {
                let rest = page.rest.clone();
                self.add_up(page, shape, &mut right, replica, env);
                let read = match &rest {
                    Some(rest) => leaves.start..shape.leaf(rest.first().position),
                    None => leaves.clone(),
                };
                if let (Some(rest), true) = (rest, read.is_empty()) {
                    // So many keys are in one leaf.
                    self.state = State::Keys {
                        look,
                        leaves,
                        right,
                    };
                    return replica.walk((Walker::Audit, no_slot()), rest, PAGE, env);
                }
                right.retain(|cell, _| read.contains(&cell.number));
                let span = shape.span(&read);
                self.state = State::Leaves {
                    look,
                    leaves: read,
                    right,
                };
                replica.walk_trees((Walker::Audit, no_slot()), span, PAGE, env);
            }
            State::Leaves {
                look,
                leaves,
                right,
            } => {
                if !replica.trees.looked(look) {
                    return self.again(&leaves, replica);
                }
                let mut leaves = leaves.start..end(&page, shape).unwrap_or(leaves.end);
                let look = (look, !self.is_noted);
                let mut wrong = replica.trees.wrong(&leaves, &page, &right, look);
                if let Some((cell, _)) = wrong.get(MENDED) {
                    leaves.end = cell.number;
                    wrong.retain(|(cell, _)| leaves.contains(&cell.number));
                }
                if !wrong.is_empty() {
                    self.has_lost |= self.is_noted;
                    let leaves = wrong.len() as u32; // at most MENDED, times kinds of buckets
                    env.notify(Notice::TreeMended { leaves });
                }
                let strange = strangers(&page, &leaves, shape, replica);
                replica.mend(wrong, strange, env);
                // Clients go first, but what is not known to be whole is of no use to anybody.
                let is_round = self
                    .round
                    .as_ref()
                    .is_some_and(|it| it.start == leaves.start);
                self.advance(&leaves, shape, env);
                self.note_whole(replica, env);
                if self.is_noted || !is_round {
                    self.pause(env);
                }
            }
        }
    }

    /// These leaves are done.
    fn advance(&mut self, leaves: &Range<u64>, shape: Shape, env: &Env<'_>) {
        let Some(round) = self.round.as_mut().filter(|it| it.start == leaves.start) else {
            return;
        };
        round.start = leaves.end;
        if !round.is_empty() {
            return;
        }
        self.read_all = Some(self.round_began);
        self.round = None;
        if core::mem::take(&mut self.has_more) {
            self.go_round(shape, env.mono());
        }
        if let Some(named) = self.naming.take() {
            self.named = Some(named);
        }
        let every = env.config.timing.audit_every;
        self.next_round = env.mono() + every / 2 + super::part_of(every / 2, &mut self.rng);
        self.is_made |= !self.is_noted;
    }

    /// All leaves were made, and none of them is kept as if it were sure that may not be.
    pub(super) fn note_whole(&mut self, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(shape) = replica.trees.shape().filter(|_| self.is_made) else {
            return;
        };
        if replica.trees.has_doubts() {
            return;
        }
        (self.is_made, self.is_noted) = (false, true);
        let note = note(shape, &env.view.buckets, env.retired);
        self.note = note.clone();
        replica.mend(Vec::new(), [(note_place(), Some(note))].into(), env);
    }

    /// Looks at these another time.
    fn again(&self, leaves: &Range<u64>, replica: &mut Replica) {
        if self
            .round
            .as_ref()
            .is_none_or(|it| it.start != leaves.start)
        {
            replica.trees.suspect(leaves.start);
        }
    }

    /// Whether what is kept is of this shape and was whole once. If not, it is made anew.
    fn read_note(&mut self, page: &Page, shape: Shape, env: &Env<'_>) {
        let first = page.items.first();
        let note = note(shape, &env.view.buckets, env.retired);
        self.note = note.clone();
        self.is_noted = matches!(first, Some(Item::Found { at, bytes })
            if *at == note_place() && *bytes == note);
        if self.is_noted {
            let every = env.config.timing.audit_every;
            self.next_round = env.mono() + super::part_of(every, &mut self.rng);
        } else {
            self.go_round(shape, env.mono());
        }
    }

    fn pause(&mut self, env: &mut Env<'_>) {
        let next = env.mono() + env.config.timing.retry_after / YIELD_SHARE;
        self.not_before = next.max(env.admission.next(self.began, env.now.mono));
    }

    /// Adds what is there to what its leaves should say. What says nothing that all have not seen
    /// is forgotten.
    fn add_up(
        &mut self,
        page: Page,
        shape: Shape,
        right: &mut BTreeMap<Cell, Sum>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let mut forgotten = 0;
        for item in page.items {
            let token = Token(item.first().position);
            let found = match item {
                Item::Found { at, bytes } => {
                    let record = Record::decode(&at, bytes).ok();
                    record.zip(Key::decode(at.name).ok())
                }
                Item::Corrupt(_) => None,
            };
            let Some((mut record, key)) = found else {
                env.notify(Notice::Damaged);
                replica.trees.mark(token);
                continue;
            };
            if let Some(naming) = &mut self.naming {
                let entries = record.siblings().clock().entries().iter();
                let boots = entries.map(|entry| (entry.actor.node, entry.actor.boot));
                naming.extend(boots.take(NAMED.saturating_sub(naming.len())));
            }
            let n = env.view.buckets.of(&key).n;
            let cell = Cell {
                number: shape.leaf(token.0),
                n,
            };
            if let Some(sum) = Known::of(token, record.siblings(), env.retired).sum() {
                right.entry(cell).or_default().add(sum);
            }
            env.raise(token, n, record.siblings_mut());
            let is_nothing = env.is_as_good_as_nothing(token, n, record.siblings());
            if planted!(ReapedByAge ? record.siblings().is_deleted(); is_nothing) {
                let has_room = forgotten < HANDOFF_MOST && !replica.is_full(env);
                self.has_more |= !has_room;
                if has_room {
                    forgotten += 1;
                    let (asker, seen) = (Asker::Nobody, record.siblings().clock().clone());
                    replica.submit(&key, Task::Forget { asker, seen }, env);
                }
            }
        }
    }
}

/// Up to which leaf a page shows all, if not all.
fn end(page: &Page, shape: Shape) -> Option<u64> {
    let rest = page.rest.as_ref()?;
    Some(shape.leaf(rest.first().position))
}

/// What is kept of trees that were cut otherwise.
fn strangers(
    page: &Page,
    leaves: &Range<u64>,
    shape: Shape,
    replica: &Replica,
) -> Vec<(Address, Option<Bytes>)> {
    let places = page.items.iter().map(Item::first);
    let strange = places.filter(|at| {
        let is_done = leaves.contains(&shape.leaf(at.position));
        is_done && !replica.trees.is_leaf(at) && **at != note_place()
    });
    strange.map(|at| (at.clone(), None)).collect()
}

/// Where it is kept how the trees are cut: before all leaves.
pub(super) fn note_place() -> Address {
    Span::all().first().clone()
}

/// How trees are cut, how many replicas the keys of each bucket have, and which boots digests leave
/// out.
pub(super) fn note(shape: Shape, buckets: &Buckets, retired: &Retirements) -> Bytes {
    let mut all = Vec::new();
    let mut put = |name: &[u8], n| {
        all.put_u32(name.len() as u32); // names are short
        all.put_slice(name);
        all.put_u8(n);
    };
    put(b"", buckets.default.n);
    for (name, bucket) in &buckets.types {
        put(name, bucket.n);
    }
    for (bucket_type, single) in &buckets.single {
        put(bucket_type, 0);
        for (name, bucket) in single {
            put(name, bucket.n);
        }
    }
    all.put_u64(shape.leaves());
    all.put_u32(retired.height().0);
    Bytes::copy_from_slice(&xxh3_64(&all).to_be_bytes())
}
