//! Boots that leave the clocks.

use super::*;

#[test]
fn the_higher_of_two_heights_has_seen_more() {
    let mut bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    bucket.put(&mut one, None, "value");
    bucket.sync(&one, &mut other);
    let height = bucket.retired.commit(NodeId(9), Boot(9));
    one.record.retire(height, &bucket.retired).unwrap();
    let (high, low) = (one.record.siblings(), other.record.siblings());
    assert_eq!(high.compare(low, &bucket.retired), Causality::After);
    assert_eq!(low.compare(high, &bucket.retired), Causality::Before);
    assert_eq!(high.compare(high, &bucket.retired), Causality::Equal);
}

/// Boot after boot, one key: the clock keeps one entry for each live value, everywhere the
/// same.
#[test]
fn retired_boots_leave_clocks_the_same_way_everywhere() {
    let mut bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    for _ in 0..10 {
        let dot = bucket.update(&mut one, "x");
        bucket.sync(&one, &mut other);
        one.restart();
        bucket.update(&mut one, "y");
        bucket.sync(&one, &mut other);
        let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
        one.record.retire(height, &bucket.retired).unwrap();
        other.record.retire(height, &bucket.retired).unwrap();
        assert_eq!(one.record.siblings(), other.record.siblings());
        assert_eq!(entries(&one).len(), 1);
    }
}

#[test]
fn a_retired_boot_stays_named_while_a_value_of_its_lives() {
    let mut bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    let dot = bucket.put(&mut one, None, "still read");
    bucket.sync(&one, &mut other);
    let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
    one.record.retire(height, &bucket.retired).unwrap();
    assert_eq!(one.texts(), ["still read"]);
    assert_eq!(entries(&one), [(1, 1)]);

    // One replica overwrites it and forgets the entry; the other still has the value.
    one.restart();
    bucket.update(&mut one, "newer");
    assert_eq!(entries(&one), [(1, 1)]);
    bucket.sync(&one, &mut other);
    assert_eq!(other.texts(), ["newer"], "what is left out counts as seen");
}

#[test]
fn a_replica_that_lost_the_key_has_not_seen_what_is_retired() {
    let mut bucket = siblings_bucket();
    let (mut one, mut wiped) = (Node::new(1), Node::new(2));
    let dot = bucket.put(&mut one, None, "acknowledged");
    let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
    one.record.retire(height, &bucket.retired).unwrap();
    bucket.put(&mut wiped, None, "blind, over nothing");
    bucket.sync(&wiped, &mut one);
    assert_eq!(one.texts(), ["acknowledged", "blind, over nothing"]);
}

#[test]
fn an_old_context_that_names_a_retired_boot_still_supersedes() {
    let mut bucket = siblings_bucket();
    let mut node = Node::new(1);
    let dot = bucket.put(&mut node, None, "seen");
    let old = bucket.read(&node);
    node.restart();
    let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
    node.record.retire(height, &bucket.retired).unwrap();
    bucket.put(&mut node, Some(&old), "next");
    assert_eq!(node.texts(), ["next"]);
    assert_eq!(entries(&node).len(), 1);
}

/// A node that has not heard of a retirement is told to, rather than being shown too much.
#[test]
fn whoever_has_not_heard_of_a_retirement_takes_nothing_in() {
    let mut bucket = siblings_bucket();
    let (mut one, mut late) = (Node::new(1), Node::new(2));
    let dot = bucket.put(&mut one, None, "old");
    bucket.sync(&one, &mut late);
    let unaware = bucket.retired.clone();
    let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
    one.record.retire(height, &bucket.retired).unwrap();
    one.restart();
    bucket.update(&mut one, "new");

    let before = late.record.clone();
    let state = one.record.siblings().clone();
    let merged = late.record.merge(state, bucket.policy, &unaware);
    assert_eq!(merged, Err(Behind { height }));
    assert_eq!(late.record, before);
    bucket.sync(&one, &mut late);
    assert_eq!(late.texts(), ["new"]);

    // The same for what a client has seen, and for an administrator in a hurry.
    let seen = bucket.read(&one);
    bucket.retired = unaware.clone();
    let mut coordinator = Node::new(3);
    let refused = bucket.try_put(&mut coordinator, Some(&seen), "next", 1000);
    assert_eq!(refused, Err(MintError::Behind(Behind { height })));
    assert_eq!(
        one.record.retire(Height(9), &unaware),
        Err(Behind { height: Height(9) })
    );
}

#[test]
fn a_retired_boot_mints_no_more() {
    let mut bucket = siblings_bucket();
    let (mut node, mut owner) = (Node::new(1), Node::new(2));
    let dot = bucket.put(&mut node, None, "old");
    bucket.sync(&node, &mut owner);
    let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
    owner.record.retire(height, &bucket.retired).unwrap();
    let seen = bucket.read(&owner);
    let refused = bucket.try_put(&mut node, Some(&seen), "acknowledged", 1000);
    assert_eq!(refused, Err(MintError::BootRetired));
    node.births.renew(Boot(0xdead));
    bucket.put(&mut node, Some(&seen), "acknowledged");
    bucket.sync(&node, &mut owner);
    assert_eq!(owner.texts(), ["acknowledged"]);
}

#[test]
fn a_state_taken_over_whole_is_canonical_too() {
    let mut bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    let dot = bucket.put(&mut one, None, "x");
    bucket.sync(&one, &mut other);
    let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
    assert_eq!(one.record.retire(height, &bucket.retired), Ok(true));
    assert_eq!(
        one.record.retire(height, &bucket.retired),
        Ok(false),
        "once is enough"
    );
    other.restart();
    bucket.update(&mut other, "y"); // still names the retired boot
    bucket.sync(&one, &mut other);
    let mut absent = Node::new(3);
    bucket.sync(&other, &mut absent);
    assert_eq!(absent.record.siblings(), other.record.siblings());
    assert_eq!(entries(&absent), [(2, 1)]);
}

#[test]
fn a_retired_entry_says_only_what_its_live_value_needs() {
    let mut bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    bucket.try_put(&mut one, None, "stays", 7).unwrap();
    let second = bucket.try_put(&mut one, None, "goes", 8).unwrap().dot;
    let seen = {
        let mut only = Node::new(9);
        bucket.sync(&one, &mut only);
        bucket.read(&only)
    };
    bucket.sync(&one, &mut other);
    let height = bucket.retired.commit(second.actor.node, second.actor.boot);
    for node in [&mut one, &mut other] {
        node.record.retire(height, &bucket.retired).unwrap();
        let entry = node.record.siblings().clock().entries()[0];
        assert_eq!((entry.counter, entry.updated), (2, 0));
    }
    one.births.renew(Boot(0xdead));
    bucket.put(&mut one, Some(&seen), "all seen");
    assert_eq!(entries(&one), [(1, 1)]);
}

#[test]
fn a_list_that_names_a_boot_twice_is_refused() {
    let list = vec![
        (NodeId(1), Boot(1)),
        (NodeId(2), Boot(1)),
        (NodeId(1), Boot(1)),
    ];
    assert_eq!(
        Retirements::try_from(list.clone()),
        Err(RetiredTwice(NodeId(1), Boot(1)))
    );
    let retired = Retirements::try_from(list[..2].to_vec()).unwrap();
    assert_eq!(Vec::from(retired), list[..2]);
}

fn delete(bucket: &Bucket, node: &mut Node) -> Dot {
    let past = bucket.read(node);
    let content = Content::Tombstone;
    bucket
        .try_write(node, Some(&past), content, 1000)
        .unwrap()
        .dot
}

/// What is left of a key that was deleted when all who wrote it are retired is what there was before
/// it: nothing, and whoever comes late with it has nothing to say.
#[test]
fn nothing_is_left_of_a_delete_whose_writers_are_retired() {
    for policy in [siblings_bucket().policy, last_write_wins_bucket().policy] {
        let mut bucket = Bucket {
            policy,
            ..siblings_bucket()
        };
        let (mut one, mut late) = (Node::new(1), Node::new(2));
        let dot = bucket.put(&mut one, None, "value");
        bucket.sync(&one, &mut late);
        delete(&bucket, &mut one);
        let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
        one.record.retire(height, &bucket.retired).unwrap();
        assert!(one.record.siblings().is_nothing());
        assert!(one.record.siblings().values().is_empty());

        let mut nothing = Node::new(3);
        nothing.record.retire(height, &bucket.retired).unwrap();
        assert_eq!(nothing.record.siblings(), one.record.siblings());

        let before = one.record.siblings().clone();
        bucket.sync(&late, &mut one);
        assert_eq!(*one.record.siblings(), before, "{policy:?}");
        bucket.sync(&one, &mut late);
        assert_eq!(*late.record.siblings(), before, "{policy:?}");
        // Nobody has it any more, and it is written again.
        one.restart();
        bucket.put(&mut one, None, "again");
        bucket.sync(&one, &mut late);
        assert_eq!(late.texts(), ["again"]);
    }
}

#[test]
fn a_delete_stays_beside_what_it_had_not_seen() {
    let mut bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    let dot = bucket.put(&mut one, None, "seen");
    let beside = bucket.put(&mut other, None, "not seen");
    delete(&bucket, &mut one);
    bucket.sync(&other, &mut one);
    let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
    one.record.retire(height, &bucket.retired).unwrap();
    assert_eq!(one.record.siblings().values().len(), 2);
    let height = bucket.retired.commit(beside.actor.node, beside.actor.boot);
    one.record.retire(height, &bucket.retired).unwrap();
    assert!(one.texts().contains(&"not seen".into()));
}

/// At one height both sides have seen all that retired boots wrote. Where neither has seen anything
/// since that the other lacks, and they differ, a disk has lied: nothing is taken for deleted.
#[test]
fn replicas_that_claim_to_have_seen_the_same_delete_nothing_of_each_other() {
    let mut bucket = siblings_bucket();
    let (mut one, mut liar) = (Node::new(1), Node::new(2));
    let dot = bucket.put(&mut one, None, "old");
    bucket.sync(&one, &mut liar);
    let reverted = liar.record.clone();
    one.restart();
    let next = bucket.update(&mut one, "new");
    bucket.sync(&one, &mut liar);
    bucket.retired.commit(dot.actor.node, dot.actor.boot);
    let height = bucket.retired.commit(next.actor.node, next.actor.boot);
    one.record.retire(height, &bucket.retired).unwrap();
    liar.record = reverted;
    liar.record.retire(height, &bucket.retired).unwrap();
    let (before, mut there) = (
        one.record.siblings().clone(),
        liar.record.siblings().clone(),
    );
    bucket.sync(&liar, &mut one);
    let mut texts = one.texts();
    texts.sort();
    assert_eq!(texts, ["new", "old"]);
    there.merge(before, bucket.policy, &bucket.retired).unwrap();
    assert_eq!(there, *one.record.siblings(), "whichever side merges");
}
