//! Whether an engine keeps what [`Backend`] promises.
//!
//! [`check`] runs every requirement on a store of its own and panics with all that were broken;
//! each is named by the sentence that it checks. What a [`Subject`] cannot do, such as cutting the
//! power, is skipped and said so in the [`Report`]. An engine that is opened by a directory needs no
//! subject: [`check_in_directories`] makes one.
//!
//! Left to others: threads, real disks that fail, and how fast an engine is.
//!
//! ```
//! use dynamo_storage::{Backend, conformance};
//! # use dynamo_proto::store::{Address, ReadOutcome, Space};
//! # use dynamo_storage::{Limit, Page, ScanFailed, Span, Write};
//! # struct Mine;
//! # impl Backend for Mine {
//! #     fn read(&self, _: Space, _: &Address) -> ReadOutcome { ReadOutcome::Failed }
//! #     fn write(&self, _: &mut [Write]) {}
//! #     fn scan(&self, _: Space, _: &Span, _: Limit) -> Result<Page, ScanFailed> { Err(ScanFailed) }
//! # }
//!
//! struct MySubject;
//!
//! impl conformance::Subject for MySubject {
//!     type Backend = Mine;
//!
//!     fn open(&mut self) -> Mine {
//!         Mine
//!     }
//! }
//!
//! let report = conformance::examine(|| MySubject);
//! // This one does nothing at all.
//! assert!(report.broken().any(|name| name == "what_was_written_is_found"));
//! ```

mod deletes;
mod directory;
mod faults;
mod model;
mod places;
mod report;
mod restarts;
mod room;
mod scans;
mod writes;

pub use directory::check_in_directories;
pub use report::{Report, Verdict};

use dynamo_proto::store::{Address, Space};

use crate::Backend;
use report::{Miss, Outcome};

/// An engine under test, and what can be done to it from outside. A subject is used for one
/// requirement; only [`open`](Self::open) must be there.
pub trait Subject {
    /// The engine.
    type Backend: Backend;

    /// Opens an empty store. Called once, unless [`open_bounded`](Self::open_bounded) is.
    fn open(&mut self) -> Self::Backend;

    /// Opens an empty store with room for about so many bytes.
    fn open_bounded(&mut self, bytes: usize) -> Option<Self::Backend> {
        let _ = bytes;
        None
    }

    /// Ends the backend this way and opens again what that left. `None` if this end cannot be
    /// staged. An engine that keeps nothing opens an empty store.
    fn reopen(&mut self, backend: Self::Backend, end: End) -> Option<Self::Backend> {
        let _ = (backend, end);
        None
    }

    /// Damages what is kept there. `false` if that cannot be staged.
    fn damage(&mut self, backend: &Self::Backend, space: Space, at: &Address) -> bool {
        let _ = (backend, space, at);
        false
    }

    /// Lets the next flush fail, and only that. `false` if that cannot be staged.
    fn fail_next_flush(&mut self, backend: &Self::Backend) -> bool {
        let _ = backend;
        false
    }
}

/// How a store is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process is killed: what was written to the operating system stays.
    Process,
    /// The power is cut: only what was flushed stays.
    Machine,
}

/// Checks every requirement, each on a subject of its own.
///
/// # Panics
///
/// If any is broken, with all that are.
pub fn check<S: Subject>(make: impl FnMut() -> S) -> Report {
    let report = examine(make);
    assert!(report.broken().next().is_none(), "\n{report}");
    report
}

/// Checks every requirement and says what came of each.
pub fn examine<S: Subject>(mut make: impl FnMut() -> S) -> Report {
    let verdicts = requirements().into_iter().map(|requirement| {
        let verdict = match (requirement.examine)(&mut make()) {
            Ok(()) => Verdict::Kept,
            Err(Miss::Skipped) => Verdict::Skipped,
            Err(Miss::Broken(how)) => Verdict::Broken(how),
        };
        (requirement.name, verdict)
    });
    Report {
        verdicts: verdicts.collect(),
    }
}

struct Requirement<S> {
    name: &'static str,
    examine: fn(&mut S) -> Outcome,
}

macro_rules! requirements {
    ($($room:ident: $($name:ident)+;)+) => {
        vec![$($(Requirement { name: stringify!($name), examine: $room::$name },)+)+]
    };
}

fn requirements<S: Subject>() -> Vec<Requirement<S>> {
    requirements! {
        writes:
            what_was_never_written_is_absent
            what_was_written_is_found
            bytes_of_any_size_come_back
            names_of_any_size_are_kept_apart
            the_latest_write_wins
            what_was_deleted_is_absent
            all_changes_of_a_batch_happen
            batches_of_a_group_happen_in_order
            every_batch_of_a_group_is_answered;
        scans:
            a_scan_is_in_the_order_of_addresses
            a_span_holds_its_first_address_and_not_its_end
            a_page_keeps_its_limit_and_the_next_goes_on
            a_scan_goes_on_beside_writers;
        deletes:
            a_deleted_span_is_gone_and_nothing_else
            more_than_a_page_is_deleted
            a_deleted_span_can_be_written_again;
        model:
            it_behaves_as_a_map_does;
        restarts:
            what_was_written_outlives_the_process
            what_was_flushed_outlives_the_machine
            a_flush_covers_what_went_before
            a_batch_survives_whole_or_not_at_all
            what_can_be_read_after_opening_stays;
        faults:
            what_is_damaged_is_not_absent
            what_is_damaged_can_be_replaced
            a_failed_flush_is_final;
        room:
            a_full_store_takes_nothing_of_a_batch
            a_full_store_can_be_emptied;
    }
}
