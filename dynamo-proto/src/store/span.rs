//! Stretches of a space.

use core::ops::{Bound, RangeInclusive};

use bytes::Bytes;

use super::Address;

/// All addresses from one on, up to but not including another.
///
/// ```
/// use dynamo_proto::store::{Address, Span};
///
/// let partition = Span::of_positions(16..=31);
/// assert!(partition.contains(&Address { position: 31, name: "any".into() }));
/// assert!(!partition.contains(&Address { position: 32, name: "".into() }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    first: Address,
    end: Option<Address>,
}

impl Span {
    /// A whole space.
    #[must_use]
    pub fn all() -> Self {
        Self::new(start_of(0), None)
    }

    /// From `first` on, up to but not including `end`; without `end`, to the last there is. Empty
    /// if `end` does not come after `first`.
    #[must_use]
    pub fn new(first: Address, end: Option<Address>) -> Self {
        let end = end.map(|end| end.max(first.clone()));
        Self { first, end }
    }

    /// All names at these positions: a partition, if they are its tokens. One that crosses the top
    /// of the ring is two spans.
    #[must_use]
    pub fn of_positions(positions: RangeInclusive<u128>) -> Self {
        let (first, last) = positions.into_inner();
        Self::new(start_of(first), last.checked_add(1).map(start_of))
    }

    /// One address alone.
    #[must_use]
    pub fn of_one(at: Address) -> Self {
        let end = at.successor();
        Self::new(at, Some(end))
    }

    /// The first address that may be in it.
    #[must_use]
    pub fn first(&self) -> &Address {
        &self.first
    }

    /// The first address behind it, if any is.
    #[must_use]
    pub fn end(&self) -> Option<&Address> {
        self.end.as_ref()
    }

    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, at: &Address) -> bool {
        *at >= self.first && self.end.as_ref().is_none_or(|end| at < end)
    }

    /// Whether no address is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref() == Some(&self.first)
    }

    /// The part that begins at this address.
    #[must_use]
    pub fn starting_at(&self, at: Address) -> Self {
        Self::new(at.max(self.first.clone()), self.end.clone())
    }

    /// As the standard library's ordered map takes it.
    #[must_use]
    pub fn bounds(&self) -> (Bound<&Address>, Bound<&Address>) {
        let end = self.end.as_ref();
        (
            Bound::Included(&self.first),
            end.map_or(Bound::Unbounded, Bound::Excluded),
        )
    }

    /// The address that is alone in it, if one is.
    #[must_use]
    pub fn into_one(self) -> Option<Address> {
        (self.end? == self.first.successor()).then_some(self.first)
    }
}

fn start_of(position: u128) -> Address {
    Address {
        position,
        name: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_partition_has_no_end() {
        let last = Span::of_positions(9..=u128::MAX);
        assert_eq!(last.end(), None);
        let at = Address {
            position: u128::MAX,
            name: Bytes::from_static(&[0xff; 9]),
        };
        assert!(last.contains(&at));
    }

    #[test]
    fn a_span_that_ends_before_it_begins_is_empty() {
        let span = Span::new(start_of(9), Some(start_of(3)));
        assert!(span.is_empty());
        assert!(!span.contains(&start_of(5)));
        assert!(!Span::all().is_empty());
    }

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        let span = Span::of_positions(5..=9);
        assert_eq!(span.starting_at(start_of(1)), span);
        assert_eq!(span.starting_at(start_of(7)), Span::of_positions(7..=9));
        assert!(span.starting_at(start_of(12)).is_empty());
    }

    #[test]
    fn one_address_is_told_from_many() {
        let at = start_of(7);
        assert_eq!(Span::of_one(at.clone()).into_one(), Some(at));
        assert_eq!(Span::of_positions(7..=7).into_one(), None);
        assert_eq!(Span::all().into_one(), None);
    }
}
