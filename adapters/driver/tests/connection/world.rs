//! Two nodes, what they say, and what carries it.

use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::{Connection, Ended, Event, Identity};
use dynamo_proto::node::{Condition, Failure, Mode, Operation, Options, Request, Response};
use dynamo_proto::version::{
    Births, Boot, Content, Policy, Record, RequestId, Retirements, Rules, Siblings, Write,
};
use dynamo_proto::wire::{Fetched, Hello, Message, Nonce, NotStored, Ticket, Versions};
use dynamo_proto::{ClusterId, Durability, Generation, Key, Limits, NodeId, WallTime};
use proptest::prelude::*;

pub(crate) const OUTGOING_BYTES: usize = 1 << 20;

pub(crate) const DIALER: NodeId = NodeId(1);
pub(crate) const ACCEPTER: NodeId = NodeId(2);

/// What the frames to each must carry.
pub(crate) const TO_DIALER: u32 = 7;
pub(crate) const TO_ACCEPTER: u32 = 8;

pub(crate) fn nonce(number: u32) -> Nonce {
    Nonce::new(number).expect("not 0")
}

pub(crate) fn identity(node: NodeId) -> Identity {
    Identity {
        cluster: ClusterId(1),
        node,
        generation: Generation(node.0 * 10),
        versions: Versions::OURS,
    }
}

pub(crate) fn hello() -> Hello {
    identity(DIALER).hello(nonce(TO_DIALER))
}

pub(crate) fn dial(limits: Limits) -> Connection {
    Connection::dial(hello(), Some(ACCEPTER), limits, OUTGOING_BYTES)
}

pub(crate) fn accept(limits: Limits) -> Connection {
    Connection::accept(
        identity(ACCEPTER),
        nonce(TO_ACCEPTER),
        limits,
        OUTGOING_BYTES,
    )
}

/// A dialer and an accepter that have shaken hands.
pub(crate) fn pair(limits: Limits) -> (Connection, Connection) {
    joined(dial(limits), accept(limits))
}

/// Lets two shake hands.
pub(crate) fn joined(mut dialer: Connection, mut accepter: Connection) -> (Connection, Connection) {
    let heard = carry(&mut dialer, &mut accepter).expect("they know each other");
    assert!(matches!(heard[..], [Event::Established(_)]));
    let heard = carry(&mut accepter, &mut dialer).expect("they know each other");
    assert!(matches!(heard[..], [Event::Established(_)]));
    (dialer, accepter)
}

/// Takes all that is outgoing.
pub(crate) fn written(from: &mut Connection) -> Vec<u8> {
    let bytes = from.outgoing().to_vec();
    from.sent(bytes.len());
    bytes
}

/// Brings all that one side has written to the other.
pub(crate) fn carry(from: &mut Connection, to: &mut Connection) -> Result<Vec<Event>, Ended> {
    feed(to, &written(from))
}

/// What becomes of bytes that arrive.
pub(crate) fn feed(to: &mut Connection, mut bytes: &[u8]) -> Result<Vec<Event>, Ended> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let before = bytes.len();
        to.receive(&mut bytes);
        assert!(bytes.len() < before, "there is always room after a poll");
        while let Some(event) = to.poll()? {
            events.push(event);
        }
    }
    Ok(events)
}

pub(crate) fn key() -> Key {
    Key::new("default", "carts", "alice", &Limits::default()).expect("a short key")
}

pub(crate) fn fetch(ticket: u64) -> Message {
    Message::Fetch {
        epoch: Default::default(),
        ticket: Ticket(ticket),
        held_for: None,
        key: key(),
    }
}

pub(crate) fn store(siblings: Siblings) -> Message {
    Message::Store {
        epoch: Default::default(),
        ticket: Ticket(1),
        durability: Durability::Flushed,
        held_for: None,
        is_repair: false,
        key: key(),
        siblings,
    }
}

/// A state of `writes` blind writes by as many nodes, of bodies of that length.
pub(crate) fn siblings(writes: u64, body: usize) -> Siblings {
    let limits = Limits {
        value_bytes: usize::MAX,
        ..Limits::default()
    };
    let retired = Retirements::default();
    let rules = Rules {
        policy: Policy::Siblings,
        truncate_to: None,
        limits: &limits,
        retired: &retired,
    };
    let mut all = Siblings::default();
    for id in 1..=writes {
        let content = match id % 3 {
            0 => Content::Tombstone,
            _ => Content::plain(Bytes::from(vec![id as u8; body])),
        };
        let write = Write {
            past: None,
            content,
            request: RequestId(id.into()),
        };
        let (mut record, mut births) = (Record::default(), Births::new(NodeId(id), Boot(id)));
        record
            .mint(write, WallTime::from_secs(7), &mut births, &rules)
            .expect("within the limits");
        let merged = all.merge(record.siblings().clone(), rules.policy, &retired);
        merged.expect("nothing is retired here");
    }
    all
}

/// What nodes and clients say once they have shaken hands.
pub(crate) fn messages() -> impl Strategy<Value = Message> {
    let tickets = || any::<u64>().prop_map(Ticket);
    let durability = || {
        prop_oneof![
            Just(Durability::Memory),
            Just(Durability::Written),
            Just(Durability::Flushed)
        ]
    };
    let states = || (0..5_u64, 0..3000_usize).prop_map(|(writes, body)| siblings(writes, body));
    prop_oneof![
        (tickets(), durability(), states()).prop_map(|(ticket, durability, siblings)| {
            Message::Store {
                epoch: Default::default(),
                ticket,
                durability,
                held_for: None,
                is_repair: false,
                key: key(),
                siblings,
            }
        }),
        (tickets(), durability())
            .prop_map(|(ticket, durability)| Message::Stored { ticket, durability }),
        tickets().prop_map(|ticket| Message::NotStored {
            ticket,
            reason: NotStored::Full
        }),
        any::<u64>().prop_map(fetch),
        (tickets(), outcomes(states()))
            .prop_map(|(ticket, outcome)| Message::Fetched { ticket, outcome }),
        (tickets(), any::<bool>(), any::<u32>(), requests()).prop_map(
            |(ticket, is_retry, patience, request)| Message::Request {
                epoch: Default::default(),
                ticket,
                patience: Duration::from_millis(patience.into()),
                request: Request {
                    is_retry,
                    ..request
                },
            }
        ),
        (tickets(), responses())
            .prop_map(|(ticket, response)| Message::Response { ticket, response }),
    ]
}

fn outcomes(states: impl Strategy<Value = Siblings>) -> impl Strategy<Value = Fetched> {
    prop_oneof![
        states.prop_map(Fetched::Found),
        Just(Fetched::Absent),
        Just(Fetched::Damaged),
        Just(Fetched::Failed),
    ]
}

fn requests() -> impl Strategy<Value = Request> {
    let puts = prop::collection::vec(any::<u8>(), 0..2000).prop_map(|body| Operation::Put {
        fastest: Some(ACCEPTER),
        mode: Mode::Blind,
        content: Content::plain(body),
        condition: Condition::Absent,
    });
    let seen = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3);
    let gets = (any::<bool>(), seen).prop_map(|(head, seen)| Operation::Get {
        head,
        seen: seen.into_iter().map(Bytes::from).collect(),
    });
    let fetches = any::<u64>().prop_map(|ring| Operation::Fetch { ring });
    let operations = prop_oneof![gets, fetches, puts];
    (any::<u128>(), operations).prop_map(|(id, operation)| Request {
        id: RequestId(id),
        is_retry: false,
        key: key(),
        operation,
        options: Options::default(),
    })
}

fn responses() -> impl Strategy<Value = Response> {
    prop_oneof![
        Just(Response::Unknown),
        (any::<u8>(), any::<u8>())
            .prop_map(|(need, got)| Response::Failed(Failure::TooFew { need, got })),
    ]
}
