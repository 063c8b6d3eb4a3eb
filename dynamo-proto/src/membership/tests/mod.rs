#![allow(clippy::unwrap_used, reason = "a test may panic")]

extern crate std;

mod admin;
mod clusters;
mod detection;
mod histories;
mod lives;
mod world;
