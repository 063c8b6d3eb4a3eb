//! What is answered from memory, what goes through, and in what order.

#![allow(clippy::unwrap_used, reason = "a test")]

mod stage;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dynamo_proto::Durability::{Flushed, Memory, Written};
use dynamo_proto::store::{ReadOutcome, Space, WriteError};
use dynamo_storage::{Backend, Item, Limit, Scan, Span};
use dynamo_storage_buffered::{Bounds, Buffered};
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::SplitMix64;
use stage::{Stage, place, read, set, unset, write, write_marked};

/// The writer comes only when it is called for.
const PATIENT: Bounds = Bounds {
    objects: 100,
    bytes: 1 << 20,
    age: Duration::from_secs(3600),
};

fn buffered(bounds: Bounds) -> (Stage, Buffered<Stage>) {
    let stage = Stage::default();
    let buffered = Buffered::over(stage.clone(), bounds).unwrap();
    (stage, buffered)
}

#[track_caller]
fn eventually(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "never");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_put_is_answered_memory_and_the_engine_does_not_know() {
    let (stage, buffered) = buffered(PATIENT);
    assert_eq!(write(&buffered, [set(1, "tea")], Memory), Ok(Memory));
    assert_eq!(read(&buffered, 1).as_deref(), Some("tea"));
    assert_eq!(read(&stage, 1), None);
    assert_eq!(stage.calls(), []);
}

#[test]
fn neither_puts_nor_reads_wait_for_a_flush_below() {
    let (stage, buffered) = buffered(PATIENT);
    write(&buffered, [set(1, "tea"), set(2, "tea")], Memory).unwrap();
    stage.hold_up();
    thread::scope(|scope| {
        let flush = scope.spawn(|| write(&buffered, [set(3, "tea")], Flushed));
        stage.wait_for_a_write();
        assert_eq!(write(&buffered, [set(2, "coffee")], Memory), Ok(Memory));
        assert_eq!(write(&buffered, [set(4, "tea")], Memory), Ok(Memory));
        let found: Vec<_> = (1..=4).map(|at| read(&buffered, at)).collect();
        let [tea, coffee] = ["tea", "coffee"].map(|it| Some(it.to_owned()));
        assert_eq!(found, [tea.clone(), coffee, None, tea]);
        let scanned: Vec<_> = Scan::new(&buffered, Space::Objects, Span::all())
            .map(|item| match item.unwrap() {
                Item::Found { at, bytes } => (at.position, bytes),
                damage => panic!("{damage:?}"),
            })
            .collect();
        let expected = [(1, "tea"), (2, "coffee"), (4, "tea")];
        assert_eq!(scanned, expected.map(|(at, it)| (at, it.into())));
        stage.let_go();
        assert_eq!(flush.join().unwrap(), Ok(Flushed));
    });
}

#[test]
fn what_asks_for_more_goes_through_behind_what_was_buffered() {
    for asked in [Written, Flushed] {
        let (stage, buffered) = buffered(PATIENT);
        write(&buffered, [set(1, "tea"), set(2, "tea")], Memory).unwrap();
        write(&buffered, [set(1, "coffee"), unset(2)], Memory).unwrap();
        assert_eq!(write(&buffered, [set(2, "milk")], asked), Ok(asked));
        assert_eq!(stage.calls(), [(Memory, 2), (asked, 1)]);
        assert_eq!(read(&stage, 1).as_deref(), Some("coffee"));
        assert_eq!(read(&stage, 2).as_deref(), Some("milk"));
    }
}

#[test]
fn a_put_beside_one_that_goes_through_the_same_place_comes_after_it() {
    let (stage, buffered) = buffered(PATIENT);
    stage.hold_up();
    thread::scope(|scope| {
        let first = scope.spawn(|| write(&buffered, [set(1, "first")], Flushed));
        stage.wait_for_a_write();
        let second = scope.spawn(|| write(&buffered, [set(1, "second")], Memory));
        thread::sleep(Duration::from_millis(20));
        assert!(!second.is_finished());
        stage.let_go();
        assert_eq!(first.join().unwrap(), Ok(Flushed));
        second.join().unwrap().unwrap();
    });
    assert_eq!(read(&buffered, 1).as_deref(), Some("second"));
    assert_eq!(write(&buffered, [], Flushed), Ok(Flushed));
    assert_eq!(read(&stage, 1).as_deref(), Some("second"));
}

#[test]
fn the_writer_flushes_what_is_old() {
    let age = Duration::from_millis(5);
    let (stage, buffered) = buffered(Bounds { age, ..PATIENT });
    write(&buffered, [set(1, "tea")], Memory).unwrap();
    eventually(|| stage.calls() == [(Flushed, 1)]);
    // What a batch that went through left unflushed is flushed too, and then there is peace.
    write(&buffered, [set(2, "tea")], Written).unwrap();
    eventually(|| stage.calls()[1..] == [(Written, 1), (Flushed, 0)]);
    thread::sleep(age * 10);
    assert_eq!(stage.calls().len(), 3);
}

#[test]
fn the_writer_begins_when_half_of_the_room_is_taken() {
    let (stage, buffered) = buffered(PATIENT);
    for position in 0..49 {
        write(&buffered, [set(position, "tea")], Memory).unwrap();
    }
    assert_eq!(stage.calls(), []);
    write(&buffered, [set(49, "tea")], Memory).unwrap();
    eventually(|| stage.calls() == [(Flushed, 50)]);
    let half = vec![b'x'; PATIENT.bytes / 2];
    write(&buffered, [set(50, half)], Memory).unwrap();
    eventually(|| stage.calls().last() == Some(&(Flushed, 1)));
}

#[test]
fn the_bounds_hold_while_the_engine_is_slow() {
    let (stage, buffered) = buffered(PATIENT);
    stage.hold_up();
    for position in 0..100 {
        assert_eq!(write(&buffered, [set(position, "tea")], Memory), Ok(Memory));
    }
    thread::scope(|scope| {
        let one_more = scope.spawn(|| write(&buffered, [set(100, "tea")], Memory));
        thread::sleep(Duration::from_millis(20));
        assert!(!one_more.is_finished());
        stage.let_go();
        one_more.join().unwrap().unwrap();
    });
    assert_eq!(write(&buffered, [], Flushed), Ok(Flushed));
    assert!((0..=100).all(|position| read(&stage, position).is_some()));
}

#[test]
fn what_is_larger_than_the_buffer_goes_through() {
    let (stage, buffered) = buffered(PATIENT);
    write(&buffered, [set(1, "tea")], Memory).unwrap();
    let large = vec![b'x'; PATIENT.bytes + 1];
    write(&buffered, [set(2, large)], Memory).unwrap();
    assert_eq!(stage.calls(), [(Memory, 1), (Memory, 1)]);
    assert!(read(&stage, 2).is_some());
}

#[test]
fn dropping_it_writes_out_and_flushes_what_it_holds() {
    let (stage, buffered) = buffered(PATIENT);
    write(&buffered, [set(1, "tea")], Memory).unwrap();
    drop(buffered);
    assert_eq!(stage.calls(), [(Flushed, 1)]);
    assert_eq!(read(&stage, 1).as_deref(), Some("tea"));
}

#[test]
fn a_deleted_span_takes_what_was_buffered_with_it() {
    let (_, buffered) = buffered(PATIENT);
    for position in 0..10 {
        let asked = if position % 2 == 0 { Flushed } else { Memory };
        write(&buffered, [set(position, "tea")], asked).unwrap();
    }
    let middle = Span::of_positions(2..=7);
    let deleted = buffered.delete(Space::Objects, &middle, Flushed);
    assert_eq!(deleted, Ok(Flushed));
    let left: Vec<_> = Scan::new(&buffered, Space::Objects, Span::all())
        .map(|item| item.unwrap().first().position)
        .collect();
    assert_eq!(left, [0, 1, 8, 9]);
}

#[test]
fn a_page_shows_no_batch_in_half() {
    let (stage, buffered) = buffered(PATIENT);
    let buffered = Arc::new(buffered);
    write(&*buffered, [set(2, "old")], Flushed).unwrap();
    write(&*buffered, [set(1, "old")], Memory).unwrap();
    // When the buffer has been looked at, and what is below has not.
    stage.in_next_scan({
        let buffered = Arc::clone(&buffered);
        move || {
            write(&*buffered, [set(1, "new"), set(2, "new")], Flushed).unwrap();
        }
    });
    let page = buffered.scan(Space::Objects, &Span::all(), Limit::default());
    let shown = [1, 2].map(|position| Item::Found {
        at: place(position),
        bytes: "new".into(),
    });
    assert_eq!(page.unwrap().items, shown);
}

#[test]
fn what_a_full_engine_refuses_is_tried_again() {
    let age = Duration::from_millis(5);
    let (stage, buffered) = buffered(Bounds { age, ..PATIENT });
    stage.refuse_next([WriteError::Full, WriteError::Failed, WriteError::Full]);
    write(&buffered, [set(1, "tea")], Memory).unwrap();
    eventually(|| {
        assert_eq!(read(&buffered, 1).as_deref(), Some("tea"));
        read(&stage, 1).is_some()
    });
    eventually(|| stage.calls() == [(Flushed, 1)]);
}

#[test]
fn what_goes_past_what_is_held_back_is_no_safer_than_that() {
    let (stage, buffered) = buffered(PATIENT);
    write(&buffered, [set(1, "tea"), set(2, "tea")], Memory).unwrap();
    stage.refuse_next([WriteError::Full]);
    // It is flushed, and what came before it is not: so it is not answered so.
    let answer = write(&buffered, [set(2, "less")], Flushed);
    assert_eq!(answer, Ok(Memory));
    assert_eq!(stage.calls(), [(Flushed, 1)]);
    let seen = [1, 2].map(|position| read(&buffered, position));
    assert_eq!(seen, ["tea", "less"].map(|it| Some(it.to_owned())));
    assert_eq!(write(&buffered, [], Flushed), Ok(Flushed));
    assert_eq!([1, 2].map(|position| read(&stage, position)), seen);
}

#[test]
fn what_is_held_back_does_not_hide_what_came_later() {
    let (stage, buffered) = buffered(PATIENT);
    write(&buffered, [set(1, "old"), set(2, "old")], Memory).unwrap();
    stage.hold_up();
    stage.refuse_next([WriteError::Full]);
    thread::scope(|scope| {
        let other = scope.spawn(|| write(&buffered, [set(3, "tea")], Flushed));
        stage.wait_for_a_write();
        write(&buffered, [set(1, "new")], Memory).unwrap();
        stage.let_go();
        assert_eq!(other.join().unwrap(), Ok(Memory));
    });
    let seen = [1, 2, 3].map(|position| read(&buffered, position));
    assert_eq!(seen, ["new", "old", "tea"].map(|it| Some(it.to_owned())));
}

#[test]
fn a_delete_takes_what_is_held_back_with_it() {
    let (stage, buffered) = buffered(PATIENT);
    write(&buffered, [set(1, "tea"), set(2, "tea")], Memory).unwrap();
    stage.refuse_next([WriteError::Full]);
    let deleted = buffered.delete(Space::Objects, &Span::of_positions(2..=2), Flushed);
    assert_eq!(deleted, Ok(Memory));
    assert_eq!(write(&buffered, [], Flushed), Ok(Flushed));
    let seen = [1, 2].map(|position| read(&stage, position));
    assert_eq!(seen, [Some("tea".to_owned()), None]);
}

#[test]
fn a_full_engine_answers_for_itself() {
    let (stage, buffered) = buffered(PATIENT);
    write(&buffered, [set(1, "tea")], Memory).unwrap();
    stage.refuse_next([WriteError::Full, WriteError::Full]);
    let refused = write(&buffered, [set(2, "tea")], Written);
    assert_eq!(refused, Err(WriteError::Full));
    assert_eq!(read(&buffered, 1).as_deref(), Some("tea"));
    assert_eq!(read(&buffered, 2), None);
    // From now on nothing is answered from memory that may find no room later.
    stage.refuse_next([WriteError::Full, WriteError::Full]);
    let refused = write(&buffered, [set(2, "tea")], Memory);
    assert_eq!(refused, Err(WriteError::Full));
    assert_eq!(write(&buffered, [], Flushed), Ok(Flushed));
    assert_eq!(read(&stage, 1).as_deref(), Some("tea"));
}

#[test]
fn what_may_use_the_reserve_still_may_once_it_was_buffered() {
    let age = Duration::from_millis(5);
    let (stage, buffered) = buffered(Bounds { age, ..PATIENT });
    stage.fill(true);
    let changes = [set(1, "repaired"), set(2, "repaired")];
    assert_eq!(write_marked(&buffered, changes, Memory, true), Ok(Memory));
    eventually(|| stage.calls() == [(Flushed, 2)]);
    assert_eq!(read(&stage, 2).as_deref(), Some("repaired"));
}

#[test]
fn what_may_use_the_reserve_goes_ahead_of_what_may_not() {
    let (stage, buffered) = buffered(PATIENT);
    stage.fill(true);
    write(&buffered, [set(1, "a client's")], Memory).unwrap();
    write_marked(&buffered, [set(2, "repaired")], Memory, true).unwrap();
    // It finds no room, and neither does what it finds in its way.
    let refused = write(&buffered, [set(3, "a client's")], Flushed);
    assert_eq!(refused, Err(WriteError::Full));
    assert_eq!(stage.calls(), [(Memory, 1)]);
    assert_eq!(
        [1, 2].map(|position| read(&stage, position).is_some()),
        [false, true]
    );
    assert_eq!(read(&buffered, 1).as_deref(), Some("a client's"));
    stage.fill(false);
    assert_eq!(write(&buffered, [], Flushed), Ok(Flushed));
    assert_eq!(read(&stage, 1).as_deref(), Some("a client's"));
}

#[test]
fn what_may_use_the_reserve_does_not_go_ahead_in_part() {
    let (stage, buffered) = buffered(PATIENT);
    stage.fill(true);
    let changes = [set(1, "repaired"), set(2, "repaired")];
    write_marked(&buffered, changes, Memory, true).unwrap();
    write(&buffered, [set(1, "a client's")], Memory).unwrap();
    let refused = write(&buffered, [set(3, "a client's")], Flushed);
    assert_eq!(refused, Err(WriteError::Full));
    assert_eq!(stage.calls(), []);
    stage.fill(false);
    assert_eq!(write(&buffered, [], Flushed), Ok(Flushed));
    let seen = [1, 2].map(|position| read(&stage, position));
    assert_eq!(
        seen,
        ["a client's", "repaired"].map(|it| Some(it.to_owned()))
    );
}

#[test]
fn a_batch_that_failed_beside_what_is_held_back_is_not_seen_in_half() {
    let (stage, buffered) = buffered(PATIENT);
    write(&buffered, [set(1, "old"), set(2, "old")], Memory).unwrap();
    stage.refuse_next([WriteError::Full, WriteError::Failed]);
    let failed = write(&buffered, [set(2, "new"), set(3, "new")], Written);
    assert_eq!(failed, Err(WriteError::Failed));
    let seen = [1, 2, 3].map(|position| read(&buffered, position));
    assert_eq!(seen, ["old", "new", "new"].map(|it| Some(it.to_owned())));
    assert_eq!(write(&buffered, [], Flushed), Ok(Flushed));
    assert_eq!([1, 2, 3].map(|position| read(&stage, position)), seen);
}

#[test]
fn nothing_is_written_past_what_a_failing_engine_did_not_take() {
    let (stage, buffered) = buffered(PATIENT);
    write(&buffered, [set(1, "tea")], Memory).unwrap();
    stage.refuse_next([WriteError::Failed]);
    let failed = write(&buffered, [set(2, "tea")], Flushed);
    assert_eq!(failed, Err(WriteError::Failed));
    assert_eq!(stage.calls(), []);
    assert_eq!(read(&buffered, 1).as_deref(), Some("tea"));
    assert_eq!(read(&buffered, 2), None);
    assert_eq!(write(&buffered, [set(2, "tea")], Flushed), Ok(Flushed));
    assert_eq!(stage.calls(), [(Memory, 1), (Flushed, 1)]);
}

#[test]
fn a_flush_that_the_writer_asked_for_is_final_when_it_fails() {
    let age = Duration::from_millis(5);
    let (stage, buffered) = buffered(Bounds { age, ..PATIENT });
    stage.refuse_next([WriteError::FlushFailed]);
    write(&buffered, [set(1, "tea")], Memory).unwrap();
    eventually(|| write(&buffered, [set(2, "tea")], Memory) == Err(WriteError::FlushFailed));
    for asked in [Memory, Written, Flushed] {
        let answer = write(&buffered, [set(2, "tea")], asked);
        assert_eq!(answer, Err(WriteError::FlushFailed));
    }
    let deleted = buffered.delete(Space::Objects, &Span::all(), Memory);
    assert_eq!(deleted, Err(WriteError::FlushFailed));
    assert_eq!(read(&buffered, 1).as_deref(), Some("tea"));
    drop(buffered);
    assert_eq!(stage.calls(), []);
}

/// Each thread owns some places and finds there what it wrote last; batches change two places, one
/// of each half, and no page of a scan shows them apart.
#[test]
fn threads_read_their_own_writes_and_scans_show_whole_batches() {
    const THREADS: u128 = 4;
    const PLACES: u128 = 8;
    let bounds = Bounds {
        objects: 12,
        age: Duration::from_micros(200),
        ..PATIENT
    };
    let (stage, buffered) = buffered(bounds);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let buffered = &buffered;
            scope.spawn(move || {
                let mut dice = SplitMix64::seed_from_u64(thread as u64);
                let mut last = [const { None }; PLACES as usize];
                for round in 0..3000 {
                    let place = dice.next_u64() as u128 % PLACES;
                    let (low, high) = (thread * PLACES + place, 1000 + thread * PLACES + place);
                    let asked = [Memory, Memory, Memory, Memory, Memory, Written, Flushed]
                        [dice.next_u64() as usize % 7];
                    let text = format!("{thread} {round}");
                    let changes = [set(low, text.clone()), set(high, text.clone())];
                    write(buffered, changes, asked).unwrap();
                    last[place as usize] = Some(text);
                    let at = dice.next_u64() as u128 % PLACES;
                    assert_eq!(read(buffered, thread * PLACES + at), last[at as usize]);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..300 {
                let page = buffered.scan(Space::Objects, &Span::all(), Limit::default());
                let items = page.unwrap().items;
                let (low, high) = items.split_at(items.len() / 2);
                for (low, high) in low.iter().zip(high) {
                    let (Item::Found { at: a, bytes: x }, Item::Found { at: b, bytes: y }) =
                        (low, high)
                    else {
                        panic!("{low:?}, {high:?}");
                    };
                    assert_eq!((a.position + 1000, x), (b.position, y));
                }
            }
        });
    });
    assert_eq!(write(&buffered, [], Flushed), Ok(Flushed));
    for position in 0..THREADS * PLACES {
        let [above, below] = [
            buffered.read(Space::Objects, &place(position)),
            stage.read(Space::Objects, &place(position)),
        ];
        assert_eq!(above, below);
        assert_ne!(above, ReadOutcome::Absent);
    }
}
