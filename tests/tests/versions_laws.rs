//! The laws of versions, on long random histories.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use dynamo_proto::version::{
    Births, Boot, Content, Policy, Record, RequestId, Retirements, Rules, Siblings, Write,
};
use dynamo_proto::{Limits, NodeId, WallTime};
use dynamo_tests::fuzz::check_laws;
use dynamo_tests::history::{Step, World};
use proptest::prelude::*;
use std::time::Duration;

fn step() -> impl Strategy<Value = Step> {
    let n = 0..12_usize;
    prop_oneof![
        4 => (n.clone(), n.clone()).prop_map(|(at, client)| Step::Read { at, client }),
        4 => (n.clone(), n.clone()).prop_map(|(at, client)| Step::Write { at, client }),
        1 => (n.clone(), n.clone()).prop_map(|(at, client)| Step::Delete { at, client }),
        2 => n.clone().prop_map(|at| Step::Blind { at }),
        5 => (n.clone(), n.clone()).prop_map(|(from, to)| Step::Sync { from, to }),
        2 => n.clone().prop_map(|from| Step::Send { from }),
        3 => (n.clone(), n.clone()).prop_map(|(message, to)| Step::Deliver { message, to }),
        1 => n.clone().prop_map(|at| Step::Forget { at }),
        1 => n.clone().prop_map(|at| Step::Restart { at }),
        1 => n.clone().prop_map(|node| Step::Retire { node }),
        1 => n.prop_map(|at| Step::Learn { at }),
    ]
}

fn merged(one: &Siblings, other: &Siblings, policy: Policy, retired: &Retirements) -> Siblings {
    let mut one = one.clone();
    one.merge(other.clone(), policy, retired).unwrap();
    one
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn long_histories_end_as_their_causal_sets_say(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new(4, 3);
        for step in steps {
            world.take(step);
        }
        world.settle();
    }

    #[test]
    fn merging_is_a_join(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new(4, 3);
        for step in steps {
            world.take(step);
        }
        let states: Vec<_> = (0..4).map(|at| world.siblings(at).clone()).collect();
        check_laws(&states, Policy::Siblings, world.retired());
    }

    #[test]
    fn states_survive_their_encoding(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new(3, 3);
        for step in steps {
            world.take(step);
        }
        for at in 0..3 {
            let mut bytes = Vec::new();
            world.siblings(at).encode(&mut bytes);
            prop_assert_eq!(bytes.len(), world.siblings(at).encoded_len());
            prop_assert_eq!(&Siblings::decode(bytes.into()).unwrap(), world.siblings(at));
        }
    }

    /// Each coordinator has a clock of its own, some of them wrong.
    #[test]
    fn the_last_write_wins_everywhere(
        skews in prop::array::uniform3(0..20_u64),
        steps in prop::collection::vec((0..3_usize, 0..3_usize, any::<bool>()), 1..40),
    ) {
        let policy = Policy::LastWriteWins { max_skew: Duration::from_secs(60) };
        let (limits, retired) = (Limits::default(), Retirements::default());
        let rules = Rules { policy, truncate_to: None, limits: &limits, retired: &retired };
        let mut births: Vec<_> = (1..=3).map(|id| Births::new(NodeId(id), Boot(id))).collect();
        let mut records = vec![Record::default(); 3];
        let mut highest = None;
        for (number, (at, from, is_read)) in steps.into_iter().enumerate() {
            if is_read {
                let theirs = records[from].siblings().clone();
                records[at].merge(theirs, policy, &retired).unwrap();
                continue;
            }
            // The writer has read at one node and writes at another.
            let past = records[from].siblings().past();
            let write = Write {
                past: Some(&past),
                content: Content::plain(format!("{number}")),
                request: RequestId(number as u128),
            };
            let now = WallTime::from_micros(number as u64 + skews[at]);
            let minted = records[at].mint(write, now, &mut births[at], &rules).unwrap();
            let last = &records[at].siblings().values()[0];
            prop_assert_eq!(last.dot, minted.dot, "a coordinator's own write is its last");
            prop_assert!(last.value.stamp > past.stamp, "what came later is stamped later");
            highest = highest.max(Some((last.value.stamp, last.dot)));
        }
        let states: Vec<_> = records.iter().map(|record| record.siblings().clone()).collect();
        check_laws(&states, policy, &retired);
        let all = states.iter().fold(Siblings::default(), |all, one| merged(&all, one, policy, &retired));
        prop_assert!(all.values().len() <= 1);
        prop_assert_eq!(all.values().first().map(|last| (last.value.stamp, last.dot)), highest);
    }
}
