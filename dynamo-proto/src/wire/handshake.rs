//! The first words on a connection: which version, which cluster, and who is speaking.
//!
//! These messages are read by all versions alike. A later version may append to them; what follows
//! the parts known here is not looked at.
//!
//! ```text
//! hello     u8 oldest | u8 newest | u32 nonce | u128 cluster | u8 role | if a peer: u64 node | u64 generation
//! welcome   u8 version | u32 nonce | u128 cluster | u64 node | u64 generation
//! refusal   u8 reason | then for a version: u8 oldest | u8 newest
//! ```

use bytes::BufMut;

use super::Nonce;
use super::frame::VERSION;
use crate::reader::{DecodeError, Reader};
use crate::{ClusterId, Generation, NodeId};

/// The versions that somebody speaks, from the oldest to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub oldest: u8,
    /// The newest.
    pub newest: u8,
}

/// Who opens a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A node of the cluster.
    Peer {
        /// Which one.
        node: NodeId,
        /// The last thing it has said about itself.
        generation: Generation,
    },
    /// Somebody who reads and writes.
    Client,
    /// Somebody who looks after the node.
    Admin,
}

/// What whoever opens a connection says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it speaks.
    pub versions: Versions,
    /// What frames to it must carry on this connection.
    pub nonce: Nonce,
    /// Which cluster it means to talk to.
    pub cluster: ClusterId,
    /// Who it is.
    pub role: Role,
}

/// The answer to a [`Hello`] that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both will speak.
    pub version: u8,
    /// What frames to the answering node must carry on this connection.
    pub nonce: Nonce,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Which node answers.
    pub node: NodeId,
    /// The last thing it has said about itself.
    pub generation: Generation,
}

/// The answer to a [`Hello`] that was not accepted; the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No version in common.
    #[error("no common version: the other side speaks {} to {}", .0.oldest, .0.newest)]
    Version(Versions),
    /// Another cluster's.
    #[error("the other side belongs to another cluster")]
    Cluster,
    /// No room for another connection now.
    #[error("the other side is overloaded: try again later")]
    Overloaded,
    /// A reason that a later version gives.
    #[error("refused for a reason ({}) that this version does not know", .0.0)]
    Other(OtherReason),
}

/// A reason that only a later version can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherReason(u8);

const PEER: u8 = 1;
const CLIENT: u8 = 2;
const ADMIN: u8 = 3;

const REFUSED_VERSION: u8 = 1;
const REFUSED_CLUSTER: u8 = 2;
const REFUSED_OVERLOADED: u8 = 3;

impl Versions {
    /// What this crate speaks.
    pub const OURS: Self = Self {
        oldest: VERSION,
        newest: VERSION,
    };

    /// The newest version that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u8> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl Hello {
    /// The version to speak with whoever said this, if there is one and it means our cluster.
    pub fn accept(&self, ours: Versions, cluster: ClusterId) -> Result<u8, Refusal> {
        let version = ours.common(self.versions).ok_or(Refusal::Version(ours))?;
        if self.cluster == cluster {
            Ok(version)
        } else {
            Err(Refusal::Cluster)
        }
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u8(self.versions.oldest);
        out.put_u8(self.versions.newest);
        out.put_u32(self.nonce.number());
        out.put_u128(self.cluster.0);
        match self.role {
            Role::Peer { node, generation } => {
                out.put_u8(PEER);
                out.put_u64(node.0);
                out.put_u64(generation.0);
            }
            Role::Client => out.put_u8(CLIENT),
            Role::Admin => out.put_u8(ADMIN),
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a hello";
        let versions = Versions {
            oldest: reader.u8(what)?,
            newest: reader.u8(what)?,
        };
        let nonce = decode_nonce(reader)?;
        let cluster = ClusterId(reader.u128(what)?);
        let role = match reader.u8(what)? {
            PEER => Role::Peer {
                node: NodeId(reader.u64(what)?),
                generation: Generation(reader.u64(what)?),
            },
            CLIENT => Role::Client,
            ADMIN => Role::Admin,
            _ => return Err(DecodeError::Invalid("role")),
        };
        Ok(Self {
            versions,
            nonce,
            cluster,
            role,
        })
    }
}

impl Welcome {
    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u8(self.version);
        out.put_u32(self.nonce.number());
        out.put_u128(self.cluster.0);
        out.put_u64(self.node.0);
        out.put_u64(self.generation.0);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a welcome";
        Ok(Self {
            version: reader.u8(what)?,
            nonce: decode_nonce(reader)?,
            cluster: ClusterId(reader.u128(what)?),
            node: NodeId(reader.u64(what)?),
            generation: Generation(reader.u64(what)?),
        })
    }
}

impl Refusal {
    pub(super) fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Version(versions) => {
                out.put_slice(&[REFUSED_VERSION, versions.oldest, versions.newest]);
            }
            Self::Cluster => out.put_u8(REFUSED_CLUSTER),
            Self::Overloaded => out.put_u8(REFUSED_OVERLOADED),
            Self::Other(OtherReason(reason)) => out.put_u8(*reason),
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a refusal";
        Ok(match reader.u8(what)? {
            REFUSED_VERSION => Self::Version(Versions {
                oldest: reader.u8(what)?,
                newest: reader.u8(what)?,
            }),
            REFUSED_CLUSTER => Self::Cluster,
            REFUSED_OVERLOADED => Self::Overloaded,
            reason => Self::Other(OtherReason(reason)),
        })
    }
}

fn decode_nonce(reader: &mut Reader<'_>) -> Result<Nonce, DecodeError> {
    Nonce::new(reader.u32("a nonce")?).ok_or(DecodeError::Invalid("nonce"))
}
