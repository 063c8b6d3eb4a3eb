//! A disk that is full, and what a reserve is for.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dynamo_faults::{Disk, Scratch};
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space, WriteError};
use dynamo_proto::{ClusterId, Durability, NodeId};
use dynamo_storage::directory::{Opening, Owner};
use dynamo_storage::{Backend, Reserve, Room, Write};
use dynamo_storage_fjall::Fjall;
use dynamo_storage_redb::Redb;

const MIB: u64 = 1 << 20;
const VALUE: usize = 64 << 10;

const OWNER: Owner = Owner {
    cluster: ClusterId(7),
    node: NodeId(1),
};

/// What a disk has left, beside an engine that may give some back.
struct Left<B> {
    disk: Arc<Disk>,
    engine: Arc<B>,
    reclaim: fn(&B, u64),
}

impl<B: Send + Sync> Room for Left<B> {
    fn free(&self) -> io::Result<u64> {
        Ok(self.disk.free())
    }

    fn reclaim(&self, free: u64) {
        (self.reclaim)(&self.engine, free);
    }
}

/// An engine, how large its disk is, and how much of it is kept free.
struct Stage<B> {
    open: fn(&Path) -> B,
    reclaim: fn(&B, u64),
    bytes: u64,
    reserve: u64,
}

/// Collects little in memory; its journal takes up to 64 MiB. While tables are merged on a busy machine
/// both old and new ones are there: a reserve of 32 MiB of 180 was eaten up so, once.
const FJALL: Stage<Fjall> = Stage {
    open: |path| {
        let reserve = FJALL.reserve;
        let options = dynamo_storage_fjall::Options::with_reserve(reserve);
        Fjall::open(path, OWNER, Opening::InPlace, options).unwrap()
    },
    reclaim: |fjall, free| fjall.reclaim(free),
    bytes: 260 * MIB,
    reserve: 96 * MIB,
};

/// Gives back room when it is opened.
const REDB: Stage<Redb> = Stage {
    open: |path| Redb::open(path, OWNER, Opening::InPlace, Default::default()).unwrap(),
    reclaim: |_, _| {},
    bytes: 40 * MIB,
    reserve: 16 * MIB,
};

fn place(position: u128) -> Address {
    Address {
        position,
        name: "cart".into(),
    }
}

fn write(
    store: &impl Backend,
    position: u128,
    bytes: Option<Bytes>,
    may_use_reserve: bool,
) -> Result<Durability, WriteError> {
    let change = Change {
        space: Space::Objects,
        at: place(position),
        bytes,
    };
    let mut group = [Write::from(Batch {
        changes: [change].into_iter().collect(),
        durability: Durability::Flushed,
        may_use_reserve,
    })];
    store.write(&mut group);
    group[0].answer
}

fn value(seed: u128) -> Bytes {
    vec![seed as u8; VALUE].into()
}

/// So many writes until the first that was not done, and why it was not.
fn fill(store: &impl Backend, seed: u128) -> (u128, WriteError) {
    for position in 0.. {
        if let Err(error) = write(store, position, Some(value(seed + position)), false) {
            return (position, error);
        }
    }
    unreachable!("a disk has an end")
}

fn filled_and_emptied<B: Backend + Sync + 'static>(stage: &Stage<B>) {
    let mut scratch = Scratch::new().unwrap();
    let root = scratch.directory().unwrap();
    let disk = Arc::new(Disk::watch(&root, &scratch.part()).unwrap());
    disk.limit(stage.bytes);
    for round in 0..3 {
        let engine = Arc::new((stage.open)(&root));
        let room = Left {
            disk: disk.clone(),
            engine: engine.clone(),
            reclaim: stage.reclaim,
        };
        let store = Reserve::new(engine, room, stage.reserve);
        let start = Instant::now();
        while write(&store, 0, Some(value(0)), false) == Err(WriteError::Full) {
            assert!(start.elapsed() < Duration::from_secs(60), "full for good");
            thread::sleep(Duration::from_millis(50));
        }
        let (count, error) = fill(&store, round);
        assert_eq!(error, WriteError::Full, "round {round}, after {count}");
        println!("round {round}: {count} values");
        // What is there can be read and put right, and there is room for what other nodes send.
        for position in 0..count {
            let found = store.read(Space::Objects, &place(position));
            assert!(
                found == ReadOutcome::Found(value(round + position)),
                "{position}"
            );
        }
        for position in 0..8 {
            let repaired = write(&store, count + position, Some(value(7)), true);
            assert_eq!(repaired, Ok(Durability::Flushed));
        }
        for position in 0..count + 8 {
            let deleted = write(&store, position, None, false);
            assert_eq!(deleted, Ok(Durability::Flushed));
        }
        assert!(disk.free() > 0, "the reserve was eaten up");
    }
}

#[test]
fn fjall_is_filled_and_emptied_again_and_again() {
    filled_and_emptied(&FJALL);
}

#[test]
fn redb_is_filled_and_emptied_again_and_again() {
    filled_and_emptied(&REDB);
}

/// The same without a reserve: the disk does end there, and it ends the store, but what was flushed
/// is there when there is room again.
fn ended_without_reserve<B: Backend>(stage: &Stage<B>) {
    let mut scratch = Scratch::new().unwrap();
    let root = scratch.directory().unwrap();
    let disk = Disk::watch(&root, &scratch.part()).unwrap();
    disk.limit(stage.bytes);
    let store = (stage.open)(&root);
    let (count, error) = fill(&store, 0);
    assert_eq!(error, WriteError::FlushFailed, "after {count}");
    drop(store);
    disk.limit(2 * stage.bytes);
    let store = (stage.open)(&root);
    for position in 0..count {
        let found = store.read(Space::Objects, &place(position));
        assert!(found == ReadOutcome::Found(value(position)), "{position}");
    }
}

#[test]
fn a_disk_without_room_ends_a_store_that_keeps_no_reserve() {
    ended_without_reserve(&FJALL);
    ended_without_reserve(&REDB);
}
