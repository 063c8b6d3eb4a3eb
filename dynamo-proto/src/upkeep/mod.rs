//! What nodes do for themselves and for each other beside what clients want: what bringing home, moving
//! and comparing have in common.
//!
//! ```text
//!   ask the store for a page ---> pack what another is to have ---> send, wait for the answer
//!       ^                                                                |
//!       '---- when its turn comes, if clients leave time for it <--------'
//! ```
//!
//! Each of the three has [`Jobs`], which go on like this side by side. [`Admission`] says when a turn
//! comes, and an [`Entry`] is what is found. Left to them: what is looked at, and who is to have it.

mod admission;
mod entry;
mod jobs;
mod parcel;

use crate::store::Limit;
use crate::wire::HANDOFF_MOST;

pub(crate) use admission::Admission;
pub(crate) use entry::{Entry, sound};
pub(crate) use jobs::{Jobs, is_given_up};
pub(crate) use parcel::Parcel;

/// Most bytes of copies that are asked for, or sent, at a time.
pub(crate) const BATCH_BYTES: u32 = 256 << 10;

/// As many records are looked at, at a time, as one message holds.
pub(crate) const PAGE: Limit = Limit {
    items: HANDOFF_MOST,
    bytes: BATCH_BYTES as usize,
};
