//! A few nodes, an unreliable network between them, and disks that keep what was saved.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::membership::{Birth, Change, Config, Epoch, Gossip, Membership, Output, Step, To};
use crate::ring::{Member, RingConfig, Strategy};
use crate::rng::Rng;
use crate::version::Boot;
use crate::{Bucket, ClusterId, Instant, NodeId, Now, Seed, WallTime};

pub(super) const CLUSTER: ClusterId = ClusterId(7);

pub(super) fn member(id: u64) -> Member {
    let zone = ["a", "b", "c"][id as usize % 3];
    Member::new(NodeId(id), zone, format!("host-{id}"))
}

pub(super) fn join(id: u64) -> Change {
    Change::Join(Arc::new(member(id)))
}

pub(super) fn birth(members: u64, admits_newcomers: bool) -> Arc<Birth> {
    Arc::new(Birth {
        cluster: CLUSTER,
        ring: RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 32 },
            replicas: 3,
        },
        members: (1..=members).map(|id| Arc::new(member(id))).collect(),
        buckets: Bucket::default().into(),
        admits_newcomers,
        at: WallTime::from_secs(1),
    })
}

pub(super) struct World {
    pub(super) nodes: BTreeMap<u64, Membership>,
    pub(super) disks: BTreeMap<u64, Bytes>,
    /// What each node has put out beside messages.
    pub(super) told: BTreeMap<u64, Vec<Output>>,
    /// Nodes in different groups do not hear each other.
    pub(super) groups: BTreeMap<u64, u8>,
    /// Of a hundred messages.
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) now: Duration,
    wire: Vec<(u64, u64, Gossip)>,
    rng: Rng,
    boots: u64,
}

impl World {
    /// A cluster of nodes 1 to `members`.
    pub(super) fn born(members: u64, seed: u64) -> Self {
        Self::born_with(birth(members, false), seed)
    }

    pub(super) fn born_with(birth: Arc<Birth>, seed: u64) -> Self {
        let mut world = Self {
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            told: BTreeMap::new(),
            groups: BTreeMap::new(),
            lost: 0,
            doubled: 0,
            now: Duration::from_secs(1000),
            wire: Vec::new(),
            rng: Rng::new(Seed(seed)),
            boots: 0,
        };
        for id in birth.members.iter().map(|it| it.id.0) {
            let config = world.config(id);
            let node = Membership::birth(config, birth.clone(), Seed(seed ^ id)).unwrap();
            world.nodes.insert(id, node);
        }
        world.run(2);
        world
    }

    pub(super) fn config(&mut self, id: u64) -> Config {
        self.boots += 1;
        Config {
            seeds: 2,
            address: format!("10.0.0.{id}").into(),
            ..Config::new(CLUSTER, member(id), Boot(self.boots))
        }
    }

    pub(super) fn newcomer(&mut self, id: u64) {
        let config = self.config(id);
        let node = Membership::newcomer(config, Seed(id)).unwrap();
        self.nodes.insert(id, node);
    }

    /// Stops a node, if it runs, and starts it with what is on its disk.
    pub(super) fn restart(&mut self, id: u64) {
        let config = self.config(id);
        self.restart_as(id, config);
    }

    pub(super) fn restart_as(&mut self, id: u64, config: Config) {
        let saved = self.disks[&id].clone();
        let node = Membership::restart(config, saved, Seed(id)).unwrap();
        self.nodes.insert(id, node);
    }

    pub(super) fn at(&self) -> Now {
        Now {
            mono: Instant::from_nanos(self.now.as_nanos() as u64),
            wall: WallTime::from_secs(self.now.as_secs() as u32),
        }
    }

    pub(super) fn node(&mut self, id: u64) -> &mut Membership {
        self.nodes.get_mut(&id).unwrap()
    }

    /// Stages, plans and commits at a node.
    pub(super) fn commit(&mut self, id: u64, changes: impl IntoIterator<Item = Change>) -> Epoch {
        let (now, mut out) = (self.at(), Vec::new());
        let node = self.node(id);
        for change in changes {
            node.stage(change).unwrap();
        }
        let plan = node.plan().unwrap();
        let epoch = node.commit(plan, now, &mut out).unwrap();
        self.put_out(id, out);
        epoch
    }

    /// Lets seconds pass, in tenths.
    pub(super) fn run(&mut self, seconds: u64) {
        for _ in 0..10 * seconds {
            self.now += Duration::from_millis(100);
            let now = self.at();
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                let mut out = Vec::new();
                self.node(id).tick(now, &mut out);
                self.put_out(id, out);
            }
            // What is said now is heard within the same tenth, in any order, answers included.
            for _ in 0..8 {
                for (from, to, message) in core::mem::take(&mut self.wire) {
                    self.deliver(from, to, message);
                }
            }
        }
    }

    /// Everybody who is in the cluster, as node 1 or the first after it sees it.
    pub(super) fn assert_agreed(&mut self) {
        let first = *self.nodes.keys().next().unwrap();
        let state = self.nodes[&first].state().unwrap().clone();
        let ring = self.node(first).ring().unwrap();
        let mut history = Vec::new();
        self.nodes[&first].history().unwrap().encode(&mut history);
        for id in state.present().map(|it| it.0) {
            let Some(node) = self.nodes.get_mut(&id) else {
                continue;
            };
            let mut other = Vec::new();
            node.history().unwrap().encode(&mut other);
            assert_eq!(other, history, "node {id} tells another history");
            assert_eq!(node.ring().unwrap(), ring, "node {id} has another ring");
            assert_eq!(node.past().unwrap().rings(), [], "node {id} looks back");
            assert!(node.is_switched(), "node {id} has not switched");
            assert!(
                node.is_settled(),
                "{:?} confirmed at {id}",
                node.confirmed(Step::Known)
            );
        }
    }

    fn deliver(&mut self, from: u64, to: u64, message: Gossip) {
        let group = |id| self.groups.get(&id).copied().unwrap_or(0);
        if group(from) != group(to) || self.rng.below(100) < self.lost {
            return;
        }
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(bytes.len(), message.encoded_len(), "{}", message.name());
        let again = Gossip::decode(&bytes.into()).unwrap();
        assert_eq!(again, message);
        let times = 1 + u64::from(self.rng.below(100) < self.doubled);
        let now = self.at();
        for _ in 0..times {
            let mut out = Vec::new();
            if let Some(node) = self.nodes.get_mut(&to) {
                node.handle(now, NodeId(from), again.clone(), &mut out);
            }
            self.put_out(to, out);
        }
    }

    pub(super) fn put_out(&mut self, id: u64, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send { to, message } => {
                    let to = match to {
                        To::Node(node) => node.0,
                        To::Seed(nth) => 1 + u64::from(nth),
                    };
                    let at = self.rng.below(self.wire.len() as u64 + 1) as usize;
                    self.wire.insert(at, (id, to, message));
                }
                Output::Save(mark) => {
                    let bytes = self.nodes[&id].to_bytes();
                    self.disks.insert(id, bytes);
                    let mut out = Vec::new();
                    self.node(id).saved(mark, &mut out);
                    self.put_out(id, out);
                }
                // Nothing is kept here that would have to move.
                Output::Settled(epoch) => {
                    self.told.entry(id).or_default().push(output);
                    let mut out = Vec::new();
                    self.node(id).moved(epoch, &mut out);
                    self.put_out(id, out);
                }
                other => self.told.entry(id).or_default().push(other),
            }
        }
    }
}
