//! Clusters on loopback ports, and their clients.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod hostile;
mod requests;
mod restarts;
mod world;
