//! The program as a person uses it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use dynamo_driver::{Bounds, Waits};
use dynamo_proto::node::{Capacity, Config, HintLimits, Start, Timing};
use dynamo_proto::ring::{Member, Ring, RingConfig};
use dynamo_proto::{Buckets, ClusterId, Generation, Limits, NodeId};
use dynamo_storage_memory::Memory;
use dynamo_tokio::{Door, Setup, Store, serve};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dynamo");
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_demo_from_its_start_to_ctrl_c() {
    let demo = Demo::start(&[]);
    assert_eq!(demo.nodes.len(), 5);

    // What it says to type works as it is.
    let commands: Vec<_> = demo
        .printed
        .iter()
        .filter(|line| line.contains("greeting"))
        .collect();
    let [put, get] = commands[..] else {
        panic!(
            "the demo does not say how to put and get: {:?}",
            demo.printed
        );
    };
    assert_eq!(exit_code(&shell(put)), 0);
    assert!(stdout(&shell(get)).starts_with("value    hello\ncontext  "));

    // Two blind writes.
    demo.run(0, &["put", "cart", "tea", "--bucket", "carts"], 0);
    let beside = demo.run(1, &["put", "cart", "milk", "--bucket", "carts"], 0);
    assert_eq!(beside, "done, beside 1 concurrent: get shows all\n");
    let both = demo.run(2, &["get", "cart", "--bucket", "carts"], 0);
    assert!(
        both.contains("value    tea\n") && both.contains("value    milk\n"),
        "{both}"
    );

    // One that has seen them.
    let context = both
        .lines()
        .find_map(|line| line.strip_prefix("context  "))
        .unwrap();
    let settle = [
        "put",
        "cart",
        "both",
        "--bucket",
        "carts",
        "--context",
        context,
    ];
    demo.run(0, &settle, 0);
    let settled = demo.json(1, &["get", "cart", "--bucket", "carts"], 0);
    assert_eq!(settled["values"], json!([{ "value": "both" }]));

    // A delete of what was seen, and one of whatever is there.
    let context = settled["context"].as_str().unwrap();
    demo.run(
        2,
        &["delete", "cart", "--bucket", "carts", "--context", context],
        0,
    );
    let deleted = demo.json(0, &["get", "cart", "--bucket", "carts"], 3);
    assert_eq!(deleted["found"], json!(false));
    demo.run(0, &["delete", "greeting"], 0);
    demo.run(1, &["get", "greeting"], 3);

    assert_eq!(demo.interrupt(), Some(0));
}

#[test]
fn a_demo_of_one_node_and_one_of_seven() {
    for (nodes, runtime) in [("1", "smol"), ("7", "async-std")] {
        let demo = Demo::start(&["--nodes", nodes, "--runtime", runtime]);
        assert_eq!(demo.nodes.len().to_string(), nodes);
        let last = demo.nodes.len() - 1;
        demo.run(0, &["put", "greeting", "hello"], 0);
        let got = demo.run(last, &["get", "greeting"], 0);
        assert!(got.starts_with("value    hello\n"), "{got}");
        assert_eq!(demo.interrupt(), Some(0));
    }
}

#[test]
fn a_context_that_is_none_is_refused() {
    let demo = Demo::start(&[]);
    demo.run(0, &["put", "cart", "tea"], 0);
    let context = demo.json(0, &["get", "cart"], 0)["context"].clone();
    let context = context.as_str().unwrap();

    let no_hex = demo.complaint(0, &["put", "cart", "milk", "--context", "tea"], 2);
    assert!(
        no_hex.contains("an even number of hexadecimal digits"),
        "{no_hex}"
    );
    let too_short = demo.complaint(0, &["put", "cart", "milk", "--context", "01"], 2);
    assert!(too_short.contains("cut short"), "{too_short}");
    let elsewhere = demo.complaint(0, &["put", "purse", "milk", "--context", context], 1);
    assert!(elsewhere.contains("read the key again"), "{elsewhere}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = dynamo(&["demo", "--port", &port]);
    assert_eq!(exit_code(&output), 1);
    assert!(
        stderr(&output).contains(&format!("port {port} is taken")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_port_without_a_node_is_said_to_be_one() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = dynamo(&["get", "cart", "--node", &free.to_string()]);
    assert_eq!(exit_code(&output), 1);
    assert!(
        stderr(&output).contains("nobody listens at"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_node_of_another_cluster_is_not_asked() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config {
        node: NodeId(1),
        cluster: ClusterId(7),
        secret: [0; 16],
        limits: Limits::default(),
        capacity: Capacity::default(),
        timing: Timing::default(),
        hints: HintLimits::default(),
    };
    let members = vec![Member::new(NodeId(1), "zone", "host")];
    let ring = Ring::birth(RingConfig::default(), members).unwrap();
    let setup = Setup {
        config,
        start: Start::founder(ClusterId(7), &ring, Buckets::default(), NodeId(1)),
        peers: BTreeMap::new(),
        seeds: Vec::new(),
        generation: Generation(1),
        store: Store::in_line(Memory::new()),
        bounds: Bounds::default(),
        waits: Waits::default(),
    };
    let server = serve(vec![(listener, Door::Native)], setup).unwrap();
    let output = dynamo(&[
        "put",
        "cart",
        "tea",
        "--node",
        &server.address().to_string(),
    ]);
    assert_eq!(exit_code(&output), 1);
    assert!(
        stderr(&output).contains("another cluster"),
        "{}",
        stderr(&output)
    );
}

/// A demo that runs; killed if the test forgets it.
struct Demo {
    process: Child,
    printed: Vec<String>,
    nodes: Vec<SocketAddr>,
    /// Where it puts its own directory.
    directory: TempDir,
}

impl Demo {
    /// On free ports.
    fn start(args: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let mut process = Command::new(PROGRAM)
            .args(["demo", "--port", "0"])
            .args(args)
            .env("TMPDIR", directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut demo = Self {
            process,
            printed: Vec::new(),
            nodes: Vec::new(),
            directory,
        };
        let (print, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .for_each(|line| drop(print.send(line)));
        });
        loop {
            let line = lines
                .recv_timeout(PATIENCE)
                .expect("the demo never gets ready");
            if line == "ready" {
                break;
            }
            if line.trim().starts_with("node ") {
                let address = line.split_whitespace().nth(2).unwrap();
                demo.nodes.push(address.parse().unwrap());
            }
            demo.printed.push(line);
        }
        demo
    }

    /// Runs a command at one of the nodes, and returns what it prints.
    fn run(&self, node: usize, args: &[&str], expected: i32) -> String {
        stdout(&self.ask(node, args, expected))
    }

    fn json(&self, node: usize, args: &[&str], expected: i32) -> Value {
        let printed = self.run(node, &[args, &["--json"]].concat(), expected);
        serde_json::from_str(&printed).unwrap()
    }

    fn complaint(&self, node: usize, args: &[&str], expected: i32) -> String {
        stderr(&self.ask(node, args, expected))
    }

    fn ask(&self, node: usize, args: &[&str], expected: i32) -> Output {
        let node = self.nodes[node].to_string();
        let output = dynamo(&[args, &["--node", &node]].concat());
        assert_eq!(exit_code(&output), expected, "{args:?}: {output:?}");
        output
    }

    /// Ctrl-C, and what the demo exits with. It leaves nothing behind.
    fn interrupt(mut self) -> Option<i32> {
        let pid = self.process.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().unwrap();
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = self.process.try_wait().unwrap() {
                let mut left = std::fs::read_dir(self.directory.path()).unwrap();
                assert!(left.next().is_none());
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the demo does not end");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn dynamo(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

fn shell(line: &str) -> Output {
    Command::new("sh").args(["-c", line]).output().unwrap()
}

fn exit_code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
