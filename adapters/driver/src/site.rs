//! What a node tells about itself to whoever may ask.

use std::net::SocketAddr;

use bytes::BytesMut;
use dynamo_proto::membership::Membership;
use dynamo_proto::node::{Config, Held, Level};
use dynamo_proto::ring::Ring;
use dynamo_proto::{Buckets, Instant, NodeId};

use crate::Metrics;

/// A node, as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// What it was told at its start: who it is and its limits.
    pub config: &'a Config,
    /// How keys are kept.
    pub buckets: &'a Buckets,
    /// Who is on duty for what.
    pub ring: &'a Ring,
    /// What it knows of its cluster.
    pub membership: &'a Membership,
    /// Whether it serves: it is a member, and has not been told to stop.
    pub is_ready: bool,
    /// Whether it is of no use to anybody any more, and may be removed.
    pub is_drained: bool,
    /// The other nodes that it knows of, by id.
    pub peers: &'a [PeerStatus],
    /// Where it asks for its cluster.
    pub seeds: &'a [SeedStatus],
    /// What is going on.
    pub load: Load,
    /// What has happened.
    pub metrics: &'a Metrics,
}

/// Another node, as this one sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Which one.
    pub node: NodeId,
    /// Where it listens, if that is known.
    pub address: Option<SocketAddr>,
    /// Whether it is one of the cluster, and not only would like to be or was.
    pub is_member: bool,
    /// Since when there is a connection to it, if there is one.
    pub connected: Option<Instant>,
}

/// How much is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests under way.
    pub running: usize,
    /// Changes and store commands under way.
    pub stores: usize,
    /// What is held for other nodes.
    pub held: Held,
    /// Keys of its own, as far as it has counted them.
    pub keys: u64,
    /// How far it was lately from having agreed with all that are to have the same.
    pub level: Level,
    /// Connections of clients.
    pub clients: usize,
    /// Bytes that wait to be written to clients and peers, and answers kept back for their turn.
    pub waiting_bytes: usize,
}

/// An address at which this node asks for its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedStatus {
    /// Which.
    pub address: SocketAddr,
    /// Who is there, if anybody has ever answered.
    pub node: Option<NodeId>,
    /// Whether a node of another cluster is there.
    pub is_other_cluster: bool,
}

impl Site<'_> {
    /// Appends all metrics as Prometheus reads them.
    pub fn write_metrics(&self, out: &mut BytesMut) {
        self.metrics.write(self, out);
    }
}
