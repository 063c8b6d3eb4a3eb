//! What is sent is what arrives, whatever carries it.

use bytes::{BufMut, BytesMut};
use dynamo_driver::{Connection, Ended, Event};
use dynamo_proto::Limits;
use dynamo_proto::wire::{FrameError, HEADER_BYTES, Kind, Message, Unsupported};
use proptest::prelude::*;

use crate::forge::{Forged, body, forged};
use crate::world::{TO_ACCEPTER, carry, feed, fetch, messages, pair, siblings, store, written};

/// One direction of a wire that keeps bytes for as long as it likes.
#[derive(Default)]
struct Wire {
    bytes: BytesMut,
    arrived: Vec<Message>,
}

impl Wire {
    /// Takes up to that many bytes in and lets up to that many out.
    fn step(&mut self, from: &mut Connection, len: usize, to: &mut Connection) {
        let taken = len.min(from.outgoing().len());
        self.bytes.put_slice(&from.outgoing()[..taken]);
        from.sent(taken);
        let mut piece = self.bytes.split_to(len.min(self.bytes.len()));
        while !piece.is_empty() {
            // Both ways in.
            if len.is_multiple_of(2) {
                to.receive(&mut piece);
            } else {
                let mut buffer = to.read_buffer().expect("all events are taken");
                let room = buffer.remaining_mut().min(piece.len());
                buffer.put(piece.split_to(room));
            }
            while let Some(event) = to.poll().expect("nothing goes wrong") {
                match event {
                    Event::Established(_) => {}
                    Event::Message(message) => self.arrived.push(message),
                    Event::Unsupported(_) => panic!("both know the same messages"),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_sides_hear_all_that_the_other_says_in_whatever_pieces(
        east in prop::collection::vec(messages(), 0..8),
        west in prop::collection::vec(messages(), 0..8),
        pieces in prop::collection::vec(1..3000_usize, 2..30),
    ) {
        let (mut alice, mut bob) = pair(Limits::default());
        for (at, message) in east.iter().enumerate() {
            // Both ways out.
            if at % 2 == 0 {
                alice.send(message).unwrap();
            } else {
                alice.send_body(&message.encode()).unwrap();
            }
        }
        for message in &west {
            bob.send(message).unwrap();
        }
        prop_assert_eq!(alice.waiting().frames, east.len());
        let (mut eastward, mut westward) = (Wire::default(), Wire::default());
        let mut pieces = pieces.into_iter().cycle();
        while alice.waiting().bytes + bob.waiting().bytes + eastward.bytes.len() + westward.bytes.len() > 0 {
            eastward.step(&mut alice, pieces.next().unwrap(), &mut bob);
            westward.step(&mut bob, pieces.next().unwrap(), &mut alice);
        }
        prop_assert_eq!(eastward.arrived, east);
        prop_assert_eq!(westward.arrived, west);
        prop_assert_eq!(alice.waiting(), Default::default());
    }

    #[test]
    fn one_changed_bit_yields_nothing_more(message in messages(), at in any::<prop::sample::Index>()) {
        let (mut alice, mut bob) = pair(Limits::default());
        alice.send(&message).unwrap();
        let mut bytes = written(&mut alice);
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        // Something has to follow a length that has grown.
        bytes.extend_from_slice(&vec![0; bytes.len()]);
        match feed(&mut bob, &bytes) {
            Ok(events) => prop_assert_eq!(events, []), // it still waits for a very long frame
            Err(Ended::Frame(error)) => prop_assert!(!is_gap(error), "damage comes first"),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

fn is_gap(error: FrameError) -> bool {
    matches!(error, FrameError::Gap { .. })
}

/// Row 24 of the pitfalls.
#[test]
fn frames_of_an_earlier_connection_and_repeated_ones_are_dropped() {
    let (mut alice, mut bob) = pair(Limits::default());
    let late = forged(&fetch(9), TO_ACCEPTER + 1, 1);
    alice.send(&fetch(1)).unwrap();
    let first = written(&mut alice);
    alice.send(&fetch(2)).unwrap();
    let second = written(&mut alice);
    let all = [&late[..], &first, &first, &late, &second].concat();
    assert_eq!(
        feed(&mut bob, &all),
        Ok(vec![Event::Message(fetch(1)), Event::Message(fetch(2))])
    );
}

#[test]
fn a_missing_frame_ends_the_connection_after_all_that_came_before_it() {
    let (mut alice, mut bob) = pair(Limits::default());
    let mut frames = (1..=3).map(|ticket| {
        alice.send(&fetch(ticket)).unwrap();
        written(&mut alice)
    });
    let (first, _, third) = (frames.next(), frames.next(), frames.next());
    let bytes = [first.unwrap(), third.unwrap()].concat();
    bob.receive(&mut &bytes[..]);
    assert_eq!(bob.poll(), Ok(Some(Event::Message(fetch(1)))));
    let gap = Ended::Frame(FrameError::Gap {
        expected: 2,
        got: 3,
    });
    assert_eq!(bob.poll(), Err(gap));

    // And it stays so.
    assert_eq!(feed(&mut bob, &bytes), Err(gap));
    assert!(bob.read_buffer().is_none() && bob.established().is_none());
}

/// Row 34 of the pitfalls.
#[test]
fn what_is_not_known_is_answered_and_skipped() {
    let (mut alice, mut bob) = pair(Limits::default());
    alice.send(&fetch(1)).unwrap();
    alice.send_body(&body(Kind(250), b"what?")).unwrap();
    let later = Forged {
        version: 9,
        kind: Kind(18),
        nonce: TO_ACCEPTER,
        sequence: 3,
        body: b"later",
    };
    let known = forged(&fetch(2), TO_ACCEPTER, 4);
    let stray = forged(&fetch(9), TO_ACCEPTER + 1, 1);
    let bytes = [stray, written(&mut alice), later.bytes(), known].concat();
    assert_eq!(
        feed(&mut bob, &bytes),
        Ok(vec![Event::Message(fetch(1)), Event::Message(fetch(2))])
    );

    let answer = |version, kind, sequence| {
        Event::Unsupported(Unsupported {
            version,
            kind: Kind(kind),
            sequence,
        })
    };
    let answers = carry(&mut bob, &mut alice);
    assert_eq!(answers, Ok(vec![answer(1, 250, 2), answer(9, 18, 3)]));
    assert_eq!(alice.waiting().frames, 0, "an answer is not answered");
}

#[test]
fn a_body_that_makes_no_sense_ends_the_connection() {
    let (mut alice, mut bob) = pair(Limits::default());
    let kind = fetch(1).kind();
    let wrong = body(kind, b"short");
    alice.send_body(&wrong).unwrap();
    assert!(matches!(
        carry(&mut alice, &mut bob),
        Err(Ended::Malformed(_))
    ));
}

#[test]
fn a_connection_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&pair(Limits::default()));
}

#[test]
fn one_body_serves_several_connections() {
    let message = store(siblings(1, 100));
    let body = message.encode();
    for earlier in [0, 3] {
        let (mut alice, mut bob) = pair(Limits::default());
        for _ in 0..=earlier {
            alice.send_body(&body).unwrap();
        }
        let events = carry(&mut alice, &mut bob).unwrap();
        assert_eq!(events, vec![Event::Message(message.clone()); earlier + 1]);
    }
}

#[test]
fn a_value_is_a_slice_of_the_buffer_that_was_read_into() {
    let (mut alice, mut bob) = pair(Limits::default());
    alice.send(&store(siblings(1, 1024))).unwrap();
    let bytes = written(&mut alice);
    let mut buffer = bob.read_buffer().unwrap();
    buffer.put_slice(&bytes);
    let arrived = buffer.get_ref()[..].as_ptr_range();
    let Ok(Some(Event::Message(Message::Store { siblings, .. }))) = bob.poll() else {
        panic!("a store")
    };
    let body = siblings.values()[0].value.content.body().unwrap();
    let body = body.as_ptr_range();
    assert!(arrived.start <= body.start && body.end <= arrived.end);
}

#[test]
fn what_waits_is_counted_in_whole_frames() {
    let (mut alice, _) = pair(Limits::default());
    let frame = HEADER_BYTES + fetch(1).encode().bytes().len();
    for ticket in 1..=3 {
        alice.send(&fetch(ticket)).unwrap();
    }
    for (sent, frames, bytes) in [
        (0, 3, 3 * frame),
        (1, 3, 3 * frame - 1),
        (frame - 1, 2, 2 * frame),
        (frame + 1, 1, frame - 1),
        (frame - 1, 0, 0),
    ] {
        alice.sent(sent);
        let waiting = alice.waiting();
        assert_eq!((waiting.frames, waiting.bytes), (frames, bytes));
        assert_eq!(alice.outgoing().len(), bytes);
    }
}

#[test]
fn what_is_taken_goes_on_where_the_last_write_ended() {
    let (mut alice, mut bob) = pair(Limits::default());
    alice.send(&fetch(1)).unwrap();
    let mut bytes = alice.outgoing()[..10].to_vec();
    alice.sent(10);
    alice.send(&fetch(2)).unwrap();
    bytes.extend_from_slice(&alice.take_outgoing());
    assert_eq!(alice.waiting(), Default::default());
    alice.send(&fetch(3)).unwrap();
    bytes.extend_from_slice(&alice.take_outgoing());
    let events = feed(&mut bob, &bytes).unwrap();
    assert_eq!(
        events,
        [1, 2, 3].map(|ticket| Event::Message(fetch(ticket)))
    );
}
