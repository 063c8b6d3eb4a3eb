//! A cluster in this process: nodes on loopback ports that keep all they have in memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dynamo_proto::node::{Capacity, Config, HintLimits, Timing};
use dynamo_proto::ring::{Member, Ring, RingConfig};
use dynamo_proto::{Bucket, Buckets, ClusterId, Durability, Limits, NodeId};
use dynamo_storage_memory::Memory;
use dynamo_tokio::{ServeError, Setup, serve};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::cli::Demo;
use crate::error::Error;
use crate::print;

/// Where the demo's first node listens, unless told otherwise.
pub(crate) const FIRST_PORT: u16 = 7400;

/// Most nodes of a demo.
pub(crate) const MOST_NODES: i64 = 64;

/// Every demo is this cluster, so that any `dynamo put` can talk to any demo.
pub(crate) const CLUSTER: ClusterId = ClusterId(u128::from_be_bytes(*b"the demo cluster"));

/// Everybody knows it, so it keeps no secret: for a demo on loopback ports, and for nothing else.
const SECRET: [u8; 16] = *b"no secret at all";

/// What each node keeps at most.
const MEMORY_BYTES: usize = 256 << 20;

/// Runs until Ctrl-C, or until a node halts.
pub(crate) async fn run(demo: &Demo, program: &str) -> Result<(), Error> {
    tokio::select! {
        biased;
        pressed = tokio::signal::ctrl_c() => pressed?,
        halted = serve_all(demo, program) => match halted? {},
    }
    print::out("\nstopped\n")
}

async fn serve_all(demo: &Demo, program: &str) -> Result<Infallible, Error> {
    let listeners = listen(demo).await?;
    let addresses: Vec<_> = listeners.iter().map(|(_, address)| *address).collect();
    let ring = ring(demo.nodes)?;
    let peers: BTreeMap<_, _> = ids(demo.nodes).zip(addresses.iter().copied()).collect();

    let mut servers = Vec::new();
    for (node, (listener, _)) in ids(demo.nodes).zip(listeners) {
        let setup = Setup {
            config: config(node, demo.nodes),
            ring: ring.clone(),
            peers: peers.clone(),
            memory: Memory::with_capacity(MEMORY_BYTES),
        };
        servers.push(serve(listener, setup)?);
    }
    print::out(&print::welcome(program, &addresses))?;
    for server in &mut servers {
        server.joined().await?;
    }
    print::out("ready\n")?;

    let mut nodes = JoinSet::new();
    for mut server in servers {
        nodes.spawn(async move { server.halted().await });
    }
    match nodes.join_next().await {
        Some(Ok(halted)) => Err(halted.into()),
        Some(Err(_)) | None => Err(ServeError::Lost.into()),
    }
}

async fn listen(demo: &Demo) -> Result<Vec<(TcpListener, SocketAddr)>, Error> {
    let mut listeners = Vec::new();
    for at in 0..demo.nodes {
        let port = match demo.port {
            0 => 0,
            first => first
                .checked_add(at)
                .ok_or(Error::Ports(demo.nodes, first))?,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|error| Error::listening(port, error))?;
        let address = listener.local_addr()?;
        listeners.push((listener, address));
    }
    Ok(listeners)
}

fn ids(nodes: u16) -> impl Iterator<Item = NodeId> {
    (1..=nodes.into()).map(NodeId)
}

/// Each node passes for a machine of its own.
fn ring(nodes: u16) -> Result<Arc<Ring>, Error> {
    let members = ids(nodes).map(|id| Member::new(id, "demo", format!("host-{}", id.0)));
    Ok(Arc::new(Ring::birth(
        RingConfig::default(),
        members.collect(),
    )?))
}

/// Three replicas, two of which answer; fewer where there are not so many nodes.
fn config(node: NodeId, nodes: u16) -> Config {
    let n = nodes.min(3) as u8;
    let majority = n / 2 + 1;
    let bucket = Bucket {
        n,
        r: majority,
        w: majority,
        durability: Durability::Memory,
        ..Bucket::default()
    };
    Config {
        node,
        cluster: CLUSTER,
        secret: SECRET,
        limits: Limits::default(),
        capacity: Capacity::default(),
        timing: Timing::default(),
        hints: HintLimits::default(),
        buckets: Buckets {
            types: BTreeMap::new(),
            default: bucket,
        },
    }
}
