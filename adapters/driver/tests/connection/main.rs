//! Connections, one at a time and joined two by two.

mod allocations;
mod bounds;
mod exchange;
mod forge;
mod handshake;
mod hostile;
mod world;
