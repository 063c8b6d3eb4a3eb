//! Engines: durable writes with some waiting, reads, scans, and both at once; beside a bare file
//! that is appended to and flushed, and a bare map.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use dynamo_benches::floor::Map;
use dynamo_benches::stores::{self, Bare, ON_DISK, OnDisk, Store, place, write, write_group};
use dynamo_benches::workload::{self, KEYS, VALUES};
use dynamo_benches::{criterion, is_smoke_run};
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Command, ReadOutcome, Space};
use dynamo_storage::Backend;
use dynamo_storage_memory::Memory;
use tempfile::TempDir;

/// How many writers wait for a flush.
const WAITING: [usize; 4] = [1, 16, 64, 256];

fn main() {
    let mut criterion = criterion();
    let keys = if is_smoke_run() { 100 } else { KEYS };
    for (size, value_bytes) in VALUES {
        let value = workload::value(value_bytes);
        bare_file(&mut criterion, size, &value);
        for engine in ON_DISK {
            on_disk(&mut criterion, size, keys, &value, engine);
        }
        bare_map(&mut criterion, size, keys, &value);
        in_memory(&mut criterion, size, keys, &value);
    }
    criterion.final_summary();
}

/// On the disk that the build is on: a temporary directory is often in memory.
fn directory() -> TempDir {
    tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a directory can be made")
}

fn bare_file(criterion: &mut Criterion, size: &str, value: &Bytes) {
    let mut group = criterion.benchmark_group(format!("durable writes, {size}"));
    group.throughput(Throughput::Elements(1));
    for waiting in WAITING {
        group.bench_function(format!("bare file, {waiting} waiting"), |bencher| {
            let mut bare = Bare::new(directory()).expect("a file can be made");
            bencher.iter_custom(|iterations| {
                by(iterations, waiting, |count| {
                    bare.append(count, value).expect("the disk has room");
                })
            });
        });
    }
}

fn on_disk(criterion: &mut Criterion, size: &str, keys: usize, value: &Bytes, engine: OnDisk) {
    let name = engine.name;
    let mut store = None;
    let mut store = |run: &mut dyn FnMut(&mut Store) -> Duration| {
        let open = || Store::holding(engine, directory(), keys, value);
        run(store.get_or_insert_with(open))
    };
    let mut nth = in_turn(keys);
    for waiting in WAITING {
        let mut group = criterion.benchmark_group(format!("durable writes, {size}"));
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{name}, {waiting} waiting"), |bencher| {
            bencher.iter_custom(|iterations| {
                store(&mut |store| {
                    timed(|| {
                        store.carry_out(iterations, waiting, || put(nth(), value));
                    })
                })
            });
        });
    }
    let mut group = criterion.benchmark_group(format!("reads, {size}"));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            store(&mut |store| timed(|| read(store.engine(), iterations, &mut nth)))
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group(format!("scans, {size}"));
    group.throughput(Throughput::Elements(keys as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            store(&mut |store| timed(|| (0..iterations).for_each(|_| scan(store.engine(), keys))))
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group(format!("reads and durable writes, {size}"));
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("{name}, 64 waiting"), |bencher| {
        bencher.iter_custom(|iterations| {
            store(&mut |store| {
                let mut is_read = false;
                timed(|| {
                    store.carry_out(iterations, 64, || {
                        is_read = !is_read;
                        match is_read {
                            true => get(nth()),
                            false => put(nth(), value),
                        }
                    });
                })
            })
        });
    });
}

fn bare_map(criterion: &mut Criterion, size: &str, keys: usize, value: &Bytes) {
    // Names and values in buffers of their own, as what came from elsewhere is.
    let held = |nth| {
        let Address { position, name } = place(nth);
        let name = Bytes::copy_from_slice(&name);
        (Address { position, name }, Bytes::copy_from_slice(value))
    };
    let mut map: Map = (0..keys).map(held).collect();
    let mut nth = in_turn(keys);
    criterion.bench_function(&format!("writes in memory, {size}/BTreeMap"), |bencher| {
        bencher.iter(|| map.insert(place(nth()), Bytes::copy_from_slice(value)));
    });
    criterion.bench_function(&format!("reads, {size}/BTreeMap"), |bencher| {
        bencher.iter(|| map.get(&place(nth())).cloned());
    });
    let mut is_read = false;
    criterion.bench_function(
        &format!("reads and writes in memory, {size}/BTreeMap"),
        |bencher| {
            bencher.iter(|| {
                is_read = !is_read;
                match is_read {
                    true => map.get(&place(nth())).cloned(),
                    false => map.insert(place(nth()), Bytes::copy_from_slice(value)),
                }
            });
        },
    );
    let mut group = criterion.benchmark_group(format!("scans, {size}"));
    group.throughput(Throughput::Elements(keys as u64));
    group.bench_function("BTreeMap", |bencher| {
        bencher.iter(|| {
            map.iter().for_each(|(at, bytes)| {
                black_box((at.clone(), bytes.clone()));
            });
        });
    });
}

fn in_memory(criterion: &mut Criterion, size: &str, keys: usize, value: &Bytes) {
    let memory = Memory::new();
    stores::fill(&memory, keys, value);
    let mut nth = in_turn(keys);
    criterion.bench_function(&format!("writes in memory, {size}/memory"), |bencher| {
        bencher.iter(|| {
            let mut group = [write(nth(), value, Durability::Memory)];
            write_group(&memory, &mut group)
        });
    });
    criterion.bench_function(&format!("reads, {size}/memory"), |bencher| {
        bencher.iter(|| memory.read(Space::Objects, &place(nth())));
    });
    let mut is_read = false;
    criterion.bench_function(
        &format!("reads and writes in memory, {size}/memory"),
        |bencher| {
            bencher.iter(|| {
                is_read = !is_read;
                match is_read {
                    true => drop(memory.read(Space::Objects, &place(nth()))),
                    false => {
                        let mut group = [write(nth(), value, Durability::Memory)];
                        write_group(&memory, &mut group).expect("it fits");
                    }
                }
            });
        },
    );
    let mut group = criterion.benchmark_group(format!("scans, {size}"));
    group.throughput(Throughput::Elements(keys as u64));
    group.bench_function("memory", |bencher| bencher.iter(|| scan(&memory, keys)));
}

fn put(nth: usize, value: &Bytes) -> Command {
    Command::Write(write(nth, value, Durability::Flushed).batch)
}

fn get(nth: usize) -> Command {
    Command::Read {
        space: Space::Objects,
        at: place(nth),
    }
}

fn read(engine: &dyn Backend, count: u64, nth: &mut impl FnMut() -> usize) {
    for _ in 0..count {
        let outcome = engine.read(Space::Objects, &place(nth()));
        assert!(matches!(outcome, ReadOutcome::Found(_)), "{outcome:?}");
    }
}

fn scan(engine: &dyn Backend, keys: usize) {
    assert_eq!(stores::scan(engine), keys);
}

/// One key after the other, over and over.
fn in_turn(keys: usize) -> impl FnMut() -> usize {
    let mut all = (0..keys).cycle();
    move || all.next().unwrap_or_default()
}

fn by(operations: u64, at_once: usize, mut run: impl FnMut(usize)) -> Duration {
    timed(|| {
        let mut left = operations;
        while left > 0 {
            let count = left.min(at_once as u64);
            run(count as usize);
            left -= count;
        }
    })
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}
