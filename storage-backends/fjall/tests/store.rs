//! What becomes of a store that is damaged, torn, rolled back, copied, or backed up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../api/tests/stores/mod.rs"]
mod stores;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dynamo_proto::Durability;
use dynamo_proto::node::Op;
use dynamo_proto::store::{Batch, Change, Command, ReadOutcome, Space};
use dynamo_storage::directory::{Directory, DirectoryError, Found, Opening};
use dynamo_storage::worker::{Worker, WorkerOptions};
use dynamo_storage::{Backend as _, FreeSpace, Item, Reserve, Room, Scan, Span};
use dynamo_storage_fjall::{Fjall, OpenError, Options};
use stores::{FLUSHED, OWNER, OnDisk, copy, hold_of, is_there, place, put, read, text};
use tempfile::TempDir;

impl OnDisk for Fjall {
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
    Fjall:
    a_store_that_holds_nothing_opens_again
    one_process_at_a_time
    a_store_that_was_rolled_back_is_noticed
    files_that_are_missing_are_not_taken_for_an_empty_store
    a_backup_is_of_one_moment_and_opens_as_a_new_boot
}

fn open(path: &Path) -> Result<Fjall, OpenError> {
    stores::open(path)
}

fn adopt(path: &Path) -> Result<Fjall, OpenError> {
    stores::adopt(path)
}

fn filled(values: u128) -> TempDir {
    stores::filled::<Fjall>(values)
}

fn journal(path: &Path) -> PathBuf {
    path.join("data/0.jnl")
}

/// Without the room behind it.
fn cut_room(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    let len = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(len)
        .unwrap();
    len
}

#[test]
fn a_torn_tail_is_cut_off_and_nothing_else() {
    let store = filled(20);
    let journal = journal(store.path());
    let end = cut_room(&journal);
    let fjall = open(store.path()).unwrap();
    put(&fjall, 20, text(20), Durability::Written).unwrap();
    let torn = copy(store.path());
    drop(fjall);
    let journal = self::journal(torn.path());
    let whole = fs::read(&journal).unwrap();
    // Cut short, ended by room, or with a hole in it.
    let tears = (1..whole.len() as u64 - end).flat_map(|len| {
        let cut = whole[..(end + len) as usize].to_vec();
        let mut roomy = cut.clone();
        roomy.resize(whole.len() + 100, 0);
        let mut holed = whole.clone();
        holed[(end + len - 1) as usize] ^= 0x55;
        [cut, roomy, holed]
    });
    for (number, bytes) in tears.enumerate().step_by(19) {
        fs::write(&journal, bytes).unwrap();
        let fjall = adopt(torn.path()).unwrap_or_else(|error| panic!("tear {number}: {error}"));
        assert!((0..20).all(|position| is_there(&fjall, position)));
        // No checksum covers a batch's sequence number: with a hole there it is still whole.
        let is_whole = is_there(&fjall, 20) && number % 3 == 2;
        assert!(
            is_whole || read(&fjall, 20) == ReadOutcome::Absent,
            "tear {number}"
        );
    }
}

#[test]
fn no_flipped_bit_of_a_flushed_journal_goes_unnoticed() {
    let store = filled(3);
    let journal = journal(store.path());
    let len = cut_room(&journal);
    let good = fs::read(&journal).unwrap();
    for bit in (0..len * 8).step_by(61) {
        let bad = copy(store.path());
        let mut bytes = good.clone();
        bytes[bit as usize / 8] ^= 1 << (bit % 8);
        fs::write(self::journal(bad.path()), bytes).unwrap();
        match adopt(bad.path()) {
            Err(OpenError::Directory(DirectoryError::Lost { .. })) => {}
            Err(error) => panic!("bit {bit}: {error}"),
            // The room at the end says nothing, nor does the order of batches if it is kept.
            Ok(fjall) => assert!((0..3).all(|it| is_there(&fjall, it)), "bit {bit}"),
        }
    }
}

/// In one block or a few, and not in the others; and they can be written anew.
#[test]
fn damage_in_a_table_is_corrupt_and_a_scan_goes_around_it() {
    const VALUES: u128 = 10_000;
    let temporary = tempfile::tempdir().unwrap();
    let options = Options {
        memtable_bytes: 1 << 20,
        ..Options::default()
    };
    let fjall = Fjall::open(temporary.path(), OWNER, Opening::InPlace, options).unwrap();
    for position in 0..VALUES {
        put(&fjall, position << 64, text(position), Durability::Memory).unwrap();
    }
    put(&fjall, 1, "", FLUSHED).unwrap();
    let tables = temporary.path().join("data/keyspaces/1/tables");
    let table = wait_for_table(&tables);
    fjall.close().unwrap();
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 4;
    fs::write(&table, bytes).unwrap();

    let fjall = open(temporary.path()).unwrap();
    let mut corrupt = Vec::new();
    for position in 0..VALUES {
        match read(&fjall, position << 64) {
            ReadOutcome::Found(bytes) => assert_eq!(bytes, text(position)),
            ReadOutcome::Corrupt => corrupt.push(place(position << 64)),
            outcome => panic!("{position}: {outcome:?}"),
        }
    }
    assert!(
        (1..1000).contains(&corrupt.len()),
        "{} corrupt",
        corrupt.len()
    );
    let (mut shown, mut spans) = (0, Vec::new());
    for item in Scan::new(&fjall, Space::Objects, Span::all()) {
        match item.unwrap() {
            Item::Found { .. } => shown += 1,
            Item::Corrupt(span) => spans.push(span),
        }
    }
    assert!(
        corrupt
            .iter()
            .all(|at| spans.iter().any(|span| span.contains(at)))
    );
    let hidden = VALUES as usize + 1 - shown;
    assert!(
        hidden >= corrupt.len() && hidden < corrupt.len() + 50,
        "{hidden} hidden"
    );
    for at in &corrupt {
        let position = at.position >> 64;
        put(&fjall, at.position, text(position), Durability::Memory).unwrap();
        assert_eq!(
            read(&fjall, at.position),
            ReadOutcome::Found(text(position).into())
        );
    }
}

fn wait_for_table(tables: &Path) -> PathBuf {
    for _ in 0..600 {
        let found = fs::read_dir(tables)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let largest = found.max_by_key(|path| fs::metadata(path).map_or(0, |it| it.len()));
        if let Some(path) = largest.filter(|path| fs::metadata(path).is_ok_and(|it| it.len() > 0)) {
            return path;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("nothing was written to a table in a minute");
}

#[test]
fn a_worker_that_was_closed_leaves_the_store_to_be_closed() {
    let temporary = tempfile::tempdir().unwrap();
    let fjall = Arc::new(open(temporary.path()).unwrap());
    let mut worker = Worker::start(fjall.clone(), WorkerOptions::default(), || ()).unwrap();
    for number in 0..100 {
        let at = place(number);
        let bytes = Some(text(number).into());
        let space = Space::Objects;
        let batch = Batch {
            changes: [Change { space, at, bytes }].into_iter().collect(),
            durability: Durability::Memory,
            may_use_reserve: false,
        };
        worker
            .submit(Op(number as u64), Command::Write(batch))
            .unwrap();
    }
    worker.close().unwrap();
    Arc::into_inner(fjall).unwrap().close().unwrap();
    let fjall = open(temporary.path()).unwrap();
    assert_eq!(fjall.directory().found(), Found::Closed);
    assert!((0..100).all(|number| is_there(&fjall, number)));
}

#[test]
fn what_is_no_journal_is_no_store() {
    let store = filled(1);
    let mut journal = File::options()
        .append(true)
        .open(journal(store.path()))
        .unwrap();
    journal
        .write_all(b"something that no flush ever covered")
        .unwrap();
    assert!(is_there(&open(store.path()).unwrap(), 0));
}

#[test]
fn what_has_still_to_become_a_table_is_no_room() {
    const MIB: u64 = 1 << 20;
    let temporary = tempfile::tempdir().unwrap();
    let fjall = open(temporary.path()).unwrap();
    for position in 0..32 {
        let value = vec![7; MIB as usize];
        put(&fjall, position, value, Durability::Memory).unwrap();
    }
    // Others write to this disk too, and not so much in a moment.
    let free = FreeSpace::of(temporary.path()).free().unwrap();
    assert!(fjall.free().unwrap() + 16 * MIB < free);
}

/// A disk of so many bytes with nothing on it but the store.
struct SmallDisk {
    store: Arc<Fjall>,
    path: PathBuf,
    bytes: u64,
}

impl Room for SmallDisk {
    fn free(&self) -> io::Result<u64> {
        Ok(self.bytes.saturating_sub(size_of(&self.path)))
    }

    fn reclaim(&self, free: u64) {
        self.store.reclaim(free);
    }
}

/// Of all files, as far as they are there still.
fn size_of(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).map_or(0, |it| it.blocks() * 512);
    };
    entries.map(|entry| size_of(&entry.unwrap().path())).sum()
}

#[test]
fn a_store_that_was_full_and_was_emptied_takes_writes_again() {
    const MIB: u64 = 1 << 20;
    // A journal takes a fifth of it, and the reserve another.
    const BYTES: u64 = 320 * MIB;
    let temporary = tempfile::tempdir().unwrap();
    let store = Arc::new(open(temporary.path()).unwrap());
    let disk = SmallDisk {
        store: store.clone(),
        path: temporary.path().into(),
        bytes: BYTES,
    };
    let guarded = Reserve::new(store, disk, 64 * MIB);
    let mut progress = Instant::now();
    let (mut written, mut refused) = (0, 0);
    while written < 2 * BYTES {
        let mut position = 0;
        let put_next = |at| put(&guarded, at, vec![7; MIB as usize], Durability::Memory).is_ok();
        while put_next(position) {
            position += 1;
            written += MIB;
            progress = Instant::now();
        }
        refused += 1;
        let all = Span::of_positions(0..=position);
        let deleted = guarded.delete(Space::Objects, &all, Durability::Memory);
        assert_eq!(deleted, Ok(Durability::Memory));
        thread::sleep(Duration::from_millis(100));
        let mib = written / MIB;
        assert!(
            progress.elapsed() < Duration::from_secs(100),
            "{mib} MiB, then full"
        );
    }
    assert!(refused > 1, "it was never full");
}
