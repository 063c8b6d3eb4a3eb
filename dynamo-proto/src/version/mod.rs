//! Versions: who wrote what, what superseded it, and what is alive.
//!
//! A write is named by a [`Dot`], minted by an [`Actor`] that exists for one key, in one boot of
//! one node. A [`Clock`] says which dots somebody has seen, and [`Siblings`], the state that
//! replicas share, hold the live values with their dots under one clock. A [`Record`] is a node's
//! own copy of that state; there new versions are [minted](Record::mint). What a client has seen is
//! its [`Past`], which it carries sealed in a [`Context`].
//!
//! ```text
//!   client                coordinator                       other replicas
//!     | -- Write{past} -->  Record::mint                          |
//!     |                       Births ─ Actor ─ Dot                |
//!     |                       Siblings { clock, values } -------> | Record::merge
//!     | <-- Context --------  Seal::close(Past)                   |
//! ```
//!
//! What holds here, whatever the order of calls:
//!
//! - a dot is minted once, for ever: an actor goes on only while the record that it minted into
//!   has been held without a gap, in one boot; otherwise a newborn one takes over;
//! - merging is commutative, associative and idempotent and looks only at the states merged;
//! - a value is dropped only for a write that had seen it, or by a policy that says it may be;
//! - where a bucket holds [data types](DataType), a key has one value, its [`Data`], in which the
//!   updates of all coordinators merge by the same rule.
//!
//! Left to others: when to store, whom to send to, and when a boot may be retired.

mod actor;
mod clock;
mod context;
mod data;
mod encoding;
mod metadata;
mod policy;
mod record;
mod retirement;
mod siblings;
mod updates;
mod value;

pub use actor::{Actor, Births, Boot, Dot, Tag};
pub use clock::{Causality, Clock, Entry};
pub use context::{Context, ContextError, Seal};
pub use data::{Action, Data, DataType, Field as DataField, Path, PathError, Step, Update, View};
pub use metadata::{Field, FieldKind, Metadata, MetadataBuilder, MetadataError};
pub use policy::Policy;
pub use record::{MintError, Minted, Record, Repeat, Rules, Write};
pub use retirement::{Behind, Height, RetiredTwice, Retirements};
pub use siblings::{Past, Siblings};
pub use updates::Updated;
pub use value::{Content, RequestId, Sibling, Value};
