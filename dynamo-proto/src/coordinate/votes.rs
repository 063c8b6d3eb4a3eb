//! Counting what replicas answer to a read.

use smallvec::SmallVec;

use super::Terms;
use crate::NodeId;
use crate::version::{Behind, Causality, Policy, Retirements, Siblings};
use crate::wire::Fetched;

/// The replicas of a read and what they have said so far.
#[derive(Debug)]
pub(crate) struct Votes {
    /// Everything found, merged.
    pub(crate) merged: Siblings,
    /// Who answered first with anything.
    pub(crate) fastest: Option<NodeId>,
    replicas: SmallVec<[Replica; 4]>,
    versions: u8,
    found: u8,
    absent: u8,
}

#[derive(Clone, Copy, Debug)]
struct Replica {
    node: NodeId,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asked,
    Answered,
    Failed,
}

/// Where a read stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// More answers are needed and may come.
    Open,
    /// Enough have come.
    Enough,
    /// Too few can still come: this many did.
    TooFew(u8),
}

impl Votes {
    pub(crate) fn ask(replicas: impl Iterator<Item = NodeId>) -> Self {
        Self {
            merged: Siblings::default(),
            fastest: None,
            replicas: replicas
                .map(|node| Replica {
                    node,
                    state: State::Asked,
                })
                .collect(),
            versions: 0,
            found: 0,
            absent: 0,
        }
    }

    /// Takes in an answer; the first of each replica counts.
    pub(crate) fn take(
        &mut self,
        from: NodeId,
        outcome: Fetched,
        policy: Policy,
        retired: &Retirements,
    ) {
        let asked = |replica: &Replica| replica.node == from && replica.state == State::Asked;
        let Some(at) = self.replicas.iter().position(asked) else {
            return;
        };
        let state = match outcome {
            Fetched::Found(siblings) => {
                self.count_version(&siblings, retired);
                match self.merged.merge(siblings, policy, retired) {
                    Ok(_) => {
                        self.found += 1;
                        State::Answered
                    }
                    Err(Behind { .. }) => State::Failed,
                }
            }
            Fetched::Absent => {
                self.absent += 1;
                State::Answered
            }
            Fetched::Damaged | Fetched::Failed => State::Failed,
        };
        if state == State::Answered {
            self.fastest.get_or_insert(from);
        }
        self.replicas[at].state = state;
    }

    /// Who has not answered yet.
    pub(crate) fn outstanding(&self) -> impl Iterator<Item = NodeId> {
        let asked = self
            .replicas
            .iter()
            .filter(|replica| replica.state == State::Asked);
        asked.map(|replica| replica.node)
    }

    /// How many have answered.
    pub(crate) fn answered(&self) -> u8 {
        self.found + self.absent
    }

    /// Whether the answers so far will do.
    pub(crate) fn verdict(&self, terms: &Terms) -> Verdict {
        let need = terms.reads();
        let need = planted!(ReadOneShort ? need.max(2) - 1; need);
        let got = self.found + if terms.absent_counts { self.absent } else { 0 };
        if got >= need {
            return Verdict::Enough;
        }
        if terms.majority_absent && self.absent > terms.n / 2 {
            return Verdict::Enough;
        }
        let open = self.outstanding().count() as u8;
        if got + open < need {
            // All that are left have said that they know nothing: that is an answer too.
            let has_only_absent = open == 0 && self.found == 0 && self.absent >= need;
            return if has_only_absent {
                Verdict::Enough
            } else {
                Verdict::TooFew(got)
            };
        }
        Verdict::Open
    }

    /// How many different states were found.
    pub(crate) fn versions(&self) -> u8 {
        self.versions + u8::from(self.found > 0 && self.absent > 0)
    }

    /// Counts a state that differs from all that were merged so far, as well as can be said
    /// without keeping them.
    fn count_version(&mut self, siblings: &Siblings, retired: &Retirements) {
        let is_new =
            self.versions == 0 || self.merged.compare(siblings, retired) != Causality::Equal;
        self.versions += u8::from(is_new);
    }
}
