//! The same network under whole drivers: every byte that nodes, clients and strangers say to each other, in
//! whatever pieces it arrives.
//!
//! ```text
//!   native clients ──┐                                    ┌── Driver ── Disk
//!   RESP, slow, deaf ┼── Pipe: window, pieces, cuts, ends ┤     │
//!   HTTP, strangers ─┘                                    └── Driver ── Disk
//! ```
//!
//! The world looks at what nodes mean; here it is looked at how they say it: who dials whom and
//! again, handshakes, connections that are cut, reset, or known to one side only, readers that are slow or
//! deaf, fronts, and the bounds of all that. What native clients see is held against the same oracle. Time
//! stands still while a driver works, and a stream is what TCP makes of it: it may end, and what arrives of
//! it arrives whole and in order.

mod faults;
mod guests;
mod native;
mod nodes;
mod pipes;
mod session;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dynamo_driver::{Bounds, Waits};
use dynamo_proto::Durability;

use self::faults::Fault;
use self::guests::Guest;
use self::nodes::{Node, Stored};
use self::pipes::Pipe;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::machine::Machine;
use crate::net::Piece;
use crate::oracle::{Manner, Oracle};
use crate::report::{Counters, Report, Violation};
use crate::scenario::{Quorum, Scenario};

pub use self::session::Session;

/// How long faults go on.
const LENGTH: Duration = Duration::from_secs(40);

/// When everybody has met and guests begin.
const START: Duration = Duration::from_secs(2);

/// After the last fault: until all have met again and hints have gone home.
const CALM: Duration = Duration::from_secs(40);

/// How often bounds are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Small, so that they are met.
const BOUNDS: Bounds = Bounds {
    clients: 16,
    admins: 4,
    strangers: 8,
    in_flight: 8,
    in_flight_bytes: 256 << 10,
    unread_bytes: 64 << 10,
    peer_bytes: 1 << 20,
    total_bytes: 4 << 20,
};

const KEYS: usize = 6;

enum Happening {
    /// A node looks at its deadlines.
    Tick {
        node: usize,
        boot: u32,
    },
    /// Its store has answered.
    Stored {
        node: usize,
        boot: u32,
        stored: Stored,
    },
    /// A piece arrives at an end of a pipe.
    Arrive {
        pipe: usize,
        to: usize,
        piece: Piece,
    },
    /// An end hears that the other one is no more.
    End {
        pipe: usize,
        to: usize,
        is_reset: bool,
    },
    /// What a node dials is there, or is not.
    Dialed {
        node: usize,
        boot: u32,
        link: dynamo_driver::driver::Link,
        to: usize,
    },
    Fault(usize),
    FaultEnds(usize),
    /// A guest does the next thing.
    Guest(usize),
    Look,
}

pub(crate) struct World {
    dice: Dice,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Happening>,
    number: u64,
    scenario: Scenario,
    waits: Waits,
    nodes: Vec<Node>,
    pipes: Vec<Pipe>,
    /// How many faults cut the way from one node to another, and how many times as long it takes.
    cuts: BTreeMap<(usize, usize), u32>,
    clogs: BTreeMap<(usize, usize), u32>,
    guests: Vec<Guest>,
    faults: Vec<Fault>,
    /// Nodes whose drivers may want something done.
    touched: BTreeSet<usize>,
    oracle: Oracle,
    counters: Counters,
    violation: Option<Violation>,
    digest: u64,
}

/// Runs one seed at the level of bytes.
#[must_use]
pub fn run(seed: u64) -> Report {
    run_with(seed, waits())
}

/// The same with drivers that wait so long.
#[must_use]
pub fn run_with(seed: u64, waits: Waits) -> Report {
    let mut dice = Dice::new(seed ^ 0x00b1_7e5b);
    let nodes = dice.between(3, 5) as usize;
    let mut world = World::new(seed, nodes, Durability::Flushed, waits, dice);
    world.invite();
    world.draw_faults();
    world.schedule(LOOK, Happening::Look);
    world.run_until(START + LENGTH);
    world.calm_down();
    world.run_until(START + LENGTH + CALM);
    world.check_met();
    world.ask_for_everything();
    Report {
        violation: world.violation,
        counters: world.counters,
        simulated: world.now,
        digest: world.digest,
    }
}

/// As they are, but that a node is sooner known to be gone.
fn waits() -> Waits {
    Waits {
        idle: Duration::from_secs(1),
        silence: Duration::from_secs(4),
        ..Waits::default()
    }
}

impl World {
    /// Nodes that have only just been started.
    fn new(seed: u64, nodes: usize, durability: Durability, waits: Waits, dice: Dice) -> Self {
        let calm = Scenario::calm(nodes);
        let scenario = Scenario {
            seed,
            quorum: Quorum {
                durability,
                requests: 200,
                ..calm.quorum
            },
            keys: vec![Manner::Causal; KEYS],
            latency: (Duration::from_micros(200), Duration::from_micros(300)),
            disk: Duration::from_micros(300),
            length: LENGTH,
            ..calm
        };
        let machines = Machine::all(&scenario, Disk::of);
        let mut world = Self {
            dice,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            number: 0,
            nodes: machines.into_iter().map(Node::new).collect(),
            waits,
            pipes: Vec::new(),
            cuts: BTreeMap::new(),
            clogs: BTreeMap::new(),
            guests: Vec::new(),
            faults: Vec::new(),
            touched: BTreeSet::new(),
            oracle: Oracle::new(scenario.keys.iter().copied(), false),
            counters: Counters::default(),
            violation: None,
            digest: 0,
            scenario,
        };
        for node in 0..nodes {
            world.start(node);
        }
        world
    }

    fn schedule(&mut self, wait: Duration, what: Happening) {
        self.number += 1;
        self.queue.insert((self.now + wait, self.number), what);
    }

    /// All that happens until then.
    fn run_until(&mut self, end: Duration) {
        self.settle();
        while self.violation.is_none()
            && let Some(next) = self.queue.first_entry()
            && next.key().0 <= end
        {
            let ((at, _), what) = next.remove_entry();
            self.now = at;
            self.happen(what);
            self.settle();
        }
        self.now = end;
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Tick { node, boot } => self.tick(node, boot),
            Happening::Stored { node, boot, stored } => self.stored(node, boot, stored),
            Happening::Arrive { pipe, to, piece } => self.arrive(pipe, to, &piece.bytes),
            Happening::End { pipe, to, is_reset } => self.hear_end(pipe, to, is_reset),
            Happening::Dialed {
                node,
                boot,
                link,
                to,
            } => self.dialed(node, boot, link, to),
            Happening::Fault(at) => self.fault(at, true),
            Happening::FaultEnds(at) => self.fault(at, false),
            Happening::Guest(at) => self.turn(at),
            Happening::Look => self.look(),
        }
    }

    fn fail(&mut self, check: &'static str, what: String) {
        let at = self.now;
        let violation = Violation {
            at,
            ..Violation::new(check, what)
        };
        self.violation.get_or_insert(violation);
    }

    fn mix(&mut self, number: u64) {
        self.digest = (self.digest ^ number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Count;

    #[test]
    fn the_same_seed_runs_the_same_way_to_the_byte() {
        let [one, other] = [run(1), run(1)];
        assert_eq!(one.violation, None);
        assert_eq!(one.digest, other.digest);
        assert!(one.counters.of(Count::Acked) > 100);
        assert_ne!(one.digest, run(2).digest);
    }

    #[test]
    fn a_driver_that_keeps_what_only_it_knows_of_is_caught() {
        let for_ever = Duration::from_secs(1 << 30);
        let waits = Waits {
            silence: for_ever,
            stalled: for_ever,
            ..waits()
        };
        let is_caught = |seed| run_with(seed, waits).violation.is_some();
        assert!((0..20).any(is_caught));
    }
}
