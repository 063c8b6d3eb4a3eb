//! What becomes of a store that is damaged, torn, rolled back, copied, or backed up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../api/tests/stores/mod.rs"]
mod stores;

use std::fs;
use std::path::{Path, PathBuf};

use dynamo_proto::Durability;
use dynamo_proto::store::{ReadOutcome, Space};
use dynamo_storage::directory::{Directory, Opening};
use dynamo_storage::{Backend as _, Span};
use dynamo_storage_redb::{OpenError, Options, Redb};
use stores::{FLUSHED, OWNER, OnDisk, copy, hold_of, is_there, put, read, text};
use tempfile::TempDir;

impl OnDisk for Redb {
    type Error = OpenError;

    fn open(path: &Path, opening: Opening) -> Result<Self, OpenError> {
        Self::open(path, OWNER, opening, Options::default())
    }

    fn directory(&self) -> &Directory {
        self.directory()
    }

    fn close(self) {
        self.close().unwrap();
    }
}

hold_of! {
    Redb:
    a_store_that_holds_nothing_opens_again
    one_process_at_a_time
    a_store_that_was_rolled_back_is_noticed
    files_that_are_missing_are_not_taken_for_an_empty_store
    a_backup_is_of_one_moment_and_opens_as_a_new_boot
}

fn open(path: &Path) -> Result<Redb, OpenError> {
    stores::open(path)
}

fn filled(values: u128) -> TempDir {
    stores::filled::<Redb>(values)
}

fn file(path: &Path) -> PathBuf {
    path.join("data/store.redb")
}

#[test]
fn what_asks_to_be_written_is_flushed() {
    let temporary = tempfile::tempdir().unwrap();
    let redb = open(temporary.path()).unwrap();
    assert_eq!(
        put(&redb, 1, "tea", Durability::Memory),
        Ok(Durability::Memory)
    );
    assert_eq!(put(&redb, 2, "tea", Durability::Written), Ok(FLUSHED));
}

/// In places all over a file of a few hundred pages. Whatever redb makes of it, no value is
/// missing or another.
#[test]
fn no_flipped_bit_of_a_closed_store_goes_unnoticed() {
    const VALUES: u128 = 2000;
    let store = filled(VALUES);
    let good = fs::read(file(store.path())).unwrap();
    let used: Vec<_> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    let (mut refused, mut has_panicked) = (0, false);
    for index in (0..used.len()).step_by(used.len() / 60) {
        let bad = copy(store.path());
        let mut bytes = good.clone();
        bytes[used[index]] ^= 1 << (index % 8);
        fs::write(file(bad.path()), bytes).unwrap();
        let redb = match stores::adopt::<Redb>(bad.path()) {
            Ok(redb) => redb,
            Err(error) => {
                has_panicked |= matches!(error, OpenError::Damaged { .. });
                refused += 1;
                continue;
            }
        };
        let lost = (0..VALUES).find(|position| !is_there(&redb, *position));
        assert_eq!(lost, None, "byte {}", used[index]);
    }
    assert!(refused > 30, "only {refused} refused");
    assert!(has_panicked, "not seen: what redb panics at");
}

#[test]
fn a_killed_process_loses_only_what_stayed_in_memory() {
    let store = filled(10);
    let redb = open(store.path()).unwrap();
    put(&redb, 10, text(10), FLUSHED).unwrap();
    put(&redb, 11, text(11), Durability::Memory).unwrap();
    let left = copy(store.path());
    drop(redb);
    let options = Options {
        verify: false,
        ..Options::default()
    };
    let redb = Redb::open(left.path(), OWNER, Opening::Adopt, options).unwrap();
    assert!((0..=10).all(|position| is_there(&redb, position)));
    assert_eq!(read(&redb, 11), ReadOutcome::Absent);
}

#[test]
fn what_was_deleted_is_given_back_to_the_disk_at_the_next_opening() {
    const LARGE: usize = 1 << 20;
    let store = filled(1);
    let redb = open(store.path()).unwrap();
    for position in 1..=20 {
        put(&redb, position, vec![7; LARGE], Durability::Memory).unwrap();
    }
    let emptied = redb.delete(Space::Objects, &Span::of_positions(1..=20), FLUSHED);
    assert_eq!(emptied, Ok(FLUSHED));
    redb.close().unwrap();
    let redb = open(store.path()).unwrap();
    let len = fs::metadata(file(store.path())).unwrap().len();
    assert!(len < 5 * LARGE as u64, "{len}");
    assert!(is_there(&redb, 0));
    assert_eq!(read(&redb, 20), ReadOutcome::Absent);
}
