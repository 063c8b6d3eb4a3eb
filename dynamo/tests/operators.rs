//! What operators do to a cluster of real processes under load: list, back up, lose, restore.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod processes;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use processes::{Cluster, PATIENCE, PROGRAM};
use serde_json::Value;
use tempfile::TempDir;

/// A backup of a node is made while clients write; its disk is lost; what is restored serves again,
/// and nothing that was acknowledged is gone, before the backup or after it.
#[test]
fn a_node_whose_disk_is_lost_is_restored_from_a_backup_made_under_load() {
    for engine in ["fjall", "redb"] {
        restore_under_load(engine);
    }
}

fn restore_under_load(engine: &str) {
    let mut cluster = Cluster::of(3, &["--storage", engine, "--reserve", "0"]);
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (node, stop, count) = (cluster.nodes[writer].http, stop.clone(), count.clone());
            thread::spawn(move || write_until(&stop, &count, node, writer))
        })
        .collect();
    let wait_for = |more: usize| {
        let (before, since) = (count.load(Ordering::SeqCst), Instant::now());
        while count.load(Ordering::SeqCst) < before + more {
            assert!(since.elapsed() < PATIENCE, "clients are stuck");
            thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for(100);
    let (data, backup) = (cluster.data(2), cluster.data(7));
    let done = dynamo(&["backup", path(&backup), "--data", path(&data)]);
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8_lossy(&done.stdout);
    let copied: usize = said.split(' ').next().unwrap().parse().unwrap();
    assert!(copied >= 100, "{said}");
    let in_use = dynamo(&["restore", path(&data), "--data", path(&cluster.data(9))]);
    assert!(
        String::from_utf8_lossy(&in_use.stderr).contains("dynamo backup"),
        "{in_use:?}"
    );

    wait_for(50);
    cluster.kill(2);
    fs::remove_dir_all(&data).unwrap();
    wait_for(50);
    // The backup is the same afterwards, and can be restored once more.
    for place in [&cluster.data(8), &data] {
        let done = dynamo(&["restore", path(&backup), "--data", path(place)]);
        assert!(done.status.success(), "{done:?}");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(said.starts_with(&format!("{copied} records")), "{said}");
    }
    cluster.start(2);
    assert!(cluster.is_ready(2));
    wait_for(50);
    stop.store(true, Ordering::SeqCst);
    let written: Vec<String> = writers
        .into_iter()
        .flat_map(|writer| writer.join().unwrap())
        .collect();
    println!(
        "{engine}: {copied} records backed up, {} written",
        written.len()
    );
    for node in &cluster.nodes {
        for key in &written {
            let got = get(node.http, key);
            assert!(got.ends_with(&format!("\r\n\r\n{key}")), "{key}: {got}");
        }
    }

    // All of them are listed, from every node, whole and in parts, and exported.
    let wanted: BTreeSet<String> = written.into_iter().collect();
    for node in &cluster.nodes {
        let all = keys(node.native, &["--json"]);
        assert_eq!(all.len(), wanted.len(), "each once");
        assert!(all.iter().all(|line| wanted.contains(named(line))));
        let halves = ["1/2", "2/2"].map(|part| keys(node.native, &["--json", "--part", part]));
        assert_eq!(halves.concat(), all);
    }
    let exported = keys(cluster.nodes[0].native, &["--json", "--values"]);
    assert_eq!(exported.len(), wanted.len());
    for line in exported {
        assert_eq!(line["values"][0]["value"], line["key"]);
    }
    let page = listing(cluster.nodes[1].native, &["--most", "7"]);
    assert_eq!(page.stdout.iter().filter(|byte| **byte == b'\n').count(), 7);
    let said = String::from_utf8_lossy(&page.stderr);
    let from = said.trim().rsplit(' ').next().unwrap();
    let rest = keys(cluster.nodes[2].native, &["--json", "--from", from]);
    assert_eq!(rest.len(), wanted.len() - 7);
    let buckets = listing(cluster.nodes[0].native, &["--buckets"]);
    assert!(String::from_utf8_lossy(&buckets.stdout).starts_with("default\n"));
}

#[test]
fn what_cannot_be_backed_up_or_restored_is_said() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let says = |arguments: &[&str], what: &str| {
        let output = dynamo(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(what), "{said}");
    };
    let (none, new) = (at("none"), at("new"));
    says(
        &["backup", path(&new), "--data", path(&none)],
        "does one run there",
    );
    says(
        &["restore", path(&none), "--data", path(&new)],
        "holds no store",
    );
}

#[test]
fn the_doctor_looks_at_everything_and_names_what_is_bad() {
    let directory = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = path(directory.path());
    let output = dynamo(&["doctor", "--json", "--data", data, "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    let about: Vec<_> = lines
        .iter()
        .map(|line| line["about"].as_str().unwrap())
        .collect();
    assert_eq!(
        about,
        [
            "files", "clock", "io_uring", "store", "room", "flush", "port"
        ]
    );
    assert_eq!(lines[6]["health"], "bad");
    for line in lines {
        assert_eq!(line["advice"].is_null(), line["health"] == "good", "{line}");
    }
}

#[test]
fn shells_and_man_are_told_all_commands() {
    let script = dynamo(&["completions", "bash"]);
    let text = String::from_utf8_lossy(&script.stdout);
    assert!(
        text.contains("dynamo__") && text.contains("doctor"),
        "{text}"
    );
    let directory = TempDir::new().unwrap();
    assert!(dynamo(&["manual", path(directory.path())]).status.success());
    let page = fs::read_to_string(directory.path().join("dynamo-backup.1")).unwrap();
    assert!(page.contains("running node"), "{page}");
}

/// Writes keys that are their own values, and returns those that were acknowledged.
fn write_until(
    stop: &AtomicBool,
    count: &AtomicUsize,
    node: SocketAddr,
    writer: usize,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("writer-{writer}-key-{number}");
        let put = http(node, "PUT", &format!("/buckets/default/keys/{key}"), &key);
        if put.starts_with("HTTP/1.1 204") || put.starts_with("HTTP/1.1 200") {
            acknowledged.push(key);
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
    acknowledged
}

/// Asks again where it is told to: a slow machine may have too much to do.
fn get(node: SocketAddr, key: &str) -> String {
    let since = Instant::now();
    loop {
        let got = http(node, "GET", &format!("/buckets/default/keys/{key}"), "");
        if !got.starts_with("HTTP/1.1 503") || since.elapsed() > PATIENCE {
            return got;
        }
        println!("{got}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn http(node: SocketAddr, method: &str, target: &str, body: &str) -> String {
    let ask = || {
        let mut socket = TcpStream::connect(node)?;
        write!(
            socket,
            "{method} {target} HTTP/1.1\r\nHost: dynamo\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().unwrap_or_default()
}

fn dynamo(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn listing(node: SocketAddr, arguments: &[&str]) -> Output {
    let node = node.to_string();
    let output = dynamo(&[&["keys", "--node", &node], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    output
}

fn keys(node: SocketAddr, arguments: &[&str]) -> Vec<Value> {
    lines(&listing(node, arguments))
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

fn named(line: &Value) -> &str {
    line["key"].as_str().unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
