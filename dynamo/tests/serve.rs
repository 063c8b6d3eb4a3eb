//! Nodes as processes of their own, on real disks and ports.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod processes;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dynamo_behaviour::free_ports;
use processes::{Cluster, PATIENCE, PROGRAM, Resp, http, skip, write_until};
use tempfile::TempDir;

#[test]
fn no_acknowledged_write_is_lost_however_nodes_are_killed_on_tokio() {
    kill_nodes_under_load("tokio", 1);
}

#[test]
fn no_acknowledged_write_is_lost_however_nodes_are_killed_on_smol() {
    kill_nodes_under_load("smol", 1);
}

#[test]
fn no_acknowledged_write_is_lost_however_nodes_are_killed_on_async_std() {
    kill_nodes_under_load("async-std", 1);
}

#[test]
#[cfg(target_os = "linux")]
fn no_acknowledged_write_is_lost_however_nodes_are_killed_on_glommio() {
    match dynamo_glommio::probe() {
        Ok(()) => kill_nodes_under_load("glommio", 1),
        Err(missing) => skip("killing nodes on glommio", &missing.to_string()),
    }
}

#[test]
fn no_acknowledged_write_is_lost_however_processes_of_two_cores_are_killed_on_tokio() {
    kill_nodes_under_load("tokio", 2);
}

#[test]
fn no_acknowledged_write_is_lost_however_processes_of_two_cores_are_killed_on_smol() {
    kill_nodes_under_load("smol", 2);
}

#[test]
fn no_acknowledged_write_is_lost_however_processes_of_two_cores_are_killed_on_async_std() {
    kill_nodes_under_load("async-std", 2);
}

#[test]
#[cfg(target_os = "linux")]
fn no_acknowledged_write_is_lost_however_processes_of_two_cores_are_killed_on_glommio() {
    match dynamo_glommio::probe() {
        Ok(()) => kill_nodes_under_load("glommio", 2),
        Err(missing) => skip("killing nodes on glommio", &missing.to_string()),
    }
}

/// Twice each of three processes, while clients write.
fn kill_nodes_under_load(runtime: &str, cores: u16) {
    let mut cluster = Cluster::on_cores(3, cores, &["--runtime", runtime]);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (nodes, stop) = (cluster.resp(), stop.clone());
            thread::spawn(move || write_until(&stop, &nodes, writer))
        })
        .collect();
    for round in 0..2 {
        for at in 0..3 {
            thread::sleep(Duration::from_millis(400));
            cluster.kill(at);
            thread::sleep(Duration::from_millis(200));
            cluster.start(at);
            assert!(cluster.is_ready(at), "round {round}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<String> = writers
        .into_iter()
        .flat_map(|writer| writer.join().unwrap())
        .collect();
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    // Of three nodes no other can stand in for one that is away. Of six it can, and what it holds for that
    // one is not read before it is home.
    let patience = if cores == 1 { Duration::ZERO } else { PATIENCE };
    let until = Instant::now() + patience;
    for node in cluster.resp() {
        let mut client = Resp::connect(node).unwrap();
        for key in &acknowledged {
            let found = format!("${}\r\n{key}\r\n", key.len());
            loop {
                let answer = client.ask(&["GET", key]).unwrap();
                if answer == found {
                    break;
                }
                assert!(Instant::now() < until, "{key} at {node}: {answer}");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

#[test]
fn a_node_that_is_told_to_stop_stops_and_has_everything_when_it_is_back() {
    for engine in ["fjall", "redb"] {
        let mut cluster = Cluster::of(1, &["--storage", engine]);
        let mut client = Resp::connect(cluster.resp()[0]).unwrap();
        assert_eq!(client.ask(&["SET", "cart", "tea"]).unwrap(), "+OK\r\n");
        assert_eq!(cluster.signal(0, "-TERM"), Some(0));
        cluster.start(0);
        assert!(cluster.is_ready(0));
        let mut client = Resp::connect(cluster.resp()[0]).unwrap();
        assert_eq!(client.ask(&["GET", "cart"]).unwrap(), "$3\r\ntea\r\n");
        assert_eq!(cluster.signal(0, "-INT"), Some(0));
    }
}

/// As many nodes as have a store, on however many threads.
#[test]
fn every_store_is_found_on_another_number_of_cores() {
    let mut cluster = Cluster::on_cores(1, 3, &[]);
    let names: Vec<_> = (0..60).map(|number| format!("key {number}")).collect();
    let mut client = Resp::connect(cluster.resp()[0]).unwrap();
    for name in &names {
        assert_eq!(client.ask(&["SET", name, name]).unwrap(), "+OK\r\n");
    }
    for threads in [1, 2, 4] {
        assert_eq!(cluster.signal(0, "-TERM"), Some(0));
        cluster.threads = threads;
        cluster.start(0);
        assert!(cluster.is_ready(0));
        let places = cluster.places(0);
        assert_eq!(places.len(), usize::from(threads));
        let is_one = |place: &String| place.parse::<usize>().is_ok();
        assert!(threads == 1 || places.iter().all(is_one), "{places:?}");
        // Whichever of its nodes hears it.
        for name in &names {
            let mut client = Resp::connect(cluster.resp()[0]).unwrap();
            let answer = client.ask(&["GET", name]).unwrap();
            assert_eq!(answer, format!("${}\r\n{name}\r\n", name.len()));
        }
    }
    // The fourth is new: it was let in.
    for core in 1..4 {
        let store = cluster.data(0).join(format!("core-{core}"));
        assert!(store.join("identity").exists(), "{}", store.display());
    }
}

#[test]
fn ports_of_a_process_of_several_cores_are_nobody_elses() {
    let cluster = Cluster::on_cores(1, 2, &["--storage", "memory"]);
    let node = &cluster.nodes[0];
    for (listen, resp) in [
        (node.native, free_ports(1)[0]),
        (free_ports(1)[0], node.resp),
    ] {
        let (listen, resp) = (listen.to_string(), resp.to_string());
        let arguments = ["--listen", &listen, "--resp", &resp, "--storage", "memory"];
        let other = serve(&[&arguments[..], &["--bootstrap", "--cores", "2"]].concat());
        let said = String::from_utf8_lossy(&other.stderr);
        assert_eq!(other.status.code(), Some(1), "{said}");
        assert!(said.contains("is taken"), "{said}");
    }
}

#[test]
fn a_write_buffer_answers_and_keeps() {
    let mut cluster = Cluster::of(1, &["--write-buffer", "1000"]);
    let mut client = Resp::connect(cluster.resp()[0]).unwrap();
    assert_eq!(client.ask(&["SET", "cart", "tea"]).unwrap(), "+OK\r\n");
    assert_eq!(cluster.signal(0, "-TERM"), Some(0));
    cluster.start(0);
    assert!(cluster.is_ready(0));
    let mut client = Resp::connect(cluster.resp()[0]).unwrap();
    assert_eq!(client.ask(&["GET", "cart"]).unwrap(), "$3\r\ntea\r\n");
}

#[test]
fn it_says_over_http_that_it_is_ready_and_what_it_has_done() {
    let cluster = Cluster::of(3, &["--storage", "memory"]);
    let mut client = Resp::connect(cluster.resp()[0]).unwrap();
    client.ask(&["SET", "cart", "tea"]).unwrap();
    let ready = http(cluster.nodes[0].http, "/ready");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    let metrics = http(cluster.nodes[0].http, "/metrics");
    assert!(metrics.contains("\ndynamo_puts_total 1\n"), "{metrics}");
    assert!(
        metrics.contains("\ndynamo_peers_connected 2\n"),
        "{metrics}"
    );
    let value = http(cluster.nodes[1].http, "/buckets/default/keys/cart");
    assert!(value.ends_with("\r\n\r\ntea"), "{value}");
}

#[test]
fn a_client_that_never_reads_and_a_flood_of_idle_ones_are_survived() {
    let cluster = Cluster::of(1, &["--storage", "memory"]);
    let node = cluster.resp()[0];
    let mut client = Resp::connect(node).unwrap();
    let large = "v".repeat(1 << 20);
    client.ask(&["SET", "large", &large]).unwrap();

    let mut deaf = TcpStream::connect(node).unwrap();
    deaf.set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    while deaf
        .write_all(b"*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n")
        .is_ok()
    {}
    let idle: Vec<_> = (0..500)
        .map(|_| TcpStream::connect(node).unwrap())
        .collect();
    assert_eq!(client.ask(&["STRLEN", "large"]).unwrap(), ":1048576\r\n");
    let memory = cluster.nodes[0].memory_bytes();
    assert!(memory < 256 << 20, "{memory}");
    drop(idle);
}

#[test]
fn what_cannot_be_is_said_clearly() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let listen = port.to_string();
    let file = directory.path().join("node.toml");
    std::fs::write(&file, "bootstrap = true\nlisen = '127.0.0.1:7400'\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, code, complaint) in [
        (
            vec!["--bootstrap", "--storage", "memory", "--listen", &listen],
            1,
            format!("port {} is taken", port.port()),
        ),
        (
            vec![
                "--bootstrap",
                "--storage",
                "memory",
                "--listen",
                "0.0.0.0:0",
            ],
            2,
            "nobody is authenticated".into(),
        ),
        (vec!["--bootstrap"], 2, "--data DIR".into()),
        (
            vec!["--storage", "memory", "--listen", "127.0.0.1:0"],
            2,
            "--bootstrap begins one".into(),
        ),
        (vec!["--config", file], 2, "unknown field `lisen`".into()),
        (
            vec!["--bootstrap", "--data", "/proc/no/such/place"],
            1,
            "cannot create".into(),
        ),
    ] {
        let output = serve(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(&complaint), "{arguments:?}: {said}");
    }

    let checked = serve(&["--bootstrap", "--data", data, "--flush", "20", "--check"]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0));
    assert!(said.contains("flushed 20 ms later"), "{said}");
    assert!(!Path::new(data).exists(), "it opens nothing");

    let unknown = Command::new(PROGRAM)
        .args(["serve", "--bootstrap", "--storage", "memory", "--check"])
        .env("DYNAMO_LISTN", "127.0.0.1:1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("DYNAMO_LISTN"), "{said}");
}

/// As on a disk that is full: there is less than is to be kept free.
#[test]
fn a_full_store_says_so_and_takes_deletes() {
    for engine in ["fjall", "redb"] {
        let mut cluster = Cluster::of(1, &["--storage", engine]);
        let mut client = Resp::connect(cluster.resp()[0]).unwrap();
        assert_eq!(client.ask(&["SET", "cart", "tea"]).unwrap(), "+OK\r\n");
        assert_eq!(cluster.signal(0, "-TERM"), Some(0));
        let reserve = (1_u64 << 60).to_string();
        cluster.arguments.extend(["--reserve".into(), reserve]);
        cluster.start(0);
        assert!(cluster.is_ready(0));
        let mut client = Resp::connect(cluster.resp()[0]).unwrap();
        let refused = client.ask(&["SET", "pot", "tea"]).unwrap();
        assert!(refused.starts_with('-'), "{refused}");
        println!("{engine}: {refused}");
        assert_eq!(client.ask(&["GET", "cart"]).unwrap(), "$3\r\ntea\r\n");
        assert_eq!(client.ask(&["DEL", "cart"]).unwrap(), ":1\r\n");
        assert_eq!(client.ask(&["GET", "cart"]).unwrap(), "$-1\r\n");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn glommio_says_what_it_lacks() {
    let serve = format!(
        "ulimit -l 64; exec {PROGRAM} serve --bootstrap --storage memory --listen 127.0.0.1:0 --runtime glommio"
    );
    let output = Command::new("sh").args(["-c", &serve]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("may lock 65536 bytes"), "{said}");
    assert!(said.contains("ulimit -l 512"), "{said}");
}

#[test]
fn a_store_serves_one_node_of_one_cluster_and_one_process() {
    let mut cluster = Cluster::of(1, &[]);
    let data = cluster.data(0);
    let data = data.to_str().unwrap();
    let usual = ["--data", data, "--listen", "127.0.0.1:0"];
    let again = serve(&usual);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("is in use"), "{said}");
    cluster.kill(0);
    let other = serve(&[&usual[..], &["--cluster", "other"]].concat());
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(said.contains("belongs to node "), "{said}");
    let redb = serve(&[&usual[..], &["--storage", "redb"]].concat());
    let said = String::from_utf8_lossy(&redb.stderr);
    assert!(said.contains("was written by the engine fjall"), "{said}");
}

fn serve(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .arg("serve")
        .args(arguments)
        .output()
        .unwrap()
}
