//! One state machine for each request: find the replicas, ask them, wait, answer.
//!
//! ```text
//!   Put   [Reading] -> Minting -> Spreading -> done when all have it or time is up
//!           ^ overwrite, conditions      \-> the client is answered as soon as W have it
//!   Get   Asking -> answered -> done when those that lag are repaired
//!   Forward   to a node that can coordinate, and back
//!   List  Asking <-> Resting -> answered with a page
//! ```
//!
//! A get runs wherever it arrives. A put runs at a node on duty for its key; elsewhere it is
//! forwarded to one, preferably to the one that answered the client's last read first. Where nodes
//! on duty are away, the next ones in order stand in for them and hold what is theirs.
//!
//! What holds: each request is answered once, by its deadline. Before the version is minted the
//! answer may be "failed"; from then on it is "done" or "unknown".
//!
//! What a read counts is open to clients that coordinate their own: the [`Terms`] on which it is done,
//! the [`Seat`]s that are asked, their [`Votes`] and the [`Verdict`] on these.

mod asking;
mod duty;
mod flights;
mod forward;
mod get;
mod list;
mod look;
mod new_put;
mod put;
mod repairs;
mod requests;
mod spread;
mod terms;
mod votes;

pub use duty::Seat;
pub(crate) use duty::{is_owner, is_sole_owner};
pub(crate) use forward::Forward;
pub(crate) use get::Get;
pub(crate) use list::List;
pub(crate) use look::Look;
pub(crate) use new_put::NewPut;
pub(crate) use put::{Minting, Put};
pub(crate) use requests::{Origin, Requests, Running};
pub use terms::Terms;
pub use votes::{Verdict, Votes};
