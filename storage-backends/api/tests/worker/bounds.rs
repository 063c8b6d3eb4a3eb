//! How much may be under way.

use dynamo_proto::node::Op;
use dynamo_proto::store::{Completion, ReadOutcome, WriteError};
use dynamo_storage::worker::WorkerOptions;

use crate::stage::{completed, read, start_with, write};

#[test]
fn no_more_commands_are_under_way_than_may_be() {
    let (staged, mut worker) = start_with(WorkerOptions {
        outstanding: 2,
        ..WorkerOptions::default()
    });
    let full = Completion::Wrote(Err(WriteError::Full));
    for _ in 0..3 {
        staged.hold();
        worker.submit(Op(1), write(1, "tea")).unwrap();
        worker.submit(Op(2), read(1)).unwrap();
        let unread = Completion::Read(ReadOutcome::Failed);
        assert_eq!(worker.submit(Op(3), read(2)), Err(unread));
        assert_eq!(worker.submit(Op(4), write(2, "tea")), Err(full.clone()));
        staged.let_through();
        completed(&mut worker, 2);
    }
    worker.close().unwrap();
}

#[test]
fn no_more_bytes_wait_to_be_written_than_may() {
    let (staged, mut worker) = start_with(WorkerOptions {
        waiting_bytes: 1 << 20,
        ..WorkerOptions::default()
    });
    let large = vec![7; 400 << 10];
    for _ in 0..3 {
        staged.hold();
        worker.submit(Op(0), write(0, large.clone())).unwrap();
        staged.wait_until_writing();
        worker.submit(Op(1), write(1, large.clone())).unwrap();
        worker.submit(Op(2), write(2, large.clone())).unwrap();
        let full = Completion::Wrote(Err(WriteError::Full));
        assert_eq!(worker.submit(Op(3), write(3, large.clone())), Err(full));
        worker.submit(Op(4), read(4)).unwrap();
        staged.let_through();
        completed(&mut worker, 4);
    }
    worker.close().unwrap();
}

#[test]
fn what_was_submitted_before_the_end_is_done() {
    let (staged, mut worker) = start_with(WorkerOptions::default());
    for number in 0..1000 {
        worker
            .submit(Op(number), write(u128::from(number), "tea"))
            .unwrap();
    }
    worker.close().unwrap();
    let written: usize = staged.state().groups.iter().map(|group| group.0).sum();
    assert_eq!(written, 1000);
}
