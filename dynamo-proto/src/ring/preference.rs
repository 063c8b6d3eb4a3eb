//! Who is on duty for a partition, in order.

use core::fmt;

use alloc::vec::{self, Vec};
use core::slice;

use super::member::{Member, Seat};
use super::spread::Duty;
use super::{Partition, Ring};
use crate::identity::NodeId;

/// Every member of a ring in the order of its duty for one partition: distinct zones first, then
/// distinct hosts, then the other nodes, for every length of the list.
///
/// A view into the ring, to be passed by value.
#[derive(Clone, Copy)]
pub struct PreferenceList<'a> {
    ring: &'a Ring,
    partition: Partition,
}

impl<'a> PreferenceList<'a> {
    #[inline]
    pub(super) fn new(ring: &'a Ring, partition: Partition) -> Self {
        Self { ring, partition }
    }

    /// Whose list this is.
    #[must_use]
    pub fn partition(self) -> Partition {
        self.partition
    }

    /// The first `n` on duty, or all members where they are fewer.
    ///
    /// Allocates nothing while `n` is at most [`Ring::listed`].
    #[inline]
    pub fn primaries(self, n: usize) -> Primaries<'a> {
        self.iter().take(n)
    }

    /// Those who stand in when primaries fail, in order.
    ///
    /// Allocates when more than [`Ring::listed`] less `n` are asked for.
    pub fn fallbacks(self, n: usize) -> Fallbacks<'a> {
        self.iter().skip(n)
    }

    /// All members in the order of their duty.
    ///
    /// The first [`Ring::listed`] are at hand. Beyond them the list is made by walking the ring,
    /// which allocates and takes time in proportion to the ring's size.
    #[inline]
    #[must_use]
    pub fn iter(self) -> OnDuty<'a> {
        OnDuty {
            ring: self.ring,
            partition: self.partition,
            near: self.ring.list(self.partition).iter(),
            far: None,
        }
    }

    /// Whether the node is among the first `n`.
    #[must_use]
    pub fn is_primary(self, node: NodeId, n: usize) -> bool {
        self.primaries(n).any(|member| member.id == node)
    }
}

impl<'a> IntoIterator for PreferenceList<'a> {
    type Item = &'a Member;
    type IntoIter = OnDuty<'a>;

    fn into_iter(self) -> OnDuty<'a> {
        self.iter()
    }
}

impl fmt::Debug for PreferenceList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.primaries(self.ring.listed()).map(|member| member.id);
        write!(f, "{}: ", self.partition)?;
        f.debug_list().entries(listed).finish()
    }
}

/// The first of a [`PreferenceList`].
pub type Primaries<'a> = core::iter::Take<OnDuty<'a>>;

/// The rest of a [`PreferenceList`].
pub type Fallbacks<'a> = core::iter::Skip<OnDuty<'a>>;

/// Iterates over a [`PreferenceList`].
#[derive(Clone)]
pub struct OnDuty<'a> {
    ring: &'a Ring,
    partition: Partition,
    near: slice::Iter<'a, Seat>,
    far: Option<vec::IntoIter<Seat>>,
}

impl<'a> Iterator for OnDuty<'a> {
    type Item = &'a Member;

    #[inline]
    fn next(&mut self) -> Option<&'a Member> {
        let seat = match self.near.next() {
            Some(&seat) => seat,
            None if self.ring.listed() == self.ring.members().len() => return None,
            None => self.far_seats().next()?,
        };
        Some(self.ring.seated(seat))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let far = match &self.far {
            Some(far) => far.len(),
            None => self.ring.members().len() - self.ring.listed(),
        };
        let left = self.near.len() + far;
        (left, Some(left))
    }
}

impl ExactSizeIterator for OnDuty<'_> {}

impl fmt::Debug for OnDuty<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on duty for {}", self.len(), self.partition)
    }
}

impl OnDuty<'_> {
    #[cold]
    fn far_seats(&mut self) -> &mut vec::IntoIter<Seat> {
        let (ring, partition) = (self.ring, self.partition);
        self.far.get_or_insert_with(|| {
            let mut seats = whole_list(ring, partition).into_iter();
            seats.by_ref().take(ring.listed()).for_each(drop);
            seats
        })
    }
}

/// Everybody in the order of duty, by walking the ring clockwise from the partition.
pub(super) fn whole_list(ring: &Ring, partition: Partition) -> Vec<Seat> {
    let homes = ring.homes();
    let mut met = alloc::vec![false; homes.members()];
    let mut order = Vec::with_capacity(homes.members());
    for seat in ring.walk(partition).chain(homes.seats()) {
        if !core::mem::replace(&mut met[usize::from(seat)], true) {
            order.push(seat);
            if order.len() == homes.members() {
                break;
            }
        }
    }
    let mut list = alloc::vec![0; order.len()];
    Duty::new(homes).fill(order.iter().copied(), &mut list);
    list
}
