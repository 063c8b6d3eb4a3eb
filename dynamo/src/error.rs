//! What can go wrong, as it is told to whoever typed the command.

use std::io;
use std::net::SocketAddr;

use crate::settings::SettingsError;
use dynamo_client::{AdminError, Failed, Trouble};
use dynamo_driver::Ended;
use dynamo_keeper::{ServeError, StartError};
use dynamo_proto::KeyError;
use dynamo_proto::node::Failure;
use dynamo_proto::wire::Refusal;

use crate::backup::BackupError;
use crate::bench::BenchError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("port {port} is taken: does another node listen at {0}? Choose another address", port = .0.port())]
    PortTaken(SocketAddr),
    #[error("no node can listen at {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(
        "which cluster? The store knows of none: --seed ADDR asks a node of one to be let in, --bootstrap begins one"
    )]
    NoCluster,
    #[error("the store cannot be opened: {0}")]
    Open(Box<dyn std::error::Error + Send + Sync>),
    #[error("{0} nodes from port {1} on need ports over 65535")]
    Ports(u16, u16),
    #[error("a node cannot start: {0}")]
    Start(#[from] StartError),
    #[cfg(target_os = "linux")]
    #[error("a node cannot start on glommio: {0}")]
    Glommio(#[from] dynamo_glommio::StartError),
    #[error(transparent)]
    Served(#[from] ServeError),
    #[error("nobody listens at {0}: does a node run? (`dynamo demo`; other nodes with --node)")]
    NobodyListens(SocketAddr),
    #[error("the node at {0} belongs to another cluster: name it with --cluster")]
    WrongCluster(SocketAddr),
    #[error("no connection to {0}: {1}")]
    NotMet(SocketAddr, #[source] Trouble),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("not done: {0}")]
    Refused(String),
    #[error("not done: {0}")]
    Told(#[source] AdminError),
    #[error("not done: {0}")]
    NotDone(#[source] Failed),
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("unknown whether it was done: too few replicas answered, or none in time")]
    Unknown,
    #[error("the node's answer fits another question")]
    Confused,
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Bench(#[from] BenchError),
    #[error("the operating system failed: {0}")]
    System(#[from] io::Error),
}

impl Error {
    pub(crate) fn administering(node: SocketAddr, error: AdminError) -> Self {
        match error {
            AdminError::Trouble(trouble) => Self::meeting(node, trouble),
            AdminError::Refused(why) => Self::Refused(why),
            AdminError::Confused(_) => Self::Confused,
            error @ (AdminError::Late | AdminError::Randomness(_)) => Self::Told(error),
        }
    }

    pub(crate) fn meeting(node: SocketAddr, trouble: Trouble) -> Self {
        match trouble {
            Trouble::NoConnection => Self::NobodyListens(node),
            Trouble::Ended(Ended::RefusedByThem(Refusal::Cluster) | Ended::WrongCluster(_)) => {
                Self::WrongCluster(node)
            }
            trouble => Self::NotMet(node, trouble),
        }
    }

    pub(crate) fn listening(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::PortTaken(address),
            _ => Self::Listen(address, error),
        }
    }

    pub(crate) fn opening(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Open(Box::new(error))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unknown => 4,
            Self::Settings(_) | Self::NoCluster => 2,
            _ => 1,
        }
    }
}
