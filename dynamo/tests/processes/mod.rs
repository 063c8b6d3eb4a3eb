//! Clusters of processes, and clients of theirs.
#![allow(dead_code, reason = "each program of tests uses some of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use dynamo_behaviour::free_ports;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_dynamo");
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Writes keys that are their own values, and returns those that were acknowledged.
pub(crate) fn write_until(stop: &AtomicBool, nodes: &[SocketAddr], writer: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut client) = Resp::connect(nodes[(writer + number) % nodes.len()]) else {
            number += 1;
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let key = format!("writer {writer}, key {number}");
            match client.ask(&["SET", &key, &key]) {
                Ok(answer) if answer == "+OK\r\n" => acknowledged.push(key),
                Ok(answer) => assert!(answer.starts_with('-'), "{answer}"),
                Err(_) => break,
            }
        }
    }
    acknowledged
}

/// Says that something was not looked at, where nobody can miss it: CI compares what was skipped with a list.
pub(crate) fn skip(what: &str, why: &str) {
    // Not captured, as what a test prints is; on a line of its own.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}: {why}");
}

pub(crate) fn http(node: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(node).unwrap();
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: dynamo\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Processes, each with a directory; killed when a test forgets them.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    directory: TempDir,
    pub(crate) arguments: Vec<String>,
    /// How many nodes each process has, and on how many threads.
    cores: u16,
    pub(crate) threads: u16,
    /// Another door, through which others reach a node.
    door: Option<fn(SocketAddr) -> SocketAddr>,
}

pub(crate) struct Node {
    pub(crate) native: SocketAddr,
    /// Where others reach it.
    advertised: SocketAddr,
    pub(crate) resp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) process: Option<Child>,
    lines: Option<mpsc::Receiver<String>>,
    /// What it complains of.
    errors: Arc<Mutex<String>>,
}

impl Cluster {
    /// The first begins it and lets the others in.
    pub(crate) fn of(nodes: usize, arguments: &[&str]) -> Self {
        Self::start_all(nodes, 1, arguments, None)
    }

    /// So many processes of so many nodes.
    pub(crate) fn on_cores(processes: usize, cores: u16, arguments: &[&str]) -> Self {
        Self::start_all(processes, cores, arguments, None)
    }

    /// So many nodes, each of which is reached by others through another door.
    pub(crate) fn behind(
        nodes: usize,
        arguments: &[&str],
        door: fn(SocketAddr) -> SocketAddr,
    ) -> Self {
        Self::start_all(nodes, 1, arguments, Some(door))
    }

    fn start_all(
        nodes: usize,
        cores: u16,
        arguments: &[&str],
        door: Option<fn(SocketAddr) -> SocketAddr>,
    ) -> Self {
        let mut cluster = Self {
            nodes: Vec::new(),
            directory: TempDir::new().unwrap(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            cores,
            threads: cores,
            door,
        };
        for at in 0..nodes {
            cluster.add();
            let n = nodes.min(3).to_string();
            match at {
                0 => cluster.start_with(at, &["--bootstrap", "--auto-admit", "--n", &n]),
                _ => cluster.start(at),
            }
        }
        for at in 0..nodes {
            assert!(cluster.is_ready(at));
        }
        cluster.meet();
        cluster
    }

    /// A node that is not started yet.
    pub(crate) fn add(&mut self) -> usize {
        let ports = free_ports(usize::from(self.cores) + 3); // there may be one core more
        self.nodes.push(Node {
            native: ports[2],
            advertised: self.door.map_or(ports[2], |door| door(ports[2])),
            resp: ports[0],
            http: ports[1],
            process: None,
            lines: None,
            errors: Arc::default(),
        });
        self.nodes.len() - 1
    }

    /// With all others for seeds, or as it goes on.
    pub(crate) fn start(&mut self, at: usize) {
        let others = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        let others = others.flat_map(|(_, node)| ["--seed".into(), node.advertised.to_string()]);
        let seeds: Vec<String> = others.collect();
        let seeds: Vec<_> = seeds.iter().map(String::as_str).collect();
        self.start_with(at, &seeds);
    }

    pub(crate) fn start_with(&mut self, at: usize, more: &[&str]) {
        let mut command = Command::new(PROGRAM);
        let node = &self.nodes[at];
        command.arg("serve").args(more);
        command.args(["--listen", &node.native.to_string()]);
        command.args(["--resp", &node.resp.to_string()]);
        command.args(["--http", &node.http.to_string()]);
        command.args(["--advertise", &node.advertised.to_string()]);
        command.args(["--cores", &self.threads.to_string()]);
        command.args(&self.arguments);
        if !self.arguments.iter().any(|it| it == "memory") {
            command.arg("--data").arg(self.data(at));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (print, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok);
            lines.for_each(|line| drop(print.send(line)));
        });
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let errors = node.errors.clone();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("node at place {at}: {line}");
                *errors.lock().unwrap() += &(line + "\n");
            }
        });
        self.nodes[at].process = Some(process);
        self.nodes[at].lines = Some(lines);
    }

    /// Waits until it complains of that.
    pub(crate) fn complains(&self, at: usize, of: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.nodes[at].errors.lock().unwrap().contains(of) {
            assert!(Instant::now() < until, "node {at} does not say {of:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs `dynamo cluster` at a node, and returns what it prints; what it complains of if it fails.
    pub(crate) fn tell(&self, at: usize, words: &[&str]) -> Result<String, String> {
        let node = self.nodes[at].native.to_string();
        let mut command = Command::new(PROGRAM);
        command.arg("cluster").args(words).args(["--node", &node]);
        let output = command.output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8(output.stderr).unwrap()),
        }
    }

    /// Stages that, looks at the plan and commits it, until all have carried it out.
    pub(crate) fn decide(&self, at: usize, words: &[&str]) {
        let until = Instant::now() + PATIENCE;
        while let Err(refused) = self.tell(at, words) {
            assert!(Instant::now() < until, "{words:?}: {refused}");
            thread::sleep(Duration::from_millis(100));
        }
        self.tell(at, &["plan"]).unwrap();
        self.tell(at, &["commit", "--anyway", "--wait"]).unwrap();
    }

    /// Its name.
    pub(crate) fn id(&self, at: usize) -> String {
        let status = http(self.nodes[at].http, "/status");
        let (_, rest) = status.split_once("\"node\":\"").unwrap();
        rest[..16].into()
    }

    /// Waits for the line that says so.
    pub(crate) fn is_ready(&self, at: usize) -> bool {
        let lines = self.nodes[at].lines.as_ref().unwrap();
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line == "ready" {
                return true;
            }
        }
        false
    }

    /// Waits until all that run are connected to each other, and nothing moves.
    pub(crate) fn meet(&self) {
        let running = self.nodes.iter().filter(|node| node.process.is_some());
        let others = running.clone().count() * usize::from(self.cores) - 1;
        let others = format!("\ndynamo_peers_connected {others}\n");
        let until = Instant::now() + PATIENCE;
        for node in running {
            while !http(node.http, "/metrics").contains(&others)
                || !http(node.http, "/cluster").contains("\"settled\":true")
            {
                assert!(Instant::now() < until, "they do not meet: {}", self.shown());
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// What each of those that run says of the cluster.
    fn shown(&self) -> String {
        let running = self.nodes.iter().filter(|node| node.process.is_some());
        let shown = running.map(|node| http(node.http, "/cluster") + &http(node.http, "/status"));
        shown.collect::<Vec<_>>().join("\n")
    }

    /// On which processors each of its nodes' threads may run.
    pub(crate) fn places(&self, at: usize) -> Vec<String> {
        let pid = self.nodes[at].process.as_ref().unwrap().id();
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let threads = threads.map(|thread| thread.unwrap().path());
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let of_nodes = threads.filter(|it| read(it.join("comm")).starts_with("dynamo-core-"));
        let place = |status: String| {
            let mut lines = status.lines();
            let place = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            place.unwrap_or_default().trim().to_owned()
        };
        of_nodes.map(|it| place(read(it.join("status")))).collect()
    }

    pub(crate) fn data(&self, at: usize) -> std::path::PathBuf {
        self.directory.path().join(format!("node-{at}"))
    }

    pub(crate) fn resp(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.resp).collect()
    }

    pub(crate) fn kill(&mut self, at: usize) {
        let mut process = self.nodes[at].process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// What it exits with after that signal.
    pub(crate) fn signal(&mut self, at: usize, signal: &str) -> Option<i32> {
        let process = self.nodes[at].process.as_mut().unwrap();
        let pid = process.id().to_string();
        Command::new("kill").args([signal, &pid]).status().unwrap();
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = process.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }
}

impl Node {
    pub(crate) fn memory_bytes(&self) -> usize {
        let pid = self.process.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(process) = &mut node.process {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}

pub(crate) struct Resp(BufReader<TcpStream>);

impl Resp {
    pub(crate) fn connect(node: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpStream::connect(node)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(socket)))
    }

    /// One command, and its answer as it comes.
    pub(crate) fn ask(&mut self, words: &[&str]) -> std::io::Result<String> {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(command.as_bytes())?;
        let mut answer = String::new();
        if self.0.read_line(&mut answer)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(len) = answer
            .strip_prefix('$')
            .and_then(|len| len.trim().parse().ok())
        {
            let len: usize = len;
            let mut body = vec![0; len + 2];
            self.0.read_exact(&mut body)?;
            answer += &String::from_utf8_lossy(&body);
        }
        Ok(answer)
    }
}
