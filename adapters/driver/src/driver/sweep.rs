//! Looking, from time to time, for what should have happened on a connection and has not.

use std::time::Duration;

use dynamo_proto::wire::{Message, Ticket};

use super::links::{Line, Speech, Who};
use super::{Driver, Link};
use crate::Waits;
use crate::metrics::Count;

/// How often: nothing here is worth being in time for.
const EVERY: Duration = Duration::from_millis(500);

/// A node's own tickets are at random.
pub(super) const PING: Ticket = Ticket(u64::MAX);

enum Overdue {
    Ping,
    HangUp,
}

impl Driver {
    /// There are connections to look at.
    pub(super) fn sweep_from_now_on(&mut self) {
        let next = self.now.mono + EVERY;
        self.next_sweep.get_or_insert(next);
    }

    pub(super) fn sweep(&mut self) {
        let now = self.now.mono;
        let late = self
            .next_sweep
            .take()
            .map_or(Duration::ZERO, |due| now.since(due));
        // It was this node that was not there: what others have said meanwhile is still to be read.
        let was_away = late >= self.waits.idle;
        let mut overdue: Vec<(Link, Overdue)> = Vec::new();
        let mut is_empty = true;
        for (link, line) in self.links.all() {
            is_empty = false;
            if !was_away && let Some(what) = line.overdue(now, &self.waits) {
                overdue.push((link, what));
            }
        }
        if was_away {
            let all: Vec<_> = self.links.all().map(|(link, _)| link).collect();
            for link in all {
                if let Some(line) = self.links.get_mut(link) {
                    (line.opened, line.heard) = (now, now);
                    (line.moved, line.behind) = (now, now);
                }
            }
        }
        for (link, what) in overdue {
            match what {
                Overdue::Ping => self.ping(link),
                Overdue::HangUp => {
                    self.metrics.count(Count::HungUp);
                    self.hang_up(link);
                }
            }
        }
        self.relieve();
        if !is_empty {
            self.sweep_from_now_on();
        }
    }

    /// Hangs up on the clients that leave the most unread, while more than half of what may wait on
    /// all connections does: a few that do not read would have everybody refused.
    fn relieve(&mut self) {
        let (now, most) = (self.now.mono, self.bounds.total_bytes / 2);
        if self.links.waiting_bytes <= most {
            return;
        }
        let is_behind = |line: &Line| {
            let is_late = now.since(line.behind) > self.waits.behind;
            line.is_client() && !line.outgoing().is_empty() && is_late
        };
        let behind = self.links.all().filter(|(_, line)| is_behind(line));
        let mut behind: Vec<_> = behind
            .map(|(link, line)| (line.waiting_bytes(), link))
            .collect();
        behind.sort_unstable();
        while self.links.waiting_bytes > most
            && let Some((_, link)) = behind.pop()
        {
            self.metrics.count(Count::HungUp);
            self.hang_up(link);
        }
    }

    fn ping(&mut self, link: Link) {
        if let Some(line) = self.links.get_mut(link)
            && let Speech::Wire { connection, .. } = &mut line.speech
        {
            line.is_pinged = true;
            // What cannot be sent for lack of room is no more of a sign of life than this is.
            let _ = connection.send(&Message::Ping { ticket: PING });
            self.said(link);
        }
    }
}

impl Line {
    fn overdue(&self, now: dynamo_proto::Instant, waits: &Waits) -> Option<Overdue> {
        let hang_up = |is_late: bool| is_late.then_some(Overdue::HangUp);
        let is_new = now.since(self.opened) <= waits.handshake;
        if !self.outgoing().is_empty() && now.since(self.moved) > waits.stalled {
            return Some(Overdue::HangUp);
        }
        match &self.speech {
            Speech::Dialing { .. } => hang_up(!is_new),
            Speech::Wire { who, .. } => match who {
                Who::Stranger(_) | Who::Nobody => hang_up(!is_new),
                Who::Peer(_) if now.since(self.heard) > waits.silence => Some(Overdue::HangUp),
                Who::Peer(_) => {
                    let is_quiet = now.since(self.heard) > waits.idle && !self.is_pinged;
                    is_quiet.then_some(Overdue::Ping)
                }
                Who::Client | Who::Admin => None,
            },
            Speech::Front { .. } => hang_up(self.is_ending && !is_new),
            Speech::Over => None,
        }
    }
}
