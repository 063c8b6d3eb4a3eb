//! Served nodes on loopback ports, and what their clients say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::node::{
    Capacity, Condition, Config, Got, HintLimits, Mode, Operation, Options, Request, Response,
    Timing, Written,
};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::version::{Content, RequestId};
use dynamo_proto::{Bucket, Buckets, ClusterId, Durability, Key, Limits, NodeId};
use dynamo_storage_memory::Memory;
use dynamo_tokio::{Client, Server, Setup, serve};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

pub(crate) const CLUSTER: ClusterId = ClusterId(7);
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// No test takes longer.
pub(crate) async fn within_a_minute<T>(test: impl Future<Output = T>) -> T {
    let minute = Duration::from_secs(60);
    timeout(minute, test).await.expect("it takes too long")
}

pub(crate) struct Cluster {
    servers: Vec<Option<Server>>,
    ring: Arc<Ring>,
    peers: BTreeMap<NodeId, SocketAddr>,
}

impl Cluster {
    /// That many nodes that are connected to each other.
    pub(crate) async fn of(nodes: u64) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..nodes {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addresses = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap());
        let members = (1..=nodes).map(|id| Member::new(NodeId(id), "zone", format!("host-{id}")));
        let config = RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 16 },
            replicas: 3,
        };
        let mut cluster = Self {
            servers: Vec::new(),
            ring: Arc::new(Ring::birth(config, members.collect()).unwrap()),
            peers: (1..=nodes).map(NodeId).zip(addresses).collect(),
        };
        for (at, listener) in listeners.into_iter().enumerate() {
            cluster.servers.push(None);
            cluster.start(at, listener);
        }
        cluster.joined().await;
        cluster
    }

    pub(crate) async fn stop(&mut self, at: usize) {
        let server = self.servers[at].take().unwrap();
        server.stop().await.unwrap();
        while self
            .up()
            .any(|server| server.connected() == self.servers.len() - 1)
        {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts a stopped node again, where it was and with nothing of what it had.
    pub(crate) async fn restart(&mut self, at: usize) {
        let listener = TcpListener::bind(self.address(at)).await.unwrap();
        self.start(at, listener);
        self.joined().await;
    }

    pub(crate) fn address(&self, at: usize) -> SocketAddr {
        self.peers[&NodeId(at as u64 + 1)]
    }

    pub(crate) async fn client(&self, at: usize) -> Client {
        let client = Client::connect(self.address(at), CLUSTER, Limits::default());
        client.await.unwrap()
    }

    pub(crate) fn up(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().flatten()
    }

    fn start(&mut self, at: usize, listener: TcpListener) {
        let bucket = Bucket {
            durability: Durability::Memory,
            ..Bucket::default()
        };
        let config = Config {
            node: NodeId(at as u64 + 1),
            cluster: CLUSTER,
            secret: *b"sixteen secrets!",
            limits: Limits::default(),
            capacity: Capacity::default(),
            timing: Timing::default(),
            hints: HintLimits::default(),
            buckets: Buckets {
                types: BTreeMap::new(),
                default: bucket,
            },
        };
        let setup = Setup {
            config,
            ring: self.ring.clone(),
            peers: self.peers.clone(),
            memory: Memory::new(),
        };
        self.servers[at] = Some(serve(listener, setup).unwrap());
    }

    async fn joined(&mut self) {
        for server in self.servers.iter_mut().flatten() {
            server.joined().await.unwrap();
        }
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new("default", "tests", name, &Limits::default()).unwrap()
}

pub(crate) fn get(name: &str) -> Request {
    request(name, Operation::Get { head: false })
}

pub(crate) fn put(name: &str, mode: Mode, content: Content) -> Request {
    let operation = Operation::Put {
        fastest: None,
        mode,
        content,
        condition: Condition::None,
    };
    request(name, operation)
}

fn request(name: &str, operation: Operation) -> Request {
    static ASKED: AtomicU64 = AtomicU64::new(1);
    Request {
        id: RequestId(ASKED.fetch_add(1, Ordering::Relaxed).into()),
        is_retry: false,
        key: key(name),
        operation,
        options: Options::default(),
    }
}

pub(crate) async fn read(client: &mut Client, name: &str) -> Got {
    match client.ask(get(name), PATIENCE).await.unwrap() {
        Response::Got(got) => got,
        other => panic!("a read was answered {other:?}"),
    }
}

pub(crate) async fn write(
    client: &mut Client,
    name: &str,
    mode: Mode,
    content: impl Into<Option<Bytes>>,
) -> Written {
    let content = content.into().map_or(Content::Tombstone, Content::plain);
    match client.ask(put(name, mode, content), PATIENCE).await {
        Ok(Response::Put(written)) => written,
        other => panic!("a write was answered {other:?}"),
    }
}

/// The live values, sorted.
pub(crate) fn values(got: &Got) -> Vec<Bytes> {
    let contents = got.siblings.answers().map(|sibling| &sibling.value.content);
    let mut bodies: Vec<Bytes> = contents.filter_map(Content::body).cloned().collect();
    bodies.sort();
    bodies
}

/// What a client that has read this writes next.
pub(crate) fn after(got: &Got) -> Mode {
    Mode::Context([got.context.sealed.clone()].into_iter().collect())
}
