//! What can go wrong, as it is told to whoever typed the command.

use std::io;
use std::net::SocketAddr;

use dynamo_driver::Ended;
use dynamo_proto::KeyError;
use dynamo_proto::node::Failure;
use dynamo_proto::ring::RingError;
use dynamo_proto::wire::Refusal;
use dynamo_tokio::{AskError, Lost, ServeError, StartError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("port {0} is taken: is another demo running? Choose other ports with --port")]
    PortTaken(u16),
    #[error("no node can listen on port {0}: {1}")]
    Listen(u16, #[source] io::Error),
    #[error("{0} nodes from port {1} on need ports over 65535")]
    Ports(u16, u16),
    #[error("no ring of so many nodes: {0}")]
    Ring(#[from] RingError),
    #[error("a node cannot start: {0}")]
    Start(#[from] StartError),
    #[error(transparent)]
    Served(#[from] ServeError),
    #[error("nobody listens at {0}: is the demo running? (`dynamo demo`; other nodes with --node)")]
    NobodyListens(SocketAddr),
    #[error("the node at {0} belongs to another cluster than the demo's")]
    WrongCluster(SocketAddr),
    #[error("no connection to {0}: {1}")]
    Connect(SocketAddr, #[source] Lost),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("not done: {0}")]
    Ask(#[source] AskError),
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("unknown whether it was done: {0}")]
    Unknown(String),
    #[error("the node's answer fits another question")]
    Confused,
    #[error("the operating system failed: {0}")]
    System(#[from] io::Error),
}

impl Error {
    pub(crate) fn connecting(node: SocketAddr, lost: Lost) -> Self {
        match lost {
            Lost::Socket(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Self::NobodyListens(node)
            }
            Lost::Ended(Ended::RefusedByThem(Refusal::Cluster) | Ended::WrongCluster(_)) => {
                Self::WrongCluster(node)
            }
            lost => Self::Connect(node, lost),
        }
    }

    pub(crate) fn listening(port: u16, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::PortTaken(port),
            _ => Self::Listen(port, error),
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unknown(_) => 4,
            _ => 1,
        }
    }
}
