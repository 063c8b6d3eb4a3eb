//! Counting what replicas answer to a read.

use smallvec::SmallVec;

use super::Terms;
use super::duty::Seat;
use crate::NodeId;
use crate::version::{Causality, Height, Policy, Retirements, Siblings};
use crate::wire::Fetched;

/// The replicas of a read and what they have said so far.
#[derive(Debug)]
pub struct Votes {
    /// Everything found, merged.
    pub merged: Siblings,
    /// Who answered first with anything.
    pub fastest: Option<NodeId>,
    /// In the order in which they are asked.
    replicas: SmallVec<[Replica; 4]>,
    versions: u8,
}

#[derive(Clone, Copy, Debug)]
struct Replica {
    seat: Seat,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not asked yet.
    Spare,
    Asked,
    /// It has all that was found so far.
    Current,
    /// It lacks some of it.
    Stale,
    Absent,
    Damaged,
    Failed,
}

/// Where a read stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More answers are needed and may come.
    Open,
    /// Enough have come.
    Enough,
    /// Too few can still come: this many did.
    TooFew(u8),
}

impl Votes {
    /// Replicas to be asked, in this order.
    #[must_use]
    pub fn of(seats: impl IntoIterator<Item = Seat>) -> Self {
        let replicas = seats.into_iter().map(|seat| Replica {
            seat,
            state: State::Spare,
        });
        Self {
            merged: Siblings::default(),
            fastest: None,
            replicas: replicas.collect(),
            versions: 0,
        }
    }

    /// One more that may be asked.
    pub fn add(&mut self, seat: Seat) {
        self.replicas.push(Replica {
            seat,
            state: State::Spare,
        });
    }

    /// Whether that node is among those that are or may be asked.
    #[must_use]
    pub fn names(&self, node: NodeId) -> bool {
        self.replicas
            .iter()
            .any(|replica| replica.seat.node == node)
    }

    /// Whether anybody stands in for that node.
    #[must_use]
    pub fn has_stand_in(&self, owner: NodeId) -> bool {
        let stands = |replica: &Replica| replica.seat.held_for == Some(owner);
        self.replicas.iter().any(stands)
    }

    /// The next one to ask, which is asked from now on.
    pub fn ask_next(&mut self) -> Option<Seat> {
        let spare = |replica: &&mut Replica| replica.state == State::Spare;
        let next = self.replicas.iter_mut().find(spare)?;
        next.state = State::Asked;
        Some(next.seat)
    }

    /// How many more must be asked for the read to be answered as soon as all have.
    #[must_use]
    pub fn lacking(&self, terms: &Terms) -> usize {
        let counts = |state| {
            matches!(state, State::Asked | State::Current | State::Stale)
                || (state == State::Absent && terms.absent_counts)
        };
        let asked = self.count(|replica| {
            counts(replica.state) && (replica.state != State::Absent || replica.is_primary())
        });
        let primaries = self.count(|replica| counts(replica.state) && replica.is_primary());
        let need = terms.reads();
        let lacking = need.saturating_sub(asked);
        lacking.max(terms.pr.saturating_sub(primaries)).into()
    }

    /// Takes in an answer; the first of each replica counts. Returns whether this was one.
    pub fn take(
        &mut self,
        from: NodeId,
        outcome: Fetched,
        policy: Policy,
        retired: &Retirements,
    ) -> bool {
        let asked = |replica: &Replica| replica.seat.node == from && replica.state == State::Asked;
        let Some(at) = self.replicas.iter().position(asked) else {
            return false;
        };
        let state = match outcome {
            Fetched::Found(siblings) if siblings.values().is_empty() => {
                self.merge_nothing(siblings, policy, retired)
            }
            Fetched::Found(siblings) => self.merge(siblings, policy, retired),
            Fetched::Absent => State::Absent,
            Fetched::Damaged => State::Damaged,
            Fetched::Failed => State::Failed,
        };
        if matches!(state, State::Current | State::Stale | State::Absent) {
            self.fastest.get_or_insert(from);
        }
        self.replicas[at].state = state;
        true
    }

    fn merge(&mut self, siblings: Siblings, policy: Policy, retired: &Retirements) -> State {
        let order = if self.merged.is_absent() {
            Causality::Before
        } else {
            self.compare(&siblings, retired)
        };
        if self.merged.merge(siblings, policy, retired).is_err() {
            return State::Failed; // it knows of retirements that this node does not
        }
        // As well as can be said without keeping them all.
        self.versions += u8::from(order != Causality::Equal);
        if matches!(order, Causality::Before | Causality::Concurrent) {
            self.outdate();
        }
        match order {
            Causality::Equal | Causality::Before => State::Current,
            Causality::After | Causality::Concurrent => State::Stale,
        }
    }

    /// A replica has nothing, and knows what nobody needs to have any more.
    fn merge_nothing(
        &mut self,
        siblings: Siblings,
        policy: Policy,
        retired: &Retirements,
    ) -> State {
        let order = self.compare(&siblings, retired);
        if self.merged.merge(siblings, policy, retired).is_err() {
            return State::Failed;
        }
        if matches!(order, Causality::Before | Causality::Concurrent) {
            self.outdate();
        }
        State::Absent
    }

    /// Which has seen more: what was found, or that. That more is known to have been seen by all
    /// is no difference.
    fn compare(&self, siblings: &Siblings, retired: &Retirements) -> Causality {
        let order = self.merged.compare(siblings, retired);
        let is_other = order != Causality::Equal && retired.height() > Height(0);
        match is_other && self.merged.is_level_with(siblings, retired) {
            true => Causality::Equal,
            false => order,
        }
    }

    /// Whoever had all that was found lacks something.
    fn outdate(&mut self) {
        for replica in &mut self.replicas {
            if replica.state == State::Current {
                replica.state = State::Stale;
            }
        }
    }

    /// Who was asked and has not answered yet.
    pub fn outstanding(&self) -> impl Iterator<Item = Seat> {
        self.in_state(|state| state == State::Asked)
    }

    /// Nodes on duty that are known to lack something, or to have nothing sound.
    pub fn lagging(&self) -> impl Iterator<Item = NodeId> {
        let lags = |state| matches!(state, State::Stale | State::Absent | State::Damaged);
        let on_duty = self.in_state(lags).filter(|seat| seat.held_for.is_none());
        on_duty.map(|seat| seat.node)
    }

    /// How many have answered, stand-ins that know nothing apart.
    #[must_use]
    pub fn answered(&self) -> u8 {
        self.found() + self.absent()
    }

    /// Whether the answers so far will do.
    #[must_use]
    pub fn verdict(&self, terms: &Terms) -> Verdict {
        let need = planted!(ReadOneShort ? terms.reads().max(2) - 1; terms.reads());
        let absent = if terms.absent_counts {
            self.absent()
        } else {
            0
        };
        let got = self.found() + absent;
        let is_open = |state| matches!(state, State::Spare | State::Asked);
        let open = self.count(|replica| is_open(replica.state));
        let has_voted = |replica: &Replica| {
            matches!(replica.state, State::Current | State::Stale)
                || (replica.state == State::Absent && terms.absent_counts)
        };
        let primaries = self.count(|replica| replica.is_primary() && has_voted(replica));
        let open_primaries = self.count(|replica| replica.is_primary() && is_open(replica.state));
        if got >= need && primaries >= terms.pr {
            return Verdict::Enough;
        }
        if terms.majority_absent && self.absent() > terms.n / 2 {
            return Verdict::Enough;
        }
        if got + open < need || primaries + open_primaries < terms.pr {
            // All that are left have said that they know nothing: that is an answer too.
            let has_only_absent = open == 0 && self.found() == 0 && self.absent() >= need;
            return if has_only_absent {
                Verdict::Enough
            } else {
                Verdict::TooFew(got)
            };
        }
        Verdict::Open
    }

    /// How many different states were found.
    #[must_use]
    pub fn versions(&self) -> u8 {
        self.versions + u8::from(self.versions > 0 && self.absent() > 0)
    }

    fn found(&self) -> u8 {
        self.count(|replica| matches!(replica.state, State::Current | State::Stale))
    }

    /// Nodes on duty that have never heard of the key. Who stands in for one knows nothing of what
    /// came before.
    fn absent(&self) -> u8 {
        self.count(|replica| {
            let is_absent = replica.state == State::Absent;
            is_absent && planted!(StandInVotes ? true; replica.is_primary())
        })
    }

    fn count(&self, filter: impl Fn(&Replica) -> bool) -> u8 {
        self.replicas
            .iter()
            .filter(|replica| filter(replica))
            .count() as u8
    }

    fn in_state(&self, filter: impl Fn(State) -> bool) -> impl Iterator<Item = Seat> {
        let replicas = self.replicas.iter();
        replicas
            .filter(move |replica| filter(replica.state))
            .map(|replica| replica.seat)
    }
}

impl Replica {
    fn is_primary(&self) -> bool {
        self.seat.held_for.is_none()
    }
}
