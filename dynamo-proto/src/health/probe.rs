//! Asking nodes that are suspected, or reached only by way of others, whether they are there.

use alloc::boxed::Box;
use core::time::Duration;

use smallvec::SmallVec;

use super::Health;
use crate::node::{Effect, Notice, Targets};
use crate::rng::Rng;
use crate::wire::{Message, Ticket};
use crate::{Instant, NodeId};

/// So many others are asked to pass a ping on.
const RELAYS: usize = 2;
/// A pong is taken for an answer to one of the last so many pings.
const LATE: u32 = 1024;

impl Health {
    /// When the next ping is due.
    pub(crate) fn next_probe(&self) -> Option<Instant> {
        self.next_probe
    }

    /// Pings all who are due.
    pub(crate) fn probe(
        &mut self,
        me: NodeId,
        mask: u64,
        now: Instant,
        rng: &mut Rng,
        effects: &mut alloc::vec::Vec<Effect>,
    ) {
        if self.next_probe.is_none_or(|at| at > now) {
            return;
        }
        for at in 0..self.peers.len() {
            let peer = &mut self.peers[at];
            if !peer.is_probed() || peer.probe_at > now {
                continue;
            }
            if peer.doubted.is_some_and(|since| since < now) {
                let node = peer.node;
                self.suspect(node, now);
                effects.push(Effect::Notify(Notice::Suspected { peer: node }));
            }
            let peer = &mut self.peers[at];
            let jitter = rng.below(u64::try_from(self.patience.as_nanos()).unwrap_or(u64::MAX) / 4);
            peer.probe_at = now + self.patience + Duration::from_nanos(jitter);
            let (node, is_silent) = (peer.node, peer.unanswered > 0);
            peer.unanswered = peer.unanswered.saturating_add(1);
            self.pings = self.pings.wrapping_add(1);
            let ticket = Ticket(mask ^ u64::from(self.pings));
            let ping = Message::Ping { ticket };
            effects.push(Effect::Send {
                to: targets([node]),
                message: ping.clone(),
            });
            if is_silent {
                for relay in self.relays(node, rng) {
                    effects.push(Effect::Send {
                        to: targets([relay]),
                        message: Message::Relay {
                            from: me,
                            to: node,
                            message: Box::new(ping.clone()),
                        },
                    });
                }
            }
        }
        self.schedule();
    }

    /// Whether that is the answer to a ping of late.
    pub(crate) fn is_pong(&self, ticket: Ticket, mask: u64) -> bool {
        u32::try_from(ticket.0 ^ mask)
            .is_ok_and(|number| self.pings.wrapping_sub(number) < LATE && self.pings > 0)
    }

    pub(super) fn schedule(&mut self) {
        let probed = self.peers.iter().filter(|peer| peer.is_probed());
        self.next_probe = probed.map(|peer| peer.probe_at).min();
    }

    /// Some of those that are reached directly.
    fn relays(&self, node: NodeId, rng: &mut Rng) -> SmallVec<[NodeId; RELAYS]> {
        let near = |peer: &&super::Peer| peer.node != node && !peer.is_probed();
        let count = self.peers.iter().filter(near).count();
        let skip = rng.below(count.saturating_sub(RELAYS - 1) as u64) as usize;
        let near = self.peers.iter().filter(near).skip(skip);
        near.take(RELAYS).map(|peer| peer.node).collect()
    }
}

fn targets<const N: usize>(nodes: [NodeId; N]) -> Targets {
    nodes.into_iter().collect()
}
