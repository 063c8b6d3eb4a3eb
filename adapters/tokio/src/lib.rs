//! Nodes of `dynamo-proto` on tokio: sockets, timers and tasks.
//!
//! [`serve`] gives a node a port, on which the other nodes and clients talk to it, and a task that
//! owns it. [`Client`] asks a node something.
//!
//! ```text
//!   peers ----+                                      +--> Memory, in line
//!             +-- a task each <--- queues ---> Node's task
//!   clients --+                                      +--> the next deadline
//! ```
//!
//! It promises that every queue is bounded, that a busy node is read from no faster than it works,
//! and that what cannot be sent comes back to the node in the same pass.
//!
//! For now storage is in memory only, so a node that stops has lost what it kept; a bucket whose
//! durability is more than [`Memory`](dynamo_proto::Durability::Memory) takes no writes. Nobody is
//! authenticated: listen where only friends are.
//!
//! A cluster of one node:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use dynamo_proto::node::*;
//! use dynamo_proto::ring::{Member, Ring, RingConfig};
//! use dynamo_proto::version::RequestId;
//! use dynamo_proto::{Bucket, Buckets, ClusterId, Durability, Key, Limits, NodeId};
//! use dynamo_storage_memory::Memory;
//! use dynamo_tokio::{Client, Setup, serve};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bucket = Bucket { n: 1, r: 1, w: 1, durability: Durability::Memory, ..Bucket::default() };
//! let config = Config {
//!     node: NodeId(1),
//!     cluster: ClusterId(7),
//!     secret: *b"sixteen secrets!",
//!     limits: Limits::default(),
//!     capacity: Capacity::default(),
//!     timing: Timing::default(),
//!     hints: HintLimits::default(),
//!     buckets: Buckets { types: BTreeMap::new(), default: bucket },
//! };
//! let members = vec![Member::new(NodeId(1), "zone", "host")];
//! let ring = Arc::new(Ring::birth(RingConfig::default(), members)?);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let peers = BTreeMap::new();
//! let server = serve(listener, Setup { config, ring, peers, memory: Memory::new() })?;
//!
//! let limits = Limits::default();
//! let mut client = Client::connect(server.address(), ClusterId(7), limits).await?;
//! let get = Request {
//!     id: RequestId(1), // at random, in earnest
//!     is_retry: false,
//!     key: Key::new("default", "carts", "alice", &limits)?,
//!     operation: Operation::Get { head: false },
//!     options: Options::default(),
//! };
//! let Response::Got(got) = client.ask(get, Duration::from_secs(5)).await? else {
//!     panic!("one node answers for itself");
//! };
//! assert!(got.siblings.is_absent());
//! server.stop().await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod client;
mod clock;
mod keeper;
mod line;
mod lobby;
mod mail;
mod random;
mod server;
mod sockets;
mod talk;

pub use client::{AskError, Client};
pub use line::Lost;
pub use server::{ServeError, Server, Setup, StartError, serve};
