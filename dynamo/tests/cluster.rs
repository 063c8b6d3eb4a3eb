//! Members that come and go, as processes of their own, told by an administrator.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod processes;

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dynamo_behaviour::free_ports;
use processes::{Cluster, PATIENCE, PROGRAM, Resp, http, write_until};
use tempfile::TempDir;

/// Clients that write until they are told to stop.
struct Writers {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Vec<String>>>,
}

impl Writers {
    fn at(nodes: &[SocketAddr]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let write = |writer| {
            let (nodes, stop) = (nodes.to_vec(), stop.clone());
            thread::spawn(move || write_until(&stop, &nodes, writer))
        };
        Self {
            writers: (0..2).map(write).collect(),
            stop,
        }
    }

    /// All keys that were acknowledged.
    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let writers = self.writers.into_iter();
        writers.flat_map(|writer| writer.join().unwrap()).collect()
    }
}

fn check(cluster: &Cluster, nodes: &[usize], acknowledged: &[String]) {
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    for at in nodes {
        let mut client = Resp::connect(cluster.nodes[*at].resp).unwrap();
        for key in acknowledged {
            let answer = client.ask(&["GET", key]).unwrap();
            let right = format!("${}\r\n{key}\r\n", key.len());
            assert_eq!(answer, right, "{key} at node {at}");
        }
    }
}

fn status(cluster: &Cluster, at: usize) -> serde_json::Value {
    let json = cluster.tell(at, &["status", "--json"]).unwrap();
    serde_json::from_str(&json).unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_while_nodes_join_leave_and_are_replaced() {
    let mut cluster = Cluster::of(3, &[]);
    let writers = Writers::at(&cluster.resp());

    // A fourth joins. It was let in at once, for that was chosen when the cluster began.
    let fourth = cluster.add();
    cluster.start(fourth);
    assert!(cluster.is_ready(fourth));
    cluster.tell(0, &["status", "--wait"]).unwrap();

    // One leaves, gives away what it holds, and is removed.
    let gone = cluster.id(1);
    cluster.decide(0, &["leave", &gone]);
    let until = Instant::now() + PATIENCE;
    while status(&cluster, 1)["drained"] != true {
        assert!(Instant::now() < until, "it never has given all away");
        thread::sleep(Duration::from_millis(50));
    }
    cluster.decide(2, &["remove", &gone]);
    cluster.kill(1);

    // Another's disk is lost, and a new one takes its place.
    let dead = cluster.id(2);
    cluster.kill(2);
    std::fs::remove_dir_all(cluster.data(2)).unwrap();
    let fifth = cluster.add();
    cluster.start(fifth);
    assert!(cluster.is_ready(fifth));
    cluster.decide(0, &["remove", &dead]);

    // And all that are left are restarted, one after the other.
    for at in [0, fourth, fifth] {
        assert_eq!(cluster.signal(at, "-TERM"), Some(0));
        cluster.start(at);
        assert!(cluster.is_ready(at));
    }
    let acknowledged = writers.stop();
    cluster.tell(0, &["status", "--wait"]).unwrap();
    check(&cluster, &[0, fourth, fifth], &acknowledged);
    let status = status(&cluster, fourth);
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3, "{status}");
    assert_eq!(status["removed"].as_array().unwrap().len(), 2, "{status}");
}

#[test]
fn a_node_waits_for_an_administrator_and_serves_nothing_before() {
    let mut cluster = Cluster::of(1, &["--storage", "memory"]);
    let (closed, asking) = (cluster.add(), cluster.add());
    cluster.start_with(closed, &["--bootstrap", "--n", "1", "--cluster", "closed"]);
    assert!(cluster.is_ready(closed));
    let seed = cluster.nodes[closed].native.to_string();
    cluster.start_with(asking, &["--seed", &seed, "--cluster", "closed"]);
    cluster.complains(asking, "dynamo cluster join");
    let ready = http(cluster.nodes[asking].http, "/ready");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    let mut client = Resp::connect(cluster.nodes[asking].resp).unwrap();
    let refused = client.ask(&["SET", "cart", "tea"]).unwrap();
    assert!(refused.contains("no member of the cluster"), "{refused}");

    let name = ["--cluster", "closed"];
    let tell = |words: &[&str]| cluster.tell(closed, &[words, &name].concat());
    let id = cluster.id(asking);
    let nothing = tell(&["commit"]).unwrap_err();
    assert!(nothing.contains("look at the plan"), "{nothing}");
    let nobody = tell(&["join", "x"]).unwrap_err();
    assert!(nobody.contains("no node's id begins with x"), "{nobody}");
    tell(&["join", &id[..6]]).unwrap();
    let plan = tell(&["plan"]).unwrap();
    assert!(plan.contains(&format!("{id} joins")), "{plan}");
    tell(&["commit", "--wait"]).unwrap();
    assert!(cluster.is_ready(asking));
    let shown = tell(&["status"]).unwrap();
    assert_eq!(shown.matches("  member  ").count(), 2, "{shown}");

    // Two clusters do not mix, even of one name: whoever knows its own takes in no other.
    let other = cluster.add();
    let stranger = cluster.nodes[0].native.to_string();
    cluster.start_with(other, &["--seed", &stranger, "--cluster", "closed"]);
    cluster.complains(other, "belongs to another cluster");
    let shown = cluster
        .tell(closed, &["status", "--cluster", "closed"])
        .unwrap();
    assert_eq!(shown.matches("  member  ").count(), 2, "{shown}");
}

#[test]
fn a_removed_node_that_returns_is_told_what_to_do() {
    let mut cluster = Cluster::of(4, &[]);
    let id = cluster.id(3);
    cluster.kill(3);
    cluster.decide(0, &["remove", &id]);
    cluster.start(3);
    cluster.complains(3, "was removed from its cluster, which is final");
    let ready = http(cluster.nodes[3].http, "/ready");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    let refused = cluster.tell(0, &["join", &id]).unwrap_err();
    assert!(refused.contains("removed, which is final"), "{refused}");
}

#[test]
fn what_takes_too_many_hosts_away_needs_to_be_said_twice() {
    let cluster = Cluster::of(3, &["--storage", "memory"]);
    let id = cluster.id(2);
    cluster.tell(0, &["leave", &id]).unwrap();
    let plan = cluster.tell(0, &["plan"]).unwrap();
    assert!(plan.contains("Warning: 2 hosts would be left"), "{plan}");
    let refused = cluster.tell(0, &["commit"]).unwrap_err();
    assert!(refused.contains("let another node join first"), "{refused}");
    cluster.tell(0, &["unstage"]).unwrap();

    // How keys are kept is the cluster's too.
    cluster.decide(1, &["bucket", "carts", "--w", "3"]);
    cluster.decide(
        2,
        &["bucket", "default/log", "--conflicts", "last-write-wins"],
    );
    let shown = status(&cluster, 0)["buckets"].clone();
    let mut types = shown["types"].as_array().unwrap().iter();
    let carts = types.find(|it| it["type"] == "carts").unwrap();
    assert_eq!((&carts["n"], &carts["w"]), (&3.into(), &3.into()));
    let fixed = cluster.tell(0, &["bucket", "carts", "--conflicts", "counter"]);
    assert!(fixed.unwrap_err().contains("chosen once"));
    let mut client = Resp::connect(cluster.nodes[1].resp).unwrap();
    for value in ["one", "two"] {
        client.ask(&["DYNAMO.PUT", "log", "k", "", value]).unwrap();
        client
            .ask(&["DYNAMO.PUT", "notes", "k", "", value])
            .unwrap();
    }
    for (bucket, expected) in [("log", "value    two\n"), ("notes", "2 concurrent writes")] {
        let node = cluster.nodes[0].native.to_string();
        let get = ["get", "k", "--bucket", bucket, "--node", &node];
        let output = Command::new(PROGRAM).args(get).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(expected), "{bucket}: {said}");
    }
}

/// The text of the README, as it stands there, on ports that are free.
#[test]
fn three_nodes_are_deployed_as_the_readme_says() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("Three nodes that stay").unwrap();
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    let (deploy, rest) = rest.split_once("```").unwrap();
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    let (join, _) = rest.split_once("```").unwrap();
    let directory = TempDir::new().unwrap();
    let ours = |text: &str, ports: &[SocketAddr]| {
        let mut text = text.replace("cargo build --release\n", "");
        text = text.replace("target/release/dynamo", PROGRAM);
        for (at, port) in ["7401", "7402", "7403", "6401", "6402", "6403"]
            .iter()
            .enumerate()
        {
            text = text.replace(&format!("127.0.0.1:{port}"), &ports[at].to_string());
        }
        text
    };
    let ports = free_ports(6);
    let deploy = ours(deploy, &ports) + "\nwait\n";
    let mut shell = Command::new("bash");
    let shell = shell.args(["-c", &deploy]).current_dir(directory.path());
    let mut shell = shell
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let group = Group(shell.id());

    // They are there when each has said so; a reader of the README waits for that line.
    let nodes = || ports[..3].iter().map(ToString::to_string);
    let until = Instant::now() + PATIENCE;
    let is_asking = |shown: &str| shown.matches("asks to join").count() == 2;
    let first = nodes().next().unwrap();
    while !is_asking(&dynamo(&["cluster", "status", "--node", &first])) {
        assert!(Instant::now() < until, "they do not come");
        thread::sleep(Duration::from_millis(50));
    }
    let join = format!("set -e\n{}", ours(join, &ports));
    let joined = Command::new("bash").args(["-c", &join]).output().unwrap();
    let said = String::from_utf8_lossy(&joined.stdout);
    assert!(joined.status.success(), "{joined:?}");
    assert!(said.contains("value    tea"), "{said}");
    for node in nodes() {
        let got = dynamo(&["get", "cart", "--node", &node]);
        assert!(got.contains("value    tea"), "{node}: {got}");
    }
    drop(group);
    shell.wait().unwrap();
}

/// Processes that end with the test.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0);
        let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
    }
}

fn dynamo(words: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Nobody holds what it lacks for it, and nobody reads it: the others have it, and compare.
#[test]
fn what_a_restored_node_lacks_comes_from_the_others_by_itself() {
    const KEYS: usize = 200;
    let mut cluster = Cluster::of(3, &["--exchange-every", "1"]);
    let (data, backup) = (cluster.data(2), cluster.data(9));
    let dynamo = |words: [&std::ffi::OsStr; 4]| {
        let output = Command::new(PROGRAM).args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    };
    let store = [backup.as_os_str(), "--data".as_ref(), data.as_os_str()];
    dynamo(["backup".as_ref(), store[0], store[1], store[2]]);
    let mut client = Resp::connect(cluster.resp()[0]).unwrap();
    for key in 0..KEYS {
        let key = format!("key {key}");
        assert_eq!(client.ask(&["SET", &key, &key]).unwrap(), "+OK\r\n");
    }
    cluster.kill(2);
    std::fs::remove_dir_all(&data).unwrap();
    dynamo(["restore".as_ref(), store[0], store[1], store[2]]);
    cluster.start(2);
    assert!(cluster.is_ready(2));

    // It asks the others, and they ask it.
    let came = || -> usize {
        let names = ["sent", "sent", "received"];
        let counts = cluster.nodes.iter().zip(names).map(|(node, name)| {
            let metrics = http(node.http, "/metrics");
            let name = format!("\ndynamo_exchanged_copies_{name}_total ");
            let (_, rest) = metrics.split_once(&name).unwrap();
            rest.lines().next().unwrap().parse::<usize>().unwrap()
        });
        counts.sum()
    };
    // What two sent is counted twice, so it is over when nothing more comes.
    let until = Instant::now() + PATIENCE;
    let (mut count, mut since) = (came(), Instant::now());
    while count < KEYS || since.elapsed() < Duration::from_secs(5) {
        assert!(Instant::now() < until, "{count} of {KEYS} came");
        thread::sleep(Duration::from_millis(100));
        let now = came();
        if now != count {
            (count, since) = (now, Instant::now());
        }
    }
    // From the one that was restored, since there is nobody else.
    cluster.kill(0);
    cluster.kill(1);
    for key in 0..KEYS {
        let target = format!("/buckets/default/keys/key%20{key}?r=1");
        let got = http(cluster.nodes[2].http, &target);
        assert!(got.ends_with(&format!("\r\n\r\nkey {key}")), "{got}");
    }
}
