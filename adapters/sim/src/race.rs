//! Races: clients that change the same thing at the same time, as independent draws never make them.

use std::time::Duration;

use crate::dice::Dice;
use crate::machine::RETRY_AFTER;
use crate::scenario::{Action, Fault, FaultKind, Planned};

/// The first client's write may have to be forwarded again because its answer was lost; the others
/// read and supersede it meanwhile, and what it writes next rests on what it is told in the end.
pub(crate) struct Race {
    pub(crate) at: Duration,
    pub(crate) key: usize,
    pub(crate) first: usize,
    /// Where the first one asks.
    pub(crate) node: usize,
}

impl Race {
    pub(crate) fn plan(&self, dice: &mut Dice, clients: usize, nodes: usize) -> Vec<Planned> {
        let act = |client, node, action, after| Planned {
            at: self.at + after,
            client,
            node,
            key: self.key,
            action,
        };
        let mut plan = vec![act(self.first, self.node, Action::Put, Duration::ZERO)];
        for _ in 0..2 {
            let answered = RETRY_AFTER * 3 / 2 + dice.delay(RETRY_AFTER);
            plan.push(act(self.first, self.node, Action::Put, answered));
        }
        for other in 1..clients.min(3) {
            let (client, node) = ((self.first + other) % clients, dice.index(nodes));
            let turn = RETRY_AFTER / 6;
            for turns in 0..3 {
                let read = turn * 2 * turns + dice.delay(turn / 2);
                let written = turn * (2 * turns + 1) + dice.delay(turn / 2);
                plan.push(act(client, node, Action::Get, read));
                plan.push(act(client, node, Action::Put, written));
            }
        }
        plan
    }

    /// The connections of the first one's node break under what it forwards at first, not under
    /// what it forwards again.
    pub(crate) fn resets(&self, nodes: usize) -> impl Iterator<Item = Fault> {
        let reset = |to| Fault {
            at: self.at,
            lasts: RETRY_AFTER / 2,
            kind: FaultKind::Reset {
                from: self.node,
                to,
            },
        };
        (0..nodes).filter(|to| *to != self.node).map(reset)
    }
}
