//! A few simulated clusters under all faults, and every schedule that once broke a promise.
//!
//! Many more seeds run in CI: `dynamo-sim run`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use dynamo_sim::{Count, Counters, FaultClass, Scenario, Wishes};

fn brief(seed: u64) -> Scenario {
    let wishes = Wishes {
        length: Some(Duration::from_secs(20)),
        ..Wishes::default()
    };
    Scenario::draw(seed, &wishes)
}

#[test]
fn promises_are_kept_under_all_faults() {
    let mut counters = Counters::default();
    for seed in 1_000_000..1_000_060 {
        let report = dynamo_sim::run(&brief(seed));
        assert_eq!(report.violation, None, "seed {seed}");
        counters.add_all(&report.counters);
    }
    for count in [
        Count::Acked,
        Count::SiblingsRead,
        Count::Forwarded,
        Count::Killed,
        Count::Cut,
    ] {
        assert!(counters.of(count) > 0, "no {}", count.label());
    }
}

/// What shows that faults of that class took place.
fn sign_of(class: FaultClass) -> Count {
    match class {
        FaultClass::Cuts => Count::Cut,
        FaultClass::Partitions => Count::Split,
        FaultClass::Flaps => Count::Flapped,
        FaultClass::HalfOpens => Count::HalfOpened,
        FaultClass::Clogs => Count::Clogged,
        FaultClass::Severs => Count::Severed,
        FaultClass::Replays => Count::Replayed,
        FaultClass::Stops => Count::Killed,
        FaultClass::Outages => Count::Outage,
        FaultClass::Pauses => Count::Paused,
        FaultClass::Slowness => Count::Slowed,
        FaultClass::Clocks => Count::ClockJumped,
        FaultClass::Noise => Count::Lost,
        FaultClass::SlowDisks => Count::DiskSlowed,
        FaultClass::DiskErrors | FaultClass::HalfDone => Count::WriteError,
        FaultClass::FlushErrors => Count::FlushError,
        FaultClass::FullDisks => Count::Full,
        FaultClass::LostWrites => Count::LossSurfaced,
        FaultClass::LiveLosses => Count::WriteLost,
        FaultClass::Rot => Count::Rotten,
        FaultClass::TornWrites => Count::Torn,
        FaultClass::Wipes => Count::Wiped,
        FaultClass::Rollbacks => Count::RolledBack,
        FaultClass::Exchanges => Count::StrangeDisk,
        FaultClass::Surges => Count::Surge,
        FaultClass::HotKeys => Count::Hot,
        FaultClass::Oversized => Count::TooLarge,
        FaultClass::Bombs => Count::TooManySiblings,
        FaultClass::Redoing => Count::Redone,
        FaultClass::Resends => Count::AskedAgain,
        FaultClass::Vanishing => Count::Vanished,
        FaultClass::Hurry => Count::Hurried,
        FaultClass::TinyLimits => Count::Overloaded,
    }
}

#[test]
fn each_class_of_faults_can_be_had_alone() {
    for class in FaultClass::ALL {
        let mut others = vec![*class];
        // Outcomes are unknown only where something else goes wrong.
        if matches!(class, FaultClass::Redoing | FaultClass::Resends) {
            others.push(FaultClass::Stops);
        }
        let wishes = Wishes {
            length: Some(Duration::from_secs(40)),
            nodes: Some(5),
            faults: others,
            ..Wishes::default()
        };
        let mut counters = Counters::default();
        for seed in 0..30 {
            let report = dynamo_sim::run(&Scenario::draw(seed, &wishes));
            assert_eq!(report.violation, None, "{class:?}, seed {seed}");
            counters.add_all(&report.counters);
            if counters.of(sign_of(*class)) > 0 {
                break;
            }
        }
        let sign = sign_of(*class);
        assert!(counters.of(sign) > 0, "{class:?}: no {}", sign.label());
    }
}

#[test]
fn the_same_scenario_runs_the_same_way() {
    for seed in 0..5 {
        let scenario = brief(seed);
        let (one, other) = (dynamo_sim::run(&scenario), dynamo_sim::run(&scenario));
        assert_eq!(one.digest, other.digest, "seed {seed}");
        let kept = serde_json::to_string(&scenario).unwrap();
        let read: Scenario = serde_json::from_str(&kept).unwrap();
        assert_eq!(read, scenario, "a kept schedule is the whole scenario");
    }
}

#[test]
fn what_once_broke_a_promise_does_no_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let mut schedules = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let scenario: Scenario = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            dynamo_sim::run(&scenario).violation,
            None,
            "{}",
            path.display()
        );
        schedules += 1;
    }
    assert!(schedules > 0, "no schedule is kept");
}
