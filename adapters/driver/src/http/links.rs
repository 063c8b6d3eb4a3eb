//! Links from a value to others, as header fields have them.

use std::fmt::Write as _;

use super::target::Names;
use super::text::{escaped, unescaped};
use crate::riak::messages::Link;

const TAG: &str = "riaktag=\"";

/// The links in a header field. What leads to no key of the type `default`, or has no tag, is none:
/// `rel="up"`, for one, which comes back with what was read.
pub(super) fn read(text: &str) -> impl Iterator<Item = Link> {
    text.split(',').filter_map(|item| {
        let (path, said) = item.trim().strip_prefix('<')?.split_once('>')?;
        let tag = said.split_once(TAG)?.1.split_once('"')?.0;
        let parts: Vec<_> = path.split('/').skip(1).collect();
        let (["riak", bucket, key] | ["buckets", bucket, "keys", key]) = parts[..] else {
            return None;
        };
        let part = |part| unescaped(part).map(Into::into);
        Some(Link {
            bucket: Some(part(bucket)?),
            key: Some(part(key)?),
            tag: Some(part(tag)?),
        })
    })
}

/// The bucket that a value is in, and what it links to, as the request would name them.
pub(super) fn written(links: &[Link], from: &Names) -> String {
    let mut text = format!("<{}>; rel=\"up\"", from.bucket_path());
    for Link { bucket, key, tag } in links {
        let part = |part: &Option<_>| escaped(part.as_deref().unwrap_or_default());
        let (bucket, key, tag) = (part(bucket), part(key), part(tag));
        let path = match from.is_old {
            true => format!("/riak/{bucket}/{key}"),
            false => format!("/buckets/{bucket}/keys/{key}"),
        };
        let _ = write!(text, ", <{path}>; {TAG}{tag}\""); // a String takes all
    }
    text
}
