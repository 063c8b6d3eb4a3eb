//! All that was ever decided about a cluster: its birth and a graph of commits.
//!
//! ```text
//!   birth <-- a <-- b <-- d         order: birth a b d c
//!               \-- c
//! ```
//!
//! Histories unite as sets do. The order in which commits count follows from the set alone: what a
//! commit follows comes before it, and of branches the longest first and whole.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::BufMut;
use xxhash_rust::xxh3::xxh3_64;

use super::commit::{Birth, Commit, CommitId, NAMED_HEAD, put_named, read_named};
use super::limits::{MAX_COMMITS, MAX_LOCATED, MAX_PARENTS};
use super::{Epoch, ShortEpoch, State};
use crate::reader::{DecodeError, Reader};

/// All that was ever decided about a cluster, as far as is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    birth: Arc<Birth>,
    root: CommitId,
    commits: BTreeMap<CommitId, Placed>,
    /// Those that no other follows, in the order of their names.
    heads: BTreeSet<CommitId>,
    /// All commits, in the order in which they count.
    order: Vec<CommitId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    commit: Arc<Commit>,
    /// The longest way from the birth.
    depth: u32,
}

/// Why histories cannot be united.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// They began differently.
    #[error("the other history begins with another birth ({0}): it is another cluster's")]
    OtherBirth(CommitId),
    /// There would be too many commits.
    #[error("there are {MAX_COMMITS} commits, the most that a history can hold")]
    Full,
}

impl History {
    /// The history of a cluster in which nothing has changed yet.
    #[must_use]
    pub fn new(birth: Arc<Birth>) -> Self {
        let root = birth.id();
        Self {
            birth,
            root,
            commits: BTreeMap::new(),
            heads: BTreeSet::from([root]),
            order: Vec::new(),
        }
    }

    /// How the cluster began.
    #[must_use]
    pub fn birth(&self) -> &Arc<Birth> {
        &self.birth
    }

    /// The name of all this.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        epoch(self.commits.len(), self.heads.iter().copied())
    }

    /// The heads of an earlier epoch of this history, if no branches had met since and there were none
    /// then.
    pub(super) fn heads_at(&self, of: ShortEpoch) -> Option<[CommitId; 1]> {
        let commits = (of.height() as usize).checked_sub(1)?;
        let head = match commits.checked_sub(1) {
            None => self.root,
            Some(last) => *self.order.get(last)?,
        };
        (epoch(commits, [head]).short() == of).then_some([head])
    }

    /// The commits in the order in which they count.
    pub fn commits(&self) -> impl ExactSizeIterator<Item = (CommitId, &Arc<Commit>)> {
        self.order.iter().map(|id| (*id, &self.commits[id].commit))
    }

    /// Unites this history with another. Returns how many commits were new.
    pub fn merge(&mut self, other: &Self) -> Result<usize, HistoryError> {
        if other.root != self.root {
            return Err(HistoryError::OtherBirth(other.root));
        }
        self.take_in(other.commits().map(|(_, commit)| commit.clone()))
    }

    /// Takes in commits, those first that others follow; what follows something unknown is left
    /// out. Returns how many were new.
    pub fn take_in(
        &mut self,
        commits: impl IntoIterator<Item = Arc<Commit>>,
    ) -> Result<usize, HistoryError> {
        let before = self.commits.len();
        let (mut is_line, mut is_full) = (true, false);
        for commit in commits {
            let id = commit.id();
            if self.commits.contains_key(&id) || !commit.is_sound() {
                continue;
            }
            let depths = commit.parents.iter().map(|parent| self.depth(*parent));
            let Some(depth) = depths.collect::<Option<Vec<_>>>() else {
                continue; // what it follows will come, and this again
            };
            if self.commits.len() == MAX_COMMITS {
                is_full = true;
                break;
            }
            is_line &= self.heads.iter().eq(&commit.parents);
            for parent in &commit.parents {
                self.heads.remove(parent);
            }
            self.heads.insert(id);
            let depth = 1 + depth.into_iter().max().unwrap_or(0);
            self.commits.insert(id, Placed { commit, depth });
            self.order.push(id);
        }
        if !is_line {
            self.order = self.order_of(self.heads.iter().copied());
        }
        if is_full {
            return Err(HistoryError::Full);
        }
        Ok(self.commits.len() - before)
    }

    /// What a new commit is to follow.
    pub(super) fn parents(&self) -> Vec<CommitId> {
        self.heads.iter().copied().take(MAX_PARENTS).collect()
    }

    pub(super) fn root(&self) -> CommitId {
        self.root
    }

    pub(super) fn heads(&self) -> &BTreeSet<CommitId> {
        &self.heads
    }

    pub(super) fn order(&self) -> &[CommitId] {
        &self.order
    }

    pub(super) fn commit(&self, id: CommitId) -> Option<&Arc<Commit>> {
        self.commits.get(&id).map(|placed| &placed.commit)
    }

    pub(super) fn contains(&self, id: CommitId) -> bool {
        id == self.root || self.commits.contains_key(&id)
    }

    /// Those heads and all that they follow, in the order in which they count.
    pub(super) fn order_of(&self, heads: impl IntoIterator<Item = CommitId>) -> Vec<CommitId> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        let mut stack = Vec::new();
        self.push_ranked(heads, &mut stack);
        // A commit is met twice: when it is reached, and when all that it follows is done.
        while let Some((id, is_done)) = stack.pop() {
            if is_done {
                order.push(id);
            } else if let Some(placed) = self.commits.get(&id)
                && seen.insert(id)
            {
                stack.push((id, true));
                self.push_ranked(placed.commit.parents.iter().copied(), &mut stack);
            }
        }
        order
    }

    /// The state of the cluster after those commits in that order.
    pub(super) fn state_after(&self, order: &[CommitId]) -> State {
        let mut state = State::birth(&self.birth);
        for (id, commit) in order.iter().filter_map(|id| Some((*id, self.commit(*id)?))) {
            state.apply(id, commit);
        }
        state
    }

    /// Names by which another node can tell what it lacks and what is lacking here: the heads, and
    /// further back at doubling distances; the birth at last.
    pub(super) fn locate(&self) -> Vec<CommitId> {
        let mut names: Vec<_> = self.heads.iter().copied().take(MAX_LOCATED / 2).collect();
        let mut back = 1;
        while let Some(at) = self.order.len().checked_sub(back) {
            if !names.contains(&self.order[at]) {
                names.push(self.order[at]);
            }
            back *= 2;
        }
        if !names.contains(&self.root) {
            names.push(self.root);
        }
        names
    }

    /// What whoever knows those commits, and so all that they follow, lacks; in order.
    pub(super) fn missing<'a>(
        &'a self,
        known: &[CommitId],
    ) -> impl Iterator<Item = &'a Arc<Commit>> + use<'a> {
        let known: BTreeSet<CommitId> = self.order_of(known.iter().copied()).into_iter().collect();
        self.commits()
            .filter(move |(id, _)| !known.contains(id))
            .map(|(_, commit)| commit)
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        put_named(self.root, self.birth.encoded_len(), out, |out| {
            self.birth.encode(out);
        });
        out.put_u32(self.order.len() as u32); // fits: at most MAX_COMMITS
        for (id, commit) in self.commits() {
            put_named(id, commit.encoded_len(), out, |out| commit.encode(out));
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a history";
        let (_, birth) = read_named(reader, "a birth", Birth::read)?;
        let mut history = Self::new(Arc::new(birth));
        let count = reader.count(NAMED_HEAD, what)?;
        let mut commits = Vec::new();
        for _ in 0..count {
            let (_, commit) = read_named(reader, "a commit", Commit::read)?;
            commits.push(Arc::new(commit));
        }
        match history.take_in(commits) {
            Ok(new) if new == count => Ok(history),
            _ => Err(DecodeError::Invalid(what)),
        }
    }

    /// Bytes that this keeps on the heap, as if it shared nothing.
    pub(super) fn heap_bytes(&self) -> usize {
        let placed = size_of::<(CommitId, Placed)>() + size_of::<CommitId>();
        let commits = self.commits().map(|(_, it)| placed + it.encoded_len());
        // In memory a member is its labels and its fields.
        let members = self.birth.members.iter();
        let members = members.map(|it| size_of_val(&**it) + 8 + it.zone.len() + it.host.len());
        commits.sum::<usize>() + members.sum::<usize>()
    }

    fn depth(&self, id: CommitId) -> Option<u32> {
        if id == self.root {
            return Some(0);
        }
        self.commits.get(&id).map(|placed| placed.depth)
    }

    /// Puts commits on a stack so that the deepest comes off first.
    fn push_ranked(
        &self,
        ids: impl IntoIterator<Item = CommitId>,
        stack: &mut Vec<(CommitId, bool)>,
    ) {
        let from = stack.len();
        stack.extend(ids.into_iter().map(|id| (id, false)));
        stack[from..].sort_unstable_by_key(|(id, _)| (self.depth(*id), core::cmp::Reverse(*id)));
    }
}

fn epoch(commits: usize, heads: impl IntoIterator<Item = CommitId>) -> Epoch {
    let mut names = Vec::new();
    for head in heads {
        names.put_u128(head.0);
    }
    Epoch {
        height: commits as u32 + 1, // fits: at most MAX_COMMITS
        digest: xxh3_64(&names),
    }
}
