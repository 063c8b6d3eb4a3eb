//! A distribution is the fairest one exactly if nothing can flow from a node to one that has less
//! for its weight. That is checked here with bounds found by trying every set of owners.

use super::*;

use crate::ring::tests::{Cluster, groups};

type Exact = (u128, u128);

fn sum(parts: impl Iterator<Item = Exact>) -> Exact {
    parts.fold((0, 1), |(a, b), (c, d)| {
        let (over, under) = (a * d + c * b, b * d);
        let divisor = gcd(over, under);
        (over / divisor, under / divisor)
    })
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn compare(a: Exact, b: Exact) -> Ordering {
    (a.0 * b.1).cmp(&(b.0 * a.1))
}

fn assert_fairest(members: &[Member], replicas: u8, partitions: u32) {
    let homes = Homes::of(members);
    let spread = Spread::new(replicas, &homes);
    let shares = Shares::new(members, &homes, spread, partitions);
    let exact: Vec<Exact> = shares.exact.iter().map(|it| (it.over, it.under)).collect();
    let slots = u128::from(partitions) * spread.width as u128;
    assert_eq!(
        compare(sum(exact.iter().copied()), (slots, 1)),
        Ordering::Equal
    );

    let bounds: Vec<_> = groups(members, replicas)
        .into_iter()
        .flatten()
        .map(|group| {
            let held = sum(group.members.iter().map(|&at| exact[at]));
            let bound = |owners: u32| (u128::from(owners * partitions), 1);
            let above = compare(held, bound(group.least));
            let below = compare(bound(group.most), held);
            assert!(above.is_ge() && below.is_ge(), "{members:?}: {exact:?}");
            (group.members, above.is_gt(), below.is_gt())
        })
        .collect();
    for (giver, &has) in exact.iter().enumerate() {
        for (taker, &lacks) in exact.iter().enumerate() {
            let weight = |at: usize| u128::from(members[at].weight);
            let richer = compare(
                (has.0, has.1 * weight(giver)),
                (lacks.0, lacks.1 * weight(taker)),
            );
            let flows = bounds.iter().all(|(group, may_give, may_take)| {
                match (group.contains(&giver), group.contains(&taker)) {
                    (true, false) => *may_give,
                    (false, true) => *may_take,
                    _ => true,
                }
            });
            assert!(
                richer.is_le() || !flows,
                "{members:?}: {exact:?} is not the fairest"
            );
        }
    }
}

#[test]
fn shares_are_the_fairest_that_zones_and_hosts_allow() {
    for cluster in (1..=9).flat_map(|nodes| {
        (1..=4).flat_map(move |zones| {
            if nodes <= 6 {
                Cluster::all(nodes, zones)
            } else {
                Cluster::regular(nodes, zones)
            }
        })
    }) {
        for replicas in 1..=5 {
            let mut members = cluster.members();
            members.sort_by_key(|member| member.id);
            assert_fairest(&members, replicas, 13);
            for (nth, member) in (0..).zip(&mut members) {
                member.weight = [1, 5, 2, 40][nth % 4];
            }
            assert_fairest(&members, replicas, 13);
        }
    }
}

#[test]
fn the_sum_of_dealt_slots_is_exact_at_any_weight() {
    let cluster = Cluster(alloc::vec![
        alloc::vec![1, 2],
        alloc::vec![3],
        alloc::vec![1]
    ]);
    for weights in [[1, u32::MAX], [u32::MAX, u32::MAX - 1], [3, 7]] {
        let mut members = cluster.members();
        members.sort_by_key(|member| member.id);
        for (nth, member) in (0..).zip(&mut members) {
            member.weight = weights[nth % 2];
        }
        let homes = Homes::of(&members);
        for replicas in 1..=7 {
            let spread = Spread::new(replicas, &homes);
            let shares = Shares::new(&members, &homes, spread, 1 << 20);
            let order: Vec<u16> = homes.seats().collect();
            let dealt: u32 = shares.dealt(&order).into_iter().sum();
            assert_eq!(dealt, u32::from(replicas) << 20);
        }
    }
}
