//! As what a node starts.

use alloc::boxed::Box;
use alloc::sync::Arc;

use bytes::Bytes;

use super::{Config, ConfigError};
use crate::NodeId;
use crate::membership::{self, Birth, Membership, SavedError, Watching};
use crate::ring::{Member, Ring};
use crate::rng::Seed;
use crate::store::{Address, ReadOutcome, Space};
use crate::version::Boot;
use crate::{Buckets, ClusterId, WallTime};

/// As what a node starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// Which node it is and what it wants to be; once it is a member, the history decides.
    pub member: Member,
    /// Where it is reached, in the driver's words.
    pub address: Box<str>,
    /// How many seeds the driver knows.
    pub seeds: u16,
    /// The administrator says that the store was restored from an older copy, or is empty, and that
    /// the node that had this name is gone.
    pub is_restored: bool,
    /// What it knows of its cluster when its store has nothing about it.
    pub known: Known,
    /// What was in its store at [`Start::SPACE`] and [`Start::place`].
    pub saved: Option<Bytes>,
}

/// What a node had written down about its cluster could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what the store has about the cluster cannot be read: check the disk, restore it from a copy, \
     or remove the node and let it join anew with an empty store"
)]
pub struct ReadFailed;

/// What a node knows of its cluster when it starts.
#[derive(Clone, Debug)]
pub enum Known {
    /// Nothing: it asks its seeds.
    Nothing,
    /// That the cluster begins, with this node among its members.
    Birth(Arc<Birth>),
}

impl Start {
    /// The space in which a node writes down what it knows of its cluster.
    pub const SPACE: Space = Space::Meta;

    /// Where in it.
    #[must_use]
    pub fn place() -> Address {
        Address {
            position: 0,
            name: Bytes::from_static(b"membership"),
        }
    }

    /// One of the members of a cluster that begins with that ring and these buckets.
    ///
    /// # Panics
    ///
    /// If the ring does not have it.
    #[must_use]
    pub fn founder(cluster: ClusterId, ring: &Ring, buckets: Buckets, node: NodeId) -> Self {
        let member = ring.member(node).expect("a founder is a member");
        let birth = Birth {
            cluster,
            ring: ring.config(),
            members: ring.members().iter().cloned().map(Arc::new).collect(),
            buckets,
            admits_newcomers: false,
            at: WallTime::ZERO,
        };
        Self {
            member: member.clone(),
            address: "".into(),
            seeds: 0,
            is_restored: false,
            known: Known::Birth(Arc::new(birth)),
            saved: None,
        }
    }

    /// The same, but with what was in the node's store, if anything was. A store without it is new, or
    /// was emptied: whoever bore this node's name before is gone.
    pub fn with_saved(self, saved: ReadOutcome) -> Result<Self, ReadFailed> {
        match saved {
            ReadOutcome::Found(bytes) => Ok(Self {
                saved: Some(bytes),
                ..self
            }),
            ReadOutcome::Absent => Ok(Self {
                is_restored: true,
                ..self
            }),
            ReadOutcome::Corrupt | ReadOutcome::Failed => Err(ReadFailed),
        }
    }

    pub(super) fn membership(
        self,
        config: &Config,
        boot: Boot,
        seed: Seed,
    ) -> Result<Membership, ConfigError> {
        let every = config.timing.gossip_every;
        if self.member.id != config.node {
            return Err(ConfigError::OtherMember(self.member.id));
        }
        let with = membership::Config {
            address: self.address,
            seeds: self.seeds,
            is_restored: self.is_restored,
            gossip_every: every,
            retire_every: config.timing.retire_every,
            watching: Watching::every(every),
            ..membership::Config::new(config.cluster, self.member, boot)
        };
        if let Some(saved) = self.saved {
            match Membership::restart(with.clone(), saved, seed) {
                // It was given another's store, and the administrator says so.
                Err(SavedError::OtherNode(_)) if with.is_restored => {}
                started => return Ok(started?),
            }
        }
        Ok(match self.known {
            Known::Nothing => Membership::newcomer(with, seed)?,
            Known::Birth(birth) => Membership::birth(with, birth, seed)?,
        })
    }
}
