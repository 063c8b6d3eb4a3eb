//! The paper's first two strategies.

use super::*;

pub(super) fn random(tokens_per_node: u32, replicas: u8) -> RingConfig {
    RingConfig {
        strategy: Strategy::RandomTokens { tokens_per_node },
        replicas,
    }
}

pub(super) fn random_equal(tokens_per_node: u32, partitions: u32, replicas: u8) -> RingConfig {
    let strategy = Strategy::RandomTokensEqualPartitions {
        tokens_per_node,
        partitions,
    };
    RingConfig { strategy, replicas }
}

#[test]
fn every_small_cluster_is_spread_with_random_tokens_too() {
    for cluster in
        (1..=8).flat_map(|nodes| (1..=4).flat_map(move |zones| Cluster::regular(nodes, zones)))
    {
        for replicas in [1, 3, 5] {
            for config in [
                random(1, replicas),
                random(5, replicas),
                random_equal(5, 13, replicas),
            ] {
                let ring = Ring::birth(config, cluster.members()).unwrap();
                assert_lists_are_in_order_of_duty(&ring);
            }
        }
    }
}

#[test]
fn a_token_starts_a_range_that_ends_just_before_the_next() {
    let members: Vec<Member> = (0..5).map(|id| node(id, 0, id as usize)).collect();
    let ring = Ring::birth(random(16, 3), members).unwrap();
    assert_eq!(ring.partitions().len(), 5 * 16);
    let ranges: Vec<TokenRange> = ring.partitions().map(|it| ring.range(it)).collect();
    for (partition, range) in ring.partitions().zip(&ranges) {
        let next = ranges[(partition.index() + 1) % ranges.len()];
        assert_eq!(next.first.0, range.last.0.wrapping_add(1));
        assert_eq!(range.wraps(), partition.index() + 1 == ranges.len());
        for token in [range.first, range.last] {
            assert_eq!(ring.partition(token), partition);
            assert!(range.contains(token) && !next.contains(token));
        }
    }
    // The last range goes over the top of the ring to the first token.
    let last = ring.partitions().last().unwrap();
    assert_eq!(ring.partition(Token(0)), last);
    assert_eq!(ring.partition(Token(u128::MAX)), last);
}

#[test]
fn a_single_token_owns_the_whole_ring() {
    let ring = Ring::birth(random(1, 3), alloc::vec![node(1, 0, 0)]).unwrap();
    for token in [0, 1, 1 << 127, u128::MAX] {
        assert_eq!(ring.partition(Token(token)), Partition(0));
        assert_eq!(ring.lookup(Token(token)).iter().count(), 1);
    }
}

#[test]
fn equal_partitions_belong_to_the_tokens_after_their_end() {
    let members: Vec<Member> = (0..6).map(|id| node(id, 0, id as usize)).collect();
    let by_tokens = Ring::birth(random(8, 1), members.clone()).unwrap();
    let equal = Ring::birth(random_equal(8, 64, 1), members).unwrap();
    let starts: Vec<(Token, NodeId)> = by_tokens
        .partitions()
        .map(|it| (by_tokens.range(it).first, owners(&by_tokens, it)[0]))
        .collect();
    for partition in equal.partitions() {
        let end = equal.range(partition).last;
        let next = starts
            .iter()
            .find(|&&(token, _)| token > end)
            .unwrap_or(&starts[0]);
        assert_eq!(owners(&equal, partition)[0], next.1);
    }
}

#[test]
fn a_join_moves_only_to_the_newcomer_and_a_departure_only_from_the_leaver() {
    let members: Vec<Member> = (0..20).map(|id| node(id, 0, id as usize)).collect();
    for config in [random(16, 3), random_equal(16, 256, 3)] {
        let few = Ring::birth(config, members[1..].to_vec()).unwrap();
        let all = few.change(members.clone()).unwrap();
        let newcomer = Some(members[0].id);
        assert!(few.moves(&all).count() > 0);
        assert!(
            few.moves(&all)
                .all(|it| it.to == newcomer && it.from.is_some())
        );
        assert!(
            all.moves(&few)
                .all(|it| it.from == newcomer && it.to.is_some())
        );
    }
}

#[test]
fn moves_tell_of_every_token_that_changes_hands() {
    let members: Vec<Member> = (0..6).map(|id| node(id, 0, id as usize)).collect();
    let configs = [random(3, 2), random_equal(3, 16, 2)];
    for (config, newcomer) in configs
        .into_iter()
        .flat_map(|it| (0..6).map(move |at| (it, at)))
    {
        let mut few = members.clone();
        few.remove(newcomer);
        let before = Ring::birth(config, few).unwrap();
        let after = before.change(members.clone()).unwrap();
        let at = |ring: &Ring, token| owners(ring, ring.partition(token));
        let starts = [&before, &after].map(|ring| ring.partitions().map(|it| ring.range(it)));
        let edges = starts
            .into_iter()
            .flatten()
            .flat_map(|range| [range.first, range.last]);
        for token in edges.chain([Token(0), Token(u128::MAX)]) {
            let (had, has) = (at(&before, token), at(&after, token));
            let moves: Vec<Move> = before
                .moves(&after)
                .filter(|it| it.range.contains(token))
                .collect();
            let lost: Vec<_> = had.iter().filter(|id| !has.contains(id)).collect();
            assert!(moves.iter().filter_map(|it| it.from.as_ref()).eq(lost));
            assert!(moves.iter().all(|it| !it.range.wraps()));
        }
    }
}

#[test]
fn a_bigger_machine_takes_more_tokens() {
    let mut members: Vec<Member> = (0..4).map(|id| node(id, 0, id as usize)).collect();
    members[2].weight = 3;
    let ring = Ring::birth(random(32, 1), members.clone()).unwrap();
    assert_eq!(load(&ring)[&NodeId(2)].0, 3 * 32);
    assert_eq!(load(&ring)[&NodeId(1)].0, 32);
    members[2].weight = u32::MAX;
    assert_eq!(
        Ring::birth(random(32, 1), members).unwrap_err(),
        RingError::TooManyTokens { limit: 1 << 20 }
    );
}

#[test]
fn tokens_do_not_depend_on_who_else_is_there() {
    let alone = Ring::birth(random(4, 1), alloc::vec![node(9, 0, 0)]).unwrap();
    let both = Ring::birth(random(4, 1), alloc::vec![node(3, 0, 0), node(9, 0, 1)]).unwrap();
    let firsts = |ring: &Ring| -> BTreeSet<Token> {
        ring.partitions().map(|it| ring.range(it).first).collect()
    };
    assert!(firsts(&alone).is_subset(&firsts(&both)));
}

#[test]
fn no_tokens_are_no_ring() {
    let one = alloc::vec![node(1, 0, 0)];
    for config in [random(0, 3), random_equal(0, 8, 3)] {
        assert_eq!(
            Ring::birth(config, one.clone()).unwrap_err(),
            RingError::ZeroTokens
        );
    }
    let nothing = Ring::birth(random_equal(8, 0, 3), one).unwrap_err();
    assert_eq!(nothing, RingError::ZeroPartitions);
}
