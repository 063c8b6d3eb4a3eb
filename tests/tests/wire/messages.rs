//! Messages of all kinds that are not the cluster's.

use bytes::Bytes;
use dynamo_proto::node::{Listed, Listing, Scope};
use dynamo_proto::store::{Address, Span};
use dynamo_proto::version::{
    Births, Boot, Content, FieldKind, Metadata, Policy, Record, RequestId, Retirements, Rules,
    Siblings, Write,
};
use dynamo_proto::wire::{
    Fetched, HeldCopy, Hello, Kind, Message, Refusal, Role, Ticket, Unsupported, Versions, Welcome,
};
use dynamo_proto::{ClusterId, Durability, Generation, Limits, NodeId, WallTime};
use proptest::prelude::*;

use super::{key, nonce};

/// A state of `writes` blind writes by as many nodes, of bodies of that length.
pub(super) fn siblings(writes: u64, body: usize) -> Siblings {
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

pub(super) fn messages() -> impl Strategy<Value = Message> {
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
