//! What a node runs on.

use std::fmt;
use std::net::TcpListener;

use clap::ValueEnum;
use dynamo_keeper::{Door, Nodes, Server, Servers, Setup};
use serde::Deserialize;

use crate::error::Error;

/// Whose sockets, timers and threads a node uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Runtime {
    /// The usual choice.
    #[default]
    Tokio,
    /// Small.
    Smol,
    /// Discontinued by its authors: for comparison.
    AsyncStd,
    /// A thread and an io_uring for each node.
    #[cfg(target_os = "linux")]
    Glommio,
}

impl Runtime {
    /// Serves a node. To be called in a runtime of tokio, where the program itself runs.
    pub(crate) fn serve(
        self,
        doors: Vec<(TcpListener, Door)>,
        setup: Setup,
    ) -> Result<Server, Error> {
        Ok(match self {
            Self::Tokio => dynamo_tokio::serve(doors, setup)?,
            Self::Smol => dynamo_async_std::on_smol(doors, setup)?,
            Self::AsyncStd => dynamo_async_std::on_async_std(doors, setup)?,
            #[cfg(target_os = "linux")]
            Self::Glommio => dynamo_glommio::serve(doors, setup)?,
        })
    }
}

impl Runtime {
    /// Serves the nodes of this process: one alone as [`serve`](Self::serve) does, several on threads of their
    /// own.
    pub(crate) fn serve_all(self, mut nodes: Nodes, cores: usize) -> Result<Servers, Error> {
        if nodes.len() == 1
            && let Some((doors, setup)) = nodes.pop()
        {
            return Ok(self.serve(doors, setup)?.into());
        }
        Ok(match self {
            Self::Tokio => dynamo_tokio::serve_on_cores(nodes, cores)?,
            Self::Smol => dynamo_async_std::on_smol_cores(nodes, cores)?,
            Self::AsyncStd => dynamo_async_std::on_async_std_cores(nodes, cores)?,
            #[cfg(target_os = "linux")]
            Self::Glommio => dynamo_glommio::serve_on_cores(nodes, cores)?,
        })
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokio => "tokio",
            Self::Smol => "smol",
            Self::AsyncStd => "async-std",
            #[cfg(target_os = "linux")]
            Self::Glommio => "glommio",
        })
    }
}
