//! Deletes, forgotten by real nodes when all of them have seen them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod processes;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use processes::{Cluster, PROGRAM, Resp, http};

const KEYS: usize = 200;
/// Nothing is forgotten before whoever asks again for a write has given up: two minutes from a start.
const PATIENCE: Duration = Duration::from_secs(200);

fn metric(node: SocketAddr, name: &str) -> usize {
    let metrics = http(node, "/metrics");
    let (_, rest) = metrics.split_once(&format!("\n{name} ")).unwrap();
    rest.lines().next().unwrap().parse().unwrap()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn dynamo(words: [&str; 4]) {
    let output = Command::new(PROGRAM).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One node is away while keys are deleted, and one gets a store of before that when it is over.
fn forget_on(runtime: &str) {
    let arguments = [
        "--exchange-every",
        "2",
        "--retire-every",
        "3",
        "--runtime",
        runtime,
    ];
    let mut cluster = Cluster::of(3, &arguments);
    let mut client = Resp::connect(cluster.resp()[0]).unwrap();
    let name = |key: usize| format!("key {key}");
    for key in 0..KEYS {
        let key = name(key);
        assert_eq!(client.ask(&["SET", &key, &key]).unwrap(), "+OK\r\n");
    }
    let keys = |node: usize| metric(cluster.nodes[node].http, "dynamo_keys");
    wait_for("all have all", || (0..3).all(|node| keys(node) == KEYS));
    let backup = cluster.data(9);
    dynamo(["backup", text(&backup), "--data", text(&cluster.data(1))]);
    cluster.kill(2);
    for key in 1..KEYS {
        assert_eq!(client.ask(&["DEL", &name(key)]).unwrap(), ":1\r\n");
    }
    // Longer than any round takes.
    thread::sleep(Duration::from_secs(10));
    let keys = |node: usize| metric(cluster.nodes[node].http, "dynamo_keys");
    assert_eq!((keys(0), keys(1)), (KEYS, KEYS), "one has not seen them");
    cluster.start(2);
    assert!(cluster.is_ready(2));
    let keys = |node: usize| metric(cluster.nodes[node].http, "dynamo_keys");
    wait_for("they are forgotten", || (0..3).all(|node| keys(node) == 1));

    // One comes back as it was before.
    cluster.kill(1);
    let data = cluster.data(1);
    std::fs::remove_dir_all(&data).unwrap();
    dynamo(["restore", text(&backup), "--data", text(&data)]);
    cluster.start(1);
    assert!(cluster.is_ready(1));
    let mut client = Resp::connect(cluster.resp()[1]).unwrap();
    assert_eq!(client.ask(&["GET", &name(0)]).unwrap(), "$5\r\nkey 0\r\n");
    assert_eq!(client.ask(&["GET", &name(7)]).unwrap(), "$-1\r\n");
    let keys = |node: usize| metric(cluster.nodes[node].http, "dynamo_keys");
    wait_for("nothing is brought back", || {
        (0..3).all(|node| keys(node) == 1)
    });
    for node in 0..3 {
        for key in 1..KEYS {
            let target = format!("/buckets/default/keys/key%20{key}?r=1");
            let got = http(cluster.nodes[node].http, &target);
            assert!(got.starts_with("HTTP/1.1 404"), "node {node}: {got}");
        }
    }
}

#[test]
fn deletes_are_forgotten_on_tokio() {
    forget_on("tokio");
}

#[test]
fn deletes_are_forgotten_on_smol() {
    forget_on("smol");
}
