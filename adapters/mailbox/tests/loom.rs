//! Every order in which threads can meet at a mailbox, with up to three interruptions of a thread
//! that could have gone on:
//!
//! ```sh
//! RUSTFLAGS='--cfg loom' cargo test -p dynamo-mailbox --profile ci --test loom -- --nocapture
//! ```
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};

use dynamo_mailbox::{Bound, Ended, Receiver, Refused, Sender, mailbox};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

fn in_every_order(meeting: impl Fn() + Send + Sync + 'static) {
    let mut orders = loom::model::Builder::new();
    orders.preemption_bound = Some(3);
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    orders.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        meeting();
    });
    let count = count.load(Ordering::Relaxed);
    println!("{}: {count} orders", thread_name());
    assert!(count > 1, "there is but one order");
}

/// That of the test which runs in it.
fn thread_name() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or("a test").into()
}

/// What a thread that sleeps is woken by. Like `park`, it remembers one call.
#[derive(Default)]
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.has_rung.lock().unwrap() = true;
        self.rings.notify_one();
    }

    fn wait(&self) {
        let mut has_rung = self.has_rung.lock().unwrap();
        while !*has_rung {
            has_rung = self.rings.wait(has_rung).unwrap();
        }
        *has_rung = false;
    }
}

fn belled<T: Send + 'static>(items: usize) -> (Sender<T>, Receiver<T>, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let wake = {
        let bell = bell.clone();
        move || bell.ring()
    };
    let bound = Bound {
        items,
        bytes: usize::MAX,
    };
    let (sender, receiver) = mailbox(bound, wake);
    (sender, receiver, bell)
}

/// Takes so many, asleep whenever there is nothing. A wake that is missed is a deadlock, which loom
/// finds.
fn take<T>(receiver: &mut Receiver<T>, bell: &Bell, count: usize) -> Vec<T> {
    let (mut all, mut some) = (Vec::new(), Vec::new());
    while all.len() < count {
        receiver.take(&mut some).unwrap();
        if some.is_empty() {
            bell.wait();
        }
        all.append(&mut some);
    }
    all
}

#[test]
fn a_reader_that_sleeps_when_nothing_waits_misses_nothing() {
    in_every_order(|| {
        let (sender, mut receiver, bell) = belled(8);
        for name in [1, 2] {
            let sender = sender.clone();
            thread::spawn(move || {
                sender.send((name, 1), 0).unwrap();
                sender.send((name, 2), 0).unwrap();
            });
        }
        // `sender` is still there, so it is not the end that wakes.
        let all = take(&mut receiver, &bell, 4);
        for name in [1, 2] {
            let of_one: Vec<_> = all.iter().filter(|item| item.0 == name).collect();
            assert_eq!(of_one, [&(name, 1), &(name, 2)]);
        }
        drop(sender);
    });
}

#[test]
fn the_end_wakes_too() {
    in_every_order(|| {
        let (sender, mut receiver, bell) = belled(8);
        for _ in 0..2 {
            let sender = sender.clone();
            thread::spawn(move || sender.send((), 0).unwrap());
        }
        drop(sender);
        let (mut all, mut count) = (Vec::new(), 0);
        while receiver.take(&mut all) != Err(Ended) {
            if all.is_empty() {
                bell.wait();
            }
            count += all.drain(..).len();
        }
        assert_eq!(count, 2);
    });
}

#[test]
fn no_more_waits_than_may_and_what_is_refused_comes_back() {
    in_every_order(|| {
        let (sender, mut receiver, _) = belled(1);
        let senders = [1, 2].map(|name| {
            let sender = sender.clone();
            thread::spawn(move || match sender.send(name, 0) {
                Ok(()) => None,
                Err(Refused::Full(back) | Refused::Closed(back)) => Some(back),
            })
        });
        let (mut early, mut late) = (Vec::new(), Vec::new());
        receiver.take(&mut early).unwrap();
        let refused = senders.map(|sender| sender.join().unwrap());
        receiver.take(&mut late).unwrap();
        assert!(early.len() <= 1 && late.len() <= 1, "{early:?} {late:?}");
        let mut all: Vec<_> = refused.into_iter().flatten().collect();
        all.extend(early.into_iter().chain(late));
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

#[test]
fn a_reader_may_go_at_any_time() {
    in_every_order(|| {
        let (sender, mut receiver, _) = belled(8);
        let item = Arc::new(());
        let sent = thread::spawn({
            let item = item.clone();
            move || sender.send(item, 0).is_ok()
        });
        let mut some = Vec::new();
        let is_taken = receiver.take(&mut some).is_ok() && !some.is_empty();
        drop(receiver);
        let was_sent = sent.join().unwrap();
        assert!(was_sent || !is_taken);
        drop(some);
        assert_eq!(Arc::strong_count(&item), 1, "what nobody took is dropped");
    });
}
