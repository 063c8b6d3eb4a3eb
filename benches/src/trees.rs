//! Trees of many keys, ours and `rs_merkle`'s: one key changed, and all of them made anew.

use std::collections::VecDeque;
use std::sync::Arc;

use dynamo_proto::node::{
    BareTrees, Capacity, Config, Effect, Event, HintLimits, Node, Start, Timing,
};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::store::{Address, Batch, Change, Command, Space};
use dynamo_proto::version::{Boot, Siblings};
use dynamo_proto::{
    Bucket, ClusterId, Durability, Instant, Limits, NodeId, Now, Seed, Token, WallTime,
};
use dynamo_storage::{Backend, Span, carry_out};
use dynamo_storage_memory::Memory;
use rs_merkle::{Hasher, MerkleTree};
use xxhash_rust::xxh3::xxh3_64;

use crate::{scattered, states, workload};

/// As many as a key has replicas, all on the same nodes.
const REPLICAS: u8 = 3;

const CLUSTER: ClusterId = ClusterId(7);

/// The two states that a key has in turn.
#[must_use]
pub fn states() -> [Siblings; 2] {
    [[2, 2, 2], [3, 2, 2]].map(|writes| states::siblings(&writes, 0))
}

/// Where keys fall.
#[must_use]
pub fn tokens(count: usize) -> Vec<Token> {
    let token =
        |nth| Token(u128::from(scattered(2 * nth)) << 64 | u128::from(scattered(2 * nth + 1)));
    (0..count as u64).map(token).collect()
}

/// Our trees with all of these keys in the first of their states.
#[must_use]
pub fn ours(tokens: &[Token], first: &Siblings) -> BareTrees {
    let mut trees = BareTrees::new(&ring(), tokens.len() as u64, REPLICAS);
    for token in tokens {
        trees.change(*token, &Siblings::default(), first);
    }
    trees
}

/// The hash that our trees have too. `rs_merkle` brings SHA-256 along, which is slower.
#[derive(Clone, Debug)]
pub struct Xxh3;

impl Hasher for Xxh3 {
    type Hash = [u8; 8];

    fn hash(data: &[u8]) -> [u8; 8] {
        xxh3_64(data).to_be_bytes()
    }
}

/// A leaf of `rs_merkle`'s tree: a key, and its state as bytes that are at hand.
#[must_use]
pub fn leaf<H: Hasher>(token: Token, state: &[u8]) -> H::Hash {
    let mut bytes = [0; 256];
    let len = 16 + state.len();
    bytes[..16].copy_from_slice(&token.0.to_be_bytes());
    bytes[16..len].copy_from_slice(state);
    H::hash(&bytes[..len])
}

/// A state as bytes.
#[must_use]
pub fn encoded(state: &Siblings) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

/// `rs_merkle`'s tree with all of these keys in that state.
#[must_use]
pub fn theirs<H: Hasher>(tokens: &[Token], state: &[u8]) -> MerkleTree<H> {
    let leaves: Vec<_> = tokens
        .iter()
        .map(|token| leaf::<H>(*token, state))
        .collect();
    MerkleTree::from_leaves(&leaves)
}

/// The root of such a tree once one leaf is another: from what lies beside the way up.
///
/// `rs_merkle` changes no leaf that is there; this is the least that doing so would take.
#[must_use]
pub fn changed_root<H: Hasher>(
    tree: &MerkleTree<H>,
    at: usize,
    leaf: H::Hash,
    count: usize,
) -> H::Hash {
    let way_up = tree.proof(&[at]);
    let root = way_up.root(&[at], &[leaf], count);
    root.expect("the leaf is one of the tree's")
}

/// A store with so many records of one small value each, and no trees.
#[must_use]
pub fn records(count: usize) -> Memory {
    let store = Memory::new();
    let record = states::Coordinator::after(&[2, 2, 2], &states::content(100)).record;
    for key in workload::keys(count) {
        let at = Address::of_object(key.token(), key.encoded());
        let change = Change {
            space: Space::Objects,
            bytes: Some(record.encode(&at)),
            at,
        };
        let batch = Batch {
            changes: [change].into_iter().collect(),
            durability: Durability::Memory,
            may_use_reserve: false,
        };
        carry_out(&store, Command::Write(batch));
    }
    store
}

/// Lets the trees of a store be made anew at the next start.
pub fn forget(store: &Memory) {
    let forgotten = store.delete(Space::Trees, &Span::all(), Durability::Memory);
    forgotten.expect("memory does not fail");
}

/// What is measured: a node starts on a store that has no trees, and makes them. Returns how many
/// keys they have.
#[must_use]
pub fn rebuild(store: &Memory, count: usize) -> u64 {
    let (ring, bucket) = (ring(), Bucket::default());
    let start = Start::founder(CLUSTER, &ring, bucket.into(), NodeId(0));
    let mut node = Node::new(Arc::new(config(count)), start, Boot(1), Seed(1));
    let node = node.as_mut().expect("it is a member");
    let now = Now {
        mono: Instant::from_nanos(1),
        wall: WallTime::from_secs(1_700_000_000),
    };
    let (mut effects, mut completions) = (Vec::new(), VecDeque::new());
    let mut event = Event::Tick;
    loop {
        node.handle(now, event, &mut effects);
        for effect in effects.drain(..) {
            if let Effect::Store { op, command } = effect {
                completions.push_back((op, carry_out(store, command)));
            }
        }
        match completions.pop_front() {
            Some((op, completion)) => event = Event::Stored { op, completion },
            None => return node.keys(),
        }
    }
}

/// Three nodes, so that all keys are on each.
fn ring() -> Ring {
    let config = RingConfig {
        strategy: Strategy::EqualPartitions { partitions: 64 },
        replicas: REPLICAS,
    };
    let ids = [0, 1, 2].map(NodeId);
    let members = ids.map(|id| Member::new(id, "zone", format!("host-{}", id.0)));
    Ring::birth(config, members.into()).expect("three nodes make a ring")
}

fn config(keys: usize) -> Config {
    Config {
        node: NodeId(0),
        cluster: CLUSTER,
        secret: *b"sixteen secrets!",
        limits: Limits {
            keys,
            ..Limits::default()
        },
        capacity: Capacity::default(),
        timing: Timing::default(),
        hints: HintLimits::default(),
    }
}
