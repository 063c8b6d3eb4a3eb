//! Data types: any history ends as its updates say, merging is a join, and any bytes are data in
//! one form or none.

use arbitrary::{Result, Unstructured};
use dynamo_proto::version::DataType;

use super::check_laws;
use crate::updates::{Event, World, check_bytes};

/// Long enough for every update that a [`World`] can tell apart.
const EVENTS: usize = 120;

const REPLICAS: usize = 3;

/// A history of one key, each event compared with the set of all updates, and the laws of merging on
/// the states that it leaves; or bytes that somebody sent as data.
///
/// # Panics
///
/// If any of that does not hold.
pub fn data(bytes: &[u8]) {
    check_bytes(bytes);
    let _ = explore(&mut Unstructured::new(bytes)); // bytes that end early make a short history
}

fn explore(bytes: &mut Unstructured<'_>) -> Result<()> {
    let kind = *bytes.choose(&DataType::ALL)?;
    let mut world = World::new(kind, REPLICAS);
    for _ in 0..EVENTS {
        if bytes.is_empty() {
            break;
        }
        world.take(event(bytes)?);
    }
    check_laws(&world.states(), world.policy(), world.retired());
    world.settle();
    Ok(())
}

fn event(bytes: &mut Unstructured<'_>) -> Result<Event> {
    let kind = bytes.int_in_range(0..=12)?;
    let mut place = || bytes.choose_index(REPLICAS);
    let (at, other) = (place()?, place()?);
    Ok(match kind {
        0 => Event::Read { at, client: other },
        1 => Event::Delete { at, client: other },
        2 => Event::Send { from: at },
        3 => Event::Forget { at },
        4 => Event::Restart { at },
        5 => Event::Retire { node: at },
        6 => Event::Learn { at },
        7 => Event::Deliver {
            message: usize::from(bytes.arbitrary::<u8>()?),
            to: at,
        },
        8 | 9 => Event::Sync {
            from: at,
            to: other,
        },
        12 => Event::UpdateSeen {
            at,
            client: other,
            which: usize::from(bytes.arbitrary::<u16>()?),
        },
        _ => Event::Update {
            at,
            which: usize::from(bytes.arbitrary::<u16>()?),
        },
    })
}
