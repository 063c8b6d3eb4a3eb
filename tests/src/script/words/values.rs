//! States of keys: values with their dots, and clocks.

use bytes::Bytes;
use dynamo_proto::WallTime;
use dynamo_proto::version::{Action, Clock, Content, DataType, Dot, Sibling, Siblings, Step, View};

use super::Words;

impl Words {
    pub(super) fn siblings(&mut self, siblings: &Siblings) -> String {
        let values: Vec<_> = siblings.values().iter().collect();
        format!("{} {}", self.values(&values), self.clock(siblings.clock()))
    }

    pub(in crate::script) fn dot(&mut self, dot: &Dot) -> String {
        format!("{}:{}", self.actor(&dot.actor), dot.counter)
    }

    pub(super) fn values(&mut self, values: &[&Sibling]) -> String {
        let mut texts: Vec<_> = values
            .iter()
            .map(|sibling| {
                let content = match &sibling.value.content {
                    Content::Live { body, .. } => value(body),
                    Content::Data(data) => data_text(&data.view()),
                    Content::Tombstone => "deleted".into(),
                };
                let stamp = match self.stamped_from {
                    Some(from) => format!("/{}", since(from, sibling.value.stamp)),
                    None => String::new(),
                };
                (self.dot(&sibling.dot), content, stamp)
            })
            .collect();
        texts.sort();
        let texts = texts
            .into_iter()
            .map(|(dot, content, stamp)| format!("{content}@{dot}{stamp}"));
        let texts: Vec<_> = texts.collect();
        if texts.is_empty() {
            "nothing".into()
        } else {
            texts.join(" + ")
        }
    }

    pub(super) fn clock(&mut self, clock: &Clock) -> String {
        let entries = clock.entries().iter();
        let mut entries: Vec<_> = entries
            .map(|entry| format!("{}:{}", self.actor(&entry.actor), entry.counter))
            .collect();
        entries.sort();
        format!("{{{}}}", entries.join(", "))
    }
}

/// What one step of an update asks for.
pub(super) fn step(step: &Step) -> String {
    let place: String = step
        .at
        .fields()
        .map(|field| field_text(field) + " ")
        .collect();
    let action = match &step.action {
        Action::Count(by) => format!("count {by}"),
        Action::Add(element) => format!("add {}", value(element)),
        Action::Remove(element) => format!("remove {}", value(element)),
        Action::Assign(to) => format!("assign {}", value(to)),
        Action::Enable => "enable".into(),
        Action::Disable => "disable".into(),
        Action::Clear => "clear".into(),
    };
    place + &action
}

fn field_text((kind, name): (DataType, &[u8])) -> String {
    format!("{kind} {}", name.escape_ascii())
}

fn data_text(view: &View<'_>) -> String {
    let list = |texts: Vec<String>| format!("[{}]", texts.join(", "));
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match view.kind() {
        DataType::GrowCounter | DataType::Counter => view.count().to_string(),
        DataType::GrowSet | DataType::Set => list(view.elements().map(text).collect()),
        DataType::Register => view.value().map_or_else(String::new, text),
        DataType::MultiRegister => list(view.values().map(text).collect()),
        DataType::Flag => if view.is_enabled() { "on" } else { "off" }.into(),
        DataType::Sketch => format!("about {}", view.estimate()),
        DataType::Map => {
            let field = |field| {
                let within = data_text(&view.field(field));
                format!("{}: {within}", field_text((field.kind, field.name)))
            };
            list(view.fields().map(field).collect())
        }
    }
}

pub(super) fn value(body: &Bytes) -> String {
    if body.is_empty() {
        return "(empty)".into();
    }
    String::from_utf8_lossy(body).into_owned()
}

fn since(from: WallTime, stamp: WallTime) -> String {
    let micros = stamp.as_micros() as i64 - from.as_micros() as i64;
    format!("{}s", micros as f64 / 1e6)
}
