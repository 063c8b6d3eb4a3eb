//! Who is in the ring, and where they stand: zones, hosts in zones, nodes on hosts.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{MAX_LABEL_BYTES, MAX_MEMBERS, RingError};
use crate::identity::NodeId;

/// A node as the ring sees it.
///
/// ```
/// use dynamo_proto::NodeId;
/// use dynamo_proto::ring::Member;
///
/// let small = Member::new(NodeId(7), "zone-a", "host-1");
/// let big = Member { weight: 4, ..Member::new(NodeId(8), "zone-a", "host-2") };
/// assert_eq!((small.weight, big.weight), (1, 4));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Which node.
    pub id: NodeId,
    /// What fails together at large: a rack, a room, a data centre.
    pub zone: Box<str>,
    /// The machine. A machine stands in one zone, so the same label in two zones is two machines.
    ///
    /// Nothing warns of a machine whose nodes are labelled with different zones, by mistake or in
    /// the midst of a relabelling: copies of the same key may then be on it twice, and count as
    /// being in two zones, though one failure takes both.
    pub host: Box<str>,
    /// How much of the data it should hold, compared to the others; never 0.
    pub weight: u32,
}

impl Member {
    /// A node of weight 1.
    #[must_use]
    pub fn new(id: NodeId, zone: impl Into<Box<str>>, host: impl Into<Box<str>>) -> Self {
        Self {
            id,
            zone: zone.into(),
            host: host.into(),
            weight: 1,
        }
    }
}

/// The members in the order of their ids, if they can make a ring.
pub(super) fn seated(mut members: Vec<Member>) -> Result<Vec<Member>, RingError> {
    if members.is_empty() {
        return Err(RingError::NoMembers);
    }
    if members.len() > MAX_MEMBERS {
        return Err(RingError::TooManyMembers {
            members: members.len(),
        });
    }
    members.sort_by_key(|member| member.id);
    if let Some(twins) = members.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(RingError::DuplicateMember(twins[0].id));
    }
    for member in &members {
        if member.weight == 0 {
            return Err(RingError::ZeroWeight(member.id));
        }
        if member.zone.len().max(member.host.len()) > MAX_LABEL_BYTES {
            return Err(RingError::LabelTooLong(member.id));
        }
    }
    members.shrink_to_fit();
    Ok(members)
}

/// A member's place in the ring's table of members.
pub(super) type Seat = u16;

/// Where one member stands, as small numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) zone: u16,
    /// Unique over all zones: a host belongs to one zone.
    pub(super) host: u16,
}

/// Where all members stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Homes {
    homes: Vec<Home>,
    zones: usize,
    hosts: usize,
}

impl Homes {
    pub(super) fn of(members: &[Member]) -> Self {
        let mut zones: Vec<&str> = members.iter().map(|member| &*member.zone).collect();
        zones.sort_unstable();
        zones.dedup();
        let mut hosts: Vec<(&str, &str)> = members
            .iter()
            .map(|member| (&*member.zone, &*member.host))
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        let homes = members
            .iter()
            .map(|member| Home {
                zone: zones.partition_point(|&zone| zone < &*member.zone) as u16,
                host: hosts.partition_point(|&host| host < (&*member.zone, &*member.host)) as u16,
            })
            .collect();
        Self {
            homes,
            zones: zones.len(),
            hosts: hosts.len(),
        }
    }

    pub(super) fn at(&self, seat: Seat) -> Home {
        self.homes[usize::from(seat)]
    }

    pub(super) fn members(&self) -> usize {
        self.homes.len()
    }

    pub(super) fn zones(&self) -> usize {
        self.zones
    }

    pub(super) fn hosts(&self) -> usize {
        self.hosts
    }

    /// Every seat, in the order of ids.
    pub(super) fn seats(&self) -> impl DoubleEndedIterator<Item = Seat> + Clone + use<> {
        0..self.homes.len() as Seat // fits: a ring has at most MAX_MEMBERS
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.homes.capacity() * size_of::<Home>()
    }
}
