//! Any bit of a store may turn. It is reported: the record is damaged, or the store is. It never
//! makes a record absent, nor another record of it, not even an older one.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dynamo_faults::{Dice, Disk, Engine, Fault, Operation, Order, Scratch, engines, named};
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space};
use dynamo_proto::version::{
    Births, Boot, Content, Policy, Record, RequestId, Retirements, Rules, Write as Version,
};
use dynamo_proto::{ClusterId, Durability, Limits, NodeId, WallTime};
use dynamo_storage::directory::{Opening, Owner};
use dynamo_storage::{Backend, Item, Scan, Span, Write};
use dynamo_storage_redb::{Options, Redb};

const PLACES: u128 = 30;

/// A store with some versions of each record, closed, and what is in it.
struct Store {
    engine: Engine,
    root: PathBuf,
    scratch: Scratch,
    records: BTreeMap<Address, Bytes>,
}

/// How often a turned bit was what.
#[derive(Debug, Default)]
struct Tally {
    /// The store would not open.
    refused: usize,
    /// The engine said that a record is damaged, or could not read it.
    reported: usize,
    /// The core says it, of what the engine handed out.
    undecodable: usize,
    /// Nothing that anybody looked at.
    harmless: usize,
}

impl Store {
    fn new(engine: Engine) -> Self {
        let mut scratch = Scratch::new().unwrap();
        let root = scratch.directory().unwrap();
        let mut records = BTreeMap::new();
        let store = (engine.open)(&root).unwrap();
        for version in 0..3 {
            for position in 0..PLACES {
                let at = Address {
                    position: position << 120,
                    name: format!("cart {position}").into(),
                };
                let bytes = record(&at, version);
                let change = Change {
                    space: Space::Objects,
                    at: at.clone(),
                    bytes: Some(bytes.clone()),
                };
                let mut group = [Write::from(Batch {
                    changes: [change].into_iter().collect(),
                    durability: Durability::Flushed,
                    may_use_reserve: false,
                })];
                store.write(&mut group);
                assert_eq!(group[0].answer, Ok(Durability::Flushed));
                records.insert(at, bytes);
            }
        }
        Self {
            engine,
            root,
            scratch,
            records,
        }
    }

    /// Opens it, lets something happen to it then, and reads all of it.
    fn examine(&self, root: &Path, tally: &mut Tally, happen: impl FnOnce()) -> Result<(), String> {
        let examined = catch_unwind(AssertUnwindSafe(|| {
            let Ok(store) = (self.engine.open)(root) else {
                tally.refused += 1;
                return Ok(());
            };
            happen();
            let before = tally.reported + tally.undecodable;
            for at in self.records.keys() {
                self.judge(at, store.read(Space::Objects, at), tally)?;
            }
            let mut shown = Vec::new();
            for item in Scan::new(&*store, Space::Objects, Span::all()) {
                match item {
                    Ok(Item::Found { at, bytes }) => {
                        self.judge(&at, ReadOutcome::Found(bytes), tally)?;
                        shown.push(Span::of_one(at));
                    }
                    Ok(Item::Corrupt(within)) => {
                        tally.reported += 1;
                        shown.push(within);
                    }
                    Err(_) => {
                        tally.reported += 1;
                        return Ok(());
                    }
                }
            }
            for at in self.records.keys() {
                if !shown.iter().any(|span| span.contains(at)) {
                    return Err(format!("a scan passes over {at:?}"));
                }
            }
            tally.harmless += usize::from(tally.reported + tally.undecodable == before);
            Ok(())
        }));
        examined.unwrap_or_else(|_| Err("the engine panicked".into()))
    }

    fn judge(&self, at: &Address, outcome: ReadOutcome, tally: &mut Tally) -> Result<(), String> {
        match outcome {
            ReadOutcome::Found(bytes) => {
                if self.records.get(at) == Some(&bytes) {
                    return Ok(());
                }
                // Bytes at an address that does not fit them are refused by the core as well.
                if Record::decode(at, bytes).is_ok() {
                    return Err(format!("{at:?} holds what was not written last"));
                }
                tally.undecodable += 1;
            }
            ReadOutcome::Absent => return Err(format!("{at:?} is absent")),
            ReadOutcome::Corrupt | ReadOutcome::Failed => tally.reported += 1,
        }
        Ok(())
    }

    /// Turns one bit of the files at a time, before it is opened or while it is open.
    fn turn_on_disk(
        &mut self,
        turns: usize,
        is_open: bool,
        dice: &mut Dice,
    ) -> Result<Tally, String> {
        let mut tally = Tally::default();
        let mut files = Vec::new();
        list(&self.root, Path::new(""), &mut files);
        let total: u64 = files.iter().map(|(_, len)| len).sum();
        for _ in 0..turns {
            // Half of the turns hit any byte, half any file, which may be small.
            let (file, at) = if dice.below(2) == 0 {
                let mut at = dice.any() % total;
                let mut all = files.iter();
                loop {
                    let (file, len) = all.next().unwrap();
                    if at < *len {
                        break (file, at);
                    }
                    at -= len;
                }
            } else {
                let (file, len) = &files[dice.below(files.len())];
                (file, dice.any() % len)
            };
            let bit = dice.below(8);
            let copy = self.scratch.part();
            copy_tree(&self.root, &copy);
            let turn = || turn(&copy.join(file), at, bit);
            let examined = if is_open {
                self.examine(&copy, &mut tally, turn)
            } else {
                turn();
                self.examine(&copy, &mut tally, || ())
            };
            examined
                .map_err(|how| format!("bit {bit} of byte {at} of {}: {how}", file.display()))?;
            fs::remove_dir_all(copy).unwrap();
        }
        Ok(tally)
    }

    /// Turns one bit of what a read returns at a time.
    fn turn_on_the_way(&mut self, turns: usize, dice: &mut Dice) -> Result<Tally, String> {
        let mut tally = Tally::default();
        let mut obeyed = 0;
        for _ in 0..turns {
            // Mostly early: some engines read all at once.
            let reach = 1 << dice.below(7);
            let root = self.scratch.part();
            copy_tree(&self.root, &root);
            let disk = Disk::watch(&root, &self.scratch.part()).unwrap();
            let order = Order {
                operation: Operation::Read,
                fault: Fault::Flip(dice.any()),
                after: dice.below(reach),
                times: 1,
            };
            disk.order(order);
            self.examine(&root, &mut tally, || ())
                .map_err(|how| format!("{order:?}: {how}"))?;
            obeyed += disk.obeyed();
        }
        assert!(obeyed > 0, "nothing was read");
        Ok(tally)
    }
}

fn record(at: &Address, version: u128) -> Bytes {
    let (limits, retired) = (Limits::default(), Retirements::default());
    let rules = Rules {
        policy: Policy::Siblings,
        truncate_to: None,
        limits: &limits,
        retired: &retired,
    };
    let mut births = Births::new(NodeId(1), Boot(7));
    let mut record = Record::default();
    let text = format!("{version} of {at:?} ").repeat(4);
    let write = Version {
        past: None,
        content: Content::plain(text.into_bytes()),
        request: RequestId(version),
    };
    let now = WallTime::from_secs(1_000_000);
    record.mint(write, now, &mut births, &rules).unwrap();
    record.encode(at)
}

fn list(root: &Path, inner: &Path, files: &mut Vec<(PathBuf, u64)>) {
    for entry in fs::read_dir(root.join(inner)).unwrap() {
        let entry = entry.unwrap();
        let inner = inner.join(entry.file_name());
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            list(root, &inner, files);
        } else if metadata.len() > 0 {
            files.push((inner, metadata.len()));
        }
    }
    files.sort();
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &copy);
        } else {
            fs::copy(entry.path(), copy).unwrap();
        }
    }
}

fn turn(file: &Path, at: u64, bit: usize) {
    let opened = File::options().read(true).write(true).open(file);
    // An engine that was opened may have thrown it away.
    let Ok(file) = opened else { return };
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 1 << bit;
    file.write_all_at(&byte, at).unwrap();
}

#[test]
fn a_bit_that_turns_on_disk_is_reported() {
    for engine in engines() {
        let tally = Store::new(engine).turn_on_disk(200, false, &mut Dice::new(1));
        let tally = tally.unwrap_or_else(|how| panic!("{}: {how}", engine.name));
        println!("{}: {tally:?}", engine.name);
        let noticed = tally.refused + tally.reported + tally.undecodable;
        assert!(noticed > 0, "{}: {tally:?}", engine.name);
    }
}

/// So little of its file is in memory that it is read again and again.
fn forgetful_redb() -> Engine {
    let open = |path: &Path| {
        let owner = Owner {
            cluster: ClusterId(7),
            node: NodeId(1),
        };
        let options = Options {
            cache_bytes: 64 << 10,
            ..Options::default()
        };
        let redb = Redb::open(path, owner, Opening::Adopt, options);
        Ok(Box::new(redb.map_err(io::Error::other)?) as _)
    };
    Engine {
        name: "redb with little memory",
        open,
    }
}

#[test]
fn a_bit_that_turns_while_the_store_is_open_is_reported() {
    let others = engines().into_iter().filter(|it| it.name != "redb");
    for engine in others.chain([forgetful_redb()]) {
        let tally = Store::new(engine).turn_on_disk(60, true, &mut Dice::new(3));
        let tally = tally.unwrap_or_else(|how| panic!("{}: {how}", engine.name));
        println!("{}: {tally:?}", engine.name);
        let noticed = tally.reported + tally.undecodable;
        assert!(noticed > 0, "{}: {tally:?}", engine.name);
    }
}

#[test]
fn a_bit_that_turns_on_the_way_is_reported() {
    for engine in engines() {
        let tally = Store::new(engine).turn_on_the_way(200, &mut Dice::new(2));
        let tally = tally.unwrap_or_else(|how| panic!("{}: {how}", engine.name));
        println!("{}: {tally:?}", engine.name);
        let noticed = tally.refused + tally.reported + tally.undecodable;
        assert!(noticed > 0, "{}: {tally:?}", engine.name);
    }
}

#[test]
fn an_engine_that_calls_damage_absent_is_caught() {
    let planted = named("calls-damage-absent").unwrap();
    let broken = Store::new(planted).turn_on_the_way(200, &mut Dice::new(2));
    assert!(broken.is_err_and(|how| how.ends_with("is absent")));
}

#[test]
fn an_engine_that_cuts_off_what_rotted_is_caught() {
    let planted = named("calls-rot-a-tail").unwrap();
    let broken = Store::new(planted).turn_on_disk(200, false, &mut Dice::new(1));
    assert!(broken.is_err());
}
