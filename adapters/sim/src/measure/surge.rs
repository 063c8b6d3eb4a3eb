//! For a while many times as much is asked for as the cluster can do; then no more than before.

use std::time::Duration;

use super::{Outcome, Told};
use crate::faults::{Fault, FaultKind};
use crate::machine::TIMEOUT;
use crate::oracle::Manner;
use crate::report::Violation;
use crate::scenario::{Knobs, Quorum, Scenario};
use crate::world::{START, World};

/// How much a node takes on at once.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Of clients' requests.
    pub requests: usize,
    /// Of what other nodes ask for.
    pub peers: usize,
}

/// What was asked and answered in one stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stretch {
    /// How many asked in it.
    pub offered: u32,
    /// How many heard in it that it was done.
    pub done: u32,
    /// How many heard in it that there is no room.
    pub overloaded: u32,
    /// How many heard in it, before their time was up, that it could not be done.
    pub failed: u32,
    /// How many heard in it that their time was up.
    pub late: u32,
}

/// How a surge passed.
#[derive(Clone, Debug)]
pub struct Passage {
    /// What is asked for in a second all the time.
    pub usual: u32,
    /// And on top of it during the surge.
    pub surge: u32,
    /// From the beginning to the end, each of [`STRETCH`].
    pub stretches: Vec<Stretch>,
    /// What was done in a second, on average, before the surge.
    pub before: f64,
    /// And during it.
    pub during: f64,
    /// How long after its end a second begins in which nine tenths of what is asked for, or of what
    /// was done before if that is less, are done; and so in all that follow.
    pub recovered: Option<Duration>,
    /// The longest that anybody waited.
    pub longest: Duration,
}

/// How finely time is cut.
pub const STRETCH: Duration = Duration::from_millis(250);
/// When the surge begins, when it ends, and when all does.
pub const SURGE: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(60),
];
/// Nodes of the cluster.
pub const NODES: usize = 5;
/// How long a store takes for a command, of which it does one after the other.
pub const DISK: Duration = Duration::from_millis(2);
/// One way between two nodes, at least and on average beyond that.
pub const LATENCY: (Duration, Duration) = (Duration::from_micros(200), Duration::from_micros(100));

/// What is looked at to say that things are as they were.
const SECOND: usize = 4;

/// How many requests a second the cluster can do: of so many, 99 in a hundred are done for twenty
/// seconds on end.
///
/// # Errors
///
/// If a promise is broken.
pub fn capacity(room: Room) -> Result<u32, Violation> {
    let length = Duration::from_secs(20);
    super::most(4000, 20, |offered| {
        let mut told = Vec::new();
        run(
            room,
            length,
            &[(Duration::ZERO, length, offered)],
            &mut told,
        )?;
        Ok(told)
    })
}

/// Measures it: half of the capacity is asked for all the time, and for a while `times` the
/// capacity on top of that.
///
/// # Errors
///
/// If a promise is broken.
pub fn measure(room: Room, capacity: u32, times: u32) -> Result<Passage, Violation> {
    let [begins, ends, length] = SURGE;
    let (usual, surge) = (capacity / 2, capacity * times);
    let load = [(Duration::ZERO, length, usual), (begins, ends, surge)];
    let mut told = Vec::new();
    run(room, length, &load, &mut told)?;
    let stretch = |at: Duration| (at.as_nanos() / STRETCH.as_nanos()) as usize;
    let mut stretches = vec![Stretch::default(); stretch(length)];
    for told in &told {
        if let Some(asked) = stretches.get_mut(stretch(told.at)) {
            asked.offered += 1;
        }
        let Some(heard) = stretches.get_mut(stretch(told.at + told.took)) else {
            continue;
        };
        match told.outcome {
            Outcome::Done => heard.done += 1,
            Outcome::Overloaded => heard.overloaded += 1,
            _ if told.took >= TIMEOUT => heard.late += 1,
            Outcome::Failed | Outcome::Unknown | Outcome::Lost => heard.failed += 1,
        }
    }
    let done = |stretches: &[Stretch]| {
        let done: u32 = stretches.iter().map(|stretch| stretch.done).sum();
        f64::from(done) / (STRETCH.as_secs_f64() * stretches.len() as f64)
    };
    // The first second has to get going.
    let before = done(&stretches[SECOND..stretch(begins)]);
    let after = &stretches[stretch(ends)..];
    let is_well: Vec<_> = (after.windows(SECOND))
        .map(|second| {
            let offered: u32 = second.iter().map(|stretch| stretch.offered).sum();
            done(second) >= 0.9 * before.min(f64::from(offered))
        })
        .collect();
    let well = is_well.iter().rev().take_while(|is_well| **is_well).count();
    let recovered = (well > 0).then(|| STRETCH * (is_well.len() - well) as u32);
    Ok(Passage {
        usual,
        surge,
        before,
        during: done(&stretches[stretch(begins)..stretch(ends)]),
        stretches,
        recovered,
        longest: told.iter().map(|told| told.took).max().unwrap_or_default(),
    })
}

/// Runs with those loads: from when to when, and how many requests a second.
fn run(
    room: Room,
    length: Duration,
    load: &[(Duration, Duration, u32)],
    told: &mut Vec<Told>,
) -> Result<(), Violation> {
    let faults = load.iter().map(|(from, to, per_sec)| Fault {
        at: *from,
        lasts: *to - *from,
        kind: FaultKind::Surge {
            per_sec: *per_sec,
            key: None,
        },
    });
    let calm = Scenario::calm(NODES);
    let scenario = Scenario {
        quorum: Quorum {
            requests: room.requests,
            ..calm.quorum
        },
        keys: vec![Manner::Overwrite; 1000],
        latency: LATENCY,
        disk: DISK,
        length,
        knobs: Knobs {
            peers: room.peers,
            has_queues: true,
            body_bytes: Some(1024),
            ..Knobs::default()
        },
        faults: faults.collect(),
        ..calm
    };
    let mut listener = |heard| told.push(heard);
    let mut world = World::new(&scenario, None);
    world.listen(&mut listener);
    world.settle(START + length + TIMEOUT);
    match world.violation() {
        Some(violation) => Err(violation.clone()),
        None => Ok(()),
    }
}
