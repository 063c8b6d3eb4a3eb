//! What goes wrong between nodes and with their processes.

use std::time::Duration;

use super::{LENGTH, START, World};
use crate::report::Count;

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    kind: Kind,
    /// Two nodes; what concerns one concerns the first.
    nodes: (usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Nothing gets from the one to the other; what is sent is held.
    Cut,
    /// Nothing gets from the one to anybody, nor to it.
    Isolated,
    /// What is between them takes so many times as long.
    Clog(u32),
    /// Their connections carry nothing any more, and neither is told.
    HalfOpen,
    /// Their connections end for both.
    Reset,
    /// A process stops, and others are told.
    Kill,
    /// It vanishes with its machine.
    Vanish,
    /// It stands still.
    Pause,
}

impl World {
    pub(super) fn draw_faults(&mut self) {
        for at in 0..self.dice.between(4, 10) as usize {
            let one = self.dice.index(self.nodes.len());
            let other = (one + 1 + self.dice.index(self.nodes.len() - 1)) % self.nodes.len();
            let times = self.dice.between(10, 1000) as u32;
            let kinds = [
                Kind::Cut,
                Kind::Isolated,
                Kind::Clog(times),
                Kind::HalfOpen,
                Kind::Reset,
                Kind::Kill,
                Kind::Vanish,
                Kind::Pause,
            ];
            let kind = *self.dice.pick(&kinds);
            self.faults.push(Fault {
                kind,
                nodes: (one, other),
            });
            let begins = START + Duration::from_millis(self.dice.below(25_000));
            let lasts = Duration::from_millis(self.dice.between(100, 12_000));
            let ends = (begins + lasts).min(START + LENGTH - Duration::from_secs(1));
            self.schedule(begins, super::Happening::Fault(at));
            self.schedule(ends, super::Happening::FaultEnds(at));
        }
    }

    pub(super) fn fault(&mut self, at: usize, begins: bool) {
        let Fault { kind, nodes } = self.faults[at];
        let (one, other) = nodes;
        match kind {
            Kind::Cut => self.cut(one, other, begins),
            Kind::Isolated => {
                for node in (0..self.nodes.len()).filter(|node| *node != one) {
                    self.cut(one, node, begins);
                    self.cut(node, one, begins);
                }
            }
            Kind::Clog(times) => {
                self.clog(one, other, times, begins);
                self.clog(other, one, times, begins);
            }
            Kind::HalfOpen if begins => {
                for pipe in self.pipes_between(one, other) {
                    self.counters.add(Count::HalfOpened, 1);
                    self.pipes[pipe].is_void = true;
                }
            }
            Kind::Reset if begins => {
                for pipe in self.pipes_between(one, other) {
                    self.counters.add(Count::ConnectionLost, 1);
                    self.hear_end(pipe, 0, true);
                    self.hear_end(pipe, 1, true);
                }
            }
            Kind::HalfOpen | Kind::Reset => {}
            Kind::Kill | Kind::Vanish if begins => {
                self.counters.add(Count::Killed, 1);
                self.kill(one, matches!(kind, Kind::Vanish));
            }
            Kind::Kill | Kind::Vanish => {
                if self.nodes[one].driver.is_none() {
                    self.start(one);
                }
            }
            Kind::Pause => {
                self.counters.add(Count::Paused, u64::from(begins));
                self.pause(one, begins);
            }
        }
    }

    fn cut(&mut self, from: usize, to: usize, begins: bool) {
        let cuts = self.cuts.entry((from, to)).or_default();
        *cuts = if begins { *cuts + 1 } else { *cuts - 1 };
        let cuts = *cuts;
        self.counters.add(Count::Cut, u64::from(begins));
        for pipe in self.pipes_between(from, to) {
            self.way_from(pipe, from).cuts = cuts;
            if cuts == 0 {
                self.release(pipe, from);
            }
        }
    }

    fn clog(&mut self, from: usize, to: usize, times: u32, begins: bool) {
        if begins {
            self.clogs.insert((from, to), times);
        } else {
            self.clogs.remove(&(from, to));
        }
        for pipe in self.pipes_between(from, to) {
            let clogs = &mut self.way_from(pipe, from).clogs;
            clogs.clear();
            clogs.extend(begins.then_some(times));
        }
    }
}
