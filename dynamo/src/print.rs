//! What the program prints, for people and as JSON.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use dynamo_proto::node::{Got, Written};
use dynamo_proto::version::{Content, Context, DataField, DataType, Sibling, View};
use dynamo_proto::{Bucket, Key};
use serde_json::{Value, json};

use crate::cli::Get;
use crate::demo::FIRST_PORT;
use crate::error::Error;
use crate::hex;
use crate::settings::Settings;

/// Writes to standard output. Nobody need read it.
pub(crate) fn out(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// What is served, and where.
pub(crate) fn settings(settings: &Settings) -> String {
    let mut text = format!("cluster {}\n", settings.cluster);
    line(&mut text, &format!("  store  {}", settings.storage));
    let cores = match settings.cores {
        1 => String::new(),
        cores => format!(", {cores} cores"),
    };
    line(&mut text, &format!("  on     {}{cores}", settings.runtime));
    line(&mut text, &format!("  nodes  {}", settings.listen));
    if let Some(resp) = settings.resp {
        line(&mut text, &format!("  resp   {resp}"));
    }
    if let Some(http) = settings.http {
        line(&mut text, &format!("  http   {http}"));
    }
    if let Some(riak) = settings.riak {
        line(&mut text, &format!("  riak   {riak}"));
    }
    for seed in &settings.seeds {
        line(&mut text, &format!("  seed   {seed}"));
    }
    if let Some(birth) = &settings.birth {
        let Bucket { n, r, w, .. } = birth.buckets.default;
        let begins = format!("  begins with n={n} r={r} w={w}, unless its store knows a cluster");
        line(&mut text, &begins);
    }
    text
}

/// A node of a demo: where it listens for nodes and native clients, for clients of Redis, and for
/// browsers.
pub(crate) struct Demonstrated {
    pub(crate) native: SocketAddr,
    pub(crate) resp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) riak: SocketAddr,
}

/// Where a demo's nodes are, and how to talk to them.
pub(crate) fn welcome(program: &str, nodes: &[Demonstrated]) -> String {
    let mut text =
        String::from("A cluster on this machine. What it keeps is gone when it stops.\n\n");
    for (number, node) in (1..).zip(nodes) {
        let native = node.native;
        let [resp, http, riak] = [node.resp, node.http, node.riak].map(|it| it.port());
        let ports = format!("RESP on port {resp}, HTTP on port {http}, Riak on port {riak}");
        line(&mut text, &format!("  node {number}  {native}  {ports}"));
    }
    let option = |node: Option<&Demonstrated>| {
        let other = node.filter(|node| node.native.port() != FIRST_PORT);
        other.map_or(String::new(), |node| format!(" --node {}", node.native))
    };
    let (first, last) = (option(nodes.first()), option(nodes.last()));
    line(&mut text, "\nIn another shell, from the same directory:\n");
    line(&mut text, &format!("  {program} put greeting hello{first}"));
    line(&mut text, &format!("  {program} get greeting{last}"));
    if let Some(node) = nodes.first() {
        let (resp, http) = (node.resp.port(), node.http);
        line(&mut text, "\nOr with any client of Redis, or of HTTP:\n");
        line(&mut text, &format!("  redis-cli -p {resp} set cart tea"));
        line(
            &mut text,
            &format!("  curl http://{http}/buckets/default/keys/cart"),
        );
        line(
            &mut text,
            &format!("\nThe ring, in a browser: http://{http}/watch"),
        );
    }
    line(&mut text, "\nCtrl-C stops it.\n");
    text
}

/// All values and their context.
pub(crate) fn got(get: &Get, got: &Got) -> String {
    let siblings: Vec<_> = got.siblings.answers().collect();
    let context = hex::encode(&got.context.encode());
    if get.to.json {
        let values: Vec<_> = siblings.iter().map(|sibling| value(sibling)).collect();
        let answer = json!({
            "bucket": get.to.bucket,
            "key": get.key,
            "found": !got.siblings.is_deleted(),
            "values": values,
            "context": context,
        });
        return format!("{answer}\n");
    }
    let mut text = String::new();
    for sibling in &siblings {
        contents(&mut text, sibling);
    }
    line(&mut text, &format!("context  {context}"));
    if siblings.len() > 1 {
        let count = siblings.len();
        let note = format!(
            "\n{count} concurrent writes. Put what they should become with this --context."
        );
        line(&mut text, &note);
    }
    text
}

/// A key that is there.
pub(crate) fn key(is_json: bool, with_bucket: bool, key: &Key) -> String {
    if is_json {
        return format!("{}\n", Value::Object(named(key)));
    }
    match with_bucket {
        true => format!("{}/{}\n", readable(key.bucket()), readable(key.key())),
        false => format!("{}\n", readable(key.key())),
    }
}

/// A bucket that has keys.
pub(crate) fn bucket(is_json: bool, key: &Key) -> String {
    match is_json {
        true => format!("{}\n", json!({ "bucket": readable(key.bucket()) })),
        false => format!("{}\n", readable(key.bucket())),
    }
}

/// A key and all that it holds, in a line of JSON or a few for people.
pub(crate) fn exported(is_json: bool, key: &Key, got: &Got) -> String {
    let context = hex::encode(&got.context.encode());
    let siblings = got.siblings.answers();
    if is_json {
        let mut answer = named(key);
        answer.insert("values".into(), siblings.map(value).collect());
        answer.insert("context".into(), context.into());
        return format!("{}\n", Value::Object(answer));
    }
    let mut text = format!("{}/{}\n", readable(key.bucket()), readable(key.key()));
    for sibling in siblings {
        contents(&mut text, sibling);
    }
    text
}

/// A key's parts; those that are no text in hexadecimal.
fn named(key: &Key) -> serde_json::Map<String, Value> {
    let mut named = serde_json::Map::new();
    for (name, part) in [("bucket", key.bucket()), ("key", key.key())] {
        match str::from_utf8(part) {
            Ok(text) => named.insert(name.into(), text.into()),
            Err(_) => named.insert(format!("{name}_hex"), hex::encode(part).into()),
        };
    }
    named
}

/// What a write left.
pub(crate) fn written(is_json: bool, written: &Written) -> String {
    let context = written.context.as_ref().map(|sealed| {
        let context = Context {
            sealed: sealed.clone(),
            fastest: None,
        };
        hex::encode(&context.encode())
    });
    if is_json {
        let answer = json!({ "siblings": written.siblings, "context": context });
        return format!("{answer}\n");
    }
    match context {
        Some(context) => format!("done\ncontext  {context}\n"),
        None => format!(
            "done, beside {} concurrent: get shows all\n",
            written.siblings.saturating_sub(1)
        ),
    }
}

fn contents(text: &mut String, sibling: &Sibling) {
    match &sibling.value.content {
        Content::Live { body, .. } => line(text, &format!("value    {}", readable(body))),
        Content::Data(data) => {
            let kind = data.kind();
            line(text, &format!("{kind}  {}", data_value(&data.view())));
        }
        Content::Tombstone => line(text, "deleted"),
    }
}

fn value(sibling: &Sibling) -> Value {
    match &sibling.value.content {
        Content::Tombstone => json!({ "deleted": true }),
        Content::Data(data) => json!({ "data": data_value(&data.view()) }),
        Content::Live { body, .. } => match str::from_utf8(body) {
            Ok(text) => json!({ "value": text }),
            Err(_) => json!({ "value_hex": hex::encode(body) }),
        },
    }
}

/// What data says; a map's fields are named by name and type.
fn data_value(view: &View<'_>) -> Value {
    let text = |bytes: &[u8]| Value::from(readable(bytes));
    match view.kind() {
        DataType::GrowCounter | DataType::Counter => view.count().into(),
        DataType::GrowSet | DataType::Set => view.elements().map(text).collect(),
        DataType::Register => view.value().map_or(Value::Null, text),
        DataType::MultiRegister => view.values().map(text).collect(),
        DataType::Flag => view.is_enabled().into(),
        DataType::Sketch => view.estimate().into(),
        DataType::Map => {
            let field = |field: DataField<'_>| {
                let name = format!("{}_{}", readable(field.name), field.kind);
                (name, data_value(&view.field(field)))
            };
            view.fields().map(field).collect()
        }
    }
}

/// Text as it is, unless a terminal would make something else of it.
fn readable(body: &[u8]) -> String {
    match str::from_utf8(body) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => body.escape_ascii().to_string(),
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes all that is written");
}
