//! Amazon's Dynamo as a pure state machine: no clock, no randomness and no I/O of its own.
//!
//! What everything else stands on:
//!
//! - a [`Key`] falls on the [`ring`] at its [`Token`]; the ring says which nodes are on duty for it;
//! - the [`membership`] says which ring, agreed on by gossip;
//! - [`version`]s say which write superseded which, and what is alive;
//! - the [`wire`] carries them between nodes as bytes.
//!
//! A write, from a client's key to the bytes that a replica is sent:
//!
//! ```
//! use bytes::BytesMut;
//! use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
//! use dynamo_proto::version::*;
//! use dynamo_proto::membership::ShortEpoch;
//! use dynamo_proto::wire::{Message, Nonce, Outbound, Ticket};
//! use dynamo_proto::{Durability, Key, Limits, NodeId, WallTime};
//!
//! // Who is on duty for the key?
//! let config = RingConfig { strategy: Strategy::EqualPartitions { partitions: 64 }, replicas: 3 };
//! let members = (1..=5).map(|id| Member::new(NodeId(id), "zone", format!("host-{id}"))).collect();
//! let ring = Ring::birth(config, members)?;
//! let limits = Limits::default();
//! let key = Key::new("default", "carts", "alice", &limits)?;
//! let on_duty: Vec<_> = ring.lookup(key.token()).primaries(3).map(|member| member.id).collect();
//!
//! // The first of them makes the client's write a version. It has never heard of the key.
//! let retired = Retirements::default();
//! let rules = Rules { policy: Policy::Siblings, truncate_to: None, limits: &limits, retired: &retired };
//! let mut births = Births::new(on_duty[0], Boot(0x5eed));
//! let mut record = Record::default();
//! let write = Write { past: None, content: Content::plain("tea"), request: RequestId(1) };
//! record.mint(write, WallTime::from_secs(1_700_000_000), &mut births, &rules)?;
//!
//! // The others are sent the whole state and will merge it.
//! let mut wire = BytesMut::new();
//! let message = Message::Store {
//!     ticket: Ticket(1),
//!     epoch: ShortEpoch::default(),
//!     durability: Durability::Flushed,
//!     held_for: None,
//!     is_repair: false,
//!     key: key.clone(),
//!     siblings: record.siblings().clone(),
//! };
//! Outbound::to(Nonce::new(7).expect("not 0")).write(&message, &mut wire);
//!
//! // The client gets a context: what it has seen, sealed.
//! let context = Seal::new([0; 16]).close(&key, &record.siblings().past());
//! # assert!(!wire.is_empty() && !context.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

/// Does something wrong, in builds where bugs can be planted and if this one is.
macro_rules! planted {
    ($bug:ident ? $wrong:expr ; $right:expr) => {{
        #[cfg(planted)]
        {
            if crate::planted::is(crate::planted::Bug::$bug) { $wrong } else { $right }
        }
        #[cfg(not(planted))]
        {
            $right
        }
    }};
    ($bug:ident => $($wrong:tt)*) => {
        #[cfg(planted)]
        if crate::planted::is(crate::planted::Bug::$bug) {
            $($wrong)*
        }
    };
}

pub mod coordinate;
pub mod membership;
pub mod node;
pub mod ring;
pub mod store;
pub mod version;
pub mod wire;

mod bucket;
mod config;
mod entropy;
mod handoff;
mod hash;
mod health;
mod identity;
mod key;
mod moving;
#[cfg(planted)]
pub mod planted;
mod reader;
mod replica;
mod rng;
mod time;
mod upkeep;

pub use bucket::{Bucket, BucketError, Buckets, MAX_NOTES};
pub use config::Limits;
pub use health::Latency;
pub use identity::{ClusterId, Generation, NodeId};
pub use key::{Key, KeyError, KeyPart, Token};
pub use reader::DecodeError;
pub use rng::Seed;
pub use store::Durability;
pub use time::{Instant, Now, WallTime};
