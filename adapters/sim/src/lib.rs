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

mod bits;
mod client;
mod dice;
mod disk;
mod ghost;
mod lab;
mod machine;
mod net;
mod oracle;
mod race;
mod report;
mod scenario;
mod shrink;
mod world;

pub use disk::Stop;
pub use lab::{Lab, LabError, Read};
pub use oracle::Manner;
pub use report::{Count, Counters, Report, Violation};
pub use scenario::{
    Action, Fault, FaultClass, FaultKind, Place, Planned, Quorum, Scenario, Wishes,
};
pub use shrink::shrink;

/// Runs a scenario.
#[must_use]
pub fn run(scenario: &Scenario) -> Report {
    world::World::new(scenario, None).run()
}

/// Runs a scenario and tells all that happens, line by line.
pub fn trace(scenario: &Scenario, mut tell: impl FnMut(&str)) -> Report {
    world::World::new(scenario, Some(&mut tell)).run()
}
