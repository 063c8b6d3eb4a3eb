//! Frames and messages: what comes out is what went in, whatever happens in between.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::{Bytes, BytesMut};
use dynamo_proto::node::{Listed, Listing, Scope};
use dynamo_proto::store::{Address, Span};
use dynamo_proto::version::{
    Births, Boot, Content, FieldKind, Metadata, Policy, Record, RequestId, Retirements, Rules,
    Siblings, Write,
};
use dynamo_proto::wire::{
    Fetched, FrameError, HEADER_BYTES, HeldCopy, Hello, Inbound, Kind, Message, MessageError,
    Nonce, Outbound, Received, Refusal, Role, Ticket, Unsupported, Versions, Welcome,
};
use dynamo_proto::{ClusterId, Durability, Generation, Key, Limits, NodeId, WallTime};
use proptest::prelude::*;

fn nonce(number: u32) -> Nonce {
    Nonce::new(number).unwrap()
}

fn key() -> Key {
    Key::new("default", "carts", "alice", &Limits::default()).unwrap()
}

/// A state of `writes` blind writes by as many nodes, of bodies of that length.
fn siblings(writes: u64, body: usize) -> Siblings {
    let (limits, retired) = (Limits::default(), Retirements::default());
    let rules = Rules {
        policy: Policy::Siblings,
        truncate_to: None,
        limits: &limits,
        retired: &retired,
    };
    let mut all = Siblings::default();
    for id in 1..=writes {
        let mut metadata = Metadata::builder();
        metadata
            .push(FieldKind::CONTENT_TYPE, b"", b"text/plain")
            .unwrap();
        let body = Bytes::from(vec![id as u8; body]);
        let content = match id % 3 {
            0 => Content::Tombstone,
            1 => Content::Live {
                metadata: metadata.build(),
                body,
            },
            _ => Content::plain(body),
        };
        let mut record = Record::default();
        let write = Write {
            past: None,
            content,
            request: RequestId(id.into()),
        };
        let mut births = Births::new(NodeId(id), Boot(id));
        record
            .mint(write, WallTime::from_secs(7), &mut births, &rules)
            .unwrap();
        all.merge(record.siblings().clone(), rules.policy, &retired)
            .unwrap();
    }
    all
}

fn messages() -> impl Strategy<Value = Message> {
    let versions =
        (any::<u8>(), any::<u8>()).prop_map(|(oldest, newest)| Versions { oldest, newest });
    let nonces = (1..u32::MAX).prop_map(nonce);
    let roles = prop_oneof![
        Just(Role::Client),
        Just(Role::Admin),
        (any::<u64>(), any::<u64>()).prop_map(|(node, generation)| Role::Peer {
            node: NodeId(node),
            generation: Generation(generation)
        }),
    ];
    let hello = (versions, nonces.clone(), any::<u128>(), roles).prop_map(
        |(versions, nonce, cluster, role)| {
            Message::Hello(Hello {
                versions,
                nonce,
                cluster: ClusterId(cluster),
                role,
            })
        },
    );
    let welcome = (
        any::<u8>(),
        nonces,
        any::<u128>(),
        any::<u64>(),
        any::<u64>(),
    )
        .prop_map(|(version, nonce, cluster, node, generation)| {
            Message::Welcome(Welcome {
                version,
                nonce,
                cluster: ClusterId(cluster),
                node: NodeId(node),
                generation: Generation(generation),
            })
        });
    let refused = prop_oneof![
        Just(Refusal::Version(Versions {
            oldest: 3,
            newest: 9
        })),
        Just(Refusal::Cluster),
        Just(Refusal::Overloaded),
    ]
    .prop_map(Message::Refused);
    let unsupported =
        (any::<u8>(), any::<u8>(), any::<u32>()).prop_map(|(version, kind, sequence)| {
            Message::Unsupported(Unsupported {
                version,
                kind: Kind(kind),
                sequence,
            })
        });
    let tickets = any::<u64>().prop_map(Ticket);
    let durability = prop_oneof![
        Just(Durability::Memory),
        Just(Durability::Written),
        Just(Durability::Flushed)
    ];
    let states = (0..5_u64, 0..2000_usize).prop_map(|(writes, body)| siblings(writes, body));
    let owners = prop::option::of(any::<u64>().prop_map(NodeId));
    let store = (
        tickets.clone(),
        durability.clone(),
        owners.clone(),
        any::<bool>(),
        states.clone(),
    )
        .prop_map(
            |(ticket, durability, held_for, is_repair, siblings)| Message::Store {
                epoch: Default::default(),
                ticket,
                durability,
                held_for,
                is_repair,
                key: key(),
                siblings,
            },
        );
    let held = (durability.clone(), states.clone());
    let copies = prop::collection::vec(held, 1..4).prop_map(|held| {
        let copies = held.into_iter().map(|(durability, siblings)| HeldCopy {
            durability,
            key: key(),
            siblings,
        });
        copies.collect()
    });
    let handoff =
        (tickets.clone(), copies).prop_map(|(ticket, copies)| Message::Handoff { ticket, copies });
    let handed_off =
        (tickets.clone(), any::<u64>(), any::<u32>()).prop_map(|(ticket, taken, credit)| {
            Message::HandedOff {
                ticket,
                taken,
                credit,
            }
        });
    let ping = tickets.clone().prop_map(|ticket| Message::Ping { ticket });
    let pong = tickets.clone().prop_map(|ticket| Message::Pong { ticket });
    let stored = (tickets.clone(), durability)
        .prop_map(|(ticket, durability)| Message::Stored { ticket, durability });
    let fetch = (tickets.clone(), owners).prop_map(|(ticket, held_for)| Message::Fetch {
        epoch: Default::default(),
        ticket,
        held_for,
        key: key(),
    });
    let outcomes = prop_oneof![
        states.prop_map(Fetched::Found),
        Just(Fetched::Absent),
        Just(Fetched::Damaged),
        Just(Fetched::Failed),
    ];
    let scopes = prop_oneof![Just(Scope::Bucket), Just(Scope::Buckets), Just(Scope::All)];
    let spans = (any::<u128>(), any::<u128>())
        .prop_map(|(first, last)| Span::of_positions(first.min(last)..=last));
    let list = (tickets.clone(), any::<u32>(), scopes, spans, any::<u16>()).prop_map(
        |(ticket, question, scope, span, most)| Message::List {
            ticket,
            question,
            key: key(),
            listing: Listing { scope, span, most },
        },
    );
    let listed = (tickets.clone(), any::<u32>(), 0..4_usize, any::<bool>()).prop_map(
        |(ticket, question, keys, goes_on)| Message::Listed {
            ticket,
            question,
            listed: Listed {
                keys: vec![key(); keys],
                rest: goes_on.then(|| Address::of_object(key().token(), key().encoded())),
            },
        },
    );
    let fetched =
        (tickets, outcomes).prop_map(|(ticket, outcome)| Message::Fetched { ticket, outcome });
    let plain = prop_oneof![
        store, stored, fetch, fetched, ping, pong, handoff, handed_off, list, listed
    ];
    let relay = (any::<u64>(), any::<u64>(), plain.clone()).prop_map(|(from, to, message)| {
        let (from, to) = (NodeId(from), NodeId(to));
        Message::Relay {
            from,
            to,
            message: Box::new(message),
        }
    });
    prop_oneof![hello, welcome, refused, unsupported, plain, relay]
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

mod handshake {
    use super::*;

    const OURS: Versions = Versions {
        oldest: 2,
        newest: 4,
    };

    fn hello(oldest: u8, newest: u8) -> Hello {
        Hello {
            versions: Versions { oldest, newest },
            nonce: nonce(7),
            cluster: ClusterId(1),
            role: Role::Client,
        }
    }

    #[test]
    fn settles_on_the_newest_common_version() {
        for (oldest, newest, common) in [(1, 3, 3), (3, 9, 4), (2, 4, 4), (1, 2, 2), (4, 4, 4)] {
            assert_eq!(hello(oldest, newest).accept(OURS, ClusterId(1)), Ok(common));
        }
        for (oldest, newest) in [(0, 1), (5, 9)] {
            let answer = hello(oldest, newest).accept(OURS, ClusterId(1));
            assert_eq!(answer, Err(Refusal::Version(OURS)));
        }
    }

    #[test]
    fn refuses_another_cluster() {
        assert_eq!(
            hello(1, 9).accept(OURS, ClusterId(2)),
            Err(Refusal::Cluster)
        );
    }

    /// Both sides, from strangers to the first request.
    #[test]
    fn each_side_learns_the_others_nonce() {
        let limits = Limits::default();
        let (mut client_out, mut client_in) =
            (Outbound::to_stranger(), Inbound::awaiting_welcome(nonce(7)));
        let (mut node_in, mut to_node, mut to_client) =
            (Inbound::from_stranger(), BytesMut::new(), BytesMut::new());

        client_out.write(&Message::Hello(hello(1, 1)), &mut to_node);
        let Message::Hello(hello) = receive(&mut node_in, &mut to_node).unwrap().remove(0) else {
            panic!("a hello")
        };
        let version = hello.accept(Versions::OURS, ClusterId(1)).unwrap();
        let mut node_out = Outbound::to(hello.nonce);
        node_in.admit(nonce(9), &limits);
        let welcome = Welcome {
            version,
            nonce: nonce(9),
            cluster: ClusterId(1),
            node: NodeId(3),
            generation: Generation(1),
        };
        node_out.write(&Message::Welcome(welcome), &mut to_client);

        let Message::Welcome(welcome) = receive(&mut client_in, &mut to_client).unwrap().remove(0)
        else {
            panic!("a welcome")
        };
        client_out.address(welcome.nonce);
        client_in.admit(nonce(7), &limits);
        let request = Message::Fetch {
            epoch: Default::default(),
            ticket: Ticket(1),
            held_for: None,
            key: key(),
        };
        client_out.write(&request, &mut to_node);
        assert_eq!(receive(&mut node_in, &mut to_node).unwrap(), [request]);
    }

    #[test]
    fn a_later_versions_hello_is_heard() {
        let said = Message::Hello(hello(1, 9)).encode();
        let mut buffer = BytesMut::new();
        dynamo_tests::wire::frame(9, said.kind(), 0, 0, said.bytes(), &mut buffer);
        let heard = receive(&mut Inbound::from_stranger(), &mut buffer);
        assert_eq!(heard, Ok(vec![Message::Hello(hello(1, 9))]));
    }

    #[test]
    fn a_later_versions_reason_is_kept() {
        let kind = Message::Refused(Refusal::Cluster).kind();
        let body = dynamo_tests::wire::body(kind, Bytes::from_static(&[200]));
        let refused = Message::decode(&body).unwrap();
        assert!(matches!(refused, Message::Refused(Refusal::Other(_))));
        assert_eq!(refused.encode().bytes(), body.bytes());
    }

    #[test]
    fn a_later_versions_hello_may_say_more() {
        let mut bytes = Message::Hello(hello(1, 9)).encode().bytes().to_vec();
        bytes.extend_from_slice(b"more");
        let body = dynamo_tests::wire::body(Message::Hello(hello(1, 9)).kind(), bytes.into());
        assert_eq!(Message::decode(&body), Ok(Message::Hello(hello(1, 9))));
    }
}
