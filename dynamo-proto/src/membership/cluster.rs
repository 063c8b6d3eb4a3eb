//! A cluster as one node knows it: its history and what follows from that.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::confirmations::Confirmations;
use super::{CommitId, Epoch, History, State};

/// All that is known of the cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) history: History,
    pub(super) epoch: Epoch,
    pub(super) state: State,
    pub(super) confirmed: Confirmations,
    /// The heads of the last epoch that all have moved to: by its ring this node reads.
    pub(super) reads: Vec<CommitId>,
    /// The heads of the last epoch that all have switched to.
    pub(super) switched: Vec<CommitId>,
    /// Whether it was said that all know this epoch.
    pub(super) is_settled: bool,
}

impl Cluster {
    pub(super) fn new(history: History) -> Self {
        let root = alloc::vec![history.root()];
        Self::with(history, root.clone(), root)
    }

    pub(super) fn with(history: History, reads: Vec<CommitId>, switched: Vec<CommitId>) -> Self {
        let state = history.state_after(history.order());
        Self {
            epoch: history.epoch(),
            confirmed: Confirmations::of(&state),
            state,
            reads,
            switched,
            is_settled: false,
            history,
        }
    }

    /// More was learnt.
    pub(super) fn refresh(&mut self) {
        self.epoch = self.history.epoch();
        self.state = self.history.state_after(self.history.order());
        self.confirmed = Confirmations::of(&self.state);
        self.is_settled = false;
    }

    /// Whether these are the heads of all that is known.
    pub(super) fn is_all(&self, heads: &[CommitId]) -> bool {
        self.history.heads().iter().eq(heads)
    }

    /// How many commits not everybody is known to have switched to.
    pub(super) fn unsettled(&self) -> usize {
        self.history.order().len() - self.history.order_of(self.switched.iter().copied()).len()
    }

    /// What was known at the last epoch that all have switched to, and to each commit since.
    pub(super) fn orders_since_switched(&self) -> impl Iterator<Item = Vec<CommitId>> {
        let switched = self.history.order_of(self.switched.iter().copied());
        let known: BTreeSet<CommitId> = switched.iter().copied().collect();
        let since = self
            .history
            .order()
            .iter()
            .filter(move |id| !known.contains(id));
        let since = since.flat_map(|id| {
            let parents = self.history.commit(*id).map(|it| it.parents.clone());
            let before = self.history.order_of(parents.unwrap_or_default());
            [before, self.history.order_of([*id])]
        });
        core::iter::once(switched).chain(since)
    }

    /// Somebody says that all have switched to the epoch of these heads, which stays true. Returns
    /// whether that was news.
    pub(super) fn take_over(&mut self, heads: &[CommitId]) -> bool {
        let is_news = heads != self.switched && self.reaches(heads, &self.switched);
        if is_news {
            self.switched = heads.to_vec();
            if self.reaches(heads, &self.reads) {
                self.reads = heads.to_vec();
            }
        }
        is_news
    }

    /// Whether the first are known, and follow all of the others.
    fn reaches(&self, heads: &[CommitId], others: &[CommitId]) -> bool {
        let followed = self.history.order_of(heads.iter().copied());
        let is_in = |head: &CommitId| *head == self.history.root() || followed.contains(head);
        !heads.is_empty()
            && heads.iter().all(|head| self.history.contains(*head))
            && others.iter().all(is_in)
    }
}
