//! Engines are killed in the midst of heavy writing, the power is cut, and what was reported is
//! there. `scripts/crashes` does more of it.

#![cfg(target_os = "linux")]

use dynamo_faults::crash::{Crashes, Ended, Tally};
use dynamo_faults::engines;

const CRASHES: usize = 20;

fn crash(engine: &str, seed: u64) -> Result<Tally, Ended> {
    let crashes = Crashes {
        program: env!("CARGO_BIN_EXE_dynamo-faults").into(),
        engine: engine.into(),
        seed,
        crashes: CRASHES,
    };
    crashes.run()
}

#[test]
fn nothing_reported_is_lost_in_twenty_crashes_of_each_engine() {
    for engine in engines() {
        let tally =
            crash(engine.name, 1).unwrap_or_else(|ended| panic!("{}: {ended}", engine.name));
        println!("{}: {tally}", engine.name);
        // It was worth the name.
        assert_eq!(tally.crashes, CRASHES);
        assert!(tally.power_cuts >= CRASHES / 2, "{tally}");
        assert!((1..CRASHES).contains(&tally.while_opening), "{tally}");
        assert!(tally.flushed >= 50, "{tally}");
        assert!(tally.bytes_lost >= 1000, "{tally}");
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
