//! Histories unite like sets, and count in one order.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::world::{birth, join, member};
use crate::membership::rings::Rings;
use crate::membership::{
    Change, Commit, CommitId, Epoch, History, HistoryError, MAX_SINGLE_BUCKETS, State, Void,
};
use crate::{Bucket, NodeId, WallTime};

fn state(history: &History) -> State {
    history.state_after(history.order())
}

fn removed_in(history: &History) -> Vec<NodeId> {
    state(history).removed().collect()
}

fn commit(history: &mut History, author: u64, changes: Vec<Change>) -> CommitId {
    let commit = Commit {
        parents: history.parents(),
        author: NodeId(author),
        at: WallTime::from_secs(history.epoch().height),
        changes,
    };
    let id = commit.id();
    history.take_in([Arc::new(commit)]).unwrap();
    id
}

fn bytes(history: &History) -> Vec<u8> {
    let mut bytes = Vec::new();
    history.encode(&mut bytes);
    bytes
}

/// A change of few nodes, so that changes meet.
fn change() -> impl Strategy<Value = Change> {
    let id = 1..8_u64;
    prop_oneof![
        id.clone().prop_map(join),
        id.clone().prop_map(|id| Change::Leave(NodeId(id))),
        id.clone().prop_map(|id| Change::Remove(NodeId(id))),
        (id.clone(), id.clone()).prop_map(|(dead, by)| Change::Replace {
            dead: NodeId(dead),
            by: Arc::new(member(by)),
        }),
        (id.clone(), 1..4_u32).prop_map(|(id, weight)| Change::Weigh {
            node: NodeId(id),
            weight,
        }),
        id.prop_map(|id| Change::Place {
            node: NodeId(id),
            zone: "d".into(),
            host: "moved".into(),
        }),
        (0..3_u8, 0..3_u8, 1..4_u8).prop_map(|(kind, name, w)| Change::Keep {
            bucket_type: Vec::from([kind]).into(),
            name: (name > 0).then(|| [name].into()),
            bucket: Box::new(Bucket {
                r: 1,
                w: w.min(3),
                ..Bucket::default()
            }),
        }),
    ]
}

/// Three histories of one birth that have met now and then: who commits what, and who hears of it.
fn histories() -> impl Strategy<Value = [History; 3]> {
    let step = (
        0..3_usize,
        0..3_usize,
        prop::collection::vec(change(), 1..3),
    );
    prop::collection::vec(step, 0..14).prop_map(|steps| {
        let mut histories: [History; 3] = core::array::from_fn(|_| History::new(birth(3, false)));
        for (at, other, changes) in steps {
            if at == other {
                commit(&mut histories[at], at as u64, changes);
            } else {
                let other = histories[other].clone();
                histories[at].merge(&other).unwrap();
            }
        }
        histories
    })
}

fn united(one: &History, other: &History) -> History {
    let mut one = one.clone();
    one.merge(other).unwrap();
    one
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn uniting_is_commutative_associative_and_idempotent([a, b, c] in histories()) {
        prop_assert_eq!(bytes(&united(&a, &b)), bytes(&united(&b, &a)));
        prop_assert_eq!(
            bytes(&united(&united(&a, &b), &c)),
            bytes(&united(&a, &united(&b, &c)))
        );
        prop_assert_eq!(bytes(&united(&a, &a)), bytes(&a));
        prop_assert_eq!(united(&a, &b).epoch(), united(&b, &a).epoch());
    }

    #[test]
    fn what_is_followed_counts_before_what_follows([a, b, c] in histories()) {
        let all = united(&united(&a, &b), &c);
        let mut seen = BTreeSet::from([all.root()]);
        for (id, commit) in all.commits() {
            prop_assert!(commit.parents.iter().all(|it| seen.contains(it)));
            prop_assert!(seen.insert(id));
        }
        prop_assert_eq!(all.order().to_vec(), all.order_of(all.heads().iter().copied()));
    }

    #[test]
    fn an_epoch_grows_with_what_is_known([a, b, _] in histories()) {
        let both = united(&a, &b);
        for one in [&a, &b] {
            let (before, after) = (one.epoch(), both.epoch());
            prop_assert!(before.height < after.height || before == after);
            prop_assert_eq!(before == after, bytes(one) == bytes(&both));
        }
    }

    #[test]
    fn removal_is_final([a, b, c] in histories()) {
        let all = united(&united(&a, &b), &c);
        let state = state(&all);
        let removed: BTreeSet<NodeId> = state.removed().collect();
        for part in [&a, &b, &c] {
            for node in removed_in(part) {
                // Only who would have been the last was not removed.
                let spared = state.voided().iter().any(|it| {
                    it.why == Void::LastMember(node)
                        || matches!(all.commit(it.commit).unwrap().changes[it.change],
                            Change::Replace { dead, .. } if dead == node)
                });
                prop_assert!(removed.contains(&node) || spared, "{node} is back");
            }
        }
        prop_assert!(state.members().count() > 0);
        prop_assert!(state.members().all(|it| !removed.contains(&it.id)));
    }

    #[test]
    fn equal_histories_have_equal_rings_however_they_grew([a, b, c] in histories()) {
        let (mut ab, mut cba) = (united(&a, &b), united(&c, &b));
        let mut rings = Rings::default();
        // One of them places a ring after each step, the other only at the end.
        rings.after(&a, a.order()).unwrap();
        rings.after(&ab, ab.order()).unwrap();
        ab.merge(&c).unwrap();
        cba.merge(&a).unwrap();
        prop_assert_eq!(
            rings.after(&ab, ab.order()),
            Rings::default().after(&cba, cba.order())
        );
    }

    #[test]
    fn what_is_missing_is_found([a, b, _] in histories()) {
        let mut learner = a.clone();
        let names: Vec<CommitId> = a.locate();
        learner.take_in(b.missing(&names).cloned()).unwrap();
        prop_assert_eq!(bytes(&learner), bytes(&united(&a, &b)));
    }

    #[test]
    fn a_history_is_read_as_it_was_written([a, ..] in histories()) {
        let written: bytes::Bytes = bytes(&a).into();
        let read = History::read(&mut crate::reader::Reader::new(&written));
        prop_assert_eq!(read.as_ref().map(bytes), Ok(written.to_vec()));
    }
}

#[test]
fn the_longest_branch_counts_first_and_whole() {
    let mut long = History::new(birth(3, false));
    let mut short = long.clone();
    let line: Vec<_> = (4..7)
        .map(|id| commit(&mut long, 1, Vec::from([join(id)])))
        .collect();
    let alone = commit(&mut short, 2, Vec::from([join(9)]));
    let both = united(&short, &long);
    assert_eq!(both.order(), [line, Vec::from([alone])].concat());
}

#[test]
fn halves_that_remove_each_other_leave_somebody() {
    let mut one = History::new(birth(4, false));
    let mut other = one.clone();
    let remove = |ids: [u64; 2]| ids.map(|id| Change::Remove(NodeId(id))).to_vec();
    commit(&mut one, 1, remove([3, 4]));
    commit(&mut other, 3, remove([1, 2]));
    let both = united(&one, &other);
    let state = state(&both);
    assert_eq!(state.members().count(), 1);
    assert_eq!(state.removed().count(), 3);
    assert!(matches!(state.voided(), [it] if matches!(it.why, Void::LastMember(_))));
}

#[test]
fn the_same_newcomer_let_in_by_both_halves_joins_once() {
    let mut one = History::new(birth(3, false));
    let mut other = one.clone();
    commit(&mut one, 1, Vec::from([join(5)]));
    commit(&mut other, 2, Vec::from([join(5)]));
    let both = united(&one, &other);
    assert_eq!(state(&both).members().count(), 4);
    assert_eq!(state(&both).voided()[0].why, Void::IsMember(NodeId(5)));
}

#[test]
fn a_policy_is_chosen_once() {
    let mut history = History::new(birth(3, false));
    let keep = |bucket| {
        Vec::from([Change::Keep {
            bucket_type: (*b"carts").into(),
            name: None,
            bucket: Box::new(bucket),
        }])
    };
    let mine = Bucket {
        w: 1,
        ..Bucket::default()
    };
    let theirs = Bucket {
        policy: crate::version::Policy::LastWriteWins {
            max_skew: core::time::Duration::ZERO,
        },
        ..Bucket::default()
    };
    let mut other = history.clone();
    commit(&mut history, 1, keep(mine.clone()));
    commit(
        &mut history,
        1,
        keep(Bucket {
            r: 1,
            ..mine.clone()
        }),
    );
    commit(&mut other, 2, keep(theirs));
    let state = state(&united(&other, &history));
    assert_eq!(
        state.buckets().types[&b"carts"[..]],
        Bucket { r: 1, ..mine }
    );
    assert_eq!(state.voided()[0].why, Void::PolicyIsFixed);
}

#[test]
fn a_single_bucket_may_be_kept_in_another_way_than_its_type() {
    let mut state = state(&History::new(birth(3, false)));
    let mut keep = |bucket_type: &[u8], name: Option<&[u8]>, bucket: &Bucket| {
        state.change(&Change::Keep {
            bucket_type: bucket_type.into(),
            name: name.map(Into::into),
            bucket: Box::new(bucket.clone()),
        })
    };
    let plain = Bucket::default();
    let one = Bucket {
        r: 1,
        ..plain.clone()
    };
    let last = Bucket {
        policy: crate::version::Policy::LastWriteWins {
            max_skew: core::time::Duration::ZERO,
        },
        ..plain.clone()
    };
    let counter = Bucket {
        policy: crate::version::Policy::Data(crate::version::DataType::Counter),
        ..plain.clone()
    };
    let four = Bucket {
        n: 4,
        ..plain.clone()
    };
    keep(b"default", Some(b"b"), &last).unwrap();
    keep(b"default", Some(b"c"), &one).unwrap();
    keep(b"counters", None, &counter).unwrap();
    for (bucket_type, name, bucket, why) in [
        (
            &b"default"[..],
            Some(&b"b"[..]),
            &plain,
            Void::PolicyIsFixed,
        ),
        (b"default", Some(b"d"), &counter, Void::PolicyIsFixed),
        (b"counters", Some(b"d"), &plain, Void::PolicyIsFixed),
        (b"default", None, &last, Void::PolicyIsFixed),
        (b"default", Some(b"c"), &four, Void::ReplicasAreFixed),
        (b"default", None, &four, Void::ReplicasAreFixed),
    ] {
        assert_eq!(keep(bucket_type, name, bucket), Err(why));
    }
    for name in 2..MAX_SINGLE_BUCKETS {
        keep(b"t", Some(&name.to_be_bytes()), &one).unwrap();
    }
    let refused = keep(b"t", Some(b"another"), &one);
    assert_eq!(refused, Err(Void::TooManyBuckets));
    let key = |bucket_type, bucket| {
        crate::Key::new(bucket_type, bucket, "k", &crate::Limits::default()).unwrap()
    };
    let buckets = state.buckets();
    assert_eq!(buckets.of(&key("default", "b")), &last);
    assert_eq!(buckets.of(&key("default", "c")), &one);
    assert_eq!(buckets.of(&key("default", "d")), &plain);
    assert_eq!(buckets.of(&key("counters", "b")), &counter);
}

#[test]
fn another_birth_is_another_cluster() {
    let mut history = History::new(birth(3, false));
    let other = History::new(birth(4, false));
    assert!(matches!(
        history.merge(&other),
        Err(HistoryError::OtherBirth(_))
    ));
    assert_ne!(history.epoch(), Epoch::default());
}
