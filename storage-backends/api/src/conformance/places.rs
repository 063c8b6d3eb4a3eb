//! Addresses and bytes to try an engine with, and the short words to do so.

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space};

use super::report::{Miss, Outcome, ensure};
use crate::{Backend, Item, Limit, Span, Write};

/// Addresses at which engines go wrong, in their order: at both ends of the ring, with names that
/// begin others.
pub(super) fn awkward() -> Vec<Address> {
    let names: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\0\0",
        b"a",
        b"a\0",
        b"ab",
        b"\xff",
        b"\xff\xff",
    ];
    [0, 1, 0xff, 0x100, 1 << 64, u128::MAX - 1, u128::MAX]
        .into_iter()
        .flat_map(|position| names.map(|name| place(position, name)))
        .collect()
}

pub(super) fn place(position: u128, name: &[u8]) -> Address {
    Address {
        position,
        name: Bytes::copy_from_slice(name),
    }
}

pub(super) fn set(space: Space, at: &Address, bytes: impl Into<Bytes>) -> Change {
    Change {
        space,
        at: at.clone(),
        bytes: Some(bytes.into()),
    }
}

pub(super) fn unset(space: Space, at: &Address) -> Change {
    Change {
        space,
        at: at.clone(),
        bytes: None,
    }
}

pub(super) fn batch(changes: impl IntoIterator<Item = Change>, durability: Durability) -> Batch {
    Batch {
        changes: changes.into_iter().collect(),
        durability,
        may_use_reserve: false,
    }
}

/// Writes one batch, which must succeed.
pub(super) fn write<B: Backend>(backend: &B, batch: Batch) -> Outcome<Durability> {
    let mut group = [Write::from(batch)];
    backend.write(&mut group);
    let [write] = group;
    write
        .answer
        .map_err(|error| Miss::Broken(format!("a write was answered {error:?}")))
}

/// Writes one change no safer than it comes.
pub(super) fn apply<B: Backend>(backend: &B, change: Change) -> Outcome {
    write(backend, batch([change], Durability::Memory)).map(drop)
}

/// What is there, if anything; it must be readable.
pub(super) fn look<B: Backend>(backend: &B, space: Space, at: &Address) -> Outcome<Option<Bytes>> {
    match backend.read(space, at) {
        ReadOutcome::Found(bytes) => Ok(Some(bytes)),
        ReadOutcome::Absent => Ok(None),
        outcome @ (ReadOutcome::Corrupt | ReadOutcome::Failed) => Err(Miss::Broken(format!(
            "{space:?} at {at:?} reads as {outcome:?}"
        ))),
    }
}

pub(super) fn expect<B: Backend>(
    backend: &B,
    space: Space,
    at: &Address,
    expected: Option<&Bytes>,
) -> Outcome {
    let found = look(backend, space, at)?;
    ensure!(
        found.as_ref() == expected,
        "{space:?} at {at:?} should read as {}, not {}",
        shown(expected),
        shown(found.as_ref())
    );
    Ok(())
}

fn shown(bytes: Option<&Bytes>) -> String {
    match bytes {
        None => "absent".into(),
        Some(bytes) if bytes.len() > 40 => format!("{:?}.. ({})", bytes.slice(..40), bytes.len()),
        Some(bytes) => format!("{bytes:?}"),
    }
}

/// All that a span holds, by pages of this size, each checked: in order, inside the span, within
/// the limit, and further on than the last.
pub(super) fn pages<B: Backend>(
    backend: &B,
    space: Space,
    span: &Span,
    limit: Limit,
) -> Outcome<Vec<(Address, Bytes)>> {
    let mut all: Vec<(Address, Bytes)> = Vec::new();
    let mut rest = Some(span.clone());
    while let Some(span) = rest {
        let page = backend
            .scan(space, &span, limit)
            .map_err(|failed| Miss::Broken(failed.to_string()))?;
        ensure!(
            page.items.len() <= limit.items.max(1),
            "a page of {} items under a limit of {}",
            page.items.len(),
            limit.items
        );
        ensure!(
            page.rest.is_none() || !page.items.is_empty(),
            "a page without an item is not the last"
        );
        let mut bytes_before_last = 0;
        let mut bytes_so_far = 0;
        for item in page.items {
            let Item::Found { at, bytes } = item else {
                return Err(Miss::Broken(format!("{item:?} in an undamaged store")));
            };
            bytes_before_last = bytes_so_far;
            bytes_so_far += at.name.len() + bytes.len();
            ensure!(span.contains(&at), "{at:?} is not in {span:?}");
            let is_later = all.last().is_none_or(|(last, _)| *last < at);
            ensure!(is_later, "{at:?} does not come after what came before");
            all.push((at, bytes));
        }
        ensure!(
            bytes_before_last == 0 || bytes_before_last < limit.bytes,
            "a page goes on at {bytes_before_last} bytes, over a limit of {}",
            limit.bytes
        );
        let is_further = match (&page.rest, all.last()) {
            (Some(rest), Some((last, _))) => rest.first() > last,
            _ => true,
        };
        ensure!(is_further, "a page does not go on behind the last");
        rest = page.rest;
    }
    Ok(all)
}
