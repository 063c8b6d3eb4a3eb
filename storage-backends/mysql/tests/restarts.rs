//! On servers that are stopped, killed and set up otherwise: `DYNAMO_MARIADB` names the script that
//! does it, `scripts/mariadb`.

#![allow(clippy::unwrap_used, reason = "a test")]

mod stage;

use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dynamo_proto::Durability;
use dynamo_proto::store::{ReadOutcome, Space};
use dynamo_storage::Backend;
use dynamo_storage::conformance::{End, Subject, check};
use dynamo_storage::directory::Opening;
use dynamo_storage_mysql::{Mysql, Options};
use stage::{Reports, given, place, refused, set, write};

const SCRIPT: &str = "DYNAMO_MARIADB";

/// A server of its own, removed when it is dropped.
struct Server {
    script: PathBuf,
    name: String,
    url: String,
}

impl Server {
    fn new(script: &str, name: &str, options: &[&str]) -> Self {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let mut server = Self {
            script: root.join(script),
            name: format!("{name}-{}", process::id()),
            url: String::new(),
        };
        server.url = server.start(options);
        server
    }

    fn start(&self, options: &[&str]) -> String {
        self.run("start", options)
    }

    fn run(&self, command: &str, options: &[&str]) -> String {
        let mut script = Command::new(&self.script);
        let output = script
            .arg(command)
            .arg(&self.name)
            .args(options)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn open(&self) -> (Mysql, Reports) {
        let options = Options {
            patience: Duration::from_secs(10),
            ..Options::new(&self.url)
        };
        stage::open(options, Opening::InPlace).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut script = Command::new(&self.script);
        let _ = script.arg("remove").arg(&self.name).status();
    }
}

/// Whatever ends, the server is killed. That the power goes too cannot be staged.
struct OnKilledServer<'a>(&'a Server);

impl Subject for OnKilledServer<'_> {
    type Backend = Mysql;

    fn open(&mut self) -> Mysql {
        self.0.run(
            "sql",
            &["DROP DATABASE dynamo_store; CREATE DATABASE dynamo_store"],
        );
        self.0.open().0
    }

    fn reopen(&mut self, backend: Mysql, _: End) -> Option<Mysql> {
        self.0.run("kill", &[]);
        drop(backend);
        self.0.start(&[]);
        Some(self.0.open().0)
    }
}

#[test]
fn a_killed_server_keeps_what_it_promised() {
    let Some(script) = given(SCRIPT) else { return };
    let server = Server::new(&script, "killed", &[]);
    let report = check(|| OnKilledServer(&server));
    let skipped: Vec<_> = report.skipped().collect();
    assert_eq!(
        skipped,
        [
            "what_is_damaged_is_not_absent",
            "what_is_damaged_can_be_replaced",
            "a_failed_flush_is_final",
            "a_full_store_takes_nothing_of_a_batch",
            "a_full_store_can_be_emptied",
        ]
    );
}

/// Each thread counts upwards at a place of its own, and knows what was acknowledged.
#[test]
fn nothing_acknowledged_is_lost_when_the_server_goes_and_comes_under_load() {
    const THREADS: usize = 6;
    let Some(script) = given(SCRIPT) else { return };
    let server = Server::new(&script, "load", &[]);
    let (store, reports) = server.open();
    let is_over = AtomicBool::new(false);
    let acknowledged: [AtomicU64; THREADS] = Default::default();
    let failures = AtomicU64::new(0);
    let value = |count: u64| {
        let mut bytes = count.to_be_bytes().to_vec();
        bytes.resize(20_000, 7);
        bytes
    };
    let count_of = |position: usize| match store.read(Space::Objects, &place(position as u128)) {
        ReadOutcome::Found(bytes) => Some(u64::from_be_bytes(*bytes.first_chunk().unwrap())),
        ReadOutcome::Absent => Some(0),
        _ => None,
    };
    let total = || {
        acknowledged
            .iter()
            .map(|it| it.load(Ordering::Relaxed))
            .sum::<u64>()
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, is_over, failures) = (&store, &is_over, &failures);
            let (acknowledged, count_of) = (&acknowledged[thread], &count_of);
            scope.spawn(move || {
                let mut count = 0;
                let mut seen = 0;
                while !is_over.load(Ordering::Relaxed) {
                    count += 1;
                    let start = Instant::now();
                    let here = set(thread as u128, value(count));
                    let there = set((100 + thread) as u128, value(count));
                    match write(store, [here, there]) {
                        Ok(reached) => {
                            assert_eq!(reached, Durability::Flushed);
                            acknowledged.store(count, Ordering::Relaxed);
                        }
                        Err(_) => {
                            failures.fetch_add(1, Ordering::Relaxed);
                            thread::sleep(Duration::from_millis(20));
                        }
                    }
                    assert!(
                        start.elapsed() < Duration::from_secs(9),
                        "that took too long"
                    );
                    if let Some(found) = count_of(thread) {
                        let least = seen.max(acknowledged.load(Ordering::Relaxed));
                        assert!((least..=count).contains(&found), "{found} after {least}");
                        seen = found;
                    }
                }
            });
        }
        for end in ["kill", "stop", "kill", "kill"] {
            let before = total();
            let start = Instant::now();
            while total() < before + 50 {
                assert!(
                    start.elapsed() < Duration::from_secs(60),
                    "it does not recover"
                );
                thread::sleep(Duration::from_millis(5));
            }
            server.run(end, &[]);
            thread::sleep(Duration::from_millis(200));
            server.start(&[]);
        }
        let before = total();
        let start = Instant::now();
        while total() < before + 50 {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "it does not recover"
            );
            thread::sleep(Duration::from_millis(5));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    for (thread, acknowledged) in acknowledged.iter().enumerate() {
        let [here, there] = [thread, 100 + thread].map(count_of);
        assert_eq!(here, there, "a batch was torn");
        assert!(here.unwrap() >= acknowledged.load(Ordering::Relaxed));
    }
    assert!(failures.load(Ordering::Relaxed) > 0, "nobody noticed");
    for said in reports.all() {
        assert!(
            said.starts_with("the server cannot be reached, and nothing was changed: ")
                || said.starts_with("the connection was lost during a commit, which may or may "),
            "{said}"
        );
    }
    println!(
        "{} acknowledged, {} not",
        total(),
        failures.load(Ordering::Relaxed)
    );
}

#[test]
fn what_the_settings_do_not_give_is_not_answered() {
    let Some(script) = given(SCRIPT) else { return };
    let server = Server::new(&script, "settings", &["--innodb-flush-log-at-trx-commit=2"]);
    let (store, _) = server.open();
    assert_eq!(write(&store, [set(1, "tea")]), Ok(Durability::Written));
    assert_eq!(
        store.safety().unwrap().to_string(),
        "written, not flushed, because of innodb_flush_log_at_trx_commit=2"
    );
    // While it is open, too.
    server.run("sql", &["SET GLOBAL innodb_flush_log_at_trx_commit = 0"]);
    assert_eq!(write(&store, [set(1, "tea")]), Ok(Durability::Memory));
    server.run("sql", &["SET GLOBAL innodb_flush_log_at_trx_commit = 1"]);
    assert_eq!(write(&store, []), Ok(Durability::Flushed));
    drop(store);

    server.run("stop", &[]);
    server.start(&[
        "--log-bin",
        "--server-id=1",
        "--sync-binlog=0",
        "--binlog-format=ROW",
    ]);
    let (store, _) = server.open();
    assert_eq!(write(&store, [set(1, "tea")]), Ok(Durability::Written));
    server.run("sql", &["SET GLOBAL sync_binlog = 1"]);
    assert_eq!(write(&store, [set(1, "tea")]), Ok(Durability::Flushed));
    drop(store);

    server.run("stop", &[]);
    server.start(&["--skip-innodb-doublewrite"]);
    let (store, _) = server.open();
    assert_eq!(write(&store, [set(1, "tea")]), Ok(Durability::Written));
    drop(store);

    server.run("stop", &[]);
    server.start(&["--innodb-flush-method=nosync"]);
    let error = refused(Options::new(&server.url));
    assert!(
        error.to_string().contains("innodb_flush_method=nosync"),
        "{error}"
    );
}

#[test]
fn a_packet_limit_that_is_too_small_is_named_with_what_to_do() {
    let Some(script) = given(SCRIPT) else { return };
    let server = Server::new(&script, "packets", &["--max-allowed-packet=16M"]);
    let error = refused(Options::new(&server.url));
    assert_eq!(
        error.to_string(),
        "the server takes packets of up to 16777216 bytes, and records of up to 16842752 need \
         17825792: set max_allowed_packet=17825792 or more in its configuration, or lower the \
         largest record"
    );
    let smaller = Options {
        largest_record: 15 << 20,
        ..Options::new(&server.url)
    };
    let (store, _) = stage::open(smaller, Opening::InPlace).unwrap();
    assert_eq!(
        write(&store, [set(1, vec![7; 15 << 20])]),
        Ok(Durability::Flushed)
    );
}
