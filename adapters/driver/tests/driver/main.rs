//! Whole drivers over pipes of bytes, on an invented clock.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod beside;
mod clients;
mod peers;
mod session;
mod world;
