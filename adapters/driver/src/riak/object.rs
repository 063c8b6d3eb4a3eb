//! Values with what is said about them, as Riak's messages have them.

use bytes::Bytes;
use dynamo_proto::node::Got;
use dynamo_proto::version::{Content, DataType, FieldKind, Metadata, MetadataError, Sibling};
use dynamo_proto::{Key, Limits};

use super::messages::{self, Link, Pair};

const BUCKET_TYPE: &[u8] = b"default";

/// What a client is shown of a key: all its siblings, or where its bucket shows one only, that one.
/// None if it has no value.
pub(crate) fn shown(got: &Got, shows_all: bool) -> Vec<&Sibling> {
    let siblings: Vec<_> = got.siblings.answers().collect();
    if shows_all {
        return match got.siblings.is_deleted() {
            true => Vec::new(),
            false => siblings,
        };
    }
    let last = siblings
        .into_iter()
        .max_by_key(|sibling| (sibling.value.stamp, sibling.dot));
    let is_there = |sibling: &&Sibling| !sibling.value.content.is_tombstone();
    last.filter(is_there).into_iter().collect()
}

/// Whether that is a counter at zero, which is as good as deleted: a counter of its own is never
/// taken away, only counted down.
pub(crate) fn is_zero(sibling: &Sibling) -> bool {
    match &sibling.value.content {
        Content::Data(data) => data.kind().is_counter() && data.view().count() == 0,
        Content::Live { .. } | Content::Tombstone => false,
    }
}

/// What a client writes. Links are kept as keys of the type `default`: they name no other.
pub(crate) fn read(content: messages::Content, limits: &Limits) -> Result<Content, MetadataError> {
    let mut metadata = Metadata::builder();
    let said = [
        (FieldKind::CONTENT_TYPE, &content.content_type),
        (FieldKind::CHARSET, &content.charset),
        (FieldKind::CONTENT_ENCODING, &content.content_encoding),
    ];
    for (kind, value) in said {
        if let Some(value) = value {
            metadata.push(kind, b"", value)?;
        }
    }
    for link in &content.links {
        let part = |part: &Option<Bytes>| part.clone().unwrap_or_default();
        // What is no key leads nowhere.
        if let Ok(key) = Key::new(BUCKET_TYPE, part(&link.bucket), part(&link.key), limits) {
            metadata.push(FieldKind::LINK, &part(&link.tag), key.encoded())?;
        }
    }
    let pairs = [
        (FieldKind::USER, &content.usermeta),
        (FieldKind::INDEX, &content.indexes),
    ];
    for (kind, pairs) in pairs {
        for Pair { key, value } in pairs {
            metadata.push(kind, key, value.as_deref().unwrap_or_default())?;
        }
    }
    Ok(Content::Live {
        metadata: metadata.build(),
        body: content.value,
    })
}

/// A sibling as it is shown.
pub(crate) fn content(sibling: &Sibling, with_body: bool) -> messages::Content {
    let micros = sibling.value.stamp.as_micros();
    let mut shown = messages::Content {
        vtag: Some(sibling.tag().to_string().into()),
        last_mod: Some((micros / 1_000_000) as u32), // until 2106
        last_mod_usecs: Some((micros % 1_000_000) as u32),
        ..messages::Content::default()
    };
    let (metadata, body) = match &sibling.value.content {
        Content::Live { metadata, body } => (metadata, body),
        Content::Tombstone => {
            shown.deleted = Some(true);
            return shown;
        }
        Content::Data(data) => {
            shown.content_type = Some(media_type(data.kind()).into());
            return shown;
        }
    };
    if with_body {
        shown.value = body.clone();
    }
    for field in metadata.fields() {
        let value = Bytes::copy_from_slice(field.value);
        let pair = |value| Pair {
            key: Bytes::copy_from_slice(field.name),
            value: Some(value),
        };
        match field.kind {
            FieldKind::CONTENT_TYPE => shown.content_type = Some(value),
            FieldKind::CHARSET => shown.charset = Some(value),
            FieldKind::CONTENT_ENCODING => shown.content_encoding = Some(value),
            FieldKind::USER => shown.usermeta.push(pair(value)),
            FieldKind::INDEX => shown.indexes.push(pair(value)),
            FieldKind::LINK => {
                if let Ok(key) = Key::decode(value) {
                    shown.links.push(Link {
                        bucket: Some(Bytes::copy_from_slice(key.bucket())),
                        key: Some(Bytes::copy_from_slice(key.key())),
                        tag: Some(Bytes::copy_from_slice(field.name)),
                    });
                }
            }
            _ => {}
        }
    }
    shown
}

/// What Riak says of the value of a data type to who does not ask for it as one.
pub(crate) fn media_type(kind: DataType) -> &'static str {
    match kind {
        DataType::GrowCounter | DataType::Counter => "application/riak_counter",
        DataType::GrowSet => "application/riak_gset",
        DataType::Set => "application/riak_set",
        DataType::Sketch => "application/riak_hll",
        DataType::Map => "application/riak_map",
        DataType::Register | DataType::MultiRegister => "application/riak_register",
        DataType::Flag => "application/riak_flag",
    }
}
