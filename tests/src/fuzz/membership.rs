//! Membership: whatever arrives, in whatever order, nobody panics, what was decided stays decided,
//! and those who have heard the same agree.

use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use dynamo_proto::membership::{
    Birth, Change, Config, Gossip, Membership, Output, Standing, To, Void,
};
use dynamo_proto::ring::{Member, RingConfig, Strategy};
use dynamo_proto::version::Boot;
use dynamo_proto::{Bucket, ClusterId, Instant, NodeId, Now, Seed, WallTime};

use super::heap::decoded;

const NODES: usize = 4;
const STEPS: usize = 60;
const CLUSTER: ClusterId = ClusterId(7);

/// Bytes in place of messages and of what was saved; or what administrators and the network do to
/// four nodes, damage included.
///
/// # Panics
///
/// If what decodes encodes otherwise or took more memory than its bytes justify, if an epoch falls,
/// if who was removed comes back, if a damaged message changes a history, or if nodes with one epoch
/// have different histories or rings.
pub fn membership(bytes: &[u8]) {
    let _ = explore(&mut Unstructured::new(bytes)); // bytes that end early make a short history
}

fn explore(bytes: &mut Unstructured<'_>) -> Result<()> {
    match bytes.int_in_range(0..=3_u8)? {
        0 => invented(&Bytes::copy_from_slice(bytes.bytes(bytes.len())?)),
        1 => restored(&Bytes::copy_from_slice(bytes.bytes(bytes.len())?)),
        _ => return Cluster::born(bytes)?.live(bytes),
    }
    Ok(())
}

/// Any bytes as a message, to a node that has a cluster and to one that has none.
fn invented(bytes: &Bytes) {
    let Ok(message) = decoded(bytes.len(), || Gossip::decode(bytes)) else {
        return;
    };
    let mut again = Vec::new();
    message.encode(&mut again);
    assert_eq!(again, *bytes, "what was read is not what is written");
    assert_eq!(again.len(), message.encoded_len());
    let newcomer = Membership::newcomer(config(9, 9), Seed(9)).expect("a sound node");
    let member = Membership::birth(config(0, 1), birth(), Seed(1)).expect("a sound birth");
    for mut node in [newcomer, member] {
        let mut out = wake(&mut node, 1);
        node.handle(now(2), NodeId(3), message.clone(), &mut out);
        node.tick(now(9), &mut out);
    }
}

/// Any bytes as what was saved, under a right checksum too.
fn restored(bytes: &Bytes) {
    let _ = Membership::restart(config(1, 1), bytes.clone(), Seed(1));
    let body = xxhash_rust::xxh3::xxh3_64(bytes).to_be_bytes();
    let sealed: Bytes = [&[2], &body[..], bytes].concat().into();
    if let Ok(mut node) = Membership::restart(config(1, 1), sealed, Seed(1)) {
        let mut out = wake(&mut node, 1);
        node.tick(now(9), &mut out);
        // Placing a ring of any size is another target's.
        let again = Membership::restart(config(1, 2), node.to_bytes(), Seed(1));
        assert_eq!(again.map(|it| it.epoch()), Ok(node.epoch()));
    }
}

fn config(id: u64, boot: u64) -> Config {
    Config {
        seeds: NODES as u16,
        ..Config::new(CLUSTER, member(id), Boot(boot))
    }
}

fn member(id: u64) -> Member {
    Member::new(NodeId(id), format!("zone-{}", id % 2), format!("host-{id}"))
}

fn birth() -> Arc<Birth> {
    Arc::new(Birth {
        cluster: CLUSTER,
        ring: RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 8 },
            replicas: 2,
        },
        members: (0..NODES as u64).map(|id| Arc::new(member(id))).collect(),
        buckets: Bucket::default().into(),
        admits_newcomers: false,
        at: WallTime::ZERO,
    })
}

fn now(seconds: u64) -> Now {
    Now {
        mono: Instant::default() + Duration::from_secs(seconds),
        wall: WallTime::ZERO,
    }
}

/// The first moment of a node; its disk is quick.
fn wake(node: &mut Membership, seconds: u64) -> Vec<Output> {
    let mut out = Vec::new();
    node.tick(now(seconds), &mut out);
    let mut at = 0;
    while at < out.len() {
        if let Output::Save(mark) = out[at] {
            node.saved(mark, &mut out);
        }
        at += 1;
    }
    out
}

struct Cluster {
    nodes: Vec<Membership>,
    wire: Vec<(u64, u64, Bytes)>,
    seconds: u64,
    boots: u64,
}

impl Cluster {
    fn born(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let seed: u64 = bytes.arbitrary()?;
        let node = |id: u64| Membership::birth(config(id, id + 1), birth(), Seed(seed ^ id));
        let nodes = (0..NODES as u64).map(|id| node(id).expect("a sound birth"));
        Ok(Self {
            nodes: nodes.collect(),
            wire: Vec::new(),
            seconds: 1,
            boots: 10,
        })
    }

    fn live(mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        for _ in 0..STEPS {
            if bytes.is_empty() {
                break;
            }
            let before: Vec<_> = self.nodes.iter().map(|node| node.epoch().height).collect();
            let removed = self.removed();
            self.step(bytes)?;
            for (node, before) in self.nodes.iter().zip(before) {
                assert!(node.epoch().height >= before, "an epoch fell");
            }
            self.check_removed(&removed);
        }
        self.heal();
        self.check_agreed();
        Ok(())
    }

    fn step(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        let at = bytes.choose_index(NODES)?;
        match bytes.int_in_range(0..=9_u8)? {
            0..=2 => {
                for _ in 0..bytes.int_in_range(1..=2_u8)? {
                    // What cannot be is refused.
                    let _ = self.nodes[at].stage(change(bytes)?);
                }
                let mut out = Vec::new();
                if let Ok(plan) = self.nodes[at].plan() {
                    let _ = self.nodes[at].commit(plan, now(self.seconds), &mut out);
                }
                self.put_out(at, out);
            }
            3 => {
                self.boots += 1;
                let (saved, boot) = (self.nodes[at].to_bytes(), self.boots);
                let node = Membership::restart(config(at as u64, boot), saved, Seed(boot));
                self.nodes[at] = node.expect("what was written is read");
            }
            4..=5 => {
                self.seconds += 1;
                for at in 0..NODES {
                    let mut out = Vec::new();
                    self.nodes[at].tick(now(self.seconds), &mut out);
                    self.put_out(at, out);
                }
            }
            6 if !self.wire.is_empty() => {
                let lost = bytes.choose_index(self.wire.len())?;
                self.wire.swap_remove(lost);
            }
            7 if !self.wire.is_empty() => {
                let (from, to, message) = self.wire[bytes.choose_index(self.wire.len())?].clone();
                self.damaged(from, to, &message, bytes)?;
            }
            _ if !self.wire.is_empty() => {
                let which = bytes.choose_index(self.wire.len())?;
                let (from, to, message) = self.wire[which].clone();
                if bytes.ratio(4, 5)? {
                    self.wire.swap_remove(which); // or it comes again
                }
                self.deliver(from, to, &message);
            }
            _ => {}
        }
        Ok(())
    }

    /// A message with a flipped bit brings no commit that nobody made.
    fn damaged(
        &mut self,
        from: u64,
        to: u64,
        message: &Bytes,
        bytes: &mut Unstructured<'_>,
    ) -> Result<()> {
        let mut damaged = message.to_vec();
        let at = bytes.choose_index(damaged.len())?;
        damaged[at] ^= 1 << bytes.int_in_range(0..=7_u8)?;
        if Gossip::decode(&damaged.clone().into()).is_ok_and(|it| it.name() == "commits") {
            let made: usize = self.nodes.iter().map(known).max().unwrap_or(0);
            self.deliver(from, to, &damaged.into());
            // Nobody knows more than all that was ever made.
            let all = self.all_commits();
            assert!(known(&self.nodes[to as usize]) <= all.max(made));
        }
        Ok(())
    }

    fn all_commits(&self) -> usize {
        let ids = self.nodes.iter().filter_map(Membership::history);
        let ids = ids.flat_map(|history| history.commits().map(|(id, _)| id));
        ids.collect::<std::collections::BTreeSet<_>>().len()
    }

    fn put_out(&mut self, from: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send { to, message } => {
                    let to = match to {
                        To::Node(node) => node.0,
                        To::Seed(nth) => nth.into(),
                    };
                    let mut encoded = Vec::new();
                    message.encode(&mut encoded);
                    if to < NODES as u64 && self.wire.len() < 1000 {
                        self.wire.push((from as u64, to, encoded.into()));
                    }
                }
                Output::Save(mark) => {
                    let mut out = Vec::new();
                    self.nodes[from].saved(mark, &mut out);
                    self.put_out(from, out);
                }
                _ => {}
            }
        }
    }

    fn deliver(&mut self, from: u64, to: u64, message: &Bytes) {
        let message = Gossip::decode(message).expect("what was encoded decodes");
        let mut out = Vec::new();
        self.nodes[to as usize].handle(now(self.seconds), NodeId(from), message, &mut out);
        self.put_out(to as usize, out);
    }

    /// Nothing is lost any more. Who removed each other meet at their seeds only, now and then.
    fn heal(&mut self) {
        self.wire.clear();
        for _ in 0..400 {
            self.seconds += 1;
            for at in 0..NODES {
                let mut out = Vec::new();
                self.nodes[at].tick(now(self.seconds), &mut out);
                self.put_out(at, out);
            }
            for _ in 0..8 {
                for (from, to, message) in std::mem::take(&mut self.wire) {
                    self.deliver(from, to, &message);
                }
            }
        }
    }

    fn removed(&self) -> Vec<Vec<NodeId>> {
        let removed = |node: &Membership| {
            let state = node.state().expect("all were born into it");
            state.removed().collect()
        };
        self.nodes.iter().map(removed).collect()
    }

    fn check_removed(&self, before: &[Vec<NodeId>]) {
        for (node, before) in self.nodes.iter().zip(before) {
            let state = node.state().expect("all were born into it");
            for gone in before {
                // Unless it would have been the last, in the order that is known now.
                let is_spared = state.voided().iter().any(|it| {
                    matches!(
                        it.why,
                        Void::LastMember(_) | Void::IsMember(_) | Void::WasRemoved(_)
                    )
                });
                assert!(state.is_removed(*gone) || is_spared, "{gone} is back");
            }
        }
    }

    fn check_agreed(&mut self) {
        let present: Vec<usize> = (0..NODES)
            .filter(|at| {
                let me = NodeId(*at as u64);
                let standing = self.nodes[*at].state().and_then(|state| state.standing(me));
                matches!(standing, Some(Standing::Member(_) | Standing::Leaving(_)))
            })
            .collect();
        for pair in present.windows(2) {
            assert_eq!(self.nodes[pair[0]].epoch(), self.nodes[pair[1]].epoch());
            assert_eq!(self.nodes[pair[0]].history(), self.nodes[pair[1]].history());
            let rings = [pair[0], pair[1]].map(|at| self.nodes[at].ring());
            assert_eq!(rings[0], rings[1]);
        }
    }
}

fn known(node: &Membership) -> usize {
    node.history().map_or(0, |history| history.commits().len())
}

fn change(bytes: &mut Unstructured<'_>) -> Result<Change> {
    let id = bytes.int_in_range(0..=NODES as u64 + 2)?;
    let node = NodeId(id);
    Ok(match bytes.int_in_range(0..=6_u8)? {
        0 => Change::Join(Arc::new(member(id))),
        1 => Change::Leave(node),
        2 => Change::Remove(node),
        3 => Change::Replace {
            dead: node,
            by: Arc::new(member(bytes.int_in_range(0..=9)?)),
        },
        4 => Change::Weigh {
            node,
            weight: bytes.int_in_range(0..=3)?,
        },
        5 => Change::Place {
            node,
            zone: "elsewhere".into(),
            host: "moved".into(),
        },
        _ => Change::Keep {
            bucket_type: [bytes.int_in_range(0..=2_u8)?].into(),
            name: match bytes.int_in_range(0..=2_u8)? {
                0 => None,
                name => Some([name].into()),
            },
            bucket: Box::new(Bucket {
                n: bytes.int_in_range(0..=3)?,
                ..Bucket::default()
            }),
        },
    })
}
