//! What the benches share: the states, clocks, rings and messages that they measure, of usual
//! sizes, and beside each what a user would take instead, with the same content.
//!
//! Everything is made from fixed numbers, so that two runs measure the same work.

use std::time::Duration;

use criterion::{BatchSize, Criterion};

pub mod cluster;
pub mod floor;
pub mod frames;
pub mod network;
pub mod postcards;
pub mod rafts;
pub mod rings;
pub mod sets;
pub mod states;
pub mod stores;
pub mod trees;
pub mod workload;

/// A run that is told by the command line what to do, and short enough that all benches together
/// take a few minutes.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args()
}

/// Whether every bench is only run once, to see that it does.
#[must_use]
pub fn is_smoke_run() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// Inputs made ahead for operations that use theirs up: so many that reading the clock does not
/// count, so few that they stay in the nearest caches.
pub const AHEAD: BatchSize = BatchSize::NumIterations(64);

/// The n-th of a row of numbers that look random: ids, boots and secrets are.
#[must_use]
pub const fn scattered(n: u64) -> u64 {
    let mut bits = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
