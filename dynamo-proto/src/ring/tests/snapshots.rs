use super::*;

fn ring() -> Ring {
    let members: Vec<Member> = (0..7)
        .map(|id| node(id, id as usize % 2, id as usize))
        .collect();
    let ring = Ring::birth(config(16, 3), members[..5].to_vec()).unwrap();
    ring.change(members).unwrap()
}

fn refused(spoil: impl FnOnce(&mut RingSnapshot)) -> RingError {
    let mut snapshot = RingSnapshot::from(ring());
    spoil(&mut snapshot);
    Ring::try_from(snapshot).unwrap_err()
}

#[test]
fn a_ring_comes_back_from_its_snapshot() {
    let tokens = Strategy::RandomTokens { tokens_per_node: 4 };
    let by_tokens = Strategy::RandomTokensEqualPartitions {
        tokens_per_node: 4,
        partitions: 8,
    };
    let members = ring().members().to_vec();
    let random = [tokens, by_tokens].map(|strategy| {
        Ring::birth(
            RingConfig {
                strategy,
                replicas: 2,
            },
            members.clone(),
        )
        .unwrap()
    });
    for ring in random.into_iter().chain([ring()]) {
        let bytes = postcard::to_allocvec(&ring).unwrap();
        assert!(postcard::from_bytes::<Ring>(&bytes).unwrap() == ring);
        assert!(Ring::try_from(RingSnapshot::from(&ring)).unwrap() == ring);
    }
}

#[test]
fn a_snapshot_of_the_wrong_size_is_refused() {
    let size = RingError::WrongSize {
        expected: 48,
        found: 47,
    };
    assert_eq!(refused(|it| it.assignment.truncate(47)), size);
    let size = RingError::WrongSize {
        expected: 0,
        found: 48,
    };
    let tokens = Strategy::RandomTokens { tokens_per_node: 4 };
    assert_eq!(refused(|it| it.config.strategy = tokens), size);
    assert_eq!(
        refused(|it| it.config.replicas = 0),
        RingError::ZeroReplicas
    );
}

#[test]
fn a_snapshot_of_other_members_is_refused() {
    assert_eq!(
        refused(|it| it.members.swap(0, 1)),
        RingError::MembersOutOfOrder
    );
    assert_eq!(refused(|it| it.members.clear()), RingError::NoMembers);
    let unknown = RingError::UnknownMember(Partition(2));
    assert_eq!(refused(|it| it.assignment[7] = 7), unknown);
    let unknown = RingError::UnknownMember(Partition(0));
    assert_eq!(refused(|it| it.assignment[0] = u16::MAX), unknown);
}

#[test]
fn a_snapshot_that_breaks_the_spread_is_refused() {
    let spread = RingError::NotSpread(Partition(0));
    assert_eq!(refused(|it| it.assignment[1] = it.assignment[0]), spread);
    // Both zones first.
    let zone = |it: &RingSnapshot, at: usize| it.members[it.assignment[at] as usize].zone.clone();
    assert_eq!(
        refused(|it| {
            let twin = if zone(it, 2) == zone(it, 0) { 1 } else { 0 };
            it.assignment.swap(twin, 2);
        }),
        spread
    );
}

#[test]
fn a_snapshot_that_breaks_the_balance_is_refused() {
    // Every partition gets the owners of the first.
    let unbalanced = refused(|it| {
        let row = it.assignment[..3].to_vec();
        it.assignment = row.repeat(16);
    });
    assert!(matches!(unbalanced, RingError::Unbalanced(_)));
}
