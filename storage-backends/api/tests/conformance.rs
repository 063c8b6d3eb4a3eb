//! The suite passes what keeps every promise, and catches each flaw by the requirement that is
//! about it.

mod planted;

use dynamo_storage::conformance::{check, examine};
use planted::{Disk, Flaw};

/// Every requirement, and a flaw that it must catch.
const CAUGHT: [(Flaw, &str); 31] = [
    (Flaw::InventsBytes, "what_was_never_written_is_absent"),
    (Flaw::MixesSpaces, "what_was_written_is_found"),
    (Flaw::CallsEmptyAbsent, "bytes_of_any_size_come_back"),
    (Flaw::CutsNames, "names_of_any_size_are_kept_apart"),
    (Flaw::KeepsTheFirstWrite, "the_latest_write_wins"),
    (Flaw::ForgetsDeletes, "what_was_deleted_is_absent"),
    (Flaw::RemovesWholePositions, "what_was_deleted_is_absent"),
    (Flaw::DropsTheLastChange, "all_changes_of_a_batch_happen"),
    (
        Flaw::AppliesGroupsBackwards,
        "batches_of_a_group_happen_in_order",
    ),
    (
        Flaw::AnswersOnlyTheFirst,
        "every_batch_of_a_group_is_answered",
    ),
    (Flaw::ScansUnordered, "a_scan_is_in_the_order_of_addresses"),
    (
        Flaw::IncludesTheEnd,
        "a_span_holds_its_first_address_and_not_its_end",
    ),
    (
        Flaw::RepeatsAtPageEnds,
        "a_page_keeps_its_limit_and_the_next_goes_on",
    ),
    (
        Flaw::SkipsAtPageEnds,
        "a_page_keeps_its_limit_and_the_next_goes_on",
    ),
    (Flaw::StopsScanAtWrites, "a_scan_goes_on_beside_writers"),
    (
        Flaw::RemovesWholePositions,
        "a_deleted_span_is_gone_and_nothing_else",
    ),
    (Flaw::ScansOnlyAPage, "more_than_a_page_is_deleted"),
    (
        Flaw::BuriesTheDeleted,
        "a_deleted_span_can_be_written_again",
    ),
    (Flaw::ForgetsDeletes, "it_behaves_as_a_map_does"),
    (Flaw::SkipsAtPageEnds, "it_behaves_as_a_map_does"),
    (
        Flaw::SaysWrittenWhenInMemory,
        "what_was_written_outlives_the_process",
    ),
    (
        Flaw::SaysFlushedWhenWritten,
        "what_was_flushed_outlives_the_machine",
    ),
    (
        Flaw::FlushesOnlyTheLatest,
        "a_flush_covers_what_went_before",
    ),
    (
        Flaw::TearsBatchesAtFlush,
        "a_batch_survives_whole_or_not_at_all",
    ),
    (
        Flaw::ServesUnflushedAfterOpening,
        "what_can_be_read_after_opening_stays",
    ),
    (Flaw::CallsDamageAbsent, "what_is_damaged_is_not_absent"),
    (Flaw::PassesOverDamage, "what_is_damaged_is_not_absent"),
    (
        Flaw::KeepsDamageWhenOverwritten,
        "what_is_damaged_can_be_replaced",
    ),
    (Flaw::FlushesAgainAfterFailure, "a_failed_flush_is_final"),
    (
        Flaw::TearsRefusedBatches,
        "a_full_store_takes_nothing_of_a_batch",
    ),
    (Flaw::RefusesRemovalsWhenFull, "a_full_store_can_be_emptied"),
];

#[test]
fn an_engine_without_a_flaw_passes_and_nothing_is_skipped() {
    let report = check(|| Disk::with(Flaw::None));
    assert_eq!(report.skipped().count(), 0, "{report}");
}

#[test]
fn each_flaw_is_caught() {
    for (flaw, requirement) in CAUGHT {
        let report = examine(|| Disk::with(flaw));
        assert!(
            report.broken().any(|name| name == requirement),
            "{flaw:?} went through {requirement}:\n{report}"
        );
    }
}

#[test]
fn each_requirement_has_caught_a_flaw() {
    let report = examine(|| Disk::with(Flaw::None));
    for (requirement, _) in report.verdicts {
        assert!(
            CAUGHT.iter().any(|(_, catches)| *catches == requirement),
            "nothing shows that {requirement} can fail"
        );
    }
}
