//! Ten times more than the nodes take, and then no more.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::processes::{Cluster, PATIENCE, http};

/// How many requests of clients a node works on.
const CAPACITY: usize = 32;

/// How many each of the usual clients asks for at once, and each of those that surge.
const PIPELINE: usize = 8;

const USUAL: usize = 6;

const WINDOW: Duration = Duration::from_millis(500);

/// How long it takes a node at most to say how it is, whoever asks for whatever.
const HEALTH: Duration = Duration::from_secs(5);

#[test]
fn a_surge_is_refused_and_when_it_is_gone_as_much_is_done_as_before() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("nodes.toml");
    std::fs::write(&file, format!("[capacity]\nrequests = {CAPACITY}\n")).unwrap();
    let file = file.to_str().unwrap();
    let cluster = Cluster::of(3, &["--storage", "memory", "--config", file]);
    let over = Arc::new(AtomicBool::new(false));
    let usual = Arc::new(Tally::default());
    let clients = ask_on(USUAL, &cluster.resp(), &over, &usual);
    let watch = watch(&cluster, &over);
    thread::sleep(Duration::from_secs(1));
    let mut before: Vec<_> = (0..8).map(|_| usual.done_in(WINDOW)).collect();
    before.sort_unstable();
    let before = before[before.len() / 2];

    let is_gone = Arc::new(AtomicBool::new(false));
    let surging = Arc::new(Tally::default());
    let most = 10 * CAPACITY * 3 / PIPELINE;
    let surge = ask_on(most, &cluster.resp(), &is_gone, &surging);
    thread::sleep(Duration::from_secs(4));
    let memory: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| node.memory_bytes() >> 20)
        .collect();
    is_gone.store(true, Ordering::Relaxed);
    let gone = Instant::now();
    // Within five seconds, whatever else this machine does.
    let mut after = 0;
    while gone.elapsed() < Duration::from_secs(5) && after * 10 < before * 9 {
        after = after.max(usual.done_in(WINDOW));
    }
    let took = gone.elapsed();
    surge.into_iter().for_each(|client| client.join().unwrap());
    over.store(true, Ordering::Relaxed);
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    let slowest = watch.join().unwrap();

    let refused = surging.refused.load(Ordering::Relaxed);
    let done = surging.done.load(Ordering::Relaxed);
    println!(
        "{before} writes in {WINDOW:?} before, {after} again {took:?} after {done} of the surge were done and \
         {refused} refused; {memory:?} MiB; the slowest answer about a node took {slowest:?}"
    );
    assert!(refused > 1_000, "only {refused} were refused");
    assert!(after * 10 >= before * 9, "{before} before, {after} after");
    assert!(
        memory.iter().all(|mebibytes| *mebibytes < 512),
        "{memory:?}"
    );
}

#[derive(Default)]
struct Tally {
    done: AtomicU64,
    refused: AtomicU64,
}

impl Tally {
    fn done_in(&self, time: Duration) -> u64 {
        let (before, start) = (self.done.load(Ordering::Relaxed), Instant::now());
        thread::sleep(time);
        let done = self.done.load(Ordering::Relaxed) - before;
        // As many as in the time that was meant.
        (done as f64 * time.as_secs_f64() / start.elapsed().as_secs_f64()) as u64
    }
}

/// So many clients, spread over the nodes, until it is over.
fn ask_on(
    clients: usize,
    nodes: &[SocketAddr],
    is_over: &Arc<AtomicBool>,
    tally: &Arc<Tally>,
) -> Vec<thread::JoinHandle<()>> {
    let ask = |number: usize| {
        let node = nodes[number % nodes.len()];
        let (is_over, tally) = (is_over.clone(), tally.clone());
        let work = move || {
            let mut socket = BufReader::new(TcpStream::connect(node).unwrap());
            socket.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
            let key = format!("key {number}");
            let set = format!(
                "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$3\r\ntea\r\n",
                key.len()
            );
            let get = format!("*2\r\n$3\r\nGET\r\n${}\r\nother {key}\r\n", key.len() + 6);
            let asked = [set, get.repeat(PIPELINE - 1)].concat();
            let mut answer = String::new();
            while !is_over.load(Ordering::Relaxed) {
                socket.get_mut().write_all(asked.as_bytes()).unwrap();
                for _ in 0..PIPELINE {
                    answer.clear();
                    socket.read_line(&mut answer).unwrap();
                    let tally = match &answer[..] {
                        "+OK\r\n" | "$-1\r\n" => &tally.done,
                        refused if refused.starts_with("-OVERLOADED") => &tally.refused,
                        other => panic!("{other}"),
                    };
                    tally.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(work)
            .unwrap()
    };
    (0..clients).map(ask).collect()
}

/// Asks all nodes how they are until it is over. How long it took at most.
fn watch(cluster: &Cluster, is_over: &Arc<AtomicBool>) -> thread::JoinHandle<Duration> {
    let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
    let is_over = is_over.clone();
    thread::spawn(move || {
        let mut slowest = Duration::ZERO;
        while !is_over.load(Ordering::Relaxed) {
            for node in &nodes {
                let start = Instant::now();
                let answer = http(*node, "/health");
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                slowest = slowest.max(start.elapsed());
                assert!(slowest < HEALTH, "{slowest:?}");
            }
            thread::sleep(Duration::from_millis(100));
        }
        slowest
    })
}
