//! Served nodes on loopback ports.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::driver::Lane;
use dynamo_driver::http::Http;
use dynamo_driver::resp::Resp;
use dynamo_driver::{Bounds, Waits};
use dynamo_keeper::{Door, Setup, Store};
use dynamo_proto::node::{Capacity, Config, HintLimits, Start, Timing};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::store::{Address, Limit, Page, ReadOutcome, ScanFailed, Space, Span};
use dynamo_proto::{Bucket, ClusterId, Durability, Generation, Limits, NodeId};
use dynamo_storage::directory::{Opening, Owner};
use dynamo_storage::worker::WorkerOptions;
use dynamo_storage::{Backend, Write};
use dynamo_storage_memory::Memory;
use dynamo_storage_redb::Redb;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::client::Client;
use crate::lines;
use crate::ports::free_ports;
use crate::{Serve, ServeOnCores, Stop};

pub(crate) const CLUSTER: ClusterId = ClusterId(7);

/// An adapter, for one behaviour.
pub struct World {
    pub(crate) serve: Serving,
}

/// How it serves nodes.
#[derive(Clone, Copy)]
pub(crate) enum Serving {
    /// One in a process.
    Alone(Serve),
    /// Several.
    OnCores(ServeOnCores),
}

/// The nodes of a process that has several.
const CORES: usize = 2;

/// How far apart the numbers of two nodes of a process are.
const NEXT_CORE: u64 = 50;

/// Nodes with a replica of each key at three of them. Those that are not stopped are abandoned: what
/// they are served by goes with the process. Where several make up one process, what is said here of a
/// node is that process; its first node has the number of the process.
pub(crate) struct Cluster {
    serve: Serving,
    nodes: RefCell<Vec<Node>>,
    ring: Arc<Ring>,
    peers: BTreeMap<NodeId, SocketAddr>,
    /// Where each keeps its part.
    place: Place,
    waits: Waits,
}

/// Where the nodes of a cluster keep their parts.
pub(crate) enum Place {
    /// In memory that is forgotten when they stop.
    Memory,
    /// In memory that tests can reach into, looked through for damage all the time.
    Shared(Vec<Arc<Shared>>),
    /// On disk.
    Disk(TempDir),
}

struct Node {
    doors: [SocketAddr; 3],
    /// Where each node of a process that has several listens for nodes, and for HTTP by itself.
    own: Vec<Vec<SocketAddr>>,
    stop: Option<Stop>,
    starts: u64,
}

/// Memory that a test can reach into while a node keeps its part in it.
#[derive(Default)]
pub(crate) struct Shared(Mutex<Memory>);

impl World {
    /// That many nodes that are connected to each other.
    pub(crate) fn cluster(&self, nodes: u64) -> Cluster {
        self.cluster_in(nodes, Place::Memory)
    }

    pub(crate) fn cluster_in(&self, nodes: u64, place: Place) -> Cluster {
        let listeners: Vec<_> = (0..nodes).map(|_| self.listen()).collect();
        let cluster = self.cluster_at(&listeners, place, Waits::default());
        for (at, listeners) in listeners.into_iter().enumerate() {
            cluster.start_behind(at, listeners);
        }
        cluster.meet();
        cluster
    }

    /// Ports that are free.
    pub(crate) fn listen(&self) -> [TcpListener; 3] {
        self.serve.listen(["127.0.0.1:0"; 3])
    }

    /// How many nodes there are in a process.
    pub(crate) fn cores(&self) -> usize {
        self.serve.cores()
    }

    /// Nodes that are not started yet, one behind each of these.
    pub(crate) fn cluster_at(
        &self,
        listeners: &[[TcpListener; 3]],
        place: Place,
        waits: Waits,
    ) -> Cluster {
        let node = |listeners: &[TcpListener; 3]| Node {
            doors: listeners.each_ref().map(|it| it.local_addr().unwrap()),
            own: match self.serve {
                Serving::Alone(_) => Vec::new(),
                Serving::OnCores(_) => (0..CORES).map(|_| free_ports(2)).collect(),
            },
            stop: None,
            starts: 0,
        };
        let nodes: Vec<_> = listeners.iter().map(node).collect();
        let all = || (0..nodes.len()).flat_map(|at| (0..self.cores()).map(move |core| (at, core)));
        let members = all().map(|(at, core)| {
            let host = format!("host-{}", at + 1);
            Member::new(id(at, core), "zone", host)
        });
        let address = |(at, core): (usize, usize)| match core {
            0 => nodes[at].doors[0],
            core => nodes[at].own[core][0],
        };
        let config = RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 16 },
            replicas: replicas(nodes.len()),
        };
        Cluster {
            serve: self.serve,
            ring: Arc::new(Ring::birth(config, members.collect()).unwrap()),
            peers: all().map(|it| (id(it.0, it.1), address(it))).collect(),
            nodes: RefCell::new(nodes),
            place,
            waits,
        }
    }
}

fn replicas(nodes: usize) -> u8 {
    nodes.min(3) as u8
}

fn id(at: usize, core: usize) -> NodeId {
    NodeId(at as u64 + 1 + core as u64 * NEXT_CORE)
}

impl Serving {
    fn cores(self) -> usize {
        match self {
            Self::Alone(_) => 1,
            Self::OnCores(_) => CORES,
        }
    }

    /// Ports for nodes and native clients, for RESP, and for HTTP.
    fn listen<A: std::net::ToSocketAddrs>(self, [native, resp, http]: [A; 3]) -> [TcpListener; 3] {
        let native = TcpListener::bind(native).unwrap();
        let [resp, http] = [resp, http].map(|address| match self {
            Self::Alone(_) => TcpListener::bind(address).unwrap(),
            Self::OnCores(_) => shared(address.to_socket_addrs().unwrap().next().unwrap()),
        });
        [native, resp, http]
    }
}

/// A port of which all nodes of a process have a part.
fn shared(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(128).unwrap();
    socket.into()
}

impl Cluster {
    /// Starts a node that was stopped where it was, and waits until it has met the others.
    pub(crate) fn restart(&self, at: usize) {
        let doors = self.nodes.borrow()[at].doors;
        self.start_behind(at, self.serve.listen(doors));
        self.meet();
    }

    pub(crate) fn start_behind(&self, at: usize, listeners: [TcpListener; 3]) {
        let mut nodes = self.nodes.borrow_mut();
        let node = &mut nodes[at];
        node.starts += 1;
        let generation = Generation(100 + node.starts);
        let stop = match self.serve {
            Serving::Alone(serve) => serve(doors(listeners), self.setup(at, 0, generation)),
            Serving::OnCores(serve) => {
                let others = (1..CORES).map(|core| {
                    let native = TcpListener::bind(node.own[core][0]).unwrap();
                    [native, shared(node.doors[1]), shared(node.doors[2])]
                });
                let all = [listeners].into_iter().chain(others).enumerate();
                let nodes = all.map(|(core, listeners)| {
                    let by_itself = TcpListener::bind(node.own[core][1]).unwrap();
                    let mut doors = doors(listeners);
                    doors.push((by_itself, http()));
                    (doors, self.setup(at, core, generation))
                });
                serve(nodes.collect(), CORES)
            }
        };
        node.stop = Some(stop.unwrap());
    }

    fn setup(&self, at: usize, core: usize, generation: Generation) -> Setup {
        Setup {
            config: Self::config(at, core),
            start: Start::founder(CLUSTER, &self.ring, self.bucket().into(), id(at, core)),
            peers: self.peers.clone(),
            seeds: Vec::new(),
            generation,
            store: self.store(at, core),
            bounds: Bounds::default(),
            waits: self.waits,
        }
    }

    fn bucket(&self) -> Bucket {
        let n = self.ring.config().replicas;
        Bucket {
            n,
            r: n / 2 + 1,
            w: n / 2 + 1,
            durability: match self.place {
                Place::Disk(_) => Durability::Flushed,
                Place::Memory | Place::Shared(_) => Durability::Memory,
            },
            ..Bucket::default()
        }
    }

    fn config(at: usize, core: usize) -> Config {
        Config {
            node: id(at, core),
            cluster: CLUSTER,
            secret: *b"sixteen secrets!",
            limits: Limits::default(),
            capacity: Capacity::default(),
            timing: Timing::default(),
            hints: HintLimits::default(),
        }
    }

    fn store(&self, at: usize, core: usize) -> Store {
        let options = WorkerOptions::default();
        match &self.place {
            Place::Memory => Store::in_line(Memory::new()),
            Place::Shared(stores) => {
                let pace = Some(1 << 30);
                let at = at * self.serve.cores() + core;
                Store::in_threads(stores[at].clone(), options, pace, |_| Ok(()))
            }
            Place::Disk(directory) => {
                let path = directory.path().join(format!("{at}-{core}"));
                let owner = Owner {
                    cluster: CLUSTER,
                    node: id(at, core),
                };
                let engine = Redb::open(&path, owner, Opening::InPlace, Default::default());
                let close = |engine: Redb| Ok(engine.close()?);
                Store::in_threads(engine.unwrap(), options, None, close)
            }
        }
    }

    /// Stops a node, and waits until the others have noticed.
    pub(crate) fn stop(&self, at: usize) {
        let stop = self.nodes.borrow_mut()[at].stop.take().unwrap();
        stop().unwrap();
        self.meet();
    }

    /// Waits until each node is connected to all others that are up, and to nobody else.
    pub(crate) fn meet(&self) {
        while !self.is_whole() {
            sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn up(&self) -> Vec<usize> {
        let nodes = self.nodes.borrow();
        (0..nodes.len())
            .filter(|at| nodes[*at].stop.is_some())
            .collect()
    }

    /// Whether all nodes are connected.
    pub(crate) fn is_whole(&self) -> bool {
        let up = self.up();
        let all = up.len() * self.serve.cores();
        let are_met = |at: &usize| {
            let mut connected = self.connected(*at).into_iter();
            connected.all(|others| others + 1 == all)
        };
        up.iter().all(are_met)
    }

    /// How many other nodes each node of that process is connected to, as they say.
    pub(crate) fn connected(&self, at: usize) -> Vec<usize> {
        let own = self.nodes.borrow()[at].own.clone();
        let doors = match self.serve {
            Serving::Alone(_) => vec![self.http(at)],
            Serving::OnCores(_) => own.into_iter().map(|ports| ports[1]).collect(),
        };
        let connected = |door| {
            let metrics = lines::get(door, "/metrics");
            let mut lines = metrics.lines();
            let number = lines.find_map(|line| line.strip_prefix("dynamo_peers_connected "));
            number.unwrap().parse().unwrap()
        };
        doors.into_iter().map(connected).collect()
    }

    pub(crate) fn native(&self, at: usize) -> SocketAddr {
        self.nodes.borrow()[at].doors[0]
    }

    pub(crate) fn resp(&self, at: usize) -> SocketAddr {
        self.nodes.borrow()[at].doors[1]
    }

    pub(crate) fn http(&self, at: usize) -> SocketAddr {
        self.nodes.borrow()[at].doors[2]
    }

    pub(crate) fn client(&self, at: usize) -> Client {
        Client::connect(self.native(at), CLUSTER).unwrap()
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

fn doors([native, resp, of_http]: [TcpListener; 3]) -> Vec<(TcpListener, Door)> {
    let of_resp = Door::Front(Box::new(|| Box::new(Resp::default())), Lane::Clients);
    vec![(native, Door::Native), (resp, of_resp), (of_http, http())]
}

fn http() -> Door {
    Door::Front(Box::new(|| Box::new(Http::default())), Lane::Admins)
}

/// A value.
pub(crate) fn tea() -> Bytes {
    Bytes::from_static(b"tea")
}
