//! PITFALLS 17: every small cluster, from scratch, by joins and by departures.

use super::*;

const PARTITIONS: [u32; 5] = [1, 8, 13, 16, 32];
const REPLICAS: core::ops::RangeInclusive<u8> = 1..=5;

/// Every cluster of one to four zones: with all hosts up to 8 nodes, with regular hosts up to 12.
fn clusters() -> impl Iterator<Item = Cluster> {
    (1..=12).flat_map(|nodes| {
        (1..=4).flat_map(move |zones| {
            if nodes <= 8 {
                Cluster::all(nodes, zones)
            } else {
                Cluster::regular(nodes, zones)
            }
        })
    })
}

#[test]
fn every_small_cluster_is_spread_and_balanced_from_birth() {
    for cluster in clusters() {
        for replicas in REPLICAS {
            for partitions in PARTITIONS {
                assert_sound(
                    &Ring::birth(config(partitions, replicas), cluster.members()).unwrap(),
                );
            }
        }
    }
}

#[test]
fn every_small_cluster_stays_so_while_nodes_join_and_leave() {
    for cluster in clusters() {
        let members = cluster.members();
        for replicas in REPLICAS {
            for partitions in PARTITIONS {
                let mut ring =
                    Ring::birth(config(partitions, replicas), members[..1].to_vec()).unwrap();
                for joined in 2..=members.len() {
                    ring = ring.change(members[..joined].to_vec()).unwrap();
                    assert_sound(&ring);
                }
                for left in 1..members.len() {
                    ring = ring.change(members[left..].to_vec()).unwrap();
                    assert_sound(&ring);
                }
            }
        }
    }
}

/// Where neither zones nor hosts bind, a share is slots times weight over all weights.
#[test]
fn where_zones_and_hosts_allow_every_node_holds_its_plain_share() {
    let mut unbound = 0;
    for cluster in clusters() {
        for replicas in REPLICAS {
            for weighted in [false, true] {
                let mut members = cluster.members();
                for (nth, member) in (0..).zip(&mut members).filter(|_| weighted) {
                    member.weight = 1 + nth % 3;
                }
                let weights: u32 = members.iter().map(|member| member.weight).sum();
                let [zones, hosts, nodes] = groups(&members, replicas);
                let partitions = 32;
                let slots = partitions * u32::from(replicas).min(members.len() as u32);
                let binds = [zones, hosts, nodes].into_iter().flatten().any(|group| {
                    let weight: u32 = group.members.iter().map(|&at| members[at].weight).sum();
                    slots * weight < group.least * partitions * weights
                        || slots * weight > group.most * partitions * weights
                });
                if binds {
                    continue;
                }
                unbound += 1;
                let ring = Ring::birth(config(partitions, replicas), members).unwrap();
                for (id, (held, _)) in load(&ring) {
                    let share = slots * ring.member(id).unwrap().weight;
                    assert!((share / weights..=share.div_ceil(weights)).contains(&held));
                }
            }
        }
    }
    assert!(unbound > 500, "only {unbound} clusters left free");
}

#[test]
fn no_join_and_no_departure_moves_more_than_it_must() {
    for cluster in
        (2..=7).flat_map(|nodes| (1..=4).flat_map(move |zones| Cluster::regular(nodes, zones)))
    {
        let members = cluster.members();
        for replicas in 1..=4 {
            for partitions in [1, 8, 13] {
                let few = Ring::birth(config(partitions, replicas), members[1..].to_vec()).unwrap();
                let joined = few.change(members.clone()).unwrap();
                assert_moves_least(&few, &joined);
                for left in 0..members.len() {
                    let mut rest = members.clone();
                    rest.remove(left);
                    assert_moves_least(&joined, &joined.change(rest).unwrap());
                }
            }
        }
    }
}

fn assert_moves_least(before: &Ring, after: &Ring) {
    let moved = before.moves(after).filter(|it| it.to.is_some()).count() as u64;
    assert_eq!(moved, least_moves(before, after), "{:?}", after.members());
    assert_sound(after);
}

#[test]
fn the_same_history_gives_the_same_ring() {
    for cluster in (2..=8).flat_map(|nodes| Cluster::regular(nodes, 3)) {
        let members = cluster.members();
        let mut backwards = members.clone();
        backwards.reverse();
        let ring = Ring::birth(config(32, 3), members[1..].to_vec()).unwrap();
        assert!(ring.change(members.clone()) == ring.change(backwards));
        assert!(
            ring.change(members[1..].to_vec()).unwrap() == ring,
            "no change, no move"
        );
    }
}
