//! Counts the instructions of the hot paths under callgrind, and fails where they are over 5 % more
//! than is kept in `instructions.txt`. `scripts/instructions keep` keeps what they are now.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "what gungraun's macros make is public, and none of it is documented"
)]

use std::hint::black_box;

use bytes::BytesMut;
use dynamo_benches::cluster::{Cluster, Route};
use dynamo_benches::frames::{self, Connection};
use dynamo_benches::network::{Framed, Moved, Network};
use dynamo_benches::states::{self, Bucket, RELATIONS};
use dynamo_proto::node::Node;
use dynamo_proto::version::Clock;
use dynamo_proto::wire::Message;
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig};

/// Over so many of a kind it is counted, so that what grows now and then shows as what it costs.
const TIMES: usize = 128;

const VALUE_BYTES: usize = 1 << 10;

/// What is kept: a name and a number in each line.
const KEPT: &str = include_str!("../instructions.txt");

/// No more than 5 % over what is kept. What is not kept yet may take any number.
fn limited(name: &str) -> LibraryBenchmarkConfig {
    let mut lines = KEPT.lines().filter_map(|line| line.split_once(' '));
    let kept = lines.find(|(kept, _)| *kept == name);
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    if let Some(kept) = kept.and_then(|(_, count)| count.trim().parse::<u64>().ok()) {
        callgrind.hard_limits([(EventKind::Ir, kept + kept / 20)]);
    }
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

/// Three nodes, with all buffers as large as they become.
fn steady<N: Network>(mut network: N) -> (Cluster, N) {
    let mut cluster = Cluster::steady(Route::First, TIMES, VALUE_BYTES);
    for at_once in [1, 64] {
        cluster.put(at_once, &mut network, Node::handle);
        cluster.get(at_once, &mut network, Node::handle);
    }
    (cluster, network)
}

fn moved() -> (Cluster, Moved) {
    steady(Moved::default())
}

fn framed() -> (Cluster, Framed) {
    steady(Framed::established())
}

fn put<N: Network>((mut cluster, mut network): (Cluster, N), at_once: usize) -> (Cluster, N) {
    for _ in 0..TIMES / at_once {
        cluster.put(at_once, &mut network, Node::handle);
    }
    (cluster, network)
}

fn get<N: Network>((mut cluster, mut network): (Cluster, N), at_once: usize) -> (Cluster, N) {
    for _ in 0..TIMES / at_once {
        cluster.get(at_once, &mut network, Node::handle);
    }
    (cluster, network)
}

#[library_benchmark(config = limited("put_moved"))]
#[bench::one(setup = moved)]
fn put_moved(cluster: (Cluster, Moved)) -> (Cluster, Moved) {
    put(black_box(cluster), 1)
}

#[library_benchmark(config = limited("get_moved"))]
#[bench::one(setup = moved)]
fn get_moved(cluster: (Cluster, Moved)) -> (Cluster, Moved) {
    get(black_box(cluster), 1)
}

#[library_benchmark(config = limited("put_framed"))]
#[bench::many(setup = framed)]
fn put_framed(cluster: (Cluster, Framed)) -> (Cluster, Framed) {
    put(black_box(cluster), 64)
}

#[library_benchmark(config = limited("get_framed"))]
#[bench::many(setup = framed)]
fn get_framed(cluster: (Cluster, Framed)) -> (Cluster, Framed) {
    get(black_box(cluster), 64)
}

fn clocks() -> (Bucket, [[Clock; 2]; 3]) {
    let clocks = RELATIONS.map(|(_, one, other)| [states::clock(&one), states::clock(&other)]);
    (Bucket::default(), clocks)
}

#[library_benchmark(config = limited("compare_clocks"))]
#[bench::three(setup = clocks)]
fn compare_clocks((bucket, clocks): (Bucket, [[Clock; 2]; 3])) -> (Bucket, [[Clock; 2]; 3]) {
    for _ in 0..TIMES {
        for [one, other] in black_box(&clocks) {
            black_box(one.compare(other, &bucket.retired));
        }
    }
    (bucket, clocks)
}

fn message() -> (Message, BytesMut) {
    let mut buffer = BytesMut::new();
    buffer.reserve(2 * TIMES * VALUE_BYTES);
    (frames::store(VALUE_BYTES), buffer)
}

#[library_benchmark(config = limited("encode_frames"))]
#[bench::many(setup = message)]
fn encode_frames((message, mut buffer): (Message, BytesMut)) -> (Message, BytesMut) {
    let mut outbound = frames::outbound();
    for _ in 0..TIMES {
        outbound.write(black_box(&message), &mut buffer);
    }
    (message, buffer)
}

fn burst() -> (Connection, BytesMut) {
    let bytes = frames::burst(&frames::store(VALUE_BYTES)).bytes;
    (Connection::admitted(), bytes.as_ref().into())
}

#[library_benchmark(config = limited("decode_frames"))]
#[bench::burst(setup = burst)]
fn decode_frames((mut connection, mut buffer): (Connection, BytesMut)) -> (Connection, BytesMut) {
    while !buffer.is_empty() {
        black_box(connection.next(&mut buffer));
    }
    (connection, buffer)
}

library_benchmark_group!(
    name = hot_paths,
    benchmarks = [
        put_moved,
        get_moved,
        put_framed,
        get_framed,
        compare_clocks,
        encode_frames,
        decode_frames
    ]
);

main!(library_benchmark_groups = hot_paths);
