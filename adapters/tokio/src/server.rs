//! A served node, and the handle to it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use dynamo_driver::Identity;
use dynamo_proto::node::{Config, ConfigError, Node, Reason};
use dynamo_proto::ring::Ring;
use dynamo_proto::version::Boot;
use dynamo_proto::wire::Versions;
use dynamo_proto::{Generation, NodeId, Seed};
use dynamo_storage_memory::Memory;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::keeper::Keeper;
use crate::lobby::{ARRIVALS, Lobby};
use crate::{clock, random, sockets};

/// A node that is to be served.
#[derive(Debug)]
pub struct Setup {
    /// Who it is and how it works.
    pub config: Config,
    /// Who else there is, and who keeps what.
    pub ring: Arc<Ring>,
    /// Where the others listen.
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// What it keeps its part in.
    pub memory: Memory,
}

/// A node that is being served. It stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    peers: usize,
    status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
}

/// Why a node is not served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It was told something impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The listener does not know where it listens.
    #[error("the listener has no address")]
    Listener(#[source] io::Error),
    /// The operating system gave no randomness, without which no write is safe.
    #[error("the operating system gives no randomness")]
    Randomness(#[from] getrandom::Error),
}

/// Why a node is served no more although nobody stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// It halted: going on could have broken a promise.
    #[error("the node halted: {0}")]
    Halted(#[from] Reason),
    /// It needed a new name to mint under, and the operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    Randomness(#[from] getrandom::Error),
    /// Its task is gone: it panicked, or its runtime was shut down.
    #[error("the node's task was ended from outside or by a bug")]
    Lost,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Status {
    pub(crate) connected: usize,
    pub(crate) ended: Option<Result<(), ServeError>>,
}

/// Serves a node to its peers and to clients, in tasks of the current runtime.
///
/// # Panics
///
/// Outside of a tokio runtime with timers and I/O.
pub fn serve(listener: TcpListener, setup: Setup) -> Result<Server, StartError> {
    let Setup {
        config,
        ring,
        mut peers,
        memory,
    } = setup;
    let address = listener.local_addr().map_err(StartError::Listener)?;
    let (me, limits) = (config.node, config.limits);
    let identity = Identity {
        cluster: config.cluster,
        node: me,
        generation: Generation(clock::wall().as_micros()),
        versions: Versions::OURS,
    };
    let (boot, seed) = (Boot(random::number()?), Seed(random::number()?));
    let node = Node::new(Arc::new(config), ring.clone(), boot, seed)?;

    peers.remove(&me);
    let (send_status, status) = watch::channel(Status::default());
    let (stop, stopped) = oneshot::channel();
    let (to_node, arrivals) = mpsc::channel(ARRIVALS);
    let lobby = Arc::new(Lobby::new(identity, limits, ring, to_node));
    let server = Server {
        address,
        peers: peers.len(),
        status,
        stop,
    };
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        connections.spawn(sockets::accept(listener, lobby.clone()));
        for (peer, address) in peers.into_iter().filter(|(peer, _)| *peer > me) {
            connections.spawn(sockets::keep(peer, address, lobby.clone()));
        }
        let mut keeper = Keeper::new(node, memory, limits, send_status);
        let how = keeper.run(arrivals, stopped).await;
        connections.shutdown().await;
        keeper.ended(how);
    });
    Ok(server)
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many other nodes it is connected to.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.status.borrow().connected
    }

    /// Waits until it is connected to all of its peers at once.
    pub async fn joined(&mut self) -> Result<(), ServeError> {
        let peers = self.peers;
        let is_settled = |status: &Status| status.connected == peers || status.ended.is_some();
        let status = self.status.wait_for(is_settled).await;
        match status.map_err(|_| ServeError::Lost)?.ended {
            Some(Err(reason)) => Err(reason),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Waits until the node halts, for ever if all is well.
    pub async fn halted(&mut self) -> ServeError {
        match self.status.wait_for(|status| status.ended.is_some()).await {
            Ok(status) => match status.ended {
                Some(Err(reason)) => reason,
                Some(Ok(())) | None => ServeError::Lost,
            },
            Err(_) => ServeError::Lost,
        }
    }

    /// Stops the node and waits until it has let go of its port. Whoever waits for an answer gets
    /// none.
    pub async fn stop(mut self) -> Result<(), ServeError> {
        drop(self.stop);
        let status = self.status.wait_for(|status| status.ended.is_some()).await;
        match status.map_err(|_| ServeError::Lost)?.ended {
            Some(Err(reason)) => Err(reason),
            Some(Ok(())) | None => Ok(()),
        }
    }
}
