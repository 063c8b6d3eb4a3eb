//! Versions: what one node keeps of a key after some writes, and its clock in `crdts`' words.

use bytes::Bytes;
use crdts::{Dot, VClock};
use dynamo_proto::version::{
    Actor, Births, Boot, Clock, Content, FieldKind, Metadata, Minted, Past, Policy, Record,
    RequestId, Retirements, Rules, Siblings, Write,
};
use dynamo_proto::{Key, Limits, NodeId, WallTime};

use crate::scattered;

/// The conflict policy of the bucket measured.
pub const POLICY: Policy = Policy::Siblings;

/// Two clocks of three actors for each way in which they can stand to each other, as the writes
/// of each actor that they have seen.
pub const RELATIONS: [(&str, [u32; 3], [u32; 3]); 3] = [
    ("equal", [2, 2, 2], [2, 2, 2]),
    ("before", [2, 2, 2], [3, 2, 3]),
    ("concurrent", [1, 2, 3], [3, 2, 1]),
];

/// Two states, as the writes of each actor in turn, whose values do not supersede each other.
pub const SIDE_BY_SIDE: [[u32; 3]; 2] = [[2, 1, 0], [2, 0, 1]];

/// What all nodes know of the bucket.
#[derive(Debug, Default)]
pub struct Bucket {
    limits: Limits,
    /// The boots that are retired: none.
    pub retired: Retirements,
}

/// The node that wrote last, about to write again.
#[derive(Debug)]
pub struct Coordinator {
    bucket: Bucket,
    births: Births,
    /// What it keeps of the key: one value.
    pub record: Record,
    /// What a client has seen that read it.
    pub past: Past,
}

impl Bucket {
    fn rules(&self) -> Rules<'_> {
        Rules {
            policy: POLICY,
            truncate_to: None,
            limits: &self.limits,
            retired: &self.retired,
        }
    }
}

impl Coordinator {
    /// After each of the first nodes in turn has read the key and written it that many times.
    #[must_use]
    pub fn after(writes: &[u32], content: &Content) -> Self {
        let bucket = Bucket::default();
        let mut births = births(0);
        let mut record = Record::default();
        for (node, &times) in writes.iter().enumerate() {
            births = self::births(node as u64);
            record = Record::received(record.siblings().clone());
            for _ in 0..times {
                let past = record.siblings().past();
                mint(&mut record, &past, content.clone(), &mut births, &bucket);
            }
        }
        let past = record.siblings().past();
        Self {
            bucket,
            births,
            record,
            past,
        }
    }

    /// What is measured: makes what a client writes that has read the key a version of it.
    ///
    /// The record is to be a copy of [`record`](Self::record): a coordinator goes on as long as a
    /// bench does.
    #[inline]
    pub fn mint(&mut self, record: &mut Record, content: Content) -> Minted {
        mint(record, &self.past, content, &mut self.births, &self.bucket)
    }
}

/// A value of so many bytes with the metadata that most values have.
#[must_use]
pub fn content(body_bytes: usize) -> Content {
    let mut metadata = Metadata::builder();
    metadata
        .push(FieldKind::CONTENT_TYPE, b"", b"application/json")
        .expect("a short field fits its length prefix");
    Content::Live {
        metadata: metadata.build(),
        body: Bytes::from(vec![b'v'; body_bytes]),
    }
}

/// The replicated state after those writes, of one value of so many bytes.
#[must_use]
pub fn siblings(writes: &[u32], body_bytes: usize) -> Siblings {
    Coordinator::after(writes, &content(body_bytes))
        .record
        .siblings()
        .clone()
}

/// The clock after those writes.
#[must_use]
pub fn clock(writes: &[u32]) -> Clock {
    siblings(writes, 0).clock().clone()
}

/// The same clock as `crdts` has it, of the same actors.
#[must_use]
pub fn crdts_clock(writes: &[u32]) -> VClock<Actor> {
    let clock = clock(writes);
    let entries = clock.entries().iter();
    entries
        .map(|entry| Dot::new(entry.actor, entry.counter.into()))
        .collect()
}

/// The key that is read and written.
#[must_use]
pub fn key() -> Key {
    Key::new("default", "carts", "customer-0000017", &Limits::default())
        .expect("a short key is within limits")
}

fn births(node: u64) -> Births {
    Births::new(NodeId(scattered(2 * node)), Boot(scattered(2 * node + 1)))
}

fn mint(
    record: &mut Record,
    past: &Past,
    content: Content,
    births: &mut Births,
    bucket: &Bucket,
) -> Minted {
    let write = Write {
        past: Some(past),
        content,
        request: RequestId(u128::from(scattered(17)) << 64 | u128::from(scattered(18))),
    };
    record
        .mint(
            write,
            WallTime::from_secs(1_700_000_000),
            births,
            &bucket.rules(),
        )
        .expect("one small value is within limits")
}
