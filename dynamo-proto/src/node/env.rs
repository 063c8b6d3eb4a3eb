//! What every part of the machine works with, lent to it for the length of one event.

use alloc::boxed::Box;

use super::{Config, Effect, Failure, Notice, Response, Slot, View};
use crate::coordinate::Origin;
use crate::health::Health;
use crate::rng::Rng;
use crate::store::Command;
use crate::upkeep::Admission;
use crate::version::{Births, Height, Retirements, Seal, Siblings};
use crate::wire::{Message, Ticket};
use crate::{Instant, NodeId, Now, Token};

use super::event::{Op, Targets};

pub(crate) struct Env<'a> {
    pub(crate) config: &'a Config,
    pub(crate) view: &'a View,
    pub(crate) retired: &'a Retirements,
    /// Of how many of those this node has seen all, whatever the key, that it is on duty for.
    pub(crate) earned: Height,
    pub(crate) births: &'a mut Births,
    pub(crate) is_nameless: &'a mut bool,
    pub(crate) rng: &'a mut Rng,
    pub(crate) seal: &'a Seal,
    pub(crate) health: &'a mut Health,
    pub(crate) admission: &'a mut Admission,
    pub(crate) mask: Mask,
    pub(crate) now: Now,
    /// When this node started.
    pub(crate) began: Instant,
    pub(crate) effects: &'a mut alloc::vec::Vec<Effect>,
}

/// Makes the numbers that leave this machine differ from those of its earlier boots, so that an
/// answer that comes back late finds nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask(pub(crate) u64);

/// No place has a number like this: they are below half of it.
const EXCHANGE: u64 = 1 << 31;

impl Mask {
    pub(crate) fn ticket(self, slot: Slot) -> Ticket {
        Ticket(slot.number() ^ self.0)
    }

    pub(crate) fn op(self, slot: Slot) -> Op {
        Op(slot.number() ^ self.0)
    }

    pub(crate) fn slot(self, number: u64) -> Slot {
        Slot::from_number(number ^ self.0)
    }

    /// Of an exchange, so that its answers are told from those to others who ask the same.
    pub(crate) fn ticket_of_exchange(self, slot: Slot) -> Ticket {
        Ticket((slot.number() | EXCHANGE) ^ self.0)
    }

    /// The exchange that a ticket is of, if it is of one.
    pub(crate) fn exchange(self, ticket: Ticket) -> Option<Slot> {
        let number = ticket.0 ^ self.0;
        (number & EXCHANGE != 0).then(|| Slot::from_number(number & !EXCHANGE))
    }
}

impl Env<'_> {
    pub(crate) fn me(&self) -> NodeId {
        self.config.node
    }

    pub(crate) fn mono(&self) -> Instant {
        self.now.mono
    }

    /// Takes into account that this node has seen all that retired boots wrote of a key that it is
    /// on duty for, for which it has this.
    pub(crate) fn raise(&self, token: Token, n: u8, siblings: &mut Siblings) {
        let is_due = self.earned > siblings.clock().height();
        if is_due
            && self
                .view
                .reads
                .lookup(token)
                .is_primary(self.me(), n.into())
        {
            // The list is never shorter than what was earned of it.
            let _ = siblings.retire(self.earned, self.retired);
        }
    }

    /// Whether that is what a node has of a key that it is on duty for and has no record of.
    pub(crate) fn is_as_good_as_nothing(&self, token: Token, n: u8, siblings: &Siblings) -> bool {
        siblings.is_nothing()
            && siblings.clock().height() <= self.earned
            && (siblings.is_absent()
                || self
                    .view
                    .reads
                    .lookup(token)
                    .is_primary(self.me(), n.into()))
    }

    /// Whether this node has been running ever since anything that is asked for again now can have
    /// been asked for first: whoever asks again gives up in time, and what he sent may be late.
    pub(crate) fn has_been_here_throughout(&self) -> bool {
        let longest = self.config.timing.longest_timeout;
        self.mono() >= self.began + longest.saturating_mul(2)
    }

    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        match self.health.via(to) {
            Some(_) => self.send_all(only(to), message),
            None => self.send_directly(to, message),
        }
    }

    /// To each of these directly, or by way of whoever reaches it.
    pub(crate) fn send_all(&mut self, mut to: Targets, message: Message) {
        let mut at = 0;
        while at < to.len() {
            let Some(relay) = self.health.via(to[at]) else {
                at += 1;
                continue;
            };
            let message = Message::Relay {
                from: self.config.node,
                to: to.remove(at),
                message: Box::new(message.clone()),
            };
            let to = only(relay);
            self.effects.push(Effect::Send { to, message });
        }
        if !to.is_empty() {
            self.effects.push(Effect::Send { to, message });
        }
    }

    /// To a node that may be away, to see whether it is.
    pub(crate) fn send_directly(&mut self, to: NodeId, message: Message) {
        let to = only(to);
        self.effects.push(Effect::Send { to, message });
    }

    /// There is no connection to a node.
    pub(crate) fn unreachable(&mut self, node: NodeId) {
        if self.health.unreachable(node, self.now.mono) {
            self.notify(Notice::Suspected { peer: node });
        }
    }

    /// What was asked of a node then is late: it may be away.
    pub(crate) fn missed(&mut self, node: NodeId, asked: Instant) {
        self.health.missed(node, asked, self.now.mono);
    }

    pub(crate) fn store(&mut self, op: Op, command: Command) {
        self.effects.push(Effect::Store { op, command });
    }

    /// Gives up the name under which this node mints, until it is given another: it is not its own
    /// any more.
    pub(crate) fn give_up_name(&mut self) {
        if self.change_name() {
            self.notify(Notice::Renewed);
        }
    }

    /// The same, because its time is over. Returns whether that was not under way already.
    pub(crate) fn change_name(&mut self) -> bool {
        let is_new = !core::mem::replace(self.is_nameless, true);
        if is_new {
            self.effects.push(Effect::Draw);
        }
        is_new
    }

    pub(crate) fn notify(&mut self, notice: Notice) {
        self.effects.push(Effect::Notify(notice));
    }

    /// Whether a client waited for too long. That others could not be reached says nothing of how
    /// much this node has to do.
    fn weigh(&mut self, response: &Response, took: core::time::Duration) {
        let now = self.mono();
        match response {
            Response::Failed(Failure::Overloaded | Failure::Expired) => self.admission.refused(now),
            // A listing takes as long as there is much else to do.
            Response::Failed(_) | Response::Unknown | Response::Listed(_) => {}
            Response::Got(_) | Response::Put(_) | Response::Fetched(_) => {
                self.admission.answered(took, now);
            }
        }
    }

    /// Another node is answered that asked then.
    pub(crate) fn served(&mut self, arrived: Instant) {
        let took = self.mono().since(arrived);
        self.admission.served(took, self.now.mono);
    }

    /// Answers whoever asked.
    pub(crate) fn answer(&mut self, origin: Origin, response: Response) {
        match origin {
            Origin::Client { client, arrived } => {
                let took = self.now.mono.since(arrived);
                self.weigh(&response, took);
                self.notify(Notice::Answered { took });
                self.effects.push(Effect::Reply { client, response });
            }
            Origin::Nobody => {}
            Origin::Peer { node, ticket } => {
                self.send(node, Message::Response { ticket, response });
            }
        }
    }
}

fn only(node: NodeId) -> Targets {
    let mut targets = Targets::new();
    targets.push(node);
    targets
}
