//! Whatever is committed anywhere, all end with one history and one ring.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::world::{World, birth, join};
use crate::membership::{Change, Output, Standing};
use crate::{NodeId, Token};

#[test]
fn what_one_node_is_told_all_come_to_know() {
    let mut world = World::born(5, 1);
    world.lost = 20;
    let epoch = world.commit(
        3,
        [Change::Weigh {
            node: NodeId(2),
            weight: 3,
        }],
    );
    world.run(40);
    assert_eq!(epoch.height, 2);
    world.assert_agreed();
    assert!((1..=5).all(|id| world.told[&id].contains(&Output::Settled(epoch))));
}

#[test]
fn two_administrators_in_two_halves_end_with_one_ring() {
    let mut world = World::born(6, 2);
    for id in 1..=6 {
        world.groups.insert(id, (id > 3).into());
    }
    world.newcomer(7);
    world.newcomer(8);
    world.groups.insert(8, 1);
    world.commit(1, [join(7)]);
    world.commit(2, [Change::Remove(NodeId(6))]); // not heard of by node 1's commit, or after it
    world.commit(4, [join(8)]);
    world.commit(
        5,
        [Change::Weigh {
            node: NodeId(4),
            weight: 2,
        }],
    );
    world.run(20);
    let rings: Vec<_> = [1, 4].map(|id| world.node(id).ring().unwrap()).into();
    assert_ne!(rings[0], rings[1]);
    assert!(!world.node(1).is_settled() && !world.node(4).is_settled());

    world.groups.clear();
    world.run(60);
    world.assert_agreed();
    let state = world.nodes[&1].state().unwrap();
    let members: Vec<u64> = state.members().map(|it| it.id.0).collect();
    assert_eq!(members, [1, 2, 3, 4, 5, 7, 8]);
    assert!(state.is_removed(NodeId(6)));
    assert!(world.told[&6].contains(&Output::Removed));
}

#[test]
fn until_all_have_confirmed_the_owners_of_every_branch_are_asked() {
    let mut world = World::born(6, 3);
    let born = world.node(1).ring().unwrap();
    for id in 1..=6 {
        world.groups.insert(id, (id > 3).into());
    }
    world.commit(1, [Change::Leave(NodeId(5))]);
    world.commit(4, [Change::Leave(NodeId(2))]);
    world.run(20);
    let branches = [1, 4].map(|id| world.node(id).ring().unwrap());
    world.groups.clear();
    world.nodes.remove(&6); // down: nothing can be settled
    world.run(60);

    let today = world.node(3).ring().unwrap();
    let past = world.node(3).past().unwrap();
    for token in (0..32).map(|part| Token(part << 123)) {
        let owners: BTreeSet<NodeId> = past.owners(token).into_iter().collect();
        for ring in [&born, &branches[0], &branches[1]] {
            for owner in ring.lookup(token).primaries(3) {
                assert!(
                    owners.contains(&owner.id),
                    "{} may hold {token:?}",
                    owner.id
                );
            }
        }
        assert!(
            today
                .lookup(token)
                .primaries(3)
                .all(|it| it.id.0 != 5 && it.id.0 != 2)
        );
    }

    world.restart(6);
    world.run(60);
    world.assert_agreed();
    assert_eq!(world.node(3).past().unwrap().rings(), []);
}

#[test]
fn a_newcomer_serves_nothing_before_it_is_committed() {
    let mut world = World::born(3, 4);
    world.newcomer(4);
    world.run(20);
    assert!(
        world.nodes[&1]
            .newcomers()
            .any(|it| it.member.id == NodeId(4))
    );
    assert_eq!(world.nodes[&4].epoch(), world.nodes[&1].epoch());
    assert!(!world.nodes[&4].is_serving());
    world.commit(2, [join(4)]);
    world.run(20);
    assert!(world.nodes[&4].is_serving());
    assert_eq!(world.nodes[&1].newcomers().count(), 0);
    world.assert_agreed();
}

#[test]
fn newcomers_are_let_in_where_that_was_decided_at_birth() {
    let mut world = World::born_with(birth(1, true), 5);
    for id in 2..=9 {
        world.newcomer(id);
    }
    world.run(60);
    world.assert_agreed();
    assert_eq!(world.nodes[&9].state().unwrap().members().count(), 9);
}

#[test]
fn seeds_bring_halves_together_that_know_nothing_of_each_other() {
    // The second node has only ever heard of itself, but knows a seed.
    let mut world = World::born(1, 6);
    world.newcomer(2);
    world.groups.insert(2, 1);
    world.run(20);
    assert!(world.nodes[&2].epoch().is_nothing());
    world.groups.clear();
    world.run(5);
    assert_eq!(world.nodes[&2].epoch(), world.nodes[&1].epoch());
}

#[test]
fn who_leaves_is_still_asked_for_its_word() {
    let mut world = World::born(4, 7);
    world.nodes.remove(&4);
    world.commit(1, [Change::Leave(NodeId(4))]);
    world.run(30);
    assert!(!world.nodes[&1].is_settled());
    world.restart(4);
    world.run(30);
    assert!(world.nodes[&1].is_settled());
    let standing = world.nodes[&4].state().unwrap().standing(NodeId(4));
    assert!(matches!(standing, Some(Standing::Leaving(_))));
    world.commit(2, [Change::Remove(NodeId(4))]);
    world.run(30);
    assert!(world.told[&4].contains(&Output::Removed));
    assert!(world.nodes[&1].is_settled());
}

#[derive(Clone, Debug)]
enum Step {
    Commit(u64, u64, u8),
    Split(u8),
    Heal,
    Restart(u64),
    Newcomer,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..7_u64, 1..12_u64, 0..5_u8).prop_map(|(at, whom, what)| Step::Commit(at, whom, what)),
        1 => any::<u8>().prop_map(Step::Split),
        1 => Just(Step::Heal),
        1 => (1..7_u64).prop_map(Step::Restart),
        1 => Just(Step::Newcomer),
        3 => (0..4_u64).prop_map(Step::Wait),
    ]
}

fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Commit(at, whom, what) => {
            let node = NodeId(whom);
            let change = match what {
                0 => join(whom),
                1 => Change::Leave(node),
                2 => Change::Remove(node),
                3 => Change::Weigh {
                    node,
                    weight: 1 + (whom % 3) as u32,
                },
                _ => Change::Place {
                    node,
                    zone: "z".into(),
                    host: "h".into(),
                },
            };
            let now = world.at();
            let mut out = Vec::new();
            // Nodes 1 and 2 are seeds and stay; what cannot be is refused.
            let stays = whom <= 2 && (what == 1 || what == 2);
            let staged = !stays && world.node(at).stage(change).is_ok();
            if staged && let Ok(plan) = world.node(at).plan() {
                let _ = world.node(at).commit(plan, now, &mut out);
            }
            world.put_out(at, out);
        }
        Step::Split(mask) => {
            for id in world.nodes.keys().copied() {
                world.groups.insert(id, mask >> (id % 8) & 1);
            }
        }
        Step::Heal => world.groups.clear(),
        Step::Restart(id) => world.restart(id),
        Step::Newcomer => {
            let id = *world.nodes.keys().next_back().unwrap() + 1;
            if id < 12 {
                world.newcomer(id);
            }
        }
        Step::Wait(seconds) => world.run(seconds),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// PITFALLS 18, 19, 35.
    #[test]
    fn whatever_is_committed_anywhere_all_end_with_one_ring(
        steps in prop::collection::vec(step(), 1..20),
        seed in any::<u64>(),
        lost in 0..40_u64,
        doubled in 0..20_u64,
    ) {
        let mut world = World::born(6, seed);
        (world.lost, world.doubled) = (lost, doubled);
        for step in &steps {
            take(&mut world, step);
        }
        world.groups.clear();
        world.lost = lost.min(10);
        // Who was committed and never started would be waited for for ever.
        let present: Vec<u64> = world.nodes[&1].state().unwrap().present().map(|it| it.0).collect();
        for id in present {
            if !world.nodes.contains_key(&id) {
                world.newcomer(id);
            }
        }
        world.run(60);
        for id in 1..12 {
            if !world.nodes.contains_key(&id) {
                world.newcomer(id);
            }
        }
        world.run(60);
        world.assert_agreed();
    }
}
