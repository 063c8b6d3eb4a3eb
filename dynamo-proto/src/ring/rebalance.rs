//! The next assignment after a change of membership: as little as possible moves.
//!
//! First every partition whose owners left, or are not spread as they now could be, is mended at
//! the least cost to itself. That is the cheapest assignment that obeys the spread rule, if shares
//! did not matter. Then slots are passed on, one at a time, from a node that holds too much to one
//! that may hold more, and at last to those that hold too little; each time along the cheapest
//! chain of swaps. This is the method of successive shortest paths for a flow of least cost: the
//! spread rule is a family of nested bounds, a chain of swaps is a path in the residual network, so
//! what comes out moves the fewest copies that any balanced and well spread assignment can move.
//!
//! Nearly always the cheapest chain is plainly a single swap; only when it is not are chains
//! searched for ([`chain`](super::chain)).

use alloc::vec::Vec;
use core::cmp::Reverse;

use smallvec::SmallVec;

use super::chain;
use super::draft::{Draft, GONE, Swap};
use super::member::Seat;
use super::spread::Room;

/// How many swaps are weighed against each other in one change, and for each slot at the least.
/// More find better copysets; fewer make large changes of large rings faster.
const CHOICES: u64 = 1 << 18;
const LEAST_CHOICES: u64 = 1 << 8;

/// Mends and balances a draft whose partitions are all unsettled.
pub(super) fn settle(mut draft: Draft<'_>) -> Vec<Seat> {
    let broken = keep_the_sound(&mut draft);
    for partition in broken {
        mend(&mut draft, partition);
    }
    balance(&mut draft, Phase::Relieve);
    balance(&mut draft, Phase::Supply);
    draft.finish()
}

/// Settles the partitions whose owners can all stay and returns the others.
fn keep_the_sound(draft: &mut Draft<'_>) -> Vec<u32> {
    let before = draft.before;
    let mut broken = Vec::new();
    for partition in 0..draft.partitions {
        let owners = before.row(partition);
        if owners.contains(&GONE) || !draft.spread.is_met_by(owners, draft.homes) {
            broken.push(partition);
        } else {
            draft.settle(partition, owners);
        }
    }
    broken
}

/// Keeps as many owners as the spread rule lets stay, in their positions, and fills the gaps with
/// those who lack most.
fn mend(draft: &mut Draft<'_>, partition: u32) {
    let before = draft.before;
    let mut room = Room::new(draft.spread, draft.homes);
    let mut stayers: SmallVec<[(usize, Seat); 8]> = before
        .row(partition)
        .iter()
        .copied()
        .enumerate()
        .filter(|&(_, it)| it != GONE)
        .collect();
    stayers.sort_by_key(|&(position, seat)| (Reverse(lack(draft, seat)), position));
    let mut owners: SmallVec<[Seat; 8]> = smallvec::smallvec![GONE; draft.spread.width];
    let mut displaced: SmallVec<[Seat; 8]> = SmallVec::new();
    for (position, seat) in stayers {
        if room.len() < draft.spread.width && room.admit(seat) {
            match owners.get_mut(position) {
                Some(place) if *place == GONE => *place = seat,
                _ => displaced.push(seat),
            }
        }
    }
    let mut displaced = displaced.into_iter();
    for position in 0..owners.len() {
        if owners[position] != GONE {
            continue;
        }
        owners[position] = displaced.next().unwrap_or_else(|| filler(draft, &mut room));
    }
    draft.settle(partition, &owners);
}

/// The member that should fill a gap beside these owners.
fn filler(draft: &Draft<'_>, room: &mut Room<'_>) -> Seat {
    let best = draft
        .homes
        .seats()
        .filter(|&seat| room.fits(seat))
        .min_by_key(|&seat| {
            let need = need(draft, seat);
            let surplus = if need == Need::None {
                -lack(draft, seat)
            } else {
                0
            };
            (
                need,
                surplus,
                draft.strain(seat, None, room.owners()),
                Reverse(lack(draft, seat)),
                seat,
            )
        })
        .expect("owners that keep the spread rule can always be completed");
    room.admit(best);
    best
}

/// How much less than its share, rounded up, a member holds.
fn lack(draft: &Draft<'_>, seat: Seat) -> i64 {
    i64::from(draft.share(seat).ceil) - i64::from(draft.count(seat))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// Holds less than its share rounded down.
    Must,
    /// Holds less than its share rounded up.
    May,
    None,
}

fn need(draft: &Draft<'_>, seat: Seat) -> Need {
    let (share, count) = (draft.share(seat), draft.count(seat));
    if count < share.floor {
        Need::Must
    } else if count < share.ceil {
        Need::May
    } else {
        Need::None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// From those above their share to those who may hold more.
    Relieve,
    /// From those who may hold less to those below their share.
    Supply,
}

impl Phase {
    fn gives(self, draft: &Draft<'_>, seat: Seat) -> bool {
        let (share, count) = (draft.share(seat), draft.count(seat));
        count
            > if self == Self::Relieve {
                share.ceil
            } else {
                share.floor
            }
    }

    fn takes(self, draft: &Draft<'_>, seat: Seat) -> bool {
        let (share, count) = (draft.share(seat), draft.count(seat));
        count
            < if self == Self::Relieve {
                share.ceil
            } else {
                share.floor
            }
    }
}

fn balance(draft: &mut Draft<'_>, phase: Phase) {
    // No chain is cheaper than the one before it, so a swap at the last chain's cost is a cheapest
    // chain.
    let mut level = i64::from(nothing_is_free(draft, phase));
    let choices = (CHOICES / slots_to_pass_on(draft).max(1)).max(LEAST_CHOICES) as usize;
    loop {
        let open = match phase {
            Phase::Relieve => draft.homes.seats().any(|seat| phase.gives(draft, seat)),
            Phase::Supply => draft.homes.seats().any(|seat| phase.takes(draft, seat)),
        };
        if !open {
            return;
        }
        if let Some(swap) = single_swap(draft, phase, level, choices) {
            draft.swap(swap);
            continue;
        }
        let chain = chain::cheapest(draft, level, &givers(draft, phase), |seat| {
            phase.takes(draft, seat).then(|| need(draft, seat))
        });
        let Some(chain) = chain else {
            debug_assert!(false, "shares can always be reached");
            return;
        };
        level = level.max(chain.cost);
        for swap in chain.swaps {
            draft.swap(swap);
        }
    }
}

/// How many slots must be passed on, at least, until all hold their shares.
fn slots_to_pass_on(draft: &Draft<'_>) -> u64 {
    let (mut surplus, mut lacking) = (0, 0);
    for seat in draft.homes.seats() {
        let (share, count) = (draft.share(seat), draft.count(seat));
        surplus += u64::from(count.saturating_sub(share.ceil));
        lacking += u64::from(share.floor.saturating_sub(count));
    }
    surplus.max(lacking)
}

/// Whether it is plain that every chain costs at least 1: all that moved so far went to those who
/// take more, and none of it came from them.
///
/// Give every taker the height 1 and everybody else 0: then no swap costs less than it climbs, and
/// a chain climbs from a giver to a taker.
fn nothing_is_free(draft: &Draft<'_>, phase: Phase) -> bool {
    let takes = |seat: &Seat| phase.takes(draft, *seat);
    (0..draft.partitions).all(|partition| {
        let (before, row) = (draft.before.row(partition), draft.row(partition));
        row.iter().all(|seat| before.contains(seat) || takes(seat))
            && before
                .iter()
                .all(|seat| *seat == GONE || row.contains(seat) || !takes(seat))
    })
}

/// Those who give, who has most to give first.
fn givers(draft: &Draft<'_>, phase: Phase) -> Vec<Seat> {
    let gives = |&seat: &Seat| phase.gives(draft, seat);
    let mut givers: Vec<Seat> = draft.homes.seats().filter(gives).collect();
    givers.sort_by_key(|&seat| (lack(draft, seat), seat));
    givers
}

/// A good single swap that costs no more than `level`, if there is one: the best of so many.
fn single_swap(draft: &Draft<'_>, phase: Phase, level: i64, choices: usize) -> Option<Swap> {
    let mut takers: Vec<Seat> = draft
        .homes
        .seats()
        .filter(|&seat| phase.takes(draft, seat))
        .collect();
    // Those who weigh some of many choices do not always start with the first partitions, or these
    // would change hands most.
    takers.sort_by_key(|&seat| (Reverse(lack(draft, seat)), seat));
    match phase {
        Phase::Relieve => givers(draft, phase).into_iter().find_map(|giver| {
            let (held, start) = (draft.held(giver), draft.moved as usize);
            let most = (choices / held.len().max(1)).clamp(1, takers.len().max(1));
            takers.chunks(most).find_map(|takers| {
                let held = held
                    .iter()
                    .cycle()
                    .skip(start % held.len())
                    .take(held.len());
                let swaps = held
                    .filter_map(|&partition| best_in(draft, partition, level, &[giver], takers));
                best_of(swaps.take(choices / most))
            })
        }),
        Phase::Supply => takers.into_iter().find_map(|taker| {
            let start = draft.moved as u32 % draft.partitions;
            let swaps = (start..draft.partitions)
                .chain(0..start)
                .filter(|&partition| !draft.row(partition).contains(&taker))
                .filter_map(|partition| {
                    let givers: SmallVec<[Seat; 8]> = draft
                        .row(partition)
                        .iter()
                        .copied()
                        .filter(|&seat| phase.gives(draft, seat))
                        .collect();
                    best_in(draft, partition, level, &givers, &[taker])
                });
            best_of(swaps.take(choices))
        }),
    }
}

fn best_of(swaps: impl Iterator<Item = (Merit, Swap)>) -> Option<Swap> {
    swaps.min_by_key(|&(merit, _)| merit).map(|(_, swap)| swap)
}

/// What is better comes first: cost, need, few copysets, who has most to give.
type Merit = (i64, Need, i64, i64, u32, Seat, Seat);

fn best_in(
    draft: &Draft<'_>,
    partition: u32,
    level: i64,
    givers: &[Seat],
    takers: &[Seat],
) -> Option<(Merit, Swap)> {
    let mut best: Option<(Merit, Swap)> = None;
    for &leaver in givers {
        let room = draft.room(partition, leaver);
        for &newcomer in takers {
            let swap = Swap {
                partition,
                leaver,
                newcomer,
            };
            if newcomer == leaver || !room.fits(newcomer) {
                continue;
            }
            let cost = draft.cost(swap);
            if cost > level {
                continue;
            }
            let merit = (
                cost,
                need(draft, newcomer),
                draft.strain(newcomer, Some(leaver), room.owners()),
                lack(draft, leaver),
                partition,
                leaver,
                newcomer,
            );
            if best.is_none_or(|(other, _)| merit < other) {
                best = Some((merit, swap));
            }
        }
    }
    best
}
