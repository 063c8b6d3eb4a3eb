//! Walking the ring clockwise, for all partitions at once.

use alloc::vec::Vec;

use super::member::{Homes, Seat};
use super::spread::Duty;

/// The first `length` members in the order of duty for each start.
///
/// A start is a place on the circle of `owners`; who is met first from there is on duty first
/// within its rank, and members that own nothing come last. The circle is walked once backwards,
/// keeping the members in the order in which a walk from here would first meet them, so that the
/// whole costs little more than its result.
pub(super) fn lists(owners: &[Seat], starts: &[u32], homes: &Homes, length: usize) -> Vec<Seat> {
    let mut by_place: Vec<usize> = (0..starts.len()).collect();
    by_place.sort_by_key(|&index| core::cmp::Reverse(starts[index]));
    let mut pending = by_place.into_iter().peekable();

    let mut lists = alloc::vec![0; starts.len() * length];
    let mut duty = Duty::new(homes);
    let mut ahead = Ahead::new(homes);
    for &owner in owners.iter().rev() {
        ahead.meet(owner);
    }
    for (place, &owner) in owners.iter().enumerate().rev() {
        ahead.meet(owner);
        while let Some(index) = pending.next_if(|&index| starts[index] as usize == place) {
            duty.fill(ahead.iter(), &mut lists[index * length..][..length]);
        }
    }
    lists
}

/// All members in the order of their next occurrence on the ring: a list linked through arrays.
struct Ahead {
    next: Vec<Seat>,
    previous: Vec<Seat>,
}

impl Ahead {
    fn new(homes: &Homes) -> Self {
        let head = homes.members() as Seat; // fits: seats end below Seat::MAX
        let next = (1..=head).chain([0]).collect();
        let previous = [head].into_iter().chain(0..head).collect();
        Self { next, previous }
    }

    fn meet(&mut self, seat: Seat) {
        let head = (self.next.len() - 1) as Seat;
        let (before, after) = (
            self.previous[usize::from(seat)],
            self.next[usize::from(seat)],
        );
        self.link(before, after);
        let first = self.next[usize::from(head)];
        self.link(head, seat);
        self.link(seat, first);
    }

    fn link(&mut self, one: Seat, other: Seat) {
        self.next[usize::from(one)] = other;
        self.previous[usize::from(other)] = one;
    }

    fn iter(&self) -> impl Iterator<Item = Seat> + Clone {
        let head = (self.next.len() - 1) as Seat;
        let step =
            move |from: Seat| Some(self.next[usize::from(from)]).filter(|&seat| seat != head);
        core::iter::successors(step(head), move |&seat| step(seat))
    }
}
