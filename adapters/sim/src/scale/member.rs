//! The real machine of membership, as it is run here.

use std::sync::Arc;
use std::time::Duration;

use dynamo_proto::membership::{Birth, Change, Config, Gossip, Membership, Output, Plan, To};
use dynamo_proto::ring::{Member, RingConfig, Strategy};
use dynamo_proto::version::Boot;
use dynamo_proto::{Bucket, ClusterId, Instant, NodeId, Now, Seed, WallTime};

use super::world::{Happened, Machine, Out};

const CLUSTER: ClusterId = ClusterId(1);
const SEEDS: u16 = 3;

/// A node that has nothing but a membership.
pub(crate) struct Peer {
    pub(crate) membership: Membership,
    outputs: Vec<Output>,
}

pub(crate) fn id(node: usize) -> NodeId {
    NodeId(node as u64 + 1)
}

pub(crate) fn index(node: NodeId) -> usize {
    node.0 as usize - 1
}

pub(crate) fn member(node: usize) -> Member {
    Member::new(
        id(node),
        format!("zone-{}", node % 3),
        format!("host-{node:05}"),
    )
}

fn config(node: usize, boot: u64) -> Config {
    Config {
        seeds: SEEDS,
        address: format!("10.{}.{}.{}:7000", node >> 16, node >> 8 & 255, node & 255).into(),
        ..Config::new(CLUSTER, member(node), Boot(boot))
    }
}

/// A cluster that is just born.
pub(crate) fn born(nodes: usize, partitions: u32, seed: u64) -> Vec<Peer> {
    let birth = Arc::new(Birth {
        cluster: CLUSTER,
        ring: RingConfig {
            strategy: Strategy::EqualPartitions { partitions },
            replicas: 3,
        },
        members: (0..nodes).map(|node| Arc::new(member(node))).collect(),
        buckets: Bucket::default().into(),
        admits_newcomers: false,
        at: WallTime::ZERO,
    });
    let peer = |node| {
        let seed = Seed(seed ^ (node as u64) << 20);
        let membership = Membership::birth(config(node, 1), birth.clone(), seed);
        Peer::new(membership.expect("a sound birth"))
    };
    (0..nodes).map(peer).collect()
}

impl Peer {
    fn new(membership: Membership) -> Self {
        Self {
            membership,
            outputs: Vec::new(),
        }
    }

    /// Starts again with what is on its disk.
    pub(crate) fn restart(&mut self, node: usize, boot: u64) {
        let saved = self.membership.to_bytes();
        let membership = Membership::restart(config(node, boot), saved, Seed(boot));
        *self = Self::new(membership.expect("its own disk"));
    }

    /// An administrator's change, without placing a ring: only its spreading is looked at.
    pub(crate) fn commit(&mut self, change: Change, now: u64, out: &mut Out<Gossip>) {
        self.membership.stage(change).expect("a sound change");
        let plan: Plan = self.membership.plan().expect("a ring");
        self.membership
            .commit(plan, at(now), &mut self.outputs)
            .expect("nothing else is under way");
        self.put_out(out);
    }

    fn put_out(&mut self, out: &mut Out<Gossip>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        while !outputs.is_empty() {
            for output in outputs.drain(..) {
                self.see(output, out);
            }
            std::mem::swap(&mut outputs, &mut self.outputs);
        }
        self.outputs = outputs;
    }

    fn see(&mut self, output: Output, out: &mut Out<Gossip>) {
        match output {
            Output::Send { to, message } => {
                let to = match to {
                    To::Node(node) => index(node),
                    To::Seed(nth) => usize::from(nth),
                };
                out.messages.push((to, message));
            }
            // The disk is quick here.
            Output::Save(mark) => self.membership.saved(mark, &mut self.outputs),
            Output::Changed(epoch) => out.happened.push(Happened::Knows(epoch.height)),
            Output::Settled(_) => out.happened.push(Happened::Settled),
            // Nothing is kept here that would move.
            Output::Moved(_) | Output::Switched(_) | Output::Retired => {}
            Output::Suspected(node) => out.happened.push(Happened::Suspects(index(node))),
            Output::Trusted(node) => out.happened.push(Happened::Trusts(index(node))),
            Output::Removed | Output::Overtaken { .. } | Output::OtherCluster(_) | Output::Full => {
                unreachable!("nothing of that is done here")
            }
        }
    }
}

impl Machine for Peer {
    type Message = Gossip;

    fn deadline(&self) -> Option<u64> {
        let at = self.membership.next_deadline()?;
        Some(at.as_nanos().div_ceil(1_000_000))
    }

    fn tick(&mut self, now: u64, out: &mut Out<Gossip>) {
        self.membership.tick(at(now), &mut self.outputs);
        self.put_out(out);
    }

    fn handle(&mut self, now: u64, from: usize, message: Gossip, out: &mut Out<Gossip>) {
        self.membership
            .handle(at(now), id(from), message, &mut self.outputs);
        self.put_out(out);
    }

    fn bytes(message: &Gossip) -> usize {
        message.encoded_len()
    }
}

fn at(now: u64) -> Now {
    let since = Duration::from_millis(now);
    Now {
        mono: Instant::default() + since,
        wall: WallTime::from_micros(now * 1000),
    }
}
