use super::*;

use crate::{Key, Limits};

fn three_zones(nodes: u64) -> Vec<Member> {
    (0..nodes)
        .map(|id| node(id, id as usize % 3, id as usize))
        .collect()
}

#[test]
fn ranges_follow_each_other_around_the_ring() {
    for partitions in [
        1,
        2,
        3,
        5,
        7,
        8,
        13,
        1000,
        1024,
        4095,
        (MAX_SLOTS - 1) / 4,
        MAX_SLOTS / 4,
    ] {
        let ring = Ring::birth(config(partitions, 1), three_zones(1)).unwrap();
        let mut next = 0u128;
        for partition in ring.partitions().take(5000) {
            let range = ring.range(partition);
            assert_eq!(range.first, Token(next));
            assert!(!range.wraps() && range.contains(range.first) && range.contains(range.last));
            assert_eq!(ring.partition(range.first), partition);
            assert_eq!(ring.partition(range.last), partition);
            next = range.last.0.wrapping_add(1);
        }
        let last = ring.partitions().last().unwrap();
        assert_eq!(ring.range(last).last, Token(u128::MAX));
        assert_eq!(ring.partition(Token(u128::MAX)), last);
        assert_eq!(ring.partition(Token(0)), Partition(0));
    }
}

#[test]
fn equal_partitions_differ_by_one_token_at_most() {
    for partitions in [3, 7, 1000, 12_345] {
        let ring = Ring::birth(config(partitions, 1), three_zones(1)).unwrap();
        let sizes = ring.partitions().map(|it| {
            let range = ring.range(it);
            range.last.0 - range.first.0
        });
        let (least, most) = sizes.fold((u128::MAX, 0), |(least, most), size| {
            (least.min(size), most.max(size))
        });
        assert!(most - least <= 1, "{least} to {most}");
    }
}

#[test]
fn a_key_is_looked_up_by_its_token() {
    let ring = Ring::birth(config(64, 3), three_zones(9)).unwrap();
    let key = Key::new("default", "carts", "alice", &Limits::default()).unwrap();
    let list = ring.lookup(key.token());
    assert!(ring.range(list.partition()).contains(key.token()));
    assert_eq!(list.partition(), ring.partition(key.token()));
}

#[test]
fn a_bucket_may_use_fewer_or_more_copies_than_the_ring() {
    let ring = Ring::birth(config(64, 3), three_zones(12)).unwrap();
    for partition in ring.partitions() {
        let list = ring.preference(partition);
        let all: Vec<NodeId> = list.iter().map(|member| member.id).collect();
        for n in 0..=13 {
            let first: Vec<NodeId> = list.primaries(n).map(|member| member.id).collect();
            let rest: Vec<NodeId> = list.fallbacks(n).map(|member| member.id).collect();
            assert_eq!(first, all[..n.min(12)]);
            assert_eq!(rest, all[n.min(12)..]);
            for &id in &all {
                assert_eq!(list.is_primary(id, n), first.contains(&id));
            }
        }
        assert!(!list.is_primary(NodeId(99), 12));
        assert_eq!(list.iter().len(), 12);
        let mut on_duty = list.iter();
        for left in (0..12).rev() {
            on_duty.next();
            assert_eq!(on_duty.len(), left);
        }
        assert_eq!(on_duty.next(), None);
        assert_eq!(list.into_iter().count(), 12);
    }
}

#[test]
fn the_last_partitions_find_fallbacks_among_the_first() {
    let ring = Ring::birth(config(8, 1), three_zones(8)).unwrap();
    let all: Vec<NodeId> = (0..8).map(|it| owners(&ring, Partition(it))[0]).collect();
    let list: Vec<NodeId> = ring
        .preference(Partition(7))
        .iter()
        .map(|it| it.id)
        .collect();
    let zone = |id: NodeId| ring.member(id).unwrap().zone.clone();
    let next = all.iter().find(|&&id| zone(id) != zone(all[7])).unwrap();
    assert_eq!(list[..2], [all[7], *next]);
}

#[test]
fn one_failed_node_has_many_stand_ins() {
    let members: Vec<Member> = (0..12).map(|id| node(id, 0, id as usize)).collect();
    let ring = Ring::birth(config(256, 3), members).unwrap();
    for member in ring.members() {
        let mut stand_ins: BTreeMap<NodeId, u32> = BTreeMap::new();
        for partition in ring
            .partitions()
            .filter(|&it| owners(&ring, it).contains(&member.id))
        {
            let first = ring.preference(partition).fallbacks(3).next().unwrap();
            *stand_ins.entry(first.id).or_default() += 1;
        }
        let most = stand_ins.values().max().unwrap();
        assert!(stand_ins.len() >= 6 && *most <= 24, "{stand_ins:?}");
    }
}

#[test]
fn moves_tell_what_goes_from_whom_to_whom() {
    let two = Ring::birth(config(4, 3), three_zones(2)).unwrap();
    let three = two.change(three_zones(3)).unwrap();
    let grown: Vec<Move> = two.moves(&three).collect();
    assert_eq!(grown.len(), 4);
    for (partition, it) in three.partitions().zip(&grown) {
        assert_eq!(it.range, three.range(partition));
        assert_eq!((it.from, it.to), (None, Some(NodeId(2))));
    }
    assert!(
        three
            .moves(&two)
            .all(|it| (it.from, it.to) == (Some(NodeId(2)), None))
    );
    assert_eq!(three.moves(&three).count(), 0);

    let swapped = two
        .change(alloc::vec![node(0, 0, 0), node(7, 1, 1)])
        .unwrap();
    assert_eq!(two.moves(&swapped).count(), 4);
    assert!(
        two.moves(&swapped)
            .all(|it| (it.from, it.to) == (Some(NodeId(1)), Some(NodeId(7))))
    );
}

#[test]
fn a_ring_of_nobody_or_nothing_is_refused() {
    let birth = |config, members| Ring::birth(config, members).unwrap_err();
    let one = three_zones(1);
    assert_eq!(birth(config(8, 3), Vec::new()), RingError::NoMembers);
    assert_eq!(birth(config(8, 0), one.clone()), RingError::ZeroReplicas);
    assert_eq!(birth(config(0, 3), one.clone()), RingError::ZeroPartitions);

    let twins = alloc::vec![node(5, 0, 0), node(1, 0, 1), node(5, 1, 2)];
    assert_eq!(
        birth(config(8, 3), twins),
        RingError::DuplicateMember(NodeId(5))
    );
    let idle = Member {
        weight: 0,
        ..node(5, 0, 0)
    };
    assert_eq!(
        birth(config(8, 3), alloc::vec![idle]),
        RingError::ZeroWeight(NodeId(5))
    );
    let verbose = Member::new(NodeId(5), "z", "h".repeat(MAX_LABEL_BYTES + 1));
    assert_eq!(
        birth(config(8, 3), alloc::vec![verbose]),
        RingError::LabelTooLong(NodeId(5))
    );
    let terse = Member::new(NodeId(5), "z", "h".repeat(MAX_LABEL_BYTES));
    assert!(Ring::birth(config(8, 3), alloc::vec![terse]).is_ok());

    let members = MAX_MEMBERS + 1;
    let crowd = (0..members as u64)
        .map(|id| Member::new(NodeId(id), "z", "h"))
        .collect();
    assert_eq!(
        birth(config(8, 3), crowd),
        RingError::TooManyMembers { members }
    );
    let ring = Ring::birth(config(8, 3), one).unwrap();
    assert_eq!(ring.change(Vec::new()).unwrap_err(), RingError::NoMembers);
}
