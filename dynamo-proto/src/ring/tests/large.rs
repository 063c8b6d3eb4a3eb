//! Rings of the size that people run.

use super::*;

fn fleet(ids: core::ops::Range<u64>, zones: u64) -> Vec<Member> {
    ids.map(|id| node(id, (id % zones) as usize, id as usize))
        .collect()
}

fn moved(before: &Ring, after: &Ring) -> u64 {
    before.moves(after).filter(|it| it.to.is_some()).count() as u64
}

#[test]
fn a_thousand_nodes_and_16_384_partitions_take_less_than_4_mib() {
    let equal = config(16_384, 3).strategy;
    let tokens = Strategy::RandomTokensEqualPartitions {
        tokens_per_node: 64,
        partitions: 16_384,
    };
    for strategy in [equal, tokens] {
        let config = RingConfig {
            strategy,
            replicas: 3,
        };
        let ring = Ring::birth(config, fleet(0..1000, 10)).unwrap();
        assert!(
            ring.heap_bytes() + size_of::<Ring>() < 4 << 20,
            "{} bytes",
            ring.heap_bytes()
        );
    }
}

/// A joiner needs its share and nobody needs anything else, while no zone is bound; and what a
/// leaver held needs new owners.
#[test]
fn among_a_hundred_and_a_thousand_nodes_nothing_moves_needlessly() {
    for (nodes, zones, partitions) in [(100, 1, 4096), (100, 10, 4096), (1000, 10, 16_384)] {
        let ring = Ring::birth(config(partitions, 3), fleet(0..nodes, zones)).unwrap();
        let joined = ring.change(fleet(0..nodes + 1, zones)).unwrap();
        assert_balanced(&joined);
        assert_eq!(
            moved(&ring, &joined),
            u64::from(partitions) * 3 / (nodes + 1)
        );

        let left = ring.change(fleet(1..nodes, zones)).unwrap();
        assert_balanced(&left);
        assert_eq!(moved(&ring, &left), u64::from(load(&ring)[&NodeId(0)].0));
    }
}

/// Four zones for three owners: whoever joins finds partitions without an owner in its zone
/// everywhere.
#[test]
fn where_zones_are_spare_a_newborn_ring_moves_hardly_more() {
    let ring = Ring::birth(config(4096, 3), fleet(0..100, 4)).unwrap();
    let joined = ring.change(fleet(0..101, 4)).unwrap();
    assert!(moved(&ring, &joined) <= 4096 * 3 / 101 + 3);
    let left = ring.change(fleet(1..100, 4)).unwrap();
    assert!(moved(&ring, &left) <= u64::from(load(&ring)[&NodeId(0)].0) + 3);
}

/// PITFALLS 16: with how many others a node shares partitions, and how much with any one of them.
#[test]
fn sixty_nodes_share_with_few_and_with_nobody_too_much() {
    let born = Ring::birth(config(2048, 3), fleet(0..60, 3)).unwrap();
    let mut grown = Ring::birth(config(2048, 3), fleet(0..4, 1)).unwrap();
    for nodes in 5..=60 {
        grown = grown.change(fleet(0..nodes, 1)).unwrap();
    }
    for (ring, width) in [(born, 20), (grown, 30)] {
        let mut shared: BTreeMap<NodeId, BTreeMap<NodeId, u32>> = BTreeMap::new();
        for partition in ring.partitions() {
            let owners = owners(&ring, partition);
            for &one in &owners {
                for &other in owners.iter().filter(|&&other| other != one) {
                    *shared.entry(one).or_default().entry(other).or_default() += 1;
                }
            }
        }
        let held = load(&ring);
        for (id, neighbours) in shared {
            assert!(
                neighbours.len() <= width,
                "{id} has {} neighbours",
                neighbours.len()
            );
            let most = neighbours.values().max().unwrap();
            assert!(
                most * 2 <= held[&id].0,
                "{id} shares {most} of {}",
                held[&id].0
            );
        }
    }
}

#[test]
fn weights_from_one_to_the_highest_are_exact() {
    let mut members = fleet(0..6, 1);
    members[0].weight = u32::MAX;
    members[1].weight = u32::MAX;
    let ring = Ring::birth(config(1000, 3), members.clone()).unwrap();
    // Two hold everything; four share what is left.
    let held: Vec<u32> = load(&ring).into_values().map(|(held, _)| held).collect();
    assert_eq!(held, [1000, 1000, 250, 250, 250, 250]);
    let even = ring.change(fleet(0..6, 1)).unwrap();
    assert_sound(&even);
    assert_eq!(moved(&ring, &even), 1000);

    let mut members = fleet(0..5, 1);
    members[4].weight = u32::MAX;
    members[3].weight = u32::MAX - 1;
    let ring = Ring::birth(config(1000, 1), members).unwrap();
    let held: Vec<u32> = load(&ring).into_values().map(|(held, _)| held).collect();
    assert_eq!(held.iter().sum::<u32>(), 1000);
    assert!(held[..3].iter().sum::<u32>() <= 1 && held[3].abs_diff(held[4]) <= 1);
}

#[test]
fn a_whole_zone_comes_and_goes() {
    for (nodes, partitions) in [(12, 64), (60, 1024)] {
        let all = fleet(0..nodes, 3);
        let two: Vec<Member> = all
            .iter()
            .filter(|member| &*member.zone != "zone-2")
            .cloned()
            .collect();
        let before = Ring::birth(config(partitions, 3), two.clone()).unwrap();
        let three = before.change(all).unwrap();
        let after = three.change(two).unwrap();
        for (before, next) in [(&before, &three), (&three, &after)] {
            assert_balanced(next);
            if nodes == 12 {
                assert_eq!(moved(before, next), least_moves(before, next));
            }
            // Every partition gets or loses an owner in that zone; little else may move.
            let least = u64::from(partitions);
            assert!((least..=least + least / 10).contains(&moved(before, next)));
        }
    }
}
