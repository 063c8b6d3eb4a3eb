//! A client of a Dynamo cluster: it knows who is on duty for a key and goes there.
//!
//! ```no_run
//! # #[cfg(feature = "tokio")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use dynamo_client::{Client, Over, Settings, Value};
//!
//! let client = Client::connect(Settings::of("demo", ["127.0.0.1:7401"])).await?;
//! let carts = client.bucket("carts");
//!
//! // A write says what it supersedes: what was read, nothing, or whatever is there.
//! carts.put("alice", "tea", Over::Blind).await?;
//! let read = carts.get("alice").await?;
//! match read.value() {
//!     Value::None => println!("empty"),
//!     Value::One(cart) => println!("{cart:?}"),
//!     Value::Siblings(carts) => println!("{} carts to merge", carts.len()),
//! }
//! carts.put("alice", "tea,milk", &read).await?;
//!
//! // Or all of it at once, and again if others write meanwhile.
//! carts.update("alice", |carts| carts.join(&b","[..]).into()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! How a request ended is a type: a read is done or [failed](ReadError), a write is done, failed, or
//! [unknown](WriteError::Unknown). The client tries again where that cannot make a second sibling, and
//! not more often than one time in ten.
//!
//! - [`Bucket`]: keys with siblings; [`Typed`]: values of a type of yours, as JSON.
//! - [`Counter`], [`Set`], [`Map`], [`DataKey`]: keys that merge by themselves.
//! - [`Session`]: reads that have seen what you have seen and written.
//! - [`merge`]: ready-made merges.
//! - [`Admin`]: commands for the cluster itself, at one node.
//! - [`Machine`]: all of it without I/O, for a runtime of your own; [`Runtime`] if that polls futures.
//!
//! Features: `tokio` (on by default), `smol`, `tracing` (a span for every request).
#![forbid(unsafe_code)]

pub mod merge;

mod admin;
mod bucket;
mod client;
mod data;
mod error;
mod machine;
mod pump;
mod read;
mod runtime;
mod session;
#[cfg(feature = "tracing")]
mod trace;
mod typed;

pub use admin::{Admin, AdminError};
pub use bucket::{Bucket, Wrote};
pub use client::Client;
pub use data::{Counter, DataKey, Map, Set};
pub use error::{ConnectError, ReadError, Refused, UpdateError, WriteError};
pub use machine::{
    Action, Answer, Ask, AskId, Counts, Failed, Found, Link, Machine, Settings, Trouble, Way,
};
pub use read::{Conflict, Over, Read, Seen, Value};
#[cfg(feature = "smol")]
pub use runtime::Smol;
#[cfg(feature = "tokio")]
pub use runtime::Tokio;
pub use runtime::{Dialing, Runtime};
pub use session::Session;
pub use typed::{Typed, TypedRead};
