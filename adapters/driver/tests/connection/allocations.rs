//! What a connection that has settled allocates: nothing.

use allocation_counter::measure;
use bytes::BufMut;
use dynamo_driver::{Connection, Event};
use dynamo_proto::Limits;
use dynamo_proto::wire::Message;

use crate::world::{fetch, pair, siblings, store};

/// Sends a few messages and hears them, without a copy in between.
fn round(from: &mut Connection, messages: &[Message], to: &mut Connection, read: bool) {
    for message in messages {
        from.send(message).expect("there is room");
    }
    let mut bytes = from.outgoing();
    let (len, mut heard) = (bytes.len(), 0);
    while !bytes.is_empty() {
        if read {
            let mut buffer = to.read_buffer().expect("all events are taken");
            let room = buffer.remaining_mut().min(bytes.len());
            buffer.put_slice(&bytes[..room]);
            bytes = &bytes[room..];
        } else {
            to.receive(&mut bytes);
        }
        while let Some(event) = to.poll().expect("nothing goes wrong") {
            assert!(matches!(event, Event::Message(_)));
            heard += 1;
        }
    }
    assert_eq!(heard, messages.len());
    from.sent(len);
}

#[test]
fn sending_and_hearing_allocates_nothing_once_the_buffers_are_there() {
    let messages = [
        fetch(1),
        store(siblings(1, 1024)),
        fetch(2),
        store(siblings(1, 0)),
    ];
    for read in [false, true] {
        let (mut alice, mut bob) = pair(Limits::default());
        for _ in 0..20 {
            round(&mut alice, &messages, &mut bob, read);
        }
        let settled = measure(|| {
            for _ in 0..1000 {
                round(&mut alice, &messages, &mut bob, read);
            }
        });
        assert_eq!(settled.count_total, 0, "{settled:?}");
    }
}

#[test]
fn messages_in_use_cost_a_buffer_for_every_read_and_nothing_each() {
    let (mut alice, mut bob) = pair(Limits::default());
    let message = store(siblings(1, 1024));
    let mut kept = Vec::with_capacity(1000);
    let mut sent = 0;
    let used = measure(|| {
        for _ in 0..1000 {
            alice.send(&message).unwrap();
            sent += alice.outgoing().len();
            bob.receive(&mut alice.outgoing());
            alice.sent(alice.outgoing().len());
            while let Some(event) = bob.poll().unwrap() {
                kept.push(event);
            }
        }
    });
    assert_eq!(kept.len(), 1000);
    // Each buffer of 64 KiB and its reference count.
    let buffers = sent as u64 / (64 << 10) + 1;
    assert!(used.count_total <= 3 * buffers, "{used:?} for {buffers}");
}

#[test]
fn one_large_value_does_not_leave_its_room_behind() {
    let (mut alice, mut bob) = pair(Limits::default());
    let large = [store(siblings(1, 4 << 20))];
    let used = measure(|| round(&mut alice, &large, &mut bob, true));
    assert!(used.bytes_current < 64 << 10, "{used:?}");
}
