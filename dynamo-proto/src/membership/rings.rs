//! The rings that a history makes, each placed once.

use alloc::sync::Arc;
use alloc::vec::Vec;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_128;

use super::{CommitId, History, State};
use crate::ring::{Member, PreferenceList, Ring, RingError};
use crate::{NodeId, Token};

/// Rings kept at hand: a branch that turns up seldom goes back further.
const KEPT: usize = 16;

/// Rings by what led to them. Placing is dear, so what two orders begin with is placed once.
#[derive(Debug, Default)]
pub(super) struct Rings {
    /// By the digest of the order that made each; the last used last.
    kept: Vec<(u128, Arc<Ring>)>,
}

/// Rings under which something may have been written that the owners of today do not have yet.
///
/// ```
/// # use dynamo_proto::membership::Past;
/// # use dynamo_proto::Token;
/// fn donors(past: &Past, token: Token) -> usize {
///     past.owners(token).len()
/// }
/// # let _ = donors;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    rings: Vec<Arc<Ring>>,
}

impl Past {
    pub(super) fn new(rings: Vec<Arc<Ring>>) -> Self {
        Self { rings }
    }

    /// The rings: that of the epoch that all have switched to first, and today's not among them.
    #[must_use]
    pub fn rings(&self) -> &[Arc<Ring>] {
        &self.rings
    }

    pub(crate) fn into_rings(self) -> Vec<Arc<Ring>> {
        self.rings
    }

    /// Who has owned a token under any of them, each once. Those who were removed since are still
    /// named: they may answer.
    #[must_use]
    pub fn owners(&self, token: Token) -> SmallVec<[NodeId; 8]> {
        let mut owners = SmallVec::new();
        for ring in &self.rings {
            let list: PreferenceList<'_> = ring.lookup(token);
            for member in list.primaries(ring.replicas()) {
                if !owners.contains(&member.id) {
                    owners.push(member.id);
                }
            }
        }
        owners
    }
}

impl Rings {
    /// The ring after those commits of a history, in that order.
    pub(super) fn after(
        &mut self,
        history: &History,
        order: &[CommitId],
    ) -> Result<Arc<Ring>, RingError> {
        let mut digest = history.root().0;
        let digests = core::iter::once(digest).chain(order.iter().map(|id| {
            digest = chained(digest, *id);
            digest
        }));
        let digests: Vec<u128> = digests.collect();
        let kept = |digest: &u128| self.kept.iter().position(|(kept, _)| kept == digest);
        let known = (0..digests.len())
            .rev()
            .find_map(|done| Some((done, kept(&digests[done])?)));
        let (mut done, mut ring) = match known {
            Some((done, at)) => {
                let found = self.kept.remove(at);
                self.kept.push(found.clone());
                (done, found.1)
            }
            None => {
                let ring = Ring::birth(history.birth().ring, members(&history.state_after(&[])))?;
                self.keep(digests[0], Arc::new(ring))
            }
        };
        let mut state = history.state_after(&order[..done]);
        while done < order.len() {
            let id = order[done];
            done += 1;
            if let Some(commit) = history.commit(id)
                && state.apply(id, commit)
            {
                ring = Arc::new(ring.change(members(&state))?);
            }
        }
        Ok(self.keep(digests[done], ring).1)
    }

    /// The ring that a change of the last would make.
    pub(super) fn would_be(ring: &Arc<Ring>, state: &State) -> Result<Arc<Ring>, RingError> {
        let members = members(state);
        if members == ring.members() {
            return Ok(ring.clone());
        }
        ring.change(members).map(Arc::new)
    }

    /// A ring that was written down, with what led to it.
    pub(super) fn restore(&mut self, digest: u128, ring: Arc<Ring>) {
        self.keep(digest, ring);
    }

    /// The ring that was used last, with what led to it.
    pub(super) fn latest(&self) -> Option<(u128, &Arc<Ring>)> {
        self.kept.last().map(|(digest, ring)| (*digest, ring))
    }

    fn keep(&mut self, digest: u128, ring: Arc<Ring>) -> (usize, Arc<Ring>) {
        if self.kept.iter().all(|(kept, _)| *kept != digest) {
            if self.kept.len() == KEPT {
                self.kept.remove(0);
            }
            self.kept.push((digest, ring.clone()));
        }
        (0, ring)
    }
}

fn chained(digest: u128, id: CommitId) -> u128 {
    xxh3_128(&[digest.to_be_bytes(), id.0.to_be_bytes()].concat())
}

fn members(state: &State) -> Vec<Member> {
    state.members().map(|it| Member::clone(it)).collect()
}
