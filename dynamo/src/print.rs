//! What the program prints, for people and as JSON.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use bytes::Bytes;
use dynamo_proto::node::{Got, Written};
use dynamo_proto::version::{Content, Context, Sibling};
use serde_json::{Value, json};

use crate::cli::Get;
use crate::demo::FIRST_PORT;
use crate::error::Error;
use crate::hex;

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

/// Where a demo's nodes are, and how to talk to them.
pub(crate) fn welcome(program: &str, nodes: &[SocketAddr]) -> String {
    let mut text =
        String::from("A cluster on this machine. What it keeps is gone when it stops.\n\n");
    for (number, address) in (1..).zip(nodes) {
        line(&mut text, &format!("  node {number}  {address}"));
    }
    let (first, last) = (nodes.first(), nodes.last());
    let option = |node: Option<&SocketAddr>| {
        let other = node.filter(|node| node.port() != FIRST_PORT);
        other.map_or(String::new(), |node| format!(" --node {node}"))
    };
    let (first, last) = (option(first), option(last));
    line(&mut text, "\nIn another shell, from the same directory:\n");
    line(&mut text, &format!("  {program} put greeting hello{first}"));
    line(&mut text, &format!("  {program} get greeting{last}"));
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
        match sibling.value.content.body() {
            Some(body) => line(&mut text, &format!("value    {}", readable(body))),
            None => line(&mut text, "deleted"),
        }
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

fn value(sibling: &Sibling) -> Value {
    match &sibling.value.content {
        Content::Tombstone => json!({ "deleted": true }),
        Content::Live { body, .. } => match str::from_utf8(body) {
            Ok(text) => json!({ "value": text }),
            Err(_) => json!({ "value_hex": hex::encode(body) }),
        },
    }
}

/// Text as it is, unless a terminal would make something else of it.
fn readable(body: &Bytes) -> String {
    match str::from_utf8(body) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => body.escape_ascii().to_string(),
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes all that is written");
}
