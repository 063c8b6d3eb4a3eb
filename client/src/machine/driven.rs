//! Reads that this client coordinates: the nodes' own way of counting, run here.
//!
//! Each replica is asked for what it has by itself. A replica that reads by another ring than this
//! client says so: then, and wherever too few answer, a node is asked to do the read as usual. This
//! client changes nothing: where replicas differ it has a node repair them.

use std::sync::Arc;

use bytes::Bytes;
use dynamo_proto::NodeId;
use dynamo_proto::coordinate::{Seat, Terms, Verdict, Votes};
use dynamo_proto::node::{Failure, Operation, Options, Request, Response};
use dynamo_proto::version::{Policy, Retirements, Siblings};
use dynamo_proto::wire::Fetched;

use super::asks::{Answer, Found, Running, Stage};
use super::{Link, Machine, Way};

pub(super) struct Driven {
    terms: Terms,
    votes: Votes,
    policy: Policy,
    ring: u64,
    contexts: Vec<Bytes>,
}

impl Machine {
    /// What it takes to coordinate a read here, if it can be done.
    pub(super) fn driven(&mut self, running: &Running) -> Option<Box<Driven>> {
        let chart = self.chart.as_ref()?;
        let ask = &running.ask;
        let is_plain =
            matches!(&ask.operation, Operation::Get { seen, head: false } if seen.is_empty());
        if !is_plain || self.settings.way != Way::Direct {
            return None;
        }
        let bucket = chart.bucket(&ask.key);
        let terms = Terms::of(&ask.options, bucket).ok()?;
        let mut seats: Vec<_> = chart
            .on_duty(&ask.key, &ask.options, true)
            .filter_map(|node| {
                let place = self.places.get(self.nodes.get(&node)?)?;
                let is_shut = !place.circuit.lets_through(self.now);
                Some(((is_shut, place.rank(true, self.now)), node))
            })
            .collect();
        seats.sort();
        if seats.len() < terms.reads().into() {
            return None;
        }
        let votes = Votes::of(seats.into_iter().map(|(_, node)| Seat {
            node,
            held_for: None,
        }));
        self.counts.driven += 1;
        self.repairs.earn();
        let chart = self.chart.as_ref()?;
        Some(Box::new(Driven {
            terms,
            votes,
            policy: chart.bucket(&running.ask.key).policy,
            ring: chart.fingerprint,
            contexts: Vec::new(),
        }))
    }

    /// Asks as many replicas as are needed, or ends.
    pub(super) fn drive(&mut self, id: u64) {
        loop {
            let Some(driven) = self.driven_mut(id) else {
                return;
            };
            match driven.votes.verdict(&driven.terms) {
                Verdict::Enough => return self.drive_home(id),
                Verdict::TooFew(_) => return self.hand_over(id),
                Verdict::Open => {}
            }
            if driven.votes.lacking(&driven.terms) == 0 || !self.ask_next_seat(id) {
                return;
            }
        }
    }

    /// Asks the next replica. Returns whether there was one.
    fn ask_next_seat(&mut self, id: u64) -> bool {
        let Some(driven) = self.driven_mut(id) else {
            return false;
        };
        let ring = driven.ring;
        let Some(seat) = driven.votes.ask_next() else {
            return false;
        };
        let at = self.nodes.get(&seat.node).copied();
        let link = at.and_then(|at| self.line_to(at));
        let Some(link) = link else {
            // This one time it is done without it; the next one finds it there.
            if let Some(at) = at {
                self.is_to_come(at);
            }
            self.take_vote(id, seat.node, Fetched::Failed);
            return true;
        };
        let Some(running) = self.asks.get(&id) else {
            return false;
        };
        let request = Request {
            id: running.id,
            is_retry: false,
            key: running.ask.key.clone(),
            operation: Operation::Fetch { ring },
            options: Options {
                n: running.ask.options.n,
                ..Options::default()
            },
        };
        if self.put_on_line(id, link, request, Some(seat.node))
            && let Some(at) = at
        {
            let wake = self.now + self.late_after(at, id);
            self.set(id, Stage::Asked, wake);
        }
        true
    }

    pub(super) fn take_vote(&mut self, id: u64, node: NodeId, outcome: Fetched) {
        let retired = self.retired();
        if let Some(driven) = self.driven_mut(id) {
            let policy = driven.policy;
            driven.votes.take(node, outcome, policy, &retired);
        }
    }

    /// The boots that are retired, as far as this client was told.
    fn retired(&self) -> Arc<Retirements> {
        let chart = self.chart.as_ref();
        chart.map_or_else(Arc::default, |chart| chart.directory.retired.clone())
    }

    /// Whether a replica takes retirements into account that this client was not told of.
    fn is_beyond(&self, outcome: &Fetched) -> bool {
        let known = self
            .chart
            .as_ref()
            .map(|chart| chart.directory.retired.height());
        match outcome {
            Fetched::Found(siblings) => Some(siblings.clock().height()) > known,
            Fetched::Absent | Fetched::Damaged | Fetched::Failed => false,
        }
    }

    /// A replica has said what it has.
    pub(super) fn seat_answered(&mut self, id: u64, (seat, link): (NodeId, Link), said: Response) {
        match said {
            Response::Fetched(kept) if self.is_beyond(&kept.outcome) => {
                self.ask_directory(link);
                return self.hand_over(id);
            }
            Response::Fetched(kept) => {
                if let Some(driven) = self.driven_mut(id) {
                    driven.contexts.extend(kept.sealed);
                }
                self.take_vote(id, seat, kept.outcome);
            }
            Response::Failed(Failure::OtherRing) => {
                self.ask_directory(link);
                return self.hand_over(id);
            }
            _ => self.take_vote(id, seat, Fetched::Failed),
        }
        self.drive(id);
    }

    /// A replica will say nothing.
    pub(super) fn seat_lost(&mut self, id: u64, seat: NodeId) {
        self.take_vote(id, seat, Fetched::Failed);
        self.drive(id);
    }

    /// A replica is late: another one is asked too, if that does not happen too often.
    pub(super) fn hedge_driven(&mut self, id: u64) {
        if self.budget.spend() && self.ask_next_seat(id) {
            self.counts.hedged += 1;
            self.drive(id);
        }
    }

    /// Enough have answered.
    fn drive_home(&mut self, id: u64) {
        let Some(running) = self.asks.get_mut(&id) else {
            return;
        };
        let Some(mut driven) = running.driven.take() else {
            return;
        };
        let ask = running.ask.clone();
        let lags = driven.votes.versions() > 0 && driven.votes.lagging().next().is_some();
        let siblings = std::mem::take(&mut driven.votes.merged);
        let found = Found {
            siblings: match siblings.is_nothing() {
                true => Siblings::default(),
                false => siblings,
            },
            contexts: driven.contexts,
            fastest: driven.votes.fastest,
        };
        self.finish(id, Answer::Got(found));
        if lags {
            self.repair(&ask, driven.terms.n);
        }
    }

    /// It cannot be done here: a node does it.
    fn hand_over(&mut self, id: u64) {
        let Some(running) = self.asks.get_mut(&id) else {
            return;
        };
        running.driven = None;
        running.tried.clear();
        for attempt in std::mem::take(&mut running.attempts) {
            if let Some(line) = self.lines.get_mut(attempt.link) {
                line.asked.remove(&attempt.ticket);
            }
        }
        self.counts.undriven += 1;
        self.dispatch(id);
    }

    fn driven_mut(&mut self, id: u64) -> Option<&mut Driven> {
        self.asks.get_mut(&id)?.driven.as_deref_mut()
    }
}
