//! Real processes, real clients, and what the world does to them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../processes/mod.rs"]
mod processes;

mod crowd;
#[cfg(target_os = "linux")]
mod namespaces;
mod proxy;
mod strangers;
mod surge;
