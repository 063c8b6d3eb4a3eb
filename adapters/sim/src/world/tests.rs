//! That the checks notice: worlds in which more is destroyed than is survived, or nothing is mended.

use dynamo_proto::node::Written;

use super::*;
use crate::oracle::Manner;
use crate::scenario::Wishes;
use crate::{FaultClass, Violation};

fn scenario(seed: u64, faults: &[FaultClass]) -> Scenario {
    let wishes = Wishes {
        length: Some(Duration::from_secs(30)),
        ops: Some(300),
        nodes: Some(5),
        faults: faults.to_vec(),
        ..Wishes::default()
    };
    Scenario::draw(seed, &wishes)
}

fn quiet() -> Scenario {
    let mut scenario = scenario(1, &[FaultClass::Pauses]);
    scenario.faults.clear();
    scenario
}

/// What is found where all hosts may lose all they have.
fn found_without_atlas(faults: &[FaultClass]) -> BTreeSet<&'static str> {
    let violations = (0..40).filter_map(|seed| {
        let scenario = scenario(seed, faults);
        let mut world = World::new(&scenario, None);
        let hosts = scenario.nodes.iter().map(|place| place.host);
        world.atlas = Atlas::new(u8::MAX, hosts.collect());
        world.run().violation
    });
    violations.map(|Violation { check, .. }| check).collect()
}

#[test]
fn more_wipes_than_are_survived_lose_acknowledged_writes() {
    assert!(found_without_atlas(&[FaultClass::Wipes]).contains("I1"));
}

#[test]
fn more_lost_writes_than_are_survived_lose_acknowledged_writes() {
    let found = found_without_atlas(&[FaultClass::LostWrites, FaultClass::Rollbacks]);
    assert!(found.contains("I1"), "{found:?}");
}

#[test]
fn what_a_device_loses_under_a_running_process_is_minted_twice() {
    let lost = (0..40).filter_map(|seed| {
        let scenario = scenario(seed, &[FaultClass::LiveLosses]);
        World::new(&scenario, None).run().violation
    });
    let found: BTreeSet<_> = lost.map(|violation| violation.check).collect();
    assert!(found.contains("I3"), "{found:?}");
}

#[test]
fn an_acknowledged_write_that_hosts_do_not_have_is_noticed() {
    let scenario = quiet();
    let mut world = World::new(&scenario, None);
    world.run_until(scenario.length + START);
    let acknowledged = (1..300).map(RequestId).find_map(|id| {
        let (key, _, _) = world.oracle.past(id)?;
        let dots = world.ghost.dots(key, id);
        let has_all = |node: &usize| world.keeps(*node, key, &dots, &[Space::Objects]);
        let is_everywhere = !dots.is_empty() && world.primaries(key).iter().all(has_all);
        is_everywhere.then_some((id, key))
    });
    let (id, key) = acknowledged.expect("nothing goes wrong in this scenario");
    world.check_hosts(key, id);
    assert_eq!(world.violation, None);
    for node in 0..world.machines.len() {
        world.machines[node].give(Disk::of(node));
    }
    world.check_hosts(key, id);
    assert_eq!(world.violation.unwrap().check, "I12");
}

#[test]
fn replicas_that_differ_are_noticed() {
    let mut scenario = quiet();
    scenario.converges = true;
    assert_eq!(World::new(&scenario, None).run().violation, None);

    let mut world = World::new(&scenario, None);
    world.run_until(scenario.length + START);
    let key = (0..scenario.keys.len()).find(|key| {
        let first = world.primaries(*key)[0];
        world
            .shared_state(first, &world.address(*key))
            .is_some_and(|state| !state.is_empty())
    });
    let node = world.primaries(key.unwrap())[0];
    world.machines[node].give(Disk::of(node));
    world.check_convergence();
    assert_eq!(world.violation.unwrap().check, "I6");
}

#[test]
fn what_a_delete_had_seen_may_not_come_back() {
    let mut oracle = Oracle::new([Manner::Causal].into_iter(), true);
    let (begin, later) = (Duration::ZERO, Duration::from_secs(1));
    let first = oracle.invoke(0, None, begin);
    let alone = Response::Put(Written {
        siblings: 1,
        context: Some(Bytes::new()),
        receipt: None,
        came_to: None,
    });
    let seen = oracle.answered(first, Some(&alone), begin, &mut Counters::default());
    let seen = seen.expect("it stands alone");
    let delete = oracle.invoke(0, Some(&seen), begin);
    assert_eq!(oracle.check_buried(0, &[0], later), Ok(()));
    oracle.bury(delete, later);
    assert_eq!(oracle.check_buried(0, &[0], begin), Ok(()));
    assert_eq!(oracle.check_buried(0, &[1], later), Ok(()));
    let back = oracle.check_buried(0, &[0], later);
    assert_eq!(back.unwrap_err().check, "I7");
    oracle.unbury(0);
    assert_eq!(oracle.check_buried(0, &[0], later), Ok(()));
}

#[test]
fn majorities_of_a_ring_differ_and_a_bridge_has_both_sides() {
    let world = World::new(&quiet(), None);
    let ring = world.apart(FaultKind::Ring { reach: 1 });
    for node in 0..5 {
        let away = ring.iter().filter(|(one, _)| *one == node).count();
        assert_eq!(away, 2, "of five, each sees itself and two others");
    }
    let side = 0b00011;
    let bridge = Some(4);
    let split = world.apart(FaultKind::Split { side, bridge });
    assert!(split.contains(&(0, 2)) && split.contains(&(3, 1)));
    assert!(!split.contains(&(0, 1)) && !split.contains(&(2, 3)));
    assert!(split.iter().all(|(one, other)| *one != 4 && *other != 4));
}
