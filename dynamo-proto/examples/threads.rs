//! Nodes in a runtime of one's own: a thread for each, channels between them, a map for a store.
//! Of three nodes one never starts; a key that it is on duty for is written and read without it.
//!
//! ```sh
//! cargo run -p dynamo-proto --example threads
//! ```
#![allow(clippy::unwrap_used, reason = "an example may panic")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dynamo_proto::node::*;
use dynamo_proto::ring::{Member, Ring, RingConfig};
use dynamo_proto::store::{Address, Command, Completion, Item, Page, ReadOutcome, Space};
use dynamo_proto::version::{Boot, Content, RequestId};
use dynamo_proto::wire::Message;
use dynamo_proto::{
    Bucket, ClusterId, Durability, Instant, Key, Limits, NodeId, Now, Seed, WallTime,
};

/// What the thread of a node hears.
enum Letter {
    Peer(NodeId, Message),
    Client(Request, Sender<Response>),
}

/// The channels to all nodes. What is sent to one that is not there comes back as an error.
type Post = Vec<(NodeId, Sender<Letter>)>;

// ANCHOR: store
/// What a node keeps, in the order of spaces and addresses. Gone when the process ends, and it says
/// so: all that it answers is `Durability::Memory`.
#[derive(Default)]
struct Store(BTreeMap<Space, BTreeMap<Address, Bytes>>);

impl Store {
    fn carry_out(&mut self, command: Command) -> Completion {
        match command {
            Command::Read { space, at } => {
                let found = self.0.entry(space).or_default().get(&at).cloned();
                Completion::Read(found.map_or(ReadOutcome::Absent, ReadOutcome::Found))
            }
            Command::Write(batch) => {
                for change in batch.changes {
                    let map = self.0.entry(change.space).or_default();
                    match change.bytes {
                        Some(bytes) => map.insert(change.at, bytes),
                        None => map.remove(&change.at),
                    };
                }
                Completion::Wrote(Ok(Durability::Memory))
            }
            Command::Scan { space, span, limit } => {
                let found = self.0.entry(space).or_default().range(span.bounds());
                let items = found.map(|(at, bytes)| {
                    let (at, bytes) = (at.clone(), bytes.clone());
                    Ok(Item::Found { at, bytes })
                });
                Completion::Scanned(Page::fill(&span, limit, items))
            }
        }
    }
}
// ANCHOR_END: store

// ANCHOR: runtime
/// The life of a node: wait for something to happen or for its deadline, tell it, do what it says.
fn live(mut node: Node, inbox: &Receiver<Letter>, post: &Post) {
    let (me, start) = (node.id(), std::time::Instant::now());
    let (mut store, mut clients) = (Store::default(), Vec::new()); // who asked, for ever: an example
    let (mut events, mut effects) = (vec![Event::Tick], Vec::new());
    loop {
        while let Some(event) = events.pop() {
            node.handle(now(start), event, &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Send { to, message } => {
                        for to in to {
                            let link = post.iter().find(|(node, _)| *node == to);
                            let letter = Letter::Peer(me, message.clone());
                            // What cannot be sent is handed back at once.
                            if link.is_none_or(|(_, link)| link.send(letter).is_err()) {
                                let message = message.clone();
                                let why = Unsent::Unreachable;
                                events.push(Event::Unsent { to, message, why });
                            }
                        }
                    }
                    Effect::Store { op, command } => {
                        let completion = store.carry_out(command);
                        events.push(Event::Stored { op, completion });
                    }
                    Effect::Reply { client, response } => {
                        let answer: &Sender<Response> = &clients[client.0 as usize];
                        let _ = answer.send(response); // a client may have gone
                    }
                    Effect::Draw => {
                        let boot = Boot(random().unwrap());
                        events.push(Event::Drawn { boot });
                    }
                    Effect::Introduce { .. } => {} // there are no seeds: all know each other
                    Effect::Notify(_) => {}        // for metrics
                    Effect::Halt(reason) => panic!("{reason}"),
                }
            }
        }
        let due = node.next_deadline();
        let wait = due.map_or(Duration::MAX, |due| due.since(now(start).mono));
        let heard = inbox.recv_timeout(wait);
        let arrived = now(start).mono;
        events.push(match heard {
            Ok(Letter::Peer(from, message)) => Event::Peer {
                from,
                arrived,
                message,
            },
            Ok(Letter::Client(request, answer)) => {
                clients.push(answer);
                Event::Client {
                    client: ClientRequest(clients.len() as u64 - 1),
                    arrived,
                    request,
                }
            }
            Err(RecvTimeoutError::Timeout) => Event::Tick,
            Err(RecvTimeoutError::Disconnected) => return,
        });
    }
}

/// Both clocks, read by whoever runs the node.
fn now(start: std::time::Instant) -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Now {
        mono: Instant::from_nanos(start.elapsed().as_nanos() as u64),
        wall: WallTime::from_micros(wall.as_micros() as u64),
    }
}
// ANCHOR_END: runtime

/// From the operating system: no two boots of all nodes may draw the same.
fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

// ANCHOR: config
fn config(node: NodeId) -> Config {
    Config {
        node,
        cluster: ClusterId(7),
        secret: *b"sixteen secrets!",
        limits: Limits::default(),
        capacity: Capacity::default(),
        timing: Timing::default(),
        hints: HintLimits::default(),
    }
}

fn bucket() -> Bucket {
    Bucket {
        durability: Durability::Memory, // what the store can promise; n = 3, r = w = 2
        ..Bucket::default()
    }
}
// ANCHOR_END: config

/// Asks a node, and waits.
fn ask(node: &Sender<Letter>, key: &Key, operation: Operation) -> io::Result<Response> {
    let request = Request {
        id: RequestId(random()?.into()),
        is_retry: false,
        key: key.clone(),
        operation,
        options: Options::default(),
    };
    let (answer, answered) = channel();
    node.send(Letter::Client(request, answer)).unwrap();
    Ok(answered.recv().unwrap())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ids = [1, 2, 3].map(NodeId);
    let members = ids.map(|id| Member::new(id, "zone", format!("host-{}", id.0)));
    let ring = Ring::birth(RingConfig::default(), members.into())?;
    let (links, inboxes): (Vec<_>, Vec<_>) = ids.map(|_| channel()).into_iter().unzip();
    let post: Post = ids.into_iter().zip(links).collect();

    // The third node is never there, and its inbox is gone when this loop ends.
    for (id, inbox) in ids.into_iter().zip(inboxes).take(2) {
        // Three founders; what they come to know of their cluster is in their stores from then on.
        let start = Start::founder(ClusterId(7), &ring, bucket().into(), id);
        let (boot, seed) = (Boot(random()?), Seed(random()?));
        let node = Node::new(Arc::new(config(id)), start, boot, seed)?;
        let post = post.clone();
        thread::spawn(move || live(node, &inbox, &post));
    }

    let key = Key::new("default", "carts", "alice", &Limits::default())?;
    let put = Operation::Put {
        fastest: None,
        mode: Mode::Blind,
        content: Content::plain("tea"),
        condition: Condition::None,
    };
    let written = ask(&post[0].1, &key, put)?;
    assert!(matches!(written, Response::Put(_)), "{written:?}");
    let Response::Got(got) = ask(&post[1].1, &key, Operation::read())? else {
        return Err("two of three replicas are there".into());
    };
    for sibling in got.siblings.answers() {
        println!("{:?}", sibling.value.content.body());
    }
    Ok(())
}

#[test]
fn two_of_three_nodes_write_and_read() {
    main().unwrap();
}
