//! What is flushed survives a power cut, and nothing else does.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use dynamo_faults::{Dice, Disk, Fault, Operation, Order, Scratch};

/// A directory that is watched, with one file in it that is flushed.
struct Stage {
    disk: Disk,
    root: PathBuf,
    scratch: Scratch,
}

impl Stage {
    fn new() -> Self {
        let mut scratch = Scratch::new().unwrap();
        let root = scratch.directory().unwrap();
        fs::write(root.join("old"), "before").unwrap();
        let disk = Disk::watch(&root, &scratch.part()).unwrap();
        Self {
            disk,
            root,
            scratch,
        }
    }

    fn open(&self, name: &str) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        options.open(self.root.join(name)).unwrap()
    }

    fn flush_names(&self) {
        File::open(&self.root).unwrap().sync_all().unwrap();
    }

    /// What a power cut leaves: names and contents.
    fn left(&mut self) -> Vec<(String, String)> {
        let to = self.scratch.part();
        self.disk.restore(&to, None).unwrap();
        contents(&to)
    }
}

fn contents(root: &Path) -> Vec<(String, String)> {
    let mut all: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let contents = fs::read_to_string(entry.path()).unwrap_or("a directory".into());
            (entry.file_name().into_string().unwrap(), contents)
        })
        .collect();
    all.sort();
    all
}

#[track_caller]
fn check(left: &[(String, String)], expected: &[(&str, &str)]) {
    let left: Vec<_> = left
        .iter()
        .map(|(name, it)| (name.as_str(), it.as_str()))
        .collect();
    assert_eq!(left, expected);
}

#[test]
fn what_was_there_before_stays() {
    check(&Stage::new().left(), &[("old", "before")]);
}

#[test]
fn bytes_stay_only_if_they_were_flushed() {
    let mut stage = Stage::new();
    let mut file = stage.open("old");
    file.write_all(b"after!").unwrap();
    check(&stage.left(), &[("old", "before")]);
    file.sync_data().unwrap();
    check(&stage.left(), &[("old", "after!")]);
    file.write_all_at(b"A", 0).unwrap();
    file.write_all(b" more").unwrap();
    check(&stage.left(), &[("old", "after!")]);
    file.sync_all().unwrap();
    check(&stage.left(), &[("old", "After! more")]);
}

#[test]
fn a_flush_of_one_file_is_none_of_another() {
    let mut stage = Stage::new();
    let (mut old, mut new) = (stage.open("old"), stage.open("new"));
    old.write_all(b"AFTER").unwrap();
    new.write_all(b"new").unwrap();
    new.sync_all().unwrap();
    stage.flush_names();
    check(&stage.left(), &[("new", "new"), ("old", "before")]);
}

#[test]
fn a_new_name_stays_only_if_its_directory_was_flushed() {
    let mut stage = Stage::new();
    let mut file = stage.open("new");
    file.write_all(b"new").unwrap();
    file.sync_all().unwrap();
    check(&stage.left(), &[("old", "before")]);
    stage.flush_names();
    check(&stage.left(), &[("new", "new"), ("old", "before")]);
}

#[test]
fn a_name_can_stay_without_the_bytes() {
    let mut stage = Stage::new();
    stage.open("new").write_all(b"new").unwrap();
    stage.flush_names();
    check(&stage.left(), &[("new", ""), ("old", "before")]);
}

#[test]
fn a_rename_or_removal_that_was_not_flushed_is_undone() {
    let mut stage = Stage::new();
    let mut file = stage.open("new");
    file.write_all(b"new").unwrap();
    file.sync_all().unwrap();
    stage.flush_names();
    fs::rename(stage.root.join("new"), stage.root.join("old")).unwrap();
    check(&stage.left(), &[("new", "new"), ("old", "before")]);
    stage.flush_names();
    check(&stage.left(), &[("old", "new")]);
    fs::remove_file(stage.root.join("old")).unwrap();
    drop(file);
    // Whoever comes next gets neither its name nor its bytes.
    stage.open("next").write_all(b"next").unwrap();
    check(&stage.left(), &[("old", "new")]);
    stage.flush_names();
    check(&stage.left(), &[("next", "")]);
}

#[test]
fn a_directory_stays_with_what_was_flushed_of_it() {
    let mut stage = Stage::new();
    let inner = stage.root.join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("file"), "tea").unwrap();
    check(&stage.left(), &[("old", "before")]);
    stage.flush_names();
    let to = stage.scratch.part();
    stage.disk.restore(&to, None).unwrap();
    check(&contents(&to.join("inner")), &[]);
    File::open(inner.join("file")).unwrap().sync_all().unwrap();
    File::open(&inner).unwrap().sync_all().unwrap();
    let to = stage.scratch.part();
    stage.disk.restore(&to, None).unwrap();
    check(&contents(&to.join("inner")), &[("file", "tea")]);
}

#[test]
fn a_length_that_was_not_flushed_is_undone() {
    let mut stage = Stage::new();
    let file = stage.open("old");
    file.set_len(2).unwrap();
    file.set_len(4).unwrap();
    check(&stage.left(), &[("old", "before")]);
    file.sync_all().unwrap();
    check(&stage.left(), &[("old", "be\0\0")]);
    drop(File::create(stage.root.join("old")).unwrap());
    check(&stage.left(), &[("old", "be\0\0")]);
    let file = stage.open("old");
    file.write_all_at(b"x", 1).unwrap();
    file.sync_all().unwrap();
    check(&stage.left(), &[("old", "\0x")]);
}

#[test]
fn a_file_that_flushes_as_it_writes_keeps_just_that() {
    let mut stage = Stage::new();
    stage.open("old").write_all_at(b"BE", 0).unwrap();
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_DSYNC);
    let file = options.open(stage.root.join("old")).unwrap();
    file.write_all_at(b"FO", 2).unwrap();
    check(&stage.left(), &[("old", "beFOre")]);
}

#[test]
fn appended_and_vectored_and_copied_bytes_are_seen() {
    let mut stage = Stage::new();
    let mut options = OpenOptions::new();
    let mut file = options.append(true).open(stage.root.join("old")).unwrap();
    file.write_all(b", then ").unwrap();
    let parts = [b"tw", b"o "].map(|part| std::io::IoSlice::new(part));
    assert_eq!(file.write_vectored(&parts).unwrap(), 4);
    let copied = stage.root.join("copy");
    fs::copy(stage.root.join("old"), &copied).unwrap();
    stage.flush_names();
    check(&stage.left(), &[("copy", ""), ("old", "before")]);
    file.sync_all().unwrap();
    File::open(copied).unwrap().sync_all().unwrap();
    let both = "before, then two ";
    check(&stage.left(), &[("copy", both), ("old", both)]);
}

#[test]
#[allow(unsafe_code, reason = "mappings have no safe face")]
fn a_mapping_is_flushed_where_it_is_told_to_be() {
    let mut stage = Stage::new();
    let file = stage.open("old");
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the file is open and not empty, and nobody makes it shorter.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            6,
            access,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: mapped for writing, and longer than that.
    unsafe { at.cast::<u8>().write(b'B') };
    check(&stage.left(), &[("old", "before")]);
    // SAFETY: mapped.
    assert_eq!(unsafe { libc::msync(at, 6, libc::MS_ASYNC) }, 0);
    check(&stage.left(), &[("old", "before")]);
    // SAFETY: mapped.
    assert_eq!(unsafe { libc::msync(at, 6, libc::MS_SYNC) }, 0);
    check(&stage.left(), &[("old", "Before")]);
    // SAFETY: mapped for writing, and longer than that.
    unsafe { at.cast::<u8>().write(b'b') };
    file.sync_data().unwrap();
    check(&stage.left(), &[("old", "before")]);
}

#[test]
#[allow(unsafe_code, reason = "the standard library has no face for it")]
fn starting_to_write_back_is_no_flush_and_flushing_all_is() {
    let mut stage = Stage::new();
    let mut file = stage.open("old");
    file.write_all(b"after!").unwrap();
    let flags = libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: it takes no pointer.
    assert_eq!(
        unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) },
        0
    );
    check(&stage.left(), &[("old", "before")]);
    stage.open("new");
    // SAFETY: it takes no pointer.
    assert_eq!(unsafe { libc::syncfs(file.as_raw_fd()) }, 0);
    check(&stage.left(), &[("new", ""), ("old", "after!")]);
}

#[test]
fn a_process_that_ends_leaves_unflushed_what_it_had_not_flushed() {
    let mut stage = Stage::new();
    let mut file = stage.open("old");
    file.write_all(b"after!").unwrap();
    stage.open("new").write_all(b"new").unwrap();
    let (root, image) = (stage.scratch.part(), stage.scratch.part());
    stage.disk.fork(&root, &image).unwrap();
    drop(file);
    stage.disk = Disk::resume(&root, &image).unwrap();
    stage.root = root;
    check(&contents(&stage.root), &[("new", "new"), ("old", "after!")]);
    check(&stage.left(), &[("old", "before")]);
    File::open(stage.root.join("old"))
        .unwrap()
        .sync_all()
        .unwrap();
    check(&stage.left(), &[("old", "after!")]);
    stage.flush_names();
    check(&stage.left(), &[("new", ""), ("old", "after!")]);
    File::open(stage.root.join("new"))
        .unwrap()
        .sync_all()
        .unwrap();
    check(&stage.left(), &[("new", "new"), ("old", "after!")]);
}

#[test]
fn what_is_flushed_of_a_directory_waits_for_its_name_also_in_another_process() {
    let mut stage = Stage::new();
    let inner = stage.root.join("inner");
    fs::create_dir(&inner).unwrap();
    let mut file = File::create(inner.join("file")).unwrap();
    file.write_all(b"tea").unwrap();
    file.sync_all().unwrap();
    File::open(&inner).unwrap().sync_all().unwrap();
    let (root, image) = (stage.scratch.part(), stage.scratch.part());
    stage.disk.fork(&root, &image).unwrap();
    stage.disk = Disk::resume(&root, &image).unwrap();
    stage.root = root;
    check(&stage.left(), &[("old", "before")]);
    stage.flush_names();
    let to = stage.scratch.part();
    stage.disk.restore(&to, None).unwrap();
    check(&contents(&to.join("inner")), &[("file", "tea")]);
}

#[test]
fn with_luck_any_sectors_survive() {
    let mut stage = Stage::new();
    let old = vec![b'o'; 40 * 512];
    let file = stage.open("old");
    file.write_all_at(&old, 0).unwrap();
    file.sync_all().unwrap();
    file.write_all_at(&vec![b'n'; 50 * 512], 0).unwrap();
    let mut seen = [false; 4];
    for seed in 0..100 {
        let to = stage.scratch.part();
        stage.disk.restore(&to, Some(&mut Dice::new(seed))).unwrap();
        let left = fs::read(to.join("old")).unwrap();
        assert!((old.len()..=50 * 512).contains(&left.len()));
        let is_all = |byte| left.iter().all(|it| *it == byte);
        for sector in left.chunks(512) {
            assert!(
                sector
                    .iter()
                    .all(|it| *it == sector[0] && b"on\0".contains(it))
            );
        }
        let (is_old, is_new) = (is_all(b'o'), is_all(b'n'));
        seen[0] |= is_old;
        seen[1] |= is_new && left.len() == 50 * 512;
        seen[2] |= !is_old && !is_new;
        seen[3] |= left.contains(&0);
    }
    assert_eq!(seen, [true; 4]);
}

fn order(operation: Operation, fault: Fault) -> Order {
    Order {
        operation,
        fault,
        after: 0,
        times: 1,
    }
}

#[test]
fn what_a_failed_flush_was_to_save_no_later_one_saves() {
    let mut stage = Stage::new();
    let mut file = stage.open("old");
    file.write_all(b"after!").unwrap();
    stage
        .disk
        .order(order(Operation::Flush, Fault::Fail(libc::EIO)));
    assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(libc::EIO));
    file.sync_all().unwrap();
    check(&stage.left(), &[("old", "before")]);
    assert_eq!(stage.disk.obeyed(), 1);
}

#[test]
fn reads_and_writes_fail_on_order_and_then_no_more() {
    let stage = Stage::new();
    let mut file = stage.open("old");
    let no_space = Fault::Fail(libc::ENOSPC);
    stage.disk.order(Order {
        after: 1,
        times: 2,
        ..order(Operation::Write, no_space)
    });
    file.write_all(b"a").unwrap();
    for _ in 0..2 {
        let error = file.write_all(b"b").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    }
    file.write_all(b"c").unwrap();
    stage.disk.order(Order {
        times: usize::MAX,
        ..order(Operation::Read, Fault::Fail(libc::EIO))
    });
    for _ in 0..3 {
        let error = fs::read(stage.root.join("old")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
    }
    stage.disk.relent();
    assert_eq!(fs::read(stage.root.join("old")).unwrap(), b"acfore");
    // Others are not affected.
    let elsewhere = Stage::new();
    stage
        .disk
        .order(order(Operation::Read, Fault::Fail(libc::EIO)));
    fs::read(elsewhere.root.join("old")).unwrap();
}

#[test]
fn a_bit_is_turned_in_what_is_read_and_not_in_the_file() {
    let stage = Stage::new();
    let mut file = stage.open("old");
    stage
        .disk
        .order(order(Operation::Read, Fault::Flip(8 * 600 + 8)));
    let mut bytes = [0; 6];
    file.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, *b"bdfore");
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, *b"before");
}
