//! Frames and messages: what comes out is what went in, whatever happens in between.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod handshake;
mod messages;

use bytes::BytesMut;
use dynamo_proto::wire::{
    FrameError, HEADER_BYTES, Inbound, Kind, Message, MessageError, Nonce, Outbound, Received,
    Ticket, Unsupported,
};
use dynamo_proto::{Durability, Key, Limits};
use proptest::prelude::*;

use self::messages::{messages, siblings};

fn nonce(number: u32) -> Nonce {
    Nonce::new(number).unwrap()
}

fn key() -> Key {
    Key::new("default", "carts", "alice", &Limits::default()).unwrap()
}

/// Reads all that is there, as a connection would.
fn receive(inbound: &mut Inbound, buffer: &mut BytesMut) -> Result<Vec<Message>, FrameError> {
    let mut messages = Vec::new();
    while let Some(received) = inbound.next(buffer)? {
        if let Received::Body { body, .. } = received {
            messages.push(Message::decode(&body).unwrap());
        }
    }
    Ok(messages)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_arrive_whole_in_whatever_pieces(
        sent in prop::collection::vec(messages(), 1..10),
        pieces in prop::collection::vec(1..500_usize, 1..50),
    ) {
        let (mut outbound, mut bytes) = (Outbound::to(nonce(7)), BytesMut::new());
        for (at, message) in sent.iter().enumerate() {
            // Both ways of writing make the same bytes.
            if at % 2 == 0 {
                outbound.write(message, &mut bytes);
            } else {
                outbound.write_body(&message.encode(), &mut bytes);
            }
        }
        let mut inbound = Inbound::from(nonce(7), &Limits::default());
        let (mut buffer, mut received) = (BytesMut::new(), Vec::new());
        let mut pieces = pieces.into_iter().cycle();
        while !bytes.is_empty() {
            let piece = bytes.split_to(pieces.next().unwrap().min(bytes.len()));
            buffer.extend_from_slice(&piece);
            received.extend(receive(&mut inbound, &mut buffer).unwrap());
            prop_assert!(inbound.missing(&buffer).unwrap() > 0);
        }
        prop_assert_eq!(received, sent);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn one_changed_bit_is_never_taken_for_a_message(message in messages(), at in any::<prop::sample::Index>()) {
        let mut bytes = BytesMut::new();
        Outbound::to(nonce(7)).write(&message, &mut bytes);
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let received = receive(&mut Inbound::from(nonce(7), &Limits::default()), &mut bytes);
        prop_assert!(!matches!(received, Ok(messages) if !messages.is_empty()), "bit {}", bit);
    }

    #[test]
    fn bodies_of_any_bytes_decode_or_fail_quietly(message in messages(), cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
        // A peer of another make: framed right, said wrong.
        let encoded = message.encode();
        let mut bytes = encoded.bytes().to_vec();
        if !bytes.is_empty() {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes.truncate(cut.index(bytes.len()) + 1);
        }
        let body = dynamo_tests::wire::body(encoded.kind(), bytes.into());
        let _ = Message::decode(&body);
    }
}

#[test]
fn a_value_is_a_slice_of_the_buffer_it_arrived_in() {
    let message = Message::Store {
        epoch: Default::default(),
        ticket: Ticket(1),
        durability: Durability::Flushed,
        held_for: None,
        is_repair: false,
        key: key(),
        siblings: siblings(1, 1024),
    };
    let mut buffer = BytesMut::new();
    Outbound::to(nonce(7)).write(&message, &mut buffer);
    let arrived = buffer.as_ptr_range();
    let mut received = receive(
        &mut Inbound::from(nonce(7), &Limits::default()),
        &mut buffer,
    )
    .unwrap();
    let Some(Message::Store { key, siblings, .. }) = received.pop() else {
        panic!("a store")
    };
    let body = siblings.values()[0].value.content.body().unwrap();
    for bytes in [body, key.encoded()] {
        let bytes = bytes.as_ptr_range();
        assert!(arrived.start <= bytes.start && bytes.end <= arrived.end);
    }
}

#[test]
fn one_body_serves_several_connections() {
    let message = Message::Fetch {
        epoch: Default::default(),
        ticket: Ticket(1),
        held_for: None,
        key: key(),
    };
    let body = message.encode();
    for (number, earlier) in [(7, 0), (8, 3)] {
        let mut outbound = Outbound::to(nonce(number));
        let mut inbound = Inbound::from(nonce(number), &Limits::default());
        let mut buffer = BytesMut::new();
        for _ in 0..=earlier {
            outbound.write_body(&body, &mut buffer);
        }
        assert_eq!(
            receive(&mut inbound, &mut buffer).unwrap().last(),
            Some(&message)
        );
    }
}

/// Row 24 of the pitfalls.
#[test]
fn a_frame_of_another_connection_or_a_repeated_one_is_dropped() {
    let limits = Limits::default();
    let message = Message::Fetch {
        epoch: Default::default(),
        ticket: Ticket(1),
        held_for: None,
        key: key(),
    };
    let (mut old, mut new) = (Outbound::to(nonce(7)), Outbound::to(nonce(8)));
    let mut inbound = Inbound::from(nonce(8), &limits);

    let mut late = BytesMut::new();
    old.write(&message, &mut late);
    let mut first = BytesMut::new();
    new.write(&message, &mut first);
    let mut second = BytesMut::new();
    new.write(&message, &mut second);

    let mut buffer = BytesMut::new();
    for frame in [&late, &first, &first, &late, &second] {
        buffer.extend_from_slice(frame);
    }
    let mut kinds = Vec::new();
    while let Some(received) = inbound.next(&mut buffer).unwrap() {
        kinds.push(matches!(received, Received::Stray));
    }
    assert_eq!(kinds, [true, false, true, true, false]);
}

#[test]
fn a_missing_frame_ends_the_connection() {
    let message = Message::Fetch {
        epoch: Default::default(),
        ticket: Ticket(1),
        held_for: None,
        key: key(),
    };
    let mut outbound = Outbound::to(nonce(7));
    outbound.write(&message, &mut BytesMut::new());
    let mut buffer = BytesMut::new();
    outbound.write(&message, &mut buffer);
    let received = receive(
        &mut Inbound::from(nonce(7), &Limits::default()),
        &mut buffer,
    );
    assert_eq!(
        received,
        Err(FrameError::Gap {
            expected: 0,
            got: 1
        })
    );
}

#[test]
fn a_length_over_the_limit_is_refused_before_anything_is_buffered() {
    let limits = Limits {
        frame_bytes: 5000,
        ..Limits::default()
    };
    let inbound = Inbound::from(nonce(7), &limits);
    let announce = |len: u32| len.to_be_bytes();
    assert_eq!(inbound.missing(&announce(5000)), Ok(4996));
    assert_eq!(
        inbound.missing(&announce(5001)),
        Err(FrameError::TooLong {
            len: 5001,
            limit: 5000
        })
    );
    assert_eq!(
        inbound.missing(&announce(23)),
        Err(FrameError::TooShort(23))
    );
    assert_eq!(inbound.missing(&[0, 0]), Ok(HEADER_BYTES - 2));
    // Strangers get less.
    assert!(Inbound::from_stranger().missing(&announce(5000)).is_err());
}

#[test]
fn unknown_kinds_and_other_versions_are_answered_and_skipped() {
    let known = Message::Fetch {
        epoch: Default::default(),
        ticket: Ticket(1),
        held_for: None,
        key: key(),
    };
    let mut buffer = BytesMut::new();
    dynamo_tests::wire::frame(1, Kind(250), 7, 0, b"what?", &mut buffer);
    dynamo_tests::wire::frame(9, Kind(18), 7, 1, b"later", &mut buffer);
    dynamo_tests::wire::frame(0, Kind(18), 7, 2, b"never", &mut buffer);
    let body = known.encode();
    dynamo_tests::wire::frame(1, body.kind(), 7, 3, body.bytes(), &mut buffer);

    // As a driver would.
    let mut inbound = Inbound::from(nonce(7), &Limits::default());
    let (mut messages, mut answers) = (Vec::new(), Vec::new());
    while let Some(received) = inbound.next(&mut buffer).unwrap() {
        match received {
            Received::Body { sequence, body } => match Message::decode(&body) {
                Ok(message) => messages.push(message),
                Err(MessageError::UnknownKind(kind)) => {
                    answers.push(Unsupported {
                        version: 1,
                        kind,
                        sequence,
                    });
                }
                Err(error) => panic!("{error}"),
            },
            Received::OtherVersion {
                version,
                kind,
                sequence,
            } => {
                answers.push(Unsupported {
                    version,
                    kind,
                    sequence,
                });
            }
            Received::Stray => panic!("nothing strays here"),
        }
    }
    assert_eq!(messages, [known]);
    let expected = [(1, 250, 0), (9, 18, 1), (0, 18, 2)];
    let expected = expected.map(|(version, kind, sequence)| Unsupported {
        version,
        kind: Kind(kind),
        sequence,
    });
    assert_eq!(answers, expected);
}

/// A smaller limit than the peers' must not keep a replica from what they hold.
#[test]
fn limits_on_keys_bind_clients_only() {
    let strict = Limits {
        key_bytes: 2,
        ..Limits::default()
    };
    assert!(key().check(&strict).is_err());
    let fetch = Message::Fetch {
        epoch: Default::default(),
        ticket: Ticket(1),
        held_for: None,
        key: key(),
    };
    assert_eq!(Message::decode(&fetch.encode()), Ok(fetch));
}

/// Numbers begin anew after 2^32 frames: what seems far ahead is just behind.
#[test]
fn a_frame_from_before_the_numbers_began_anew_is_a_stray() {
    let known = Message::Fetch {
        epoch: Default::default(),
        ticket: Ticket(1),
        held_for: None,
        key: key(),
    };
    let body = known.encode();
    let mut inbound = Inbound::from(nonce(7), &Limits::default());
    let mut buffer = BytesMut::new();
    dynamo_tests::wire::frame(1, body.kind(), 7, u32::MAX, body.bytes(), &mut buffer);
    assert!(matches!(
        inbound.next(&mut buffer),
        Ok(Some(Received::Stray))
    ));
}
