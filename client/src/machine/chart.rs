//! Who is on duty for what, as the cluster has told it.

use std::collections::BTreeSet;

use dynamo_proto::membership::Directory;
use dynamo_proto::node::Options;
use dynamo_proto::ring::{Ring, RingError};
use dynamo_proto::{Bucket, Key, NodeId};

/// A directory and the rings that it stands for.
pub(super) struct Chart {
    pub(super) directory: Directory,
    pub(super) digest: u64,
    ring: Ring,
    reads: Option<Ring>,
    /// Of the ring by which reads go.
    pub(super) fingerprint: u64,
}

impl Chart {
    pub(super) fn of(directory: Directory) -> Result<Self, RingError> {
        let ring = Ring::try_from(directory.ring.clone())?;
        let reads = directory.reads.clone().map(Ring::try_from).transpose()?;
        Ok(Self {
            digest: directory.digest(),
            fingerprint: reads.as_ref().unwrap_or(&ring).fingerprint(),
            directory,
            ring,
            reads,
        })
    }

    /// All who are on duty for anything.
    pub(super) fn members(&self) -> BTreeSet<NodeId> {
        let rings = std::iter::once(&self.ring).chain(&self.reads);
        let members = rings.flat_map(|ring| ring.members());
        members.map(|member| member.id).collect()
    }

    pub(super) fn bucket(&self, key: &Key) -> &Bucket {
        self.directory.buckets.of(key)
    }

    /// The nodes on duty, in order.
    pub(super) fn on_duty<'a>(
        &'a self,
        key: &Key,
        options: &Options,
        is_read: bool,
    ) -> impl Iterator<Item = NodeId> + 'a {
        let ring = match (&self.reads, is_read) {
            (Some(reads), true) => reads,
            _ => &self.ring,
        };
        let n = options.n.unwrap_or(self.bucket(key).n);
        let list = ring.lookup(key.token());
        list.primaries(n.into()).map(|member| member.id)
    }
}
