//! Values with what is said about them: as they are stored, and as they are answered.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use dynamo_proto::WallTime;

use super::answer::{Answer, TEXT, field};
use super::head::{Fields, Head, context_text};
use super::refusal::Refusal;
use super::target::Names;
use super::text::{date, names};
use super::{links, refused};
use crate::riak::messages::{Content, Got, Pair};

/// What is served as a type where none was said.
const UNTYPED: &str = "application/octet-stream";

const CHARSET: &str = "charset=";

/// A body with what the request says about it.
pub(super) fn content(fields: &Fields, body: Bytes) -> Content {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let (kind, charset) = match fields.content_type.as_deref().map(split_charset) {
        Some((kind, charset)) => (Some(kind), charset),
        None => (None, None),
    };
    Content {
        value: body,
        content_type: kind.map(bytes),
        charset: charset.map(bytes),
        content_encoding: fields.content_encoding.as_deref().map(bytes),
        links: fields.links.clone(),
        usermeta: fields.user.clone(),
        indexes: fields.indexes.clone(),
        ..Content::default()
    }
}

/// A type, and its character set if that is all it has beside.
fn split_charset(kind: &str) -> (&str, Option<&str>) {
    let charset = kind.split_once(';').and_then(|(kind, parameter)| {
        let (name, charset) = parameter.trim().split_at_checked(CHARSET.len())?;
        let is_alone = name.eq_ignore_ascii_case(CHARSET) && !charset.contains(';');
        is_alone.then(|| (kind.trim_end(), charset.trim_matches('"')))
    });
    charset.map_or((kind, None), |(kind, charset)| (kind, Some(charset)))
}

/// What is there, as the request wants to see it.
pub(super) fn found(got: &Got, head: &Head, from: &Names) -> Answer {
    let context = got.vclock.as_deref().map(context_text);
    let siblings = &got.content[..];
    if siblings.is_empty() {
        if head.fields.if_match.as_deref() == Some("*") {
            return refused(&Refusal::Precondition);
        }
        let answer = Answer::text(404, "not found");
        return match context {
            None => answer,
            Some(context) => answer
                .with("X-Riak-Deleted", true)
                .with("X-Riak-Vclock", context),
        };
    }
    let chosen = match (&head.query.vtag, siblings) {
        (Some(tag), _) => {
            let is_it = |it: &&Content| it.vtag.as_deref() == Some(tag.as_bytes());
            let Some(sibling) = siblings.iter().find(is_it) else {
                return Answer::text(404, "not found");
            };
            Some(sibling)
        }
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let tag = tag(got, chosen);
    if !is_expected(got, &tag, &head.fields) {
        return refused(&Refusal::Precondition);
    }
    let is_known = match (&head.fields.if_none_match, head.fields.if_modified_since) {
        (Some(tags), _) => names(tags, &tag),
        (None, Some(since)) => chosen.is_some_and(|it| seconds(it) <= since),
        (None, None) => false,
    };
    let answer = Answer::new(match (is_known, chosen) {
        (true, _) => 304,
        (false, Some(_)) => 200,
        (false, None) => 300,
    })
    .with("X-Riak-Vclock", context.unwrap_or_default())
    .with("ETag", format_args!("\"{tag}\""))
    .with("Vary", "Accept");
    match chosen {
        _ if is_known => answer,
        Some(sibling) => answer
            .with_lines(&described(sibling, from))
            .with_body(content_type(sibling), sibling.value.clone()),
        None if head.fields.takes_multipart => answer.with_body(
            format_args!("multipart/mixed; boundary={tag}"),
            multipart(siblings, &tag, from),
        ),
        None => {
            let mut text = String::from("Siblings:\n");
            for sibling in siblings {
                text.push_str(&vtag(sibling));
                text.push('\n');
            }
            answer.with_body(TEXT, text)
        }
    }
}

fn vtag(sibling: &Content) -> String {
    let tag = sibling.vtag.as_deref().unwrap_or_default();
    String::from_utf8_lossy(tag).into_owned()
}

/// The tag of what is shown: a sibling's own, or one for all of them together, which is the seal
/// of their context.
fn tag(got: &Got, chosen: Option<&Content>) -> String {
    if let Some(sibling) = chosen {
        return vtag(sibling);
    }
    let sealed = got.vclock.as_deref().unwrap_or_default();
    let seal = &sealed[sealed.len().saturating_sub(size_of::<u64>())..];
    let mut tag = String::new();
    for byte in seal {
        let _ = write!(tag, "{byte:02x}"); // a String takes all
    }
    tag
}

/// Whether what is there, under that tag, is no other than the request expects.
fn is_expected(got: &Got, tag: &str, fields: &Fields) -> bool {
    let is_named = |tags: &String| names(tags, tag);
    let is_old = |since: &u64| got.content.iter().all(|it| seconds(it) <= *since);
    fields.if_match.as_ref().is_none_or(is_named)
        && fields.if_unmodified_since.as_ref().is_none_or(is_old)
}

/// Whether a write may go over what is there, by what the request says of it.
pub(super) fn meets_preconditions(got: &Got, fields: &Fields) -> bool {
    let tag = match &got.content[..] {
        [] => return fields.if_match.is_none(),
        [only] => tag(got, Some(only)),
        _ => tag(got, None),
    };
    let is_unwanted = fields
        .if_none_match
        .as_ref()
        .is_some_and(|tags| names(tags, &tag));
    is_expected(got, &tag, fields) && !is_unwanted
}

fn seconds(sibling: &Content) -> u64 {
    sibling.last_mod.unwrap_or(0).into()
}

fn content_type(sibling: &Content) -> String {
    let kind = sibling.content_type.as_deref();
    let kind = kind.map_or(UNTYPED.into(), field);
    match &sibling.charset {
        Some(charset) => format!("{kind}; {CHARSET}{}", field(charset)),
        None => kind.into_owned(),
    }
}

/// Whether a header field's name may have it.
fn is_in_names(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// Lines of header fields about a sibling.
fn described(sibling: &Content, from: &Names) -> String {
    let mut said = String::new();
    let mut say = |name: &str, value: &str| {
        let _ = write!(said, "{name}: {value}\r\n"); // a String takes all
    };
    let last = WallTime::from_secs(sibling.last_mod.unwrap_or(0));
    say("Last-Modified", &date(last));
    say("Link", &links::written(&sibling.links, from));
    if sibling.deleted == Some(true) {
        say("X-Riak-Deleted", "true");
    }
    if let Some(encoding) = &sibling.content_encoding {
        say("Content-Encoding", &field(encoding));
    }
    for Pair { key, value } in &sibling.usermeta {
        if key.iter().all(is_in_names) {
            let value = field(value.as_deref().unwrap_or_default());
            say(&format!("X-Riak-Meta-{}", field(key)), &value);
        }
    }
    for (at, Pair { key, .. }) in sibling.indexes.iter().enumerate() {
        let is_told = sibling.indexes[..at].iter().any(|other| other.key == *key);
        if !is_told && key.iter().all(is_in_names) {
            let its = sibling.indexes[at..].iter().filter(|it| it.key == *key);
            let values: Vec<_> = its
                .map(|it| field(it.value.as_deref().unwrap_or_default()))
                .collect();
            say(&format!("X-Riak-Index-{}", field(key)), &values.join(", "));
        }
    }
    said
}

fn multipart(siblings: &[Content], boundary: &str, from: &Names) -> BytesMut {
    let mut bytes = BytesMut::new();
    for sibling in siblings {
        let (kind, tag) = (content_type(sibling), vtag(sibling));
        let said = described(sibling, from);
        let head = format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\nEtag: {tag}\r\n{said}\r\n");
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&sibling.value);
    }
    bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    bytes
}
