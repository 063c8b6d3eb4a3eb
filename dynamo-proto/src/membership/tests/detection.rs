//! Who is dead is found; who is there, restarted or removed is not taken for it.

use alloc::vec::Vec;

use super::world::World;
use crate::NodeId;
use crate::membership::{Change, Output};

fn suspicions(world: &World) -> usize {
    let told = world.told.values().flatten();
    told.filter(|it| matches!(it, Output::Suspected(_))).count()
}

#[test]
fn a_dead_node_is_found_and_all_come_to_know() {
    let mut world = World::born(12, 1);
    world.lost = 5;
    world.run(20);
    world.nodes.remove(&7);
    world.run(25);
    assert!(world.nodes.values().all(|it| it.is_suspected(NodeId(7))));
    assert_eq!(suspicions(&world), world.nodes.len());

    world.restart(7);
    world.run(25);
    assert!(world.nodes.values().all(|it| !it.is_suspected(NodeId(7))));
}

#[test]
fn whole_neighbourhoods_that_die_are_found() {
    let mut world = World::born(12, 2);
    world.run(5);
    for id in 2..=7 {
        world.nodes.remove(&id);
    }
    world.run(60);
    for node in world.nodes.values() {
        assert!((2..=7).all(|id| node.is_suspected(NodeId(id))));
        assert!((8..=12).all(|id| !node.is_suspected(NodeId(id))));
    }
}

#[test]
fn nobody_is_suspected_for_lost_messages() {
    let mut world = World::born(12, 3);
    world.lost = 10;
    world.run(1800);
    assert_eq!(suspicions(&world), 0);
}

#[test]
fn restarts_and_removals_confuse_nobody() {
    let mut world = World::born(8, 4);
    for round in 0..20 {
        world.restart(2 + round % 4);
        world.run(3);
    }
    assert_eq!(suspicions(&world), 0);
    world.commit(1, [Change::Remove(NodeId(8))]);
    world.nodes.remove(&8);
    world.run(40);
    // Some may have missed it before they heard that it was removed; nobody does from then on.
    assert!(world.nodes.values().all(|it| !it.is_suspected(NodeId(8))));
    let before = suspicions(&world);
    world.run(60);
    assert_eq!(suspicions(&world), before);
    assert!(
        world
            .nodes
            .values()
            .all(|it| it.record(NodeId(8)).is_none())
    );
}

/// PITFALLS 21.
#[test]
fn a_node_that_was_away_itself_accuses_nobody() {
    let mut world = World::born(6, 5);
    world.run(10);
    let (paused, others): (Vec<_>, Vec<_>) = core::mem::take(&mut world.nodes)
        .into_iter()
        .partition(|(id, _)| *id == 3);
    world.nodes.extend(others);
    world.run(20);
    assert!(world.nodes[&1].is_suspected(NodeId(3)));
    world.told.clear();
    world.nodes.extend(paused);
    world.run(20);
    assert!(
        !world
            .told
            .values()
            .flatten()
            .any(|it| matches!(it, Output::Suspected(_)))
    );
    assert!(world.nodes.values().all(|it| !it.is_suspected(NodeId(3))));
}

#[test]
fn a_node_that_only_some_cannot_reach_is_spoken_to_by_way_of_others() {
    // Nothing goes between 2 and 3 directly. The world cuts by groups, so a relay is the only way:
    // the detector is asked by itself.
    use crate::membership::{Detector, Finding, Watching};
    use crate::{Instant, Seed, rng::Rng};
    let (mut detector, mut rng) = (
        Detector::new(NodeId(2), Watching::default()),
        Rng::new(Seed(1)),
    );
    detector.follow((1..=5).map(NodeId));
    detector.choose(Instant::default(), |_| false, &mut rng);
    let mut findings = Vec::new();
    for tenth in 0..600_u64 {
        let now = Instant::from_nanos(tenth * 100_000_000);
        detector.tick(now, &mut rng, &mut findings);
        for finding in core::mem::take(&mut findings) {
            match finding {
                Finding::Ping { node, number } if node != NodeId(3) => {
                    detector.heard(now, node, number);
                }
                Finding::Ping { .. } => {}
                Finding::Reach { node, by, number } => {
                    assert!(by != node && by != NodeId(2));
                    detector.heard(now, node, number);
                }
                Finding::Lost(node) => panic!("{node} was reached by way of others"),
            }
        }
    }
}
