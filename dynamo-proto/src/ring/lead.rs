//! Who comes first.
//!
//! The first of a list does most of the work: it coordinates. So every member is first for an equal
//! part of what it holds, rounded down or up. Changing who is first moves no data, and as few lists
//! are changed as it takes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::member::{Homes, Seat};
use super::spread::arrange;

/// Evens out who is first in rows of `width` owners and puts all rows in the order of duty.
pub(super) fn even_out(rows: &mut [Seat], width: usize, homes: &Homes) {
    let mut leads = Leads::new(rows, width, homes.members());
    while leads.pass_on(
        |leads, seat| leads.of(seat) > leads.due(seat).1,
        |leads, seat| leads.of(seat) < leads.due(seat).1,
    ) {}
    while leads.pass_on(
        |leads, seat| leads.of(seat) > leads.due(seat).0,
        |leads, seat| leads.of(seat) < leads.due(seat).0,
    ) {}
    for row in rows.chunks_exact_mut(width) {
        arrange(row, homes);
    }
}

/// At least and at most how often a member is first that holds so many of the places in rows of
/// `width` owners.
pub(super) fn due(held: usize, width: usize) -> (usize, usize) {
    (held / width, held.div_ceil(width))
}

struct Leads<'a> {
    rows: &'a mut [Seat],
    width: usize,
    held: Vec<usize>,
    led: Vec<Vec<u32>>,
}

impl<'a> Leads<'a> {
    fn new(rows: &'a mut [Seat], width: usize, members: usize) -> Self {
        let mut held = alloc::vec![0; members];
        let mut led = alloc::vec![Vec::new(); members];
        for (partition, row) in (0..).zip(rows.chunks_exact(width)) {
            led[usize::from(row[0])].push(partition);
            for &seat in row {
                held[usize::from(seat)] += 1;
            }
        }
        Self {
            rows,
            width,
            held,
            led,
        }
    }

    fn of(&self, seat: usize) -> usize {
        self.led[seat].len()
    }

    fn due(&self, seat: usize) -> (usize, usize) {
        due(self.held[seat], self.width)
    }

    /// Passes one first place from a giver to a taker, through as few hands as possible. False if
    /// there is none to pass on.
    fn pass_on(
        &mut self,
        gives: impl Fn(&Self, usize) -> bool,
        takes: impl Fn(&Self, usize) -> bool,
    ) -> bool {
        let seats = 0..self.led.len();
        if !seats.clone().any(|seat| gives(self, seat)) || !seats.clone().any(|it| takes(self, it))
        {
            return false;
        }
        let mut reached: Vec<Option<(u32, usize)>> = alloc::vec![None; seats.len()];
        let mut seen: Vec<bool> = seats.clone().map(|seat| gives(self, seat)).collect();
        let mut queue: VecDeque<usize> = seats.filter(|&seat| seen[seat]).collect();
        while let Some(from) = queue.pop_front() {
            for &partition in &self.led[from] {
                let row = &self.rows[partition as usize * self.width..][..self.width];
                for to in row.iter().map(|&seat| usize::from(seat)) {
                    if core::mem::replace(&mut seen[to], true) {
                        continue;
                    }
                    reached[to] = Some((partition, from));
                    if takes(self, to) {
                        self.follow(&reached, to);
                        return true;
                    }
                    queue.push_back(to);
                }
            }
        }
        false
    }

    fn follow(&mut self, reached: &[Option<(u32, usize)>], end: usize) {
        let mut to = end;
        while let Some((partition, from)) = reached[to] {
            let row = &mut self.rows[partition as usize * self.width..][..self.width];
            if let Some(position) = row.iter().position(|&seat| usize::from(seat) == to) {
                row.swap(0, position);
            }
            self.led[from].retain(|&other| other != partition);
            self.led[to].push(partition);
            to = from;
        }
    }
}
