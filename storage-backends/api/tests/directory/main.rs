//! Whose a directory is, who has it open, and how it was left.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use dynamo_proto::{ClusterId, Generation, NodeId};
use dynamo_storage::directory::{Directory, DirectoryError, Found, Opening, Owner, Seen, look};
use tempfile::{TempDir, tempdir};

const OWNER: Owner = Owner {
    cluster: ClusterId(0xc1),
    node: NodeId(0x1f),
};

fn open(path: &Path) -> Result<Directory, DirectoryError> {
    Directory::open(path, "test", OWNER, Opening::InPlace)
}

/// A store that was open so often and is closed now.
fn closed(times: usize) -> TempDir {
    let temporary = tempdir().unwrap();
    for _ in 0..times {
        let directory = open(temporary.path()).unwrap();
        directory.mark_flushed(7);
        directory.close().unwrap();
    }
    temporary
}

fn copy(from: &Path) -> TempDir {
    let to = tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn each_opening_is_counted_and_says_how_it_was_left() {
    let temporary = tempdir().unwrap();
    let path = temporary.path().join("new/store");
    let directory = open(&path).unwrap();
    assert_eq!(
        (directory.found(), directory.generation()),
        (Found::Empty, Generation(1))
    );
    drop(directory);
    let directory = open(&path).unwrap();
    assert_eq!(
        (directory.found(), directory.generation()),
        (Found::Abandoned, Generation(2))
    );
    directory.close().unwrap();
    let directory = open(&path).unwrap();
    assert_eq!(
        (directory.found(), directory.generation()),
        (Found::Closed, Generation(3))
    );
}

#[test]
fn how_far_was_flushed_is_remembered() {
    let temporary = tempdir().unwrap();
    let directory = open(temporary.path()).unwrap();
    directory.expect_flushed(0).unwrap();
    for number in [3, 9, 5] {
        directory.mark_flushed(number);
    }
    drop(directory);
    let directory = open(temporary.path()).unwrap();
    directory.expect_flushed(9).unwrap();
    let error = directory.expect_flushed(8).unwrap_err();
    assert!(matches!(
        error,
        DirectoryError::Lost {
            flushed: 9,
            found: 8,
            ..
        }
    ));
    directory.close().unwrap();
    let directory = open(temporary.path()).unwrap();
    directory.expect_flushed(9).unwrap();
    directory.expect_flushed(8).unwrap_err();
}

#[test]
fn one_at_a_time() {
    let temporary = tempdir().unwrap();
    let first = open(temporary.path()).unwrap();
    let error = open(temporary.path()).unwrap_err();
    let pid = std::process::id();
    assert!(matches!(&error, DirectoryError::InUse { holder: Some(holder), .. } if *holder == pid));
    assert!(
        error
            .to_string()
            .contains(&format!("in use by process {pid}"))
    );
    drop(first);
    open(temporary.path()).unwrap();
}

#[test]
fn it_is_not_opened_for_anyone_else() {
    let store = closed(1);
    for other in [
        Owner {
            node: NodeId(2),
            ..OWNER
        },
        Owner {
            cluster: ClusterId(2),
            ..OWNER
        },
    ] {
        let error = Directory::open(store.path(), "test", other, Opening::Adopt).unwrap_err();
        assert!(matches!(&error, DirectoryError::Foreign { found, .. } if *found == OWNER));
    }
    let error = Directory::open(store.path(), "another", OWNER, Opening::InPlace).unwrap_err();
    assert!(matches!(error, DirectoryError::OtherEngine { .. }));
    assert_eq!(open(store.path()).unwrap().generation(), Generation(2));
}

#[test]
fn a_copy_is_noticed_until_it_is_adopted() {
    let store = closed(3);
    let copy = copy(store.path());
    let error = open(copy.path()).unwrap_err();
    assert!(matches!(error, DirectoryError::Copied { .. }), "{error}");
    let adopted = Directory::open(copy.path(), "test", OWNER, Opening::Adopt).unwrap();
    assert_eq!(
        (adopted.found(), adopted.generation()),
        (Found::Copied, Generation(4))
    );
    drop(adopted);
    assert_eq!(open(copy.path()).unwrap().found(), Found::Abandoned);
    // And the original is not disturbed.
    assert_eq!(open(store.path()).unwrap().found(), Found::Closed);
}

#[test]
fn a_directory_that_was_moved_is_no_copy() {
    let parent = tempdir().unwrap();
    let (here, there) = (parent.path().join("here"), parent.path().join("there"));
    open(&here).unwrap().close().unwrap();
    fs::rename(&here, &there).unwrap();
    assert_eq!(open(&there).unwrap().found(), Found::Closed);
}

#[test]
fn a_backup_is_opened_where_it_is_put_but_not_before_it_is_finished() {
    let store = closed(3);
    let original = open(store.path()).unwrap();
    let target = tempdir().unwrap();
    let backup = original.for_backup(target.path()).unwrap();
    drop(backup);
    let error = open(target.path()).unwrap_err();
    assert!(matches!(error, DirectoryError::Unfinished { .. }));
    let error = original.for_backup(target.path()).unwrap_err();
    assert!(matches!(error, DirectoryError::NotAStore { .. }));

    let target = tempdir().unwrap();
    original.for_backup(target.path()).unwrap().close().unwrap();
    let elsewhere = copy(target.path());
    for place in [target, elsewhere] {
        let restored = open(place.path()).unwrap();
        assert_eq!(
            (restored.found(), restored.generation()),
            (Found::Copied, Generation(5))
        );
    }
}

#[test]
fn what_is_no_store_is_left_alone() {
    let temporary = tempdir().unwrap();
    fs::write(temporary.path().join("thesis.tex"), "years of work").unwrap();
    let error = open(temporary.path()).unwrap_err();
    assert!(matches!(error, DirectoryError::NotAStore { .. }));
}

#[test]
fn a_later_format_is_refused() {
    let store = closed(1);
    let identity = store.path().join("identity");
    let text = fs::read_to_string(&identity).unwrap();
    let lines = text
        .rsplit_once("sum ")
        .unwrap()
        .0
        .replace("format 1", "format 2");
    let sum = xxhash_rust::xxh3::xxh3_64(lines.as_bytes());
    fs::write(&identity, format!("{lines}sum {sum:016x}\n")).unwrap();
    let error = open(store.path()).unwrap_err();
    assert!(matches!(error, DirectoryError::Format { found: 2, .. }));
}

/// Each fifth, so all places in a byte.
#[test]
fn no_flipped_bit_goes_unnoticed() {
    let store = closed(1);
    for file in ["identity", "flushed"] {
        let path = store.path().join(file);
        let good = fs::read(&path).unwrap();
        for bit in (0..good.len() * 8).step_by(5) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let copy = copy(store.path());
            fs::write(copy.path().join(file), bad).unwrap();
            let opened = Directory::open(copy.path(), "test", OWNER, Opening::Adopt);
            assert!(opened.is_err(), "bit {bit} of {file}");
            // And it stays so.
            let opened = Directory::open(copy.path(), "test", OWNER, Opening::Adopt);
            assert!(opened.is_err(), "bit {bit} of {file}");
        }
    }
}

#[test]
fn a_mark_that_was_torn_is_not_believed() {
    let temporary = tempdir().unwrap();
    let directory = open(temporary.path()).unwrap();
    directory.mark_flushed(u64::MAX / 3);
    drop(directory);
    let path = temporary.path().join("flushed");
    let mut bytes = fs::read(&path).unwrap();
    bytes[..4].fill(0);
    fs::write(&path, bytes).unwrap();
    open(temporary.path()).unwrap().expect_flushed(0).unwrap();
}

#[test]
fn who_looks_learns_whose_store_it_is_and_changes_nothing() {
    let temporary = tempdir().unwrap();
    assert_eq!(look(&temporary.path().join("absent")).unwrap(), None);
    assert_eq!(look(temporary.path()).unwrap(), None);
    let directory = open(temporary.path()).unwrap();
    let seen = Seen {
        engine: "test".into(),
        owner: OWNER,
        generation: Generation(1),
    };
    // Also while somebody has it open.
    assert_eq!(look(temporary.path()).unwrap(), Some(seen.clone()));
    drop(directory);
    assert_eq!(look(temporary.path()).unwrap(), Some(seen));
    assert_eq!(open(temporary.path()).unwrap().generation(), Generation(2));
}

#[test]
fn an_engines_files_have_their_name_when_they_are_whole() {
    let temporary = tempdir().unwrap();
    let make = |new: &Path| -> Result<(), DirectoryError> {
        assert_eq!(fs::read_dir(new).unwrap().count(), 0);
        fs::write(new.join("file"), "half").unwrap();
        Ok(())
    };
    let mut directory = open(temporary.path()).unwrap();
    let ended = directory.data("file", |new| {
        make(new)?;
        Err(DirectoryError::NotAStore { path: new.into() })
    });
    assert!(ended.is_err());
    assert!(!temporary.path().join("data").exists());
    // Nor was it made for whoever opens it next.
    drop(directory);
    let mut directory = open(temporary.path()).unwrap();
    let data = directory.data("file", make).unwrap();
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "half");
    let made_again = directory.data("file", |_| -> Result<(), DirectoryError> {
        panic!("twice")
    });
    assert_eq!(made_again.unwrap(), data);
}

#[test]
fn files_that_had_been_made_and_are_gone_are_not_made_again() {
    let make = |new: &Path| -> Result<(), DirectoryError> {
        fs::write(new.join("file"), "whole").unwrap();
        Ok(())
    };
    for (is_closed, lost) in [(false, "data"), (true, "data"), (false, "data/file")] {
        let temporary = tempdir().unwrap();
        let mut directory = open(temporary.path()).unwrap();
        directory.data("file", make).unwrap();
        if is_closed {
            directory.close().unwrap();
        } else {
            drop(directory);
        }
        let lost = temporary.path().join(lost);
        fs::rename(&lost, temporary.path().join("elsewhere")).unwrap();
        // However often one tries.
        for _ in 0..2 {
            let mut directory = open(temporary.path()).unwrap();
            let error = directory.data("file", make).unwrap_err();
            assert!(
                matches!(&error, DirectoryError::Missing { path } if *path == lost),
                "{error}"
            );
        }
    }
}
