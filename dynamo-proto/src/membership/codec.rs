//! Parts that several messages of membership have in common, as bytes.
//!
//! All numbers are big-endian.
//!
//! ```text
//! label     u8 length | bytes
//! member    u64 node | label zone | label host | u32 weight
//! ring      u8 strategy | u32 tokens | u32 partitions | u8 replicas
//! bucket    u8 n, r, w, pr, pw | u8 policy | if last-write-wins: u64 seconds, u32 nanoseconds |
//!           u8 durability | u8 flags | if it truncates: u32 | if something is noted: u8 length, notes
//! buckets   bucket for all | u16 types | label, bucket each |
//!           u16 single | label type, label name, bucket each
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::BufMut;

use super::limits::{MAX_BUCKET_TYPES, MAX_NAME_BYTES, MAX_SINGLE_BUCKETS};
use crate::reader::{DecodeError, Reader};
use crate::ring::{Member, RingConfig, Strategy};
use crate::version::{DataType, Policy};
use crate::{Bucket, Buckets, Durability, NodeId};

const RANDOM_TOKENS: u8 = 1;
const RANDOM_TOKENS_EQUAL: u8 = 2;
const EQUAL: u8 = 3;

const SIBLINGS: u8 = 0;
const LAST_WRITE_WINS: u8 = 1;
const DATA: u8 = 2;

const ONE_FLUSHED: u8 = 1;
const ABSENT_COUNTS: u8 = 2;
const MAJORITY_ABSENT: u8 = 4;
const TRUNCATES: u8 = 8;
const HAS_NOTES: u8 = 16;

pub(super) fn put_label(label: &[u8], out: &mut impl BufMut) {
    debug_assert!(label.len() <= MAX_NAME_BYTES);
    out.put_u8(label.len() as u8); // fits: labels are checked where they come in
    out.put_slice(label);
}

pub(super) fn label_len(label: &[u8]) -> usize {
    1 + label.len()
}

pub(super) fn bytes_label(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<Box<[u8]>, DecodeError> {
    let len = reader.u8(what)?;
    Ok(reader.slice(len.into(), what)?.into())
}

pub(super) fn label(reader: &mut Reader<'_>, what: &'static str) -> Result<Box<str>, DecodeError> {
    let len = reader.u8(what)?;
    let bytes = reader.slice(len.into(), what)?;
    let text = core::str::from_utf8(bytes).map_err(|_| DecodeError::Invalid(what))?;
    Ok(text.into())
}

pub(super) fn put_member(member: &Member, out: &mut impl BufMut) {
    out.put_u64(member.id.0);
    put_label(member.zone.as_bytes(), out);
    put_label(member.host.as_bytes(), out);
    out.put_u32(member.weight);
}

pub(super) fn member_len(member: &Member) -> usize {
    12 + label_len(member.zone.as_bytes()) + label_len(member.host.as_bytes())
}

pub(super) fn member(reader: &mut Reader<'_>) -> Result<Member, DecodeError> {
    let member = Member {
        id: NodeId(reader.u64("a member")?),
        zone: label(reader, "a zone")?,
        host: label(reader, "a host")?,
        weight: reader.u32("a weight")?,
    };
    member
        .check()
        .map_err(|_| DecodeError::Invalid("a member"))?;
    Ok(member)
}

pub(super) fn put_ring(config: RingConfig, out: &mut impl BufMut) {
    let (strategy, tokens, partitions) = match config.strategy {
        Strategy::RandomTokens { tokens_per_node } => (RANDOM_TOKENS, tokens_per_node, 0),
        Strategy::RandomTokensEqualPartitions {
            tokens_per_node,
            partitions,
        } => (RANDOM_TOKENS_EQUAL, tokens_per_node, partitions),
        Strategy::EqualPartitions { partitions } => (EQUAL, 0, partitions),
    };
    out.put_u8(strategy);
    out.put_u32(tokens);
    out.put_u32(partitions);
    out.put_u8(config.replicas);
}

pub(super) fn ring(reader: &mut Reader<'_>) -> Result<RingConfig, DecodeError> {
    let what = "a ring's configuration";
    let strategy = reader.u8(what)?;
    let tokens_per_node = reader.u32(what)?;
    let partitions = reader.u32(what)?;
    let strategy = match (strategy, tokens_per_node, partitions) {
        (RANDOM_TOKENS, _, 0) => Strategy::RandomTokens { tokens_per_node },
        (RANDOM_TOKENS_EQUAL, ..) => Strategy::RandomTokensEqualPartitions {
            tokens_per_node,
            partitions,
        },
        (EQUAL, 0, _) => Strategy::EqualPartitions { partitions },
        _ => return Err(DecodeError::Invalid(what)),
    };
    let replicas = reader.u8(what)?;
    let config = RingConfig { strategy, replicas };
    config.check_all().map_err(|_| DecodeError::Invalid(what))?;
    Ok(config)
}

pub(super) fn put_bucket(bucket: &Bucket, out: &mut impl BufMut) {
    out.put_slice(&[bucket.n, bucket.r, bucket.w, bucket.pr, bucket.pw]);
    match bucket.policy {
        Policy::Siblings => out.put_u8(SIBLINGS),
        Policy::LastWriteWins { max_skew } => {
            out.put_u8(LAST_WRITE_WINS);
            out.put_u64(max_skew.as_secs());
            out.put_u32(max_skew.subsec_nanos());
        }
        Policy::Data(kind) => out.put_slice(&[DATA, kind.code()]),
    }
    out.put_u8(match bucket.durability {
        Durability::Memory => 0,
        Durability::Written => 1,
        Durability::Flushed => 2,
    });
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    out.put_u8(
        flag(bucket.one_flushed, ONE_FLUSHED)
            | flag(bucket.absent_counts, ABSENT_COUNTS)
            | flag(bucket.majority_absent, MAJORITY_ABSENT)
            | flag(bucket.truncate_to.is_some(), TRUNCATES)
            | flag(!bucket.notes.is_empty(), HAS_NOTES),
    );
    if let Some(entries) = bucket.truncate_to {
        out.put_u32(u32::try_from(entries).unwrap_or(u32::MAX)); // no clock has more
    }
    if !bucket.notes.is_empty() {
        out.put_u8(bucket.notes.len() as u8); // fits: at most MAX_NOTES
        out.put_slice(&bucket.notes);
    }
}

pub(super) fn bucket_len(bucket: &Bucket) -> usize {
    let policy = match bucket.policy {
        Policy::Siblings => 1,
        Policy::LastWriteWins { .. } => 13,
        Policy::Data(_) => 2,
    };
    let notes = match bucket.notes.len() {
        0 => 0,
        len => 1 + len,
    };
    7 + policy + 4 * usize::from(bucket.truncate_to.is_some()) + notes
}

pub(super) fn bucket(reader: &mut Reader<'_>) -> Result<Bucket, DecodeError> {
    let what = "a bucket type's properties";
    let [n, r, w, pr, pw] = reader.array(what)?;
    let policy = match reader.u8(what)? {
        SIBLINGS => Policy::Siblings,
        LAST_WRITE_WINS => {
            let (secs, nanos) = (reader.u64(what)?, reader.u32(what)?);
            if nanos >= 1_000_000_000 {
                return Err(DecodeError::Invalid(what));
            }
            Policy::LastWriteWins {
                max_skew: Duration::new(secs, nanos),
            }
        }
        DATA => {
            let kind = DataType::of_code(reader.u8(what)?);
            Policy::Data(kind.ok_or(DecodeError::Invalid("a data type"))?)
        }
        _ => return Err(DecodeError::Invalid("a policy")),
    };
    let durability = match reader.u8(what)? {
        0 => Durability::Memory,
        1 => Durability::Written,
        2 => Durability::Flushed,
        _ => return Err(DecodeError::Invalid("a durability")),
    };
    let flags = reader.u8(what)?;
    if flags > ONE_FLUSHED | ABSENT_COUNTS | MAJORITY_ABSENT | TRUNCATES | HAS_NOTES {
        return Err(DecodeError::Invalid(what));
    }
    let truncate_to = if flags & TRUNCATES == 0 {
        None
    } else {
        Some(usize::try_from(reader.u32(what)?).map_err(|_| DecodeError::Invalid(what))?)
    };
    let notes = if flags & HAS_NOTES == 0 {
        Vec::new()
    } else {
        let len = reader.u8(what)?;
        reader.slice(len.into(), what)?.to_vec()
    };
    if flags & HAS_NOTES != 0 && notes.is_empty() {
        return Err(DecodeError::Invalid(what)); // there is one form
    }
    let bucket = Bucket {
        n,
        r,
        w,
        pr,
        pw,
        policy,
        durability,
        one_flushed: flags & ONE_FLUSHED != 0,
        absent_counts: flags & ABSENT_COUNTS != 0,
        majority_absent: flags & MAJORITY_ABSENT != 0,
        truncate_to,
        notes,
    };
    if bucket.check().is_err() {
        return Err(DecodeError::Invalid(what));
    }
    Ok(bucket)
}

/// Whether there can be such buckets, and not too many.
pub(super) fn are_sound(buckets: &Buckets) -> bool {
    let names = buckets.types.keys().chain(buckets.single.keys());
    let mut names = names.chain(buckets.single.values().flat_map(|it| it.keys()));
    buckets.types.len() <= MAX_BUCKET_TYPES
        && buckets.singles() <= MAX_SINGLE_BUCKETS
        && names.all(|name| name.len() <= MAX_NAME_BYTES)
        && buckets.all().all(|bucket| bucket.check().is_ok())
}

pub(super) fn put_buckets(buckets: &Buckets, out: &mut impl BufMut) {
    put_bucket(&buckets.default, out);
    out.put_u16(buckets.types.len() as u16); // fits: at most MAX_BUCKET_TYPES
    for (name, bucket) in &buckets.types {
        put_label(name, out);
        put_bucket(bucket, out);
    }
    out.put_u16(buckets.singles() as u16); // fits: at most MAX_SINGLE_BUCKETS
    for (bucket_type, single) in &buckets.single {
        for (name, bucket) in single {
            put_label(bucket_type, out);
            put_label(name, out);
            put_bucket(bucket, out);
        }
    }
}

pub(super) fn buckets_len(buckets: &Buckets) -> usize {
    let types = buckets.types.iter();
    let types = types.map(|(name, bucket)| label_len(name) + bucket_len(bucket));
    let single = buckets.single.iter().flat_map(|(bucket_type, single)| {
        let one = |(name, bucket): (&Vec<u8>, &Bucket)| label_len(name) + bucket_len(bucket);
        single
            .iter()
            .map(move |it| label_len(bucket_type) + one(it))
    });
    4 + bucket_len(&buckets.default) + types.sum::<usize>() + single.sum::<usize>()
}

pub(super) fn buckets(reader: &mut Reader<'_>) -> Result<Buckets, DecodeError> {
    let what = "a cluster's buckets";
    let mut buckets = Buckets::from(bucket(reader)?);
    for _ in 0..u16::from_be_bytes(reader.array(what)?) {
        let name = bytes_label(reader, "a bucket type's name")?;
        buckets.types.insert(name.into(), bucket(reader)?);
    }
    for _ in 0..u16::from_be_bytes(reader.array(what)?) {
        let bucket_type = bytes_label(reader, "a bucket type's name")?;
        let name = bytes_label(reader, "a bucket's name")?;
        let single = buckets.single.entry(bucket_type.into()).or_default();
        single.insert(name.into(), bucket(reader)?);
    }
    Ok(buckets)
}
