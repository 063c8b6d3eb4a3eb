//! What a change of a key costs the tree that it is in, and what it takes to make a tree anew.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use dynamo_benches::trees::{self, Xxh3};
use dynamo_benches::{criterion, is_smoke_run, scattered};
use rs_merkle::Hasher;
use rs_merkle::algorithms::Sha256;

fn main() {
    let mut criterion = criterion();
    let count = if is_smoke_run() { 10_000 } else { 1_000_000 };
    update(&mut criterion, count);
    rebuild(&mut criterion, count);
    criterion.final_summary();
}

/// One key changes, and the root is at hand.
fn update(criterion: &mut Criterion, count: usize) {
    let (states, tokens) = (trees::states(), trees::tokens(count));
    let mut group = criterion.benchmark_group("leaf update");
    let mut tree = trees::ours(&tokens, &states[0]);
    let (mut nth, mut turn) = (0, 0);
    group.bench_function("dynamo", |bencher| {
        bencher.iter(|| {
            // Each key has its turn, and then each again.
            let token = tokens[nth];
            let change = tree.change(token, &states[turn], &states[1 - turn]);
            nth += 1;
            if nth == count {
                (nth, turn) = (0, 1 - turn);
            }
            black_box(change);
            tree.root()
        });
    });
    drop(tree);
    let encoded = [0, 1].map(|at: usize| trees::encoded(&states[at]));
    way_up::<Xxh3>(&mut group, "rs_merkle, XXH3", &encoded, count);
    way_up::<Sha256>(&mut group, "rs_merkle, SHA-256", &encoded, count);
    group.finish();
}

fn way_up<H: Hasher>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    [before, after]: &[Vec<u8>; 2],
    count: usize,
) {
    let tokens = trees::tokens(count);
    let tree = trees::theirs::<H>(&tokens, before);
    let mut turns = (0..).map(|nth| (scattered(nth) % count as u64) as usize);
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let at = turns.next()?;
            let leaf = trees::leaf::<H>(tokens[at], after);
            Some(trees::changed_root(&tree, at, leaf, count))
        });
    });
}

/// All of a tree, from what is stored: ours a page at a time, beside which a node works on.
fn rebuild(criterion: &mut Criterion, count: usize) {
    let mut group = criterion.benchmark_group("rebuild");
    group.sample_size(10);
    let store = trees::records(count);
    group.bench_function("dynamo", |bencher| {
        bencher.iter(|| {
            trees::forget(&store);
            assert_eq!(trees::rebuild(&store, count), count as u64);
        });
    });
    drop(store);
    let (tokens, state) = (trees::tokens(count), trees::encoded(&trees::states()[0]));
    group.bench_function("rs_merkle, XXH3", |bencher| {
        bencher.iter(|| trees::theirs::<Xxh3>(&tokens, &state).root());
    });
    group.bench_function("rs_merkle, SHA-256", |bencher| {
        bencher.iter(|| trees::theirs::<Sha256>(&tokens, &state).root());
    });
    group.finish();
}
