//! Commands on one position take effect in the order in which they were submitted.

use std::collections::BTreeMap;

use dynamo_proto::node::Op;
use dynamo_proto::store::{Command, Completion, ReadOutcome};
use dynamo_storage::worker::{FlushPolicy, WorkerOptions};
use rand_core::{Rng as _, SeedableRng as _};
use rand_xoshiro::SplitMix64;

use crate::stage::{completed, found, read, start, start_with, write};

#[test]
fn a_read_goes_on_beside_a_flush() {
    let (staged, mut worker) = start(FlushPolicy::EachGroup);
    staged.hold();
    worker.submit(Op(1), write(1, "tea")).unwrap();
    staged.wait_until_writing();
    worker.submit(Op(2), read(2)).unwrap();
    let absent = Completion::Read(ReadOutcome::Absent);
    assert_eq!(completed(&mut worker, 1), [(Op(2), absent)]);
    staged.let_through();
    completed(&mut worker, 1);
    worker.close().unwrap();
}

#[test]
fn a_read_of_what_is_being_written_sees_it() {
    let (staged, mut worker) = start(FlushPolicy::EachGroup);
    staged.hold();
    worker.submit(Op(1), write(1, "tea")).unwrap();
    staged.wait_until_writing();
    worker.submit(Op(2), read(1)).unwrap();
    worker.submit(Op(3), write(1, "coffee")).unwrap();
    worker.submit(Op(4), read(1)).unwrap();
    staged.let_through();
    let all: BTreeMap<_, _> = completed(&mut worker, 4).into_iter().collect();
    assert_eq!(
        (&all[&Op(2)], &all[&Op(4)]),
        (&found("tea"), &found("coffee"))
    );
    worker.close().unwrap();
}

/// Few positions and many commands: each read must find what the last write submitted before it
/// left, neither less nor more.
#[test]
fn each_read_sees_what_was_submitted_before_it() {
    const POSITIONS: u64 = 5;
    for (seed, readers) in [(1, 1), (2, 2), (3, 3)] {
        let options = WorkerOptions {
            readers,
            ..WorkerOptions::default()
        };
        let (_, mut worker) = start_with(options);
        let mut rng = SplitMix64::seed_from_u64(seed);
        let (mut latest, mut expected) = (BTreeMap::new(), BTreeMap::new());
        let (mut op, mut outstanding, mut all) = (0, 0, Vec::new());
        while op < 30_000 {
            for _ in 0..rng.next_u64() % 200 {
                op += 1;
                outstanding += 1;
                let position = u128::from(rng.next_u64() % POSITIONS);
                if rng.next_u64() % 2 == 0 {
                    let text = op.to_string();
                    latest.insert(position, text.clone());
                    worker.submit(Op(op), write(position, text)).unwrap();
                } else {
                    expected.insert(op, latest.get(&position).cloned());
                    worker.submit(Op(op), read(position)).unwrap();
                }
            }
            let wanted = rng.next_u64() as usize % (outstanding + 1);
            let before = all.len();
            while all.len() < before + wanted {
                worker.take(&mut all).unwrap();
            }
            outstanding -= all.len() - before;
        }
        all.extend(completed(&mut worker, outstanding));
        let mut reads = 0;
        for (op, completion) in all {
            if let Completion::Read(outcome) = completion {
                let text = expected.remove(&op.0).expect("each completes once");
                let should_be =
                    text.map_or(ReadOutcome::Absent, |it| ReadOutcome::Found(it.into()));
                assert_eq!(outcome, should_be, "read {} of {op:?}", reads);
                reads += 1;
            }
        }
        assert!(expected.is_empty() && reads > 10_000);
        worker.close().unwrap();
    }
}

#[test]
fn a_batch_waits_for_the_reads_of_all_its_positions() {
    let (_, mut worker) = start_with(WorkerOptions {
        readers: 3,
        ..WorkerOptions::default()
    });
    for round in 0..2000_u64 {
        for position in 0..3 {
            worker
                .submit(Op(position), read(u128::from(position)))
                .unwrap();
        }
        let Command::Write(mut batch) = write(0, round.to_string()) else {
            unreachable!("a write");
        };
        for position in 1..3 {
            let Command::Write(more) = write(position, round.to_string()) else {
                unreachable!("a write");
            };
            batch.changes.extend(more.changes);
        }
        worker.submit(Op(9), Command::Write(batch)).unwrap();
        for (op, completion) in completed(&mut worker, 4) {
            let before = match round.checked_sub(1) {
                Some(before) => found(before.to_string()),
                None => Completion::Read(ReadOutcome::Absent),
            };
            assert!(
                op == Op(9) || completion == before,
                "{op:?}: {completion:?}"
            );
        }
    }
    worker.close().unwrap();
}
