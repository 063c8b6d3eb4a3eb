//! Values with what is said about them: as they are stored, and as they are answered.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use dynamo_proto::node::Got;
use dynamo_proto::version::{Content, FieldKind, Metadata, MetadataError, Sibling};

use super::answer::{Answer, TEXT, field};
use super::head::{Fields, Head, context_text};
use super::text::{date, names};

/// What is served as a type where none was said.
const UNTYPED: &str = "application/octet-stream";

const CHARSET: &str = "charset=";

/// A body with what the request says about it.
pub(super) fn content(fields: &Fields, body: Bytes) -> Result<Content, MetadataError> {
    let mut metadata = Metadata::builder();
    if let Some(kind) = &fields.content_type {
        let (kind, charset) = split_charset(kind);
        metadata.push(FieldKind::CONTENT_TYPE, b"", kind.as_bytes())?;
        if let Some(charset) = charset {
            metadata.push(FieldKind::CHARSET, b"", charset.as_bytes())?;
        }
    }
    if let Some(encoding) = &fields.content_encoding {
        metadata.push(FieldKind::CONTENT_ENCODING, b"", encoding.as_bytes())?;
    }
    for (name, value) in &fields.user {
        metadata.push(FieldKind::USER, name.as_bytes(), value)?;
    }
    Ok(Content::Live {
        metadata: metadata.build(),
        body,
    })
}

/// A type, and its character set if that is all it has beside.
fn split_charset(kind: &str) -> (&str, Option<&str>) {
    let charset = kind.split_once(';').and_then(|(kind, parameter)| {
        let (name, charset) = parameter.trim().split_at_checked(CHARSET.len())?;
        let is_alone = name.eq_ignore_ascii_case(CHARSET) && !charset.contains(';');
        is_alone.then(|| (kind.trim_end(), charset))
    });
    charset.map_or((kind, None), |(kind, charset)| (kind, Some(charset)))
}

/// What is there, as the request wants to see it.
pub(super) fn found(got: &Got, head: &Head) -> Answer {
    let context = context_text(&got.context.sealed);
    let siblings: Vec<_> = got.siblings.answers().collect();
    if got.siblings.is_deleted() {
        let answer = Answer::text(404, "not found");
        return match got.siblings.is_absent() {
            true => answer,
            false => answer
                .with("X-Riak-Deleted", true)
                .with("X-Riak-Vclock", context),
        };
    }
    let is_data = |it: &&Sibling| matches!(it.value.content, Content::Data(_));
    if siblings.iter().any(is_data) {
        let text = "keys of data types are not spoken of over HTTP: use RESP";
        return Answer::text(501, text);
    }
    let chosen = match (&head.query.vtag, &siblings[..]) {
        (Some(tag), _) => {
            let Some(sibling) = siblings.iter().find(|it| it.tag().to_string() == *tag) else {
                return Answer::text(404, "not found");
            };
            Some(*sibling)
        }
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    let tag = tag(got, chosen);
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
    .with("X-Riak-Vclock", context)
    .with("ETag", format_args!("\"{tag}\""))
    .with("Vary", "Accept");
    match chosen {
        _ if is_known => answer,
        Some(sibling) => {
            let mut said = String::new();
            let body = describe(sibling, &mut said);
            answer
                .with_lines(&said)
                .with_body(content_type(sibling), body)
        }
        None if head.fields.takes_multipart => {
            let boundary = format!("sibling-{tag}");
            let kind = format!("multipart/mixed; boundary={boundary}");
            answer.with_body(kind, multipart(&siblings, &boundary))
        }
        None => {
            let mut text = "Siblings:\n".to_owned();
            for sibling in &siblings {
                let _ = writeln!(text, "{}", sibling.tag()); // a String takes all
            }
            answer.with_body(TEXT, text)
        }
    }
}

/// The tag of what is shown: a sibling's own, or one for all of them together, which is the seal
/// of their context.
fn tag(got: &Got, chosen: Option<&Sibling>) -> String {
    if let Some(sibling) = chosen {
        return sibling.tag().to_string();
    }
    let sealed = &got.context.sealed;
    let seal = &sealed[sealed.len().saturating_sub(size_of::<u64>())..];
    let mut tag = String::new();
    for byte in seal {
        let _ = write!(tag, "{byte:02x}"); // a String takes all
    }
    tag
}

/// Whether what is there is what the request goes by, if it goes by anything.
pub(super) fn meets_preconditions(got: &Got, fields: &Fields) -> bool {
    let siblings: Vec<_> = got.siblings.answers().collect();
    let there = match &siblings[..] {
        _ if got.siblings.is_deleted() => None,
        [only] => Some(tag(got, Some(only))),
        _ => Some(tag(got, None)),
    };
    let is_named = |tags: &String| there.as_ref().is_some_and(|tag| names(tags, tag));
    let is_old = |since: &u64| siblings.iter().all(|sibling| seconds(sibling) <= *since);
    fields.if_match.as_ref().is_none_or(is_named)
        && !fields.if_none_match.as_ref().is_some_and(is_named)
        && fields.if_unmodified_since.as_ref().is_none_or(is_old)
}

fn seconds(sibling: &Sibling) -> u64 {
    sibling.value.stamp.as_micros() / 1_000_000
}

fn content_type(sibling: &Sibling) -> String {
    let Content::Live { metadata, .. } = &sibling.value.content else {
        return UNTYPED.to_owned();
    };
    let kind = metadata.first(FieldKind::CONTENT_TYPE);
    let kind = kind.map_or(UNTYPED.into(), field);
    match metadata.first(FieldKind::CHARSET) {
        Some(charset) => format!("{kind}; {CHARSET}{}", field(charset)),
        None => kind.into_owned(),
    }
}

/// Whether a header field's name may have it.
fn is_in_names(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// Lines of header fields about a sibling, and its body.
fn describe(sibling: &Sibling, said: &mut String) -> Bytes {
    let mut say = |name: &str, value: &str| {
        let _ = write!(said, "{name}: {value}\r\n"); // a String takes all
    };
    say("Last-Modified", &date(sibling.value.stamp));
    let Content::Live { metadata, body } = &sibling.value.content else {
        say("X-Riak-Deleted", "true");
        return Bytes::new();
    };
    for it in metadata.fields() {
        match it.kind {
            FieldKind::CONTENT_ENCODING => say("Content-Encoding", &field(it.value)),
            FieldKind::USER if it.name.iter().all(is_in_names) => {
                say(&format!("X-Riak-Meta-{}", field(it.name)), &field(it.value))
            }
            _ => {}
        }
    }
    body.clone()
}

fn multipart(siblings: &[&Sibling], boundary: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    for sibling in siblings {
        let mut said = String::new();
        let body = describe(sibling, &mut said);
        let kind = content_type(sibling);
        let tag = sibling.tag();
        let head = format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\nEtag: {tag}\r\n{said}\r\n");
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&body);
    }
    bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    bytes
}
