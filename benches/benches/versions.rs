//! Minting, merging and comparing versions, and the contexts that clients get.

use std::hint::black_box;

use bytes::Bytes;
use crdts::CvRDT;
use criterion::Criterion;
use dynamo_benches::states::{self, Bucket, Coordinator, POLICY, RELATIONS, SIDE_BY_SIDE};
use dynamo_benches::{AHEAD, criterion};
use dynamo_proto::version::{Content, Past, Seal, Siblings};

/// The writes of the actors of a key: one actor, or one per usual replica.
const ACTORS: [(&str, &[u32]); 2] = [("1 actor", &[2]), ("3 actors", &[2, 2, 2])];

const BODY: usize = 100;

fn main() {
    let mut criterion = criterion();
    mint(&mut criterion);
    merge(&mut criterion);
    merge_clocks(&mut criterion);
    compare_clocks(&mut criterion);
    contexts(&mut criterion);
    criterion.final_summary();
}

fn mint(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mint");
    for (name, writes) in ACTORS {
        let content = states::content(BODY);
        let mut coordinator = Coordinator::after(writes, &content);
        let record = coordinator.record.clone();
        let write = || (record.clone(), Some(content.clone()));
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                write,
                |(record, content)| {
                    let content = content.take().unwrap_or(Content::Tombstone);
                    coordinator.mint(record, content)
                },
                AHEAD,
            );
        });
    }
    group.finish();
}

fn merge(criterion: &mut Criterion) {
    let bucket = Bucket::default();
    let older = states::siblings(&[2, 2, 2], BODY);
    let newer = states::siblings(&[3, 2, 3], BODY);
    let [one, another] = SIDE_BY_SIDE.map(|writes| states::siblings(&writes, BODY));
    let mut group = criterion.benchmark_group("merge");
    for (name, ours, theirs) in [
        ("newer into older", &older, &newer),
        ("older into newer", &newer, &older),
        ("equal", &newer, &newer),
        ("two values remain", &one, &another),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || (ours.clone(), Some(theirs.clone())),
                |(ours, theirs): &mut (Siblings, Option<Siblings>)| {
                    let theirs = theirs.take().unwrap_or_default();
                    ours.merge(theirs, POLICY, &bucket.retired)
                },
                AHEAD,
            );
        });
    }
    group.finish();
}

/// A copy of one clock that has then seen what the other has.
fn merge_clocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clock clone and merge");
    for (relation, one, other) in RELATIONS {
        let (our, their) = (states::clock(&one), states::clock(&other));
        group.bench_function(format!("{relation}/dynamo"), |bencher| {
            bencher.iter(|| {
                let mut clock = black_box(&our).clone();
                clock.join(black_box(&their));
                clock
            });
        });
        let (our, their) = (states::crdts_clock(&one), states::crdts_clock(&other));
        // It takes the other by value, so that one is cloned ahead.
        group.bench_function(format!("{relation}/crdts"), |bencher| {
            bencher.iter_batched_ref(
                || Some(their.clone()),
                |their| {
                    let mut clock = black_box(&our).clone();
                    clock.merge(their.take().unwrap_or_default());
                    clock
                },
                AHEAD,
            );
        });
    }
    group.finish();
}

fn compare_clocks(criterion: &mut Criterion) {
    let bucket = Bucket::default();
    let mut group = criterion.benchmark_group("clock compare");
    for (relation, one, other) in RELATIONS {
        let (our, their) = (states::clock(&one), states::clock(&other));
        group.bench_function(format!("{relation}/dynamo"), |bencher| {
            bencher.iter(|| black_box(&our).compare(black_box(&their), &bucket.retired));
        });
        let (our, their) = (states::crdts_clock(&one), states::crdts_clock(&other));
        group.bench_function(format!("{relation}/crdts"), |bencher| {
            bencher.iter(|| black_box(&our).partial_cmp(black_box(&their)));
        });
    }
    group.finish();
}

fn contexts(criterion: &mut Criterion) {
    let seal = Seal::new(*b"sixteen secrets!");
    let key = states::key();
    let mut group = criterion.benchmark_group("context");
    for (name, writes) in ACTORS {
        let past = Coordinator::after(writes, &states::content(BODY)).past;
        group.bench_function(format!("seal/{name}"), |bencher| {
            bencher.iter(|| -> Bytes { seal.close(black_box(&key), black_box(&past)) });
        });
        let sealed = seal.close(&key, &past);
        group.bench_function(format!("open/{name}"), |bencher| {
            bencher.iter(|| -> Past {
                let opened = seal.open(black_box(&key), black_box(&sealed));
                opened.expect("the context is as it was sealed")
            });
        });
    }
    group.finish();
}
