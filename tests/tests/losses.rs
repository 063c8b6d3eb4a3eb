//! How other systems of this kind lost or brought back data, one test for each: by the number under
//! which it was reported, or as a chain of faults each of which alone is survived.
//!
//! kv, riak_cs: Riak; orkv: its predecessor's repair; sc, cassandra: stores after the same paper.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use dynamo_proto::node::Failure;
use dynamo_sim::{Count, Lab, LabError};

const KEY: &str = "cart";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What all three replicas have together.
fn all(lab: &mut Lab, at: usize) -> Vec<String> {
    lab.with_quorum(3, 2).get(at, KEY).unwrap().texts()
}

/// A coordinator lost what it had of a key and counts from one again: what it writes then must not
/// pass for something that the others have seen long ago.
#[test]
fn kv_679_a_write_after_its_coordinator_lost_the_key_is_kept() {
    let mut lab = Lab::new(3, 2, 2);
    let mut seen = None;
    for value in ["one", "two", "three"] {
        lab.put(0, KEY, value, seen.as_ref()).unwrap();
        seen = Some(lab.get(0, KEY).unwrap());
    }
    lab.wipe(0);
    lab.put(0, KEY, "after", None).unwrap();
    assert_eq!(all(&mut lab, 1), ["after", "three"]);
    assert_eq!(all(&mut lab, 0), ["after", "three"]);
}

/// The same, but the coordinator first gets the key from others, and not all of it.
#[test]
fn kv_1643_a_write_after_its_coordinator_was_given_an_older_state_is_kept() {
    let mut lab = Lab::new(3, 2, 2);
    lab.put(0, KEY, "one", None).unwrap();
    let first = lab.get(0, KEY).unwrap();
    // Node 2 stays behind.
    lab.cut(&[0, 1], &[2]);
    lab.put(0, KEY, "two", Some(&first)).unwrap();
    let second = lab.get(0, KEY).unwrap();
    lab.put(0, KEY, "three", Some(&second)).unwrap();
    // Node 0 loses the key, and is given what node 2 has before it hears of the rest.
    lab.cut(&[0], &[1]);
    lab.stop(0);
    lab.heal();
    lab.cut(&[0, 2], &[1]);
    lab.wipe(0);
    lab.with_quorum(2, 2).get(0, KEY).unwrap();
    lab.wait(secs(1));
    lab.put(0, KEY, "four", Some(&first)).unwrap();
    lab.heal();
    assert_eq!(all(&mut lab, 1), ["four", "three"]);
}

/// Two nodes that began with the same disk must not write under the same name.
#[test]
fn kv_1865_nodes_with_one_anothers_disks_never_mint_the_same_dot() {
    let mut lab = Lab::new(3, 1, 1);
    lab.put(0, KEY, "both", None).unwrap();
    let seen = lab.get(0, KEY).unwrap();
    lab.clone_disk(0, 1);
    lab.cut(&[0], &[1, 2]);
    lab.cut(&[1], &[2]);
    lab.put(0, KEY, "left", Some(&seen)).unwrap();
    lab.put(1, KEY, "right", Some(&seen)).unwrap();
    lab.heal();
    assert_eq!(all(&mut lab, 2), ["left", "right"]);
    lab.wait(secs(5));
    assert!(lab.is_settled(KEY));
    let repaired = lab.count(Count::RepairSent);
    all(&mut lab, 0);
    lab.wait(secs(5));
    assert_eq!(
        lab.count(Count::RepairSent),
        repaired,
        "repairs without end"
    );
}

/// Those on duty are away, and whoever stands in for them has never heard of the key: that is no
/// answer.
#[test]
fn riak_cs_170_a_stand_in_that_knows_nothing_does_not_say_that_there_is_nothing() {
    let mut lab = Lab::new(5, 1, 2);
    lab.put(0, KEY, "there", None).unwrap();
    let order = lab.in_order_of_duty(KEY);
    let (on_duty, others) = order.split_at(3);
    lab.cut(on_duty, others);
    lab.wait(secs(10));
    for node in others {
        match lab.get(*node, KEY) {
            Ok(read) => panic!("{:?} of nothing", read.values()),
            Err(error) => assert!(
                matches!(error, LabError::Failed(Failure::TooFew { .. })),
                "{error}"
            ),
        }
    }
}

/// One replica has a value and two have nothing, which is enough to answer that there is nothing.
/// The value that comes late is repaired into the others all the same.
#[test]
fn orkv_114_two_that_have_nothing_are_repaired_from_the_one_that_has_a_value() {
    let mut lab = Lab::new(3, 2, 1);
    lab.cut(&[0], &[1, 2]);
    lab.put(0, KEY, "lonely", None).unwrap();
    // What its coordinator owes the others is gone with it, but not the value.
    lab.stop(0);
    lab.heal();
    lab.restart(0);
    lab.slow(0, 50);
    lab.with_quorum(2, 1);
    lab.get(1, KEY).unwrap();
    lab.wait(secs(20));
    lab.slow(0, 1);
    lab.get(2, KEY).unwrap();
    lab.wait(secs(20));
    assert!(lab.is_settled(KEY));
    assert_eq!(all(&mut lab, 1), ["lonely"]);
}

/// However much is held for a node that is away, writes that enough others have are done.
#[test]
fn sc_8863_holding_no_more_for_others_fails_no_write_that_enough_have() {
    let mut lab = Lab::with(4, (2, 2), |scenario| scenario.knobs.hints = 3);
    lab.stop(1);
    lab.wait(secs(5));
    for number in 0..200 {
        let key = format!("key-{number}");
        let put = lab.put(0, &key, "value", None);
        assert!(
            put.is_ok(),
            "{key}: {put:?}, {:?}",
            lab.in_order_of_duty(&key)
        );
    }
    for node in [0, 2, 3] {
        assert!(lab.held(node) <= 3, "{} copies are held", lab.held(node));
    }
}

/// One slow replica: everybody else goes on, and does not hold for it all that it is slow to take.
#[test]
fn sc_4191_a_slow_replica_is_not_taken_for_one_that_is_away() {
    let mut lab = Lab::new(5, 2, 2);
    lab.slow(1, 200);
    for number in 0..500 {
        let key = format!("key-{}", number % 50);
        match lab.put(0, &key, "value", None) {
            // So many siblings.
            Ok(_) | Err(LabError::Failed(Failure::Refused(_))) => {}
            Err(error) => panic!("{key}: {error}"),
        }
    }
    let held: u64 = (0..5).map(|node| lab.held(node)).sum();
    assert!(held <= 50, "{held} copies are held for a node that answers");
    lab.slow(1, 1);
    lab.wait(secs(60));
    assert_eq!((0..5).map(|node| lab.held(node)).sum::<u64>(), 0);
}

/// Chain 1: a corrupt record reads as nothing, its coordinator mints an old dot, the others know
/// better, and repair deletes what was acknowledged.
#[test]
fn chain_1_a_write_over_a_corrupt_record_is_kept() {
    let mut lab = Lab::new(3, 2, 2);
    let mut seen = None;
    for value in ["one", "two", "three"] {
        lab.put(0, KEY, value, seen.as_ref()).unwrap();
        seen = Some(lab.get(0, KEY).unwrap());
    }
    assert!(lab.damage(0, KEY));
    lab.put(0, KEY, "blind", None).unwrap();
    lab.put(0, KEY, "after", seen.as_ref()).unwrap();
    for node in 0..3 {
        assert_eq!(all(&mut lab, node), ["after", "blind"]);
        lab.wait(secs(1));
    }
    assert!(lab.is_settled(KEY));
}

/// Chain 4: a node pauses, is taken for dead, is given back what was held for it, and pauses under
/// that again.
#[test]
fn chain_4_a_node_that_pauses_again_and_again_is_not_buried_in_what_was_held_for_it() {
    let mut lab = Lab::new(5, 2, 2);
    let mut number = 0;
    for _ in 0..8 {
        for _ in 0..40 {
            number += 1;
            lab.put(0, &format!("key-{number}"), vec![7; 4000], None)
                .unwrap();
        }
        // As long as it takes to be suspected, and to be trusted again.
        lab.pause(1, secs(6));
        lab.wait(secs(1));
    }
    lab.wait(secs(60));
    for node in 0..5 {
        assert_eq!(lab.held(node), 0, "node {node} still holds something");
    }
    for number in 1..=number {
        assert!(lab.is_settled(&format!("key-{number}")), "key-{number}");
    }
}

/// Chain 5: a limit on siblings keeps replicas from merging, so that every read repairs again.
#[test]
fn chain_5_more_siblings_than_a_client_may_make_do_not_keep_replicas_apart() {
    let mut lab = Lab::with(3, (2, 1), |scenario| scenario.quorum.siblings = 3);
    lab.cut(&[0], &[1, 2]);
    lab.cut(&[1], &[2]);
    for node in 0..3 {
        for number in 0..3 {
            lab.put(node, KEY, format!("{node}-{number}"), None)
                .unwrap();
        }
    }
    lab.heal();
    assert_eq!(all(&mut lab, 0).len(), 9);
    lab.wait(secs(20));
    assert!(lab.is_settled(KEY));
    let repaired = lab.count(Count::RepairSent);
    for _ in 0..20 {
        assert_eq!(all(&mut lab, 1).len(), 9);
        lab.wait(secs(1));
    }
    assert_eq!(
        lab.count(Count::RepairSent),
        repaired,
        "repairs without end"
    );
    let seen = lab.get(2, KEY).unwrap();
    lab.put(2, KEY, "merged", Some(&seen)).unwrap();
    assert_eq!(all(&mut lab, 0), ["merged"]);
}

/// What three nodes wrote while they were apart is more than a frame holds. It keeps nothing else back, nobody is
/// taken to be away for it, and whoever reads it where it is can write it shorter.
#[test]
fn a_key_that_has_outgrown_a_frame_keeps_no_other_key_back() {
    let mut lab = Lab::with(3, (2, 1), |scenario| {
        scenario.knobs.value_bytes = 5000;
        scenario.knobs.record_bytes = 20_000;
        scenario.knobs.frame_bytes = 40_000;
    });
    lab.cut(&[0], &[1, 2]);
    lab.cut(&[1], &[2]);
    for node in 0..3 {
        for number in 0..3 {
            let value = vec![b'a' + 3 * node as u8 + number; 4900];
            lab.put(node, KEY, value, None).unwrap();
        }
        for number in 0..20 {
            let key = format!("key-{number}");
            lab.put(node, &key, format!("{node}"), None).unwrap();
        }
    }
    lab.heal();
    lab.wait(secs(30));
    for number in 0..20 {
        assert!(lab.is_settled(&format!("key-{number}")), "key-{number}");
    }
    let suspected = lab.count(Count::Suspected);
    let read = lab.with_quorum(2, 1).get(0, KEY);
    assert!(read.is_err(), "what others have of it cannot be sent");
    let read = lab.with_quorum(1, 1).get(0, KEY).unwrap();
    assert_eq!(read.values().len(), 9);
    assert!(lab.count(Count::TooLong) > 0);
    assert_eq!(lab.count(Count::Suspected), suspected);
    lab.put(0, KEY, "all of it", Some(&read)).unwrap();
    lab.wait(secs(10));
    assert!(lab.is_settled(KEY));
    assert_eq!(
        lab.with_quorum(3, 1).get(2, KEY).unwrap().texts(),
        ["all of it"]
    );
}

/// What one node owes the others of a key can be too long to be sent. When the key is shorter again, it is
/// not owed any more.
#[test]
fn what_is_held_and_too_long_for_a_frame_goes_home_when_the_key_is_shorter() {
    let mut lab = Lab::with(5, (1, 1), |scenario| {
        scenario.knobs.value_bytes = 5000;
        scenario.knobs.record_bytes = 20_000;
        scenario.knobs.frame_bytes = 40_000;
    });
    let order = lab.in_order_of_duty(KEY);
    for node in 0..5 {
        let others: Vec<_> = (0..5).filter(|other| *other != node).collect();
        lab.cut(&[node], &others);
    }
    lab.wait(secs(10));
    for node in 0..5 {
        for number in 0..3 {
            let value = vec![b'a' + 3 * node as u8 + number; 4900];
            lab.put(node, KEY, value, None).unwrap();
        }
    }
    let first = order[0];
    let own = lab.get(first, KEY).unwrap();
    assert_eq!(own.values().len(), 3);
    lab.heal();
    lab.wait(secs(30));
    lab.put(first, KEY, vec![b'z'; 4900], Some(&own)).unwrap();
    lab.wait(secs(10));
    assert_eq!(lab.held(first), 2, "owed to the other two, and too long");
    let all = lab.get(first, KEY).unwrap();
    assert_eq!(all.values().len(), 13);
    lab.put(first, KEY, "all of it", Some(&all)).unwrap();
    lab.wait(secs(10));
    assert_eq!(lab.held(first), 0);
    assert!(lab.is_settled(KEY));
}
