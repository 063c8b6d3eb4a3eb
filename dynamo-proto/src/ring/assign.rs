//! The first assignment of equal partitions, when there is no earlier one to respect.
//!
//! All slots are laid on a line, zone by zone, host by host, node by node, each node as long as its
//! share; the line is wound up, one turn being as long as there are partitions:
//!
//! ```text
//!   partition      0    1    2    3    4    5
//!   first turn   [ a    a    a  | b    b    b     zone 1: a, b
//!   second turn    b  | c    c    c    c  | d     zone 2: c, d
//!   third turn     d    d    d  | e    e    e ]   zone 3: e
//! ```
//!
//! A node is never longer than a turn, so no partition meets it twice; neither does a zone that is
//! at most one turn long, and one that is at least that long is met by every partition. That is the
//! whole spread rule. The columns are then dealt around the ring in long strides, so that
//! neighbouring partitions have different owners and a failed node's load finds many fallbacks.

use alloc::vec::Vec;

use super::draft::{Draft, Swap};
use super::member::{Homes, Seat};
use super::shares::Shares;
use super::spread::Spread;

/// How often every partition is offered an exchange.
const ROUNDS: u32 = 12;
/// How many of these times it takes any between two zones.
const STIRRING: u32 = 3;

/// The owners of every partition in turn, `spread.width` each.
pub(super) fn from_scratch(
    homes: &Homes,
    spread: Spread,
    shares: &Shares,
    partitions: u32,
) -> Vec<Seat> {
    let mut order: Vec<Seat> = homes.seats().collect();
    order.sort_by_key(|&seat| (homes.at(seat).zone, homes.at(seat).host, seat));
    let line: Vec<Seat> = order
        .iter()
        .zip(shares.dealt(&order))
        .flat_map(|(&seat, slots)| core::iter::repeat_n(seat, slots as usize))
        .collect();

    let turn = partitions as usize;
    debug_assert_eq!(
        line.len(),
        turn * spread.width,
        "shares add up to all slots"
    );
    let stride = u64::from(stride_around(partitions));
    let mut rows = alloc::vec![0; line.len()];
    for column in 0..turn {
        let row = (column as u64 * stride % turn as u64) as usize * spread.width;
        let row = &mut rows[row..row + spread.width];
        for (place, &seat) in row.iter_mut().zip(line[column..].iter().step_by(turn)) {
            *place = seat;
        }
        // Columns with the same owners lie side by side: let each of them come first in turn.
        row.rotate_left(column % spread.width);
    }
    rows
}

/// Lets partitions exchange owners: at first between any two zones, so that all meet each other;
/// then those that share too much with the same few.
///
/// Without the first, whole blocks of partitions have owners in the same zones, and a node that
/// joins another zone later finds nothing there that it may take.
pub(super) fn mingled(mut draft: Draft<'_>) -> Vec<Seat> {
    let partitions = draft.partitions;
    for partition in 0..partitions {
        draft.settle(partition, draft.before.row(partition));
    }
    for round in 1..=ROUNDS {
        let step = (u64::from(partitions) * u64::from(round) / u64::from(ROUNDS + 1)) as u32;
        for partition in 0..partitions {
            let other = (partition + step) % partitions;
            let exchange = if round <= STIRRING {
                any_exchange(&draft, partition, other)
            } else {
                best_exchange(&draft, partition, other)
            };
            if let Some(swaps) = exchange {
                swaps.into_iter().for_each(|swap| draft.swap(swap));
            }
        }
    }
    draft.finish()
}

/// An exchange of owners in two zones, now of these, now of those, if it is allowed.
fn any_exchange(draft: &Draft<'_>, one: u32, other: u32) -> Option<[Swap; 2]> {
    let width = draft.spread.width;
    let here = draft.row(one)[one as usize % width];
    let there = draft.row(other)[one as usize / width % width];
    let (home, away) = (draft.homes.at(here), draft.homes.at(there));
    let allowed = home.zone != away.zone
        && draft.room(one, here).fits(there)
        && draft.room(other, there).fits(here);
    allowed.then(|| swaps(one, here, other, there))
}

/// The exchange between two partitions that relieves the copysets most, if one does.
fn best_exchange(draft: &Draft<'_>, one: u32, other: u32) -> Option<[Swap; 2]> {
    let mut best: Option<(i64, [Swap; 2])> = None;
    let rooms_there = draft.rooms(other);
    for (here, room_here) in draft.rooms(one) {
        for &(there, ref room_there) in &rooms_there {
            if here == there || !room_here.fits(there) || !room_there.fits(here) {
                continue;
            }
            let strain = draft.strain(there, Some(here), room_here.owners())
                + draft.strain(here, Some(there), room_there.owners());
            if strain < best.map_or(0, |(least, _)| least) {
                best = Some((strain, swaps(one, here, other, there)));
            }
        }
    }
    best.map(|(_, swaps)| swaps)
}

fn swaps(one: u32, here: Seat, other: u32, there: Seat) -> [Swap; 2] {
    let swap = |partition, leaver, newcomer| Swap {
        partition,
        leaver,
        newcomer,
    };
    [swap(one, here, there), swap(other, there, here)]
}

/// A step near the golden section of the ring that visits every partition.
fn stride_around(partitions: u32) -> u32 {
    let golden = (u64::from(partitions) * 618 / 1000) as u32;
    (golden.max(1)..)
        .find(|&step| gcd(step, partitions) == 1)
        .unwrap_or(1)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
