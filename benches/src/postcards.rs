//! The frames of somebody who derives them: the content of ours as serde structs in postcard, with
//! a length and the same checksum before it.
//!
//! Where there is a choice it is the one that favours postcard: no more copies or allocations than
//! serde needs, random numbers in fixed width, values that name their actor by its place in the
//! clock, output to a buffer known to be large enough.
//!
//! ```text
//! u32 length of the body | u64 checksum of the body, XXH3 | body
//! ```

use dynamo_proto::version::{Content, Sibling};
use dynamo_proto::wire::Message;
use postcard::fixint;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::frames::{self, Burst};

/// What precedes a body.
pub const HEADER_BYTES: usize = 12;

/// A state on its way to a replica. `B` is how a reader has bytes: its own
/// ([`ByteBuf`](serde_bytes::ByteBuf)) or those of the buffer ([`Bytes`](serde_bytes::Bytes)).
#[derive(Debug, Serialize, Deserialize)]
pub struct Store<B> {
    ticket: u64,
    #[serde(with = "fixint::le")]
    epoch: u64,
    durability: Durability,
    key: B,
    siblings: Siblings<B>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Durability {
    Memory,
    Written,
    Flushed,
}

#[derive(Debug, Serialize, Deserialize)]
struct Siblings<B> {
    height: u32,
    entries: SmallVec<[Entry; 3]>,
    #[serde(bound(deserialize = "B: Deserialize<'de>", serialize = "B: Serialize"))]
    values: SmallVec<[Value<B>; 1]>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(with = "fixint::le")]
    node: u64,
    #[serde(with = "fixint::le")]
    boot: u64,
    serial: u64,
    counter: u32,
    #[serde(with = "fixint::le")]
    updated: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Value<B> {
    entry: u32,
    counter: u32,
    #[serde(with = "fixint::le")]
    request: u128,
    #[serde(with = "fixint::le")]
    stamp: u64,
    content: Written<B>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Written<B> {
    Live { metadata: B, body: B },
    Tombstone,
}

impl<'a> Store<&'a serde_bytes::Bytes> {
    /// What that message of ours says.
    #[must_use]
    pub fn of(message: &'a Message) -> Self {
        let Message::Store {
            ticket,
            epoch,
            key,
            siblings,
            ..
        } = message
        else {
            panic!("only states are measured");
        };
        let clock = siblings.clock().entries();
        let entries = clock.iter().map(|entry| Entry {
            node: entry.actor.node.0,
            boot: entry.actor.boot.0,
            serial: entry.actor.serial,
            counter: entry.counter,
            updated: entry.updated,
        });
        let values = siblings.values().iter().map(|sibling| {
            let actor = sibling.dot.actor;
            let entry = clock.iter().position(|entry| entry.actor == actor);
            let entry = entry.expect("every live value's actor is in the clock");
            Value::of(sibling, entry as u32)
        });
        Self {
            ticket: ticket.0,
            epoch: epoch.0,
            durability: Durability::Flushed,
            key: serde_bytes::Bytes::new(key.encoded()),
            siblings: Siblings {
                height: siblings.clock().height().0,
                entries: entries.collect(),
                values: values.collect(),
            },
        }
    }
}

impl<'a> Value<&'a serde_bytes::Bytes> {
    fn of(sibling: &'a Sibling, entry: u32) -> Self {
        Self {
            entry,
            counter: sibling.dot.counter,
            request: sibling.value.request.0,
            stamp: sibling.value.stamp.as_micros(),
            content: match &sibling.value.content {
                Content::Live { metadata, body } => Written::Live {
                    metadata: serde_bytes::Bytes::new(metadata.encoded()),
                    body: serde_bytes::Bytes::new(body),
                },
                Content::Tombstone => Written::Tombstone,
                Content::Data(_) => unreachable!("these messages carry plain values"),
            },
        }
    }
}

/// What is measured: writes a frame to the front of the buffer. Returns its length.
#[inline]
pub fn write<B: Serialize>(store: &Store<B>, buffer: &mut [u8]) -> usize {
    let (header, rest) = buffer.split_at_mut(HEADER_BYTES);
    let body = postcard::to_slice(store, rest).expect("the buffer is large enough");
    header[..4].copy_from_slice(&(body.len() as u32).to_be_bytes());
    header[4..].copy_from_slice(&xxh3_64(body).to_be_bytes());
    HEADER_BYTES + body.len()
}

/// What is measured: the state in the frame at the front of the buffer, and the frame's length.
#[inline]
pub fn read<'a, B: Deserialize<'a>>(buffer: &'a [u8]) -> (Store<B>, usize) {
    let (len, rest) = buffer.split_first_chunk().expect("the frame is whole");
    let (sum, rest) = rest.split_first_chunk().expect("the frame is whole");
    let body = &rest[..u32::from_be_bytes(*len) as usize];
    assert_eq!(
        xxh3_64(body),
        u64::from_be_bytes(*sum),
        "the frame is whole"
    );
    let store = postcard::from_bytes(body).expect("the state is as it was written");
    (store, HEADER_BYTES + body.len())
}

/// About as many frames of that message as one read brings.
#[must_use]
pub fn burst(message: &Message) -> Burst {
    let mut frame = vec![0; 2 * frames::burst(message).bytes.len()];
    let len = write(&Store::of(message), &mut frame);
    Burst::filled(|bytes| bytes.extend_from_slice(&frame[..len]))
}
