//! Rings of two sizes, ours and `hashring`'s, and keys to find in them.

use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::{Key, NodeId};
use hashring::HashRing;
use md5::{Digest, Md5};

use crate::{scattered, workload};

/// Copies of a key: how many of its preference list are read.
pub const REPLICAS: u8 = 3;

/// Keys looked up in turn, so that lookups do not meet one partition only.
const KEYS: usize = 1024;

/// How large a cluster is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// For people.
    pub name: &'static str,
    /// Its nodes: each a host of its own, in three zones.
    pub nodes: u32,
    /// Its partitions, where they are equal.
    pub partitions: u32,
}

/// The sizes measured.
pub const SIZES: [Size; 2] = [
    Size {
        name: "100 nodes, 1,024 partitions",
        nodes: 100,
        partitions: 1 << 10,
    },
    Size {
        name: "1,000 nodes, 16,384 partitions",
        nodes: 1000,
        partitions: 16 << 10,
    },
];

/// What `hashring` places: one of several points of a node.
#[derive(Clone, Copy, Debug, Hash)]
pub struct VirtualNode {
    /// Whose.
    pub node: u64,
    /// Which of its points.
    pub nth: u32,
}

impl Size {
    /// Our ring with the default strategy.
    #[must_use]
    pub fn ring(&self) -> Ring {
        self.ring_by(Strategy::EqualPartitions {
            partitions: self.partitions,
        })
    }

    /// Our ring with about as many random tokens as there would be partitions.
    #[must_use]
    pub fn token_ring(&self) -> Ring {
        self.ring_by(Strategy::RandomTokens {
            tokens_per_node: self.points_per_node(),
        })
    }

    /// The peer's ring of the same nodes, with about as many points in all as there would be
    /// partitions.
    #[must_use]
    pub fn hashring(&self) -> HashRing<VirtualNode> {
        let points = self.ids().flat_map(|node| {
            let nths = 0..self.points_per_node();
            nths.map(move |nth| VirtualNode { node, nth })
        });
        let mut ring = HashRing::new();
        ring.batch_add(points.collect());
        ring
    }

    fn ring_by(&self, strategy: Strategy) -> Ring {
        let config = RingConfig {
            strategy,
            replicas: REPLICAS,
        };
        let members = self.ids().zip(0..).map(|(id, nth)| {
            Member::new(
                NodeId(id),
                format!("zone-{}", nth % 3),
                format!("host-{nth}"),
            )
        });
        Ring::birth(config, members.collect()).expect("the sizes measured are within limits")
    }

    fn ids(&self) -> impl Iterator<Item = u64> {
        (0..self.nodes.into()).map(scattered)
    }

    fn points_per_node(&self) -> u32 {
        self.partitions.div_ceil(self.nodes)
    }
}

/// The keys that are looked up.
#[must_use]
pub fn keys() -> Vec<Key> {
    workload::keys(KEYS)
}

/// The least that finding a key takes: the MD5 of its encoding.
#[inline]
#[must_use]
pub fn bare_md5(key: &Key) -> u128 {
    u128::from_be_bytes(Md5::digest(key.encoded()).into())
}

/// What is measured: the nodes that a write of that key is sent to.
#[inline]
#[must_use]
pub fn primaries(ring: &Ring, key: &Key) -> [NodeId; REPLICAS as usize] {
    let list = ring.lookup(key.token());
    let mut ids = [NodeId(0); REPLICAS as usize];
    for (id, member) in ids.iter_mut().zip(list.primaries(REPLICAS.into())) {
        *id = member.id;
    }
    ids
}
