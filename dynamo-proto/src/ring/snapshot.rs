//! A ring as it is stored and sent, and the checked way back.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize, Serializer};

use super::lead;
use super::member::{Homes, seated};
use super::shares::Shares;
use super::spread::{Spread, arrange};
use super::{Member, Partition, Ring, RingConfig, RingError, Strategy};

/// All that a ring consists of. Where tokens decide placement the members are enough; an assignment
/// depends on the memberships before it and is written out.
///
/// Equal rings have equal snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingSnapshot {
    /// As fixed at the cluster's birth.
    pub config: RingConfig,
    /// Who is in the ring, in the order of their ids.
    pub members: Vec<Member>,
    /// For each partition its owners in the order of duty, as indices into `members`. Empty where
    /// tokens decide.
    pub assignment: Vec<u16>,
}

impl From<&Ring> for RingSnapshot {
    fn from(ring: &Ring) -> Self {
        let assignment = match ring.config.strategy {
            Strategy::EqualPartitions { .. } => ring.assignment(),
            _ => Vec::new(),
        };
        Self {
            config: ring.config,
            members: ring.members.clone(),
            assignment,
        }
    }
}

impl From<Ring> for RingSnapshot {
    fn from(ring: Ring) -> Self {
        Self::from(&ring)
    }
}

impl Serialize for Ring {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RingSnapshot::from(self).serialize(serializer)
    }
}

impl TryFrom<RingSnapshot> for Ring {
    type Error = RingError;

    /// The ring again. What is accepted keeps every promise that a ring makes about spread, balance
    /// and who is first.
    fn try_from(snapshot: RingSnapshot) -> Result<Self, RingError> {
        let RingSnapshot {
            config,
            members,
            assignment,
        } = snapshot;
        let partitions = match config.strategy {
            Strategy::EqualPartitions { partitions } => partitions,
            _ if assignment.is_empty() => return Self::birth(config, members),
            _ => {
                return Err(RingError::WrongSize {
                    expected: 0,
                    found: assignment.len(),
                });
            }
        };
        config.check()?;
        let in_order = members.is_sorted_by_key(|member| member.id);
        let members = seated(members)?;
        let homes = Homes::of(&members);
        let spread = Spread::new(config.replicas, &homes);
        let expected = partitions as usize * spread.width;
        if assignment.len() != expected {
            return Err(RingError::WrongSize {
                expected,
                found: assignment.len(),
            });
        }
        if !in_order {
            return Err(RingError::MembersOutOfOrder);
        }
        let mut held = alloc::vec![0_usize; members.len()];
        let mut led = held.clone();
        for (partition, owners) in (0..)
            .map(Partition)
            .zip(assignment.chunks_exact(spread.width))
        {
            if owners
                .iter()
                .any(|&owner| usize::from(owner) >= members.len())
            {
                return Err(RingError::UnknownMember(partition));
            }
            let mut in_order = owners.to_vec();
            arrange(&mut in_order, &homes);
            if in_order != owners || !spread.is_met_by(owners, &homes) {
                return Err(RingError::NotSpread(partition));
            }
            led[usize::from(owners[0])] += 1;
            for &owner in owners {
                held[usize::from(owner)] += 1;
            }
        }
        let shares = Shares::new(&members, &homes, spread, partitions).rounded();
        for ((member, share), &held) in members.iter().zip(shares).zip(&held) {
            if held < share.floor as usize || held > share.ceil as usize {
                return Err(RingError::Unbalanced(member.id));
            }
        }
        for ((member, held), led) in members.iter().zip(held).zip(led) {
            let (least, most) = lead::due(held, spread.width);
            if led < least || led > most {
                return Err(RingError::UnevenLead(member.id));
            }
        }
        Ok(Self::assigned(
            config,
            members,
            homes,
            spread.width,
            partitions,
            &assignment,
        ))
    }
}
