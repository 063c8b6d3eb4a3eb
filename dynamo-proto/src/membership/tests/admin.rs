//! Stage, plan, commit; bounds.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::world::{World, join, member};
use crate::NodeId;
use crate::membership::Load;
use crate::membership::{
    Change, CommitError, MAX_BUCKET_TYPES, MAX_CHANGES, MAX_NEWCOMERS, MAX_UNSETTLED, PlanError,
    StageError, Void,
};

#[test]
fn a_replacement_takes_the_slots_of_the_dead_and_nothing_else_moves() {
    let mut world = World::born(6, 1);
    let node = world.node(1);
    let by = Arc::new(crate::ring::Member {
        id: NodeId(9),
        ..member(6)
    });
    node.stage(Change::Replace {
        dead: NodeId(6),
        by,
    })
    .unwrap();
    let plan = node.plan().unwrap();
    let dead: Vec<_> = plan.moves().collect();
    assert_eq!(dead.len(), plan.loads()[&NodeId(6)].before);
    assert!(
        dead.iter()
            .all(|it| it.from == Some(NodeId(6)) && it.to == Some(NodeId(9)))
    );
}

#[test]
fn a_plan_shows_what_several_changes_move_together() {
    let mut world = World::born(6, 2);
    let node = world.node(1);
    node.stage(join(7)).unwrap();
    node.stage(join(8)).unwrap();
    node.stage(Change::Leave(NodeId(2))).unwrap();
    let plan = node.plan().unwrap();
    let loads = plan.loads();
    assert_eq!(
        loads[&NodeId(2)],
        Load {
            before: 16,
            after: 0,
            gains: 0,
            gives: 16
        }
    );
    assert_eq!(loads.values().map(|it| it.after).sum::<usize>(), 96);
    let moved = plan.moves().filter(|it| it.to.is_some()).count();
    assert!((plan.moved() - moved as f64 / 32.0).abs() < 1e-6);
    assert_eq!(node.epoch().height, 1); // nothing was done
}

#[test]
fn what_can_have_no_effect_is_not_staged() {
    let mut world = World::born(2, 3);
    let node = world.node(1);
    let refused = [
        (join(2), Void::IsMember(NodeId(2))),
        (Change::Leave(NodeId(9)), Void::NotMember(NodeId(9))),
        (
            Change::Weigh {
                node: NodeId(1),
                weight: 0,
            },
            Void::Unsound,
        ),
    ];
    for (change, why) in refused {
        assert_eq!(node.stage(change), Err(StageError::Void(why)));
    }
    node.stage(Change::Leave(NodeId(1))).unwrap();
    let last = node.stage(Change::Leave(NodeId(2)));
    assert_eq!(last, Err(StageError::Void(Void::LastMember(NodeId(2)))));
    node.unstage();
    assert!(matches!(node.plan(), Err(PlanError::Nothing)));
}

#[test]
fn an_outdated_plan_is_refused() {
    let mut world = World::born(3, 4);
    world.node(2).stage(Change::Leave(NodeId(3))).unwrap();
    let plan = world.node(2).plan().unwrap();
    world.commit(
        1,
        [Change::Weigh {
            node: NodeId(1),
            weight: 2,
        }],
    );
    world.run(20);
    let now = world.at();
    let refused = world.node(2).commit(plan, now, &mut Vec::new());
    assert!(matches!(refused, Err(CommitError::Outdated { .. })));
    assert_eq!(world.node(2).staged().len(), 1); // to be looked at again
    let plan = world.node(2).plan().unwrap();
    world.node(2).commit(plan, now, &mut Vec::new()).unwrap();
}

#[test]
fn who_was_removed_has_no_say() {
    let mut world = World::born(3, 5);
    world.node(3).stage(Change::Leave(NodeId(2))).unwrap();
    world.commit(1, [Change::Remove(NodeId(3))]);
    world.run(20);
    let now = world.at();
    let plan = world.node(3).plan().unwrap();
    let refused = world.node(3).commit(plan, now, &mut Vec::new());
    assert_eq!(refused, Err(CommitError::NotMember));
}

#[test]
fn everything_is_bounded() {
    let mut world = World::born(2, 6);
    world.nodes.remove(&2);
    for id in 0..MAX_UNSETTLED as u64 {
        world.commit(1, [join(10 + id)]);
    }
    let now = world.at();
    world.node(1).stage(join(9)).unwrap();
    let plan = world.node(1).plan().unwrap();
    let refused = world.node(1).commit(plan, now, &mut Vec::new());
    assert_eq!(refused, Err(CommitError::Unsettled));

    let mut world = World::born(1, 7);
    let weigh = |weight| Change::Weigh {
        node: NodeId(1),
        weight,
    };
    for weight in 1..=MAX_CHANGES as u32 {
        world.node(1).stage(weigh(weight)).unwrap();
    }
    assert_eq!(world.node(1).stage(weigh(1)), Err(StageError::TooMany));
    world.node(1).unstage();
    let keep = |name: usize| Change::Keep {
        bucket_type: name.to_be_bytes().into(),
        name: None,
        bucket: Box::default(),
    };
    for name in 0..MAX_BUCKET_TYPES {
        world.node(1).stage(keep(name)).unwrap();
    }
    let refused = world.node(1).stage(keep(MAX_BUCKET_TYPES));
    assert_eq!(refused, Err(StageError::Void(Void::TooManyTypes)));

    for id in 0..MAX_NEWCOMERS as u64 + 9 {
        world.newcomer(100 - id);
    }
    world.run(20);
    let newcomers: Vec<u64> = world.nodes[&1]
        .newcomers()
        .map(|it| it.member.id.0)
        .collect();
    assert_eq!(newcomers.len(), MAX_NEWCOMERS);
    assert_eq!(newcomers.last(), Some(&(100 - 9)));
}
