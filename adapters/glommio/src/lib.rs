//! Nodes of `dynamo-proto` on glommio: each has a thread of its own, with an io_uring that nobody
//! else uses.
//!
//! [`serve`] starts that thread. It first [`probe`]s what this machine lacks, and says how to get it:
//! io_uring is often forbidden in containers, and glommio needs some locked memory. Engines run in
//! their own threads behind the mailbox, as on every runtime: no disk is waited for here.
//!
//! There is nothing of this crate but on Linux.
//!
//! Nobody is authenticated: listen where only friends are.
#![cfg(target_os = "linux")]

mod probe;
mod reactor;

use std::net::TcpListener;
use std::time::Duration;

use glommio::timer::sleep;
use glommio::{GlommioError, LocalExecutorBuilder, Placement};

pub use dynamo_keeper::{CloseError, Door, Nodes, ServeError, Server, Servers, Setup, Store};
pub use probe::{Missing, probe};

/// After the last socket is dropped: time for the ring to take back what the kernel still does with
/// it. Until then its port is taken.
const LAST_TURN: Duration = Duration::from_millis(1);

/// Why a node is not served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This machine does not give what it takes.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// As on every runtime.
    #[error(transparent)]
    Node(#[from] dynamo_keeper::StartError),
    /// glommio does not start.
    #[error("glommio does not start: {0}")]
    Executor(String),
}

/// Serves a node behind these listeners, in a thread of its own. Waits until that has begun.
pub fn serve(doors: Vec<(TcpListener, Door)>, setup: Setup) -> Result<Server, StartError> {
    let mut servers = Vec::from(serve_on_cores(vec![(doors, setup)], 1)?);
    Ok(servers.remove(0))
}

/// Serves the nodes of a process on so many threads, and waits until all have begun.
pub fn serve_on_cores(nodes: Nodes, cores: usize) -> Result<Servers, StartError> {
    probe()?;
    dynamo_keeper::on_cores(nodes, cores, |core| {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .name("dynamo")
            .io_memory(0) // for files, of which it has none
            .make();
        let executor = executor.map_err(StartError::executor)?;
        executor.run(core.serve::<reactor::Glommio>(async || sleep(LAST_TURN).await));
        Ok(())
    })
}

impl StartError {
    fn executor(error: GlommioError<()>) -> Self {
        Self::Executor(error.to_string())
    }
}
