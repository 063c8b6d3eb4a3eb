//! What keys of data types may say.
//!
//! - A counter says no less than all increments that were acknowledged before together, and no more
//!   than all that were attempted; what failed does not count.
//! - An element of a set is there if its addition was acknowledged and nobody took it away since or
//!   meanwhile. It is not there if nobody added it, nor if it was taken away by somebody who must
//!   have seen all additions.
//!
//! The upper bounds hold for whatever a node ever stores; the lower ones for reads that meet every
//! acknowledged write, and at the end.

use std::time::Duration;

use dynamo_proto::version::{Action, Content, DataType, RequestId, Siblings, Update, View};

use super::{Manner, Oracle, Outcome, Violation, Write, number};
use crate::dice::Dice;
use crate::scenario;

/// What a client does to a key of a data type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Count(i64),
    Add(u8),
    Remove(u8),
}

/// So few that they come and go.
const ELEMENTS: u64 = 6;

impl Deed {
    /// What an action means for such a key; nothing if the key is of no data type.
    pub(crate) fn draw(manner: Manner, action: scenario::Action, dice: &mut Dice) -> Option<Self> {
        use scenario::Action::{Delete, PutBoth, PutStale};
        let takes_away = matches!(action, Delete | PutBoth | PutStale);
        match manner {
            Manner::Counter if action == Delete => Some(Self::Count(-1)),
            Manner::Counter => Some(Self::Count(dice.between(1, 3) as i64)),
            Manner::Set => {
                let element = dice.below(ELEMENTS) as u8;
                Some(match takes_away {
                    true => Self::Remove(element),
                    false => Self::Add(element),
                })
            }
            Manner::Causal | Manner::Overwrite | Manner::LastWriteWins => None,
        }
    }

    pub(crate) fn update(self) -> Update {
        let element = |element| vec![element].into();
        Update::from(match self {
            Self::Count(by) => Action::Count(by),
            Self::Add(added) => Action::Add(element(added)),
            Self::Remove(removed) => Action::Remove(element(removed)),
        })
    }
}

impl Oracle {
    /// That write does that.
    pub(crate) fn does(&mut self, id: RequestId, deed: Deed) {
        if let Some(number) = number(id, &self.writes) {
            self.deeds.insert(number, deed);
        }
    }

    /// A write does what another did, if that was an update.
    pub(crate) fn does_as(&mut self, id: RequestId, other: RequestId) {
        let other = number(other, &self.writes).and_then(|other| self.deeds.get(&other));
        if let Some(deed) = other.copied() {
            self.does(id, deed);
        }
    }

    /// All copies that had been counted were there while it was done: so it has seen what had been
    /// acknowledged, if quorums are strict.
    pub(crate) fn was_informed(&mut self, id: RequestId) {
        self.informed.extend(number(id, &self.writes));
    }

    /// Looks at what a key of a data type says to somebody who must see what had been acknowledged
    /// by then, if anybody must.
    pub(crate) fn check_data(
        &self,
        key: usize,
        siblings: &Siblings,
        since: Option<Duration>,
    ) -> Result<(), Violation> {
        let of = &self.keys[key];
        let deeds: Vec<(usize, &Write, Deed)> = (of.writes.iter())
            .filter_map(|number| {
                let write = &self.writes[*number];
                let deed = *self.deeds.get(number)?;
                (write.outcome != Outcome::Failed).then_some((*number, write, deed))
            })
            .collect();
        let kind = match of.manner {
            Manner::Counter => DataType::Counter,
            _ => DataType::Set,
        };
        let view = match siblings.values() {
            [] => View::empty(kind),
            [only] => match &only.value.content {
                Content::Data(data) => data.view(),
                Content::Tombstone => View::empty(kind),
                Content::Live { .. } => return violated(format!("key {key} holds a plain value")),
            },
            _ => return violated(format!("key {key} holds data beside data")),
        };
        match of.manner {
            Manner::Counter => check_count(key, view.count(), &deeds, since),
            _ => (0..ELEMENTS as u8).try_for_each(|element| {
                self.check_element(key, element, view.contains(&[element]), &deeds, since)
            }),
        }
    }

    fn check_element(
        &self,
        key: usize,
        element: u8,
        is_there: bool,
        deeds: &[(usize, &Write, Deed)],
        since: Option<Duration>,
    ) -> Result<(), Violation> {
        let adds = || {
            deeds
                .iter()
                .filter(|(.., deed)| *deed == Deed::Add(element))
        };
        let removes = || {
            deeds
                .iter()
                .filter(|(.., deed)| *deed == Deed::Remove(element))
        };
        if !is_there {
            // Nobody took it away who may have seen it.
            let is_before = |remove: &Write, add: &Write| acked_by(remove, Some(add.invoked));
            let is_safe = |add: &Write| removes().all(|(_, remove, _)| is_before(remove, add));
            let lost = adds().find(|(_, add, _)| acked_by(add, since) && is_safe(add));
            return match lost {
                Some((number, ..)) => violated(format!(
                    "key {key} lacks element {element}, added by write {number} and acknowledged"
                )),
                None => Ok(()),
            };
        }
        if adds().next().is_none() {
            return violated(format!(
                "key {key} has element {element}, which nobody added"
            ));
        }
        let saw_all =
            |remove: &Write| adds().all(|(_, add, _)| acked_by(add, Some(remove.invoked)));
        let back = removes().find(|(number, remove, _)| {
            let has_seen = self.is_strict && self.informed.contains(number) && saw_all(remove);
            has_seen && acked_by(remove, since)
        });
        match back {
            Some((number, ..)) => violated(format!(
                "key {key} has element {element}, which write {number} took away"
            )),
            None => Ok(()),
        }
    }
}

fn check_count(
    key: usize,
    count: i64,
    deeds: &[(usize, &Write, Deed)],
    since: Option<Duration>,
) -> Result<(), Violation> {
    let (mut least, mut most) = (0, 0);
    for (_, write, deed) in deeds {
        let Deed::Count(by) = *deed else { continue };
        if acked_by(write, since) {
            (least, most) = (least + by, most + by);
        } else {
            (least, most) = (least + by.min(0), most + by.max(0));
        }
    }
    match (least..=most).contains(&count) {
        true => Ok(()),
        false => violated(format!("key {key} counts {count}, not {least} to {most}")),
    }
}

/// Whether it had been acknowledged by then.
fn acked_by(write: &Write, then: Option<Duration>) -> bool {
    match (write.outcome, then) {
        (Outcome::Acked(at), Some(then)) => at < then,
        _ => false,
    }
}

fn violated(what: String) -> Result<(), Violation> {
    Err(Violation::new("data", what))
}
