//! Merging sets: as they are in memory, and from the bytes that came to the bytes that are kept.

use bytes::Bytes;
use crdts::CvRDT;
use criterion::Criterion;
use dynamo_benches::sets::{self, POLICY, Peer, SHAPES};
use dynamo_benches::{AHEAD, criterion};
use dynamo_proto::version::{Retirements, Siblings};

fn main() {
    let mut criterion = criterion();
    merge(&mut criterion);
    merge_bytes(&mut criterion);
    criterion.final_summary();
}

fn merge(criterion: &mut Criterion) {
    let retired = Retirements::default();
    let mut group = criterion.benchmark_group("merge sets");
    for (name, in_common, alone) in SHAPES {
        let [one, other] = sets::replicas(in_common, alone);
        check(&one, &other);
        let states = || (one.siblings().clone(), Some(other.siblings().clone()));
        group.bench_function(format!("{name}/ours"), |bencher| {
            bencher.iter_batched_ref(
                states,
                |(ours, theirs)| {
                    let theirs = theirs.take().unwrap_or_default();
                    ours.merge(theirs, POLICY, &retired)
                },
                AHEAD,
            );
        });
        let states = || (one.peers.clone(), Some(other.peers.clone()));
        group.bench_function(format!("{name}/crdts"), |bencher| {
            bencher.iter_batched_ref(
                states,
                |(ours, theirs)| ours.merge(theirs.take().unwrap_or_default()),
                AHEAD,
            );
        });
    }
    group.finish();
}

/// What a replica does that is sent a set: its own is read from the store too.
fn merge_bytes(criterion: &mut Criterion) {
    let retired = Retirements::default();
    let mut group = criterion.benchmark_group("merge sets, bytes to bytes");
    for (name, in_common, alone) in SHAPES {
        let [one, other] = sets::replicas(in_common, alone);
        let [ours, theirs] = [&one, &other].map(|pair| {
            let mut bytes = Vec::new();
            pair.siblings().encode(&mut bytes);
            Bytes::from(bytes)
        });
        group.bench_function(format!("{name}/ours"), |bencher| {
            bencher.iter(|| {
                let mut merged = Siblings::decode(ours.clone()).expect("encoded above");
                let theirs = Siblings::decode(theirs.clone()).expect("encoded above");
                merged
                    .merge(theirs, POLICY, &retired)
                    .expect("none is retired");
                let mut bytes = Vec::with_capacity(merged.encoded_len());
                merged.encode(&mut bytes);
                bytes
            });
        });
        let [ours, theirs] = [&one, &other].map(|pair| {
            let bytes = postcard::to_extend(&pair.peers, Vec::new());
            bytes.expect("a set can be written down")
        });
        group.bench_function(format!("{name}/crdts with postcard"), |bencher| {
            bencher.iter(|| {
                let mut merged: Peer = postcard::from_bytes(&ours).expect("encoded above");
                merged.merge(postcard::from_bytes(&theirs).expect("encoded above"));
                let bytes = postcard::to_extend(&merged, Vec::with_capacity(ours.len()));
                bytes.expect("a set can be written down")
            });
        });
    }
    group.finish();
}

/// Both end with the same elements, or they would not be compared.
fn check(one: &sets::Pair, other: &sets::Pair) {
    let (mut ours, mut peers) = (one.siblings().clone(), one.peers.clone());
    let merged = ours.merge(other.siblings().clone(), POLICY, &Retirements::default());
    assert_eq!(merged, Ok(true));
    peers.merge(other.peers.clone());
    let mut theirs: Vec<_> = peers.read().val.into_iter().collect();
    theirs.sort_unstable();
    assert_eq!(sets::elements(&ours), theirs);
}
