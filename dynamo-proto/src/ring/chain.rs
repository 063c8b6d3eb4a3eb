//! The cheapest chain of swaps that takes a slot from a giver to a taker.
//!
//! A chain a -> b -> c means: b takes a's place in one partition, c takes b's place in another; b
//! holds as much as before. Swapping back what has moved already earns its cost again, so costs may
//! be negative, but no round trip ever earns anything: the draft is the cheapest for what its
//! members hold.
//!
//! A chain may change a partition twice. Its swaps never stand in each other's way, though: if they
//! did, leavers and newcomers of that partition could also be paired otherwise, at the same cost,
//! and one of these pairs would be a shortcut. A cheapest chain has no cheaper one, and a member is
//! reached by all swaps of a leaver at once, so a shortcut as cheap is taken before the detour.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::draft::{Draft, GONE, Swap};
use super::member::Seat;

pub(super) struct Chain {
    pub(super) cost: i64,
    pub(super) swaps: Vec<Swap>,
}

/// Weighs cost before length: no chain has as many swaps as this.
const COST: i64 = 1 << 32;

/// The cheapest chain from any of the givers to any taker, when it is known that none costs less
/// than `level`; among equals, to the taker of the least rank.
pub(super) fn cheapest<R: Ord>(
    draft: &Draft<'_>,
    level: i64,
    givers: &[Seat],
    takes: impl Fn(Seat) -> Option<R>,
) -> Option<Chain> {
    at_level(draft, level, givers, &takes).or_else(|| {
        let mut paths = Paths::new(draft.homes.members(), i64::MAX);
        givers.iter().for_each(|&giver| paths.start(giver));
        while let Some(seat) = paths.nearest() {
            paths.extend(draft, seat, |_| {});
        }
        let reached = draft
            .homes
            .seats()
            .filter(|&seat| paths.weight(seat) < i64::MAX);
        let ends = reached.filter_map(|seat| Some((paths.weight(seat), takes(seat)?, seat)));
        let (_, _, end) = ends.min()?;
        Some(Chain::of(draft, paths.to(end)))
    })
}

/// The first chain found that costs no more than `level`, trying one giver after the other. It may
/// be longer than another as cheap.
fn at_level<R>(
    draft: &Draft<'_>,
    level: i64,
    givers: &[Seat],
    takes: impl Fn(Seat) -> Option<R>,
) -> Option<Chain> {
    let mut paths = Paths::new(draft.homes.members(), (level + 1) * COST);
    for &giver in givers {
        paths.start(giver);
        while let Some(seat) = paths.nearest() {
            let mut end = None;
            paths.extend(draft, seat, |next| {
                end = end.or_else(|| takes(next).map(|_| next));
            });
            if let Some(end) = end {
                return Some(Chain::of(draft, paths.to(end)));
            }
        }
    }
    None
}

impl Chain {
    fn of(draft: &Draft<'_>, swaps: Vec<Swap>) -> Self {
        Self {
            cost: swaps.iter().map(|&swap| draft.cost(swap)).sum(),
            swaps,
        }
    }
}

/// The cheapest way found so far from any giver to each member.
struct Paths {
    weights: Vec<i64>,
    last: Vec<Option<Swap>>,
    open: BinaryHeap<Reverse<(i64, Seat)>>,
    /// Ways of this weight or more are not followed.
    limit: i64,
}

impl Paths {
    fn new(members: usize, limit: i64) -> Self {
        Self {
            weights: alloc::vec![i64::MAX; members],
            last: alloc::vec![None; members],
            open: BinaryHeap::new(),
            limit,
        }
    }

    fn weight(&self, seat: Seat) -> i64 {
        self.weights[usize::from(seat)]
    }

    fn start(&mut self, giver: Seat) {
        if self.weight(giver) > 0 {
            self.weights[usize::from(giver)] = 0;
            self.last[usize::from(giver)] = None;
            self.open.push(Reverse((0, giver)));
        }
    }

    /// The nearest member whose swaps have not been tried since a cheaper way to it was found.
    fn nearest(&mut self) -> Option<Seat> {
        loop {
            let Reverse((weight, seat)) = self.open.pop()?;
            if weight == self.weight(seat) {
                return Some(seat);
            }
        }
    }

    /// Tries every swap that gives away one of `leaver`'s slots.
    fn extend(&mut self, draft: &Draft<'_>, leaver: Seat, mut improved: impl FnMut(Seat)) {
        let limit = self.limit;
        let so_far = self.weight(leaver) + 1;
        for &partition in draft.held(leaver) {
            let room = draft.room(partition, leaver);
            let moved = i64::from(!draft.before.had(partition, leaver));
            let mut attempt = |newcomer: Seat, weight: i64| {
                let better = weight < self.weight(newcomer).min(limit);
                if better && newcomer != leaver && room.fits(newcomer) {
                    self.weights[usize::from(newcomer)] = weight;
                    self.last[usize::from(newcomer)] = Some(Swap {
                        partition,
                        leaver,
                        newcomer,
                    });
                    self.open.push(Reverse((weight, newcomer)));
                    improved(newcomer);
                }
            };
            for &owner in draft
                .before
                .row(partition)
                .iter()
                .filter(|&&seat| seat != GONE)
            {
                attempt(owner, so_far - moved * COST);
            }
            // Earlier owners are tried above, at their lower price.
            let weight = so_far + (1 - moved) * COST;
            if weight < limit {
                draft
                    .homes
                    .seats()
                    .for_each(|newcomer| attempt(newcomer, weight));
            }
        }
    }

    fn to(&self, end: Seat) -> Vec<Swap> {
        let mut swaps = Vec::new();
        let mut at = end;
        while let Some(swap) = self.last[usize::from(at)] {
            swaps.push(swap);
            at = swap.leaver;
            if swaps.len() > self.last.len() {
                debug_assert!(false, "a round trip earned something");
                return Vec::new();
            }
        }
        swaps
    }
}
