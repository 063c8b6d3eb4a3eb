//! Three nodes: whatever clients do and whatever goes wrong, the simulator's checkers find nothing.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use dynamo_proto::Durability;
use dynamo_sim::{
    Action, Fault, FaultKind, Knobs, Manner, Place, Planned, Quorum, Scenario, Stop, Wishes,
};

const NODES: usize = 3;
const CLIENTS: usize = 4;
/// More operations and faults than these make a run slow and nothing possible that fewer do not.
const OPERATIONS: usize = 60;
const FAULTS: usize = 10;
/// When all has been done and all faults have ended.
const LENGTH: Duration = Duration::from_secs(20);

/// A schedule of operations and faults, drawn from bytes in place of a seed. What it may be made
/// of is what the simulator's own scenarios are.
///
/// # Panics
///
/// If a promise is broken; says by which schedule, which `dynamo-sim replay --schedule` takes.
pub fn schedules(bytes: &[u8]) {
    let Ok(scenario) = scenario(&mut Unstructured::new(bytes)) else {
        return; // too few bytes for a cluster
    };
    if let Some(violation) = dynamo_sim::run(&scenario).violation {
        let schedule = serde_json::to_string(&scenario).expect("what was read can be written");
        panic!("{violation}\n{schedule}");
    }
}

fn scenario(bytes: &mut Unstructured<'_>) -> Result<Scenario> {
    let hosts = bytes.int_in_range(2..=NODES)?;
    let zones = bytes.int_in_range(1..=2)?;
    let place = |at: usize| Place {
        host: (at % hosts) as u8,
        zone: (at % hosts % zones) as u8,
    };
    let quorum = quorum(bytes, hosts)?;
    let mut keys = Vec::new();
    for _ in 0..bytes.int_in_range(1..=3)? {
        keys.push(*bytes.choose(&[
            Manner::Causal,
            Manner::Overwrite,
            Manner::LastWriteWins,
            Manner::Causal,
        ])?);
    }
    let drawn = Wishes {
        length: Some(LENGTH),
        ops: Some(0),
        nodes: Some(NODES),
        ..Wishes::default()
    };
    let seed = bytes.arbitrary::<u8>()?.into();
    let latency = Duration::from_micros(*bytes.choose(&[200, 50, 1000, 20_000])?);
    let disk = Duration::from_micros(*bytes.choose(&[100, 5, 2000, 10_000])?);
    let (mut plan, mut faults) = (Vec::new(), Vec::new());
    let mut at = Duration::ZERO;
    while !bytes.is_empty() {
        at += pause(bytes)?;
        if at >= LENGTH {
            break;
        }
        let is_fault = bytes.ratio(1, 5)?;
        if is_fault && faults.len() < FAULTS {
            faults.push(fault(bytes, at, quorum.durability)?);
        } else if plan.len() < OPERATIONS {
            plan.push(planned(bytes, at, keys.len())?);
        }
    }
    let more = latency * bytes.int_in_range(0..=4)?;
    let usual = Scenario::draw(seed, &drawn);
    // As in what is drawn: who asks again before an answer can have come believes nobody to be there.
    let patience = usual.knobs.retry_after.max(8 * (latency + more));
    Ok(Scenario {
        nodes: (0..NODES).map(place).collect(),
        quorum,
        keys,
        clients: CLIENTS,
        latency: (latency, more),
        disk,
        plan,
        faults,
        founders: None,
        decisions: Vec::new(),
        knobs: Knobs {
            retry_after: patience,
            ..usual.knobs
        },
        ..usual
    })
}

fn quorum(bytes: &mut Unstructured<'_>, hosts: usize) -> Result<Quorum> {
    let n = bytes.int_in_range(1..=NODES as u8)?;
    Ok(Quorum {
        n,
        r: bytes.int_in_range(1..=n)?,
        w: bytes.int_in_range(1..=n.min(hosts as u8))?,
        is_strict: bytes.arbitrary()?,
        durability: *bytes.choose(&[
            Durability::Flushed,
            Durability::Written,
            Durability::Memory,
        ])?,
        one_flushed: bytes.ratio(1, 4)?,
        requests: *bytes.choose(&[1000, 3])?,
        reads_per_key: bytes.int_in_range(1..=3)?,
        siblings: *bytes.choose(&[100, 3])?,
    })
}

/// From the last thing to the next.
fn pause(bytes: &mut Unstructured<'_>) -> Result<Duration> {
    let unit = *bytes.choose(&[
        Duration::ZERO,
        Duration::from_micros(20),
        Duration::from_millis(1),
        Duration::from_millis(10),
    ])?;
    Ok(unit * u32::from(bytes.arbitrary::<u8>()?))
}

fn planned(bytes: &mut Unstructured<'_>, at: Duration, keys: usize) -> Result<Planned> {
    Ok(Planned {
        at,
        client: bytes.choose_index(CLIENTS)?,
        node: bytes.choose_index(NODES)?,
        key: bytes.choose_index(keys)?,
        action: *bytes.choose(&[
            Action::Get,
            Action::Put,
            Action::Blind,
            Action::Delete,
            Action::PutStale,
            Action::PutBoth,
            Action::Get,
            Action::Put,
        ])?,
        timeout: None,
        is_flushed: false,
        only_here: false,
        vanishes: false,
    })
}

fn fault(bytes: &mut Unstructured<'_>, at: Duration, durability: Durability) -> Result<Fault> {
    let mut node = || bytes.choose_index(NODES);
    let (node, other) = (node()?, node()?);
    let lasts = pause(bytes)? + pause(bytes)?;
    // What is promised to be as safe as this outlives no more than this.
    let stop = match durability {
        Durability::Flushed if bytes.arbitrary()? => Some(Stop::PowerLoss),
        Durability::Flushed | Durability::Written => Some(Stop::Kill),
        Durability::Memory => None,
    };
    let kind = match (bytes.int_in_range(0..=7)?, stop) {
        (0, _) => FaultKind::Cut {
            from: node,
            to: other,
            both: bytes.arbitrary()?,
        },
        (1, _) => FaultKind::Isolate { node },
        (2, _) => FaultKind::Reset {
            from: node,
            to: other,
        },
        (3 | 4, Some(stop)) => FaultKind::Stop {
            node,
            stop,
            effects: bytes.int_in_range(0..=30)?,
            writing: bytes.arbitrary()?,
        },
        (5, _) => FaultKind::Slow {
            node,
            times: *bytes.choose(&[10, 30, 100])?,
        },
        (6, _) => FaultKind::Jump {
            node,
            secs: *bytes.choose(&[-1, 60, -3600, 400_000_000])?,
        },
        (7, _) => {
            let mut rate = || bytes.choose(&[0, 1000, 100_000]).copied();
            FaultKind::Noise {
                lost: rate()?,
                damaged: rate()?,
                doubled: rate()?,
                reordered: rate()?,
                resent: 0,
            }
        }
        _ => FaultKind::Pause { node },
    };
    Ok(Fault {
        at,
        lasts: lasts.min(LENGTH - at),
        kind,
    })
}
