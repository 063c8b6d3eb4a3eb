//! Amazon's Dynamo as a pure state machine: no clock, no randomness and no I/O of its own.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod version;
pub mod wire;

mod config;
mod identity;
mod key;
mod reader;
mod time;

pub use config::Limits;
pub use identity::{ClusterId, Generation, NodeId};
pub use key::{Key, KeyError, KeyPart, Token};
pub use reader::DecodeError;
pub use time::WallTime;
