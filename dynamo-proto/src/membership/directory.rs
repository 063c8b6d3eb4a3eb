//! What a client is told of a cluster, so that it can go straight to whoever is on duty for a key.
//!
//! ```text
//! directory  u32 height | u64 digest | ring | u8 has reads | ring | u32 places | each: u64 node |
//!            label address | limits | buckets | u32 retired | each: u64 node, u64 boot | u64 sum
//! ring       its configuration | u32 members | each: member | u32 slots | each: u16
//! limits     u64 bucket, key, value, metadata bytes, siblings, actors, record, frame bytes
//! ```

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use super::retiring::{boots, put_boots};
use super::{Epoch, codec};
use crate::reader::{DecodeError, Reader};
use crate::ring::RingSnapshot;
use crate::version::{Height, Retirements};
use crate::{Buckets, Limits, NodeId};

/// Who is on duty for what, where they are, and what may be asked of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// As of when.
    pub epoch: Epoch,
    /// The ring by which writes go.
    pub ring: RingSnapshot,
    /// The ring by which reads go, if it is another one: while partitions move.
    pub reads: Option<RingSnapshot>,
    /// Where nodes are reached, as far as whoever tells knows.
    pub places: BTreeMap<NodeId, Box<str>>,
    /// How large things may become.
    pub limits: Limits,
    /// How keys are kept.
    pub buckets: Buckets,
    /// The boots that are retired.
    pub retired: Arc<Retirements>,
}

/// Longer than the fixed parts of a directory.
const FIXED: usize = 148;

impl Directory {
    /// A number that differs from that of any other directory, but by chance.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut bytes = BytesMut::with_capacity(self.encoded_len());
        self.encode(&mut bytes);
        xxh3_64(&bytes)
    }

    pub(crate) fn encoded_len(&self) -> usize {
        let ring = |ring: &RingSnapshot| {
            let members: usize = ring.members.iter().map(codec::member_len).sum();
            32 + members + 2 * ring.assignment.len()
        };
        let places = self.places.values().map(|place| 9 + place.len());
        let rings = ring(&self.ring) + self.reads.as_ref().map_or(0, ring);
        FIXED
            + rings
            + places.sum::<usize>()
            + codec::buckets_len(&self.buckets)
            + 16 * self.retired.height().0 as usize
    }

    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        self.epoch.encode(out);
        put_ring(&self.ring, out);
        out.put_u8(self.reads.is_some().into());
        if let Some(reads) = &self.reads {
            put_ring(reads, out);
        }
        out.put_u32(self.places.len() as u32); // at most as many as members and newcomers
        for (node, place) in &self.places {
            out.put_u64(node.0);
            codec::put_label(place.as_bytes(), out);
        }
        let Limits {
            bucket_bytes,
            key_bytes,
            value_bytes,
            metadata_bytes,
            siblings,
            actors,
            record_bytes,
            frame_bytes,
            keys,
        } = self.limits;
        for limit in [
            bucket_bytes,
            key_bytes,
            value_bytes,
            metadata_bytes,
            siblings,
            actors,
            record_bytes,
            frame_bytes,
            keys,
        ] {
            out.put_u64(limit as u64);
        }
        codec::put_buckets(&self.buckets, out);
        put_boots(Height(0), &self.retired.since(Height(0)), out);
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let epoch = Epoch::read(&mut reader)?;
        let ring = ring(&mut reader)?;
        let reads = match reader.bool("a ring")? {
            true => Some(self::ring(&mut reader)?),
            false => None,
        };
        let places = reader.count(9, "places")?;
        let places = (0..places).map(|_| {
            let node = NodeId(reader.u64("a place")?);
            Ok((node, codec::label(&mut reader, "a place")?))
        });
        let places = places.collect::<Result<_, _>>()?;
        let mut limit = || {
            let limit = reader.u64("limits")?;
            usize::try_from(limit).map_err(|_| DecodeError::Invalid("limits"))
        };
        let limits = Limits {
            bucket_bytes: limit()?,
            key_bytes: limit()?,
            value_bytes: limit()?,
            metadata_bytes: limit()?,
            siblings: limit()?,
            actors: limit()?,
            record_bytes: limit()?,
            frame_bytes: limit()?,
            keys: limit()?,
        };
        let buckets = codec::buckets(&mut reader)?;
        let retired = Retirements::try_from(boots(Height(0), &mut reader)?);
        let retired = retired.map_err(|_| DecodeError::Invalid("retirements"))?;
        reader.finish()?;
        Ok(Self {
            epoch,
            ring,
            reads,
            places,
            limits,
            buckets,
            retired: Arc::new(retired),
        })
    }
}

fn put_ring(ring: &RingSnapshot, out: &mut impl BufMut) {
    codec::put_ring(ring.config, out);
    out.put_u32(ring.members.len() as u32); // at most MAX_MEMBERS
    for member in &ring.members {
        codec::put_member(member, out);
    }
    out.put_u32(ring.assignment.len() as u32); // at most MAX_SLOTS
    ring.assignment.iter().for_each(|seat| out.put_u16(*seat));
}

fn ring(reader: &mut Reader<'_>) -> Result<RingSnapshot, DecodeError> {
    let config = codec::ring(reader)?;
    let members = reader.count(14, "members")?;
    let members = (0..members).map(|_| codec::member(reader));
    let members: Vec<_> = members.collect::<Result<_, _>>()?;
    let slots = reader.count(2, "slots")?;
    let slots = (0..slots).map(|_| Ok(u16::from_be_bytes(reader.array("slots")?)));
    Ok(RingSnapshot {
        config,
        members,
        assignment: slots.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::ring::{Member, Ring, RingConfig};
    use crate::{Bucket, version::Boot, version::DataType, version::Policy};

    fn directory() -> Directory {
        let members = |count| (1..=count).map(|id| Member::new(NodeId(id), "z", format!("h{id}")));
        let ring = Ring::birth(RingConfig::default(), members(4).collect()).unwrap();
        let reads = Ring::birth(RingConfig::default(), members(3).collect()).unwrap();
        let counters = Bucket {
            policy: Policy::Data(DataType::Counter),
            ..Bucket::default()
        };
        Directory {
            epoch: Epoch {
                height: 3,
                digest: 7,
            },
            ring: RingSnapshot::from(&ring),
            reads: Some(RingSnapshot::from(&reads)),
            places: (1..=4)
                .map(|id| (NodeId(id), "10.0.0.1:7401".into()))
                .collect(),
            limits: Limits::default(),
            buckets: Buckets {
                types: [(b"counter".to_vec(), counters.clone())].into(),
                single: [(b"counter".to_vec(), [(b"hits".to_vec(), counters)].into())].into(),
                default: Bucket::default(),
            },
            retired: Arc::new(Retirements::try_from([(NodeId(3), Boot(4))].to_vec()).unwrap()),
        }
    }

    #[test]
    fn what_comes_out_is_what_went_in() {
        for reads in [None, directory().reads] {
            let directory = Directory {
                reads,
                ..directory()
            };
            let mut bytes = BytesMut::new();
            directory.encode(&mut bytes);
            assert!(bytes.len() <= directory.encoded_len());
            assert_eq!(Directory::decode(&bytes.freeze()).unwrap(), directory);
            let ring = Ring::try_from(directory.ring.clone()).unwrap();
            assert_eq!(RingSnapshot::from(ring), directory.ring);
        }
    }

    #[test]
    fn a_directory_that_ends_early_or_goes_on_is_none() {
        let mut bytes = BytesMut::new();
        directory().encode(&mut bytes);
        for len in 0..bytes.len() {
            let part = Bytes::copy_from_slice(&bytes[..len]);
            assert!(Directory::decode(&part).is_err(), "{len} bytes");
        }
        bytes.put_u8(0);
        assert!(Directory::decode(&bytes.freeze()).is_err());
    }

    #[test]
    fn its_digest_tells_any_change() {
        let before = directory();
        let mut after = before.clone();
        after.places.insert(NodeId(4), "10.0.0.2:7401".into());
        assert_ne!(before.digest(), after.digest());
        assert_eq!(before.digest(), directory().digest());
    }
}
