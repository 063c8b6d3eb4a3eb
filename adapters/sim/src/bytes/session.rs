//! Clients of RESP that say what they are told, one at each node.

use std::time::Duration;

use dynamo_driver::driver::{Entrance, Lane};
use dynamo_driver::resp::Resp;
use dynamo_proto::Durability;

use super::guests::Kind;
use super::{START, World, waits};
use crate::dice::Dice;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A cluster on the invented network, without faults, and a client of RESP at each of its nodes.
pub struct Session(World);

impl Session {
    /// That many nodes, which have met.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        let dice = Dice::new(1);
        let mut world = World::new(1, nodes, Durability::Memory, waits(), dice);
        world.run_until(START);
        for node in 0..nodes {
            let at = world.welcome(Kind::Script, Duration::ZERO);
            world.call(
                at,
                node,
                Entrance::Front(Box::new(Resp::default()), Lane::Clients),
            );
        }
        Self(world)
    }

    /// Writes all of it to that node.
    pub fn say(&mut self, node: usize, bytes: &[u8]) {
        let Self(world) = self;
        world.guests[node].outgoing.extend(bytes);
        world.say(node);
        world.settle();
    }

    /// What comes from that node: nothing if nothing does.
    pub fn hear(&mut self, node: usize) -> Vec<u8> {
        let Self(world) = self;
        let end = world.now + PATIENCE;
        while world.guests[node].heard.is_empty() && world.now < end {
            world.run_until(world.now + Duration::from_millis(1));
        }
        std::mem::take(&mut world.guests[node].heard)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
