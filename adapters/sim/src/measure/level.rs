//! Replicas of which some lack something, and nobody reads: what it takes to find that and to make
//! them equal.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dynamo_proto::store::{Address, Batch, Change, Space};
use dynamo_proto::version::{
    Births, Boot, Content, Policy, Record, RequestId, Retirements, Rules, Write,
};
use dynamo_proto::{Durability, Key, Limits, NodeId, WallTime};

use crate::disk::Disk;
use crate::machine::{self, Machine};
use crate::report::{Count, Violation};
use crate::scenario::{Knobs, Scenario};
use crate::talk::Talk;
use crate::world::World;

/// Some keys, of which some are not everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// How many keys there are.
    pub keys: usize,
    /// How many of them one of their replicas lacks.
    pub missing: usize,
    /// How long each value is, in bytes.
    pub value_bytes: usize,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Levelled {
    /// Keys of all replicas, as their nodes have counted them.
    pub keys: u64,
    /// Bytes of the copies that were missing, with their keys and clocks.
    pub missing_bytes: u64,
    /// All that nodes said about it, until every two had found that they are equal.
    pub said: Talk,
    /// And that the second time, when they were.
    pub said_in_step: Talk,
    /// Copies that were moved.
    pub copies: u64,
    /// For how many stretches two nodes have to agree.
    pub stretches: usize,
}

/// How many nodes there are.
pub const NODES: usize = 5;

const EVERY: Duration = Duration::from_secs(60);

/// Measures it.
///
/// # Errors
///
/// If a promise is broken, or replicas are not equal after ten rounds.
pub fn measure(gap: &Gap) -> Result<Levelled, Violation> {
    let scenario = scenario(gap.keys);
    let mut machines = Machine::all(&scenario, Disk::of);
    let missing_bytes = fill(&mut machines, gap);
    let mut world = World::of(&scenario, machines, None);
    let mut rounds = [Talk::default(); 2];
    for (at, said) in rounds.iter_mut().enumerate() {
        let before = world.talk;
        let began = world.now();
        let mut waited = 0;
        while !world.has_agreed_since(began) {
            world.settle(Duration::from_secs(1));
            waited += 1;
            if let Some(violation) = world.violation() {
                return Err(violation.clone());
            }
            if waited > 10 * EVERY.as_secs() {
                let what = format!("round {at} does not end: {:?}", world.difference());
                return Err(Violation::new("I6", what));
            }
        }
        *said = world.talk.since(&before);
    }
    if world.copies() != gap.keys * usize::from(scenario.quorum.n) {
        return Err(Violation::new("I6", "a copy is missing still".to_owned()));
    }
    Ok(Levelled {
        keys: world.keys_counted(),
        missing_bytes,
        said: rounds[0],
        said_in_step: rounds[1],
        copies: world.count(Count::Levelled),
        stretches: world.stretches(),
    })
}

/// Gives every node its copies, but for those that are to be missing.
fn fill(machines: &mut [Machine], gap: &Gap) -> u64 {
    let (limits, retired) = (Limits::default(), Retirements::default());
    let rules = Rules {
        policy: Policy::Siblings,
        truncate_to: None,
        limits: &limits,
        retired: &retired,
    };
    let ring = machine::ring(&scenario(gap.keys));
    let mut births = Births::new(NodeId(1), Boot(1));
    let body = Bytes::from(vec![7; gap.value_bytes]);
    let every = gap.keys.checked_div(gap.missing).unwrap_or(usize::MAX);
    let mut missing_bytes = 0;
    for number in 0..gap.keys {
        let name = format!("key-{number}");
        let key = Key::new("causal", "level", name, &limits).expect("short names");
        let at = Address::of_object(key.token(), key.encoded());
        let write = Write {
            past: None,
            content: Content::plain(body.clone()),
            request: RequestId(number as u128),
        };
        let mut record = Record::default();
        let now = WallTime::from_secs(1_600_000_000);
        let minted = record.mint(write, now, &mut births, &rules);
        minted.expect("within all limits");
        let bytes = record.encode(&at);
        let is_missing = number % every == every / 2;
        for (place, member) in ring.lookup(key.token()).primaries(3).enumerate() {
            if is_missing && place == number / every % 3 {
                let mut state = BytesMut::new();
                record.siblings().encode(&mut state);
                missing_bytes += (key.encoded().len() + state.len()) as u64;
                continue;
            }
            let change = Change {
                space: Space::Objects,
                at: at.clone(),
                bytes: Some(bytes.clone()),
            };
            let batch = Batch {
                changes: [change].into_iter().collect(),
                durability: Durability::Flushed,
                may_use_reserve: false,
            };
            let disk = &mut machines[machine::place(member.id)].disk;
            let write = disk.write(&batch);
            disk.complete(write, Durability::Flushed);
        }
    }
    missing_bytes
}

fn scenario(keys: usize) -> Scenario {
    Scenario {
        knobs: Knobs {
            exchange_every: EVERY,
            expected_keys: keys,
            ..Knobs::default()
        },
        converges: true,
        ..Scenario::calm(NODES)
    }
}
