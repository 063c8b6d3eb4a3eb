//! The face between Dynamo and whatever keeps its bytes.
//!
//! A store is an ordered map of bytes in a few named spaces. An engine is one [`Backend`]: point
//! reads, groups of atomic batches, scans by pages, and the removal of a whole [`Span`]. What the
//! bytes mean is not its business: the core encodes its records and checks them itself.
//!
//! - [`Backend`] says what an engine promises; [`conformance`] checks any engine, ours or yours.
//! - [`carry_out`] turns the core's commands into calls and their answers into completions.
//! - [`address`] turns addresses into keys for engines that sort bytes.
//!
//! - [`copy`] carries spans from one store to another; [`BackUp`] a whole one, while it runs.
//! - [`directory`] knows whose a store is, who has it open, and how it was left.
//! - [`Reserve`] keeps room free for deletes and repairs; [`Scrubber`] re-reads everything, slowly.
//! - [`worker`] runs an engine in threads of its own and groups what waits into one flush.
//!
//! Left to others: repairing records; deciding what to do where an answer is weaker than was asked.

pub mod address;
pub mod conformance;
pub mod directory;
pub mod worker;

mod backend;
mod command;
mod copy;
mod reserve;
mod scan;
mod scrub;

pub use backend::{Backend, Write};
pub use command::carry_out;
pub use copy::{BackUp, BackUpError, Copied, CopyError, Watch, copy};
pub use dynamo_proto::store::{Item, Limit, Page, ScanFailed, Span};
pub use reserve::{FreeSpace, Reserve, Room};
pub use scan::Scan;
pub use scrub::{Damaged, Scrub, Scrubber, Step};

use dynamo_proto::store::Space;

/// All spaces, in their order.
pub const SPACES: [Space; 4] = [Space::Objects, Space::Hints, Space::Trees, Space::Meta];

/// The page on how to write a backend: what it shows is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/write-a-backend.md")]
struct WriteABackend;
