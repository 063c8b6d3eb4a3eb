//! One flush for all that wait, answers that are worth what they say, and flushes that fail.

use std::time::Duration;

use dynamo_proto::Durability;
use dynamo_proto::node::Op;
use dynamo_proto::store::{Completion, ReadOutcome, WriteError};
use dynamo_storage::worker::{FlushPolicy, Stopped};

use crate::stage::{completed, read, start, stopped, write, wrote};

#[test]
fn whatever_waits_becomes_one_group_with_one_flush() {
    let (staged, mut worker) = start(FlushPolicy::EachGroup);
    staged.hold();
    worker.submit(Op(0), write(0, "tea")).unwrap();
    staged.wait_until_writing();
    for number in 1..=64 {
        worker
            .submit(Op(number), write(u128::from(number), "tea"))
            .unwrap();
    }
    staged.let_through();
    for (_, completion) in completed(&mut worker, 65) {
        assert_eq!(completion, wrote(Durability::Flushed));
    }
    let flushed = Durability::Flushed;
    assert_eq!(staged.state().groups, [(1, flushed), (64, flushed)]);
    worker.close().unwrap();
}

#[test]
fn what_is_flushed_later_is_not_answered_flushed() {
    let (staged, mut worker) = start(FlushPolicy::Every(Duration::from_millis(20)));
    for number in 0..50 {
        worker.submit(Op(number), write(1, "tea")).unwrap();
        let completed = completed(&mut worker, 1);
        assert_eq!(completed, [(Op(number), wrote(Durability::Written))]);
    }
    let is_flush = |group: &(usize, Durability)| group.1 == Durability::Flushed;
    let mut waited = Duration::ZERO;
    while !staged.state().groups.last().is_some_and(is_flush) {
        assert!(waited < crate::stage::PATIENCE, "it is never flushed");
        std::thread::sleep(Duration::from_millis(5));
        waited += Duration::from_millis(5);
    }
    // Nothing new was written since, so nothing more is flushed.
    let groups = staged.state().groups.len();
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(staged.state().groups.len(), groups);
    worker.close().unwrap();
    assert_eq!(staged.state().groups.len(), groups);
}

#[test]
fn what_is_never_flushed_is_not_answered_flushed_but_is_when_all_ends() {
    let (staged, mut worker) = start(FlushPolicy::Never);
    worker.submit(Op(1), write(1, "tea")).unwrap();
    assert_eq!(
        completed(&mut worker, 1),
        [(Op(1), wrote(Durability::Written))]
    );
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(staged.state().groups, [(1, Durability::Written)]);
    worker.close().unwrap();
    assert_eq!(
        staged.state().groups.last(),
        Some(&(1, Durability::Flushed))
    );
}

#[test]
fn a_failed_flush_ends_everything() {
    let (staged, mut worker) = start(FlushPolicy::EachGroup);
    staged.state().next_flush_fails = true;
    staged.hold();
    worker.submit(Op(1), write(1, "tea")).unwrap();
    staged.wait_until_writing();
    worker.submit(Op(2), write(2, "tea")).unwrap();
    worker.submit(Op(3), read(1)).unwrap();
    staged.let_through();
    let (mut all, mut why) = stopped(&mut worker);
    while all.len() < 3 {
        let (more, still) = stopped(&mut worker);
        all.extend(more);
        why = still;
    }
    assert_eq!(why, Stopped::FlushFailed);
    let failed = Completion::Wrote(Err(WriteError::FlushFailed));
    let unread = Completion::Read(ReadOutcome::Failed);
    all.sort_by_key(|(op, _)| op.0);
    assert_eq!(
        all,
        [
            (Op(1), failed.clone()),
            (Op(2), failed.clone()),
            (Op(3), unread.clone())
        ]
    );
    assert_eq!(worker.submit(Op(4), write(4, "tea")), Err(failed));
    assert_eq!(worker.submit(Op(5), read(5)), Err(unread));
    assert_eq!(worker.close(), Err(Stopped::FlushFailed));
    assert_eq!(staged.state().groups.len(), 1, "the flush was tried again");
}

#[test]
fn a_later_flush_that_fails_ends_everything_too() {
    let (staged, mut worker) = start(FlushPolicy::Every(Duration::from_millis(1)));
    staged.state().next_flush_fails = true;
    worker.submit(Op(1), write(1, "tea")).unwrap();
    let (all, why) = stopped(&mut worker);
    assert_eq!(why, Stopped::FlushFailed);
    assert!(all.is_empty() || all == [(Op(1), wrote(Durability::Written))]);
    assert_eq!(worker.close(), Err(Stopped::FlushFailed));
}

#[test]
fn a_last_flush_that_fails_is_told() {
    let (staged, mut worker) = start(FlushPolicy::Never);
    worker.submit(Op(1), write(1, "tea")).unwrap();
    completed(&mut worker, 1);
    staged.state().next_flush_fails = true;
    assert_eq!(worker.close(), Err(Stopped::FlushFailed));
}

#[test]
fn an_engine_that_panics_is_missed() {
    for command in [write(1, "tea"), read(1)] {
        let (staged, mut worker) = start(FlushPolicy::EachGroup);
        staged.state().panics = true;
        worker.submit(Op(1), command).unwrap();
        let (all, why) = stopped(&mut worker);
        assert_eq!((all, why), (Vec::new(), Stopped::Panicked));
        let refused = Completion::Wrote(Err(WriteError::Failed));
        assert_eq!(worker.submit(Op(2), write(1, "tea")), Err(refused));
        assert_eq!(worker.close(), Err(Stopped::Panicked));
    }
}
