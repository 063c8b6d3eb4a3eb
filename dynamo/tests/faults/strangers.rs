//! Those who talk nonsense, those who say nothing, and those who ask for everything at once.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::processes::{Cluster, PATIENCE, Resp, http, skip};

/// At each port.
const MALFORMED: u64 = 100_000;

const THREADS: u64 = 8;

#[test]
fn nonsense_at_every_port_harms_nobody_and_nothing_grows() {
    let cluster = Cluster::of(1, &["--storage", "memory"]);
    let node = &cluster.nodes[0];
    let ports = [
        (
            node.native,
            &b"\0\0\0\x20\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..],
        ),
        (
            node.resp,
            b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n",
        ),
        (
            node.http,
            b"GET /buckets/default/keys/key HTTP/1.1\r\nHost: dynamo\r\nContent-Length: 0\r\n\r\n",
        ),
    ];
    for (port, sense) in ports {
        garble(port, sense, MALFORMED / 5);
        let before = node.memory_bytes();
        let start = Instant::now();
        garble(port, sense, MALFORMED - MALFORMED / 5);
        let (grown, took) = (node.memory_bytes().saturating_sub(before), start.elapsed());
        println!(
            "{port}: {grown} bytes more after {MALFORMED} malformed inputs, the last in {took:?}"
        );
        assert!(grown < 8 << 20, "{grown}");
    }
    let mut client = Resp::connect(node.resp).unwrap();
    assert_eq!(client.ask(&["SET", "cart", "tea"]).unwrap(), "+OK\r\n");
    assert!(http(node.http, "/health").starts_with("HTTP/1.1 200 "));
}

/// Says something that makes almost sense, so often, each on a connection of its own, and hears it out.
fn garble(port: SocketAddr, sense: &[u8], times: u64) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut chance = (thread + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ times;
                let mut below = |bound: usize| {
                    chance ^= chance << 13;
                    chance ^= chance >> 7;
                    chance ^= chance << 17;
                    (chance >> 11) as usize % bound
                };
                for _ in 0..times / THREADS {
                    let mut bytes = sense.to_vec();
                    for _ in 0..1 + below(3) {
                        let at = below(bytes.len());
                        match below(4) {
                            0 => bytes[at] = below(256) as u8,
                            1 => bytes.truncate(at.max(1)),
                            2 => bytes.insert(at, below(256) as u8),
                            _ => drop(bytes.remove(at)),
                        }
                        bytes.push(below(256) as u8);
                    }
                    say_and_hear_out(port, &bytes);
                }
            });
        }
    });
}

fn say_and_hear_out(port: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect(port).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // So that no port is kept for whoever might still say something.
    SockRef::from(&socket)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    // It may be hung up on at once.
    let _ = socket
        .write_all(bytes)
        .and_then(|()| socket.shutdown(Shutdown::Write));
    let mut last_words = Vec::new();
    if let Err(error) = socket.read_to_end(&mut last_words) {
        let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!is_late, "{} is not hung up on", bytes.escape_ascii());
    }
}

#[test]
fn ten_thousand_commands_at_once_are_answered_in_order() {
    const COMMANDS: usize = 10_000;
    let cluster = Cluster::of(3, &["--storage", "memory"]);
    let socket = TcpStream::connect(cluster.resp()[0]).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut speaker = socket.try_clone().unwrap();
    let asking = thread::spawn(move || {
        let command = |number: usize| match number % 2 {
            0 => format!(
                "*2\r\n$4\r\nECHO\r\n${}\r\n{number}\r\n",
                number.to_string().len()
            ),
            _ => "*3\r\n$3\r\nSET\r\n$4\r\ncart\r\n$3\r\ntea\r\n".into(),
        };
        let all: String = (0..COMMANDS).map(command).collect();
        speaker.write_all(all.as_bytes()).unwrap();
    });
    let mut answers = BufReader::new(socket).lines().map(Result::unwrap);
    for number in 0..COMMANDS {
        let answer = answers.next().unwrap();
        if number % 2 == 0 {
            assert_eq!(answers.next().unwrap(), number.to_string(), "{answer}");
        } else {
            assert_eq!(answer, "+OK");
        }
    }
    asking.join().unwrap();
}

#[test]
fn ten_thousand_idle_connections_cost_little() {
    const IDLE: usize = 10_000;
    allow_many_sockets();
    let cluster = Cluster::of(1, &["--storage", "memory"]);
    let (node, port) = (&cluster.nodes[0], cluster.resp()[0]);
    let before = node.memory_bytes();
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        match TcpStream::connect(port) {
            Ok(socket) => idle.push(socket),
            Err(error) => {
                let why = format!("after {} of {IDLE}: {error}", idle.len());
                return skip("ten thousand idle connections", &why);
            }
        }
    }
    let until = Instant::now() + PATIENCE;
    let connected = || {
        let metrics = http(node.http, "/metrics");
        let mut lines = metrics.lines();
        let number = lines.find_map(|line| line.strip_prefix("dynamo_client_connections "));
        number.unwrap().parse::<usize>().unwrap()
    };
    while connected() < IDLE {
        assert!(Instant::now() < until, "{} are let in", connected());
        thread::sleep(Duration::from_millis(50));
    }
    let each = node.memory_bytes().saturating_sub(before) / IDLE;
    println!("{each} bytes for each of {IDLE} idle connections");
    assert!(each < 4 << 10, "{each}");
    let mut client = Resp::connect(port).unwrap();
    assert_eq!(client.ask(&["SET", "cart", "tea"]).unwrap(), "+OK\r\n");
}

/// As many as this process may ask for.
fn allow_many_sockets() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
}
