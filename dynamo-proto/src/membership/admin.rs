//! What an administrator does at any node: stage, look, commit.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::exchange::say;
use super::limits::{MAX_CHANGES, MAX_OWN_COMMITS, MAX_UNSETTLED};
use super::rings::Rings;
use super::{
    Change, Commit, Epoch, Life, Membership, Output, Plan, PlanError, Standing, State, To, Void,
};
use crate::Now;

/// Why a change cannot be staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// This node has heard of no cluster yet.
    #[error("this node knows of no cluster yet: give it a seed, or ask another node")]
    NoCluster,
    /// It would have no effect after what is staged already.
    #[error(transparent)]
    Void(#[from] Void),
    /// One commit cannot hold more.
    #[error("{MAX_CHANGES} changes are staged, the most of one commit: commit these first")]
    TooMany,
}

/// Why a plan is not committed. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Something else was committed since.
    #[error("the plan was made at epoch {planned} and now it is {now}: look at a new plan")]
    Outdated {
        /// When the plan was made.
        planned: Epoch,
        /// Now.
        now: Epoch,
    },
    /// This node has no say.
    #[error("this node is not a member of the cluster, or was removed: ask another node")]
    NotMember,
    /// What was committed before is not carried out everywhere.
    #[error(
        "{MAX_UNSETTLED} commits are not carried out yet: wait, or remove who is gone for good"
    )]
    Unsettled,
    /// The history is full.
    #[error("there are {MAX_OWN_COMMITS} commits, the most that a cluster may decide")]
    Full,
}

impl Membership {
    /// Adds a change to those that will be committed together. Known to this node only, and only
    /// until it stops.
    pub fn stage(&mut self, change: Change) -> Result<(), StageError> {
        let mut state = self.staged_state()?;
        if self.staged.len() == MAX_CHANGES {
            return Err(StageError::TooMany);
        }
        state.change(&change)?;
        self.staged.push(change);
        Ok(())
    }

    /// What is staged.
    #[must_use]
    pub fn staged(&self) -> &[Change] {
        &self.staged
    }

    /// Forgets what is staged.
    pub fn unstage(&mut self) {
        self.staged.clear();
    }

    /// What would come of what is staged. What can have no effect any more, because of what was
    /// committed since, is left out.
    pub fn plan(&mut self) -> Result<Plan, PlanError> {
        let Some(cluster) = &self.cluster else {
            return Err(PlanError::NoCluster);
        };
        let basis = cluster.epoch;
        let mut state = cluster.state.clone();
        self.staged.retain(|change| state.change(change).is_ok());
        if self.staged.is_empty() {
            return Err(PlanError::Nothing);
        }
        let before = self.ring()?;
        let after = Rings::would_be(&before, &state)?;
        Ok(Plan {
            basis,
            changes: self.staged.clone(),
            before,
            after,
        })
    }

    /// Makes a plan part of the cluster's history. Safe once what is to be saved is.
    pub fn commit(
        &mut self,
        plan: Plan,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<Epoch, CommitError> {
        let epoch = self.epoch();
        if plan.basis != epoch {
            return Err(CommitError::Outdated {
                planned: plan.basis,
                now: epoch,
            });
        }
        let epoch = self.append(plan.changes, now, out)?;
        self.staged.clear();
        Ok(epoch)
    }

    /// Lets newcomers in where that was decided at birth: it is done by the trusted member with the
    /// lowest id, so that mostly one does it.
    pub(super) fn admit(&mut self, now: Now, out: &mut Vec<Output>) {
        let joins = self.admissible();
        if !joins.is_empty() {
            // With too much under way they wait for the next round.
            let _ = self.append(joins, now, out);
        }
    }

    fn admissible(&self) -> Vec<Change> {
        let Some(cluster) = &self.cluster else {
            return Vec::new();
        };
        let mut members = cluster.state.members();
        let admits = cluster.history.birth().admits_newcomers
            && members
                .find(|it| !self.roster.is_suspected(it.id))
                .is_some_and(|it| it.id == self.config.member.id);
        if !admits {
            return Vec::new();
        }
        let newcomers = self.roster.newcomers();
        let joins = newcomers.map(|it| Change::Join(Arc::new(it.member.clone())));
        let mut state = cluster.state.clone();
        joins.filter(|it| state.change(it).is_ok()).collect()
    }

    fn append(
        &mut self,
        changes: Vec<Change>,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<Epoch, CommitError> {
        let me = self.config.member.id;
        let Some(cluster) = &mut self.cluster else {
            return Err(CommitError::NotMember);
        };
        let standing = cluster.state.standing(me);
        let has_a_say = matches!(standing, Some(Standing::Member(_) | Standing::Leaving(_)));
        if !has_a_say || matches!(self.life, Life::Removed | Life::Overtaken) {
            return Err(CommitError::NotMember);
        }
        if cluster.history.order().len() >= MAX_OWN_COMMITS {
            return Err(CommitError::Full);
        }
        if cluster.unsettled() >= MAX_UNSETTLED {
            return Err(CommitError::Unsettled);
        }
        let commit = Commit {
            parents: cluster.history.parents(),
            author: me,
            at: now.wall,
            changes,
        };
        let commit = Arc::new(commit);
        match cluster.history.take_in([commit.clone()]) {
            Ok(_) => self.learned(out),
            Err(_) => return Err(CommitError::Full),
        }
        self.follow(now.mono);
        // Others hear of it in the next rounds; who joins has waited long enough.
        for change in &commit.changes {
            if let Change::Join(member) | Change::Replace { by: member, .. } = change {
                say(To::Node(member.id), self.digest(), out);
            }
        }
        Ok(self.epoch())
    }

    fn staged_state(&self) -> Result<State, StageError> {
        let Some(cluster) = &self.cluster else {
            return Err(StageError::NoCluster);
        };
        let mut state = cluster.state.clone();
        for change in &self.staged {
            // What others committed since may have made it void; the plan leaves it out then.
            let _ = state.change(change);
        }
        Ok(state)
    }
}
