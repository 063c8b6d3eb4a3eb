//! What a node begins its part with.

use alloc::boxed::Box;
use core::time::Duration;

use super::Watching;
use crate::ClusterId;
use crate::ring::Member;
use crate::version::Boot;

/// What a node is told about itself at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of which cluster it is, or wants to be.
    pub cluster: ClusterId,
    /// Which node it is and what it wants to be; once it is a member, the history decides.
    pub member: Member,
    /// Drawn from good randomness at each start.
    pub boot: Boot,
    /// Where it is reached, in the driver's words.
    pub address: Box<str>,
    /// How many seeds the driver knows: addresses of ordinary nodes.
    pub seeds: u16,
    /// The administrator says that the store was restored from an older copy and that the node it
    /// was taken from is gone.
    pub is_restored: bool,
    /// How often a digest goes to one random peer.
    pub gossip_every: Duration,
    /// How often boots are retired that nobody mints under any more.
    pub retire_every: Duration,
    /// How closely neighbours watch each other.
    pub watching: Watching,
}

impl Config {
    /// With the usual times, no seeds and no address.
    #[must_use]
    pub fn new(cluster: ClusterId, member: Member, boot: Boot) -> Self {
        Self {
            cluster,
            member,
            boot,
            address: "".into(),
            seeds: 0,
            is_restored: false,
            gossip_every: Duration::from_secs(1),
            retire_every: Duration::from_secs(7 * 24 * 60 * 60),
            watching: Watching::default(),
        }
    }
}

/// Why a node cannot take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// What it says of itself cannot be written down.
    #[error("a node's weight must not be 0, and its labels and address at most 255 bytes long")]
    Unsound,
    /// A cluster cannot begin like this.
    #[error(
        "a cluster's birth needs this node among its members, in the order of their ids, \
         and a ring and a bucket that can be"
    )]
    Birth,
}
