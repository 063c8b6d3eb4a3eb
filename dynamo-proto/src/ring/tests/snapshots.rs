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
    // Each brings what it can where it stands, but one of them stands there twice.
    let twice = refused(|it| it.assignment[2] = it.assignment[0]);
    assert_eq!(twice, spread);
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

/// One node a zone, so that any order of owners is an order of duty.
fn everybody_everywhere(assignment: impl Fn(u16) -> [u16; 3]) -> Result<Ring, RingError> {
    Ring::try_from(RingSnapshot {
        config: config(64, 3),
        members: (0..3).map(|id| node(id, id as usize, 0)).collect(),
        assignment: (0..64).flat_map(assignment).collect(),
    })
}

#[test]
fn a_snapshot_where_one_node_is_first_too_often_is_refused() {
    let in_turn = |it: u16| [it % 3, (it + 1) % 3, (it + 2) % 3];
    let ring = everybody_everywhere(in_turn).unwrap();
    assert_balanced(&ring);
    let one = everybody_everywhere(|_| [0, 1, 2]);
    assert_eq!(one.unwrap_err(), RingError::UnevenLead(NodeId(0)));

    // 64 lists for three are 21 for two and 22 for one. It may be any of them, but not more.
    let other = |last| everybody_everywhere(move |it| if it == 63 { last } else { in_turn(it) });
    assert!(other([1, 2, 0]).is_ok());
    assert!(other([2, 0, 1]).is_ok());
    let two_short = everybody_everywhere(|it| if it == 0 { [1, 2, 0] } else { in_turn(it) });
    assert!(two_short.is_ok(), "22 for the second instead of the first");
    let many = |it| if it % 62 == 0 { [1, 2, 0] } else { in_turn(it) };
    let many = everybody_everywhere(many).unwrap_err();
    assert_eq!(many, RingError::UnevenLead(NodeId(1)));
    let few = |it| match it {
        0 => [1, 2, 0],
        3 => [2, 0, 1],
        _ => in_turn(it),
    };
    let few = everybody_everywhere(few).unwrap_err();
    assert_eq!(few, RingError::UnevenLead(NodeId(0)));
}
