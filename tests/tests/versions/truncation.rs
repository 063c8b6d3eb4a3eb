//! The paper's way of keeping clocks short.

use super::*;

fn worn(bucket: &Bucket, boots: u32) -> Node {
    let mut node = Node::new(1);
    for secs in 1..=boots {
        bucket.try_update(&mut node, "x", secs).unwrap();
        node.restart();
    }
    node
}

fn updates(node: &Node) -> Vec<u32> {
    let entries = node.record.siblings().clock().entries();
    let mut updates: Vec<_> = entries.iter().map(|entry| entry.updated).collect();
    updates.sort_unstable();
    updates
}

#[test]
fn is_off_unless_asked_for() {
    assert_eq!(entries(&worn(&siblings_bucket(), 30)).len(), 30);
}

#[test]
fn drops_the_entries_updated_longest_ago() {
    let bucket = Bucket {
        truncate_to: Some(10),
        ..siblings_bucket()
    };
    assert_eq!(updates(&worn(&bucket, 30)), (21..=30).collect::<Vec<_>>());
}

#[test]
fn never_drops_an_actor_with_a_live_value() {
    let bucket = Bucket {
        truncate_to: Some(1),
        ..siblings_bucket()
    };
    let mut node = Node::new(1);
    for secs in 1..=3 {
        bucket.try_put(&mut node, None, "blind", secs).unwrap();
        node.restart();
    }
    assert_eq!(updates(&node), [1, 2, 3]);
    bucket.try_update(&mut node, "merged", 4).unwrap();
    assert_eq!(updates(&node), [4]);
}

#[test]
fn never_happens_in_a_merge() {
    let worn = worn(&siblings_bucket(), 30);
    let bucket = Bucket {
        truncate_to: Some(10),
        ..siblings_bucket()
    };
    let mut other = Node::new(2);
    bucket.sync(&worn, &mut other);
    assert_eq!(entries(&other).len(), 30);
}

/// The oldest by the time of its last update, whatever its place in the clock.
#[test]
fn goes_by_time_not_by_name() {
    let bucket = Bucket {
        truncate_to: Some(2),
        ..siblings_bucket()
    };
    let mut nodes = [Node::new(1), Node::new(2), Node::new(3)];
    for (at, secs) in [(0, 30), (1, 10), (2, 20)] {
        let past = nodes.iter().fold(Past::default(), |mut all, node| {
            all.join(&bucket.read(node));
            all
        });
        bucket
            .try_put(&mut nodes[at], Some(&past), "x", secs)
            .unwrap();
    }
    assert_eq!(entries(&nodes[2]), [(1, 1), (3, 1)]);
}

#[test]
fn stands_in_for_the_limit_on_actors() {
    let limits = Limits {
        actors: 2,
        ..Limits::default()
    };
    let bucket = Bucket {
        truncate_to: Some(2),
        limits,
        ..siblings_bucket()
    };
    assert_eq!(updates(&worn(&bucket, 5)), [4, 5]);
}
