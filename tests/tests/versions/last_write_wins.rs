//! Buckets in which one write stays.

use super::*;

/// A peer of another mind sends siblings.
#[test]
fn siblings_taken_over_by_an_absent_key_are_decided_too() {
    let (siblings, bucket) = (siblings_bucket(), last_write_wins_bucket());
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    siblings.try_put(&mut one, None, "later", 1001).unwrap();
    siblings.try_put(&mut other, None, "earlier", 1000).unwrap();
    siblings.sync(&one, &mut other);
    let mut absent = Node::new(3);
    bucket.sync(&other, &mut absent);
    assert_eq!(absent.texts(), ["later"]);
    bucket.try_update(&mut absent, "last", 1002).unwrap();
    let mut bytes = Vec::new();
    absent.record.siblings().encode(&mut bytes);
    assert_eq!(
        &Siblings::decode(bytes.into()).unwrap(),
        absent.record.siblings()
    );
}

#[test]
fn what_came_causally_later_wins_whatever_the_clocks_say() {
    let bucket = last_write_wins_bucket();
    let (mut fast, mut slow) = (Node::new(1), Node::new(2));
    bucket.try_put(&mut fast, None, "early", 1005).unwrap();
    // The slow node has never heard of it; only the client's context has.
    bucket
        .try_put(&mut slow, Some(&bucket.read(&fast)), "late", 1000)
        .unwrap();
    bucket.sync(&fast, &mut slow);
    bucket.sync(&slow, &mut fast);
    assert_eq!(fast.texts(), ["late"]);
    assert_eq!(fast.record.siblings(), slow.record.siblings());
}

#[test]
fn of_concurrent_writes_the_higher_stamp_wins_and_then_the_higher_dot() {
    let bucket = last_write_wins_bucket();
    for (secs, winner) in [
        ([1001, 1000], "one"),
        ([1000, 1001], "other"),
        ([1000, 1000], "other"),
    ] {
        let (mut one, mut other) = (Node::new(1), Node::new(2));
        bucket.try_put(&mut one, None, "one", secs[0]).unwrap();
        bucket.try_put(&mut other, None, "other", secs[1]).unwrap();
        bucket.sync(&one, &mut other);
        bucket.sync(&other, &mut one);
        assert_eq!(one.texts(), [winner]);
        assert_eq!(one.record.siblings(), other.record.siblings());
    }
}

/// Three writes, of which one was pruned at one replica before its rival was superseded.
#[test]
fn replicas_that_pruned_different_writes_still_agree() {
    let bucket = last_write_wins_bucket();
    let (mut a, mut b, mut c) = (Node::new(1), Node::new(2), Node::new(3));
    bucket.try_put(&mut a, None, "ten", 1010).unwrap();
    bucket.try_put(&mut b, None, "eight", 1008).unwrap();
    bucket
        .try_put(&mut c, Some(&bucket.read(&a)), "after ten", 1007)
        .unwrap();
    let (mut p, mut q) = (Node::new(4), Node::new(5));
    for node in [&a, &b, &c] {
        bucket.sync(node, &mut p);
    }
    for node in [&c, &b, &a] {
        bucket.sync(node, &mut q);
    }
    assert_eq!(p.texts(), ["after ten"]);
    assert_eq!(p.record.siblings(), q.record.siblings());
}

/// Row 9.
#[test]
fn skew_is_refused_where_a_write_is_coordinated_and_nowhere_else() {
    let bucket = last_write_wins_bucket();
    let (mut ahead, mut sane) = (Node::new(1), Node::new(2));
    bucket
        .try_put(&mut ahead, None, "from the future", 1011)
        .unwrap();
    bucket.sync(&ahead, &mut sane);
    assert_eq!(sane.texts(), ["from the future"], "never in a merge");
    let refused = bucket.try_put(&mut sane, None, "now", 1000);
    assert!(matches!(refused, Err(MintError::ClockSkew { ahead }) if ahead.as_secs() == 11));
    // A microsecond beyond what it follows, so just within ten seconds.
    let (within, beyond) = (1_001_000_001, 1_001_000_000);
    assert!(put_at(&bucket, &mut sane, beyond).is_err());
    assert!(put_at(&bucket, &mut sane, within).is_ok());
}

/// One wrong clock must not make a key unwritable for those who know what is there.
#[test]
fn who_has_read_a_value_from_the_future_may_replace_it() {
    let bucket = last_write_wins_bucket();
    let (mut ahead, mut sane) = (Node::new(1), Node::new(2));
    bucket
        .try_put(&mut ahead, None, "from the future", 4_000_000_000)
        .unwrap();
    bucket.sync(&ahead, &mut sane);
    bucket.try_update(&mut sane, "now", 1000).unwrap();
    assert_eq!(sane.texts(), ["now"]);
}

#[test]
fn nothing_can_follow_the_end_of_time() {
    let bucket = Bucket {
        policy: Policy::LastWriteWins {
            max_skew: Duration::MAX,
        },
        ..last_write_wins_bucket()
    };
    let mut node = Node::new(1);
    put_at(&bucket, &mut node, u64::MAX).unwrap();
    assert!(put_at(&bucket, &mut node, 1).is_err());
    assert!(matches!(
        bucket.try_update(&mut node, "now", 1),
        Err(MintError::ClockSkew { .. })
    ));
}

/// Several contexts of one read go by the latest stamp of all.
#[test]
fn joined_contexts_remember_the_last_stamp() {
    let bucket = last_write_wins_bucket();
    let (mut early, mut late, mut third) = (Node::new(1), Node::new(2), Node::new(3));
    bucket.try_put(&mut early, None, "early", 1000).unwrap();
    bucket.try_put(&mut late, None, "late", 1005).unwrap();
    for order in [[&early, &late], [&late, &early]] {
        let mut past = bucket.read(order[0]);
        past.join(&bucket.read(order[1]));
        bucket
            .try_put(&mut third, Some(&past), "after both", 1001)
            .unwrap();
        let mut merged = Node::new(4);
        bucket.sync(&late, &mut merged);
        bucket.sync(&third, &mut merged);
        assert_eq!(merged.texts(), ["after both"]);
        third = Node::new(3);
    }
}

fn put_at(bucket: &Bucket, node: &mut Node, micros: u64) -> Result<Minted, MintError> {
    let rules = Rules {
        policy: bucket.policy,
        truncate_to: None,
        limits: &bucket.limits,
        retired: &bucket.retired,
    };
    let write = Write {
        past: None,
        content: Content::plain("then"),
        request: RequestId(0),
    };
    node.record.mint(
        write,
        WallTime::from_micros(micros),
        &mut node.births,
        &rules,
    )
}
