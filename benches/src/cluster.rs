//! Three nodes of ours in one process, with storage in memory, and clients that put and get.
//!
//! A client puts a key with the context that the last put of this key was answered with. It asks
//! the first node on duty for the key, as clients do that know the ring, or one node after the
//! other, as if behind a load balancer: then in time every node coordinates every key, and clocks
//! have three entries instead of one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::node::{
    Capacity, ClientRequest, Condition, Config, Effect, Event, HintLimits, Mode, Node, Op,
    Operation, Options, Request, Response, Start, Timing,
};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::store::Completion;
use dynamo_proto::version::{Boot, Content, RequestId};
use dynamo_proto::{
    Bucket, ClusterId, Durability, Instant, Key, Limits, NodeId, Now, Seed, WallTime,
};
use dynamo_storage::carry_out;
use dynamo_storage_memory::Memory;

use crate::network::{Letter, Moved, Network};
use crate::{scattered, workload};

/// As many as a key has replicas.
pub const NODES: usize = 3;

/// Which cluster this is.
pub const CLUSTER: ClusterId = ClusterId(7);

/// How many requests a node remembers for each key: after so many nothing grows any more.
const WINDOW: usize = 8;

/// Three nodes and all that is around them, but for the network.
pub struct Cluster {
    nodes: [Node; NODES],
    stores: [Memory; NODES],
    clients: Clients,
    now: Now,
    effects: Vec<Effect>,
    completions: VecDeque<(NodeId, Op, Completion)>,
}

/// Which node a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The first on duty for the key.
    First,
    /// The next one.
    Any,
}

/// All clients together.
struct Clients {
    route: Route,
    /// Each with the first node on duty for it.
    keys: Vec<(Bytes, NodeId)>,
    value: Bytes,
    /// Of every key, what its last put was answered with.
    contexts: Vec<Option<Bytes>>,
    /// How many requests there were.
    asked: usize,
    answered: usize,
}

/// [`Node::handle`], or something around it.
pub trait Handle: FnMut(&mut Node, Now, Event, &mut Vec<Effect>) {}

impl<F: FnMut(&mut Node, Now, Event, &mut Vec<Effect>)> Handle for F {}

impl Cluster {
    /// In the steady state, with so many keys under which are values of so many bytes.
    #[must_use]
    pub fn steady(route: Route, keys: usize, value_bytes: usize) -> Self {
        let shifts = !keys.is_multiple_of(NODES);
        assert!(shifts, "or one node only would be asked for a key");
        let mut cluster = Self::new(route, keys, value_bytes);
        let mut network = Moved::default();
        let rounds = match route {
            Route::First => WINDOW + 1,
            Route::Any => NODES * WINDOW + 1,
        };
        for _ in 0..rounds * keys {
            cluster.put(1, &mut network, Node::handle);
        }
        for _ in 0..keys {
            cluster.get(1, &mut network, Node::handle);
        }
        cluster
    }

    fn new(route: Route, keys: usize, value_bytes: usize) -> Self {
        let config = RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 64 },
            replicas: NODES as u8,
        };
        let ids = [0, 1, 2].map(NodeId);
        let members = ids.map(|id| Member::new(id, "zone", format!("host-{}", id.0)));
        let ring = Ring::birth(config, members.into()).expect("three nodes make a ring");
        let node = |id: NodeId| {
            let boot = Boot(scattered(2 * id.0));
            let seed = Seed(scattered(2 * id.0 + 1));
            let start = Start::founder(CLUSTER, &ring, bucket().into(), id);
            let node = Node::new(Arc::new(self::config(id)), start, boot, seed);
            node.expect("the nodes are members")
        };
        let nodes = ids.map(node);
        let duty = |key: &Key| {
            let list = ring.lookup(key.token());
            let first = list.iter().next().expect("every key has a node on duty");
            (key.encoded().clone(), first.id)
        };
        Self {
            nodes,
            stores: Default::default(),
            clients: Clients {
                route,
                keys: workload::keys(keys).iter().map(duty).collect(),
                value: workload::value(value_bytes),
                contexts: vec![None; keys],
                asked: 0,
                answered: 0,
            },
            now: Now {
                mono: Instant::from_nanos(1),
                wall: WallTime::from_secs(1_700_000_000),
            },
            effects: Vec::new(),
            completions: VecDeque::new(),
        }
    }

    /// What is measured: so many puts at once, of the keys whose turn it is, until they are
    /// answered and every replica has them.
    pub fn put(&mut self, at_once: usize, network: &mut impl Network, handle: impl Handle) {
        self.ask(at_once, Clients::put, network, handle);
    }

    /// What is measured: so many gets at once, of the keys whose turn it is, until they are
    /// answered and every replica has said what it has.
    pub fn get(&mut self, at_once: usize, network: &mut impl Network, handle: impl Handle) {
        self.ask(at_once, Clients::get, network, handle);
    }

    fn ask(
        &mut self,
        at_once: usize,
        ask: impl Fn(&mut Clients) -> (NodeId, ClientRequest, Request),
        network: &mut impl Network,
        mut handle: impl Handle,
    ) {
        for _ in 0..at_once {
            let (node, client, request) = ask(&mut self.clients);
            let arrived = self.now.mono;
            let event = Event::Client {
                client,
                arrived,
                request,
            };
            self.step(node, event, network, &mut handle);
        }
        self.settle(network, &mut handle);
        assert_eq!(self.clients.asked, self.clients.answered);
        self.now.mono = Instant::from_nanos(self.now.mono.as_nanos() + 1000);
    }

    /// Goes on until nothing is under way. The stores answer at once, so theirs comes first.
    fn settle(&mut self, network: &mut impl Network, handle: &mut impl Handle) {
        loop {
            if let Some((node, op, completion)) = self.completions.pop_front() {
                self.step(node, Event::Stored { op, completion }, network, handle);
            } else if let Some(Letter { from, to, message }) = network.deliver() {
                let arrived = self.now.mono;
                let event = Event::Peer {
                    from,
                    arrived,
                    message,
                };
                self.step(to, event, network, handle);
            } else {
                return;
            }
        }
    }

    #[inline]
    fn step(
        &mut self,
        id: NodeId,
        event: Event,
        network: &mut impl Network,
        handle: &mut impl Handle,
    ) {
        let at = id.0 as usize;
        handle(&mut self.nodes[at], self.now, event, &mut self.effects);
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Send { to, message } => network.send(id, &to, message),
                Effect::Store { op, command } => {
                    let completion = carry_out(&self.stores[at], command);
                    self.completions.push_back((id, op, completion));
                }
                Effect::Reply { client, response } => self.clients.hear(client, response),
                Effect::Notify(_) | Effect::Draw | Effect::Introduce { .. } => {} // nobody here bears another's name
                Effect::Halt(reason) => panic!("{reason}"),
            }
        }
    }
}

impl Clients {
    fn put(&mut self) -> (NodeId, ClientRequest, Request) {
        let context = &self.contexts[self.asked % self.keys.len()];
        let operation = Operation::Put {
            fastest: None,
            mode: Mode::Context(context.iter().cloned().collect()),
            content: Content::plain(self.value.clone()),
            condition: Condition::None,
        };
        self.request(operation)
    }

    fn get(&mut self) -> (NodeId, ClientRequest, Request) {
        self.request(Operation::read())
    }

    fn request(&mut self, operation: Operation) -> (NodeId, ClientRequest, Request) {
        let nth = self.asked % self.keys.len();
        let (key, first) = &self.keys[nth];
        let node = match self.route {
            Route::First => *first,
            Route::Any => NodeId((self.asked % NODES) as u64),
        };
        self.asked += 1;
        let key = Key::decode(key.clone());
        let request = Request {
            id: RequestId(self.asked as u128),
            is_retry: false,
            key: key.expect("the keys are keys"),
            operation,
            options: Options::default(),
        };
        (node, ClientRequest(nth as u64), request)
    }

    fn hear(&mut self, client: ClientRequest, response: Response) {
        self.answered += 1;
        match response {
            Response::Put(written) => {
                assert!(written.context.is_some(), "a put superseded the one before");
                self.contexts[client.0 as usize] = written.context;
            }
            Response::Got(got) => assert_eq!(got.siblings.values().len(), 1),
            Response::Fetched(_) | Response::Listed(_) => panic!("nobody asked for that"),
            Response::Failed(failure) => panic!("{failure}"),
            Response::Unknown => panic!("nothing is lost here"),
        }
    }
}

fn config(node: NodeId) -> Config {
    Config {
        node,
        cluster: CLUSTER,
        secret: *b"sixteen secrets!",
        limits: Limits::default(),
        capacity: Capacity::default(),
        // Requests are measured, and nothing beside them.
        timing: Timing {
            gossip_every: Duration::from_secs(1 << 20),
            ..Timing::default()
        },
        hints: HintLimits::default(),
    }
}

/// n = 3, r = w = 2.
fn bucket() -> Bucket {
    Bucket {
        durability: Durability::Memory,
        ..Bucket::default()
    }
}
