//! What clients ask for, drawn from bytes.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use dynamo_proto::node::{Condition, Listing, Mode, Operation, Options, Request, Scope};
use dynamo_proto::store::Span;
use dynamo_proto::version::{Content, FieldKind, Metadata, RequestId};

use super::peers::Peers;
use super::site;

/// Some length of time, from none to longer than anybody lives.
pub(super) fn wait(bytes: &mut Unstructured<'_>) -> Result<Duration> {
    let unit = *bytes.choose(&[
        Duration::from_millis(1),
        Duration::from_nanos(1),
        Duration::from_secs(1),
        Duration::from_secs(1_000_000),
    ])?;
    Ok(unit * u32::from(bytes.arbitrary::<u8>()?))
}

pub(super) fn request(
    bytes: &mut Unstructured<'_>,
    id: RequestId,
    peers: &Peers,
) -> Result<Request> {
    let key = site::key(bytes)?;
    let operation = if bytes.ratio(1, 3)? {
        match bytes.int_in_range(0..=15)? {
            0 | 1 => Operation::List(listing(bytes)?),
            2 | 3 => Operation::Fetch {
                ring: bytes.arbitrary()?,
            },
            other => {
                let seen = match bytes.ratio(1, 8)? {
                    true => peers.contexts().to_vec(),
                    false => Vec::new(),
                };
                Operation::Get {
                    head: other == 4,
                    seen,
                }
            }
        }
    } else {
        Operation::Put {
            fastest: if bytes.ratio(1, 4)? {
                Some(peers.any(bytes)?)
            } else {
                None
            },
            mode: mode(bytes, peers)?,
            content: content(bytes)?,
            condition: match bytes.int_in_range(0..=7)? {
                0 => Condition::Absent,
                1 => Condition::Unchanged(context(bytes, peers)?),
                _ => Condition::None,
            },
        }
    };
    Ok(Request {
        id,
        is_retry: bytes.ratio(1, 8)?,
        key,
        operation,
        options: options(bytes)?,
    })
}

pub(super) fn listing(bytes: &mut Unstructured<'_>) -> Result<Listing> {
    let scope = *bytes.choose(&[Scope::Bucket, Scope::Buckets, Scope::All])?;
    let first = match bytes.arbitrary::<bool>()? {
        true => 0,
        false => u128::from(bytes.arbitrary::<u8>()?) << 120,
    };
    let last = match bytes.arbitrary::<bool>()? {
        true => u128::MAX,
        false => u128::from(bytes.arbitrary::<u8>()?) << 120,
    };
    Ok(Listing {
        scope,
        span: Span::of_positions(first..=last),
        most: bytes.int_in_range(0..=4)?,
    })
}

fn mode(bytes: &mut Unstructured<'_>, peers: &Peers) -> Result<Mode> {
    Ok(match bytes.int_in_range(0..=3)? {
        0 => Mode::Blind,
        1 => Mode::Overwrite,
        _ => {
            let mut contexts = Vec::new();
            for _ in 0..bytes.int_in_range(0..=2)? {
                contexts.push(context(bytes, peers)?);
            }
            Mode::Context(contexts.into())
        }
    })
}

/// One that the node gave out, for whichever key, or any bytes.
fn context(bytes: &mut Unstructured<'_>, peers: &Peers) -> Result<Bytes> {
    let given = peers.contexts();
    if given.is_empty() || bytes.ratio(1, 8)? {
        let len = bytes.int_in_range(0..=20)?;
        let len = len.min(bytes.len());
        return Ok(Bytes::copy_from_slice(bytes.bytes(len)?));
    }
    bytes.choose(given).cloned()
}

fn content(bytes: &mut Unstructured<'_>) -> Result<Content> {
    if bytes.ratio(1, 4)? {
        return Ok(Content::Tombstone);
    }
    // Up to a little over what is allowed.
    let body = vec![b'v'; bytes.int_in_range(0..=33)?].into();
    let mut fields = Metadata::builder();
    if bytes.ratio(1, 4)? {
        let value = vec![b'm'; bytes.int_in_range(0..=12)?];
        let pushed = fields.push(FieldKind::USER, b"", &value);
        pushed.expect("a short field");
    }
    let metadata = fields.build();
    Ok(Content::Live { metadata, body })
}

fn options(bytes: &mut Unstructured<'_>) -> Result<Options> {
    if !bytes.ratio(1, 3)? {
        return Ok(Options::default());
    }
    let mut count = || {
        if bytes.ratio(1, 4)? {
            bytes.int_in_range(0..=5).map(Some)
        } else {
            Ok(None)
        }
    };
    let (n, r, w, pr, pw) = (count()?, count()?, count()?, count()?, count()?);
    Ok(Options {
        n,
        r,
        w,
        pr,
        pw,
        durability: if bytes.ratio(1, 4)? {
            Some(site::durability(bytes)?)
        } else {
            None
        },
        absent_counts: bytes.arbitrary()?,
        majority_absent: bytes.arbitrary()?,
        timeout: if bytes.ratio(1, 2)? {
            Some(wait(bytes)?)
        } else {
            None
        },
        only_here: bytes.ratio(1, 4)?,
    })
}
