//! What versions do in the cases that other systems got wrong. Numbers are rows of the list of
//! pitfalls.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod contexts;
mod encodings;
mod last_write_wins;
mod retirement;
mod truncation;

use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::version::{
    Behind, Births, Boot, Causality, Content, Context, ContextError, Dot, FieldKind, Height,
    Metadata, MintError, Minted, Past, Policy, Record, RequestId, RetiredTwice, Retirements, Rules,
    Seal, Siblings, Write,
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
        let content = Content::plain(Bytes::copy_from_slice(text.as_bytes()));
        self.try_write(node, past, content, secs)
    }

    fn try_write(
        &self,
        node: &mut Node,
        past: Option<&Past>,
        content: Content,
        secs: u32,
    ) -> Result<Minted, MintError> {
        let rules = Rules {
            policy: self.policy,
            truncate_to: self.truncate_to,
            limits: &self.limits,
            retired: &self.retired,
        };
        let write = Write {
            past,
            content,
            request: RequestId(0),
        };
        let now = WallTime::from_secs(secs);
        node.record.mint(write, now, &mut node.births, &rules)
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
        node.record.siblings().past()
    }

    fn sync(&self, from: &Node, to: &mut Node) {
        let state = from.record.siblings().clone();
        to.record.merge(state, self.policy, &self.retired).unwrap();
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
    assert_eq!(a.record.siblings(), b.record.siblings());
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

    let refused = bucket.try_put(&mut node, Some(&seen), "three", 1000);
    assert_eq!(refused, Err(MintError::Impostor(lost)), "the node is told");
    node.births.renew(Boot(0xdead));
    let next = bucket.put(&mut node, Some(&seen), "three");
    assert_ne!(next.actor, lost.actor);
    assert_eq!(node.texts(), ["three"]);
}

/// Row 4: another process bears our node id and boot, for instance a copied virtual machine.
#[test]
fn a_node_that_meets_its_own_name_mints_nothing_under_it() {
    let bucket = siblings_bucket();
    let (mut node, mut twin) = (Node::new(1), Node::new(1));
    let foreign = bucket.put(&mut twin, None, "the twin's");
    bucket.sync(&twin, &mut node);
    let before = node.record.clone();
    let refused = bucket.try_put(&mut node, None, "ours", 1000);
    assert_eq!(refused, Err(MintError::Impostor(foreign)));
    assert_eq!(node.record, before);

    // The same while the actor is in use here.
    let mut node = Node::new(1);
    let mut twin = Node::new(1);
    bucket.put(&mut node, None, "ours");
    bucket.put(&mut twin, None, "the twin's");
    let foreign = bucket.update(&mut twin, "the twin's second");
    bucket.sync(&twin, &mut node);
    let refused = bucket.try_put(&mut node, None, "ours again", 1000);
    assert_eq!(refused, Err(MintError::Impostor(foreign)));

    node.births.renew(Boot(0xdead));
    bucket.put(&mut node, None, "renewed");
    assert!(node.texts().contains(&"renewed".to_owned()));
}

/// The twin forgets what gave it away: the dot it would have minted next is the other's.
#[test]
fn two_copies_of_a_running_machine_never_mint_one_dot() {
    let bucket = siblings_bucket();
    let (mut one, mut two) = (Node::new(1), Node::new(1));
    bucket.put(&mut one, None, "first");
    two.record = Record::received(one.record.siblings().clone());
    one.record = Record::default();
    let second = bucket.put(&mut one, None, "second");
    assert!(bucket.try_put(&mut two, None, "third", 1000).is_err());
    two.births.renew(Boot(0xdead));
    assert_ne!(bucket.put(&mut two, None, "third"), second);
    bucket.sync(&one, &mut two);
    assert_eq!(two.texts(), ["first", "second", "third"]);
}

/// After a restart the record names actors of the boot before: no impostors.
#[test]
fn a_nodes_own_past_is_no_impostor() {
    let bucket = siblings_bucket();
    let (mut node, mut other) = (Node::new(1), Node::new(2));
    bucket.put(&mut node, None, "one");
    bucket.sync(&node, &mut other);
    bucket.update(&mut node, "two");
    let seen = bucket.read(&node);
    bucket.sync(&other, &mut node);
    node.restart();
    bucket.put(&mut node, Some(&seen), "three");
    assert_eq!(node.texts(), ["three"]);
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
        let merged = other
            .record
            .merge(frame.clone(), bucket.policy, &bucket.retired);
        assert_eq!(merged, Ok(false));
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
fn metadata_has_a_limit_too() {
    let mut bucket = siblings_bucket();
    bucket.limits.metadata_bytes = 10;
    let mut metadata = Metadata::builder();
    metadata.push(FieldKind::USER, b"name", b"value").unwrap();
    let metadata = metadata.build();
    let mut node = Node::new(1);
    let content = Content::Live {
        metadata,
        body: Bytes::new(),
    };
    assert_eq!(
        bucket.try_write(&mut node, None, content, 1),
        Err(MintError::MetadataTooLarge { len: 16, limit: 10 })
    );
}

/// Merging may take a key over its limits; it can still be written to if that makes it no larger.
#[test]
fn a_key_over_its_limits_can_be_resolved() {
    let mut bucket = siblings_bucket();
    let (mut node, mut other) = (Node::new(1), Node::new(2));
    for text in ["1", "2"] {
        bucket.put(&mut node, None, text);
        bucket.put(&mut other, None, text);
    }
    bucket.sync(&other, &mut node);
    bucket.limits = Limits {
        siblings: 1,
        actors: 1,
        ..Limits::default()
    };
    assert!(bucket.try_put(&mut node, None, "5", 1).is_err());
    bucket.update(&mut node, "resolved");
    assert_eq!(node.texts(), ["resolved"]);
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
