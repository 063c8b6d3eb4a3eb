//! What becomes of a store that is damaged, torn, rolled back, copied, or backed up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use common::{OWNER, adopt, copy, open, place, put};
use dynamo_proto::Durability;
use dynamo_proto::store::{ReadOutcome, Space};
use dynamo_storage::directory::{DirectoryError, Found, Opening};
use dynamo_storage::{BackUp as _, Backend};
use dynamo_storage_redb::{OpenError, Options, Redb};
use tempfile::TempDir;

const FLUSHED: Durability = Durability::Flushed;

fn text(position: u128) -> String {
    format!("value {position} {}", "x".repeat(200))
}

fn read(redb: &Redb, position: u128) -> ReadOutcome {
    redb.read(Space::Objects, &place(position))
}

fn is_there(redb: &Redb, position: u128) -> bool {
    read(redb, position) == ReadOutcome::Found(text(position).into())
}

fn file(path: &Path) -> PathBuf {
    path.join("data/store.redb")
}

/// Closed, with so many values.
fn filled(values: u128) -> TempDir {
    let temporary = tempfile::tempdir().unwrap();
    let redb = open(temporary.path()).unwrap();
    for position in 0..values {
        let durability = if position + 1 == values {
            FLUSHED
        } else {
            Durability::Memory
        };
        put(&redb, position, text(position), durability).unwrap();
    }
    redb.close().unwrap();
    temporary
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

#[test]
fn one_process_at_a_time() {
    let store = filled(1);
    let first = open(store.path()).unwrap();
    let Err(error) = open(store.path()) else {
        panic!("opened twice");
    };
    assert!(
        error.to_string().contains("is in use by process"),
        "{error}"
    );
    first.close().unwrap();
    assert_eq!(
        open(store.path()).unwrap().directory().found(),
        Found::Closed
    );
}

/// In places all over a file of a few hundred pages. Whatever redb makes of it, no value is
/// missing or another.
#[test]
fn no_flipped_bit_of_a_closed_store_goes_unnoticed() {
    const VALUES: u128 = 2000;
    let store = filled(VALUES);
    let good = fs::read(file(store.path())).unwrap();
    let used: Vec<_> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    let mut refused = 0;
    for index in (0..used.len()).step_by(used.len() / 60) {
        let bad = copy(store.path());
        let mut bytes = good.clone();
        bytes[used[index]] ^= 1 << (index % 8);
        fs::write(file(bad.path()), bytes).unwrap();
        // redb may panic at what it finds: a node that cannot start is no worse for it.
        let Ok(Ok(redb)) = catch_unwind(|| adopt(bad.path())) else {
            refused += 1;
            continue;
        };
        let lost = (0..VALUES).find(|position| !is_there(&redb, *position));
        assert_eq!(lost, None, "byte {}", used[index]);
    }
    assert!(refused > 30, "only {refused} refused");
}

#[test]
fn a_store_that_was_rolled_back_is_noticed() {
    let store = filled(3);
    let before = fs::read(file(store.path())).unwrap();
    let redb = open(store.path()).unwrap();
    put(&redb, 3, text(3), FLUSHED).unwrap();
    redb.close().unwrap();
    fs::write(file(store.path()), before).unwrap();
    assert!(matches!(
        open(store.path()),
        Err(OpenError::Directory(DirectoryError::Lost { .. }))
    ));
    fs::remove_file(file(store.path())).unwrap();
    assert!(matches!(
        open(store.path()),
        Err(OpenError::Directory(DirectoryError::Lost { .. }))
    ));
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
fn a_backup_opens_as_a_new_boot() {
    let store = filled(500);
    let redb = open(store.path()).unwrap();
    let target = tempfile::tempdir().unwrap();
    let copied = redb.back_up(target.path()).unwrap();
    assert_eq!((copied.items, copied.damaged.len()), (500, 0));
    put(&redb, 1, "on", FLUSHED).unwrap();
    let elsewhere = copy(target.path());
    let restored = open(elsewhere.path()).unwrap();
    assert_eq!(restored.directory().found(), Found::Copied);
    assert!(restored.directory().generation() > redb.directory().generation());
    assert!((0..500).all(|position| is_there(&restored, position)));
}
