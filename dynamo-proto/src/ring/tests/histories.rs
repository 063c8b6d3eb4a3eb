//! Random histories of memberships.

use super::*;

use proptest::prelude::{
    Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::strategy::Strategy;

/// What an administrator does next.
#[derive(Clone, Debug)]
enum Step {
    Join {
        zone: usize,
        host: usize,
        weight: u32,
    },
    Leave {
        nth: usize,
    },
    Weigh {
        nth: usize,
        weight: u32,
    },
    Carry {
        nth: usize,
        zone: usize,
        host: usize,
    },
}

fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(1), 3 => 1..10u32, 1 => Just(u32::MAX), 1 => 1..=u32::MAX]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4usize, 0..3usize, weight())
            .prop_map(|(zone, host, weight)| Step::Join { zone, host, weight }),
        3 => any::<usize>().prop_map(|nth| Step::Leave { nth }),
        1 => (any::<usize>(), weight()).prop_map(|(nth, weight)| Step::Weigh { nth, weight }),
        1 => (any::<usize>(), 0..4usize, 0..3usize)
            .prop_map(|(nth, zone, host)| Step::Carry { nth, zone, host }),
    ]
}

fn take(members: &mut Vec<Member>, id: u64, step: &Step) {
    let len = members.len();
    match *step {
        Step::Join { zone, host, weight } => {
            members.push(Member {
                weight,
                ..node(id * 7919 % 10007, zone, host)
            });
        }
        Step::Leave { nth } if len > 1 => drop(members.remove(nth % len)),
        Step::Leave { .. } => {}
        Step::Weigh { nth, weight } => members[nth % len].weight = weight,
        Step::Carry { nth, zone, host } => {
            let Member { id, weight, .. } = members[nth % len];
            members[nth % len] = Member {
                weight,
                ..node(id.0, zone, host)
            };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_leaves_a_sound_ring_and_moves_the_least(
        partitions in 1..24u32,
        replicas in 1..6u8,
        history in prop::collection::vec(step(), 1..24),
    ) {
        let mut members = alloc::vec![node(0, 0, 0)];
        let mut ring = Ring::birth(config(partitions, replicas), members.clone()).unwrap();
        for (id, step) in (1..).zip(&history) {
            take(&mut members, id, step);
            let next = ring.change(members.clone()).unwrap();
            assert_sound(&next);
            if members.len() <= 8 {
                let moved = ring.moves(&next).filter(|it| it.to.is_some()).count() as u64;
                prop_assert_eq!(moved, least_moves(&ring, &next));
            }
            ring = next;
        }
        prop_assert!(Ring::try_from(RingSnapshot::from(&ring)).unwrap() == ring);
    }

    #[test]
    fn several_changes_at_once_are_one_change(
        replicas in 1..5u8,
        history in prop::collection::vec(step(), 2..16),
    ) {
        let mut members = alloc::vec![node(0, 0, 0), node(1, 1, 0), node(2, 0, 1)];
        let ring = Ring::birth(config(16, replicas), members.clone()).unwrap();
        for (id, step) in (3..).zip(&history) {
            take(&mut members, id, step);
        }
        assert_sound(&ring.change(members).unwrap());
    }
}
