//! The bodies of the fuzz targets. Each takes whatever bytes there are and panics where a promise
//! is broken.
//!
//! The targets in `fuzz/` call them with what the fuzzer invents, the test `corpora` with what was
//! kept of that.

mod contexts;
mod data;
mod frames;
mod fronts;
mod heap;
mod histories;
mod membership;
mod node;
mod placement;
mod schedules;
mod versions;

pub use contexts::contexts;
pub use data::data;
pub use frames::frames;
pub use fronts::{http, resp, riak};
pub use membership::membership;
pub use node::node;
pub use placement::placement;
pub use schedules::schedules;
pub use versions::{check_laws, versions};
