//! What a client survives: seeds that are gone, nodes restarted in turn, a slow node, a cut.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::Cluster;
use common::proxy::{Wire, wire};
use dynamo_client::{Client, Over, UpdateError, WriteError, merge};
use tokio::time::sleep;

/// What some writers were told of the items that they put into carts, each under a name of its own.
#[derive(Default)]
struct History {
    done: BTreeSet<(u64, String)>,
    unknown: u64,
    failed: u64,
}

/// Puts items into carts until told to stop: read, merge, write, as an application does.
async fn shop(client: Client, writer: u64, is_over: Arc<AtomicBool>) -> History {
    let carts = client.bucket("carts").typed::<BTreeSet<String>>();
    let mut history = History::default();
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        let cart = number % 4;
        let item = format!("{writer}-{number}");
        let add = |cart: Option<BTreeSet<String>>| {
            let mut cart = cart.unwrap_or_default();
            cart.insert(item.clone());
            cart
        };
        match carts.update(cart.to_string(), merge::union, add).await {
            // Written each time: others' items beside it are for the next one to merge.
            Ok(_) | Err(UpdateError::Contended(_)) => {
                history.done.insert((cart, item));
            }
            Err(UpdateError::Write(WriteError::Unknown)) => history.unknown += 1,
            Err(_) => history.failed += 1,
        }
        number += 1;
        sleep(Duration::from_millis(2)).await;
    }
    history
}

async fn check(client: &Client, history: &History) {
    let carts = client.bucket("carts").typed::<BTreeSet<String>>();
    for cart in 0..4 {
        let value = carts.get(cart.to_string()).await.unwrap().value;
        let there = value.merge(merge::union).unwrap_or_default();
        let missing = history
            .done
            .iter()
            .filter(|(of, item)| *of == cart && !there.contains(item));
        let missing: Vec<_> = missing.collect();
        assert!(
            missing.is_empty(),
            "{missing:?} were done and are not there"
        );
    }
    assert!(history.done.len() > 50, "{} were done", history.done.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_goes_on_without_its_seeds() {
    let mut cluster = Cluster::start(5).await;
    let client = Client::connect(cluster.settings(&[0, 1])).await.unwrap();
    let bucket = client.bucket("b");
    for number in 0..40 {
        bucket
            .put(number.to_string(), "before", Over::Blind)
            .await
            .unwrap();
    }
    cluster.stop(0).await;
    cluster.stop(1).await;
    let mut failed = 0;
    // Blind ones need nobody who is away: others hold for them what is theirs.
    for number in 0..200 {
        let key = (number % 40).to_string();
        let put = bucket.put(key, "after", Over::Blind).await;
        failed += u32::from(put.is_err());
    }
    assert!(
        failed <= 5,
        "{failed} of 200 writes failed with 3 of 5 nodes there"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_done_is_lost_while_all_nodes_are_restarted_in_turn() {
    let mut cluster = Cluster::start(5).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..3 {
        let client = Client::connect(cluster.settings(&[0, 1, 2, 3, 4]))
            .await
            .unwrap();
        writers.push(tokio::spawn(shop(client, writer, is_over.clone())));
    }
    for at in 0..5 {
        sleep(Duration::from_millis(300)).await;
        cluster.stop(at).await;
        sleep(Duration::from_millis(300)).await;
        cluster.restart(at).await;
    }
    sleep(Duration::from_millis(300)).await;
    is_over.store(true, Ordering::Relaxed);
    let mut all = History::default();
    for writer in writers {
        let history = writer.await.unwrap();
        all.done.extend(history.done);
        all.unknown += history.unknown;
        all.failed += history.failed;
    }
    println!(
        "{} done, {} unknown, {} failed",
        all.done.len(),
        all.unknown,
        all.failed
    );
    let client = Client::connect(cluster.settings(&[0])).await.unwrap();
    check(&client, &all).await;
    assert!(all.failed + all.unknown < all.done.len() as u64 / 5);
}

/// Nodes behind wires.
async fn wired(count: usize) -> (Cluster, Vec<Arc<Wire>>) {
    let (mut listeners, mut told, mut wires) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = Arc::new(Wire::default());
        told.push(wire(listener.local_addr().unwrap(), one.clone()).await);
        listeners.push(listener);
        wires.push(one);
    }
    (Cluster::start_behind(listeners, &told).await, wires)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_node_is_asked_seldom() {
    let (cluster, wires) = wired(3).await;
    let client = Client::connect(cluster.told(&[0, 1, 2])).await.unwrap();
    let bucket = client.bucket("b");
    for number in 0..30 {
        bucket
            .put(number.to_string(), "x", Over::Blind)
            .await
            .unwrap();
        bucket.get(number.to_string()).await.unwrap();
    }
    wires[1].delay_us.store(200_000, Ordering::Relaxed);
    let mut slow = 0;
    for number in 0..200 {
        let start = Instant::now();
        bucket.get((number % 30).to_string()).await.unwrap();
        slow += u32::from(start.elapsed() >= Duration::from_millis(200));
    }
    assert!(slow <= 10, "{slow} of 200 reads waited for the slow node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_from_half_of_the_nodes_is_survived() {
    let (cluster, wires) = wired(4).await;
    let client = Client::connect(cluster.told(&[0, 1, 2, 3])).await.unwrap();
    let bucket = client.bucket("b").with(dynamo_proto::node::Options {
        timeout: Some(Duration::from_secs(2)),
        ..Default::default()
    });
    for number in 0..40 {
        bucket
            .put(number.to_string(), "before", Over::Blind)
            .await
            .unwrap();
        bucket.get(number.to_string()).await.unwrap();
    }
    wires[0].is_cut.store(true, Ordering::Relaxed);
    wires[1].is_cut.store(true, Ordering::Relaxed);
    let failed = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for task in 0..4_u64 {
        let (bucket, failed) = (bucket.clone(), failed.clone());
        tasks.push(tokio::spawn(async move {
            for number in 0..50 {
                let key = ((number * 4 + task) % 40).to_string();
                let put = bucket.put(&key, "during", Over::Overwrite).await;
                let get = bucket.get(&key).await;
                let failures = u64::from(put.is_err()) + u64::from(get.is_err());
                failed.fetch_add(failures, Ordering::Relaxed);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let during = failed.load(Ordering::Relaxed);
    assert!(during <= 40, "{during} of 400 requests failed");
    wires[0].is_cut.store(false, Ordering::Relaxed);
    wires[1].is_cut.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(6)).await; // the longest that a circuit stays open, and a little
    for number in 0..100 {
        bucket
            .put((number % 40).to_string(), "after", Over::Overwrite)
            .await
            .unwrap();
    }
}
