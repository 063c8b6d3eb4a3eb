//! Connections as streams of bytes with a window, between nodes and guests.

use std::collections::VecDeque;

use bytes::Bytes;
use dynamo_driver::driver::Link;

use super::{Happening, World};
use crate::net::{Noise, Side, Way, Weather};

/// How much may be on its way and unread at the other end.
const WINDOW: usize = 32 << 10;

/// A connection.
pub(super) struct Pipe {
    pub(super) ends: [End; 2],
    /// By the end that sends.
    ways: [Side; 2],
    under_way: [usize; 2],
    /// By the end that is to take it.
    pub(super) arrived: [VecDeque<u8>; 2],
    /// Whether an end still has it.
    pub(super) is_open: [bool; 2],
    /// Whether an end has heard that there is nothing more.
    pub(super) has_ended: [bool; 2],
    /// Whether nothing gets through any more, and nobody is told.
    pub(super) is_void: bool,
}

/// Who is at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Node(usize, Link),
    Guest(usize),
}

impl World {
    pub(super) fn join(&mut self, ends: [End; 2]) -> usize {
        let mut pipe = Pipe {
            ends,
            ways: Default::default(),
            under_way: [0; 2],
            arrived: Default::default(),
            is_open: [true; 2],
            has_ended: [false; 2],
            is_void: false,
        };
        if let [End::Node(one, _), End::Node(other, _)] = ends {
            for (end, way) in [(0, (one, other)), (1, (other, one))] {
                pipe.ways[end].cuts = self.cuts.get(&way).copied().unwrap_or(0);
                pipe.ways[end].clogs.extend(self.clogs.get(&way));
            }
        }
        self.pipes.push(pipe);
        let at = self.pipes.len() - 1;
        for (end, who) in ends.into_iter().enumerate() {
            if let End::Node(node, link) = who {
                self.nodes[node].pipes.insert(link, (at, end));
            }
        }
        at
    }

    /// Those that two nodes have.
    pub(super) fn pipes_between(&self, one: usize, other: usize) -> Vec<usize> {
        let is_between = |pipe: &Pipe| match pipe.ends {
            [End::Node(from, _), End::Node(to, _)] => {
                [from, to] == [one, other] || [to, from] == [one, other]
            }
            _ => false,
        };
        let pipes = self.pipes.iter().enumerate();
        let open = pipes.filter(|(_, pipe)| pipe.is_open.contains(&true) && is_between(pipe));
        open.map(|(at, _)| at).collect()
    }

    /// The way of a pipe from that node.
    pub(super) fn way_from(&mut self, pipe: usize, node: usize) -> &mut Side {
        let pipe = &mut self.pipes[pipe];
        let is_first = matches!(pipe.ends[0], End::Node(at, _) if at == node);
        &mut pipe.ways[usize::from(!is_first)]
    }

    /// How much an end may send now.
    pub(super) fn window(&self, pipe: usize, end: usize) -> usize {
        let pipe = &self.pipes[pipe];
        WINDOW.saturating_sub(pipe.under_way[end] + pipe.arrived[1 - end].len())
    }

    /// Sends no more than the window takes.
    pub(super) fn carry(&mut self, pipe: usize, end: usize, bytes: Bytes) {
        if self.pipes[pipe].is_void {
            // What is not acknowledged fills the window.
            self.pipes[pipe].under_way[end] += bytes.len();
            return;
        }
        let weather = &mut Weather {
            now: self.now,
            way: Way {
                least: self.scenario.latency.0,
                more: self.scenario.latency.1,
            },
            noise: Noise::default(),
            dice: &mut self.dice,
            counters: &mut self.counters,
        };
        let of = &mut self.pipes[pipe];
        of.under_way[end] += bytes.len();
        let pieces = of.ways[end].carry(bytes, weather);
        self.send(pipe, end, pieces);
    }

    fn send(&mut self, pipe: usize, end: usize, pieces: Vec<crate::net::Piece>) {
        for piece in pieces {
            let wait = piece.arrives - self.now;
            self.schedule(
                wait,
                Happening::Arrive {
                    pipe,
                    to: 1 - end,
                    piece,
                },
            );
        }
    }

    /// A cut ends: what was held goes on its way.
    pub(super) fn release(&mut self, pipe: usize, node: usize) {
        let is_first = matches!(self.pipes[pipe].ends[0], End::Node(at, _) if at == node);
        let end = usize::from(!is_first);
        let weather = &mut Weather {
            now: self.now,
            way: Way {
                least: self.scenario.latency.0,
                more: self.scenario.latency.1,
            },
            noise: Noise::default(),
            dice: &mut self.dice,
            counters: &mut self.counters,
        };
        let pieces = self.pipes[pipe].ways[end].release(weather);
        self.send(pipe, end, pieces);
    }

    pub(super) fn arrive(&mut self, pipe: usize, to: usize, bytes: &[u8]) {
        self.mix(self.now.as_nanos() as u64);
        self.mix((pipe * 2 + to) as u64);
        for byte in bytes {
            self.mix((*byte).into());
        }
        let of = &mut self.pipes[pipe];
        if of.is_void {
            return;
        }
        of.under_way[1 - to] -= bytes.len();
        if !of.is_open[to] {
            return self.tell_end(pipe, to, true);
        }
        of.arrived[to].extend(bytes);
        self.take(pipe, to);
    }

    /// An end takes what has arrived, as far as it wants to.
    pub(super) fn take(&mut self, pipe: usize, end: usize) {
        match self.pipes[pipe].ends[end] {
            End::Node(node, link) => self.read(node, link, pipe, end),
            End::Guest(guest) => self.hear(guest, pipe),
        }
        self.give(pipe, 1 - end);
    }

    /// An end sends what it has, as far as there is room.
    pub(super) fn give(&mut self, pipe: usize, end: usize) {
        if let End::Node(node, link) = self.pipes[pipe].ends[end] {
            self.write(node, link, pipe, end);
        } else if let End::Guest(guest) = self.pipes[pipe].ends[end] {
            self.say(guest);
        }
    }

    /// An end lets go of it. The other hears of that, unless nothing gets through.
    pub(super) fn close(&mut self, pipe: usize, end: usize) {
        let of = &mut self.pipes[pipe];
        if !std::mem::replace(&mut of.is_open[end], false) {
            return;
        }
        let has_unread = !of.arrived[end].is_empty();
        of.arrived[end] = VecDeque::new();
        self.tell_end(pipe, end, has_unread);
    }

    /// The other end than that hears that this is the end, after all that was sent.
    fn tell_end(&mut self, pipe: usize, end: usize, is_reset: bool) {
        let of = &self.pipes[pipe];
        if of.is_void || of.ways[end].cuts > 0 {
            return; // it has to find out by itself
        }
        let to = 1 - end;
        let after = of.ways[end].last_arrival().saturating_sub(self.now);
        let wait = after.max(self.scenario.latency.0);
        self.schedule(wait, Happening::End { pipe, to, is_reset });
    }

    pub(super) fn hear_end(&mut self, pipe: usize, to: usize, is_reset: bool) {
        let of = &mut self.pipes[pipe];
        if !of.is_open[to] || of.is_void || (of.has_ended[to] && !is_reset) {
            return;
        }
        of.has_ended[to] = true;
        match of.ends[to] {
            End::Node(node, link) => self.end_of(node, link, pipe, to, is_reset),
            End::Guest(guest) => self.guest_left(guest, pipe),
        }
    }
}
