//! Restarted, restored, cloned, removed; damaged disks and messages.

use alloc::vec::Vec;

use super::world::{CLUSTER, World, join, member};
use crate::membership::{
    Change, Config, Epoch, Gossip, Membership, Output, SavedError, StartError, Step,
};
use crate::version::Boot;
use crate::{ClusterId, Generation, NodeId, Seed};

#[test]
fn a_restarted_node_goes_on_where_it_was_one_generation_later() {
    let mut world = World::born(3, 1);
    world.commit(
        1,
        [Change::Weigh {
            node: NodeId(2),
            weight: 2,
        }],
    );
    world.run(20);
    let (epoch, ring) = (world.nodes[&2].epoch(), world.node(2).ring().unwrap());
    world.restart(2);
    assert_eq!(world.nodes[&2].epoch(), epoch);
    assert_eq!(world.node(2).ring().unwrap(), ring);
    assert_eq!(world.nodes[&2].generation(), Generation(2));
    world.run(20);
    assert_eq!(
        world.nodes[&1].record(NodeId(2)).unwrap().generation,
        Generation(2)
    );
    world.assert_agreed();
}

#[test]
fn nothing_is_said_before_the_generation_is_saved() {
    let config = Config {
        seeds: 1,
        ..Config::new(CLUSTER, member(1), Boot(1))
    };
    let mut node = Membership::newcomer(config, Seed(1)).unwrap();
    let mut out = Vec::new();
    for second in 1..10_u64 {
        let mono = crate::Instant::from_nanos(second * 1_000_000_000);
        node.tick(
            crate::Now {
                mono,
                ..Default::default()
            },
            &mut out,
        );
    }
    assert!(matches!(out[..], [Output::Save(_)]), "{out:?}");
}

#[test]
fn an_epoch_is_confirmed_only_when_it_is_on_the_disk() {
    let mut world = World::born(3, 2);
    let (now, mut out) = (world.at(), Vec::new());
    let node = world.node(1);
    node.stage(Change::Leave(NodeId(3))).unwrap();
    let plan = node.plan().unwrap();
    node.commit(plan, now, &mut out).unwrap();
    assert!(!node.has_confirmed(Step::Known, NodeId(1)));
    world.put_out(1, out);
    assert!(world.nodes[&1].has_confirmed(Step::Known, NodeId(1)));
}

/// PITFALLS 35.
#[test]
fn a_node_restored_from_an_old_copy_says_so_and_serves_nothing() {
    let mut world = World::born(3, 3);
    let copy = world.disks[&2].clone();
    world.restart(2);
    world.run(1);
    world.restart(2);
    world.run(20);
    world.disks.insert(2, copy.clone());
    world.restart(2); // generation 2, and the others know 3
    world.run(20);
    let generation = Generation(3);
    assert!(world.told[&2].contains(&Output::Overtaken { generation }));
    assert!(!world.nodes[&2].is_serving());

    // The administrator knows that the other is gone.
    world.disks.insert(2, copy);
    let config = Config {
        is_restored: true,
        ..world.config(2)
    };
    world.restart_as(2, config);
    world.run(20);
    assert!(world.nodes[&2].is_serving());
    assert_eq!(world.nodes[&2].generation(), Generation(4));
    assert_eq!(
        world.nodes[&1].record(NodeId(2)).unwrap().generation,
        Generation(4)
    );
    world.assert_agreed();
}

#[test]
fn of_two_nodes_that_live_under_one_name_the_copy_stops() {
    let mut world = World::born(3, 4);
    let copy = world.disks[&2].clone();
    world.restart(2);
    world.run(20);
    let original = world.nodes.remove(&2).unwrap();
    world.disks.insert(2, copy);
    world.restart(2); // generation 2, like the original, in another boot
    world.run(20);
    let generation = Generation(2);
    assert!(world.told[&2].contains(&Output::Overtaken { generation }));
    world.told.clear();
    world.nodes.insert(2, original);
    world.run(20);
    assert!(world.nodes[&2].is_serving());
    assert!(
        world
            .told
            .get(&2)
            .is_none_or(|told| !told.contains(&Output::Overtaken { generation }))
    );
}

#[test]
fn a_removed_node_that_returns_learns_it_and_serves_nothing() {
    let mut world = World::born(4, 5);
    let gone = world.nodes.remove(&4).unwrap();
    world.commit(1, [Change::Remove(NodeId(4))]);
    world.run(20);
    assert!(world.nodes[&1].is_settled()); // nobody waits for it
    world.nodes.insert(4, gone);
    world.run(20);
    assert!(world.told[&4].contains(&Output::Removed));
    assert!(!world.nodes[&4].is_serving());
    assert!(world.nodes[&1].record(NodeId(4)).is_none());
    world.restart(4);
    world.run(5);
    assert!(!world.nodes[&4].is_serving());
    assert!(world.node(1).stage(join(4)).is_err());
}

#[test]
fn what_a_removed_node_decided_meanwhile_is_not_lost() {
    let mut world = World::born(4, 6);
    world.groups.insert(4, 1);
    world.commit(
        4,
        [Change::Weigh {
            node: NodeId(2),
            weight: 5,
        }],
    );
    world.commit(1, [Change::Remove(NodeId(4))]);
    world.run(10);
    world.groups.clear();
    world.run(30);
    world.assert_agreed();
    let ring = world.node(1).ring().unwrap();
    assert_eq!(ring.member(NodeId(2)).unwrap().weight, 5);
}

/// PITFALLS 19: one flipped bit, and gossip without checksums.
#[test]
fn a_damaged_history_is_refused() {
    let mut world = World::born(3, 7);
    world.newcomer(4);
    world.commit(
        1,
        [
            join(4),
            Change::Weigh {
                node: NodeId(1),
                weight: 2,
            },
        ],
    );
    world.run(10);
    world.node(1).ring().unwrap();
    let saved = world.nodes[&1].to_bytes();
    for bit in 0..8 * saved.len() {
        let mut damaged = saved.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let config = world.config(1);
        assert!(
            Membership::restart(config, damaged.into(), Seed(1)).is_err(),
            "bit {bit}"
        );
    }
    for len in 0..saved.len() {
        let config = world.config(1);
        assert!(Membership::restart(config, saved.slice(..len), Seed(1)).is_err());
    }
}

#[test]
fn damaged_commits_and_records_are_not_taken_in() {
    let mut world = World::born(3, 8);
    world.commit(
        1,
        [Change::Weigh {
            node: NodeId(1),
            weight: 2,
        }],
    );
    let (now, mut out) = (world.at(), Vec::new());
    world.node(1).tick(now, &mut out);
    let whole = world.nodes[&1].epoch();
    let heads = super::super::gossip::Kind::Digest {
        epoch: Epoch {
            height: 1,
            digest: 0,
        },
        heads: Vec::from([world.nodes[&1].history().unwrap().root()]),
        roster: 0,
        confirmed: 0,
        retired: Default::default(),
    };
    out.clear();
    world.node(1).handle(now, NodeId(2), heads.into(), &mut out);
    let commits = out.iter().find_map(|it| match it {
        Output::Send { message, .. } if message.name() == "commits" => Some(message.clone()),
        _ => None,
    });
    let mut bytes = Vec::new();
    commits.unwrap().encode(&mut bytes);
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok(message) = Gossip::decode(&damaged.into()) else {
            continue;
        };
        let config = world.config(2);
        let mut node = Membership::restart(config, world.disks[&2].clone(), Seed(1)).unwrap();
        let mut out = Vec::new();
        node.tick(now, &mut out);
        let Some(Output::Save(mark)) = out.pop() else {
            panic!("{out:?}")
        };
        node.saved(mark, &mut out);
        let before = node.epoch();
        node.handle(now, NodeId(1), message, &mut out);
        assert!(node.epoch() == before || node.epoch() == whole, "bit {bit}");
    }
}

#[test]
fn stores_and_peers_of_others_are_refused() {
    let mut world = World::born(2, 9);
    let saved = world.disks[&1].clone();
    let other = Config::new(CLUSTER, member(2), Boot(1));
    let refused = Membership::restart(other, saved.clone(), Seed(1)).unwrap_err();
    assert_eq!(refused, SavedError::OtherNode(NodeId(1)));
    let other = Config::new(ClusterId(8), member(1), Boot(1));
    let refused = Membership::restart(other, saved, Seed(1)).unwrap_err();
    assert_eq!(refused, SavedError::OtherCluster);

    // A node born into another cluster of the same name.
    let stranger = super::world::birth(1, true);
    let config = world.config(1);
    let mut node = Membership::birth(config, stranger, Seed(1)).unwrap();
    let (now, mut out) = (world.at(), Vec::new());
    node.tick(now, &mut out);
    let Some(Output::Save(mark)) = out.pop() else {
        panic!("{out:?}")
    };
    node.saved(mark, &mut out);
    let epoch = node.epoch();
    let digest = super::super::gossip::Kind::Locate {
        names: world.nodes[&2].history().unwrap().locate(),
        is_answer: false,
    };
    out.clear();
    node.handle(now, NodeId(2), digest.into(), &mut out);
    assert_eq!(out, [Output::OtherCluster(NodeId(2))]);
    assert_eq!(node.epoch(), epoch);
}

#[test]
fn what_cannot_be_does_not_start() {
    let mut light = member(1);
    light.weight = 0;
    let config = Config::new(CLUSTER, light, Boot(1));
    assert_eq!(
        Membership::newcomer(config, Seed(1)).unwrap_err(),
        StartError::Unsound
    );
    let config = Config::new(CLUSTER, member(9), Boot(1));
    let refused = Membership::birth(config, super::world::birth(3, false), Seed(1)).unwrap_err();
    assert_eq!(refused, StartError::Birth);
}
