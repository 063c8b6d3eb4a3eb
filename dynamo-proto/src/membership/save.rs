//! What a node knows of its cluster, as it is written down.
//!
//! ```text
//! saved     u8 format | u64 checksum | u64 node | u64 generation | u8 cluster known | if so:
//!           history | heads read by | heads switched to | u8 ring kept | if so: ring |
//!           u32 addresses | u64 node, label address each |
//!           u32 retired | u64 node, u64 boot each | u64 sum | u32 how many of those all have
//! heads     u32 heads | u128 each
//! ring      u128 what led to it | u32 members | member each | u32 places | u16 each
//! ```

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes};
use xxhash_rust::xxh3::xxh3_64;

use super::retiring::{self, Retiring, put_boots};
use super::{Cluster, CommitId, Config, Membership, StartError, codec, history::History};
use crate::reader::{DecodeError, Reader};
use crate::ring::{Ring, RingConfig, RingSnapshot, Strategy};
use crate::version::{Height, Retirements};
use crate::{Generation, NodeId, Seed};

const FORMAT: u8 = 3;
/// The same, but for what is retired.
const WITHOUT_RETIREMENTS: u8 = 2;
const HEAD: usize = 9;

/// Why a node cannot go on with what was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// The bytes are not what was written.
    #[error(
        "what was saved about the cluster is damaged: restore it from a copy, \
         or remove the node and let it join anew with an empty store"
    )]
    Damaged,
    /// A later version wrote them.
    #[error("what was saved about the cluster is of format {0}, which this version does not know")]
    Format(u8),
    /// It does not make sense.
    #[error("what was saved about the cluster cannot be: {0}")]
    Decode(#[from] DecodeError),
    /// It is another node's.
    #[error("this store belongs to node {0}: start that one with it")]
    OtherNode(NodeId),
    /// It is another cluster's.
    #[error("this store belongs to another cluster: give this one an empty store")]
    OtherCluster,
    /// The node's own configuration.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Membership {
    /// What is to be written down.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = alloc::vec![0; HEAD];
        bytes[0] = FORMAT;
        bytes.put_u64(self.config.member.id.0);
        bytes.put_u64(self.generation.0);
        bytes.put_u8(self.cluster.is_some().into());
        if let Some(cluster) = &self.cluster {
            cluster.history.encode(&mut bytes);
            for heads in [&cluster.reads, &cluster.switched] {
                bytes.put_u32(heads.len() as u32); // fits: at most MAX_COMMITS
                heads.iter().for_each(|it| bytes.put_u128(it.0));
            }
            let is_dear =
                |ring: &Ring| matches!(ring.config().strategy, Strategy::EqualPartitions { .. });
            match self.rings.latest().filter(|(_, ring)| is_dear(ring)) {
                None => bytes.put_u8(0),
                Some((digest, ring)) => {
                    bytes.put_u8(1);
                    put_ring(digest, ring, &mut bytes);
                }
            }
            let me = self.config.member.id;
            let others = cluster.state.present().filter(|node| *node != me);
            let found = others.filter_map(|node| Some((node, self.address(node)?)));
            let found: Vec<_> = found.collect();
            bytes.put_u32(found.len() as u32); // fits: at most so many members were ever decided on
            for (node, address) in found {
                bytes.put_u64(node.0);
                codec::put_label(address.as_bytes(), &mut bytes);
            }
            put_boots(Height(0), &self.retiring.list.since(Height(0)), &mut bytes);
            bytes.put_u32(self.retiring.common.0);
        }
        let sum = xxh3_64(&bytes[HEAD..]);
        bytes[1..HEAD].copy_from_slice(&sum.to_be_bytes());
        bytes.into()
    }

    /// A node that goes on with what it had written down.
    pub fn restart(config: Config, saved: Bytes, seed: Seed) -> Result<Self, SavedError> {
        let reader = &mut Reader::new(&saved);
        let format = reader.u8("a format")?;
        if !(WITHOUT_RETIREMENTS..=FORMAT).contains(&format) {
            return Err(SavedError::Format(format));
        }
        let sum = reader.u64("a checksum")?;
        if xxh3_64(&saved[HEAD..]) != sum {
            return Err(SavedError::Damaged);
        }
        let node = NodeId(reader.u64("a node")?);
        if node != config.member.id {
            return Err(SavedError::OtherNode(node));
        }
        let generation = Generation(reader.u64("a generation")?);
        let mut membership = Self::start(config, generation, seed)?;
        if reader.bool("a cluster")? {
            let history = History::read(reader)?;
            if history.birth().cluster != membership.config.cluster {
                return Err(SavedError::OtherCluster);
            }
            let reads = read_heads(reader, &history)?;
            let switched = read_heads(reader, &history)?;
            if reader.bool("a ring")? {
                let (digest, ring) = read_ring(reader, history.birth().ring)?;
                membership.rings.restore(digest, Arc::new(ring));
            }
            for _ in 0..reader.count(9, "addresses")? {
                let node = NodeId(reader.u64("an address")?);
                let address = codec::label(reader, "an address")?;
                membership.addresses.insert(node, address);
            }
            if format > WITHOUT_RETIREMENTS {
                let retired = retiring::boots(Height(0), reader)?;
                let retired = Retirements::try_from(retired);
                let retired = retired.map_err(|_| DecodeError::Invalid("retirements"))?;
                let common = Height(reader.u32("a height")?);
                membership.retiring = Retiring::of(retired, common, membership.config.boot);
            }
            membership.cluster = Some(Cluster::with(history, reads, switched));
        }
        if reader.remaining() > 0 {
            return Err(DecodeError::Trailing(reader.remaining()).into());
        }
        membership.if_removed();
        Ok(membership)
    }
}

fn read_heads(reader: &mut Reader<'_>, history: &History) -> Result<Vec<CommitId>, DecodeError> {
    let count = reader.count(16, "heads")?;
    let heads = (0..count).map(|_| reader.u128("heads").map(CommitId));
    let heads: Vec<CommitId> = heads.collect::<Result<_, _>>()?;
    if !heads.iter().all(|head| history.contains(*head)) {
        return Err(DecodeError::Invalid("heads"));
    }
    Ok(heads)
}

fn put_ring(digest: u128, ring: &Ring, out: &mut Vec<u8>) {
    let snapshot = RingSnapshot::from(ring);
    out.put_u128(digest);
    out.put_u32(snapshot.members.len() as u32); // fits: at most MAX_MEMBERS
    for member in &snapshot.members {
        codec::put_member(member, out);
    }
    out.put_u32(snapshot.assignment.len() as u32); // fits: at most MAX_SLOTS
    snapshot.assignment.iter().for_each(|it| out.put_u16(*it));
}

fn read_ring(reader: &mut Reader<'_>, config: RingConfig) -> Result<(u128, Ring), DecodeError> {
    let what = "a ring";
    let digest = reader.u128(what)?;
    let count = reader.count(14, what)?;
    let members = (0..count).map(|_| codec::member(reader));
    let members = members.collect::<Result<_, _>>()?;
    let count = reader.count(2, what)?;
    let assignment = (0..count).map(|_| reader.array(what).map(u16::from_be_bytes));
    let snapshot = RingSnapshot {
        config,
        members,
        assignment: assignment.collect::<Result<_, _>>()?,
    };
    let ring = Ring::try_from(snapshot).map_err(|_| DecodeError::Invalid(what))?;
    Ok((digest, ring))
}
