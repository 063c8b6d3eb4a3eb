//! Put and get through three nodes in one process, beside the least that it takes and raft-rs.

use std::time::{Duration, Instant};

use criterion::Criterion;
use dynamo_benches::cluster::{Cluster, Route};
use dynamo_benches::floor::Floor;
use dynamo_benches::network::{Framed, Moved};
use dynamo_benches::rafts::Rafts;
use dynamo_benches::workload::{self, AT_ONCE, KEYS, VALUES};
use dynamo_benches::{criterion, is_smoke_run};
use dynamo_proto::node::Node;

fn main() {
    let mut criterion = criterion();
    let keys = if is_smoke_run() { 100 } else { KEYS };
    for (name, value_bytes) in VALUES {
        floor(&mut criterion, name, keys, value_bytes);
        rafts(&mut criterion, name, keys, value_bytes);
        dynamo(&mut criterion, name, keys, value_bytes);
    }
    criterion.final_summary();
}

fn floor(criterion: &mut Criterion, name: &str, keys: usize, value_bytes: usize) {
    let (keys, value) = (workload::keys(keys), workload::value(value_bytes));
    let mut floor = None;
    let mut in_turn = keys.iter().cycle();
    criterion.bench_function(&format!("put, {name}/floor"), |bencher| {
        let floor = floor.get_or_insert_with(|| Floor::holding(&keys, &value));
        bencher.iter(|| in_turn.next().map(|key| floor.put(key, &value)));
    });
    criterion.bench_function(&format!("get, {name}/floor"), |bencher| {
        let floor = floor.get_or_insert_with(|| Floor::holding(&keys, &value));
        bencher.iter(|| in_turn.next().map(|key| floor.get(key)));
    });
}

fn rafts(criterion: &mut Criterion, name: &str, keys: usize, value_bytes: usize) {
    let (keys, value) = (workload::keys(keys), workload::value(value_bytes));
    let mut rafts = None;
    let mut in_turn = keys.iter().cycle();
    for (pace, at_once) in AT_ONCE {
        criterion.bench_function(&format!("put, {name}/raft-rs, {pace}"), |bencher| {
            let rafts = rafts.get_or_insert_with(|| Rafts::holding(&keys, &value));
            bencher.iter_custom(|iterations| {
                paced(iterations, at_once, |count| {
                    rafts.put(in_turn.by_ref().take(count), &value);
                })
            });
        });
    }
}

fn dynamo(criterion: &mut Criterion, name: &str, keys: usize, value_bytes: usize) {
    let mut ours = Ours {
        criterion,
        keys,
        value_bytes,
        route: Route::First,
        cluster: None,
    };
    let (mut moved, mut framed) = (Moved::default(), Framed::established());
    for (pace, at_once) in AT_ONCE {
        ours.measure(
            &format!("put, {name}/dynamo, moved, {pace}"),
            at_once,
            |cluster, count| {
                cluster.put(count, &mut moved, Node::handle);
            },
        );
        ours.measure(
            &format!("get, {name}/dynamo, moved, {pace}"),
            at_once,
            |cluster, count| {
                cluster.get(count, &mut moved, Node::handle);
            },
        );
        ours.measure(
            &format!("put, {name}/dynamo, framed, {pace}"),
            at_once,
            |cluster, count| {
                cluster.put(count, &mut framed, Node::handle);
            },
        );
        ours.measure(
            &format!("get, {name}/dynamo, framed, {pace}"),
            at_once,
            |cluster, count| {
                cluster.get(count, &mut framed, Node::handle);
            },
        );
    }
    ours.cluster = None;
    ours.route = Route::Any;
    ours.measure(
        &format!("put, {name}/dynamo, moved, at any node"),
        1,
        |cluster, count| {
            cluster.put(count, &mut moved, Node::handle);
        },
    );
    ours.measure(
        &format!("get, {name}/dynamo, moved, at any node"),
        1,
        |cluster, count| {
            cluster.get(count, &mut moved, Node::handle);
        },
    );
}

/// A cluster of ours, built when it is first measured.
struct Ours<'a> {
    criterion: &'a mut Criterion,
    keys: usize,
    value_bytes: usize,
    route: Route,
    cluster: Option<Cluster>,
}

impl Ours<'_> {
    fn measure(&mut self, name: &str, at_once: usize, mut run: impl FnMut(&mut Cluster, usize)) {
        let Self {
            criterion,
            keys,
            value_bytes,
            route,
            cluster,
        } = self;
        criterion.bench_function(name, |bencher| {
            let build = || Cluster::steady(*route, *keys, *value_bytes);
            let cluster = cluster.get_or_insert_with(build);
            bencher
                .iter_custom(|iterations| paced(iterations, at_once, |count| run(cluster, count)));
        });
    }
}

/// How long so many operations take, some of them at a time.
fn paced(operations: u64, at_once: usize, mut run: impl FnMut(usize)) -> Duration {
    let start = Instant::now();
    let mut left = operations;
    while left > 0 {
        let count = left.min(at_once as u64);
        run(count as usize);
        left -= count;
    }
    start.elapsed()
}
