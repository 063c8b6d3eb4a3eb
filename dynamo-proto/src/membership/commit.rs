//! What administrators decide: the cluster's birth, and commits of changes after it.
//!
//! Both are named by the digest of their bytes. The name travels with them and is checked, so what
//! was damaged anywhere on its way is refused, not spread.
//!
//! ```text
//! birth     u128 cluster | ring | buckets | u8 admits newcomers | u64 at | u32 members | member each
//! commit    u8 parents | u128 each | u64 author | u64 at | u16 changes | change each
//! change    u8 kind | what it needs
//! named     u128 name | u32 length | bytes
//! ```

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::{BufMut, Bytes};
use xxhash_rust::xxh3::xxh3_128;

use super::codec;
use super::limits::{MAX_CHANGES, MAX_NAME_BYTES, MAX_PARENTS};
use crate::reader::{DecodeError, Reader};
use crate::ring::{MAX_MEMBERS, Member, RingConfig};
use crate::{Bucket, Buckets, ClusterId, NodeId, WallTime};

/// The name of a commit, or of a birth: the digest of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u128);

/// How a cluster began. Never changed: it is the root of every history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// Which cluster.
    pub cluster: ClusterId,
    /// How partitions are cut and placed.
    pub ring: RingConfig,
    /// The first members, in the order of their ids.
    pub members: Vec<Arc<Member>>,
    /// How keys are kept, until something else is decided.
    pub buckets: Buckets,
    /// Whether newcomers are made members by whichever member they speak to. For demonstrations and
    /// tests: anybody who reaches a node then changes the ring.
    pub admits_newcomers: bool,
    /// When, as somebody's clock believed.
    pub at: WallTime,
}

/// One wish of an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A newcomer becomes a member.
    Join(Arc<Member>),
    /// A member leaves the ring. It goes on giving away what it holds, until it is removed.
    Leave(NodeId),
    /// A node is no part of the cluster any more: nobody waits for it, nobody asks it. Final. A
    /// newcomer is turned away for ever by this.
    Remove(NodeId),
    /// A dead node is removed, and a newcomer becomes a member at the same moment.
    Replace {
        /// Who is removed.
        dead: NodeId,
        /// Who joins.
        by: Arc<Member>,
    },
    /// A member is to hold another share.
    Weigh {
        /// Which.
        node: NodeId,
        /// Compared to the others; never 0.
        weight: u32,
    },
    /// A member stands elsewhere than was said.
    Place {
        /// Which.
        node: NodeId,
        /// What fails together at large.
        zone: Box<str>,
        /// The machine.
        host: Box<str>,
    },
    /// How the buckets of a type are kept, or one of them. The policy is chosen once.
    Keep {
        /// The name of the type.
        bucket_type: Box<[u8]>,
        /// Which of its buckets, if not all.
        name: Option<Box<[u8]>>,
        /// Its properties.
        bucket: Box<Bucket>,
    },
}

/// Changes that were decided together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// What its author knew that nothing else followed, in order.
    pub parents: Vec<CommitId>,
    /// The node that was told.
    pub author: NodeId,
    /// When, as the author's clock believed; for people.
    pub at: WallTime,
    /// What was decided.
    pub changes: Vec<Change>,
}

const JOIN: u8 = 1;
const LEAVE: u8 = 2;
const REMOVE: u8 = 3;
const REPLACE: u8 = 4;
const WEIGH: u8 = 5;
const PLACE: u8 = 6;
const KEEP: u8 = 7;
const KEEP_ONE: u8 = 8;

/// Bytes of a member, and of a change, at least.
const LEAST_MEMBER: usize = 14;
const LEAST_CHANGE: usize = 9;

impl Birth {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> CommitId {
        name(|out| self.encode(out))
    }

    /// Whether a cluster can begin like this.
    pub(super) fn is_sound(&self) -> bool {
        let in_order = |members: &[Arc<Member>]| members.windows(2).all(|it| it[0].id < it[1].id);
        let weight: u64 = self.members.iter().map(|it| u64::from(it.weight)).sum();
        self.ring.check_all().is_ok()
            && codec::are_sound(&self.buckets)
            && (1..=MAX_MEMBERS).contains(&self.members.len())
            && self.members.iter().all(|member| member.check().is_ok())
            && in_order(&self.members)
            && weight <= self.ring.most_weight()
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u128(self.cluster.0);
        codec::put_ring(self.ring, out);
        codec::put_buckets(&self.buckets, out);
        out.put_u8(self.admits_newcomers.into());
        out.put_u64(self.at.as_micros());
        out.put_u32(self.members.len() as u32); // fits: at most MAX_MEMBERS
        for member in &self.members {
            codec::put_member(member, out);
        }
    }

    pub(super) fn encoded_len(&self) -> usize {
        let members = self.members.iter().map(|member| codec::member_len(member));
        39 + codec::buckets_len(&self.buckets) + members.sum::<usize>()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a cluster's birth";
        let cluster = ClusterId(reader.u128(what)?);
        let ring = codec::ring(reader)?;
        let buckets = codec::buckets(reader)?;
        let admits_newcomers = reader.bool(what)?;
        let at = WallTime::from_micros(reader.u64(what)?);
        let count = reader.count(LEAST_MEMBER, what)?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            members.push(Arc::new(codec::member(reader)?));
        }
        let birth = Self {
            cluster,
            ring,
            members,
            buckets,
            admits_newcomers,
            at,
        };
        if birth.is_sound() {
            Ok(birth)
        } else {
            Err(DecodeError::Invalid(what))
        }
    }
}

impl Commit {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> CommitId {
        name(|out| self.encode(out))
    }

    /// Whether it could have been made by a node of ours.
    pub(super) fn is_sound(&self) -> bool {
        (1..=MAX_PARENTS).contains(&self.parents.len())
            && self.parents.windows(2).all(|it| it[0] < it[1])
            && (1..=MAX_CHANGES).contains(&self.changes.len())
            && self.changes.iter().all(Change::is_sound)
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u8(self.parents.len() as u8); // fits: at most MAX_PARENTS
        for parent in &self.parents {
            out.put_u128(parent.0);
        }
        out.put_u64(self.author.0);
        out.put_u64(self.at.as_micros());
        out.put_u16(self.changes.len() as u16); // fits: at most MAX_CHANGES
        for change in &self.changes {
            change.encode(out);
        }
    }

    pub(super) fn encoded_len(&self) -> usize {
        let changes = self.changes.iter().map(Change::encoded_len);
        19 + 16 * self.parents.len() + changes.sum::<usize>()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a commit";
        let parents = (0..reader.u8(what)?)
            .map(|_| reader.u128(what).map(CommitId))
            .collect::<Result<_, _>>()?;
        let author = NodeId(reader.u64(what)?);
        let at = WallTime::from_micros(reader.u64(what)?);
        let count = u16::from_be_bytes(reader.array(what)?).into();
        let mut changes = Vec::with_capacity(reader.remaining().div_ceil(LEAST_CHANGE).min(count));
        for _ in 0..count {
            changes.push(Change::read(reader)?);
        }
        let commit = Self {
            parents,
            author,
            at,
            changes,
        };
        if commit.is_sound() {
            Ok(commit)
        } else {
            Err(DecodeError::Invalid(what))
        }
    }
}

impl Change {
    /// Whether it says something that can be, whatever the cluster is like.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Join(member) => member.check().is_ok(),
            Self::Replace { dead, by } => by.check().is_ok() && by.id != *dead,
            Self::Leave(_) | Self::Remove(_) => true,
            Self::Weigh { weight, .. } => *weight > 0,
            Self::Place { zone, host, .. } => zone.len().max(host.len()) <= MAX_NAME_BYTES,
            Self::Keep {
                bucket_type,
                name,
                bucket,
            } => {
                let longest = bucket_type
                    .len()
                    .max(name.as_ref().map_or(0, |it| it.len()));
                longest <= MAX_NAME_BYTES && bucket.check().is_ok()
            }
        }
    }

    fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Join(member) => {
                out.put_u8(JOIN);
                codec::put_member(member, out);
            }
            Self::Leave(node) => {
                out.put_u8(LEAVE);
                out.put_u64(node.0);
            }
            Self::Remove(node) => {
                out.put_u8(REMOVE);
                out.put_u64(node.0);
            }
            Self::Replace { dead, by } => {
                out.put_u8(REPLACE);
                out.put_u64(dead.0);
                codec::put_member(by, out);
            }
            Self::Weigh { node, weight } => {
                out.put_u8(WEIGH);
                out.put_u64(node.0);
                out.put_u32(*weight);
            }
            Self::Place { node, zone, host } => {
                out.put_u8(PLACE);
                out.put_u64(node.0);
                codec::put_label(zone.as_bytes(), out);
                codec::put_label(host.as_bytes(), out);
            }
            Self::Keep {
                bucket_type,
                name,
                bucket,
            } => {
                out.put_u8(if name.is_some() { KEEP_ONE } else { KEEP });
                codec::put_label(bucket_type, out);
                if let Some(name) = name {
                    codec::put_label(name, out);
                }
                codec::put_bucket(bucket, out);
            }
        }
    }

    fn encoded_len(&self) -> usize {
        let rest = match self {
            Self::Join(member) => codec::member_len(member),
            Self::Leave(_) | Self::Remove(_) => 8,
            Self::Replace { by, .. } => 8 + codec::member_len(by),
            Self::Weigh { .. } => 12,
            Self::Place { zone, host, .. } => {
                8 + codec::label_len(zone.as_bytes()) + codec::label_len(host.as_bytes())
            }
            Self::Keep {
                bucket_type,
                name,
                bucket,
            } => {
                let name = name.as_ref().map_or(0, |name| codec::label_len(name));
                codec::label_len(bucket_type) + name + codec::bucket_len(bucket)
            }
        };
        1 + rest
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a change of membership";
        let node = |reader: &mut Reader<'_>| reader.u64(what).map(NodeId);
        Ok(match reader.u8(what)? {
            JOIN => Self::Join(Arc::new(codec::member(reader)?)),
            LEAVE => Self::Leave(node(reader)?),
            REMOVE => Self::Remove(node(reader)?),
            REPLACE => Self::Replace {
                dead: node(reader)?,
                by: Arc::new(codec::member(reader)?),
            },
            WEIGH => Self::Weigh {
                node: node(reader)?,
                weight: reader.u32(what)?,
            },
            PLACE => Self::Place {
                node: node(reader)?,
                zone: codec::label(reader, "a zone")?,
                host: codec::label(reader, "a host")?,
            },
            kind @ (KEEP | KEEP_ONE) => Self::Keep {
                bucket_type: codec::bytes_label(reader, "a bucket type's name")?,
                name: match kind {
                    KEEP_ONE => Some(codec::bytes_label(reader, "a bucket's name")?),
                    _ => None,
                },
                bucket: Box::new(codec::bucket(reader)?),
            },
            _ => return Err(DecodeError::Invalid(what)),
        })
    }
}

/// Bytes before the named bytes.
pub(super) const NAMED_HEAD: usize = 20;

/// Writes something under its name.
pub(super) fn put_named(
    id: CommitId,
    len: usize,
    out: &mut impl BufMut,
    encode: impl FnOnce(&mut Vec<u8>),
) {
    let mut bytes = Vec::with_capacity(len);
    encode(&mut bytes);
    debug_assert_eq!(bytes.len(), len);
    out.put_u128(id.0);
    out.put_u32(bytes.len() as u32); // memory ends first
    out.put_slice(&bytes);
}

/// Reads something that must be what its name says.
pub(super) fn read_named<T>(
    reader: &mut Reader<'_>,
    what: &'static str,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<(CommitId, T), DecodeError> {
    let id = CommitId(reader.u128(what)?);
    let len = reader.count(1, what)?;
    let bytes: Bytes = reader.bytes(len, what)?;
    if xxh3_128(&bytes) != id.0 {
        return Err(DecodeError::Invalid(what));
    }
    let mut reader = Reader::new(&bytes);
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok((id, value))
}

fn name(encode: impl FnOnce(&mut Vec<u8>)) -> CommitId {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    CommitId(xxh3_128(&bytes))
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitId({:032x})", self.0)
    }
}
