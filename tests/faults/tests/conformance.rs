//! Every engine keeps what an engine promises, on real files and across power cuts.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use dynamo_faults::{Rig, engines, named};
use dynamo_storage::conformance::{check, examine};

#[test]
fn every_engine_keeps_what_an_engine_promises() {
    for engine in engines() {
        let report = check(|| Rig::new(engine).unwrap());
        // Where on a disk a value is, only the engine knows; see the tests of bits that turn.
        let skipped: Vec<_> = report.skipped().collect();
        assert_eq!(
            skipped,
            [
                "what_is_damaged_is_not_absent",
                "what_is_damaged_can_be_replaced",
                "a_full_store_takes_nothing_of_a_batch",
                "a_full_store_can_be_emptied",
            ],
            "{}",
            engine.name
        );
    }
}

#[test]
fn what_is_planted_is_caught_by_the_requirement_that_is_about_it() {
    for (name, requirement) in [
        ("skips-the-flush", "what_was_flushed_outlives_the_machine"),
        (
            "forgets-the-directory",
            "what_was_flushed_outlives_the_machine",
        ),
        (
            "answers-before-the-flush",
            "what_was_flushed_outlives_the_machine",
        ),
        (
            "serves-unflushed-after-opening",
            "what_can_be_read_after_opening_stays",
        ),
        ("flushes-again", "a_failed_flush_is_final"),
    ] {
        let engine = named(name).unwrap();
        let report = examine(|| Rig::new(engine).unwrap());
        let is_caught = report.broken().any(|broken| broken == requirement);
        assert!(is_caught, "{name} went through {requirement}:\n{report}");
    }
}
