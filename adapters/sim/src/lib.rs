//! An invented world for whole clusters of `dynamo-proto`: networks that delay, cut and damage,
//! disks that lose what was not flushed, clocks that jump, processes that stop; and checkers that
//! hold what clients saw, and what nodes keep, against what was promised.
//!
//! ```text
//!   Scenario  (drawn from a seed, or kept as a file)
//!      |          plan of operations        faults
//!      v               v                      v
//!   World ── clients ── Node ── Connection ── Link ── Connection ── Node ── Disk
//!      |        |                                                            |
//!      v        v                                                            v
//!   Report   Oracle: what reads may show                 Ghost: what records may hold
//! ```
//!
//! The same scenario always runs the same way, to the byte. One that fails can be [`shrink`]ed and
//! kept as a file, which goes on testing the same thing when the drawing of scenarios has long
//! changed.
//!
//! [`Lab`] is the same world for an application's own tests.

mod atlas;
mod bits;
pub mod bytes;
mod client;
mod dice;
mod disk;
mod draw;
mod faults;
mod ghost;
mod history;
mod lab;
mod machine;
pub mod measure;
mod net;
mod oracle;
mod recovery;
mod report;
mod scenario;
mod shrink;
mod talk;
mod world;

use std::rc::Rc;

use dynamo_proto::Durability;
use dynamo_storage::Backend;

pub use disk::Stop;
pub use faults::{Fault, FaultClass, FaultKind};
pub use history::{History, Sight};
pub use lab::{Lab, LabError, Read};
pub use oracle::Manner;
pub use report::{Count, Counters, Report, Violation};
pub use scenario::{Action, Decision, Knobs, Place, Planned, Quorum, Scenario, Wish, Wishes};
pub use shrink::shrink;
pub use talk::{Talk, Word};

/// Runs a scenario.
#[must_use]
pub fn run(scenario: &Scenario) -> Report {
    world::World::new(scenario, None).run()
}

/// Runs a scenario and tells all that happens, line by line.
pub fn trace(scenario: &Scenario, mut tell: impl FnMut(&str)) -> Report {
    world::World::new(scenario, Some(&mut tell)).run()
}

/// Runs a scenario on real storage: what each disk is asked its machine's engine is asked too, and
/// the two must agree. `open` opens the store of a machine: an empty one at first, and then what was
/// left in it when it was dropped without being closed. `best` is the most that the engine answers a
/// write. The report is that of [`run`].
///
/// A real engine loses no more than it does by itself, and nothing is made wrong in it: only
/// scenarios whose faults are not of the disk can be run so.
///
/// # Panics
///
/// If an engine says anything else than the invented disk does, or is left with something that
/// this could not have been left with.
#[must_use]
pub fn run_beside(
    scenario: &Scenario,
    best: Durability,
    open: impl Fn(usize) -> Box<dyn Backend> + 'static,
) -> Report {
    let open: disk::Open = Rc::new(open);
    let disk = |machine| disk::Disk::beside(machine, best, open.clone());
    let machines = machine::Machine::all(scenario, disk);
    world::World::of(scenario, machines, None).run()
}

/// Runs a scenario and says what clients are told, in the order in which they hear it.
pub fn watch(scenario: &Scenario, mut hear: impl FnMut(measure::Told)) -> Report {
    let mut world = world::World::new(scenario, None);
    world.listen(&mut hear);
    world.run()
}
