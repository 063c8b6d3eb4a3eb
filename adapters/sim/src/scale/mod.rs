//! How membership does in large clusters: the real machines, thousands of them, on a network that
//! loses one message in twenty. Writes tables and plots.

mod member;
mod page;
mod swim;
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dynamo_proto::membership::{Change, Memory};

use self::member::Peer;
use self::swim::Swim;
use self::world::{Happened, Machine, Weather, World};

const WEATHER: Weather = Weather { lost: 50 };

/// What is measured of one size.
pub(crate) struct Measured {
    pub(crate) nodes: usize,
    pub(crate) partitions: u32,
    /// Seconds, which are rounds, until each node knew of a change; all trials together, sorted.
    pub(crate) spread: Vec<f64>,
    /// Until each knew that all had it.
    pub(crate) settled: Vec<f64>,
    pub(crate) quiet: Traffic,
    /// From the change until all knew that all had it.
    pub(crate) changing: Traffic,
    pub(crate) detection: Detection,
    pub(crate) memory: Memory,
    pub(crate) ring: usize,
    /// The same of SWIM, and what it says when nothing happens.
    pub(crate) swim: (Detection, Traffic),
}

/// For each node and second.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: f64,
    pub(crate) received: f64,
    pub(crate) messages: f64,
}

pub(crate) struct Detection {
    /// Seconds from a death until the first node knew, for each trial.
    pub(crate) first: Vec<f64>,
    /// Until each node knew; all trials together, sorted.
    pub(crate) all: Vec<f64>,
    pub(crate) false_alarms: usize,
    pub(crate) node_days: f64,
}

/// Runs all sizes and writes what came of it.
pub(crate) fn run(sizes: &[usize], node_days: f64, into: &Path) -> ExitCode {
    let mut measured = Vec::new();
    for &nodes in sizes {
        let start = Instant::now();
        let hours = (node_days * 24.0 / nodes as f64).min(24.0);
        measured.push(measure(nodes, hours));
        eprintln!("{nodes} nodes: {:.0} s", start.elapsed().as_secs_f64());
    }
    match page::write(&measured, node_days, into) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write into {}: {error}", into.display());
            ExitCode::FAILURE
        }
    }
}

fn measure(nodes: usize, hours: f64) -> Measured {
    let partitions = (nodes as u32 * 16).next_power_of_two().clamp(256, 16_384);
    let trials = if nodes > 1000 { 2 } else { 10 };
    let mut world = World::new(member::born(nodes, partitions, 1), WEATHER, 2);
    // Everybody learns where everybody is.
    world.run(Duration::from_secs(90));
    world.happened.clear();
    let quiet = traffic(&mut world, Duration::from_secs(60));
    let (spread, settled, changing) = changes(&mut world, trials);
    let (first, all) = deaths(&mut world, trials.min(nodes / 3), |world, node, trial| {
        world.nodes[node].restart(node, 2 + trial);
        world.is_down[node] = false;
        world.rouse(node);
        world.run(Duration::from_secs(60));
    });
    world.happened.clear();
    let time = Duration::from_secs_f64(3600.0 * hours);
    let detection = Detection {
        first,
        all,
        false_alarms: false_alarms(&mut world, time),
        node_days: nodes as f64 * hours / 24.0,
    };
    let memory = world.nodes[0].membership.memory();
    let ring = world.nodes[0]
        .membership
        .ring()
        .map_or(0, |ring| ring.heap_bytes());
    drop(world);
    Measured {
        nodes,
        partitions,
        spread,
        settled,
        quiet,
        changing,
        detection,
        memory,
        ring,
        // It has false alarms enough in an hour.
        swim: swim(
            nodes,
            trials.min(nodes / 3),
            time.min(Duration::from_secs(3600)),
        ),
    }
}

fn swim(nodes: usize, trials: usize, time: Duration) -> (Detection, Traffic) {
    let mut world: World<Swim> = World::new(swim::born(nodes, 1), WEATHER, 2);
    world.run(Duration::from_secs(30));
    world.happened.clear();
    let quiet = traffic(&mut world, Duration::from_secs(60));
    let false_alarms = false_alarms(&mut world, time);
    world.happened.clear();
    // The dead stay dead: the paper does not say how they would be let in again.
    let (first, all) = deaths(&mut world, trials, |_, _, _| {});
    let detection = Detection {
        first,
        all,
        false_alarms,
        node_days: nodes as f64 * time.as_secs_f64() / 86_400.0,
    };
    (detection, quiet)
}

/// What everybody says in a while.
fn traffic<M: Machine>(world: &mut World<M>, time: Duration) -> Traffic {
    let before = (world.sent, world.received, world.messages, world.now);
    world.run(time);
    since(world, before)
}

fn since<M: Machine>(world: &World<M>, before: (u64, u64, u64, u64)) -> Traffic {
    let seconds = (world.now - before.3) as f64 / 1000.0;
    let each = |amount: u64| amount as f64 / seconds / world.nodes.len() as f64;
    Traffic {
        sent: each(world.sent - before.0),
        received: each(world.received - before.1),
        messages: each(world.messages - before.2),
    }
}

/// Somebody is given another weight, at some node; how that spreads.
fn changes(world: &mut World<Peer>, trials: usize) -> (Vec<f64>, Vec<f64>, Traffic) {
    let nodes = world.nodes.len();
    let (mut spread, mut settled) = (Vec::new(), Vec::new());
    let mut traffic = Traffic::default();
    for trial in 0..trials {
        let (at, start) = (world.below(nodes as u64) as usize, world.now);
        let before = (world.sent, world.received, world.messages, start);
        world.happened.clear();
        let change = Change::Weigh {
            node: member::id(at),
            weight: 2 + (trial % 3) as u32,
        };
        world.say(at, |peer, now, out| peer.commit(change, now, out));
        let (mut knowing, mut done) = (BTreeSet::new(), BTreeSet::new());
        let mut height = 0;
        world.run_while(start + 120_000, |world| {
            for (when, node, what) in world.happened.drain(..) {
                let after = (when - start) as f64 / 1000.0;
                match what {
                    Happened::Knows(known) if known >= height => {
                        height = known;
                        if knowing.insert(node) {
                            spread.push(after);
                        }
                    }
                    Happened::Settled if done.insert(node) => settled.push(after),
                    _ => {}
                }
            }
            done.len() < nodes
        });
        assert_eq!(done.len(), nodes, "two minutes must do");
        let each = since(world, before);
        traffic.sent += each.sent / trials as f64;
        traffic.received += each.received / trials as f64;
        traffic.messages += each.messages / trials as f64;
        world.run(Duration::from_secs(20));
    }
    spread.sort_by(f64::total_cmp);
    settled.sort_by(f64::total_cmp);
    (spread, settled, traffic)
}

/// Nodes die, one after the other; when the first of the others knew, and when each.
fn deaths<M: Machine>(
    world: &mut World<M>,
    trials: usize,
    mut revive: impl FnMut(&mut World<M>, usize, u64),
) -> (Vec<f64>, Vec<f64>) {
    let nodes = world.nodes.len();
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for trial in 0..trials {
        let mut victim = world.below(nodes as u64) as usize;
        while world.is_down[victim] {
            victim = (victim + 1) % nodes;
        }
        let start = world.now;
        world.is_down[victim] = true;
        world.happened.clear();
        let living = world.is_down.iter().filter(|is_down| !**is_down).count();
        let mut knowing = BTreeSet::new();
        world.run_while(start + 180_000, |world| {
            for (when, node, what) in world.happened.drain(..) {
                if what == Happened::Suspects(victim) && knowing.insert(node) {
                    let after = (when - start) as f64 / 1000.0;
                    if knowing.len() == 1 {
                        first.push(after);
                    }
                    all.push(after);
                }
            }
            knowing.len() < living
        });
        assert_eq!(knowing.len(), living, "three minutes must do");
        revive(world, victim, trial as u64);
    }
    all.sort_by(f64::total_cmp);
    (first, all)
}

/// How often somebody who is there comes to be taken for dead by anybody.
fn false_alarms<M: Machine>(world: &mut World<M>, time: Duration) -> usize {
    let until = world.now + time.as_millis() as u64;
    let (mut alarms, mut under_alarm) = (0, BTreeSet::new());
    world.run_while(until, |world| {
        for (_, _, what) in world.happened.drain(..) {
            match what {
                Happened::Suspects(node) => alarms += usize::from(under_alarm.insert(node)),
                Happened::Trusts(node) => {
                    under_alarm.remove(&node);
                }
                _ => {}
            }
        }
        true
    });
    alarms
}
