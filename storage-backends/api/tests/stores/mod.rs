//! For the tests of engines that keep a store in a directory: short words, and what holds of all.

use std::fmt::{Debug, Display};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space, WriteError};
use dynamo_proto::{ClusterId, Durability, NodeId};
use dynamo_storage::directory::{Directory, Found, Opening, Owner};
use dynamo_storage::{BackUp, Backend, Write};
use tempfile::TempDir;

pub(crate) const OWNER: Owner = Owner {
    cluster: ClusterId(7),
    node: NodeId(1),
};

/// Such an engine.
pub(crate) trait OnDisk: Backend + BackUp + Sync + Sized {
    type Error: Debug + Display;

    /// With its usual options.
    fn open(path: &Path, opening: Opening) -> Result<Self, Self::Error>;
    fn directory(&self) -> &Directory;
    fn close(self);
}

pub(crate) const FLUSHED: Durability = Durability::Flushed;

/// All the files as they are now.
pub(crate) fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn place(position: u128) -> Address {
    Address {
        position,
        name: Bytes::from_static(b"cart"),
    }
}

pub(crate) fn put(
    backend: &impl Backend,
    position: u128,
    bytes: impl Into<Bytes>,
    durability: Durability,
) -> Result<Durability, WriteError> {
    let change = Change {
        space: Space::Objects,
        at: place(position),
        bytes: Some(bytes.into()),
    };
    let mut group = [Write::from(Batch {
        changes: [change].into_iter().collect(),
        durability,
        may_use_reserve: false,
    })];
    backend.write(&mut group);
    group[0].answer
}

pub(crate) fn read(backend: &impl Backend, position: u128) -> ReadOutcome {
    backend.read(Space::Objects, &place(position))
}

/// What is put at a place when nothing else is said.
pub(crate) fn text(position: u128) -> String {
    format!("value {position} {}", "x".repeat(200))
}

pub(crate) fn is_there(backend: &impl Backend, position: u128) -> bool {
    read(backend, position) == ReadOutcome::Found(text(position).into())
}

/// Makes a test of each of the functions below, for one engine.
macro_rules! hold_of {
    ($engine:ty: $($requirement:ident)*) => {
        $(
            #[test]
            fn $requirement() {
                stores::$requirement::<$engine>();
            }
        )*
    };
}
pub(crate) use hold_of;

pub(crate) fn open<B: OnDisk>(path: &Path) -> Result<B, B::Error> {
    B::open(path, Opening::InPlace)
}

pub(crate) fn adopt<B: OnDisk>(path: &Path) -> Result<B, B::Error> {
    B::open(path, Opening::Adopt)
}

/// Closed, with so many values.
pub(crate) fn filled<B: OnDisk>(values: u128) -> TempDir {
    let temporary = tempfile::tempdir().unwrap();
    let store: B = open(temporary.path()).unwrap();
    for position in 0..values {
        let is_last = position + 1 == values;
        let durability = if is_last { FLUSHED } else { Durability::Memory };
        put(&store, position, text(position), durability).unwrap();
    }
    store.close();
    temporary
}

pub(crate) fn a_store_that_holds_nothing_opens_again<B: OnDisk>() {
    let temporary = tempfile::tempdir().unwrap();
    for found in [Found::Empty, Found::Closed, Found::Closed] {
        let store: B = open(temporary.path()).unwrap();
        assert_eq!(store.directory().found(), found);
        store.close();
    }
}

pub(crate) fn one_process_at_a_time<B: OnDisk>() {
    let store = filled::<B>(1);
    let first: B = open(store.path()).unwrap();
    let Err(error) = open::<B>(store.path()) else {
        panic!("opened twice");
    };
    let said = error.to_string();
    assert!(said.contains("is in use by process"), "{said}");
    first.close();
    let again: B = open(store.path()).unwrap();
    assert_eq!(again.directory().found(), Found::Closed);
}

pub(crate) fn a_store_that_was_rolled_back_is_noticed<B: OnDisk>() {
    let store = filled::<B>(3);
    let data = store.path().join("data");
    let before = copy(&data);
    let changed: B = open(store.path()).unwrap();
    put(&changed, 3, text(3), FLUSHED).unwrap();
    changed.close();
    fs::remove_dir_all(&data).unwrap();
    fs::rename(before.path(), data).unwrap();
    let Err(error) = open::<B>(store.path()) else {
        panic!("opened");
    };
    let said = error.to_string();
    assert!(
        said.contains("has lost writes that it had flushed"),
        "{said}"
    );
}

/// Neither with nothing in its place, nor with a part.
pub(crate) fn files_that_are_missing_are_not_taken_for_an_empty_store<B: OnDisk>() {
    for with_directory in [false, true] {
        let store = filled::<B>(3);
        let data = store.path().join("data");
        fs::remove_dir_all(&data).unwrap();
        if with_directory {
            fs::create_dir(&data).unwrap();
        }
        let Err(error) = open::<B>(store.path()) else {
            panic!("opened");
        };
        let said = error.to_string();
        assert!(
            said.contains("is missing, and the store had been made"),
            "{said}"
        );
    }
}

pub(crate) fn a_backup_is_of_one_moment_and_opens_as_a_new_boot<B: OnDisk>() {
    const ROUNDS: u64 = 300;
    let store = filled::<B>(500);
    let source: B = open(store.path()).unwrap();
    let target = tempfile::tempdir().unwrap();
    // Each round writes all anew, so one moment is of one round, or of one and the next.
    let write_round = |round: u64| {
        for position in 0..20 {
            put(&source, position, round.to_string(), Durability::Memory).unwrap();
        }
    };
    write_round(0);
    let rounds = AtomicU64::new(0);
    let copied = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..ROUNDS {
                write_round(round);
                rounds.store(round, Ordering::SeqCst);
            }
        });
        while rounds.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
        let copied = source
            .back_up(target.path(), &mut |_| std::ops::ControlFlow::Continue(()))
            .unwrap();
        writer.join().unwrap();
        copied
    });
    assert_eq!((copied.items, copied.damaged.len()), (500, 0));

    let elsewhere = copy(target.path());
    let restored: B = open(elsewhere.path()).unwrap();
    assert_eq!(restored.directory().found(), Found::Copied);
    assert!(restored.directory().generation() > source.directory().generation());
    assert!((20..500).all(|position| is_there(&restored, position)));
    let rounds: Vec<_> = (0..20).map(|position| read(&restored, position)).collect();
    let changes = rounds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes <= 1, "a backup of several moments: {rounds:?}");
    // The backup can be restored again, and its source goes on.
    let again: B = open(target.path()).unwrap();
    assert_eq!(again.directory().found(), Found::Copied);
    put(&source, 1, "on", FLUSHED).unwrap();
}
