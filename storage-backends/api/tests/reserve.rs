//! A store that keeps some room free.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::Arc;

use dynamo_storage::conformance::{Subject, check};
use dynamo_storage::{FreeSpace, Reserve, Room};

mod planted;

use planted::{Disk, Engine, Flaw};

const TOTAL: u64 = 1 << 30;

/// What an invented disk has free.
struct Left(Engine);

impl Room for Left {
    fn free(&self) -> io::Result<u64> {
        Ok(TOTAL.saturating_sub(2 * self.0.bytes_kept() as u64))
    }
}

/// With room for so many bytes, each of which is written twice, above the reserve.
struct Reserved(Disk);

impl Subject for Reserved {
    type Backend = Reserve<Engine, Left>;

    fn open(&mut self) -> Self::Backend {
        let engine = self.0.open();
        Reserve::new(engine.clone(), Left(engine), 0)
    }

    fn open_bounded(&mut self, bytes: usize) -> Option<Self::Backend> {
        let engine = self.0.open();
        let reserve = TOTAL - 2 * bytes as u64;
        Some(Reserve::new(engine.clone(), Left(engine), reserve))
    }
}

#[test]
fn a_reserve_makes_any_engine_a_bounded_one() {
    let report = check(|| Reserved(Disk::with(Flaw::None)));
    let skipped: Vec<_> = report.skipped().collect();
    for requirement in [
        "a_full_store_takes_nothing_of_a_batch",
        "a_full_store_can_be_emptied",
    ] {
        assert!(!skipped.contains(&requirement), "{report}");
    }
}

#[test]
fn a_file_system_says_what_it_has_free() {
    let free = FreeSpace::of(std::env::temp_dir()).free().unwrap();
    assert!(free > 0);
    FreeSpace::of("/nowhere/at/all").free().unwrap_err();
}

#[test]
fn an_engine_is_reached_through_its_reserve() {
    let engine = Disk::with(Flaw::None).open();
    let reserve = Arc::new(Reserve::new(engine.clone(), Left(engine), 0));
    assert!(!reserve.is_full());
    assert_eq!(reserve.backend().bytes_kept(), 0);
}
