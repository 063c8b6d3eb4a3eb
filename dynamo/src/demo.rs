//! A cluster in this process: nodes on loopback ports, each with a store in a temporary directory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use dynamo_driver::{Bounds, Waits};
use dynamo_keeper::{Door, ServeError, Server, Setup};
use dynamo_proto::node::{Capacity, Config, HintLimits, Known, Start, Timing};
use dynamo_proto::ring::Member;
use dynamo_proto::{Limits, NodeId};
use dynamo_storage::worker::FlushPolicy;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::cli::Demo;
use crate::engine;
use crate::error::Error;
use crate::print::{self, Demonstrated};
use crate::serve::{self, listen};
use crate::settings::{Beginning, CLUSTER, FJALL_RESERVE, Place, Storage, cluster_id, majority};

/// Where the demo's first node listens, unless told otherwise.
pub(crate) const FIRST_PORT: u16 = 7400;

/// How far above are the ports for clients of Redis.
const RESP: u16 = 100;

/// How far above are those for HTTP.
const HTTP: u16 = 200;

/// How far above are those for clients of Riak.
const RIAK: u16 = 300;

/// Most nodes of a demo.
pub(crate) const MOST_NODES: i64 = 64;

/// Everybody knows it, so it keeps no secret: for a demo on loopback ports, and for nothing else.
const SECRET: [u8; 16] = *b"no secret at all";

/// Nobody wants to wait for a demo; nodes of one machine have little to say.
const GOSSIP: Duration = Duration::from_millis(100);

/// How often it is told how the nodes are, if somebody looks.
const STATUS: Duration = Duration::from_secs(1);

/// Runs until Ctrl-C, or until a node halts.
pub(crate) async fn run(demo: &Demo, program: &str) -> Result<(), Error> {
    let directory = tempfile::Builder::new().prefix("dynamo-demo-").tempdir()?;
    let mut servers = Vec::new();
    let ended = tokio::select! {
        biased;
        pressed = tokio::signal::ctrl_c() => pressed.map_err(Error::from),
        halted = serve_all(demo, program, &directory, &mut servers) => match halted {
            Err(error) => Err(error),
        },
    };
    for server in servers {
        let stopped = server.stop().await;
        if ended.is_ok() {
            stopped?;
        }
    }
    directory.close()?;
    ended?;
    print::out("\nstopped\n")
}

async fn serve_all(
    demo: &Demo,
    program: &str,
    directory: &TempDir,
    servers: &mut Vec<Server>,
) -> Result<Infallible, Error> {
    let (native, resp) = (ports(demo, 0)?, ports(demo, RESP)?);
    let (http, riak) = (ports(demo, HTTP)?, ports(demo, RIAK)?);
    let nodes = native.iter().zip(&resp).zip(&http).zip(&riak);
    let nodes: Vec<_> = nodes
        .map(|(((native, resp), http), riak)| Demonstrated {
            native: native.1,
            resp: resp.1,
            http: http.1,
            riak: riak.1,
        })
        .collect();
    let listeners = native.into_iter().zip(resp).zip(http).zip(riak);
    for (at, (((native, resp), http), riak)) in listeners.enumerate() {
        let storage = Storage {
            place: Place::Fjall(directory.path().join(format!("node-{}", at + 1))),
            flush: FlushPolicy::EachGroup,
            write_buffer: None,
            scrub: None,
            reserve: FJALL_RESERVE,
            adopt: false,
        };
        let cluster = cluster_id(CLUSTER);
        let opened = engine::open(&storage, cluster, Capacity::default().stores())?;
        // Each passes for a machine of its own.
        let member = Member::new(opened.node, "demo", format!("host-{}", at + 1));
        let setup = Setup {
            config: config(opened.node),
            start: start(at, demo.nodes, member, native.1)?,
            peers: BTreeMap::new(),
            seeds: match at {
                0 => Vec::new(),
                _ => vec![nodes[0].native],
            },
            generation: opened.generation,
            store: opened.store,
            bounds: Bounds::default(),
            waits: Waits::default(),
        };
        let doors = vec![
            (native.0, Door::Native),
            (resp.0, serve::resp()),
            (http.0, serve::http()),
            (riak.0, serve::riak()),
        ];
        servers.push(demo.runtime.serve(doors, setup)?);
    }
    print::out(&print::welcome(program, &nodes))?;
    for server in servers.iter() {
        joined(server, demo.nodes).await?;
    }
    print::out("ready\n")?;
    loop {
        sleep(STATUS).await;
        let line = status(servers).await?;
        if std::io::stdout().is_terminal() {
            print::out(&format!("\r\x1b[K{line}"))?;
        }
    }
}

/// What is going on, in a line.
async fn status(servers: &[Server]) -> Result<String, ServeError> {
    let (mut up, mut gets, mut puts, mut held) = (0, 0, 0, 0);
    for server in servers {
        let count = |name: &'static str| {
            server.ask(move |site| site.metrics.counted(name).unwrap_or_default())
        };
        gets += count("dynamo_gets_total").await?;
        puts += count("dynamo_puts_total").await?;
        held += server.ask(|site| site.load.held.copies).await?;
        up += 1;
    }
    Ok(format!(
        "{up} nodes, {gets} reads, {puts} writes, {held} copies held for nodes that are away"
    ))
}

/// A port for each node.
fn ports(demo: &Demo, above: u16) -> Result<Vec<(TcpListener, SocketAddr)>, Error> {
    let mut listeners = Vec::new();
    for at in 0..demo.nodes {
        let port = match demo.port {
            0 => 0,
            first => first
                .checked_add(above + at)
                .ok_or(Error::Ports(demo.nodes, first))?,
        };
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], port)))?;
        let address = listener.local_addr()?;
        listeners.push((listener, address));
    }
    Ok(listeners)
}

/// The first begins the cluster, and lets the others in.
fn start(at: usize, nodes: u16, member: Member, address: SocketAddr) -> Result<Start, Error> {
    let known = match at {
        0 => {
            let mut beginning = Beginning::of(majority(nodes.min(3) as u8), None)?;
            beginning.admits_newcomers = true;
            let birth = beginning.birth(cluster_id(CLUSTER), vec![member.clone()]);
            Known::Birth(Arc::new(birth))
        }
        _ => Known::Nothing,
    };
    Ok(Start {
        member,
        address: address.to_string().into(),
        seeds: 0, // as many as there are in the setup
        is_restored: false,
        known,
        saved: None,
    })
}

/// Waits until all know each other and go by one ring: the first, of one node, has too few for a read.
async fn joined(server: &Server, nodes: u16) -> Result<(), ServeError> {
    loop {
        server.joined().await?;
        let is_done = server.ask(move |site| {
            let is_full = site.ring.members().len() == usize::from(nodes);
            is_full && site.membership.is_switched()
        });
        if is_done.await? {
            return Ok(());
        }
        sleep(GOSSIP / 4).await;
    }
}

fn config(node: NodeId) -> Config {
    Config {
        node,
        cluster: cluster_id(CLUSTER),
        secret: SECRET,
        limits: Limits::default(),
        capacity: Capacity::default(),
        timing: Timing {
            gossip_every: GOSSIP,
            ..Timing::default()
        },
        hints: HintLimits::default(),
    }
}
