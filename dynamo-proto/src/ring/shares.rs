//! How many of the ring's slots each member should hold.
//!
//! Slots are poured like water: every node's level rises in proportion to its weight until it holds
//! every partition once, and hosts and zones stop or start early where the spread rule binds them:
//!
//! ```text
//!   slots
//!     |            ______ full: every partition
//!     |        ___/
//!     |    ___/           a host or zone: flat at its least and at its most,
//!     | __/               the sum of what it contains between them
//!     +---------------- level
//! ```
//!
//! The result is the one distribution from which nothing can flow to a node that has less for its
//! weight. It is exact: all levels are fractions of integers.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::member::{Homes, Member};
use super::spread::Spread;

/// What a node should hold, rounded down and up. Its exact share lies between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) floor: u32,
    pub(super) ceil: u32,
}

/// The exact share of every member, by seat.
pub(super) struct Shares {
    exact: Vec<Fraction>,
    /// Members whose level is the same number share a pool; a pool's fractions sum to an integer.
    pools: Vec<usize>,
}

impl Shares {
    pub(super) fn new(members: &[Member], homes: &Homes, spread: Spread, partitions: u32) -> Self {
        let partitions = u64::from(partitions);
        let zone_bounds = spread.zone_bounds(partitions);
        let host_bounds = spread.host_bounds(partitions);

        let mut hosts: Vec<Vec<Curve>> = alloc::vec![Vec::new(); homes.hosts()];
        let mut zone_of = alloc::vec![0; homes.hosts()];
        for (member, seat) in members.iter().zip(homes.seats()) {
            let home = homes.at(seat);
            hosts[usize::from(home.host)].push(Curve::node(member.weight, partitions));
            zone_of[usize::from(home.host)] = usize::from(home.zone);
        }
        let hosts: Vec<Curve> = hosts.iter().map(|nodes| Curve::sum(nodes)).collect();
        let mut zones: Vec<Vec<Curve>> = alloc::vec![Vec::new(); homes.zones()];
        for (host, &zone) in hosts.iter().zip(&zone_of) {
            zones[zone].push(host.clamped(host_bounds));
        }
        let zones: Vec<Curve> = zones.iter().map(|hosts| Curve::sum(hosts)).collect();
        let whole: Vec<Curve> = zones.iter().map(|zone| zone.clamped(zone_bounds)).collect();

        let slots = partitions * spread.width as u64;
        let mut pools = 1;
        let mut settle = |curve: &Curve, bounds, outside: (Fraction, usize)| {
            curve.bound_at(outside.0, bounds).map_or(outside, |total| {
                pools += 1;
                (curve.level_at(total), pools - 1)
            })
        };
        let outside = (Curve::sum(&whole).level_at(slots), 0);
        let zones: Vec<_> = zones
            .iter()
            .map(|zone| settle(zone, zone_bounds, outside))
            .collect();
        let levels: Vec<_> = hosts
            .iter()
            .zip(&zone_of)
            .map(|(host, &zone)| settle(host, host_bounds, zones[zone]))
            .collect();
        let (exact, pools) = members
            .iter()
            .zip(homes.seats())
            .map(|(member, seat)| {
                let (level, pool) = levels[usize::from(homes.at(seat).host)];
                (
                    level.times(member.weight).min(Fraction::whole(partitions)),
                    pool,
                )
            })
            .unzip();
        Self { exact, pools }
    }

    /// Every share rounded both ways.
    pub(super) fn rounded(&self) -> Vec<Share> {
        self.exact
            .iter()
            .map(|share| Share {
                floor: (share.over / share.under) as u32, // fits: at most the partitions
                ceil: share.over.div_ceil(share.under) as u32,
            })
            .collect()
    }

    /// Whole slots for the members in the order given (zone by zone, host by host): each gets its
    /// share rounded down or up, and so do each host and each zone.
    pub(super) fn dealt(&self, order: &[u16]) -> Vec<u32> {
        let pools = self.pools.iter().max().map_or(0, |last| last + 1);
        let mut carried = alloc::vec![0; pools];
        order
            .iter()
            .map(|&seat| {
                let share = self.exact[usize::from(seat)];
                let (whole, part) = (share.over / share.under, share.over % share.under);
                if part == 0 {
                    return whole as u32;
                }
                let carry = &mut carried[self.pools[usize::from(seat)]];
                *carry += part;
                let extra = *carry / share.under;
                *carry %= share.under;
                (whole + extra) as u32
            })
            .collect()
    }
}

/// A fraction of integers, not reduced. `under` is never 0.
#[derive(Clone, Copy, Debug)]
struct Fraction {
    over: u128,
    under: u128,
}

impl Fraction {
    fn whole(number: u64) -> Self {
        Self {
            over: number.into(),
            under: 1,
        }
    }

    fn times(self, weight: u32) -> Self {
        Self {
            over: self.over * u128::from(weight),
            under: self.under,
        }
    }
}

impl PartialEq for Fraction {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Fraction {}

impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Cannot overflow: `over` stays below 2^56 (slots times a weight) and `under` below 2^48 (the sum
/// of all weights).
impl Ord for Fraction {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.over * other.under).cmp(&(other.over * self.under))
    }
}

/// Slots as a function of the level: continuous, never falling, made of straight pieces.
#[derive(Clone)]
struct Curve(Vec<Piece>);

/// From level `from` on, `fixed + weight * level` slots. The first piece starts at level 0.
#[derive(Clone, Copy)]
struct Piece {
    from: Fraction,
    fixed: u64,
    weight: u64,
}

impl Piece {
    /// How the slots at `level` compare with `total`.
    fn compare(&self, level: Fraction, total: u64) -> Ordering {
        let slots = u128::from(self.fixed) * level.under + u128::from(self.weight) * level.over;
        slots.cmp(&(u128::from(total) * level.under))
    }
}

impl Curve {
    fn node(weight: u32, most: u64) -> Self {
        let full = Fraction {
            over: most.into(),
            under: weight.into(),
        };
        Self(alloc::vec![
            Piece {
                from: Fraction::whole(0),
                fixed: 0,
                weight: weight.into()
            },
            Piece {
                from: full,
                fixed: most,
                weight: 0
            },
        ])
    }

    fn sum(curves: &[Self]) -> Self {
        let mut bends: Vec<(Fraction, i128, i128)> = Vec::new();
        for Self(pieces) in curves {
            let (mut fixed, mut weight) = (0, 0);
            for piece in pieces {
                bends.push((
                    piece.from,
                    i128::from(piece.fixed) - fixed,
                    i128::from(piece.weight) - weight,
                ));
                (fixed, weight) = (piece.fixed.into(), piece.weight.into());
            }
        }
        bends.sort_by_key(|bend| bend.0);
        let (mut fixed, mut weight) = (0, 0);
        let mut pieces: Vec<Piece> = Vec::new();
        for (from, more_fixed, more_weight) in bends {
            fixed += more_fixed;
            weight += more_weight;
            if pieces.last().is_some_and(|last| last.from == from) {
                pieces.pop();
            }
            pieces.push(Piece {
                from,
                fixed: fixed as u64,
                weight: weight as u64,
            });
        }
        Self(pieces)
    }

    /// The same curve, flat below its least and above its most.
    fn clamped(&self, (least, most): (u64, Option<u64>)) -> Self {
        let (start, end) = (
            self.reaches(least),
            most.and_then(|most| self.reaches(most)),
        );
        let start = start.unwrap_or(Fraction::whole(0));
        let flat = |from, fixed| Piece {
            from,
            fixed,
            weight: 0,
        };
        let mut pieces = alloc::vec![flat(Fraction::whole(0), least)];
        for (at, piece) in self.0.iter().enumerate() {
            let next = self.0.get(at + 1).map(|next| next.from);
            if next.is_some_and(|next| next <= start) || end.is_some_and(|end| end <= piece.from) {
                continue;
            }
            if piece.from <= start {
                if start.over == 0 {
                    pieces.clear();
                }
                pieces.push(Piece {
                    from: start,
                    ..*piece
                });
            } else {
                pieces.push(*piece);
            }
        }
        if let (Some(end), Some(most)) = (end, most) {
            pieces.push(flat(end, most));
        }
        Self(pieces)
    }

    /// The bound that holds at this level, if one does.
    fn bound_at(&self, level: Fraction, (least, most): (u64, Option<u64>)) -> Option<u64> {
        if self.compare(level, least) == Ordering::Less {
            return Some(least);
        }
        most.filter(|&most| self.compare(level, most) == Ordering::Greater)
    }

    fn compare(&self, level: Fraction, total: u64) -> Ordering {
        let at = self.0.partition_point(|piece| piece.from <= level);
        self.0[at.saturating_sub(1)].compare(level, total)
    }

    /// The lowest level with `total` slots; the highest bend if there never are that many.
    fn level_at(&self, total: u64) -> Fraction {
        let highest = self.0.last().map_or(Fraction::whole(0), |piece| piece.from);
        debug_assert!(
            self.reaches(total).is_some(),
            "more slots than these members can hold"
        );
        self.reaches(total).unwrap_or(highest)
    }

    fn reaches(&self, total: u64) -> Option<Fraction> {
        self.0.iter().enumerate().find_map(|(at, piece)| {
            if piece.compare(piece.from, total) != Ordering::Less {
                return Some(piece.from);
            }
            let level = (piece.weight > 0).then(|| Fraction {
                over: u128::from(total) - u128::from(piece.fixed),
                under: piece.weight.into(),
            })?;
            let ends = self.0.get(at + 1).map(|next| next.from);
            ends.is_none_or(|end| level <= end).then_some(level)
        })
    }
}

#[cfg(test)]
mod tests;
