//! What the node wants done.

use dynamo_proto::NodeId;
use dynamo_proto::node::{Effect, Event, Notice, Targets, Unsent};
use dynamo_proto::wire::Message;

use super::links::Speech;
use super::{Action, Driver, Work};
use crate::metrics::Count;

impl Driver {
    /// Hands in one thing that has happened, and does what comes of it.
    pub(super) fn handle(&mut self, event: Event) {
        let mut effects = std::mem::take(&mut self.effects);
        self.node.handle(self.now, event, &mut effects);
        self.follow(effects);
    }

    pub(super) fn follow(&mut self, mut effects: Vec<Effect>) {
        for effect in &mut effects {
            match effect {
                Effect::Send { to, message } => self.send(to, message),
                Effect::Notify(notice) => {
                    self.metrics.notice(*notice);
                    if let Notice::Epoch { epoch, .. } = *notice {
                        self.tell_epoch(epoch);
                    }
                }
                // Only what somebody keeps is worth moving.
                Effect::Store { .. } | Effect::Reply { .. } | Effect::Introduce { .. } => {
                    self.hand_over(std::mem::replace(effect, Effect::Draw));
                }
                Effect::Draw => self.actions.push_back(Action::Draw),
                Effect::Halt(reason) => self.actions.push_back(Action::Halt(*reason)),
            }
        }
        effects.clear();
        self.effects = effects;
        self.peers.follow(self.node.membership(), self.now.mono);
    }

    #[inline]
    fn hand_over(&mut self, effect: Effect) {
        match effect {
            Effect::Store { op, command } => {
                self.actions.push_back(Action::Store { op, command });
            }
            Effect::Reply { client, response } => self.reply(client, response),
            Effect::Introduce { seed, message } => self.introduce(seed, message),
            Effect::Send { .. } | Effect::Draw | Effect::Notify(_) | Effect::Halt(_) => {}
        }
    }

    fn send(&mut self, to: &Targets, message: &Message) {
        if let [to] = to[..] {
            if self.peers.is_beside(to) {
                return self.pass(to, message.clone());
            }
            return match self.send_to(to, |connection| connection.send(message)) {
                Ok(()) => {}
                Err(why) => self.unsent(to, message.clone(), why),
            };
        }
        let mut body = None;
        for to in to {
            if self.peers.is_beside(*to) {
                self.pass(*to, message.clone());
                continue;
            }
            let body = body.get_or_insert_with(|| message.encode());
            if let Err(why) = self.send_to(*to, |connection| connection.send_body(body)) {
                self.unsent(*to, message.clone(), why);
            }
        }
    }

    pub(super) fn send_to(
        &mut self,
        to: NodeId,
        send: impl FnOnce(&mut crate::Connection) -> Result<(), crate::Unsent>,
    ) -> Result<(), Unsent> {
        let link = self.peers.link(to).ok_or(Unsent::Unreachable)?;
        let line = self.links.get_mut(link).ok_or(Unsent::Unreachable)?;
        let Speech::Wire { connection, .. } = &mut line.speech else {
            return Err(Unsent::Unreachable);
        };
        let sent = send(connection);
        self.said(link);
        sent.map_err(Unsent::from)
    }

    pub(super) fn unsent(&mut self, to: NodeId, message: Message, why: Unsent) {
        self.metrics.count(Count::Unsent);
        self.work
            .push_back(Work::Node(Event::Unsent { to, message, why }));
    }
}
