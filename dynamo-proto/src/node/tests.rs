//! Nodes by themselves and a few together, in a world without time, loss or disks.

extern crate std;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::format;

use bytes::Bytes;
use smallvec::smallvec;

use super::*;
use crate::ring::{Member, RingConfig, Strategy};
use crate::store::{
    Address, Command, Completion, Item, Page, ReadOutcome, ScanFailed, Space, WriteError,
};
use crate::version::{Content, Policy, RequestId};
use crate::{Bucket, ClusterId, Durability, Key, Limits, WallTime};

mod alone;

/// A few nodes and what lies between them.
struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    stores: BTreeMap<NodeId, BTreeMap<(Space, Address), Bytes>>,
    queue: VecDeque<(NodeId, Event)>,
    replies: BTreeMap<ClientRequest, Response>,
    notices: Vec<Notice>,
    /// Nodes that nothing reaches and whose words reach nobody.
    cut: Vec<NodeId>,
    write_error: Option<WriteError>,
    now: Now,
    next: u64,
}

impl Cluster {
    fn new(nodes: u64, bucket: Bucket) -> Self {
        let config = RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 16 },
            replicas: bucket.n,
        };
        let members = (1..=nodes)
            .map(|id| Member::new(NodeId(id), "zone", format!("host-{id}")))
            .collect();
        let ring = Arc::new(Ring::birth(config, members).unwrap());
        let node = |id: u64| {
            let config = Config {
                node: NodeId(id),
                cluster: ClusterId(1),
                secret: [7; 16],
                limits: Limits::default(),
                capacity: Capacity::default(),
                timing: Timing {
                    gossip_every: Duration::from_secs(1 << 20),
                    ..Timing::default()
                },
                hints: HintLimits::default(),
            };
            let start = Start::founder(ClusterId(1), &ring, bucket.clone().into(), NodeId(id));
            Node::new(Arc::new(config), start, Boot(id), Seed(id)).unwrap()
        };
        Self {
            nodes: (1..=nodes).map(|id| (NodeId(id), node(id))).collect(),
            stores: BTreeMap::new(),
            queue: VecDeque::new(),
            replies: BTreeMap::new(),
            notices: Vec::new(),
            cut: Vec::new(),
            write_error: None,
            now: Now {
                mono: Instant::from_nanos(1),
                wall: WallTime::from_secs(1000),
            },
            next: 0,
        }
    }

    fn ask(&mut self, at: u64, key: &str, operation: Operation, options: Options) -> ClientRequest {
        self.next += 1;
        let client = ClientRequest(self.next);
        let key = Key::new("default", "test", key, &Limits::default()).unwrap();
        let request = Request {
            id: RequestId(self.next.into()),
            is_retry: false,
            key,
            operation,
            options,
        };
        let arrived = self.now.mono;
        self.queue.push_back((
            NodeId(at),
            Event::Client {
                client,
                arrived,
                request,
            },
        ));
        self.run();
        client
    }

    fn put(&mut self, at: u64, key: &str, text: &str, mode: Mode) -> Response {
        let content = Content::plain(Bytes::copy_from_slice(text.as_bytes()));
        let condition = Condition::None;
        let operation = Operation::Put {
            fastest: None,
            mode,
            content,
            condition,
        };
        let client = self.ask(at, key, operation, Options::default());
        self.answer(client)
    }

    fn get(&mut self, at: u64, key: &str) -> Got {
        let client = self.ask(at, key, Operation::read(), Options::default());
        match self.answer(client) {
            Response::Got(got) => got,
            other => panic!("{other:?}"),
        }
    }

    /// What a request was told; time passes until it was.
    fn answer(&mut self, client: ClientRequest) -> Response {
        for _ in 0..100 {
            if let Some(response) = self.replies.remove(&client) {
                return response;
            }
            let next = self
                .nodes
                .values()
                .filter_map(Node::next_deadline)
                .min()
                .unwrap();
            self.now.mono = self.now.mono.max(next);
            let ids: Vec<_> = self.nodes.keys().copied().collect();
            self.queue
                .extend(ids.into_iter().map(|id| (id, Event::Tick)));
            self.run();
        }
        panic!("no answer");
    }

    fn run(&mut self) {
        let mut effects = Vec::new();
        while let Some((id, event)) = self.queue.pop_front() {
            let node = self.nodes.get_mut(&id).unwrap();
            node.handle(self.now, event, &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Send { to, message } => {
                        for peer in to {
                            if !self.cut.contains(&peer) && !self.cut.contains(&id) {
                                let (arrived, message) = (self.now.mono, message.clone());
                                let event = Event::Peer {
                                    from: id,
                                    arrived,
                                    message,
                                };
                                self.queue.push_back((peer, event));
                            }
                        }
                    }
                    Effect::Store { op, command } => {
                        let store = self.stores.entry(id).or_default();
                        let completion = match command {
                            Command::Read { space, at } => {
                                Completion::Read(match store.get(&(space, at)) {
                                    Some(bytes) => ReadOutcome::Found(bytes.clone()),
                                    None => ReadOutcome::Absent,
                                })
                            }
                            Command::Write(batch) => Completion::Wrote(match self.write_error {
                                Some(error) => Err(error),
                                None => {
                                    for change in batch.changes {
                                        let place = (change.space, change.at);
                                        match change.bytes {
                                            Some(bytes) => store.insert(place, bytes),
                                            None => store.remove(&place),
                                        };
                                    }
                                    Ok(batch.durability)
                                }
                            }),
                            Command::Scan { space, span, limit } => {
                                let inside = |(there, at): &&(Space, Address)| {
                                    *there == space && span.contains(at)
                                };
                                let items = store.keys().filter(inside).map(|place| {
                                    let (at, bytes) = (place.1.clone(), store[place].clone());
                                    Ok::<_, ScanFailed>(Item::Found { at, bytes })
                                });
                                Completion::Scanned(Page::fill(&span, limit, items))
                            }
                        };
                        self.queue.push_back((id, Event::Stored { op, completion }));
                    }
                    Effect::Reply { client, response } => {
                        let earlier = self.replies.insert(client, response);
                        assert!(earlier.is_none(), "answered twice");
                    }
                    Effect::Draw => {
                        let boot = Boot(u64::MAX - id.0);
                        self.queue.push_back((id, Event::Drawn { boot }));
                    }
                    Effect::Introduce { .. } => panic!("nobody here has a seed"),
                    Effect::Notify(notice) => self.notices.push(notice),
                    Effect::Halt(reason) => panic!("{reason}"),
                }
            }
        }
    }
}

fn texts(got: &Got) -> Vec<String> {
    let bodies = got
        .siblings
        .answers()
        .filter_map(|sibling| sibling.value.content.body());
    let mut texts: Vec<_> = bodies
        .map(|body| String::from_utf8(body.to_vec()).unwrap())
        .collect();
    texts.sort();
    texts
}

fn seen(got: &Got) -> Mode {
    Mode::Context(smallvec![got.context.sealed.clone()])
}

#[test]
fn what_was_written_anywhere_is_read_everywhere() {
    let mut cluster = Cluster::new(5, Bucket::default());
    for at in 1..=5 {
        let key = format!("key-{at}");
        let Response::Put(written) = cluster.put(at, &key, "value", Mode::Blind) else {
            panic!("not written")
        };
        assert_eq!(written.siblings, 1);
        for reader in 1..=5 {
            assert_eq!(texts(&cluster.get(reader, &key)), ["value"]);
        }
    }
    assert!(
        cluster
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Forwarded { .. }))
    );
    assert!(cluster.nodes.values().all(Node::is_at_rest));
}

#[test]
fn a_context_supersedes_and_a_blind_write_does_not() {
    let mut cluster = Cluster::new(3, Bucket::default());
    cluster.put(1, "k", "one", Mode::Blind);
    cluster.put(2, "k", "two", Mode::Blind);
    let got = cluster.get(3, "k");
    assert_eq!(texts(&got), ["one", "two"]);
    let Response::Put(written) = cluster.put(1, "k", "three", seen(&got)) else {
        panic!()
    };
    assert!(written.context.is_some());
    assert_eq!(texts(&cluster.get(2, "k")), ["three"]);
    cluster.put(3, "k", "four", Mode::Overwrite);
    assert_eq!(texts(&cluster.get(1, "k")), ["four"]);
}

#[test]
fn a_write_that_cannot_reach_w_is_unknown_and_may_be_read_later() {
    let mut cluster = Cluster::new(3, Bucket::default());
    cluster.cut = vec![NodeId(2), NodeId(3)];
    assert_eq!(cluster.put(1, "k", "alone", Mode::Blind), Response::Unknown);
    cluster.cut.clear();
    let got = cluster.get(1, "k");
    assert_eq!(texts(&got), ["alone"]);
}

#[test]
fn a_read_that_cannot_reach_r_fails() {
    let mut cluster = Cluster::new(3, Bucket::default());
    cluster.cut = vec![NodeId(2), NodeId(3)];
    let client = cluster.ask(1, "k", Operation::read(), Options::default());
    assert_eq!(
        cluster.answer(client),
        Response::Failed(Failure::TooFew { need: 2, got: 1 })
    );
}

#[test]
fn a_full_store_fails_the_write_and_a_broken_one_leaves_it_unknown() {
    let mut cluster = Cluster::new(
        1,
        Bucket {
            n: 1,
            r: 1,
            w: 1,
            ..Bucket::default()
        },
    );
    cluster.write_error = Some(WriteError::Full);
    assert_eq!(
        cluster.put(1, "k", "v", Mode::Blind),
        Response::Failed(Failure::Full)
    );
    cluster.write_error = Some(WriteError::Failed);
    assert_eq!(cluster.put(1, "k", "v", Mode::Blind), Response::Unknown);
    cluster.write_error = None;
    assert!(matches!(
        cluster.put(1, "k", "v", Mode::Blind),
        Response::Put(_)
    ));
    assert_eq!(texts(&cluster.get(1, "k")), ["v"]);
}

#[test]
fn conditions_are_looked_up_before_the_write() {
    let mut cluster = Cluster::new(3, Bucket::default());
    let mut put = |condition, text: &'static str| {
        let content = Content::plain(text);
        let operation = Operation::Put {
            fastest: None,
            mode: Mode::Overwrite,
            content,
            condition,
        };
        let client = cluster.ask(1, "k", operation, Options::default());
        let response = cluster.answer(client);
        (response, cluster.get(2, "k"))
    };
    let (response, got) = put(Condition::Absent, "first");
    assert!(matches!(response, Response::Put(_)));
    let (response, _) = put(Condition::Absent, "second");
    assert_eq!(response, Response::Failed(Failure::Condition(Found::Value)));
    let old = got.context.sealed;
    let (response, got) = put(Condition::Unchanged(old.clone()), "third");
    assert!(matches!(response, Response::Put(_)));
    assert_eq!(texts(&got), ["third"]);
    let (response, _) = put(Condition::Unchanged(old), "fourth");
    assert_eq!(
        response,
        Response::Failed(Failure::Condition(Found::Change))
    );
}

#[test]
fn durability_is_asked_of_every_replica() {
    let bucket = Bucket {
        durability: Durability::Memory,
        ..Bucket::default()
    };
    let mut cluster = Cluster::new(3, bucket);
    assert!(matches!(
        cluster.put(1, "k", "v", Mode::Blind),
        Response::Put(_)
    ));
}

#[test]
fn a_node_that_meets_its_own_name_mints_under_another() {
    let mut cluster = Cluster::new(3, Bucket::default());
    cluster.put(1, "k", "one", Mode::Blind);
    let got = cluster.get(2, "k");
    // A copy of the whole machine, from before the write.
    let id = NodeId(1);
    let original = &cluster.nodes[&id];
    let config = original.config.clone();
    let start = founder(original);
    let copy = Node::new(config, start, Boot(1), Seed(1)).unwrap();
    cluster.nodes.insert(id, copy);
    cluster.stores.remove(&id);

    let response = cluster.put(1, "k", "two", seen(&got));
    assert!(matches!(response, Response::Put(_)), "{response:?}");
    assert!(cluster.notices.contains(&Notice::Renewed));
    assert_eq!(texts(&cluster.get(3, "k")), ["two"]);
    // Once is enough.
    cluster.notices.clear();
    cluster.put(1, "other", "three", Mode::Blind);
    assert!(!cluster.notices.contains(&Notice::Renewed));
}

#[test]
fn a_connection_that_breaks_again_and_again_does_not_put_off_a_retry() {
    let mut cluster = Cluster::new(5, Bucket::default());
    let key = Key::new("default", "test", "k", &Limits::default()).unwrap();
    let ring = cluster.nodes[&NodeId(1)].ring().clone();
    let list = ring.lookup(key.token());
    let (duty, off) = (list.primaries(1), list.fallbacks(3));
    let (to, at) = (duty.last().unwrap().id, off.last().unwrap().id);

    // Long enough to know what it was asked for.
    cluster.queue.push_back((to, Event::Tick));
    cluster.run();
    let begin = Instant::default() + 3 * Timing::default().longest_timeout;
    cluster.now.mono = begin;
    cluster.cut = vec![to];
    let operation = Operation::Put {
        fastest: None,
        mode: Mode::Blind,
        content: Content::plain("v"),
        condition: Condition::None,
    };
    let client = cluster.ask(at.0, "k", operation, Options::default());
    assert!(cluster.notices.contains(&Notice::Forwarded { to }));
    for _ in 0..100 {
        cluster.queue.push_back((at, Event::PeerLost { peer: to }));
    }
    cluster.run();
    cluster.cut.clear();
    assert!(matches!(cluster.answer(client), Response::Put(_)));
    assert!(cluster.notices.contains(&Notice::Retried { to }));
    let waited = cluster.now.mono.since(begin);
    assert!(waited < 2 * Timing::default().retry_after, "{waited:?}");
}

#[test]
fn each_of_many_who_share_a_read_is_answered_by_its_own_deadline() {
    let mut cluster = Cluster::new(3, Bucket::default());
    cluster.cut = vec![NodeId(2), NodeId(3)];
    let begun = cluster.now.mono;
    let timeout = |place: u64| Duration::from_millis(if place < 5 { 5000 } else { 4 + place });
    let clients: Vec<_> = (0..100)
        .map(|place| {
            let options = Options {
                timeout: Some(timeout(place)),
                ..Options::default()
            };
            cluster.ask(1, "k", Operation::read(), options)
        })
        .collect();
    let node = NodeId(1);
    while cluster.nodes[&node].running() > 0 {
        let next = cluster.nodes[&node].next_deadline().unwrap();
        cluster.now.mono = next;
        cluster.queue.push_back((node, Event::Tick));
        cluster.run();
        for (place, client) in clients.iter().enumerate() {
            let is_over = next >= begun + timeout(place as u64);
            assert_eq!(
                cluster.replies.contains_key(client),
                is_over,
                "{place} at {next:?}"
            );
        }
    }
    // Who gives up does not make the others ask again.
    let retried = |notice: &&Notice| matches!(notice, Notice::Retried { .. });
    assert!(cluster.notices.iter().filter(retried).count() < 50);
}

#[test]
fn a_store_that_stands_still_is_never_asked_for_more_than_its_queue_holds() {
    let cluster = Cluster::new(3, Bucket::default());
    let original = &cluster.nodes[&NodeId(1)];
    let capacity = Capacity {
        requests: 2,
        peers: 3,
        reads_per_key: 1,
        repairs: 1,
    };
    let config = Config {
        capacity,
        ..(*original.config).clone()
    };
    let start = founder(original);
    let mut node = Node::new(Arc::new(config), start, Boot(1), Seed(1)).unwrap();
    let (mut now, mut effects, mut outstanding) = (cluster.now, Vec::new(), Vec::new());
    let mut overloaded = 0;
    let ask = |client: u64, now: Now| Event::Client {
        client: ClientRequest(client),
        arrived: now.mono,
        request: Request {
            id: RequestId(client.into()),
            is_retry: false,
            key: Key::new("default", "test", "k", &Limits::default()).unwrap(),
            operation: match client % 2 {
                0 => Operation::read(),
                _ => Operation::Put {
                    fastest: None,
                    mode: Mode::Overwrite,
                    content: Content::plain("v"),
                    condition: Condition::None,
                },
            },
            options: Options::default(),
        },
    };
    for client in 0..300 {
        node.handle(now, ask(client, now), &mut effects);
        // Each request ends by its deadline; the store has not answered one of them.
        while node.running() > 0 {
            now.mono = node.next_deadline().unwrap();
            node.handle(now, Event::Tick, &mut effects);
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Store { op, .. } => outstanding.push(op),
                Effect::Reply { response, .. } => {
                    overloaded += u64::from(response == Response::Failed(Failure::Overloaded));
                }
                _ => {}
            }
        }
    }
    assert!(
        outstanding.len() <= capacity.stores(),
        "{}",
        outstanding.len()
    );
    assert!(overloaded > 50);
    for op in outstanding {
        let completion = Completion::Read(ReadOutcome::Absent);
        node.handle(now, Event::Stored { op, completion }, &mut effects);
    }
    assert_eq!(node.load(), 0);
    node.handle(now, ask(200, now), &mut effects);
    assert_eq!(node.running(), 1);
}

#[test]
fn a_bucket_type_that_is_decided_on_is_kept_in_its_way_from_then_on() {
    let bucket = Bucket {
        n: 1,
        r: 1,
        w: 1,
        ..Bucket::default()
    };
    let mut cluster = Cluster::new(1, bucket.clone());
    let (now, node) = (cluster.now, cluster.nodes.get_mut(&NodeId(1)).unwrap());
    node.stage(Change::Keep {
        bucket_type: (*b"default").into(),
        name: Some((*b"test").into()),
        bucket: Box::new(Bucket {
            policy: Policy::LastWriteWins {
                max_skew: Duration::from_secs(1),
            },
            ..bucket
        }),
    })
    .unwrap();
    let plan = node.plan().unwrap();
    node.commit(plan, now, &mut Vec::new()).unwrap();
    cluster.put(1, "k", "one", Mode::Blind);
    cluster.put(1, "k", "two", Mode::Blind);
    assert_eq!(texts(&cluster.get(1, "k")), ["two"]);
}

/// The same node from before anything happened.
fn founder(original: &Node) -> Start {
    let (ring, buckets) = (original.ring(), original.buckets());
    Start::founder(ClusterId(1), ring, (**buckets).clone(), original.id())
}
