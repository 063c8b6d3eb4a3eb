//! Nodes of `dynamo-proto` on tokio: its sockets and its timers.
//!
//! [`serve`] puts a node behind listeners, in one task of the current runtime that owns it and all
//! its sockets: a [keeper](dynamo_keeper).
//!
//! Nobody is authenticated: listen where only friends are.
//!
//! A cluster of one node:
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use dynamo_proto::node::*;
//! use dynamo_proto::ring::{Member, Ring, RingConfig};
//! use dynamo_proto::{Bucket, ClusterId, Durability, Generation, Limits, NodeId};
//! use dynamo_storage_memory::Memory;
//! use dynamo_client::{Client, Over, Settings, Value};
//! use dynamo_driver::{Bounds, Waits};
//! use dynamo_tokio::{Door, Setup, Store, serve};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bucket = Bucket { n: 1, r: 1, w: 1, durability: Durability::Memory, ..Bucket::default() };
//! let config = Config {
//!     node: NodeId(1),
//!     cluster: ClusterId::named("demo"),
//!     secret: *b"sixteen secrets!",
//!     limits: Limits::default(),
//!     capacity: Capacity::default(),
//!     timing: Timing::default(),
//!     hints: HintLimits::default(),
//! };
//! let members = vec![Member::new(NodeId(1), "zone", "host")];
//! let ring = Ring::birth(RingConfig::default(), members)?;
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let setup = Setup {
//!     config,
//!     start: Start::founder(ClusterId::named("demo"), &ring, bucket.into(), NodeId(1)),
//!     peers: BTreeMap::new(),
//!     seeds: Vec::new(),
//!     generation: Generation(1),
//!     store: Store::in_line(Memory::new()),
//!     bounds: Bounds::default(),
//!     waits: Waits::default(),
//! };
//! let server = serve(vec![(listener, Door::Native)], setup)?;
//!
//! let address = server.address().to_string();
//! let client = Client::connect(Settings::of("demo", [address])).await?;
//! let carts = client.bucket("carts");
//! carts.put("alice", "tea", Over::Blind).await?;
//! assert_eq!(carts.get("alice").await?.value(), Value::One("tea".into()));
//! server.stop().await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod reactor;

use std::net::TcpListener;

use tokio::runtime::Builder;
use tokio::task::unconstrained;

pub use dynamo_keeper::{
    CloseError, Door, Nodes, ServeError, Server, Servers, Setup, StartError, Store,
};

/// Serves a node behind these listeners, in a task of the current runtime.
///
/// # Panics
///
/// Outside of a tokio runtime with timers and I/O.
pub fn serve(doors: Vec<(TcpListener, Door)>, setup: Setup) -> Result<Server, StartError> {
    let (server, node) = dynamo_keeper::prepare(doors, setup)?;
    let keeper = node.keep::<reactor::Tokio>()?;
    tokio::spawn(unconstrained(async { keeper.await.close() }));
    Ok(server)
}

/// Serves the nodes of a process on so many threads, each with a runtime of its own.
pub fn serve_on_cores(nodes: Nodes, cores: usize) -> Result<Servers, StartError> {
    dynamo_keeper::on_cores(nodes, cores, |core| {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::Thread)?;
        let served = core.serve::<reactor::Tokio>(async || {});
        runtime.block_on(unconstrained(served));
        Ok(())
    })
}
