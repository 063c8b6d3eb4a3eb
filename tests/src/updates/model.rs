//! What replicas must show, from the updates that each has heard of and those that their coordinators had.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dynamo_proto::WallTime;
use dynamo_proto::version::{Action, DataType, Dot, Step};

use super::shown::{estimate, name_of};
use super::{Known, World};

/// One update, with all that its coordinator had, or that its client had seen if it is a delete.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) dot: Dot,
    pub(super) known: Known,
    /// What it may take away, if not all.
    pub(super) seen: Option<Known>,
    pub(super) is_delete: bool,
    pub(super) steps: Vec<Left>,
}

/// A step, and what it left.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) step: Step,
    kind: DataType,
    total: i64,
    stamp: u64,
    elements: BTreeSet<Bytes>,
}

impl World {
    /// What a step leaves where so much is known.
    pub(super) fn left(&self, id: usize, step: &Step, known: Known, now: WallTime) -> Left {
        let kind = step.at.fields().last().map_or(self.kind, |(kind, _)| kind);
        let mut left = Left {
            step: step.clone(),
            kind,
            total: 0,
            stamp: now.as_micros(),
            elements: BTreeSet::new(),
        };
        for (op, before) in self.alive(known).filter(|(_, it)| it.step.at == step.at) {
            left.stamp = left.stamp.max(before.stamp + 1);
            left.elements.extend(before.elements.iter().cloned());
            if op.dot.actor == self.ops[id].dot.actor {
                left.total = before.total;
            }
        }
        match &step.action {
            Action::Count(by) => left.total += by,
            Action::Add(element) => {
                left.elements.insert(element.clone());
            }
            _ => {}
        }
        left
    }

    /// What updates left that nothing known superseded.
    fn alive(&self, known: Known) -> impl Iterator<Item = (&Op, &Left)> {
        let known = move |id: &usize| known & (1 << id) != 0;
        let left = |id: usize| (0..self.ops[id].steps.len()).map(move |at| (id, at));
        let all = (0..self.ops.len()).filter(known).flat_map(left);
        let alive = all.filter(move |(id, at)| self.ops[*id].steps[*at].leaves_something());
        let alive = alive.filter(move |(id, at)| {
            let had = |other: &Op| other.known & (1 << id) != 0;
            let mut others = (0..self.ops.len()).filter(known);
            !others.any(|by| {
                let op = &self.ops[by];
                let later = if by == *id {
                    &op.steps[at + 1..]
                } else {
                    &op.steps[..]
                };
                let is_seen = by == *id || had(op);
                let may_take_away = op.seen.is_none_or(|seen| seen & (1 << id) != 0);
                let ends = |step: &Left| {
                    (may_take_away || !step.takes_away()) && self.ends(op, step, *id, *at)
                };
                is_seen && (op.is_delete || later.iter().any(ends))
            })
        });
        alive.map(|(id, at)| (&self.ops[id], &self.ops[id].steps[at]))
    }

    /// Whether a step supersedes what an earlier one left, having seen it.
    fn ends(&self, by: &Op, step: &Left, id: usize, at: usize) -> bool {
        let (op, earlier) = (&self.ops[id], &self.ops[id].steps[at]);
        let (path, earlier_path) = (step.step.at.fields(), earlier.step.at.fields());
        if step.step.action == Action::Clear {
            let (path, earlier_path): (Vec<_>, Vec<_>) = (path.collect(), earlier_path.collect());
            return earlier_path.starts_with(&path);
        }
        let is_same_element = match (&step.step.action, &earlier.step.action) {
            (Action::Add(one) | Action::Remove(one), Action::Add(other)) => one == other,
            _ => true,
        };
        step.step.at == earlier.step.at
            && match step.kind {
                kind if kind.is_counter() => by.dot.actor == op.dot.actor,
                kind if kind.is_set() => is_same_element,
                _ => true,
            }
    }

    pub(super) fn expected(&self, known: Known) -> BTreeMap<String, String> {
        let mut places: BTreeMap<String, Vec<(&Op, &Left)>> = BTreeMap::new();
        for (op, left) in self.alive(known) {
            let fields = left
                .step
                .at
                .fields()
                .map(|(kind, name)| name_of(kind, name));
            places.entry(fields.collect()).or_default().push((op, left));
        }
        let all = |left: &[(&Op, &Left)]| -> BTreeSet<Bytes> {
            left.iter()
                .flat_map(|(_, it)| it.elements.iter().cloned())
                .collect()
        };
        let mut shown = BTreeMap::new();
        for (place, mut left) in places {
            left.sort_by_key(|(op, _)| op.dot);
            let value = |left: &Left| match &left.step.action {
                Action::Assign(value) => value.clone(),
                _ => Bytes::new(),
            };
            let kind = left[0].1.kind;
            let text = match kind {
                DataType::GrowCounter | DataType::Counter => {
                    left.iter().map(|(_, it)| it.total).sum::<i64>().to_string()
                }
                DataType::GrowSet | DataType::Set => {
                    let added = |it: &&(&Op, &Left)| match &it.1.step.action {
                        Action::Add(element) => Some(element.clone()),
                        _ => None,
                    };
                    let elements: BTreeSet<_> = left.iter().filter_map(|it| added(&it)).collect();
                    format!("{elements:?}")
                }
                DataType::Register => {
                    let last = left.iter().max_by_key(|(op, it)| (it.stamp, op.dot));
                    format!("{:?}", last.map(|(_, it)| value(it)))
                }
                DataType::MultiRegister => {
                    let values: Vec<_> = left.iter().map(|(_, it)| value(it)).collect();
                    format!("{values:?}")
                }
                DataType::Flag => "on".into(),
                DataType::Sketch => estimate(&all(&left)).to_string(),
                DataType::Map => unreachable!("nothing is done to a map itself"),
            };
            shown.insert(place, text);
        }
        shown
    }
}

impl Left {
    fn leaves_something(&self) -> bool {
        !self.takes_away()
    }

    fn takes_away(&self) -> bool {
        matches!(
            self.step.action,
            Action::Remove(_) | Action::Disable | Action::Clear
        )
    }
}
