//! An assignment on its way from one membership to the next.
//!
//! Keeps, beside the owners themselves, what the choice of the next step asks for: who holds what,
//! who shares partitions with whom, and how many copies must move.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::lead;
use super::member::{Homes, Seat};
use super::shares::Share;
use super::spread::{Room, Spread};

/// In the earlier assignment: somebody who is no member any more.
pub(super) const GONE: Seat = Seat::MAX;

/// A node's neighbours, for each copy beyond its own, before more of them are avoided.
const SCATTER: usize = 4;

/// What the partitions had before the change, in the new ring's seats.
pub(super) struct Before {
    /// Owners of every partition in turn.
    pub(super) rows: Vec<Seat>,
    /// Owners of one partition.
    pub(super) width: usize,
}

impl Before {
    pub(super) fn row(&self, partition: u32) -> &[Seat] {
        &self.rows[partition as usize * self.width..][..self.width]
    }

    pub(super) fn had(&self, partition: u32, seat: Seat) -> bool {
        self.row(partition).contains(&seat)
    }
}

/// In one partition, one owner takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Swap {
    pub(super) partition: u32,
    pub(super) leaver: Seat,
    pub(super) newcomer: Seat,
}

pub(super) struct Draft<'a> {
    pub(super) homes: &'a Homes,
    pub(super) spread: Spread,
    pub(super) shares: &'a [Share],
    pub(super) before: &'a Before,
    pub(super) partitions: u32,
    /// How many copies the draft moves to a node that did not have them.
    pub(super) moved: u64,
    rows: Vec<Seat>,
    held: Vec<Vec<u32>>,
    peers: Vec<Vec<(Seat, u32)>>,
}

impl<'a> Draft<'a> {
    /// What is left of the earlier assignment where its owners may all stay; nothing where not.
    pub(super) fn new(
        homes: &'a Homes,
        spread: Spread,
        shares: &'a [Share],
        before: &'a Before,
        partitions: u32,
    ) -> Self {
        let members = homes.members();
        Self {
            homes,
            spread,
            shares,
            before,
            partitions,
            moved: 0,
            rows: alloc::vec![GONE; partitions as usize * spread.width],
            held: alloc::vec![Vec::new(); members],
            peers: alloc::vec![Vec::new(); members],
        }
    }

    pub(super) fn row(&self, partition: u32) -> &[Seat] {
        &self.rows[partition as usize * self.spread.width..][..self.spread.width]
    }

    /// The partitions of one member, ascending.
    pub(super) fn held(&self, seat: Seat) -> &[u32] {
        &self.held[usize::from(seat)]
    }

    pub(super) fn count(&self, seat: Seat) -> u32 {
        self.held(seat).len() as u32 // fits: no more than partitions
    }

    pub(super) fn share(&self, seat: Seat) -> Share {
        self.shares[usize::from(seat)]
    }

    /// Who may take the leaver's place in a partition.
    pub(super) fn room(&self, partition: u32, leaver: Seat) -> Room<'a> {
        self.spread
            .room_without(self.row(partition), leaver, self.homes)
    }

    /// The owners of a partition, each with those who may take its place.
    pub(super) fn rooms(&self, partition: u32) -> SmallVec<[(Seat, Room<'a>); 4]> {
        let row = self.row(partition).iter();
        row.map(|&owner| (owner, self.room(partition, owner)))
            .collect()
    }

    /// How many more copies move if this swap is made: -1, 0 or 1.
    pub(super) fn cost(&self, swap: Swap) -> i64 {
        i64::from(!self.before.had(swap.partition, swap.newcomer))
            - i64::from(!self.before.had(swap.partition, swap.leaver))
    }

    /// Settles a partition that had no owners in this draft yet.
    pub(super) fn settle(&mut self, partition: u32, owners: &[Seat]) {
        debug_assert!(self.spread.is_met_by(owners, self.homes));
        let start = partition as usize * self.spread.width;
        self.rows[start..start + owners.len()].copy_from_slice(owners);
        for (position, &owner) in owners.iter().enumerate() {
            self.moved += u64::from(!self.before.had(partition, owner));
            self.gain(owner, partition);
            for &other in &owners[..position] {
                self.meet(owner, other);
            }
        }
    }

    pub(super) fn swap(&mut self, swap: Swap) {
        debug_assert!(
            self.room(swap.partition, swap.leaver).fits(swap.newcomer),
            "{swap:?} breaks the spread rule"
        );
        self.moved = self.moved.saturating_add_signed(self.cost(swap));
        let start = swap.partition as usize * self.spread.width;
        let Some(position) = self
            .row(swap.partition)
            .iter()
            .position(|&it| it == swap.leaver)
        else {
            debug_assert!(false, "a leaver must be an owner");
            return;
        };
        self.lose(swap.leaver, swap.partition);
        self.gain(swap.newcomer, swap.partition);
        for other in (0..self.spread.width).filter(|&other| other != position) {
            let other = self.rows[start + other];
            self.part(swap.leaver, other);
            self.meet(swap.newcomer, other);
        }
        self.rows[start + position] = swap.newcomer;
    }

    /// How ill it suits the copysets when `newcomer` joins these owners and `leaver` leaves them:
    /// less is better.
    ///
    /// Every set of nodes that holds all copies of something is a set whose failure loses it, so a
    /// node should share partitions with few others (a bounded scatter width); but with enough of
    /// them that its own failure is not one neighbour's burden. So known neighbours are preferred,
    /// those most who share least so far, and strangers only until there are enough of them.
    pub(super) fn strain(
        &self,
        newcomer: Seat,
        leaver: Option<Seat>,
        others: impl Iterator<Item = Seat>,
    ) -> i64 {
        let width = SCATTER * (self.spread.width - 1).max(1);
        let slots = self.share(newcomer).ceil as usize * (self.spread.width - 1);
        let even = slots.div_ceil(width);
        others
            .map(|other| {
                let peers = |seat: Seat| self.peers[usize::from(seat)].as_slice();
                let crowd = |seat| peers(seat).len() / width;
                let joined = match shared(peers(newcomer), other) {
                    0 => even * (1 + crowd(newcomer).max(crowd(other))),
                    together => together as usize,
                };
                let parted = leaver.map_or(0, |leaver| match shared(peers(leaver), other) {
                    1 => even * crowd(leaver).max(crowd(other)),
                    together => together as usize,
                });
                joined as i64 - parted as i64
            })
            .sum()
    }

    /// The owners of every partition in turn, in the order of duty.
    pub(super) fn finish(mut self) -> Vec<Seat> {
        let mut rows = self.rows.chunks_exact(self.spread.width);
        debug_assert!(rows.all(|row| self.spread.is_met_by(row, self.homes)));
        lead::even_out(&mut self.rows, self.spread.width, self.homes);
        self.rows
    }

    fn gain(&mut self, seat: Seat, partition: u32) {
        let held = &mut self.held[usize::from(seat)];
        let at = held.partition_point(|&other| other < partition);
        held.insert(at, partition);
    }

    fn lose(&mut self, seat: Seat, partition: u32) {
        let held = &mut self.held[usize::from(seat)];
        if let Ok(at) = held.binary_search(&partition) {
            held.remove(at);
        }
    }

    fn meet(&mut self, one: Seat, other: Seat) {
        for (seat, peer) in [(one, other), (other, one)] {
            let peers = &mut self.peers[usize::from(seat)];
            match peers.binary_search_by_key(&peer, |&(peer, _)| peer) {
                Ok(at) => peers[at].1 += 1,
                Err(at) => peers.insert(at, (peer, 1)),
            }
        }
    }

    fn part(&mut self, one: Seat, other: Seat) {
        for (seat, peer) in [(one, other), (other, one)] {
            let peers = &mut self.peers[usize::from(seat)];
            if let Ok(at) = peers.binary_search_by_key(&peer, |&(peer, _)| peer) {
                peers[at].1 -= 1;
                if peers[at].1 == 0 {
                    peers.remove(at);
                }
            }
        }
    }
}

fn shared(peers: &[(Seat, u32)], other: Seat) -> u32 {
    peers
        .binary_search_by_key(&other, |&(peer, _)| peer)
        .map_or(0, |at| peers[at].1)
}
