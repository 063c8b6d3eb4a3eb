//! What versions do in the cases that other systems got wrong. Numbers are rows of the list of
//! pitfalls.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::version::{
    Births, Boot, Causality, Content, Context, ContextError, Dot, MintError, Minted, Past, Policy,
    Record, RequestId, Retirements, Rules, Seal, Siblings, Write,
};
use dynamo_proto::{DecodeError, Key, Limits, NodeId, WallTime};

/// One node's part in one key.
struct Node {
    births: Births,
    record: Record,
}

/// The bucket that all nodes of a test share.
struct Bucket {
    policy: Policy,
    truncate_to: Option<usize>,
    limits: Limits,
    retired: Retirements,
}

fn siblings_bucket() -> Bucket {
    Bucket {
        policy: Policy::Siblings,
        truncate_to: None,
        limits: Limits::default(),
        retired: Retirements::default(),
    }
}

fn last_write_wins_bucket() -> Bucket {
    let policy = Policy::LastWriteWins {
        max_skew: Duration::from_secs(10),
    };
    Bucket {
        policy,
        ..siblings_bucket()
    }
}

impl Bucket {
    fn try_put(
        &self,
        node: &mut Node,
        past: Option<&Past>,
        text: &str,
        secs: u32,
    ) -> Result<Minted, MintError> {
        let rules = Rules {
            policy: self.policy,
            truncate_to: self.truncate_to,
            limits: &self.limits,
            retired: &self.retired,
        };
        let content = Content::plain(Bytes::copy_from_slice(text.as_bytes()));
        let write = Write {
            past,
            content,
            request: RequestId(0),
        };
        node.record
            .mint(write, WallTime::from_secs(secs), &mut node.births, &rules)
    }

    fn put(&self, node: &mut Node, past: Option<&Past>, text: &str) -> Dot {
        self.try_put(node, past, text, 1000).unwrap().dot
    }

    /// Reads and writes at one node.
    fn try_update(&self, node: &mut Node, text: &str, secs: u32) -> Result<Minted, MintError> {
        let past = self.read(node);
        self.try_put(node, Some(&past), text, secs)
    }

    fn update(&self, node: &mut Node, text: &str) -> Dot {
        self.try_update(node, text, 1000).unwrap().dot
    }

    fn read(&self, node: &Node) -> Past {
        node.record.siblings().past(self.policy)
    }

    fn sync(&self, from: &Node, to: &mut Node) {
        to.record
            .merge(from.record.siblings().clone(), self.policy, &self.retired);
    }
}

impl Node {
    fn new(id: u64) -> Self {
        Self {
            births: Births::new(NodeId(id), Boot(id << 8)),
            record: Record::default(),
        }
    }

    fn restart(&mut self) {
        self.births = Births::new(
            self.births.node(),
            Boot(self.record.minted().map_or(1, |dot| dot.actor.boot.0 + 1)),
        );
    }

    fn texts(&self) -> Vec<String> {
        texts(self.record.siblings())
    }
}

fn texts(siblings: &Siblings) -> Vec<String> {
    let bodies = siblings
        .values()
        .iter()
        .filter_map(|sibling| sibling.value.content.body());
    let mut texts: Vec<_> = bodies
        .map(|body| String::from_utf8(body.to_vec()).unwrap())
        .collect();
    texts.sort();
    texts
}

fn entries(node: &Node) -> Vec<(u64, u32)> {
    let entries = node.record.siblings().clock().entries();
    entries
        .iter()
        .map(|entry| (entry.actor.node.0, entry.counter))
        .collect()
}

#[test]
fn the_worked_example_of_the_paper() {
    let bucket = siblings_bucket();
    let (mut a, mut b) = (Node::new(0xa), Node::new(0xb));

    bucket.put(&mut a, None, "foo");
    bucket.sync(&a, &mut b);
    bucket.update(&mut a, "bar");
    bucket.sync(&a, &mut b);
    assert_eq!(entries(&b), [(0xa, 2)]);

    // The partition.
    bucket.update(&mut a, "baz");
    bucket.update(&mut b, "bax");
    assert_eq!(entries(&a), [(0xa, 3)]);
    assert_eq!(entries(&b), [(0xa, 2), (0xb, 1)]);
    let (here, there) = (a.record.siblings(), b.record.siblings());
    assert_eq!(here.compare(there, &bucket.retired), Causality::Concurrent);

    // It heals: both are returned, and one write that has seen both replaces them.
    bucket.sync(&a, &mut b);
    bucket.sync(&b, &mut a);
    assert_eq!(a.texts(), ["bax", "baz"]);
    assert_eq!(
        a.record,
        Record::kept(b.record.siblings().clone(), a.record.minted().copied())
    );
    bucket.put(&mut a, Some(&bucket.read(&b)), "merged");
    bucket.sync(&a, &mut b);
    assert_eq!(b.texts(), ["merged"]);
    assert_eq!(entries(&b), [(0xa, 4), (0xb, 1)]);
}

/// Row 1: a version vector per key made 99 siblings of this.
#[test]
fn two_interleaved_writers_never_see_more_than_two_siblings() {
    let bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    let mut pasts = [Past::default(), Past::default()];
    for round in 0..100 {
        for (client, past) in pasts.iter_mut().enumerate() {
            // Everything at one coordinator, then everything at two.
            let node = if round < 50 || client == 0 {
                &mut one
            } else {
                &mut other
            };
            bucket.put(node, Some(past), &format!("{client}.{round}"));
            *past = bucket.read(node);
            assert!(
                node.record.siblings().values().len() <= 2,
                "{:?}",
                node.texts()
            );
            bucket.sync(&one, &mut other);
            bucket.sync(&other, &mut one);
            assert!(
                one.record.siblings().values().len() <= 2,
                "{:?}",
                one.texts()
            );
        }
    }
}

/// Row 3. A fallback mints, hands the key home and forgets it. A counter taken up again would
/// claim to have seen what it forgot.
#[test]
fn a_forgetful_fallback_mints_under_a_newborn_actor() {
    let bucket = siblings_bucket();
    let (mut owner, mut fallback) = (Node::new(1), Node::new(0xf));

    let first = bucket.put(&mut fallback, None, "while the owner was away");
    bucket.sync(&fallback, &mut owner);
    fallback.record = Record::default();

    let second = bucket.put(&mut fallback, None, "the next time");
    assert_eq!(first.actor.node, second.actor.node);
    assert_ne!(first.actor, second.actor);
    bucket.sync(&fallback, &mut owner);
    assert_eq!(owner.texts(), ["the next time", "while the owner was away"]);
}

/// Row 3, the subtler way: the state comes back, but older than what was minted here.
#[test]
fn a_state_that_came_back_from_elsewhere_gets_a_newborn_actor() {
    let bucket = siblings_bucket();
    let (mut owner, mut fallback, mut stale) = (Node::new(1), Node::new(0xf), Node::new(3));

    bucket.put(&mut fallback, None, "one");
    bucket.sync(&fallback, &mut stale);
    let lost = bucket.update(&mut fallback, "two");
    bucket.sync(&fallback, &mut owner);
    fallback.record = Record::default();
    bucket.sync(&stale, &mut fallback);

    let next = bucket.put(&mut fallback, None, "three");
    assert_ne!(
        next, lost,
        "the dot of an acknowledged write was minted again"
    );
    bucket.sync(&fallback, &mut owner);
    assert_eq!(owner.texts(), ["three", "two"]);
}

#[test]
fn a_node_goes_on_under_its_actor_while_it_holds_the_key() {
    let bucket = siblings_bucket();
    let mut node = Node::new(1);
    for _ in 0..10 {
        bucket.update(&mut node, "again");
    }
    assert_eq!(entries(&node), [(1, 10)]);
}

#[test]
fn a_restart_ends_an_actor() {
    let bucket = siblings_bucket();
    let mut node = Node::new(1);
    let before = bucket.put(&mut node, None, "before");
    node.restart();
    let after = bucket.update(&mut node, "after");
    assert_ne!(before.actor, after.actor);
    assert_eq!(after.counter, 1);
    assert_eq!(node.texts(), ["after"]);
}

/// A lost tail: the client saw a later write of this very actor than the record has.
#[test]
fn a_context_that_knows_more_of_our_actor_than_we_do_ends_it() {
    let bucket = siblings_bucket();
    let mut node = Node::new(1);
    bucket.put(&mut node, None, "one");
    let before = node.record.clone();
    let lost = bucket.update(&mut node, "two");
    let seen = bucket.read(&node);
    node.record = before;

    let minted = bucket
        .try_put(&mut node, Some(&seen), "three", 1000)
        .unwrap();
    assert_ne!(minted.dot.actor, lost.actor);
    assert_eq!(minted.impostor, Some(lost), "and the node is told");
}

/// Row 4: another process bears our node id and boot, for instance a copied virtual machine.
#[test]
fn a_node_that_meets_its_own_name_says_so_and_avoids_the_actor() {
    let bucket = siblings_bucket();
    let (mut node, mut twin) = (Node::new(1), Node::new(1));
    let foreign = bucket.put(&mut twin, None, "the twin's");
    bucket.sync(&twin, &mut node);

    let minted = bucket.try_put(&mut node, None, "ours", 1000).unwrap();
    assert_eq!(minted.impostor, Some(foreign));
    assert_ne!(minted.dot.actor, foreign.actor);
    assert_eq!(node.texts(), ["ours", "the twin's"]);

    // The same while the actor is in use here.
    let mut node = Node::new(1);
    let mut twin = Node::new(1);
    bucket.put(&mut node, None, "ours");
    bucket.put(&mut twin, None, "the twin's");
    let foreign = bucket.update(&mut twin, "the twin's second");
    bucket.sync(&twin, &mut node);
    let minted = bucket.try_put(&mut node, None, "ours again", 1000).unwrap();
    assert_eq!(minted.impostor, Some(foreign));
    assert_ne!(minted.dot.actor, foreign.actor);

    node.births.renew(Boot(0xdead));
    assert_eq!(
        bucket
            .try_put(&mut node, None, "renewed", 1000)
            .unwrap()
            .impostor,
        None
    );
}

/// Row 7: a write without a context is neither dropped as stale nor supersedes anything.
#[test]
fn a_blind_write_is_concurrent_with_everything() {
    let bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    bucket.put(&mut one, None, "first");
    bucket.put(&mut one, None, "blind, same node");
    bucket.sync(&one, &mut other);
    bucket.put(&mut other, None, "blind, other node");
    bucket.sync(&other, &mut one);
    assert_eq!(
        one.texts(),
        ["blind, other node", "blind, same node", "first"]
    );
}

#[test]
fn a_stale_context_supersedes_what_it_saw_and_nothing_else() {
    let bucket = siblings_bucket();
    let mut node = Node::new(1);
    bucket.put(&mut node, None, "seen");
    let stale = bucket.read(&node);
    bucket.put(&mut node, Some(&stale), "unseen");
    let minted = bucket
        .try_put(&mut node, Some(&stale), "late", 1000)
        .unwrap();
    assert_eq!(minted.superseded, 0);
    assert_eq!(node.texts(), ["late", "unseen"]);
}

#[test]
fn a_context_that_knows_more_than_the_replica_supersedes_what_arrives_later() {
    let bucket = siblings_bucket();
    let (mut ahead, mut behind) = (Node::new(1), Node::new(2));
    bucket.put(&mut ahead, None, "old");
    bucket.update(&mut ahead, "new");
    bucket.put(&mut behind, Some(&bucket.read(&ahead)), "newest");
    bucket.sync(&ahead, &mut behind);
    assert_eq!(behind.texts(), ["newest"]);
}

#[test]
fn concurrent_writes_at_one_coordinator_are_both_kept() {
    let bucket = siblings_bucket();
    let mut node = Node::new(1);
    bucket.put(&mut node, None, "base");
    let (one, other) = (bucket.read(&node), bucket.read(&node));
    bucket.put(&mut node, Some(&one), "one");
    bucket.put(&mut node, Some(&other), "other");
    assert_eq!(node.texts(), ["one", "other"]);
    assert_eq!(entries(&node), [(1, 3)]);
}

#[test]
fn two_contexts_of_one_read_supersede_together() {
    let bucket = siblings_bucket();
    let seal = Seal::new([7; 16]);
    let key = Key::new("t", "b", "k", &bucket.limits).unwrap();
    let (mut one, mut other, mut third) = (Node::new(1), Node::new(2), Node::new(3));
    bucket.put(&mut one, None, "one");
    bucket.put(&mut other, None, "other");
    let parts = [&one, &other].map(|node| seal.close(&key, &bucket.read(node)));

    let past = seal.open_all(&key, &parts).unwrap();
    bucket.put(&mut third, Some(&past), "both");
    bucket.sync(&one, &mut third);
    bucket.sync(&other, &mut third);
    assert_eq!(third.texts(), ["both"]);
}

/// Row 24: a late or repeated frame changes nothing.
#[test]
fn a_state_merged_again_or_late_is_no_news() {
    let bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    bucket.put(&mut one, None, "old");
    let frame = one.record.siblings().clone();
    bucket.update(&mut one, "new");
    bucket.sync(&one, &mut other);
    let before = other.record.clone();
    for _ in 0..2 {
        assert!(
            !other
                .record
                .merge(frame.clone(), bucket.policy, &bucket.retired)
        );
        assert_eq!(other.record, before);
    }
}

#[test]
fn reads_show_one_request_once_and_merging_keeps_both() {
    let bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    bucket.put(&mut one, None, "retried");
    bucket.put(&mut other, None, "retried"); // the same request id, at another coordinator
    bucket.sync(&other, &mut one);
    assert_eq!(one.record.siblings().values().len(), 2);
    assert_eq!(one.record.siblings().answers().count(), 1);
}

#[test]
fn a_delete_is_a_write_that_leaves_nothing_to_read() {
    let bucket = siblings_bucket();
    let (mut one, mut other) = (Node::new(1), Node::new(2));
    bucket.put(&mut one, None, "value");
    bucket.sync(&one, &mut other);
    let rules = Rules {
        policy: bucket.policy,
        truncate_to: None,
        limits: &bucket.limits,
        retired: &bucket.retired,
    };
    let past = bucket.read(&one);
    let delete = Write {
        past: Some(&past),
        content: Content::Tombstone,
        request: RequestId(9),
    };
    one.record
        .mint(delete, WallTime::from_secs(1), &mut one.births, &rules)
        .unwrap();
    bucket.sync(&one, &mut other);
    assert!(other.record.siblings().is_deleted());
    assert!(!other.record.siblings().is_absent());

    // Created again by somebody who saw the delete.
    bucket.update(&mut other, "again");
    bucket.sync(&other, &mut one);
    assert_eq!(one.texts(), ["again"]);
    assert!(!one.record.siblings().is_deleted());
    assert_eq!(one.record.siblings().values().len(), 1);
}

#[test]
fn limits_refuse_a_client_and_leave_the_record_alone() {
    let mut bucket = siblings_bucket();
    bucket.limits = Limits {
        siblings: 2,
        actors: 2,
        value_bytes: 4,
        ..Limits::default()
    };
    let mut node = Node::new(1);
    assert_eq!(
        bucket.try_put(&mut node, None, "large", 1),
        Err(MintError::ValueTooLarge { len: 5, limit: 4 })
    );
    assert_eq!(node.record, Record::default());
    bucket.put(&mut node, None, "1234");
    bucket.put(&mut node, None, "2");
    let before = node.record.clone();
    assert_eq!(
        bucket.try_put(&mut node, None, "3", 1),
        Err(MintError::TooManySiblings { count: 3, limit: 2 })
    );
    assert_eq!(node.record, before);
    // With a context it is no third.
    bucket.update(&mut node, "3");
    assert_eq!(node.texts(), ["3"]);

    node.restart();
    bucket.update(&mut node, "4");
    bucket.update(&mut node, "5"); // the same actor: still two
    node.restart();
    let before = node.record.clone();
    assert_eq!(
        bucket.try_update(&mut node, "6", 1),
        Err(MintError::TooManyActors { count: 3, limit: 2 })
    );
    assert_eq!(node.record, before);
}

#[test]
fn limits_never_stop_a_merge() {
    let mut bucket = siblings_bucket();
    let mut nodes: Vec<_> = (1..=5).map(Node::new).collect();
    for node in &mut nodes {
        bucket.put(node, None, "one each");
    }
    bucket.limits = Limits {
        siblings: 1,
        actors: 1,
        value_bytes: 1,
        ..Limits::default()
    };
    let (first, others) = nodes.split_first_mut().unwrap();
    for other in others {
        bucket.sync(other, first);
    }
    assert_eq!(first.record.siblings().values().len(), 5);
}

mod last_write_wins {
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
        let refused = bucket.try_update(&mut sane, "now", 1000);
        assert!(matches!(refused, Err(MintError::ClockSkew { ahead }) if ahead.as_secs() == 11));
        bucket.try_update(&mut sane, "now", 1002).unwrap();
        assert_eq!(sane.texts(), ["now"]);
    }
}

mod retirement {
    use super::*;

    #[test]
    fn the_higher_of_two_heights_has_seen_more() {
        let mut bucket = siblings_bucket();
        let (mut one, mut other) = (Node::new(1), Node::new(2));
        bucket.put(&mut one, None, "value");
        bucket.sync(&one, &mut other);
        let height = bucket.retired.commit(NodeId(9), Boot(9));
        one.record.retire(height, &bucket.retired);
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
            one.record.retire(height, &bucket.retired);
            other.record.retire(height, &bucket.retired);
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
        one.record.retire(height, &bucket.retired);
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
        one.record.retire(height, &bucket.retired);
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
        node.record.retire(height, &bucket.retired);
        bucket.put(&mut node, Some(&old), "next");
        assert_eq!(node.texts(), ["next"]);
        assert_eq!(entries(&node).len(), 1);
    }

    /// A node that has not heard of a retirement shows too much rather than too little.
    #[test]
    fn whoever_has_not_heard_of_a_retirement_loses_nothing() {
        let mut bucket = siblings_bucket();
        let (mut one, mut late) = (Node::new(1), Node::new(2));
        let dot = bucket.put(&mut one, None, "old");
        bucket.sync(&one, &mut late);
        let unaware = bucket.retired.clone();
        let height = bucket.retired.commit(dot.actor.node, dot.actor.boot);
        one.record.retire(height, &bucket.retired);
        one.restart();
        bucket.update(&mut one, "new");

        late.record
            .merge(one.record.siblings().clone(), bucket.policy, &unaware);
        assert_eq!(late.texts(), ["new", "old"]);
        late.record.merge(
            one.record.siblings().clone(),
            bucket.policy,
            &bucket.retired,
        );
        assert_eq!(late.texts(), ["new"]);
    }
}

mod truncation {
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
}

mod contexts {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("default", "carts", name, &Limits::default()).unwrap()
    }

    fn some_past() -> Past {
        let bucket = siblings_bucket();
        let mut node = Node::new(1);
        bucket.put(&mut node, None, "x");
        node.restart();
        bucket.put(&mut node, None, "y");
        bucket.read(&node)
    }

    #[test]
    fn equal_states_give_equal_bytes() {
        let seal = Seal::new([1; 16]);
        let sealed = seal.close(&key("k"), &some_past());
        assert_eq!(sealed, Seal::new([1; 16]).close(&key("k"), &some_past()));
        assert_eq!(seal.open(&key("k"), &sealed).unwrap(), some_past());
    }

    #[test]
    fn one_flipped_bit_anywhere_is_an_error() {
        let seal = Seal::new([1; 16]);
        let sealed = seal.close(&key("k"), &some_past());
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(seal.open(&key("k"), &bytes.into()).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(
                seal.open(&key("k"), &sealed.slice(..len)).is_err(),
                "cut to {len}"
            );
        }
    }

    #[test]
    fn another_key_or_cluster_is_an_error() {
        let seal = Seal::new([1; 16]);
        let sealed = seal.close(&key("k"), &some_past());
        assert_eq!(seal.open(&key("l"), &sealed), Err(ContextError::Forged));
        assert_eq!(
            Seal::new([2; 16]).open(&key("k"), &sealed),
            Err(ContextError::Forged)
        );
    }

    /// Under a right seal, as only a later version of ours, or a leak of the secret, can make it.
    #[test]
    fn only_known_versions_open() {
        use siphasher::sip::SipHasher24;
        use std::hash::Hasher;

        let sealed = |version: u8| {
            let mut bytes = Seal::new([1; 16]).close(&key("k"), &some_past()).to_vec();
            bytes.truncate(bytes.len() - 8);
            bytes[0] = version;
            let mut hasher = SipHasher24::new_with_key(&[1; 16]);
            hasher.write(&bytes);
            hasher.write(key("k").encoded());
            hasher.write_u64(bytes.len() as u64);
            bytes.extend_from_slice(&hasher.finish().to_be_bytes());
            Bytes::from(bytes)
        };
        let open = |version| Seal::new([1; 16]).open(&key("k"), &sealed(version));
        assert_eq!(open(0), Err(ContextError::Forged));
        assert_eq!(open(1), Ok(some_past()));
        assert_eq!(open(2), Err(ContextError::Newer(2)));
    }

    #[test]
    fn a_later_version_is_told_apart_from_damage() {
        let mut bytes = Seal::new([1; 16]).close(&key("k"), &some_past()).to_vec();
        bytes[0] = 9;
        let opened = Seal::new([1; 16]).open(&key("k"), &bytes.into());
        assert_eq!(opened, Err(ContextError::Newer(9)));
    }

    #[test]
    fn who_answered_fastest_travels_beside_what_is_compared() {
        let sealed = Seal::new([1; 16]).close(&key("k"), &some_past());
        let plain = Context {
            sealed: sealed.clone(),
            fastest: None,
        };
        let advised = Context {
            sealed,
            fastest: Some(NodeId(5)),
        };
        assert_eq!(plain, advised);
        for context in [plain, advised] {
            let again = Context::decode(context.encode()).unwrap();
            assert_eq!(again, context);
            assert_eq!(again.fastest, context.fastest);
        }
        for bytes in [&b""[..], b"\x01", b"1234567\x01", b"\x02"] {
            assert!(Context::decode(Bytes::from_static(bytes)).is_err());
        }
    }
}

mod encodings {
    use super::*;

    /// Height, entries (node, boot, serial, counter, time), values.
    fn state(entries: &[(u64, u64, u64, u32)]) -> Result<Siblings, DecodeError> {
        let mut bytes = vec![0, 0, 0, 0];
        bytes.extend_from_slice(&(entries.len() as u32).to_be_bytes());
        for (node, boot, serial, counter) in entries {
            bytes.extend_from_slice(&node.to_be_bytes());
            bytes.extend_from_slice(&boot.to_be_bytes());
            bytes.extend_from_slice(&serial.to_be_bytes());
            bytes.extend_from_slice(&counter.to_be_bytes());
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes.extend_from_slice(&[0; 4]);
        Siblings::decode(bytes.into())
    }

    #[test]
    fn a_clock_that_is_out_of_order_or_counts_nothing_is_refused() {
        let clock = state(&[(1, 1, 1, 1), (1, 1, 2, 1), (1, 2, 0, 7), (2, 0, 0, 1)]).unwrap();
        assert_eq!(clock.clock().entries().len(), 4);
        for wrong in [
            &[(2, 0, 0, 1), (1, 0, 0, 1)][..],
            &[(1, 0, 0, 1), (1, 0, 0, 1)],
            &[(1, 0, 1, 1), (1, 0, 0, 1)],
            &[(1, 0, 0, 0)],
            &[(1, 0, 0, 1), (2, 0, 0, 0)],
        ] {
            assert_eq!(
                state(wrong),
                Err(DecodeError::Invalid("clock")),
                "{wrong:?}"
            );
        }
    }
}
