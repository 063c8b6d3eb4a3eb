//! The promises of the ring, over all small clusters and some large ones.

mod clusters;
mod exhaustive;
mod histories;
mod large;
mod limits;
mod lookup;
mod oracle;
mod snapshots;
mod tokens;

use super::*;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

pub(super) use clusters::{Cluster, node};
pub(super) use oracle::{groups, least_moves};

/// A ring of equal partitions.
fn config(partitions: u32, replicas: u8) -> RingConfig {
    RingConfig {
        strategy: Strategy::EqualPartitions { partitions },
        replicas,
    }
}

fn owners(ring: &Ring, partition: Partition) -> Vec<NodeId> {
    ring.preference(partition)
        .primaries(ring.replicas())
        .map(|member| member.id)
        .collect()
}

/// How many partitions each member holds, and for how many it is first.
fn load(ring: &Ring) -> BTreeMap<NodeId, (u32, u32)> {
    let mut load: BTreeMap<_, _> = ring
        .members()
        .iter()
        .map(|member| (member.id, (0, 0)))
        .collect();
    for partition in ring.partitions() {
        for (position, owner) in owners(ring, partition).into_iter().enumerate() {
            let (held, first) = load.get_mut(&owner).expect("owners are members");
            *held += 1;
            *first += u32::from(position == 0);
        }
    }
    load
}

/// Every list names everybody once, distinct zones first, then distinct hosts, at every length.
fn assert_lists_are_in_order_of_duty(ring: &Ring) {
    let zones: BTreeSet<_> = ring.members().iter().map(|it| &it.zone).collect();
    let hosts: BTreeSet<_> = ring
        .members()
        .iter()
        .map(|it| (&it.zone, &it.host))
        .collect();
    for partition in ring.partitions() {
        let list: Vec<&Member> = ring.preference(partition).iter().collect();
        let (mut met, mut met_zones, mut met_hosts) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (before, member) in list.iter().enumerate() {
            assert!(
                met.insert(member.id),
                "{partition} names {} twice",
                member.id
            );
            met_zones.insert(&member.zone);
            met_hosts.insert((&member.zone, &member.host));
            assert_eq!(
                met_zones.len(),
                zones.len().min(before + 1),
                "zones of {partition}"
            );
            assert_eq!(
                met_hosts.len(),
                hosts.len().min(before + 1),
                "hosts of {partition}"
            );
        }
        assert_eq!(
            list.len(),
            ring.members().len(),
            "{partition} leaves somebody out"
        );
        let walked = preference::whole_list(ring, partition);
        assert!(
            list.iter()
                .map(|it| it.id)
                .eq(walked.iter().map(|&seat| ring.seated(seat).id)),
            "what is at hand for {partition} is not what a walk finds",
        );
    }
}

/// Every member holds its share, and is first for its part of that.
fn assert_balanced(ring: &Ring) {
    let spread = Spread::new(ring.config.replicas, &ring.homes);
    let partitions = ring.partitions().len() as u32;
    let shares = Shares::new(&ring.members, &ring.homes, spread, partitions).rounded();
    for ((id, (held, first)), share) in load(ring).into_iter().zip(shares) {
        assert!(
            (share.floor..=share.ceil).contains(&held),
            "node {id} holds {held} of a share of {share:?}"
        );
        let width = spread.width as u32;
        assert!(
            (held / width..=held.div_ceil(width)).contains(&first),
            "node {id} is first for {first} of its {held}"
        );
    }
}

fn assert_sound(ring: &Ring) {
    assert_lists_are_in_order_of_duty(ring);
    assert_balanced(ring);
}
