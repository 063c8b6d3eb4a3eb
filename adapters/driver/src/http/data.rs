//! Data types, in JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dynamo_proto::version::DataType;
use serde_json::{Map, Value, json};

use super::head::context_text;
use super::refusal::Refusal;
use crate::riak::data::name;
use crate::riak::messages::{
    AddOp, CounterOp, DataOp, DataValue, MapEntry, MapField, MapOp, MapUpdate, SetOp,
};
use crate::riak::pb::Signed;

/// Types within maps by their codes, with what fields of them end in.
const WITHIN: [(u32, &str); 5] = [
    (1, "counter"),
    (2, "set"),
    (3, "register"),
    (4, "flag"),
    (5, "map"),
];

/// Maps within maps, at most, as messages have it.
const MOST_NESTED: usize = 8;

/// What a key says.
pub(super) fn json(kind: DataType, value: &DataValue, context: Option<&[u8]>) -> Value {
    let mut json = json!({ "type": name(kind), "value": shown(kind, value) });
    if let Some(context) = context {
        json["context"] = context_text(context).into();
    }
    json
}

/// That a key has nothing to say.
pub(super) fn nothing(kind: DataType) -> Value {
    json!({ "type": name(kind), "error": "notfound" })
}

fn shown(kind: DataType, value: &DataValue) -> Value {
    match kind {
        DataType::Set => texts(&value.set),
        DataType::GrowSet => texts(&value.gset),
        DataType::Map => fields(&value.map),
        DataType::Sketch => value.hll.unwrap_or(0).into(),
        _ => count(value.counter),
    }
}

fn text(bytes: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(bytes).into_owned())
}

fn texts(elements: &[Bytes]) -> Value {
    elements.iter().map(|element| text(element)).collect()
}

fn count(counter: Option<Signed>) -> Value {
    counter.map_or(0, |Signed(count)| count).into()
}

fn fields(entries: &[MapEntry]) -> Value {
    let mut shown = Map::new();
    for entry in entries {
        let field = &entry.field;
        let Some((_, kind)) = WITHIN.iter().find(|(code, _)| *code == field.kind) else {
            continue;
        };
        let value = match *kind {
            "counter" => count(entry.counter),
            "set" => texts(&entry.set),
            "register" => text(entry.register.as_deref().unwrap_or_default()),
            "flag" => (entry.flag == Some(true)).into(),
            _ => fields(&entry.map),
        };
        let name = String::from_utf8_lossy(&field.name);
        shown.insert(format!("{name}_{kind}"), value);
    }
    Value::Object(shown)
}

/// What is to be done with a key of that type, and the context that its client had.
pub(super) fn parse(body: &[u8], kind: DataType) -> Result<(DataOp, Option<Bytes>), Refusal> {
    let mut json: Value =
        serde_json::from_slice(body).map_err(|_| Refusal::Malformed("the body is no JSON"))?;
    let context = match json.as_object_mut().and_then(|it| it.remove("context")) {
        None => None,
        Some(context) => {
            let bytes = context.as_str().and_then(|text| STANDARD.decode(text).ok());
            let bytes = bytes.ok_or(Refusal::Malformed("an invalid context"))?;
            Some(bytes.into())
        }
    };
    let mut op = DataOp::default();
    match kind {
        DataType::Set => op.set = Some(set(&json)?),
        DataType::GrowSet => op.gset = Some(additions(&json)?),
        DataType::Sketch => op.hll = Some(additions(&json)?),
        DataType::Map => op.map = Some(map(&json, MOST_NESTED)?),
        _ => op.counter = Some(counter(&json)?),
    }
    Ok((op, context))
}

fn counter(json: &Value) -> Result<CounterOp, Refusal> {
    let bad = Refusal::Malformed("an invalid operation on a counter");
    let by = match json {
        Value::Number(by) => by.as_i64(),
        Value::String(word) if word == "increment" => Some(1),
        Value::String(word) if word == "decrement" => Some(-1),
        Value::Object(op) if op.len() == 1 => {
            let by = |name| op.get(name).and_then(Value::as_i64);
            by("increment").or_else(|| by("decrement").and_then(i64::checked_neg))
        }
        _ => None,
    };
    Ok(CounterOp {
        increment: Some(Signed(by.ok_or(bad)?)),
    })
}

fn set(json: &Value) -> Result<SetOp, Refusal> {
    let bad = || Refusal::Malformed("an invalid operation on a set");
    let mut op = SetOp::default();
    for (verb, elements) in json.as_object().ok_or_else(bad)? {
        let elements = bytes(elements).ok_or_else(bad)?;
        match &**verb {
            "add" | "add_all" => op.adds.extend(elements),
            "remove" | "remove_all" => op.removes.extend(elements),
            _ => return Err(bad()),
        }
    }
    Ok(op)
}

fn additions(json: &Value) -> Result<AddOp, Refusal> {
    let SetOp { adds, removes } = set(json)?;
    match removes.is_empty() {
        true => Ok(AddOp { adds }),
        false => Err(Refusal::Malformed("nothing is taken away from such data")),
    }
}

/// One text, or a list of them.
fn bytes(json: &Value) -> Option<Vec<Bytes>> {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    match json {
        Value::String(text) => Some(vec![bytes(text)]),
        Value::Array(texts) => texts.iter().map(|text| text.as_str().map(bytes)).collect(),
        _ => None,
    }
}

/// `{"update":{"name_kind":...},"remove":["name_kind"]}`. A field is there once something is in it, so
/// that to add one says nothing.
fn map(json: &Value, nested: usize) -> Result<MapOp, Refusal> {
    let bad = || Refusal::Malformed("an invalid operation on a map");
    let nested = nested.checked_sub(1).ok_or_else(bad)?;
    let mut op = MapOp::default();
    for (verb, said) in json.as_object().ok_or_else(bad)? {
        match &**verb {
            "remove" => {
                for name in bytes(said).ok_or_else(bad)? {
                    op.removes.push(field(&name).ok_or_else(bad)?.0);
                }
            }
            "add" => {
                for name in bytes(said).ok_or_else(bad)? {
                    field(&name).ok_or_else(bad)?;
                }
            }
            "update" => {
                for (name, said) in said.as_object().ok_or_else(bad)? {
                    let (field, kind) = field(name.as_bytes()).ok_or_else(bad)?;
                    op.updates.push(update(field, kind, said, nested)?);
                }
            }
            _ => return Err(bad()),
        }
    }
    Ok(op)
}

fn update(field: MapField, kind: &str, json: &Value, nested: usize) -> Result<MapUpdate, Refusal> {
    let bad = || Refusal::Malformed("an invalid operation on a field");
    let mut update = MapUpdate {
        field,
        ..MapUpdate::default()
    };
    match kind {
        "counter" => update.counter = Some(counter(json)?),
        "set" => update.set = Some(set(json)?),
        "register" => {
            let value = json.get("assign").unwrap_or(json).as_str();
            let value = value.ok_or_else(bad)?;
            update.register = Some(Bytes::copy_from_slice(value.as_bytes()));
        }
        "flag" => {
            update.flag = Some(match json.as_str() {
                Some("enable") => 1,
                Some("disable") => 2,
                _ => return Err(bad()),
            });
        }
        _ => update.map = Some(map(json, nested)?),
    }
    Ok(update)
}

/// A field by its name with its type.
fn field(text: &[u8]) -> Option<(MapField, &'static str)> {
    let at = text.iter().rposition(|byte| *byte == b'_')?;
    let (name, kind) = (&text[..at], &text[at + 1..]);
    let (code, kind) = WITHIN.iter().find(|(_, word)| word.as_bytes() == kind)?;
    let field = MapField {
        name: Bytes::copy_from_slice(name),
        kind: *code,
    };
    Some((field, kind))
}
