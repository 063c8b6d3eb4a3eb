//! Pages of a snapshot, also around damage.

use std::ops::Bound;

use bytes::Bytes;
use dynamo_proto::store::Address;
use dynamo_storage::{Item, Limit, Page, ScanFailed, Span, address};
use fjall::{Iter, Keyspace, Readable as _, Snapshot};

use crate::is_damage;

pub(crate) fn page(
    snapshot: &Snapshot,
    keyspace: &Keyspace,
    span: &Span,
    limit: Limit,
) -> Result<Page, ScanFailed> {
    let items = Items {
        snapshot,
        keyspace,
        span: span.clone(),
        rest: (!span.is_empty()).then(|| span.clone()),
        iter: None,
    };
    Page::fill(span, limit, items)
}

/// What a span holds. fjall stops at a damaged block; this goes on behind it.
struct Items<'a> {
    snapshot: &'a Snapshot,
    keyspace: &'a Keyspace,
    span: Span,
    /// What was not shown yet.
    rest: Option<Span>,
    /// Over the rest.
    iter: Option<Iter>,
}

impl Iterator for Items<'_> {
    type Item = Result<Item, ScanFailed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.clone()?;
        let iter = self
            .iter
            .get_or_insert_with(|| range(self.snapshot, self.keyspace, &rest));
        match iter.next()?.into_inner() {
            Ok((key, bytes)) => {
                let key = Bytes::from(key);
                let bytes = Bytes::from(bytes);
                let Some(at) = address::decode(key) else {
                    // No span begins before the shortest address.
                    return Some(Err(ScanFailed));
                };
                self.rest = Some(self.span.starting_at(at.successor()));
                Some(Ok(Item::Found { at, bytes }))
            }
            Err(error) if is_damage(&error) => {
                self.iter = None;
                let behind = self.behind_damage(&rest);
                self.rest = behind.as_ref().map(|it| self.span.starting_at(it.clone()));
                let damaged = Span::new(rest.first().clone(), behind.or(rest.end().cloned()));
                Some(Ok(Item::Corrupt(damaged)))
            }
            Err(_) => {
                self.rest = None;
                Some(Err(ScanFailed))
            }
        }
    }
}

impl Items<'_> {
    /// A position behind what cannot be read at the beginning of this span, and no further than
    /// the first that can be. A block holds a run of keys, so whether a scan can begin at a
    /// position is "no" from the damage on and "yes" from behind it on: look ever further until it
    /// can, then halve what is between.
    fn behind_damage(&self, rest: &Span) -> Option<Address> {
        let first = rest.first().position;
        let last = rest.end().map_or(u128::MAX, |end| end.position);
        let mut step = 1;
        let (mut bad, mut good) = (
            first,
            loop {
                let Some(probe) = first.checked_add(step).filter(|it| *it <= last) else {
                    break last;
                };
                if self.can_begin(rest, probe) {
                    break probe;
                }
                step = step.saturating_mul(2);
            },
        );
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            if self.can_begin(rest, middle) {
                good = middle;
            } else {
                bad = middle;
            }
        }
        let behind = start_of(good);
        let is_behind = good > first && rest.contains(&behind) && self.can_begin(rest, good);
        is_behind.then_some(behind)
    }

    fn can_begin(&self, rest: &Span, position: u128) -> bool {
        let span = rest.starting_at(start_of(position));
        match range(self.snapshot, self.keyspace, &span).next() {
            Some(item) => !matches!(item.into_inner(), Err(error) if is_damage(&error)),
            None => true,
        }
    }
}

fn range(snapshot: &Snapshot, keyspace: &Keyspace, span: &Span) -> Iter {
    let first = Bound::Included(address::encode(span.first()));
    let end = match span.end() {
        Some(end) => Bound::Excluded(address::encode(end)),
        None => Bound::Unbounded,
    };
    snapshot.range(keyspace, (first, end))
}

fn start_of(position: u128) -> Address {
    Address {
        position,
        name: Bytes::new(),
    }
}
