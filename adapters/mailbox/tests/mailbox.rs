//! A mailbox in one thread, and under a crowd of them.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use dynamo_mailbox::{Bound, Ended, Receiver, Refused, Sender, mailbox};

const ROOMY: Bound = Bound {
    items: usize::MAX,
    bytes: usize::MAX,
};

fn counted(bound: Bound) -> (Sender<u32>, Receiver<u32>, Arc<AtomicUsize>) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let wake = {
        let wakes = wakes.clone();
        move || {
            wakes.fetch_add(1, Ordering::SeqCst);
        }
    };
    let (sender, receiver) = mailbox(bound, wake);
    (sender, receiver, wakes)
}

fn take(receiver: &mut Receiver<u32>) -> Vec<u32> {
    let mut all = Vec::new();
    receiver.take(&mut all).unwrap();
    all
}

#[test]
fn all_that_waits_is_taken_in_order() {
    let (sender, mut receiver, _) = counted(ROOMY);
    assert_eq!(take(&mut receiver), []);
    for number in 0..3 {
        sender.send(number, 0).unwrap();
    }
    let mut all = vec![9];
    receiver.take(&mut all).unwrap();
    assert_eq!(all, [9, 0, 1, 2]);
    assert_eq!(take(&mut receiver), []);
}

#[test]
fn only_what_comes_into_an_empty_mailbox_wakes() {
    let (sender, mut receiver, wakes) = counted(ROOMY);
    for expected in 1..=3 {
        sender.send(1, 0).unwrap();
        sender.send(2, 0).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), expected);
        take(&mut receiver);
    }
    let other = sender.clone();
    drop(sender);
    assert_eq!(wakes.load(Ordering::SeqCst), 3);
    drop(other);
    assert_eq!(wakes.load(Ordering::SeqCst), 4);
}

#[test]
fn a_full_mailbox_refuses_until_it_is_emptied() {
    let (sender, mut receiver, _) = counted(Bound { items: 2, ..ROOMY });
    sender.send(1, 0).unwrap();
    sender.send(2, 0).unwrap();
    assert_eq!(sender.send(3, 0), Err(Refused::Full(3)));
    assert_eq!(take(&mut receiver), [1, 2]);
    sender.send(3, 0).unwrap();
}

#[test]
fn bytes_are_bounded_but_one_item_always_fits() {
    let (sender, mut receiver, _) = counted(Bound {
        bytes: 100,
        ..ROOMY
    });
    sender.send(1, 60).unwrap();
    sender.send(2, 40).unwrap();
    assert_eq!(sender.send(3, 1), Err(Refused::Full(3)));
    assert_eq!(sender.send(3, usize::MAX), Err(Refused::Full(3)));
    sender.send(4, 0).unwrap();
    take(&mut receiver);
    sender.send(5, 1000).unwrap();
    assert_eq!(sender.send(6, 1), Err(Refused::Full(6)));
}

#[test]
fn the_end_comes_after_the_last_item() {
    let (sender, mut receiver, _) = counted(ROOMY);
    sender.send(1, 0).unwrap();
    drop(sender);
    assert_eq!(take(&mut receiver), [1]);
    assert_eq!(receiver.take(&mut Vec::new()), Err(Ended));
}

#[test]
fn nobody_is_sent_to_who_is_gone() {
    let (sender, receiver, _) = counted(ROOMY);
    drop(receiver);
    assert_eq!(sender.send(1, 0), Err(Refused::Closed(1)));
}

#[test]
fn a_crowd_of_senders_loses_nothing_and_keeps_its_order() {
    const SENDERS: usize = 4;
    const EACH: usize = 20_000;
    let reader = Arc::new(OnceLock::<thread::Thread>::new());
    let wake = {
        let reader = reader.clone();
        move || {
            if let Some(reader) = reader.get() {
                reader.unpark();
            }
        }
    };
    let bound = Bound { items: 64, ..ROOMY };
    let (sender, mut receiver) = mailbox(bound, wake);
    for name in 0..SENDERS {
        let sender = sender.clone();
        thread::spawn(move || {
            for number in 0..EACH {
                let mut item = (name, number);
                while let Err(Refused::Full(refused)) = sender.send(item, 0) {
                    item = refused;
                    thread::yield_now();
                }
            }
        });
    }
    drop(sender);
    reader.get_or_init(thread::current);
    let (mut next, mut all) = ([0; SENDERS], Vec::new());
    while receiver.take(&mut all).is_ok() {
        assert!(all.len() <= bound.items);
        if all.is_empty() {
            thread::park();
        }
        for (name, number) in all.drain(..) {
            assert_eq!(number, next[name]);
            next[name] += 1;
        }
    }
    assert_eq!(next, [EACH; SENDERS]);
}
