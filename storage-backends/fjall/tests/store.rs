//! What becomes of a store that is damaged, torn, rolled back, copied, or backed up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{OWNER, adopt, copy, open, place, put};
use dynamo_proto::Durability;
use dynamo_proto::node::Op;
use dynamo_proto::store::{Batch, Change, Command, ReadOutcome, Space};
use dynamo_storage::directory::{DirectoryError, Found, Opening};
use dynamo_storage::worker::{Worker, WorkerOptions};
use dynamo_storage::{BackUp as _, Backend, Item, Scan, Span};
use dynamo_storage_fjall::{Fjall, OpenError, Options};
use tempfile::TempDir;

const FLUSHED: Durability = Durability::Flushed;

fn text(position: u128) -> String {
    format!("value {position} {}", "x".repeat(200))
}

fn read(fjall: &Fjall, position: u128) -> ReadOutcome {
    fjall.read(Space::Objects, &place(position))
}

fn is_there(fjall: &Fjall, position: u128) -> bool {
    read(fjall, position) == ReadOutcome::Found(text(position).into())
}

/// Closed, with so many values in its journal.
fn filled(values: u128) -> TempDir {
    let temporary = tempfile::tempdir().unwrap();
    let fjall = open(temporary.path()).unwrap();
    for position in 0..values {
        put(&fjall, position, text(position), FLUSHED).unwrap();
    }
    fjall.close().unwrap();
    temporary
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

#[test]
fn a_store_that_was_rolled_back_is_noticed() {
    let store = filled(3);
    let before = copy(&store.path().join("data"));
    let fjall = open(store.path()).unwrap();
    put(&fjall, 3, text(3), FLUSHED).unwrap();
    fjall.close().unwrap();
    fs::remove_dir_all(store.path().join("data")).unwrap();
    fs::rename(before.path(), store.path().join("data")).unwrap();
    assert!(matches!(
        open(store.path()),
        Err(OpenError::Directory(DirectoryError::Lost { .. }))
    ));
    fs::remove_dir_all(store.path().join("data")).unwrap();
    assert!(matches!(
        open(store.path()),
        Err(OpenError::Directory(DirectoryError::Lost { .. }))
    ));
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
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("nothing was written to a table in a minute");
}

#[test]
fn a_backup_is_of_one_moment_and_opens_as_a_new_boot() {
    let store = filled(500);
    let fjall = open(store.path()).unwrap();
    let target = tempfile::tempdir().unwrap();
    // Each round writes all anew, so one moment is of one round, or of one and the next.
    let write_round = |round: u64| {
        for position in 0..20 {
            put(&fjall, position, round.to_string(), Durability::Memory).unwrap();
        }
    };
    write_round(0);
    let rounds = AtomicU64::new(0);
    let copied = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..500 {
                write_round(round);
                rounds.store(round, Ordering::SeqCst);
            }
        });
        while rounds.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
        let copied = fjall.back_up(target.path()).unwrap();
        writer.join().unwrap();
        copied
    });
    assert_eq!((copied.items, copied.damaged.len()), (500, 0));

    let elsewhere = copy(target.path());
    let restored = open(elsewhere.path()).unwrap();
    assert_eq!(restored.directory().found(), Found::Copied);
    assert!(restored.directory().generation() > fjall.directory().generation());
    assert!((20..500).all(|position| is_there(&restored, position)));
    let rounds: Vec<_> = (0..20).map(|position| read(&restored, position)).collect();
    let changes = rounds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes <= 1, "a backup of several moments: {rounds:?}");
    // The backup can be restored again, and its source goes on.
    assert_eq!(
        open(target.path()).unwrap().directory().found(),
        Found::Copied
    );
    put(&fjall, 1, "on", FLUSHED).unwrap();
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
