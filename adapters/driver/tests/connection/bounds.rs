//! How much may wait, in either direction.

use allocation_counter::measure;
use bytes::{Buf, BufMut};
use dynamo_driver::{Connection, Ended, Event, Unsent};
use dynamo_proto::Limits;
use dynamo_proto::wire::{FrameError, HEADER_BYTES, Kind};

use crate::forge::body;
use crate::world::{
    ACCEPTER, accept, carry, feed, fetch, hello, joined, pair, siblings, store, written,
};

/// As in the documentation of the connection.
const READ_BYTES: usize = 64 << 10;
const ANSWER_BYTES: usize = 4 << 10;

/// A dialer of which that many bytes may wait, and its accepter.
fn narrow(outgoing_bytes: usize) -> (Connection, Connection) {
    let limits = Limits::default();
    let dialer = Connection::dial(hello(), Some(ACCEPTER), limits, outgoing_bytes);
    joined(dialer, accept(limits))
}

#[test]
fn what_does_not_fit_is_not_sent_and_disturbs_nothing() {
    let frame = HEADER_BYTES + fetch(1).encode().bytes().len();
    let (mut alice, mut bob) = narrow(3 * frame);
    for ticket in 1..=3 {
        alice.send(&fetch(ticket)).unwrap();
    }
    let before = alice.waiting();
    assert_eq!(alice.send(&fetch(9)), Err(Unsent::Full));
    assert_eq!(alice.send_body(&fetch(9).encode()), Err(Unsent::Full));
    alice.sent(0);
    assert_eq!(alice.waiting(), before);

    // A frame's worth of room, and one frame has it.
    let mut bytes = alice.outgoing()[..frame].to_vec();
    alice.sent(frame);
    assert_eq!(alice.send(&store(siblings(1, 100))), Err(Unsent::Full));
    alice.send(&fetch(4)).unwrap();
    assert_eq!(alice.send(&fetch(9)), Err(Unsent::Full));
    bytes.extend(written(&mut alice));
    let events = feed(&mut bob, &bytes).unwrap();
    assert_eq!(
        events,
        [1, 2, 3, 4].map(|ticket| Event::Message(fetch(ticket)))
    );
}

#[test]
fn an_empty_buffer_takes_any_one_frame() {
    let (mut alice, mut bob) = narrow(100);
    let large = store(siblings(1, 5000));
    for _ in 0..2 {
        alice.send(&large).unwrap();
        assert_eq!(alice.send(&fetch(1)), Err(Unsent::Full));
        assert_eq!(
            carry(&mut alice, &mut bob),
            Ok(vec![Event::Message(large.clone())])
        );
        alice.send_body(&large.encode()).unwrap();
        assert_eq!(alice.send_body(&large.encode()), Err(Unsent::Full));
        carry(&mut alice, &mut bob).unwrap();
    }
}

#[test]
fn what_the_other_side_would_not_take_is_not_sent() {
    let message = store(siblings(1, 5000));
    let len = HEADER_BYTES + message.encode().bytes().len();
    for (limit, sent) in [
        (len, Ok(())),
        (
            len - 1,
            Err(Unsent::TooLong {
                len,
                limit: len - 1,
            }),
        ),
    ] {
        let limits = Limits {
            frame_bytes: limit,
            ..Limits::default()
        };
        let (mut alice, mut bob) = pair(limits);
        assert_eq!(alice.send(&message), sent);
        assert_eq!(alice.send_body(&message.encode()), sent);
        alice.send(&fetch(1)).unwrap();
        let events = carry(&mut alice, &mut bob).unwrap();
        assert_eq!(events.len(), if sent.is_ok() { 3 } else { 1 });
    }
}

#[test]
fn no_more_is_taken_than_a_frame_and_a_read_until_somebody_polls() {
    let (_, mut bob) = pair(Limits::default());
    let announced = 1_000_000_u32;
    let head = announced.to_be_bytes();
    let mut flood = head.chain(&[7; 2_000_000][..]);
    let offered = flood.remaining();
    loop {
        let before = flood.remaining();
        bob.receive(&mut flood);
        if flood.remaining() == before {
            break;
        }
    }
    let taken = offered - flood.remaining();
    assert!(
        (announced as usize..announced as usize + READ_BYTES).contains(&taken),
        "{taken}"
    );
    assert!(bob.read_buffer().is_none());
    assert_eq!(bob.poll(), Err(Ended::Frame(FrameError::Damaged)));
}

#[test]
fn a_length_is_believed_as_far_as_it_has_been_lived_up_to() {
    let (_, mut bob) = pair(Limits::default());
    bob.receive(&mut &(100_u32 << 20).to_be_bytes()[..]);
    let mut received = 4;
    while received < 1 << 20 {
        let mut buffer = bob.read_buffer().unwrap();
        let room = buffer.remaining_mut();
        assert!(room <= received.max(READ_BYTES), "{room}");
        assert!(buffer.get_ref().capacity() <= 4 * received.max(READ_BYTES));
        buffer.put_bytes(0, room);
        received += room;
        assert_eq!(bob.poll(), Ok(None));
    }
}

#[test]
fn who_sends_what_we_do_not_know_must_read_the_answers() {
    let unknown = body(Kind(250), b"what?");
    for waiting in [fetch(1), store(siblings(1, 5000))] {
        // Nothing else fits: the answers have room of their own.
        let (mut bob, mut alice) = narrow(1);
        bob.send(&waiting).unwrap();
        let full = bob.waiting().bytes;
        let ended = loop {
            alice.send_body(&unknown).unwrap();
            if let Err(ended) = carry(&mut alice, &mut bob) {
                break ended;
            }
            assert!(bob.waiting().bytes <= full + ANSWER_BYTES);
        };
        assert_eq!(ended, Ended::Deaf);
        assert!(bob.waiting().frames > 64);
    }

    let (mut bob, mut alice) = narrow(1);
    for _ in 0..1000 {
        alice.send_body(&unknown).unwrap();
        carry(&mut alice, &mut bob).unwrap();
        assert_eq!(carry(&mut bob, &mut alice).unwrap().len(), 1);
    }
}

#[test]
fn the_end_gives_back_what_was_received() {
    let (_, mut bob) = pair(Limits::default());
    let mut long = 2_000_000_u32.to_be_bytes().to_vec();
    long.resize(1_000_000, 7);
    let used = measure(|| {
        assert_eq!(feed(&mut bob, &long), Ok(vec![]));
        for _ in 0..2 {
            let ended = feed(&mut bob, &long);
            assert_eq!(ended, Err(Ended::Frame(FrameError::Damaged)));
        }
    });
    assert!(used.bytes_current <= 0, "{used:?}");
}
