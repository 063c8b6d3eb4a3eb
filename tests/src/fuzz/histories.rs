//! Histories of replicas, drawn from bytes.

use arbitrary::{Result, Unstructured};
use dynamo_proto::version::Siblings;

use crate::history::{Step, World};

/// More replicas, clients and messages under way than this make nothing possible that fewer do not.
const REPLICAS: usize = 4;
const CLIENTS: usize = 3;
const MESSAGES: usize = 8;

/// The world after at most that many steps, and how many replicas it has.
pub(super) fn world(bytes: &mut Unstructured<'_>, steps: usize) -> Result<(World, usize)> {
    let replicas = bytes.int_in_range(1..=REPLICAS)?;
    let mut world = World::new(replicas, CLIENTS);
    for _ in 0..steps {
        if bytes.is_empty() {
            break;
        }
        world.take(step(bytes)?);
    }
    Ok((world, replicas))
}

/// States that replicas of one key could have.
pub(super) fn states(bytes: &mut Unstructured<'_>) -> Result<Vec<Siblings>> {
    let steps = bytes.int_in_range(0..=16)?;
    let (world, replicas) = world(bytes, steps)?;
    Ok((0..replicas).map(|at| world.siblings(at).clone()).collect())
}

fn step(bytes: &mut Unstructured<'_>) -> Result<Step> {
    let kind = bytes.int_in_range(0..=10)?;
    let mut one_of = |count| bytes.choose_index(count);
    Ok(match kind {
        0 => Step::Read {
            at: one_of(REPLICAS)?,
            client: one_of(CLIENTS)?,
        },
        1 => Step::Write {
            at: one_of(REPLICAS)?,
            client: one_of(CLIENTS)?,
        },
        2 => Step::Delete {
            at: one_of(REPLICAS)?,
            client: one_of(CLIENTS)?,
        },
        3 => Step::Blind {
            at: one_of(REPLICAS)?,
        },
        4 => Step::Sync {
            from: one_of(REPLICAS)?,
            to: one_of(REPLICAS)?,
        },
        5 => Step::Send {
            from: one_of(REPLICAS)?,
        },
        6 => Step::Deliver {
            message: one_of(MESSAGES)?,
            to: one_of(REPLICAS)?,
        },
        7 => Step::Forget {
            at: one_of(REPLICAS)?,
        },
        8 => Step::Restart {
            at: one_of(REPLICAS)?,
        },
        9 => Step::Learn {
            at: one_of(REPLICAS)?,
        },
        _ => Step::Retire {
            node: one_of(REPLICAS)?,
        },
    })
}
