//! The rule that a partition's owners keep: as many zones as there can be, then as many hosts,
//! then as many nodes.
//!
//! Of `width` owners, `min(width, zones)` are in zones of their own and `min(width, hosts)` on
//! hosts of their own. What may be spent on repetition is the difference, and a set that has not
//! spent more can always be completed: such sets are the independent sets of a matroid, so greedy
//! choices never paint themselves into a corner.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::member::{Home, Homes, Seat};

/// How many owners a partition has, and how many of them may share a zone or a host with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// Owners of a partition: the replicas, or all members where they are fewer.
    pub(super) width: usize,
    spare_zones: usize,
    spare_hosts: usize,
}

impl Spread {
    pub(super) fn new(replicas: u8, homes: &Homes) -> Self {
        let width = usize::from(replicas).min(homes.members());
        Self {
            width,
            spare_zones: width.saturating_sub(homes.zones()),
            spare_hosts: width.saturating_sub(homes.hosts()),
        }
    }

    /// Least and most slots that `partitions` partitions leave to one zone; no upper bound means
    /// that the bounds of what is inside it decide.
    pub(super) fn zone_bounds(self, partitions: u64) -> (u64, Option<u64>) {
        Self::bounds(self.spare_zones, partitions)
    }

    /// The same for one host.
    pub(super) fn host_bounds(self, partitions: u64) -> (u64, Option<u64>) {
        Self::bounds(self.spare_hosts, partitions)
    }

    fn bounds(spare: usize, partitions: u64) -> (u64, Option<u64>) {
        if spare == 0 {
            (0, Some(partitions))
        } else {
            (partitions, None)
        }
    }

    /// Whether these are distinct and as well spread as `width` owners can be.
    pub(super) fn is_met_by(self, owners: &[Seat], homes: &Homes) -> bool {
        owners.len() == self.width && {
            let mut room = Room::new(self, homes);
            owners.iter().all(|&owner| room.admit(owner))
        }
    }

    /// What is left of the rule when `leaver` gives up its place among these owners.
    pub(super) fn room_without<'a>(
        self,
        owners: &[Seat],
        leaver: Seat,
        homes: &'a Homes,
    ) -> Room<'a> {
        let mut room = Room::new(self, homes);
        for &owner in owners.iter().filter(|&&owner| owner != leaver) {
            room.place(owner);
        }
        room
    }
}

/// Owners chosen so far, and who may still join them.
pub(super) struct Room<'a> {
    homes: &'a Homes,
    owners: SmallVec<[(Seat, Home); 8]>,
    spare_zones: usize,
    spare_hosts: usize,
}

impl<'a> Room<'a> {
    pub(super) fn new(spread: Spread, homes: &'a Homes) -> Self {
        Self {
            homes,
            owners: SmallVec::new(),
            spare_zones: spread.spare_zones,
            spare_hosts: spread.spare_hosts,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = Seat> {
        self.owners.iter().map(|&(seat, _)| seat)
    }

    /// Whether `seat` is new here and leaves the rule within reach.
    pub(super) fn fits(&self, seat: Seat) -> bool {
        let home = self.homes.at(seat);
        self.owners.iter().all(|&(owner, other)| {
            owner != seat
                && (self.spare_zones > 0 || other.zone != home.zone)
                && (self.spare_hosts > 0 || other.host != home.host)
        })
    }

    /// Takes `seat` in if it fits.
    pub(super) fn admit(&mut self, seat: Seat) -> bool {
        let fits = self.fits(seat);
        if fits {
            self.place(seat);
        }
        fits
    }

    fn place(&mut self, seat: Seat) {
        let home = self.homes.at(seat);
        if self.owners.iter().any(|(_, other)| other.zone == home.zone) {
            self.spare_zones = self.spare_zones.saturating_sub(1);
        }
        if self.owners.iter().any(|(_, other)| other.host == home.host) {
            self.spare_hosts = self.spare_hosts.saturating_sub(1);
        }
        self.owners.push((seat, home));
    }
}

/// Puts seats in the order of duty: those that bring a new zone, then those that bring a new host,
/// then the rest, each in the order given.
pub(super) struct Duty<'a> {
    homes: &'a Homes,
    round: u32,
    zones: Vec<u32>,
    hosts: Vec<u32>,
    seats: Vec<u32>,
}

impl<'a> Duty<'a> {
    pub(super) fn new(homes: &'a Homes) -> Self {
        Self {
            homes,
            round: 0,
            zones: alloc::vec![0; homes.zones()],
            hosts: alloc::vec![0; homes.hosts()],
            seats: alloc::vec![0; homes.members()],
        }
    }

    /// Fills `list` with the first of `seats` (each named once) in the order of duty.
    pub(super) fn fill(&mut self, seats: impl Iterator<Item = Seat> + Clone, list: &mut [Seat]) {
        self.round += 1;
        let mut filled = 0;
        for rank in [Rank::Zone, Rank::Host, Rank::Node] {
            let mut unseen = match rank {
                Rank::Zone => self.homes.zones(),
                // Who brought a new zone brought a new host.
                Rank::Host => self.homes.hosts() - filled,
                Rank::Node => usize::MAX,
            };
            for seat in seats.clone() {
                if filled == list.len() {
                    return;
                }
                if unseen == 0 {
                    break;
                }
                if self.take(seat, rank) {
                    list[filled] = seat;
                    filled += 1;
                    unseen -= 1;
                }
            }
        }
        debug_assert_eq!(filled, list.len(), "fewer seats than places");
    }

    fn take(&mut self, seat: Seat, rank: Rank) -> bool {
        let home = self.homes.at(seat);
        let (zone, host) = (usize::from(home.zone), usize::from(home.host));
        let seen = match rank {
            Rank::Zone => self.zones[zone],
            Rank::Host => self.hosts[host],
            Rank::Node => self.seats[usize::from(seat)],
        };
        if seen == self.round {
            return false;
        }
        self.zones[zone] = self.round;
        self.hosts[host] = self.round;
        self.seats[usize::from(seat)] = self.round;
        true
    }
}

#[derive(Clone, Copy)]
enum Rank {
    Zone,
    Host,
    Node,
}

/// Puts one partition's owners in the order of duty, moving as few as possible.
pub(super) fn arrange(owners: &mut [Seat], homes: &Homes) {
    let mut rest: SmallVec<[Seat; 8]> = SmallVec::from_slice(owners);
    for filled in 0..owners.len() {
        let done = &owners[..filled];
        let brings = |same: fn(Home, Home) -> bool| {
            rest.iter().position(|&seat| {
                done.iter()
                    .all(|&other| !same(homes.at(seat), homes.at(other)))
            })
        };
        let next = brings(|a, b| a.zone == b.zone)
            .or_else(|| brings(|a, b| a.host == b.host))
            .unwrap_or(0);
        owners[filled] = rest.remove(next);
    }
}
