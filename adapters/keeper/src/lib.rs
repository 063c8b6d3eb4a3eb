//! The one task that owns a node with all its sockets, on whatever runtime polls it.
//!
//! ```text
//!   peers ----+                  +---> store: in line, or in threads of its own
//!   clients --+---> Keeper ------+
//!   fronts ---+   Driver, Node   +---> a timer for the next deadline
//! ```
//!
//! An adapter to a runtime that polls futures says in a [`Reactor`] what that runtime's sockets and
//! timers are; then [`prepare`] gives a handle, the [`Server`], and a node that its tasks may
//! [`keep`](Prepared::keep). All else is here: when a socket is looked at and when it is written to,
//! how the store is asked, how a node is stopped.
//!
//! ```
//! # use dynamo_keeper::*;
//! # use std::net::TcpListener;
//! # struct MyRuntime;
//! # impl MyRuntime { fn spawn(&self, _: impl Future<Output = ()>) {} }
//! fn serve<Mine: Reactor>(
//!     runtime: &MyRuntime,
//!     doors: Vec<(TcpListener, Door)>,
//!     setup: Setup,
//! ) -> Result<Server, StartError> {
//!     let (server, node) = prepare(doors, setup)?;
//!     let keeper = node.keep::<Mine>()?;
//!     runtime.spawn(async { keeper.await.close() });
//!     Ok(server)
//! }
//! ```
//!
//! Several nodes of one process, each on a thread of its own, are served by [`on_cores`]; what they say
//! to each other goes through mailboxes.
//!
//! What is said on the sockets, to whom and how much of it may wait, is the
//! [driver's](dynamo_driver::driver). An adapter that polls nothing uses that by itself, with the
//! [`Store`] and the [`Clock`] from here.
#![forbid(unsafe_code)]

mod bells;
mod beside;
mod board;
mod clock;
mod cores;
mod doors;
mod keeper;
mod reactor;
mod server;
mod sockets;
mod store;
mod timer;

pub use clock::Clock;
pub use cores::{Core, Nodes, Servers, on_cores};
pub use keeper::{Ended, Keeper};
pub use reactor::Reactor;
pub use server::{Door, Prepared, ServeError, Server, Setup, StartError, Started, prepare};
pub use socket2::SockRef;
pub use store::{CloseError, Keeping, Store};
