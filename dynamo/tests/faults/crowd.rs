//! Native clients that read and write the same few keys until they are told to stop. What they saw is held
//! against the simulator's oracle.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dynamo_behaviour::{Client, Lost};
use dynamo_proto::node::{Condition, Got, Mode, Operation, Options, Request, Response};
use dynamo_proto::version::{Content, RequestId};
use dynamo_proto::{ClusterId, Key, Limits};
use dynamo_sim::{Count, History, Sight};
use xxhash_rust::xxh3::xxh3_128;

use crate::processes::PATIENCE;

/// So few that clients meet.
const KEYS: usize = 8;

const TIMEOUT: Duration = Duration::from_secs(2);

/// A client that hears nothing for longer gives up its connection.
const SILENCE: Duration = Duration::from_secs(3);

pub(crate) struct Crowd {
    history: Arc<Mutex<History>>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    began: Instant,
}

impl Crowd {
    /// So many clients at each of these nodes.
    pub(crate) fn gather(nodes: &[SocketAddr], each: usize) -> Self {
        let mut crowd = Self {
            history: Arc::new(Mutex::new(History::new(KEYS))),
            stop: Arc::default(),
            clients: Vec::new(),
            began: Instant::now(),
        };
        for number in 0..each * nodes.len() {
            let one = One {
                nodes: nodes.to_vec(),
                number,
                history: crowd.history.clone(),
                stop: crowd.stop.clone(),
                began: crowd.began,
                seen: Default::default(),
                asked: 0,
            };
            crowd.clients.push(thread::spawn(|| one.work()));
        }
        crowd
    }

    /// How many writes were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.history.lock().unwrap().of(Count::Acked)
    }

    /// How many are in that time.
    pub(crate) fn acknowledged_in(&self, time: Duration) -> u64 {
        let before = self.acknowledged();
        thread::sleep(time);
        self.acknowledged() - before
    }

    /// Stops all, and asks each of the nodes for what all replicas have of each key.
    pub(crate) fn end(self, nodes: &[SocketAddr]) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        let mut history = self.history.lock().unwrap();
        for node in nodes {
            for number in 0..KEYS {
                let began = self.began.elapsed();
                let got = read_all(*node, number);
                history.read(number, &got, began).unwrap();
                history.end(number, &got).unwrap();
            }
        }
        let [acked, unknown, read] =
            [Count::Acked, Count::Unknown, Count::Read].map(|count| history.of(count));
        println!("{acked} writes done, {unknown} unknown, {read} reads done");
    }
}

/// What all replicas of a key have, as soon as all answer.
fn read_all(node: SocketAddr, number: usize) -> Got {
    let until = Instant::now() + PATIENCE;
    let options = Options {
        r: Some(3),
        ..Options::default()
    };
    loop {
        if let Ok(mut client) = connect(node) {
            let id = RequestId(u128::MAX - number as u128);
            let request = request(id, number, Operation::read(), options);
            if let Ok(Response::Got(got)) = client.ask(request) {
                return got;
            }
        }
        assert!(Instant::now() < until, "{node} cannot read from all");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A client.
struct One {
    nodes: Vec<SocketAddr>,
    number: usize,
    history: Arc<Mutex<History>>,
    stop: Arc<AtomicBool>,
    began: Instant,
    /// What it got last, by key.
    seen: [Option<(Sight, bytes::Bytes)>; KEYS],
    asked: u64,
}

impl One {
    fn work(mut self) {
        let mut node = self.number;
        while !self.stop.load(Ordering::Relaxed) {
            let address = self.nodes[node % self.nodes.len()];
            node += 1;
            match connect(address) {
                Ok(client) => self.talk(client),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Until the connection ends, something cannot be done, or a while has passed. Who stayed with a node
    /// that is cut off would wait most of the time.
    fn talk(&mut self, mut client: Client) {
        for _ in 0..500 {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.asked += 1;
            let chance = self
                .asked
                .wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ self.number as u64)
                >> 32;
            let number = (chance % KEYS as u64) as usize;
            let is_done = match chance / KEYS as u64 % 4 {
                0 | 1 => self.read(&mut client, number),
                2 => self.write(&mut client, number, false),
                _ => self.write(&mut client, number, true),
            };
            if !is_done {
                return;
            }
        }
    }

    fn read(&mut self, client: &mut Client, number: usize) -> bool {
        let began = self.began.elapsed();
        let id = RequestId(u128::MAX >> 1 ^ u128::from(self.asked));
        let get = request(id, number, Operation::read(), Options::default());
        match client.ask(get) {
            Ok(Response::Got(got)) => {
                let sight = self.history.lock().unwrap().read(number, &got, began);
                self.seen[number] = Some((sight.unwrap(), got.context.sealed.clone()));
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn write(&mut self, client: &mut Client, number: usize, is_blind: bool) -> bool {
        let seen = self.seen[number].clone().filter(|_| !is_blind);
        let (sight, mode) = match seen {
            Some((sight, sealed)) => (Some(sight), Mode::Context([sealed].into_iter().collect())),
            None => (None, Mode::Blind),
        };
        let now = self.began.elapsed();
        let id = self
            .history
            .lock()
            .unwrap()
            .write(number, sight.as_ref(), now);
        let put = Operation::Put {
            fastest: None,
            mode,
            content: Content::plain(format!("write {}", id.0)),
            condition: Condition::None,
        };
        let answered = client.ask(request(id, number, put, Options::default()));
        let response = answered.ok();
        let now = self.began.elapsed();
        let sight = self
            .history
            .lock()
            .unwrap()
            .written(id, response.as_ref(), now);
        if let (Some(sight), Some(Response::Put(written))) = (sight, &response)
            && let Some(sealed) = written.context.clone()
        {
            self.seen[number] = Some((sight, sealed));
        }
        matches!(response, Some(Response::Put(_)))
    }
}

fn request(id: RequestId, number: usize, operation: Operation, options: Options) -> Request {
    let name = format!("key {number}");
    Request {
        id,
        is_retry: false,
        key: Key::new("default", "crowd", name, &Limits::default()).unwrap(),
        operation,
        options: Options {
            timeout: Some(TIMEOUT),
            ..options
        },
    }
}

fn connect(node: SocketAddr) -> Result<Client, Lost> {
    Client::connect_within(SILENCE, node, cluster())
}

fn cluster() -> ClusterId {
    ClusterId(xxh3_128(b"dynamo"))
}
