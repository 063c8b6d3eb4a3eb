//! A node is away while others write what it is to have, comes back, and gets it from those who
//! held it. Nobody reads, so nothing else brings it anything.

use std::time::Duration;

use dynamo_proto::node::HintLimits;

use crate::disk::Stop;
use crate::oracle::Manner;
use crate::report::{Count, Violation};
use crate::scenario::{Action, Knobs, Planned, Scenario};
use crate::talk::Talk;
use crate::world::{START, World};

/// What is written meanwhile, and on what cluster.
#[derive(Clone, Copy, Debug)]
pub struct Absence {
    /// How many writes the node misses, each of another key.
    pub writes: usize,
    /// How long each value is, in bytes.
    pub value_bytes: usize,
    /// How long one way between two nodes takes, at least and on average beyond that.
    pub latency: (Duration, Duration),
    /// How long a store takes for a command, of which it does one after the other.
    pub disk: Duration,
    /// Whether nothing is held for it, and it gets it because replicas compare what they have
    /// within this time.
    pub exchange_every: Option<Duration>,
}

/// How the node got it.
#[derive(Clone, Debug)]
pub struct Return {
    /// How many copies were held for it.
    pub copies: u64,
    /// And of how many bytes, with their keys and clocks.
    pub copy_bytes: u64,
    /// From the start of its process until nothing is held for anybody and replicas are equal, byte
    /// by byte.
    pub took: Duration,
    /// What all nodes sent each other in that time.
    pub sent: u64,
    /// How much of it to the node.
    pub sent_home: u64,
    /// What they said to compare what they have.
    pub said: Talk,
    /// How many copies that moved.
    pub levelled: u64,
    /// How many copies were held at times since its start.
    pub left: Vec<(Duration, u64)>,
}

/// Nodes, of which the last one is away.
pub const NODES: usize = 5;
const AWAY: usize = NODES - 1;

/// How many are written in a second.
pub const PER_SEC: u32 = 200;

/// A node that has nothing by then never will.
const LONGEST: Duration = Duration::from_secs(3600);

/// How often it is remembered how many are left.
const SHOWN: Duration = Duration::from_millis(100);

/// How closely it is looked.
const STEP: Duration = Duration::from_millis(10);

/// Measures it.
///
/// # Errors
///
/// If a promise is broken, or replicas are not equal after an hour.
pub fn measure(absence: &Absence) -> Result<Return, Violation> {
    let scenario = scenario(absence);
    let mut world = World::new(&scenario, None);
    world.settle(START / 2);
    world.stop(AWAY, Stop::Kill);
    world.settle(scenario.length + START);
    let held = world.held_by_all();
    world.restart(AWAY);
    let (sent, sent_home) = world.traffic(AWAY);
    let (said, levelled) = (world.talk, world.count(Count::Levelled));
    let (mut took, mut left) = (Duration::ZERO, vec![(Duration::ZERO, held.copies)]);
    loop {
        world.settle(STEP);
        took += STEP;
        if let Some(violation) = world.violation() {
            return Err(violation.clone());
        }
        let copies = world.held_by_all().copies;
        let (last, _) = left[left.len() - 1];
        if took >= last + SHOWN || copies == 0 {
            left.push((took, copies));
        }
        let difference = (copies == 0).then(|| world.difference());
        match difference {
            Some(None) => break,
            _ if took < LONGEST => {}
            _ => {
                let what = format!("{copies} copies are left, {difference:?}");
                return Err(Violation::new("I6", what));
            }
        }
    }
    let (all, home) = world.traffic(AWAY);
    Ok(Return {
        copies: held.copies,
        copy_bytes: held.bytes,
        took,
        sent: all - sent,
        sent_home: home - sent_home,
        said: world.talk.since(&said),
        levelled: world.count(Count::Levelled) - levelled,
        left,
    })
}

fn scenario(absence: &Absence) -> Scenario {
    let mut scenario = Scenario {
        // Three in five are the node's to keep.
        keys: vec![Manner::Causal; absence.writes * 2 + 50],
        clients: 1000,
        latency: absence.latency,
        disk: absence.disk,
        length: Duration::from_secs(1) * absence.writes as u32 / PER_SEC + Duration::from_secs(5),
        knobs: Knobs {
            has_queues: true,
            body_bytes: Some(absence.value_bytes),
            hints: match absence.exchange_every {
                None => HintLimits::default().copies,
                Some(_) => 0,
            },
            exchange_every: absence
                .exchange_every
                .unwrap_or(Knobs::default().exchange_every),
            expected_keys: absence.writes,
            ..Knobs::default()
        },
        converges: true,
        ..Scenario::calm(NODES)
    };
    let world = World::new(&scenario, None);
    let missed = (0..scenario.keys.len()).filter(|key| world.primaries(*key).contains(&AWAY));
    let plan = missed
        .take(absence.writes)
        .enumerate()
        .map(|(at, key)| Planned {
            at: Duration::from_secs(1) * at as u32 / PER_SEC,
            client: at % scenario.clients,
            node: at % AWAY,
            key,
            action: Action::Blind,
            timeout: None,
            is_flushed: false,
            only_here: false,
            vanishes: false,
        });
    scenario.plan = plan.collect();
    scenario
}
