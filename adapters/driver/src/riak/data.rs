//! Data types, as Riak's messages have them.
//!
//! Within one update what is taken away is taken away first, whatever the order in which it was
//! sent: a field that is removed and updated at once keeps the update.

use bytes::Bytes;
use dynamo_proto::node::{Got, Operation, Written};
use dynamo_proto::version::{
    Action, Content, DataField, DataType, Path, PathError, Step, Update, View,
};

use super::exchange::{Next, Said, read, read_after};
use super::messages::{
    self, Counter, CounterOp, DataOp, DataUpdated, DataValue, MapEntry, MapField, MapOp, MapUpdate,
    SetOp,
};
use super::pb::Signed;
use super::refusal::Refusal;

/// A read of data.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) kind: DataType,
    pub(crate) include_context: bool,
}

/// A change of data.
#[derive(Debug)]
pub(crate) struct Change {
    kind: DataType,
    update: Update,
    context: Option<Bytes>,
    returns: Returns,
    is_key_new: bool,
}

/// What a change is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returns {
    Nothing,
    Value {
        with_context: bool,
    },
    /// What an old counter says.
    Count {
        with_value: bool,
    },
}

/// What Riak calls such a key; none if it knows no such thing.
pub(crate) fn name(kind: DataType) -> Option<&'static str> {
    Some(match kind {
        DataType::GrowCounter | DataType::Counter => "counter",
        DataType::Set => "set",
        DataType::GrowSet => "gset",
        DataType::Map => "map",
        DataType::Sketch => "hll",
        DataType::Register | DataType::MultiRegister | DataType::Flag => return None,
    })
}

fn code(kind: DataType) -> u32 {
    match kind {
        DataType::Set => 2,
        DataType::Map => 3,
        DataType::Sketch => 4,
        DataType::GrowSet => 5,
        _ => 1,
    }
}

/// Whether clients get a context with it: where something can be taken away.
pub(crate) fn has_context(kind: DataType) -> bool {
    matches!(kind, DataType::Set | DataType::Map)
}

/// What a key holds, if it holds anything.
pub(crate) fn view<'a>(got: &'a Got) -> Option<View<'a>> {
    let mut values = got.siblings.values().iter();
    values.find_map(|sibling| match &sibling.value.content {
        Content::Data(data) => Some(data.view()),
        Content::Live { .. } | Content::Tombstone => None,
    })
}

impl Fetch {
    pub(crate) fn answer(&self, got: &Got) -> Said {
        let view = view(got);
        let is_there = view.is_some() && self.include_context && has_context(self.kind);
        Said::Fetched(messages::Data {
            context: is_there.then(|| got.context.sealed.clone()),
            kind: code(self.kind),
            value: view.map(|view| value(&view)),
        })
    }
}

/// What an old counter says; nothing if there is none.
pub(crate) fn told(got: &Got) -> Said {
    let value = view(got).map(|view| Signed(view.count()));
    Said::Count(Counter { value })
}

impl Change {
    pub(crate) fn new(
        kind: DataType,
        update: Update,
        context: Option<Bytes>,
        returns: Returns,
        is_key_new: bool,
    ) -> Self {
        Self {
            kind,
            update,
            context: context.filter(|context| !context.is_empty()),
            returns,
            is_key_new,
        }
    }

    /// Of an old counter.
    pub(crate) fn count(by: i64, returns_it: bool) -> Self {
        Self {
            kind: DataType::Counter,
            update: Action::Count(by).into(),
            context: None,
            returns: Returns::Count {
                with_value: returns_it,
            },
            is_key_new: false,
        }
    }

    /// What is taken away without a context must be there.
    pub(crate) fn first(&mut self) -> Operation {
        match self.context.is_none() && self.update.takes_away() && names_something(&self.update) {
            true => read(false),
            false => self.operation(),
        }
    }

    fn operation(&mut self) -> Operation {
        Operation::Update {
            fastest: None,
            update: std::mem::replace(&mut self.update, Update::from_iter([])),
            context: self.context.take(),
        }
    }

    /// What is there decides, before it is done; afterwards it is the answer.
    pub(crate) fn read(&mut self, key: &[u8], got: &Got) -> Result<Next, Refusal> {
        if !self.update.steps().is_empty() {
            let empty = View::empty(self.kind);
            let view = view(got).unwrap_or(empty);
            let mut steps = self.update.steps().iter();
            if let Some(missing) = steps.find_map(|step| not_present(step, &view)) {
                let missing = shown(missing);
                let text = format!("{{precondition,{{not_present,{missing}}}}}");
                return Err(Refusal::new(text));
            }
            return Ok(Next::Ask(self.operation()));
        }
        let with_context = match self.returns {
            Returns::Count { .. } => {
                let value = view(got).map(|view| Signed(view.count()));
                return Ok(Next::Say(Said::Counted(Counter { value })));
            }
            Returns::Value { with_context } => with_context && has_context(self.kind),
            Returns::Nothing => false,
        };
        let value = value(&view(got).unwrap_or(View::empty(self.kind)));
        Ok(Next::Say(Said::Changed(DataUpdated {
            key: self.new_key(key),
            context: with_context.then(|| got.context.sealed.clone()),
            counter: value.counter,
            set: value.set,
            map: value.map,
            hll: value.hll,
            gset: value.gset,
        })))
    }

    pub(crate) fn done(&self, key: &[u8], written: Written) -> Next {
        match self.returns {
            Returns::Value { .. } | Returns::Count { with_value: true } => {
                Next::Ask(read_after(written, false))
            }
            Returns::Count { with_value: false } => Next::Say(Said::Counted(Counter::default())),
            Returns::Nothing => Next::Say(Said::Changed(DataUpdated {
                key: self.new_key(key),
                ..DataUpdated::default()
            })),
        }
    }

    fn new_key(&self, key: &[u8]) -> Option<Bytes> {
        self.is_key_new.then(|| Bytes::copy_from_slice(key))
    }
}

/// As Riak shows a run of bytes.
fn shown(bytes: &[u8]) -> String {
    match bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        true => format!("<<\"{}\">>", bytes.escape_ascii()),
        false => {
            let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
            format!("<<{}>>", numbers.join(","))
        }
    }
}

/// Whether an update takes away what has a name: an element, or a field.
fn names_something(update: &Update) -> bool {
    let mut steps = update.steps().iter();
    steps.any(|step| matches!(step.action, Action::Remove(_) | Action::Clear))
}

/// What a step takes away that is not there.
fn not_present<'a>(step: &'a Step, view: &View<'_>) -> Option<&'a [u8]> {
    let fields: Vec<_> = step.at.fields().collect();
    let mut at = view.clone();
    for (kind, name) in &fields {
        at = at.field(DataField { kind: *kind, name });
    }
    match &step.action {
        Action::Remove(element) if !at.contains(element) => Some(element),
        Action::Clear if at.is_empty() => fields.last().map(|(_, name)| *name),
        _ => None,
    }
}

/// What data says.
fn value(view: &View<'_>) -> DataValue {
    let elements = || view.elements().map(Bytes::copy_from_slice).collect();
    let mut value = DataValue::default();
    match view.kind() {
        DataType::GrowCounter | DataType::Counter => value.counter = Some(Signed(view.count())),
        DataType::Set => value.set = elements(),
        DataType::GrowSet => value.gset = elements(),
        DataType::Sketch => value.hll = Some(view.estimate()),
        DataType::Map => value.map = entries(view),
        DataType::Register | DataType::MultiRegister | DataType::Flag => {}
    }
    value
}

/// The types that Riak knows within maps, by their codes.
const WITHIN: [(DataType, u32); 5] = [
    (DataType::Counter, 1),
    (DataType::Set, 2),
    (DataType::Register, 3),
    (DataType::Flag, 4),
    (DataType::Map, 5),
];

/// The fields of a map; those of types that Riak does not know within maps are not shown.
fn entries(view: &View<'_>) -> Vec<MapEntry> {
    let entry = |field: DataField<'_>| {
        let (_, kind) = WITHIN.iter().find(|(kind, _)| *kind == field.kind)?;
        let mut entry = MapEntry {
            field: MapField {
                name: Bytes::copy_from_slice(field.name),
                kind: *kind,
            },
            ..MapEntry::default()
        };
        let view = view.field(field);
        match field.kind {
            DataType::Counter => entry.counter = Some(Signed(view.count())),
            DataType::Set => entry.set = view.elements().map(Bytes::copy_from_slice).collect(),
            DataType::Register => entry.register = view.value().map(Bytes::copy_from_slice),
            DataType::Flag => entry.flag = Some(view.is_enabled()),
            _ => entry.map = entries(&view),
        }
        Some(entry)
    };
    view.fields().filter_map(entry).collect()
}

/// The update that is asked for, if it is one for such a key.
pub(crate) fn update(op: DataOp, kind: DataType) -> Result<Update, Refusal> {
    let mut steps = Vec::new();
    let here = Path::default();
    let (asked, is_fit) = match op {
        DataOp {
            counter: Some(counter),
            ..
        } => {
            steps.push(count(here, &counter));
            ("counter", kind.is_counter())
        }
        DataOp { set: Some(set), .. } => {
            change_set(&here, set, &mut steps);
            // Riak's clients may speak of a set that only grows as of a set.
            ("set", kind == DataType::Set)
        }
        DataOp { map: Some(map), .. } => {
            change_map(&here, map, &mut steps)?;
            ("map", kind == DataType::Map)
        }
        DataOp { hll: Some(hll), .. } => {
            add_all(&here, hll.adds, &mut steps);
            ("hll", kind == DataType::Sketch)
        }
        DataOp {
            gset: Some(gset), ..
        } => {
            add_all(&here, gset.adds, &mut steps);
            ("gset", kind == DataType::GrowSet)
        }
        _ => return Err(Refusal::new("an update without an operation")),
    };
    if !is_fit {
        let kind = name(kind).unwrap_or("undefined");
        let text = format!("Operation type is `{asked}` but  bucket type is `{kind}`.");
        return Err(Refusal::new(text));
    }
    Ok(steps.into_iter().collect())
}

fn count(at: Path, op: &CounterOp) -> Step {
    let by = op.increment.map_or(1, |Signed(by)| by);
    Step {
        at,
        action: Action::Count(by),
    }
}

fn add_all(at: &Path, elements: Vec<Bytes>, steps: &mut Vec<Step>) {
    steps.extend(elements.into_iter().map(|element| Step {
        at: at.clone(),
        action: Action::Add(element),
    }));
}

fn change_set(at: &Path, op: SetOp, steps: &mut Vec<Step>) {
    steps.extend(op.removes.into_iter().map(|element| Step {
        at: at.clone(),
        action: Action::Remove(element),
    }));
    add_all(at, op.adds, steps);
}

fn change_map(at: &Path, op: MapOp, steps: &mut Vec<Step>) -> Result<(), Refusal> {
    for field in &op.removes {
        let (at, _) = down(at, field)?;
        let action = Action::Clear;
        steps.push(Step { at, action });
    }
    for update in op.updates {
        let (at, kind) = down(at, &update.field)?;
        match (kind, update) {
            (
                DataType::Counter,
                MapUpdate {
                    counter: Some(op), ..
                },
            ) => steps.push(count(at, &op)),
            (DataType::Set, MapUpdate { set: Some(op), .. }) => change_set(&at, op, steps),
            (
                DataType::Register,
                MapUpdate {
                    register: Some(value),
                    ..
                },
            ) => {
                let action = Action::Assign(value);
                steps.push(Step { at, action });
            }
            (DataType::Flag, MapUpdate { flag: Some(1), .. }) => {
                let action = Action::Enable;
                steps.push(Step { at, action });
            }
            (DataType::Flag, MapUpdate { flag: Some(2), .. }) => {
                let action = Action::Disable;
                steps.push(Step { at, action });
            }
            (DataType::Map, MapUpdate { map: Some(op), .. }) => change_map(&at, op, steps)?,
            _ => return Err(Refusal::new("a field's update is not of the field's type")),
        }
    }
    Ok(())
}

/// The way to a field of a map, and its type.
fn down(at: &Path, field: &MapField) -> Result<(Path, DataType), Refusal> {
    let known = WITHIN.iter().find(|(_, code)| *code == field.kind);
    let (kind, _) = known.ok_or_else(|| Refusal::new("a field of an unknown type"))?;
    let path = at.clone().field(*kind, &field.name);
    let path = path.map_err(|error: PathError| Refusal::new(error.to_string()))?;
    Ok((path, *kind))
}
