//! What a scan shows of two layers.

use std::cmp::Ordering;
use std::iter;

use bytes::Bytes;
use dynamo_proto::store::Address;
use dynamo_storage::{Item, ScanFailed};

type Scanned = Result<Item, ScanFailed>;

/// The items below, but where something is above; both in order.
pub(crate) fn merge(
    below: impl Iterator<Item = Scanned>,
    above: impl Iterator<Item = (Address, Option<Bytes>)>,
) -> impl Iterator<Item = Scanned> {
    let (mut below, mut above) = (below.peekable(), above.peekable());
    iter::from_fn(move || {
        loop {
            let order = match (below.peek(), above.peek()) {
                (Some(Ok(item)), Some((at, _))) => item.first().cmp(at),
                (None, Some(_)) => Ordering::Greater,
                (_, None) | (Some(Err(_)), _) => Ordering::Less,
            };
            if order == Ordering::Less {
                return below.next();
            }
            if order == Ordering::Equal {
                pass_over_first(&mut below);
            }
            if let Some((at, Some(bytes))) = above.next() {
                return Some(Ok(Item::Found { at, bytes }));
            }
        }
    })
}

/// Of damage that reaches further, the rest is left.
fn pass_over_first(items: &mut iter::Peekable<impl Iterator<Item = Scanned>>) {
    if let Some(Ok(Item::Corrupt(within))) = items.peek_mut() {
        let rest = within.starting_at(within.first().successor());
        if !rest.is_empty() {
            *within = rest;
            return;
        }
    }
    items.next();
}

#[cfg(test)]
mod tests {
    use dynamo_storage::Span;

    use super::*;

    fn place(position: u128) -> Address {
        Address {
            position,
            name: Bytes::new(),
        }
    }

    fn found(position: u128, bytes: &'static str) -> Item {
        Item::Found {
            at: place(position),
            bytes: bytes.into(),
        }
    }

    #[track_caller]
    fn check(below: Vec<Item>, above: Vec<(u128, Option<&'static str>)>, expected: Vec<Item>) {
        let above = above
            .into_iter()
            .map(|(position, bytes)| (place(position), bytes.map(Bytes::from)));
        let merged: Result<Vec<_>, _> = merge(below.into_iter().map(Ok), above).collect();
        assert_eq!(merged, Ok(expected));
    }

    #[test]
    fn what_is_above_hides_what_is_below() {
        check(
            vec![found(1, "a"), found(2, "b"), found(4, "d")],
            vec![
                (0, Some("z")),
                (2, None),
                (3, Some("c")),
                (4, Some("e")),
                (5, None),
            ],
            vec![found(0, "z"), found(1, "a"), found(3, "c"), found(4, "e")],
        );
    }

    #[test]
    fn damage_is_hidden_only_where_it_is_known_to_be() {
        let wide = Span::of_positions(2..=9);
        let one = Span::of_one(place(20));
        let rest = wide.starting_at(place(2).successor());
        check(
            vec![Item::Corrupt(wide), Item::Corrupt(one)],
            vec![(2, Some("b")), (20, Some("t"))],
            vec![found(2, "b"), Item::Corrupt(rest), found(20, "t")],
        );
    }

    #[test]
    fn a_failure_is_passed_on_before_what_lies_behind_it() {
        let below = [Ok(found(1, "a")), Err(ScanFailed)].into_iter();
        let above = [(place(2), Some(Bytes::new()))].into_iter();
        let merged: Vec<_> = merge(below, above).take(2).collect();
        assert_eq!(merged, [Ok(found(1, "a")), Err(ScanFailed)]);
    }
}
