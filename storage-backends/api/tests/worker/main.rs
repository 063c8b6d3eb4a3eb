//! What a worker promises, on an engine that does what the test tells it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod flushes;
mod order;
mod stage;
