//! One state machine for each request: find the replicas, ask them, wait, answer.
//!
//! ```text
//!   Put   [Reading] -> Minting -> Spreading -> done when all have it or time is up
//!           ^ overwrite, conditions      \-> the client is answered as soon as W have it
//!   Get   Asking -> done
//!   Forward   to a node on duty for the key, and back
//! ```
//!
//! A get runs wherever it arrives. A put runs at a node on duty for its key; elsewhere it is
//! forwarded to one, preferably to the one that answered the client's last read first.
//!
//! What holds: each request is answered once, by its deadline. Before the version is minted the
//! answer may be "failed"; from then on it is "done" or "unknown".

mod flights;
mod forward;
mod get;
mod put;
mod requests;
mod terms;
mod votes;

pub(crate) use forward::Forward;
pub(crate) use get::Get;
pub(crate) use put::{Minting, NewPut, Put};
pub(crate) use requests::{Origin, Requests, Running};
pub(crate) use terms::Terms;
pub(crate) use votes::{Verdict, Votes};
