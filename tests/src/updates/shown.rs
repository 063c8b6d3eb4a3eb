//! What a state shows, place by place.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dynamo_proto::version::{
    Action, Births, Boot, Content, DataField, DataType, Path, Policy, Record, RequestId,
    Retirements, Rules, Siblings, Step, Update, View,
};
use dynamo_proto::{Limits, NodeId, WallTime};

pub(super) fn name_of(kind: DataType, name: &[u8]) -> String {
    format!("/{kind} {}", name.escape_ascii())
}

pub(super) fn view(kind: DataType, siblings: &Siblings) -> View<'_> {
    match siblings.values() {
        [only] => match &only.value.content {
            Content::Data(data) => data.view(),
            _ => View::empty(kind),
        },
        [] => View::empty(kind),
        _ => panic!("data is one value: {siblings:?}"),
    }
}

pub(super) fn show(view: &View<'_>, place: String, shown: &mut BTreeMap<String, String>) {
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
pub(super) fn estimate(elements: &BTreeSet<Bytes>) -> u64 {
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
