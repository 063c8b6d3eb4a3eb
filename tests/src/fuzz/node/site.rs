//! The cluster that the node believes it is in, and how it keeps its keys: small and odd.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use dynamo_proto::node::{Capacity, Config, HintLimits, Timing};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::version::Policy;
use dynamo_proto::{Bucket, Buckets, ClusterId, Durability, Key, Limits, NodeId};

use super::ME;

/// Peers beyond the last member are strangers.
pub(super) const MOST_MEMBERS: u64 = 5;

/// The bucket types, each with two keys and one that is longer than clients may make it.
const TYPES: [&str; 3] = ["siblings", "last-write-wins", "other"];
const KEYS: [&str; 3] = ["one", "two", "longer than allowed"];
const KEY_BYTES: usize = 8;

pub(super) fn draw(bytes: &mut Unstructured<'_>) -> Result<(Arc<Config>, Arc<Ring>, Arc<Buckets>)> {
    let members = bytes.int_in_range(1..=MOST_MEMBERS)?;
    let shares_hosts = bytes.ratio(1, 4)?;
    let member = |id| {
        let host = if shares_hosts { id / 2 } else { id };
        Member::new(NodeId(id), "zone", format!("host-{host}"))
    };
    let ring = Ring::birth(
        RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 4 },
            replicas: 3,
        },
        (1..=members).map(member).collect(),
    );
    let mut types = BTreeMap::new();
    for name in TYPES {
        let policy = match name {
            "last-write-wins" => Policy::LastWriteWins {
                max_skew: *bytes.choose(&[Duration::ZERO, Duration::from_secs(3600)])?,
            },
            _ => Policy::Siblings,
        };
        types.insert(name.as_bytes().to_vec(), bucket(policy, bytes)?);
    }
    let config = Config {
        node: ME,
        cluster: ClusterId(1),
        secret: *b"a shared secret!",
        limits: Limits {
            key_bytes: KEY_BYTES,
            value_bytes: 32,
            metadata_bytes: 16,
            siblings: bytes.int_in_range(1..=4)?,
            actors: bytes.int_in_range(2..=6)?,
            ..Limits::default()
        },
        capacity: Capacity {
            requests: *bytes.choose(&[4, 1, 2, 100])?,
            peers: *bytes.choose(&[4, 1, 2, 100])?,
            reads_per_key: bytes.int_in_range(1..=2)?,
            repairs: bytes.int_in_range(0..=2)?,
        },
        timing: Timing {
            timeout: *bytes.choose(&[Duration::from_secs(5), Duration::from_millis(20)])?,
            longest_timeout: *bytes.choose(&[Duration::from_secs(60), Duration::MAX])?,
            retry_after: *bytes.choose(&[
                Duration::from_millis(500),
                Duration::from_millis(10),
                Duration::from_secs(3600),
            ])?,
            slow_store: *bytes.choose(&[Duration::from_millis(250), Duration::ZERO])?,
            gossip_every: *bytes.choose(&[Duration::from_secs(1 << 20), Duration::from_secs(1)])?,
            ..Timing::default()
        },
        hints: HintLimits {
            copies: bytes.int_in_range(0..=4)?,
            ..HintLimits::default()
        },
    };
    let buckets = Buckets {
        types,
        ..Buckets::default()
    };
    let ring = ring.expect("a sound membership");
    Ok((Arc::new(config), Arc::new(ring), Arc::new(buckets)))
}

fn bucket(policy: Policy, bytes: &mut Unstructured<'_>) -> Result<Bucket> {
    let n = bytes.int_in_range(1..=4)?;
    Ok(Bucket {
        n,
        r: bytes.int_in_range(1..=n)?,
        w: bytes.int_in_range(1..=n)?,
        pr: if bytes.ratio(1, 4)? { n } else { 0 },
        pw: if bytes.ratio(1, 4)? { n } else { 0 },
        policy,
        durability: durability(bytes)?,
        one_flushed: bytes.ratio(1, 4)?,
        absent_counts: !bytes.ratio(1, 4)?,
        majority_absent: bytes.ratio(1, 4)?,
        truncate_to: if bytes.ratio(1, 8)? { Some(2) } else { None },
        notes: Vec::new(),
    })
}

pub(super) fn durability(bytes: &mut Unstructured<'_>) -> Result<Durability> {
    bytes
        .choose(&[Durability::Flushed, Durability::Written, Durability::Memory])
        .copied()
}

pub(super) fn key(bytes: &mut Unstructured<'_>) -> Result<Key> {
    let (bucket_type, key) = (bytes.choose(&TYPES)?, bytes.choose(&KEYS)?);
    let key = Key::new(bucket_type, "fuzz", key, &Limits::default());
    Ok(key.expect("short names"))
}
