//! Whole clusters on real storage engines, in temporary directories: the engines and the
//! simulator's invented disk agree on all that is read, scanned and left after a stop, and so the
//! runs are the same.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use dynamo_proto::store::{Address, Limit, Page, ReadOutcome, ScanFailed, Space, Span};
use dynamo_proto::{ClusterId, Durability, NodeId};
use dynamo_sim::{Count, Fault, FaultClass, FaultKind, Scenario, Stop, Wishes};

use dynamo_storage::directory::{Opening, Owner};
use dynamo_storage::{Backend, Write};
use dynamo_storage_buffered::{Bounds, Buffered};
use dynamo_storage_fjall::Fjall;
use dynamo_storage_memory::Memory;
use dynamo_storage_redb::Redb;
use tempfile::TempDir;

/// All that goes wrong elsewhere than on a disk.
const FAULTS: [FaultClass; 8] = [
    FaultClass::Cuts,
    FaultClass::Partitions,
    FaultClass::Severs,
    FaultClass::Stops,
    FaultClass::Pauses,
    FaultClass::Slowness,
    FaultClass::Clocks,
    FaultClass::Noise,
];

const SEEDS: u64 = 6;

fn owner(machine: usize) -> Owner {
    Owner {
        cluster: ClusterId(7),
        node: NodeId(machine as u64),
    }
}

fn fjall(root: &TempDir, machine: usize) -> Fjall {
    let options = dynamo_storage_fjall::Options {
        cache_bytes: 1 << 20,
        // So small that tables are written and merged.
        memtable_bytes: 16 << 10,
    };
    let path = root.path().join(machine.to_string());
    Fjall::open(&path, owner(machine), Opening::InPlace, options).unwrap()
}

/// Runs seeds with and without engines, and says how often machines were stopped.
fn check<B: Backend + 'static>(
    best: Durability,
    open: impl Fn(&TempDir, usize) -> B + Copy + 'static,
) -> u64 {
    let mut stops = 0;
    for seed in 0..SEEDS {
        let wishes = Wishes {
            length: Some(Duration::from_secs(10)),
            ops: Some(100),
            nodes: Some(3),
            faults: FAULTS.to_vec(),
            ..Wishes::default()
        };
        let mut scenario = Scenario::draw(seed, &wishes);
        if best == Durability::Memory {
            // Nothing is promised of it once it is stopped, as who is given up is too, and nothing
            // is left in it.
            scenario.quorum.durability = best;
            scenario.faults.clear();
            scenario.decisions.clear();
        } else {
            // What is written must outlive the stop that each seed has at least.
            scenario.quorum.durability = best;
            scenario.faults.push(Fault {
                at: Duration::from_secs(3),
                lasts: Duration::from_secs(2),
                kind: FaultKind::Stop {
                    node: (seed % 3) as usize,
                    stop: if seed % 2 == 0 {
                        Stop::PowerLoss
                    } else {
                        Stop::Kill
                    },
                    effects: 5,
                    writing: true,
                },
            });
        }
        let root = tempfile::tempdir().unwrap();
        let open = move |machine| -> Box<dyn Backend> { Box::new(open(&root, machine)) };
        let beside = dynamo_sim::run_beside(&scenario, best, open);
        let alone = dynamo_sim::run(&scenario);
        assert_eq!(beside.violation, None, "seed {seed}");
        assert_eq!(beside.digest, alone.digest, "seed {seed}");
        assert!(beside.counters.of(Count::Acked) > 0, "seed {seed}");
        stops += beside.counters.of(Count::Killed) + beside.counters.of(Count::PowerLost);
    }
    stops
}

#[test]
fn fjall_agrees_with_the_invented_disk() {
    assert!(check(Durability::Flushed, fjall) > 0, "nothing was stopped");
}

#[test]
fn redb_agrees_with_the_invented_disk() {
    let stops = check(Durability::Flushed, |root, machine| {
        let path = root.path().join(machine.to_string());
        let options = dynamo_storage_redb::Options::default();
        Redb::open(&path, owner(machine), Opening::InPlace, options).unwrap()
    });
    assert!(stops > 0, "nothing was stopped");
}

#[test]
fn a_buffered_engine_agrees_with_the_invented_disk() {
    let stops = check(Durability::Flushed, |root, machine| {
        let bounds = Bounds {
            objects: 4,
            age: Duration::from_millis(1),
            ..Bounds::default()
        };
        Buffered::over(fjall(root, machine), bounds).unwrap()
    });
    assert!(stops > 0, "nothing was stopped");
}

#[test]
fn memory_agrees_with_the_invented_disk() {
    check(Durability::Memory, |_, _| Memory::new());
}

/// Memory that says of itself what it does not keep, and, if it is told to, forgets.
struct Planted {
    memory: Memory,
    forgets: bool,
}

impl Backend for Planted {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        match self.memory.read(space, at) {
            ReadOutcome::Found(_) if self.forgets => ReadOutcome::Absent,
            outcome => outcome,
        }
    }

    fn write(&self, group: &mut [Write]) {
        self.memory.write(group);
        for write in group {
            write.answer = write.answer.map(|_| write.batch.durability);
        }
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        self.memory.scan(space, span, limit)
    }
}

fn planted(forgets: bool) {
    check(Durability::Flushed, move |_, _| Planted {
        memory: Memory::new(),
        forgets,
    });
}

#[test]
#[should_panic(expected = "is left with something else")]
fn an_engine_that_loses_what_was_flushed_is_caught() {
    planted(false);
}

#[test]
#[should_panic(expected = "reads Objects")]
fn an_engine_that_forgets_is_caught() {
    planted(true);
}
