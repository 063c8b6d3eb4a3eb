//! Finding out where replicas differ, and making them equal: what hints and repairs left undone is
//! found here, in time, whoever reads or does not.
//!
//! ```text
//!                 a ring of leaves: each the sum of the digests of about 16 keys
//!   twigs, sums   |<--- partition --->|<--- partition --->|
//!   of leaves      t    t    t    t    t    t    t    t        at hand, made from leaves
//!   leaves         ................................            kept, changed in one batch with a key
//!
//!   one node                                         another that is to have the same
//!   Roots: a digest for each partition      ------>  which of them differ here
//!   Roots: those of a part of one, ...      ------>  which of them differ here
//!   Leaves: a digest for each of a twig     ------>  which of them differ here
//!   Compare: digests of the keys of those   ------>  copies of what else is here, and what is not
//!   take those in; read again what is lacking there
//!   Handoff: copies of that                 ------>  take those in
//! ```
//!
//! What it promises: any two nodes that are on duty for the same stretch of the ring go through this
//! within a set time, as long as they reach each other; stretches of which it is known that
//! something is missing somewhere go first. A leaf is changed with its keys or not at all, so what a
//! node's trees say is what its store holds, whenever it stops; and where a store loses something all
//! the same, [`Audit`] finds that out. Who answers keeps nothing. Clients go first on both sides.
//!
//! Left to others: what a key's states are merged to, and partitions that move: a tree grows with
//! what arrives.

mod answers;
mod audit;
mod bare;
mod check;
mod exchange;
mod leaf;
mod leaves;
mod shape;
mod topics;
mod trees;
mod twigs;

use core::time::Duration;

use crate::node::Slot;
use crate::rng::Rng;
use crate::wire::HANDOFF_MOST;

pub use bare::BareTrees;
pub use check::{TreeCheck, check_tree};
pub(crate) use exchange::{Entropy, cut};
pub(crate) use leaf::{Known, Sum};
pub(crate) use shape::Cell;
pub use topics::{Agreement, Level};
pub(crate) use trees::{Trees, Turn};

/// Most nodes that are exchanged with side by side.
const ABREAST: usize = 4;
/// Most that is looked up for others side by side.
const ANSWERED_ABREAST: usize = 8;

/// Changes and store commands that all of this asks for at a time: two batches for each exchange,
/// each a change of a key and its leaf; what is forgotten; and looking through this and that.
pub(crate) const COMMANDS: usize =
    (4 * ABREAST + 2) * HANDOFF_MOST + ABREAST + ANSWERED_ABREAST + 2;

/// Some part of a time, so that not all nodes do the same at once.
fn part_of(time: Duration, rng: &mut Rng) -> Duration {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.below(nanos))
}

/// Of whom there is only one.
fn no_slot() -> Slot {
    Slot::from_number(0)
}
