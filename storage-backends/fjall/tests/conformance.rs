//! fjall keeps what every engine promises.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use dynamo_storage::conformance::{End, Subject, check};
use dynamo_storage_fjall::Fjall;
use tempfile::TempDir;

struct OnDisk(TempDir);

impl Subject for OnDisk {
    type Backend = Fjall;

    fn open(&mut self) -> Fjall {
        common::open(self.0.path()).unwrap()
    }

    /// A killed process leaves what it had written to the system: a copy of the files, taken while
    /// the store is open. What a cut of the power leaves is not staged here.
    fn reopen(&mut self, backend: Fjall, end: End) -> Option<Fjall> {
        if end == End::Machine {
            return None;
        }
        let copy = common::copy(self.0.path());
        drop(backend);
        self.0 = copy;
        Some(common::adopt(self.0.path()).unwrap())
    }
}

#[test]
fn fjall_keeps_what_an_engine_promises() {
    let report = check(|| OnDisk(tempfile::tempdir().unwrap()));
    println!("{report}");
    // They want a power cut, damage of one record and a flush that fails, which `tests/faults`
    // stages on files; and a bounded store, which is what `Reserve` is.
    let skipped: Vec<_> = report.skipped().collect();
    assert_eq!(
        skipped,
        [
            "what_was_flushed_outlives_the_machine",
            "a_flush_covers_what_went_before",
            "a_batch_survives_whole_or_not_at_all",
            "what_can_be_read_after_opening_stays",
            "what_is_damaged_is_not_absent",
            "what_is_damaged_can_be_replaced",
            "a_failed_flush_is_final",
            "a_full_store_takes_nothing_of_a_batch",
            "a_full_store_can_be_emptied",
        ]
    );
}
