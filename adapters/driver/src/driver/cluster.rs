//! Commands for the cluster, from fronts or as frames, and the answers to them.

use bytes::Bytes;
use dynamo_proto::wire::{Message, Ticket as WireTicket};
use serde_json::{Value, json};

use super::links::{Speech, Who};
use super::{Driver, Link};
use crate::admin::{self, Command, Refused};
use crate::front::Ticket;
use crate::metrics::Count;

/// An administrator who leaves answers unread is not answered beyond this.
const MOST_UNREAD: usize = 64 << 20;

impl Driver {
    /// Carries out a command for the cluster, at once.
    fn obey(&mut self, command: &Command) -> Result<Value, Refused> {
        if let Some(shown) = admin::shown(command, &self.site()) {
            return shown;
        }
        let mut effects = std::mem::take(&mut self.effects);
        let node = &mut self.node;
        let outcome = self.admin.carry_out(command, node, self.now, &mut effects);
        self.follow(effects);
        outcome
    }

    /// What a front wants done.
    pub(super) fn carry_out(&mut self, link: Link, commands: Vec<(Ticket, Command)>) {
        for (ticket, command) in commands {
            let outcome = self.obey(&command);
            self.at_desk(link, None, |front, _, desk| {
                front.administered(ticket, outcome, desk)
            });
        }
    }

    /// What somebody who looks after the node wants done.
    pub(super) fn administer(&mut self, link: Link, ticket: WireTicket, command: &Bytes) {
        let command = serde_json::from_slice(command);
        let command = command.map_err(|error| Refused::Senseless(error.to_string()));
        let outcome = command.and_then(|command| self.obey(&command));
        let is_done = outcome.is_ok();
        let answer = outcome.unwrap_or_else(|refused| json!({ "error": refused.to_string() }));
        let answer = Message::Administered {
            ticket,
            is_done,
            answer: answer.to_string().into(),
        };
        if let Some(line) = self.links.get_mut(link)
            && let Speech::Wire { connection, .. } = &mut line.speech
            && connection.send(&answer).is_err()
        {
            self.metrics.count(Count::HungUp);
            return self.hang_up(link);
        }
        self.said(link);
    }

    pub(super) fn meet_admin(&mut self, link: Link) {
        let is_full = self.links.admins >= self.bounds.admins;
        // Whoever has been quiet the longest makes room.
        let quietest = self.links.quietest_admin().filter(|_| is_full);
        if self.is_stopping || (is_full && quietest.is_none()) {
            self.metrics.count(Count::TurnedAway);
            return self.hang_up(link);
        }
        if let Some(quietest) = quietest {
            self.metrics.count(Count::HungUp);
            self.hang_up(quietest);
        }
        self.links.identify(link, Who::Admin);
        if let Some(line) = self.links.get_mut(link)
            && let Speech::Wire { connection, .. } = &mut line.speech
        {
            connection.bound_outgoing(MOST_UNREAD);
        }
    }
}
