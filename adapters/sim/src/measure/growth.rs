//! A cluster that grows: how much more it does with more nodes, and what it costs that one joins while
//! clients work.

use std::time::Duration;

use super::{Outcome, Told};
use crate::faults::{Fault, FaultKind};
use crate::machine::TIMEOUT;
use crate::oracle::Manner;
use crate::report::Violation;
use crate::scenario::{Action, Decision, Knobs, Planned, Scenario, Wish};
use crate::world::{START, World};

/// How long a store takes for a command, of which it does one after the other: what a node can do.
pub const DISK: Duration = Duration::from_micros(500);
/// One way between two nodes, at least and on average beyond that. Links carry a gigabit a second.
pub const LATENCY: (Duration, Duration) = (Duration::from_micros(200), Duration::from_micros(100));
/// How many keys there are.
pub const KEYS: usize = 20_000;
/// How long each value is, in bytes.
pub const VALUE: usize = 1024;

/// For how long it must be done.
pub const CAPACITY_FOR: Duration = Duration::from_secs(10);

/// How many requests a second so many nodes can do: of so many, 99 in a hundred are done for ten
/// seconds on end.
///
/// # Errors
///
/// If a promise is broken.
pub fn capacity(nodes: usize) -> Result<u32, Violation> {
    let bound = nodes as u32 * 1500;
    super::most(bound, bound / 200, |offered| {
        let load = Fault {
            at: Duration::ZERO,
            lasts: CAPACITY_FOR,
            kind: FaultKind::Surge {
                per_sec: offered,
                key: None,
            },
        };
        let scenario = scenario(nodes, 0, CAPACITY_FOR, Vec::new(), load);
        let mut told = Vec::new();
        let mut listener = |heard| told.push(heard);
        let mut world = World::new(&scenario, None);
        world.listen(&mut listener);
        world.settle(START + CAPACITY_FOR + TIMEOUT);
        if let Some(violation) = world.violation() {
            return Err(violation.clone());
        }
        Ok(told)
    })
}

/// How many nodes there are when one more joins.
pub const MEMBERS: usize = 5;
/// How many keys are written in a second before clients begin.
const FILL: u32 = 1000;
/// All keys are there.
pub const FULL: Duration = Duration::from_secs(25);
/// When the newcomer is decided.
pub const JOINS: Duration = Duration::from_secs(55);
/// For how long clients go on when all is moved.
pub const AFTER: Duration = Duration::from_secs(30);
/// A node that has not moved by then never will.
const LONGEST: Duration = Duration::from_secs(1800);

/// What came of one that joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// From the decision until all read and write by the new ring alone and keep only what is theirs.
    pub took: Duration,
    /// What nodes sent each other for it, in bytes: copies, and what they compare.
    pub moved: u64,
    /// A sixth of what all keep: the least of which somebody has as much as each other.
    pub least: u64,
    /// What the newcomer keeps now.
    pub kept: u64,
    /// What clients were told before, meanwhile and after, each in the order in which they asked.
    pub told: [Vec<Told>; 3],
}

/// Measures it, with so many requests a second all the time, and clients to be answered in so long.
///
/// # Errors
///
/// If a promise is broken, or partitions have not moved after half an hour.
pub fn join(per_sec: u32, target: Duration) -> Result<Joined, Violation> {
    let decision = Decision {
        at: JOINS,
        told: 0,
        changes: [Wish::Join(MEMBERS)].into(),
    };
    let load = Fault {
        at: FULL,
        lasts: LONGEST,
        kind: FaultKind::Surge { per_sec, key: None },
    };
    let mut scenario = scenario(MEMBERS, 1, LONGEST, [decision].into(), load);
    scenario.knobs.target = Some(target);
    scenario.plan = (0..KEYS)
        .map(|key| Planned {
            at: Duration::from_secs(1) * key as u32 / FILL,
            client: key % scenario.clients,
            node: key % MEMBERS,
            key,
            action: Action::Put,
            timeout: None,
            is_flushed: false,
            only_here: false,
            vanishes: false,
        })
        .collect();
    let mut told: Vec<Told> = Vec::new();
    let mut listener = |heard| told.push(heard);
    let mut world = World::new(&scenario, None);
    world.listen(&mut listener);
    world.settle(START + JOINS);
    let mut took = Duration::ZERO;
    let before = world.moved();
    loop {
        let step = Duration::from_millis(250);
        world.settle(step);
        took += step;
        if let Some(violation) = world.violation() {
            return Err(violation.clone());
        }
        match world.unfinished() {
            None => break,
            Some(_) if took < LONGEST / 2 => {}
            Some(unfinished) => return Err(Violation::new("I6", unfinished)),
        }
    }
    let moved = world.moved() - before;
    let (all, kept) = world.kept(MEMBERS);
    world.settle(AFTER);
    if let Some(violation) = world.violation() {
        return Err(violation.clone());
    }
    drop(world);
    told.sort_by_key(|told| told.at);
    let of = |from: Duration, to: Duration| {
        let is_in = |told: &&Told| told.at >= from && told.at < to;
        told.iter().filter(is_in).copied().collect()
    };
    Ok(Joined {
        took,
        moved,
        least: all / (MEMBERS as u64 + 1),
        kept,
        told: [
            of(FULL, JOINS),
            of(JOINS, JOINS + took),
            of(JOINS + took, LONGEST),
        ],
    })
}

/// After how long one in so many of those that were told is told, and how many were not told that it
/// is done.
#[must_use]
pub fn slowest(told: &[Told], one_in: usize) -> (Duration, usize) {
    let done = told.iter().filter(|told| told.outcome == Outcome::Done);
    let mut took: Vec<Duration> = done.map(|told| told.took).collect();
    took.sort_unstable();
    let at = took.len().saturating_sub(1 + took.len() / one_in);
    let slow = took.get(at).copied().unwrap_or_default();
    (slow, told.len() - took.len())
}

fn scenario(
    founders: usize,
    newcomers: usize,
    length: Duration,
    decisions: Vec<Decision>,
    load: Fault,
) -> Scenario {
    Scenario {
        founders: Some(founders),
        decisions,
        keys: vec![Manner::Overwrite; KEYS],
        clients: 100,
        latency: LATENCY,
        disk: DISK,
        length,
        knobs: Knobs {
            peers: 2000,
            has_queues: true,
            body_bytes: Some(VALUE),
            ..Knobs::default()
        },
        faults: [load].into(),
        ..Scenario::calm(founders + newcomers)
    }
}
