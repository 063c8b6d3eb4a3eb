//! Reads, writes and flushes fail, and nothing is made of it that is not so.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;

use dynamo_faults::{Disk, Engine, Fault, Operation, Order, Scratch, Store, engines, named};
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space, WriteError};
use dynamo_storage::{Backend, Item, Scan, Span, Write};

const PLACES: u128 = 40;

/// A store on a disk that does as it is told, with something flushed at each place.
struct Stage {
    store: Store,
    disk: Disk,
    engine: Engine,
    root: PathBuf,
    scratch: Scratch,
}

impl Stage {
    fn new(engine: Engine) -> Self {
        let mut scratch = Scratch::new().unwrap();
        let root = scratch.directory().unwrap();
        let disk = Disk::watch(&root, &scratch.part()).unwrap();
        let store = (engine.open)(&root).unwrap();
        for position in 0..PLACES {
            let written = write(&*store, position, "first", Durability::Flushed);
            assert_eq!(written, Ok(Durability::Flushed), "{}", engine.name);
        }
        Self {
            store,
            disk,
            engine,
            root,
            scratch,
        }
    }

    /// Goes on without what it has in memory.
    fn reopen(self) -> Self {
        let Self {
            store,
            engine,
            root,
            ..
        } = self;
        drop(store);
        let store = (engine.open)(&root).unwrap();
        Self {
            store,
            root,
            ..self
        }
    }

    fn order(&self, operation: Operation, error: i32, after: usize, times: usize) {
        let fault = Fault::Fail(error);
        self.disk.order(Order {
            operation,
            fault,
            after,
            times,
        });
    }

    /// Cuts the power, and goes on with what that leaves.
    fn cut_power(mut self) -> Self {
        let root = self.scratch.part();
        self.disk.restore(&root, None).unwrap();
        drop(self.store);
        self.disk = Disk::watch(&root, &self.scratch.part()).unwrap();
        self.store = (self.engine.open)(&root).unwrap();
        self.root = root;
        self
    }
}

fn place(position: u128) -> Address {
    Address {
        position,
        name: "cart".into(),
    }
}

fn write(
    store: &dyn Backend,
    position: u128,
    text: &'static str,
    durability: Durability,
) -> Result<Durability, WriteError> {
    let change = Change {
        space: Space::Objects,
        at: place(position),
        bytes: Some(text.into()),
    };
    let mut group = [Write::from(Batch {
        changes: [change].into_iter().collect(),
        durability,
        may_use_reserve: false,
    })];
    store.write(&mut group);
    let [write] = group;
    write.answer
}

fn read(store: &dyn Backend, position: u128) -> ReadOutcome {
    store.read(Space::Objects, &place(position))
}

fn found(text: &'static str) -> ReadOutcome {
    ReadOutcome::Found(text.into())
}

#[test]
fn what_could_not_be_read_is_not_absent() {
    for engine in engines() {
        let mut stage = Stage::new(engine);
        let mut noticed = 0;
        for after in 0..40 {
            // While it is opened, or once it is open.
            if after % 2 == 0 {
                stage.order(Operation::Read, libc::EIO, after / 2, 3);
                drop(stage.store);
                let opened = (engine.open)(&stage.root);
                noticed += usize::from(opened.is_err());
                stage.store = opened.unwrap_or_else(|_| {
                    stage.disk.relent();
                    (engine.open)(&stage.root).unwrap()
                });
            } else {
                stage = stage.reopen();
                stage.order(Operation::Read, libc::EIO, after / 2, 3);
            }
            noticed +=
                look_for_all(&*stage.store).unwrap_or_else(|how| panic!("{}: {how}", engine.name));
            stage.disk.relent();
        }
        let obeyed = stage.disk.obeyed();
        println!(
            "{}: {obeyed} reads failed, which was noticed {noticed} times",
            engine.name
        );
        assert!(obeyed > 0 && noticed > 0, "{}", engine.name);
    }
}

/// How many could not be read. All others are there, in reads and in a scan.
fn look_for_all(store: &dyn Backend) -> Result<usize, String> {
    let mut noticed = 0;
    for position in 0..PLACES {
        match read(store, position) {
            ReadOutcome::Found(bytes) if bytes == "first" => {}
            ReadOutcome::Failed | ReadOutcome::Corrupt => noticed += 1,
            outcome => return Err(format!("{position} reads as {outcome:?}")),
        }
    }
    let scanned: Result<Vec<_>, _> = Scan::new(store, Space::Objects, Span::all()).collect();
    let Ok(items) = scanned else {
        return Ok(noticed + 1);
    };
    for position in 0..PLACES {
        let is_shown = items.iter().any(|item| match item {
            Item::Found { at, .. } => *at == place(position),
            Item::Corrupt(within) => within.contains(&place(position)),
        });
        if !is_shown {
            return Err(format!("a scan misses {position}"));
        }
    }
    Ok(noticed)
}

#[test]
fn what_found_no_room_is_not_taken_and_what_was_taken_stays() {
    for engine in engines() {
        for error in [libc::ENOSPC, libc::EIO] {
            for after in 0..4 {
                let stage = Stage::new(engine);
                stage.order(Operation::Write, error, after, usize::MAX);
                let mut refused = Vec::new();
                for position in 0..PLACES / 2 {
                    let written = write(&*stage.store, position, "second", Durability::Flushed);
                    if written != Ok(Durability::Flushed) {
                        refused.push(position);
                    }
                }
                assert!(
                    refused.len() as u128 >= PLACES / 2 - 4,
                    "{}: writes that failed were answered flushed",
                    engine.name
                );
                stage.disk.relent();
                let stage = stage.cut_power();
                for position in 0..PLACES {
                    let outcome = read(&*stage.store, position);
                    let is_new = position < PLACES / 2;
                    let may_be_old = !is_new || refused.contains(&position);
                    assert!(
                        (is_new && outcome == found("second"))
                            || (may_be_old && outcome == found("first")),
                        "{}: {position} reads as {outcome:?}",
                        engine.name
                    );
                }
                let written = write(&*stage.store, 1, "third", Durability::Flushed);
                assert_eq!(written, Ok(Durability::Flushed), "{}", engine.name);
            }
        }
    }
}

/// Whichever flush it is, of whichever file or directory.
fn check_failing_flushes(engine: Engine) -> Result<(), String> {
    for after in 0..12 {
        let stage = Stage::new(engine);
        stage.order(Operation::Flush, libc::EIO, after, 1);
        let mut flushed = Vec::new();
        let mut has_failed = false;
        for position in 0..PLACES {
            let written = write(&*stage.store, position, "second", Durability::Flushed);
            has_failed |= written.is_err();
            if has_failed && written != Err(WriteError::FlushFailed) {
                return Err(format!(
                    "after the failed flush a write was answered {written:?}"
                ));
            }
            if written.is_ok() {
                flushed.push(position);
            }
        }
        if !has_failed && stage.disk.obeyed() > 0 {
            return Err("nobody was told of the failed flush".into());
        }
        let stage = stage.cut_power();
        for position in flushed {
            let outcome = read(&*stage.store, position);
            if outcome != found("second") {
                return Err(format!("{position}, once flushed, reads as {outcome:?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn a_failed_flush_is_final_and_takes_nothing_that_was_flushed() {
    for engine in engines() {
        let checked = check_failing_flushes(engine);
        assert_eq!(checked, Ok(()), "{}", engine.name);
    }
    let planted = check_failing_flushes(named("flushes-again").unwrap());
    assert!(planted.is_err(), "a flush after a failed one was believed");
}
