//! A cluster on loopback ports, for clients that are tested against it.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test may panic, and uses what it needs"
)]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dynamo_client::Settings;
use dynamo_driver::{Bounds, Waits};
use dynamo_keeper::{Door, Server, Setup, Store};
use dynamo_proto::node::{Capacity, Config, HintLimits, Start, Timing};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::store::{Address, Limit, Page, ReadOutcome, ScanFailed, Space, Span};
use dynamo_proto::{Bucket, Buckets, ClusterId, Durability, Generation, Limits, NodeId};
use dynamo_storage::worker::WorkerOptions;
use dynamo_storage::{Backend, Write};
use dynamo_storage_memory::Memory;

pub(crate) mod proxy;

pub(crate) const NAME: &str = "tests";

/// Memory that outlives its node.
#[derive(Default)]
pub(crate) struct Shared(Mutex<Memory>);

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    ring: Arc<Ring>,
    /// What nodes are told of where the others are.
    told: BTreeMap<NodeId, SocketAddr>,
}

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) server: Option<Server>,
    store: Arc<Shared>,
    starts: u64,
}

impl Cluster {
    /// Nodes with three replicas of each key, in the runtime that this is called in.
    pub(crate) async fn start(count: u64) -> Self {
        let listeners: Vec<_> = (0..count)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses: Vec<_> = listeners
            .iter()
            .map(|it| it.local_addr().unwrap())
            .collect();
        Self::start_behind(listeners, &addresses).await
    }

    /// The same behind these listeners, each known to others, and to clients, by that address.
    pub(crate) async fn start_behind(listeners: Vec<TcpListener>, told: &[SocketAddr]) -> Self {
        let ids = || (1..=listeners.len() as u64).map(NodeId);
        let members = ids().map(|id| Member::new(id, "zone", format!("host-{}", id.0)));
        let config = RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 16 },
            replicas: listeners.len().min(3) as u8,
        };
        let ring = Arc::new(Ring::birth(config, members.collect()).unwrap());
        let told = ids().zip(told.iter().copied()).collect();
        let nodes = listeners.iter().map(|listener| Node {
            address: listener.local_addr().unwrap(),
            server: None,
            store: Arc::default(),
            starts: 0,
        });
        let nodes = nodes.collect();
        let mut cluster = Self { nodes, ring, told };
        for (at, listener) in listeners.into_iter().enumerate() {
            cluster.serve(at, listener);
        }
        cluster.meet().await;
        cluster
    }

    fn serve(&mut self, at: usize, listener: TcpListener) {
        let n = self.nodes.len().min(3) as u8;
        let bucket = Bucket {
            n,
            r: n / 2 + 1,
            w: n / 2 + 1,
            durability: Durability::Memory,
            ..Bucket::default()
        };
        let id = NodeId(at as u64 + 1);
        let cluster = ClusterId::named(NAME);
        let config = Config {
            node: id,
            cluster,
            secret: *b"sixteen secrets!",
            limits: Limits::default(),
            capacity: Capacity::default(),
            timing: Timing::default(),
            hints: HintLimits::default(),
        };
        let node = &mut self.nodes[at];
        node.starts += 1;
        let store = Store::in_threads(node.store.clone(), WorkerOptions::default(), None, |_| {
            Ok(())
        });
        let setup = Setup {
            config,
            start: Start::founder(cluster, &self.ring, Buckets::with_data_types(bucket), id),
            peers: self.told.clone(),
            seeds: Vec::new(),
            generation: Generation(100 + node.starts),
            store,
            bounds: Bounds::default(),
            waits: Waits::default(),
        };
        let doors = vec![(listener, Door::Native)];
        node.server = Some(dynamo_tokio::serve(doors, setup).unwrap());
    }

    /// Stops a node. What it has it keeps.
    pub(crate) async fn stop(&mut self, at: usize) {
        let server = self.nodes[at].server.take().unwrap();
        server.stop().await.unwrap();
    }

    pub(crate) async fn restart(&mut self, at: usize) {
        let address = self.nodes[at].address;
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.serve(at, listener);
        self.meet().await;
    }

    /// Until each node is connected to all others that are up.
    pub(crate) async fn meet(&self) {
        let up: Vec<_> = self
            .nodes
            .iter()
            .filter_map(|it| it.server.as_ref())
            .collect();
        for server in &up {
            loop {
                let peers = server.ask(|site| {
                    site.peers
                        .iter()
                        .filter(|peer| peer.connected.is_some())
                        .count()
                });
                if peers.await.unwrap() == up.len() - 1 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// How often something has happened at a node, by the name of its metric.
    pub(crate) async fn counted(&self, at: usize, metric: &'static str) -> u64 {
        let server = self.nodes[at].server.as_ref().unwrap();
        let counted = server.ask(move |site| site.metrics.counted(metric));
        counted.await.unwrap().unwrap()
    }

    /// Settings of a client that is told where these nodes are.
    pub(crate) fn settings(&self, seeds: &[usize]) -> Settings {
        let seeds = seeds.iter().map(|at| self.nodes[*at].address.to_string());
        Settings::of(NAME, seeds)
    }

    /// The same by the addresses that nodes are told.
    pub(crate) fn told(&self, seeds: &[usize]) -> Settings {
        let told: Vec<_> = self.told.values().collect();
        Settings::of(NAME, seeds.iter().map(|at| told[*at].to_string()))
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap()
    }
}

impl Backend for Shared {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        self.memory().read(space, at)
    }

    fn write(&self, group: &mut [Write]) {
        self.memory().write(group);
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        self.memory().scan(space, span, limit)
    }
}
