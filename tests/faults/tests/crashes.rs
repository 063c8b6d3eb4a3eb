//! Engines are killed in the midst of heavy writing, the power is cut, and what was reported is
//! there. `scripts/crashes` does more of it.

#![cfg(target_os = "linux")]

use dynamo_faults::crash::{Crashes, Ended, Tally};
use dynamo_faults::engines;

const CRASHES: usize = 20;
/// Fewer than make a file and give it its name.
const STEP: usize = 7;

fn crashes(engine: &str, seed: u64, crashes: usize) -> Crashes {
    Crashes {
        program: env!("CARGO_BIN_EXE_dynamo-faults").into(),
        engine: engine.into(),
        seed,
        crashes,
    }
}

fn crash(engine: &str, seed: u64) -> Result<Tally, Ended> {
    crashes(engine, seed, CRASHES).run()
}

#[test]
fn nothing_reported_is_lost_in_twenty_crashes_of_each_engine() {
    for engine in engines() {
        let tally =
            crash(engine.name, 1).unwrap_or_else(|ended| panic!("{}: {ended}", engine.name));
        println!("{}: {tally}", engine.name);
        // It was worth the name.
        assert!(tally.crashes >= CRASHES, "{tally}");
        assert!(tally.power_cuts >= CRASHES / 2, "{tally}");
        assert!((1..tally.crashes).contains(&tally.while_opening), "{tally}");
        assert!(tally.flushed >= 50, "{tally}");
        assert!(tally.bytes_lost >= 1000, "{tally}");
    }
}

/// At every so many changes of a file until it is open for the first time.
#[test]
fn a_store_that_was_crashed_while_it_was_made_opens_again() {
    for engine in engines() {
        let tally = crashes(engine.name, 1, 1000).run_at_birth(STEP);
        let tally = tally.unwrap_or_else(|ended| panic!("{}: {ended}", engine.name));
        println!("{}: {tally}", engine.name);
        assert!(tally.while_opening >= 1, "{tally}");
        assert_eq!(tally.crashes, tally.while_opening + 1, "{tally}");
    }
}

#[test]
fn what_is_planted_is_caught() {
    for engine in [
        "skips-the-flush",
        "forgets-the-directory",
        "answers-before-the-flush",
        "trusts-its-tail",
        "serves-unflushed-after-opening",
    ] {
        // A run is twenty crashes, on a store of its own.
        let caught = (0..10).find_map(|seed| match crash(engine, seed) {
            Ok(_) => None,
            Err(Ended::Broken(how)) => Some((seed, how)),
            Err(ended) => panic!("{engine}: {ended}"),
        });
        let (seed, how) = caught.unwrap_or_else(|| panic!("{engine} came through ten runs"));
        println!("{engine}: in run {seed}, {how}");
    }
}
