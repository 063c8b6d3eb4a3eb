//! Where keys live: tokens, partitions, and who is on duty for each.
//!
//! ```text
//!            token                     partition      preference list
//!   key --- MD5 ---> 0 .. 2^128 - 1 --- range --->  | n4  n9  n2 | n7  n1  n5  ...
//!                                                     primaries    fallbacks
//! ```
//!
//! The ring of tokens is cut into partitions, and every partition has a *preference list* of all
//! members: distinct zones first, then distinct hosts, then the remaining nodes. The first N of it
//! are the partition's owners, its *primaries*. How the ring is cut and who comes first is the
//! [`Strategy`], fixed at the cluster's birth.
//!
//! A ring is never changed. A change of membership makes the next ring from the one before it; each
//! is meant to be shared, not copied.
//!
//! What a ring promises:
//! - It is a pure function of the rings before it: the same births and changes give equal rings
//!   everywhere.
//! - Every list names every member once. Its first `n` are in `n` zones or in all there are, on
//!   `n` hosts or on all there are, for every `n`.
//! - With an assignment ([`Strategy::EqualPartitions`]) every member holds its weighted share of
//!   all slots, rounded down or up, where a share is what spread over zones and hosts leaves it;
//!   is first for its part of them; and a change moves the fewest copies that can lead there.
//! - Finding a key's list allocates nothing.
//!
//! What it leaves to others: agreeing on a membership, carrying out the moves, and who of a list is
//! alive.
//!
//! ```
//! use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
//! use dynamo_proto::{Key, Limits, NodeId};
//!
//! let config = RingConfig { strategy: Strategy::EqualPartitions { partitions: 64 }, replicas: 3 };
//! let node = |id: u64| Member::new(NodeId(id), ["a", "b"][id as usize % 2], format!("host-{id}"));
//! let ring = Ring::birth(config, (1..=5).map(node).collect())?;
//!
//! let key = Key::new("default", "carts", "alice", &Limits::default())?;
//! let list = ring.lookup(key.token());
//! assert_eq!(list.primaries(3).count(), 3);
//! assert_eq!(list.iter().count(), 5);
//! // Two zones, so the first two are not in the same one.
//! let zones: Vec<_> = list.iter().map(|member| &member.zone).collect();
//! assert_ne!(zones[0], zones[1]);
//!
//! // A sixth node takes its share of 64 partitions of 3 copies, and nothing else moves.
//! let next = ring.change((1..=6).map(node).collect())?;
//! assert_eq!(ring.moves(&next).count(), 64 * 3 / 6);
//! assert!(ring.moves(&next).all(|it| it.to == Some(NodeId(6))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assign;
mod chain;
mod draft;
mod error;
mod lead;
mod member;
mod moves;
mod preference;
mod range;
mod rebalance;
mod room;
mod shares;
mod snapshot;
mod spread;
mod strategy;
mod tokens;
mod walk;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;
use xxhash_rust::xxh3::Xxh3;

use self::draft::{Before, Draft, GONE};
use self::member::{Homes, Seat};
use self::shares::Shares;
use self::spread::Spread;
use self::tokens::TokenRing;
use crate::identity::NodeId;
use crate::key::Token;

pub use self::error::RingError;
pub use self::member::Member;
pub use self::moves::Move;
pub use self::preference::{Fallbacks, OnDuty, PreferenceList, Primaries};
pub use self::range::{Partition, TokenRange};
pub(crate) use self::range::{portion, portion_start};
pub use self::snapshot::RingSnapshot;
pub use self::strategy::{
    MAX_LABEL_BYTES, MAX_MEMBERS, MAX_REPLICAS, MAX_SLOTS, RingConfig, Strategy,
};

/// How many fallbacks of each list are kept at hand. As many as usual primaries: all of them can
/// fail before a list has to be made.
const FALLBACKS_LISTED: u32 = 3;

/// Partitions and their preference lists at one membership.
///
/// Stored and sent as a [`RingSnapshot`].
#[derive(PartialEq, Eq, Deserialize)]
#[serde(try_from = "RingSnapshot")]
pub struct Ring {
    config: RingConfig,
    members: Vec<Member>,
    homes: Homes,
    cut: Cut,
    /// Owners of a partition.
    replicas: usize,
    /// Members of each list that `lists` holds.
    listed: usize,
    lists: Vec<Seat>,
}

impl Ring {
    /// The first ring of a cluster.
    pub fn birth(config: RingConfig, members: Vec<Member>) -> Result<Self, RingError> {
        config.check()?;
        let members = member::seated(members)?;
        let homes = Homes::of(&members);
        match config.strategy {
            Strategy::RandomTokens { tokens_per_node } => {
                let tokens =
                    TokenRing::new(&members, &homes, tokens_per_node, config.most_lists())?;
                Ok(Self::walked(
                    config,
                    members,
                    homes,
                    Cut::AtTokens { tokens },
                ))
            }
            Strategy::RandomTokensEqualPartitions {
                tokens_per_node,
                partitions,
            } => {
                let tokens =
                    TokenRing::new(&members, &homes, tokens_per_node, config.most_lists())?;
                Ok(Self::walked(
                    config,
                    members,
                    homes,
                    Cut::ByTokens { tokens, partitions },
                ))
            }
            Strategy::EqualPartitions { partitions } => {
                let spread = Spread::new(config.replicas, &homes);
                let shares = Shares::new(&members, &homes, spread, partitions);
                let rows = assign::from_scratch(&homes, spread, &shares, partitions);
                let before = Before {
                    rows,
                    width: spread.width,
                };
                let shares = shares.rounded();
                let draft = Draft::new(&homes, spread, &shares, &before, partitions);
                let rows = assign::mingled(draft);
                Ok(Self::assigned(
                    config,
                    members,
                    homes,
                    spread.width,
                    partitions,
                    &rows,
                ))
            }
        }
    }

    /// The next ring, of these members: joins, departures, new weights and new labels, one or many.
    pub fn change(&self, members: Vec<Member>) -> Result<Self, RingError> {
        let Cut::Assigned { partitions } = self.cut else {
            return Self::birth(self.config, members);
        };
        let members = member::seated(members)?;
        let homes = Homes::of(&members);
        let spread = Spread::new(self.config.replicas, &homes);
        let shares = Shares::new(&members, &homes, spread, partitions).rounded();
        let before = Before {
            rows: self.assignment_among(&members),
            width: self.replicas,
        };
        let draft = Draft::new(&homes, spread, &shares, &before, partitions);
        let rows = rebalance::settle(draft);
        Ok(Self::assigned(
            self.config,
            members,
            homes,
            spread.width,
            partitions,
            &rows,
        ))
    }

    /// As fixed at the cluster's birth.
    #[must_use]
    pub fn config(&self) -> RingConfig {
        self.config
    }

    /// Who is in the ring, in the order of their ids.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of this identity.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members
            .binary_search_by_key(&id, |member| member.id)
            .ok()
            .map(|at| &self.members[at])
    }

    /// The machine that a member stands on, as a number: the same for all that share it.
    #[must_use]
    pub(crate) fn host(&self, id: NodeId) -> Option<u16> {
        let seat = self.members.binary_search_by_key(&id, |member| member.id);
        seat.ok().map(|seat| self.homes.at(seat as Seat).host)
    }

    /// How many owners each partition has: the configured replicas, or all members where they are
    /// fewer.
    #[must_use]
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// How many members of each preference list are at hand without walking the ring.
    #[inline]
    #[must_use]
    pub fn listed(&self) -> usize {
        self.listed
    }

    /// All partitions, clockwise.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = Partition> + use<> {
        let partitions = match &self.cut {
            Cut::Assigned { partitions } | Cut::ByTokens { partitions, .. } => *partitions,
            Cut::AtTokens { tokens } => tokens.len() as u32, // fits: at most MAX_SLOTS
        };
        (0..partitions).map(Partition)
    }

    /// The partition that a token belongs to.
    #[inline]
    #[must_use]
    pub fn partition(&self, token: Token) -> Partition {
        match &self.cut {
            Cut::Assigned { partitions } | Cut::ByTokens { partitions, .. } => {
                range::equal_partition(token, *partitions)
            }
            Cut::AtTokens { tokens } => Partition(tokens.at_or_before(token) as u32),
        }
    }

    /// The tokens that belong to a partition of this ring.
    ///
    /// # Panics
    ///
    /// If the partition is not one of [`partitions`](Self::partitions).
    #[must_use]
    pub fn range(&self, partition: Partition) -> TokenRange {
        assert!(
            partition.index() < self.partitions().len(),
            "no {partition} in this ring"
        );
        match &self.cut {
            Cut::Assigned { partitions } | Cut::ByTokens { partitions, .. } => {
                range::equal_range(partition, *partitions)
            }
            Cut::AtTokens { tokens } => {
                let next = tokens.token((partition.index() + 1) % tokens.len());
                TokenRange {
                    first: tokens.token(partition.index()),
                    last: Token(next.0.wrapping_sub(1)),
                }
            }
        }
    }

    /// Who is on duty for a partition of this ring.
    ///
    /// # Panics
    ///
    /// When read, if the partition is not one of [`partitions`](Self::partitions).
    #[inline]
    #[must_use]
    pub fn preference(&self, partition: Partition) -> PreferenceList<'_> {
        PreferenceList::new(self, partition)
    }

    /// Who is on duty for a token: the way from a key to its nodes.
    #[inline]
    #[must_use]
    pub fn lookup(&self, token: Token) -> PreferenceList<'_> {
        self.preference(self.partition(token))
    }

    /// Bytes that the ring keeps on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let labels: usize = self
            .members
            .iter()
            .map(|member| member.zone.len() + member.host.len())
            .sum();
        let tokens = match &self.cut {
            Cut::Assigned { .. } => 0,
            Cut::AtTokens { tokens } | Cut::ByTokens { tokens, .. } => tokens.heap_bytes(),
        };
        self.members.capacity() * size_of::<Member>()
            + labels
            + self.homes.heap_bytes()
            + tokens
            + self.lists.capacity() * size_of::<Seat>()
    }

    fn assigned(
        config: RingConfig,
        members: Vec<Member>,
        homes: Homes,
        width: usize,
        partitions: u32,
        rows: &[Seat],
    ) -> Self {
        let starts: Vec<u32> = (0..partitions)
            .map(|partition| partition * width as u32)
            .collect();
        Self::listing(
            config,
            members,
            homes,
            Cut::Assigned { partitions },
            rows,
            &starts,
        )
    }

    fn walked(config: RingConfig, members: Vec<Member>, homes: Homes, cut: Cut) -> Self {
        let (owners, starts): (Vec<Seat>, Vec<u32>) = match &cut {
            Cut::Assigned { .. } => (Vec::new(), Vec::new()),
            Cut::AtTokens { tokens } => {
                (tokens.owners().to_vec(), (0..tokens.len() as u32).collect())
            }
            Cut::ByTokens { tokens, partitions } => {
                let start = |partition| start_of_walk(tokens, Partition(partition), *partitions);
                (
                    tokens.owners().to_vec(),
                    (0..*partitions).map(start).collect(),
                )
            }
        };
        Self::listing(config, members, homes, cut, &owners, &starts)
    }

    fn listing(
        config: RingConfig,
        members: Vec<Member>,
        homes: Homes,
        cut: Cut,
        circle: &[Seat],
        starts: &[u32],
    ) -> Self {
        let replicas = usize::from(config.replicas).min(members.len());
        let listed = (replicas + FALLBACKS_LISTED as usize).min(members.len());
        let lists = walk::lists(circle, starts, &homes, listed);
        Self {
            config,
            members,
            homes,
            cut,
            replicas,
            listed,
            lists,
        }
    }

    #[inline]
    fn list(&self, partition: Partition) -> &[Seat] {
        &self.lists[partition.index() * self.listed..][..self.listed]
    }

    #[inline]
    fn seated(&self, seat: Seat) -> &Member {
        &self.members[usize::from(seat)]
    }

    fn homes(&self) -> &Homes {
        &self.homes
    }

    /// The owners met on a walk once around the ring.
    fn walk(&self, partition: Partition) -> impl Iterator<Item = Seat> {
        let (assigned, tokens) = match &self.cut {
            Cut::Assigned { partitions } => (*partitions, None),
            Cut::AtTokens { tokens } => (0, Some((tokens, partition.0))),
            Cut::ByTokens { tokens, partitions } => (
                0,
                Some((tokens, start_of_walk(tokens, partition, *partitions))),
            ),
        };
        let rows = (partition.0.min(assigned)..assigned).chain(0..partition.0.min(assigned));
        let rows = rows.flat_map(|at| self.list(Partition(at))[..self.replicas].iter().copied());
        let owners = tokens.into_iter().flat_map(|(tokens, start)| {
            let (before, after) = tokens.owners().split_at(start as usize);
            after.iter().chain(before).copied()
        });
        rows.chain(owners)
    }

    /// A number that equal rings share, and others do not but by chance.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut sum = Xxh3::new();
        let (strategy, tokens, partitions) = match self.config.strategy {
            Strategy::RandomTokens { tokens_per_node } => (1_u8, tokens_per_node, 0),
            Strategy::RandomTokensEqualPartitions {
                tokens_per_node,
                partitions,
            } => (2, tokens_per_node, partitions),
            Strategy::EqualPartitions { partitions } => (3, 0, partitions),
        };
        sum.update(&[strategy, self.config.replicas]);
        sum.update(&tokens.to_be_bytes());
        sum.update(&partitions.to_be_bytes());
        for member in &self.members {
            sum.update(&member.id.0.to_be_bytes());
            for label in [&member.zone, &member.host] {
                sum.update(&[label.len() as u8]); // at most MAX_LABEL_BYTES
                sum.update(label.as_bytes());
            }
            sum.update(&member.weight.to_be_bytes());
        }
        if let Cut::Assigned { .. } = self.cut {
            let assignment = self.assignment();
            assignment
                .iter()
                .for_each(|seat| sum.update(&seat.to_be_bytes()));
        }
        sum.digest()
    }

    /// The owners of every partition in turn.
    fn assignment(&self) -> Vec<Seat> {
        self.partitions()
            .flat_map(|it| &self.list(it)[..self.replicas])
            .copied()
            .collect()
    }

    /// The same, as seats among these members.
    fn assignment_among(&self, members: &[Member]) -> Vec<Seat> {
        let seats: Vec<Seat> = self
            .members
            .iter()
            .map(|old| {
                members
                    .binary_search_by_key(&old.id, |member| member.id)
                    .map_or(GONE, |seat| seat as Seat)
            })
            .collect();
        self.assignment()
            .into_iter()
            .map(|seat| seats[usize::from(seat)])
            .collect()
    }
}

/// Where one partition ends and the next begins.
#[derive(Debug, PartialEq, Eq)]
enum Cut {
    Assigned { partitions: u32 },
    AtTokens { tokens: TokenRing },
    ByTokens { tokens: TokenRing, partitions: u32 },
}

/// A partition belongs to the tokens that follow its end.
fn start_of_walk(tokens: &TokenRing, partition: Partition, partitions: u32) -> u32 {
    tokens.after(range::equal_range(partition, partitions).last) as u32
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("config", &self.config)
            .field("members", &self.members.len())
            .field("partitions", &self.partitions().len())
            .finish_non_exhaustive()
    }
}
