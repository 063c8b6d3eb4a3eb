//! From a key to the nodes that hold it, beside the hash that it cannot do without.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use dynamo_benches::criterion;
use dynamo_benches::rings::{self, REPLICAS, SIZES};
use dynamo_proto::Key;

fn main() {
    let mut criterion = criterion();
    lookup(&mut criterion);
    criterion.final_summary();
}

fn lookup(criterion: &mut Criterion) {
    for size in SIZES {
        let mut group = criterion.benchmark_group(format!("lookup, {}", size.name));
        in_turn(&mut group, "bare MD5", rings::bare_md5);

        let ring = size.ring();
        in_turn(&mut group, "dynamo", |key| rings::primaries(&ring, key));
        let ring = size.token_ring();
        in_turn(&mut group, "dynamo, random tokens", |key| {
            rings::primaries(&ring, key)
        });

        let ring = size.hashring();
        in_turn(&mut group, "hashring, one node", |key| {
            ring.get(key.encoded()).map(|point| point.node)
        });
        // It counts those after the first.
        let others = usize::from(REPLICAS) - 1;
        in_turn(&mut group, "hashring, with replicas", |key| {
            ring.get_with_replicas(key.encoded(), others)
        });
        group.finish();
    }
}

/// Looks up one key after another.
fn in_turn<T>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, find: impl Fn(&Key) -> T) {
    let keys = rings::keys();
    let mut keys = keys.iter().cycle();
    group.bench_function(name, |bencher| {
        bencher.iter(|| keys.next().map(|key| find(black_box(key))));
    });
}
