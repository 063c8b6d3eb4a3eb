//! Replicas of one key of a data type, each kept twice: as `dynamo-proto` keeps it, and as the set
//! of all updates that it has heard of, each with the set of those that its coordinator had.
//!
//! What a step of an update left is alive where it is known and nothing known superseded it. After
//! every event both must say the same.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dynamo_proto::version::{
    Action, Births, Boot, Content, Data, DataField, DataType, Dot, Height, Past, Path, Policy,
    Record, RequestId, Retirements, Rules, Siblings, Step, Update, View, Write,
};
use dynamo_proto::{Limits, NodeId, WallTime};

/// Something that happens. Numbers name replicas, clients, messages and updates; they count modulo
/// how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A replica coordinates one of the updates that make sense for the type.
    Update { at: usize, which: usize },
    /// The same, for a client that takes away only what it remembers.
    UpdateSeen {
        at: usize,
        client: usize,
        which: usize,
    },
    /// A client reads and remembers what it saw.
    Read { at: usize, client: usize },
    /// A client deletes the key with what it remembers.
    Delete { at: usize, client: usize },
    /// A replica takes in all that another has.
    Sync { from: usize, to: usize },
    /// A replica's state leaves for somewhere, to arrive late or twice or never.
    Send { from: usize },
    /// One of the states under way arrives.
    Deliver { message: usize, to: usize },
    /// A replica loses the key.
    Forget { at: usize },
    /// A node starts anew with what it had stored.
    Restart { at: usize },
    /// An earlier boot of that node is retired.
    Retire { node: usize },
    /// A replica hears of all retirements.
    Learn { at: usize },
}

type Known = u64;

const MOST_UPDATES: usize = Known::BITS as usize;
const CLIENTS: usize = 2;

#[derive(Clone, Debug, Default)]
struct Replica {
    record: Record,
    known: Known,
    confirmed: Height,
}

/// One update, with all that its coordinator had, or that its client had seen if it is a delete.
#[derive(Clone, Debug)]
struct Op {
    dot: Dot,
    known: Known,
    /// What it may take away, if not all.
    seen: Option<Known>,
    is_delete: bool,
    steps: Vec<Left>,
}

/// A step, and what it left.
#[derive(Clone, Debug)]
struct Left {
    step: Step,
    kind: DataType,
    total: i64,
    stamp: u64,
    elements: BTreeSet<Bytes>,
}

/// Replicas, and all that was ever done to them.
#[derive(Debug)]
pub struct World {
    kind: DataType,
    replicas: Vec<Replica>,
    births: Vec<(Births, Vec<Boot>)>,
    clients: Vec<(Past, Known)>,
    under_way: Vec<(Siblings, Known)>,
    ops: Vec<Op>,
    retired: Retirements,
    limits: Limits,
}

impl World {
    /// Replicas that have never heard of the key, which is of that type.
    #[must_use]
    pub fn new(kind: DataType, replicas: usize) -> Self {
        let births = (1..=replicas as u64).map(|node| {
            let boot = Boot(node << 32);
            (Births::new(NodeId(node), boot), vec![boot])
        });
        Self {
            kind,
            replicas: vec![Replica::default(); replicas],
            births: births.collect(),
            clients: vec![Default::default(); CLIENTS],
            under_way: Vec::new(),
            ops: Vec::new(),
            retired: Retirements::default(),
            limits: Limits::default(),
        }
    }

    /// The states that replicas have now.
    #[must_use]
    pub fn states(&self) -> Vec<Siblings> {
        let states = self.replicas.iter().map(|it| it.record.siblings().clone());
        states.collect()
    }

    /// The boots retired so far.
    #[must_use]
    pub fn retired(&self) -> &Retirements {
        &self.retired
    }

    /// What the key's bucket does about concurrent writes.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy::Data(self.kind)
    }

    /// Lets it happen, and compares the replica that it touched with its model.
    ///
    /// # Panics
    ///
    /// If they differ.
    pub fn take(&mut self, event: Event) {
        let count = self.replicas.len();
        match event {
            Event::Update { at, which } => self.update(at % count, None, which),
            Event::UpdateSeen { at, client, which } => {
                self.update(at % count, Some(client % CLIENTS), which);
            }
            Event::Read { at, client } => {
                let Replica { record, known, .. } = &self.replicas[at % count];
                self.clients[client % CLIENTS] = (record.siblings().past(), *known);
            }
            Event::Delete { at, client } => self.delete(at % count, client % CLIENTS),
            Event::Sync { from, to } => {
                let Replica { record, known, .. } = &self.replicas[from % count];
                self.arrive(record.siblings().clone(), *known, to % count);
            }
            Event::Send { from } => {
                let Replica { record, known, .. } = &self.replicas[from % count];
                self.under_way.push((record.siblings().clone(), *known));
            }
            Event::Deliver { message, to } if !self.under_way.is_empty() => {
                let message = self.under_way[message % self.under_way.len()].clone();
                self.arrive(message.0, message.1, to % count);
            }
            Event::Deliver { .. } => {}
            Event::Forget { at } => self.replicas[at % count] = Replica::default(),
            Event::Restart { at } => {
                let (births, boots) = &mut self.births[at % count];
                let boot = Boot(boots[0].0 + boots.len() as u64);
                boots.push(boot);
                births.renew(boot);
            }
            Event::Retire { node } => self.retire(node % count),
            Event::Learn { at } => self.learn(at % count),
        }
    }

    /// Lets every replica hear from every other.
    ///
    /// # Panics
    ///
    /// If they do not end up byte-equal.
    pub fn settle(&mut self) {
        let count = self.replicas.len();
        (0..count).for_each(|at| self.learn(at));
        for _ in 0..2 {
            for from in 0..count {
                (0..count).for_each(|to| self.take(Event::Sync { from, to }));
            }
        }
        let first = self.replicas[0].record.siblings();
        for replica in &self.replicas {
            assert_eq!(replica.record.siblings(), first, "settled replicas differ");
        }
    }

    fn update(&mut self, at: usize, client: Option<usize>, which: usize) {
        if self.ops.len() == MOST_UPDATES {
            return;
        }
        let update = an_update(self.kind, which);
        let (id, known) = (self.ops.len(), self.replicas[at].known);
        let now = WallTime::from_secs(1 + (id as u32 * 7) % 5); // clocks are wrong
        let rules = Rules {
            policy: self.policy(),
            truncate_to: None,
            limits: &self.limits,
            retired: &self.retired,
        };
        let (record, births) = (&mut self.replicas[at].record, &mut self.births[at].0);
        let request = RequestId(id as u128);
        let seen = client.map(|client| &self.clients[client]);
        let named = (seen.map(|(past, _)| past), request);
        let updated = record.update(&update, named, now, births, &rules);
        let updated = updated.expect("the update fits");
        self.ops.push(Op {
            dot: updated.dot,
            known,
            seen: seen.map(|(_, known)| *known),
            is_delete: false,
            steps: Vec::new(),
        });
        self.replicas[at].known |= 1 << id;
        for step in update.steps() {
            let left = self.left(id, step, known | 1 << id, now);
            self.ops[id].steps.push(left);
        }
        self.check(at);
        if let [
            Step {
                action: Action::Count(_),
                ..
            },
        ] = update.steps()
            && self.kind.is_counter()
        {
            let count = view(self.kind, self.replicas[at].record.siblings()).count();
            assert_eq!(updated.came_to, count);
        }
    }

    /// What a step leaves where so much is known.
    fn left(&self, id: usize, step: &Step, known: Known, now: WallTime) -> Left {
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

    fn delete(&mut self, at: usize, client: usize) {
        if self.ops.len() == MOST_UPDATES || self.kind.is_counter() {
            return;
        }
        let (past, seen) = self.clients[client].clone();
        let id = self.ops.len();
        let rules = Rules {
            policy: self.policy(),
            truncate_to: None,
            limits: &self.limits,
            retired: &self.retired,
        };
        let write = Write {
            past: Some(&past),
            content: Content::Tombstone,
            request: RequestId(id as u128),
        };
        let (record, births) = (&mut self.replicas[at].record, &mut self.births[at].0);
        let minted = record.mint(write, WallTime::from_secs(1), births, &rules);
        self.ops.push(Op {
            dot: minted.expect("a delete fits").dot,
            known: seen,
            seen: None,
            is_delete: true,
            steps: Vec::new(),
        });
        self.replicas[at].known |= seen | 1 << id;
        self.check(at);
    }

    fn arrive(&mut self, siblings: Siblings, known: Known, to: usize) {
        let policy = self.policy();
        let replica = &mut self.replicas[to];
        let before = replica.record.siblings().clone();
        let merged = replica.record.merge(siblings, policy, &self.retired);
        let is_news = merged.expect("all retirements are known everywhere");
        let is_changed = *replica.record.siblings() != before;
        assert_eq!(
            is_news, is_changed,
            "a merge must say whether it changed anything"
        );
        replica.known |= known;
        self.check(to);
    }

    fn learn(&mut self, at: usize) {
        let Replica {
            record, confirmed, ..
        } = &mut self.replicas[at];
        let raised = record.retire(*confirmed, &self.retired);
        raised.expect("all retirements are known everywhere");
        self.check(at);
    }

    /// What the cluster confirms before it commits: nothing of that boot is anywhere that every
    /// owner does not have.
    fn retire(&mut self, node: usize) {
        let (births, boots) = &self.births[node];
        let Some(boot) = boots[..boots.len() - 1].last().copied() else {
            return;
        };
        let id = births.node();
        for message in 0..self.under_way.len() {
            self.take(Event::Deliver { message, to: 0 });
        }
        self.settle();
        let height = self.retired.commit(id, boot);
        for replica in &mut self.replicas {
            if !replica.record.siblings().is_absent() {
                replica.confirmed = height;
            }
        }
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

    fn check(&self, at: usize) {
        let Replica { record, known, .. } = &self.replicas[at];
        let mut bytes = Vec::new();
        record.siblings().encode(&mut bytes);
        assert_eq!(bytes.len(), record.siblings().encoded_len());
        assert_eq!(
            Siblings::decode(bytes.into()).as_ref(),
            Ok(record.siblings())
        );
        let view = view(self.kind, record.siblings());
        if self.kind.is_counter() {
            // Nothing ever supersedes what was counted.
            let steps = (0..self.ops.len()).filter(|id| known & (1 << id) != 0);
            let steps = steps.flat_map(|id| &self.ops[id].steps);
            let count: i64 = steps.map(|it| by(&it.step.action)).sum();
            assert_eq!(view.count(), count, "replica {at} counts wrong: {self:#?}");
            return;
        }
        let mut shown = BTreeMap::new();
        show(&view, String::new(), &mut shown);
        assert_eq!(
            shown,
            self.expected(*known),
            "replica {at} shows the wrong: {self:#?}"
        );
    }

    fn expected(&self, known: Known) -> BTreeMap<String, String> {
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

fn name_of(kind: DataType, name: &[u8]) -> String {
    format!("/{kind} {}", name.escape_ascii())
}

fn by(action: &Action) -> i64 {
    match action {
        Action::Count(by) => *by,
        _ => 0,
    }
}

fn view(kind: DataType, siblings: &Siblings) -> View<'_> {
    match siblings.values() {
        [only] => match &only.value.content {
            Content::Data(data) => data.view(),
            _ => View::empty(kind),
        },
        [] => View::empty(kind),
        _ => panic!("data is one value: {siblings:?}"),
    }
}

fn show(view: &View<'_>, place: String, shown: &mut BTreeMap<String, String>) {
    if view.is_empty() {
        return;
    }
    let copied = Bytes::copy_from_slice;
    let text = match view.kind() {
        DataType::GrowCounter | DataType::Counter => view.count().to_string(),
        DataType::GrowSet | DataType::Set => {
            let elements: Vec<_> = view.elements().map(copied).collect();
            assert!(elements.iter().all(|element| view.contains(element)));
            let sorted: BTreeSet<_> = elements.iter().cloned().collect();
            assert_eq!(sorted.len(), elements.len(), "no element is shown twice");
            format!("{sorted:?}")
        }
        DataType::Register => format!("{:?}", view.value().map(copied)),
        DataType::MultiRegister => format!("{:?}", view.values().map(copied).collect::<Vec<_>>()),
        DataType::Flag => "on".into(),
        DataType::Sketch => view.estimate().to_string(),
        DataType::Map => {
            for field in view.fields() {
                let DataField { kind, name } = field;
                show(
                    &view.field(field),
                    place.clone() + &name_of(kind, name),
                    shown,
                );
            }
            return;
        }
    };
    shown.insert(place, text);
}

/// What a sketch says that was given just these.
fn estimate(elements: &BTreeSet<Bytes>) -> u64 {
    let (limits, retired) = (Limits::default(), Retirements::default());
    let rules = Rules {
        policy: Policy::Data(DataType::Sketch),
        truncate_to: None,
        limits: &limits,
        retired: &retired,
    };
    let add = |element: &Bytes| Step {
        at: Path::default(),
        action: Action::Add(element.clone()),
    };
    let mut record = Record::default();
    let mut births = Births::new(NodeId(1), Boot(1));
    let update: Update = elements.iter().map(add).collect();
    let updated = record.update(
        &update,
        (None, RequestId(1)),
        WallTime::ZERO,
        &mut births,
        &rules,
    );
    updated.expect("the elements fit");
    view(DataType::Sketch, record.siblings()).estimate()
}

/// The n-th update that makes sense for a type.
fn an_update(kind: DataType, which: usize) -> Update {
    if kind == DataType::Map {
        let steps = 1 + which % 3;
        let steps = (0..steps).map(|at| in_map(Path::default(), which / 3 + 5 * at, 2));
        return steps.collect();
    }
    let at = Path::default();
    let action = action(kind, which);
    Update::from_iter([Step { at, action }])
}

/// Something done to a field of a map, or of a map in it.
fn in_map(at: Path, which: usize, depth: usize) -> Step {
    let (kind, rest) = (DataType::ALL[which % 9], which / 9);
    let (name, rest) = ([b"a", b"b"][rest % 2], rest / 2);
    let path = at.clone().field(kind, name).expect("a short path");
    match kind {
        DataType::Map if depth == 0 => in_map(at, which + 1, 0),
        _ if rest.is_multiple_of(5) => Step {
            at: path,
            action: Action::Clear,
        },
        DataType::Map => in_map(path, rest, depth - 1),
        _ => Step {
            at: path,
            action: action(kind, rest),
        },
    }
}

fn action(kind: DataType, which: usize) -> Action {
    let name = |which: usize| Bytes::from(vec![b'a' + (which % 4) as u8]);
    match kind {
        DataType::GrowCounter => Action::Count((which % 5) as i64),
        DataType::Counter => Action::Count((which % 9) as i64 - 4),
        DataType::GrowSet | DataType::Sketch => Action::Add(name(which)),
        DataType::Set if which.is_multiple_of(3) => Action::Remove(name(which / 3)),
        DataType::Set => Action::Add(name(which / 3)),
        DataType::Register | DataType::MultiRegister => Action::Assign(name(which)),
        DataType::Flag if which.is_multiple_of(2) => Action::Disable,
        DataType::Flag => Action::Enable,
        DataType::Map => Action::Clear,
    }
}

/// # Panics
///
/// If bytes decode to data that is not what they say.
pub fn check_bytes(bytes: &[u8]) {
    if let Ok(data) = Data::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(data.encoded()[..], *bytes, "there is one form only");
        show(&data.view(), String::new(), &mut BTreeMap::new());
    }
}
