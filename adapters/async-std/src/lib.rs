//! Nodes of `dynamo-proto` on smol and on async-std: one source for both, over the sockets and
//! timers that both have from `async-io`.
//!
//! Which to choose: **smol**. async-std is [discontinued][advisory], and its own authors send its
//! users to smol; nobody will mend it. Choose async-std only for a program that runs on it already.
//! What differs is whose threads the node's task runs in: each has an entry of its own, under a
//! feature of its name.
//!
//! | Feature | Entry | The node's task runs in |
//! |---|---|---|
//! | `smol`, on by default | `on_smol` | smol's threads: one, or `SMOL_THREADS` |
//! | `async-std` | `on_async_std` | async-std's threads: one per processor, or `ASYNC_STD_THREAD_COUNT` |
//!
//! Nobody is authenticated: listen where only friends are.
//!
//! A cluster of one node:
//!
//! ```
//! # #[cfg(feature = "smol")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::collections::BTreeMap;
//! use std::net::TcpListener;
//!
//! use dynamo_async_std::{Door, Setup, Store, on_smol};
//! use dynamo_driver::{Bounds, Waits};
//! use dynamo_proto::node::*;
//! use dynamo_proto::ring::{Member, Ring, RingConfig};
//! use dynamo_proto::{Bucket, Buckets, ClusterId, Durability, Generation, Limits, NodeId};
//! use dynamo_storage_memory::Memory;
//!
//! let bucket = Bucket { n: 1, r: 1, w: 1, durability: Durability::Memory, ..Bucket::default() };
//! let config = Config {
//!     node: NodeId(1),
//!     cluster: ClusterId(7),
//!     secret: *b"sixteen secrets!",
//!     limits: Limits::default(),
//!     capacity: Capacity::default(),
//!     timing: Timing::default(),
//!     hints: HintLimits::default(),
//! };
//! let members = vec![Member::new(NodeId(1), "zone", "host")];
//! let ring = Ring::birth(RingConfig::default(), members)?;
//! let setup = Setup {
//!     config,
//!     start: Start::founder(ClusterId(7), &ring, bucket.into(), NodeId(1)),
//!     peers: BTreeMap::new(),
//!     seeds: Vec::new(),
//!     generation: Generation(1),
//!     store: Store::in_line(Memory::new()),
//!     bounds: Bounds::default(),
//!     waits: Waits::default(),
//! };
//! let server = on_smol(vec![(TcpListener::bind("127.0.0.1:0")?, Door::Native)], setup)?;
//! smol::block_on(async {
//!     let reads = server.ask(|site| site.metrics.counted("dynamo_gets_total")).await?;
//!     assert_eq!(reads, Some(0));
//!     server.stop().await
//! })?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "smol"))]
//! # fn main() {}
//! ```
//!
//! [advisory]: https://rustsec.org/advisories/RUSTSEC-2025-0052
#![forbid(unsafe_code)]

#[cfg(any(feature = "async-std", feature = "smol"))]
mod reactor;

#[cfg(any(feature = "async-std", feature = "smol"))]
use std::net::TcpListener;

pub use dynamo_keeper::{
    CloseError, Door, Nodes, ServeError, Server, Servers, Setup, StartError, Store,
};

/// Serves a node behind these listeners, in a task of smol's.
#[cfg(feature = "smol")]
pub fn on_smol(doors: Vec<(TcpListener, Door)>, setup: Setup) -> Result<Server, StartError> {
    let (server, node) = dynamo_keeper::prepare(doors, setup)?;
    let keeper = node.keep::<reactor::AsyncIo>()?;
    smol::spawn(async { keeper.await.close() }).detach();
    Ok(server)
}

/// Serves a node behind these listeners, in a task of async-std's.
#[cfg(feature = "async-std")]
pub fn on_async_std(doors: Vec<(TcpListener, Door)>, setup: Setup) -> Result<Server, StartError> {
    let (server, node) = dynamo_keeper::prepare(doors, setup)?;
    let keeper = node.keep::<reactor::AsyncIo>()?;
    async_std::task::spawn(async { keeper.await.close() });
    Ok(server)
}

/// Serves the nodes of a process on so many threads of their own.
#[cfg(feature = "smol")]
pub fn on_smol_cores(nodes: Nodes, cores: usize) -> Result<Servers, StartError> {
    dynamo_keeper::on_cores(nodes, cores, |core| {
        smol::block_on(core.serve::<reactor::AsyncIo>(async || {}));
        Ok(())
    })
}

/// Serves the nodes of a process on so many threads of their own.
#[cfg(feature = "async-std")]
pub fn on_async_std_cores(nodes: Nodes, cores: usize) -> Result<Servers, StartError> {
    dynamo_keeper::on_cores(nodes, cores, |core| {
        async_std::task::block_on(core.serve::<reactor::AsyncIo>(async || {}));
        Ok(())
    })
}
