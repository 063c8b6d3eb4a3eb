//! What a node knows of its cluster.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Epoch, History, Life, Membership, Past, Record, Standing, State, Step};
use crate::ring::{Ring, RingError};
use crate::{Generation, NodeId};

/// How many bytes are kept for what, as if nothing was shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that was decided.
    pub history: usize,
    /// What follows from it, but for the ring.
    pub state: usize,
    /// What nodes say about themselves.
    pub roster: usize,
    /// Who is watched, and bits of confirmation.
    pub rest: usize,
}

impl Membership {
    /// What is known, by name.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.cluster
            .as_ref()
            .map_or_else(Epoch::default, |it| it.epoch)
    }

    /// Whether everybody, as far as is known here, has the current epoch on the disk.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.cluster
            .as_ref()
            .is_some_and(|it| it.confirmed.is_complete(Step::Known))
    }

    /// Whether everybody, as far as is known here, reads and writes by the ring of the current epoch
    /// alone.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        self.cluster
            .as_ref()
            .is_some_and(|it| it.is_all(&it.switched))
    }

    /// How many have taken that step with the current epoch, of how many.
    #[must_use]
    pub fn confirmed(&self, step: Step) -> (usize, usize) {
        let confirmed = self.cluster.as_ref().map(|it| &it.confirmed);
        confirmed.map_or((0, 0), |it| (it.count(step), it.present()))
    }

    /// Whether a node has taken that step with the current epoch.
    #[must_use]
    pub fn has_confirmed(&self, step: Step, node: NodeId) -> bool {
        let cluster = self.cluster.as_ref();
        cluster.is_some_and(|it| it.confirmed.has(step, node, &it.state))
    }

    /// All that was decided; nothing before a newcomer has heard of its cluster.
    #[must_use]
    pub fn history(&self) -> Option<&History> {
        self.cluster.as_ref().map(|it| &it.history)
    }

    /// What that makes of the cluster.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.cluster.as_ref().map(|it| &it.state)
    }

    /// Whether this node may answer for keys: it is a member or leaving, and alone under its name.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        let standing = self
            .state()
            .and_then(|it| it.standing(self.config.member.id));
        matches!(self.life, Life::Unsaved | Life::Living)
            && matches!(standing, Some(Standing::Member(_) | Standing::Leaving(_)))
    }

    /// Whether somebody else lives under this node's name.
    #[must_use]
    pub fn is_overtaken(&self) -> bool {
        self.life == Life::Overtaken
    }

    /// Which life of this node's this is.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What a node has said about itself.
    #[must_use]
    pub fn record(&self, node: NodeId) -> Option<&Record> {
        self.roster.record(node).map(|it| &**it)
    }

    /// Where a node is reached, as it has said itself, or as it was before this one was started.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<&str> {
        let said = self.record(node).map(|it| &*it.address);
        let said = said.filter(|address| !address.is_empty());
        said.or_else(|| self.addresses.get(&node).map(|it| &**it))
    }

    /// Another number whenever somebody has come or gone, or is somewhere else: time to look again.
    #[must_use]
    pub fn news(&self) -> u64 {
        self.news
    }

    /// Those who would like to be members, in the order of ids.
    pub fn newcomers(&self) -> impl Iterator<Item = &Record> {
        self.roster.newcomers().map(|it| &**it)
    }

    /// Whether a node's neighbours cannot reach it.
    #[must_use]
    pub fn is_suspected(&self, node: NodeId) -> bool {
        self.roster.is_suspected(node)
    }

    /// The ring of the current epoch. Placed when it is first asked for: where much changed at once
    /// in a large cluster, that takes a while.
    pub fn ring(&mut self) -> Result<Arc<Ring>, RingError> {
        let Some(cluster) = &self.cluster else {
            return Err(RingError::NoMembers);
        };
        self.rings.after(&cluster.history, cluster.history.order())
    }

    /// The ring by which this node reads: of the last epoch whose owners all hold what is theirs.
    pub fn reads(&mut self) -> Result<Arc<Ring>, RingError> {
        let Some(cluster) = &self.cluster else {
            return Err(RingError::NoMembers);
        };
        let order = cluster.history.order_of(cluster.reads.iter().copied());
        self.rings.after(&cluster.history, &order)
    }

    /// The rings under which something may have been written that today's owners lack: those of
    /// every branch since the last epoch that all have switched to, and its own.
    pub fn past(&mut self) -> Result<Past, RingError> {
        let today = self.ring()?;
        let Some(cluster) = &self.cluster else {
            return Err(RingError::NoMembers);
        };
        let mut rings: Vec<Arc<Ring>> = Vec::new();
        let history = &cluster.history;
        for order in cluster.orders_since_switched() {
            let ring = self.rings.after(history, &order)?;
            if ring != today && !rings.contains(&ring) {
                rings.push(ring);
            }
        }
        Ok(Past::new(rings))
    }

    /// How much memory this takes, but for rings.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let cluster = self.cluster.as_ref();
        Memory {
            history: cluster.map_or(0, |it| it.history.heap_bytes()),
            state: cluster.map_or(0, |it| it.state.heap_bytes()),
            roster: self.roster.heap_bytes(),
            rest: size_of::<Self>()
                + self.detector.heap_bytes()
                + cluster.map_or(0, |it| it.confirmed.heap_bytes()),
        }
    }
}
