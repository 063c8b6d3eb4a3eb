//! Placement: whatever happens to a membership, every ring keeps what rings promise.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Result, Unstructured};
use dynamo_proto::ring::{Member, Partition, Ring, RingConfig, RingSnapshot, Strategy};
use dynamo_proto::{NodeId, Token};

const NODES: u64 = 12;
const ZONES: [&str; 4] = ["a", "b", "c", "d"];
const HOSTS: u64 = 5;
const MOST_PARTITIONS: u32 = 64;
const MOST_TOKENS: u32 = 4;
const CHANGES: usize = 12;

/// The birth of a ring and changes of its membership: nodes join, leave, and get other weights and
/// labels, one or a few at a time.
///
/// # Panics
///
/// If a ring breaks a promise about spread, balance or movement, if the same changes give another
/// ring, or if a ring is not what its snapshot says.
pub fn placement(bytes: &[u8]) {
    let _ = explore(&mut Unstructured::new(bytes)); // bytes that end early make a short history
}

fn explore(bytes: &mut Unstructured<'_>) -> Result<()> {
    let config = config(bytes)?;
    let site = Site {
        zones: bytes.int_in_range(1..=ZONES.len())?,
        shares_hosts: bytes.arbitrary()?,
    };
    let mut members = BTreeMap::new();
    for id in 0..bytes.int_in_range(1..=NODES)? {
        members.insert(id, site.member(id, bytes)?);
    }
    let mut ring = birth(config, &members);
    check(&ring, site);
    for _ in 0..CHANGES {
        if bytes.is_empty() {
            break;
        }
        site.change(&mut members, bytes)?;
        let list: Vec<Member> = members.values().cloned().collect();
        let next = ring.change(list.clone()).expect("a sound membership");
        let again = ring.change(list.into_iter().rev().collect());
        assert_eq!(again.as_ref(), Ok(&next), "a ring follows from the last");
        check(&next, site);
        check_moves(&ring, &next, site);
        ring = next;
    }
    bend_snapshot(&ring, site, bytes)
}

/// Where the nodes of a run stand.
#[derive(Clone, Copy)]
struct Site {
    zones: usize,
    shares_hosts: bool,
}

impl Site {
    /// Whether spreading leaves every node free to hold what its weight asks for.
    fn is_free(self) -> bool {
        self.zones == 1 && !self.shares_hosts
    }

    fn member(self, id: u64, bytes: &mut Unstructured<'_>) -> Result<Member> {
        let zone = *bytes.choose(&ZONES[..self.zones])?;
        let host = if self.shares_hosts {
            bytes.int_in_range(1..=HOSTS)?
        } else {
            id
        };
        Ok(Member {
            weight: *bytes.choose(&[1, 1, 1, 2, 3, 7, 20])?,
            ..Member::new(NodeId(id), zone, format!("host-{host}"))
        })
    }

    fn change(
        self,
        members: &mut BTreeMap<u64, Member>,
        bytes: &mut Unstructured<'_>,
    ) -> Result<()> {
        for _ in 0..bytes.int_in_range(1..=3_u8)? {
            let id = bytes.int_in_range(0..=NODES - 1)?;
            let leaves = members.contains_key(&id) && members.len() > 1 && bytes.arbitrary()?;
            if leaves {
                members.remove(&id);
            } else {
                members.insert(id, self.member(id, bytes)?);
            }
        }
        Ok(())
    }
}

fn config(bytes: &mut Unstructured<'_>) -> Result<RingConfig> {
    let kind = bytes.int_in_range(0..=3_u8)?;
    let partitions = bytes.int_in_range(1..=MOST_PARTITIONS)?;
    let mut tokens = || bytes.int_in_range(1..=MOST_TOKENS);
    let strategy = match kind {
        0 => Strategy::RandomTokens {
            tokens_per_node: tokens()?,
        },
        1 => Strategy::RandomTokensEqualPartitions {
            tokens_per_node: tokens()?,
            partitions,
        },
        _ => Strategy::EqualPartitions { partitions },
    };
    let replicas = bytes.int_in_range(1..=5)?;
    Ok(RingConfig { strategy, replicas })
}

fn birth(config: RingConfig, members: &BTreeMap<u64, Member>) -> Ring {
    let list = members.values().cloned();
    let ring = Ring::birth(config, list.clone().collect()).expect("a sound membership");
    let again = Ring::birth(config, list.rev().collect());
    assert_eq!(again.as_ref(), Ok(&ring), "the order of members is nothing");
    ring
}

fn check(ring: &Ring, site: Site) {
    check_ranges(ring);
    for partition in ring.partitions() {
        check_list(ring, partition);
    }
    if let Strategy::EqualPartitions { partitions } = ring.config().strategy
        && site.is_free()
    {
        let held = held(ring);
        for (id, (least, most)) in shares(ring, partitions) {
            let held = held.get(&id).copied().unwrap_or(0);
            assert!(
                (least..=most).contains(&held),
                "{id} holds {held}, not {least} to {most}: {:#?}",
                ring.members()
            );
        }
    }
    let again = Ring::try_from(RingSnapshot::from(ring));
    assert_eq!(again.as_ref(), Ok(ring));
}

/// Partitions follow each other without gap or overlap, once around the ring.
fn check_ranges(ring: &Ring) {
    let ranges: Vec<_> = ring.partitions().map(|it| ring.range(it)).collect();
    for (at, (range, partition)) in ranges.iter().zip(ring.partitions()).enumerate() {
        let next = ranges[(at + 1) % ranges.len()];
        assert_eq!(next.first, Token(range.last.0.wrapping_add(1)));
        for token in [range.first, range.last] {
            assert!(range.contains(token));
            assert_eq!(ring.lookup(token).partition(), partition);
        }
    }
}

/// Every member once; of every length in as many zones, and on as many hosts, as there are.
fn check_list(ring: &Ring, partition: Partition) {
    let list = ring.preference(partition);
    let (zones, hosts) = homes(ring.members());
    assert_eq!(list.iter().len(), ring.members().len());
    let met: Vec<&Member> = list.iter().collect();
    let ids: BTreeSet<NodeId> = met.iter().map(|member| member.id).collect();
    assert_eq!(ids.len(), ring.members().len());
    assert_eq!(met.len(), ids.len());
    for n in 1..=met.len() {
        let first = homes(met[..n].iter().copied());
        assert_eq!(first, (zones.min(n), hosts.min(n)), "{n} of {list:?}");
        assert!(list.is_primary(met[n - 1].id, n));
        assert!(!list.is_primary(met[n - 1].id, n - 1));
    }
}

/// How many zones and hosts they have between them.
fn homes<'a>(members: impl IntoIterator<Item = &'a Member>) -> (usize, usize) {
    let hosts: BTreeSet<_> = members.into_iter().map(|it| (&it.zone, &it.host)).collect();
    let zones: BTreeSet<_> = hosts.iter().map(|(zone, _)| zone).collect();
    (zones.len(), hosts.len())
}

fn held(ring: &Ring) -> BTreeMap<NodeId, u64> {
    let mut held = BTreeMap::new();
    for partition in ring.partitions() {
        for member in ring.preference(partition).primaries(ring.replicas()) {
            *held.entry(member.id).or_default() += 1;
        }
    }
    held
}

/// The weighted share of every member, rounded down and up, where it binds nothing but that nobody
/// holds a partition twice: who would hold more than all partitions holds all of them, and the
/// others share what is left.
fn shares(ring: &Ring, partitions: u32) -> BTreeMap<NodeId, (u64, u64)> {
    let partitions = u64::from(partitions);
    let (mut shares, mut slots) = (BTreeMap::new(), partitions * ring.replicas() as u64);
    let mut rest: Vec<(NodeId, u64)> = ring
        .members()
        .iter()
        .map(|member| (member.id, member.weight.into()))
        .collect();
    loop {
        let all: u64 = rest.iter().map(|(_, weight)| weight).sum();
        let (full, others): (Vec<_>, Vec<_>) = rest
            .iter()
            .partition(|(_, weight)| slots * weight > partitions * all);
        if full.is_empty() {
            for (id, weight) in others {
                let share = slots * weight;
                shares.insert(id, (share / all, share.div_ceil(all)));
            }
            return shares;
        }
        for (id, _) in full {
            shares.insert(id, (partitions, partitions));
            slots -= partitions;
        }
        rest = others;
    }
}

/// What moves is what differs, and not much more than must.
fn check_moves(old: &Ring, new: &Ring, site: Site) {
    let mut came = 0;
    for it in old.moves(new) {
        assert_ne!(it.from, it.to);
        assert!(!it.range.wraps());
        for token in [it.range.first, it.range.last] {
            let (before, after) = (old.lookup(token), new.lookup(token));
            let owned = |id| before.is_primary(id, old.replicas());
            let owns = |id| after.is_primary(id, new.replicas());
            assert!(it.from.is_none_or(|id| owned(id) && !owns(id)));
            assert!(it.to.is_none_or(|id| owns(id) && !owned(id)));
        }
        came += u64::from(it.to.is_some());
    }
    if let Strategy::EqualPartitions { partitions } = new.config().strategy
        && site.is_free()
        && old.replicas() == new.replicas()
        && [old, new].iter().all(|ring| has_room(ring, partitions))
    {
        let least = least_moves(old, new, partitions);
        let most = least + (least / 10).max(new.replicas() as u64);
        assert!(came <= most, "{came} copies move, {least} must");
    }
}

/// Whether nobody must hold every partition: then counting tells how little can move. (What can
/// where somebody must, the ring's own tests find out at length.)
fn has_room(ring: &Ring, partitions: u32) -> bool {
    let shares = shares(ring, partitions);
    shares.values().all(|(_, most)| *most < partitions.into())
}

/// How many copies must come to somebody new: what members lack of their shares, or what others
/// have beyond theirs.
fn least_moves(old: &Ring, new: &Ring, partitions: u32) -> u64 {
    let (held, shares) = (held(old), shares(new, partitions));
    let lacking = shares.iter().map(|(id, (least, _))| {
        let held = held.get(id).copied().unwrap_or(0);
        least.saturating_sub(held)
    });
    let beyond = held.iter().map(|(id, held)| {
        let most = shares.get(id).map_or(0, |(_, most)| *most);
        held.saturating_sub(most)
    });
    let slots = |ring: &Ring| u64::from(partitions) * ring.replicas() as u64;
    let beyond = beyond.sum::<u64>() + slots(new);
    lacking.sum::<u64>().max(beyond.saturating_sub(slots(old)))
}

/// A snapshot that says something else is refused, or is a ring that keeps all promises.
fn bend_snapshot(ring: &Ring, site: Site, bytes: &mut Unstructured<'_>) -> Result<()> {
    let mut snapshot = RingSnapshot::from(ring);
    for _ in 0..bytes.int_in_range(0..=3_u8)? {
        if snapshot.assignment.is_empty() {
            break;
        }
        let (one, other) = (
            bytes.choose_index(snapshot.assignment.len())?,
            bytes.choose_index(snapshot.assignment.len())?,
        );
        if bytes.arbitrary()? {
            snapshot.assignment.swap(one, other);
        } else {
            snapshot.assignment[one] = bytes.arbitrary()?;
        }
    }
    if let Ok(ring) = Ring::try_from(snapshot) {
        check(&ring, site);
    }
    Ok(())
}
