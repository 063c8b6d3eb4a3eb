//! What clients of the world ask, and what they are told.

use dynamo_proto::Durability;
use dynamo_proto::node::{Operation, Options};
use dynamo_proto::version::MintError;

use super::*;
use crate::client::Sizes;
use crate::oracle::Manner;

/// How many clients a surge comes from.
const SURGING: usize = 40;

/// A key is hot beyond so many requests in a second.
const HOT: u32 = 10;

/// How often it is looked whether all replicas have a delete.
const LOOKS: u32 = 3;

impl World<'_> {
    pub(super) fn plan(&mut self, at: usize) {
        let mut planned = self.scenario.plan[at];
        if planned.only_here {
            let on_duty = self.primaries(planned.key);
            planned.node = on_duty[planned.node % on_duty.len()];
        }
        if let Some(next) = self.scenario.plan.get(at + 1) {
            self.schedule(next.at + START, Happening::Plan(at + 1));
        }
        if self.scenario.knobs.asks_another && !self.machines[planned.node].is_up() {
            let count = self.machines.len();
            let others = (1..count).map(|step| (planned.node + step) % count);
            let mut listening = others.filter(|node| self.machines[*node].is_up());
            planned.node = listening.next().unwrap_or(planned.node);
        }
        if self.clients[planned.client].waits_for.is_some() || !self.machines[planned.node].is_up()
        {
            return; // busy, or refused by a machine where nobody listens
        }
        let attempt = self.clients[planned.client].unsure.take();
        let again = match (planned.action, attempt) {
            (Action::Retry, Some(attempt))
                if self.machines[attempt.node].is_up()
                    && self.now <= attempt.at + self.scenario.knobs.longest_timeout =>
            {
                self.counters.add(Count::AskedAgain, 1);
                self.oracle.retry(attempt.id);
                Some(attempt.retried())
            }
            (Action::Redo, Some(attempt)) if self.machines[attempt.node].is_up() => {
                self.counters.add(Count::Redone, 1);
                Some(attempt.redone(&mut self.oracle, self.now))
            }
            (Action::Retry | Action::Redo, attempt) => {
                self.clients[planned.client].unsure = attempt;
                return; // nothing to ask for again, or nobody to ask
            }
            (_, attempt) => {
                self.clients[planned.client].unsure = attempt;
                None
            }
        };
        let asker = if planned.vanishes {
            Asker::Gone
        } else {
            Asker::Planned
        };
        match again {
            Some(attempt) => {
                let (node, key) = (attempt.node, attempt.key);
                let request = attempt.request.clone();
                self.send_request((planned.client, asker), (node, key), request, Some(attempt));
            }
            None => {
                let options = Options {
                    timeout: planned.timeout,
                    durability: planned.is_flushed.then_some(Durability::Flushed),
                    only_here: planned.only_here,
                    ..Options::default()
                };
                let (client, place) = (planned.client, (planned.node, planned.key));
                self.ask((client, asker), place, planned.action, options);
            }
        }
    }

    /// A client asks for what an action makes of what it remembers.
    pub(super) fn ask(
        &mut self,
        (client, asker): (usize, Asker),
        (node, key): (usize, usize),
        action: Action,
        options: Options,
    ) {
        match action {
            Action::Blind => self.counters.add(Count::BlindWrite, 1),
            Action::Delete => self.counters.add(Count::Deleted, 1),
            Action::PutStale => self.counters.add(Count::StaleContext, 1),
            Action::Oversized => self.counters.add(Count::Oversized, 1),
            Action::Get => self.settle_deletes(key),
            Action::Put | Action::PutBoth | Action::Retry | Action::Redo => {}
        }
        let (now, dice) = (self.now, &mut self.dice);
        let sizes = Sizes {
            usual: self.scenario.knobs.body_bytes,
            most: self.scenario.knobs.value_bytes,
        };
        let (mut request, mut write) =
            self.clients[client].ask(action, (node, key), sizes, &mut self.oracle, now, dice);
        request.options = options;
        if let Some(write) = &mut write {
            write.request.options.only_here = options.only_here;
        }
        self.send_request((client, asker), (node, key), request, write);
    }

    fn send_request(
        &mut self,
        (client, asker): (usize, Asker),
        (node, key): (usize, usize),
        request: Request,
        write: Option<Attempt>,
    ) {
        self.requests += 1;
        let (now, name) = (self.now, ClientRequest(self.requests));
        self.tell(|| format!("client {client} asks node {node}: {name:?} {request:?}"));
        self.warm(key);
        match asker {
            Asker::Planned | Asker::Last => self.clients[client].waits_for = Some(name),
            Asker::Gone => {
                self.counters.add(Count::Vanished, 1);
                self.clients[client] = Client::default();
            }
            Asker::Surging => self.counters.add(Count::Surged, 1),
        }
        let is_in_session =
            matches!(&request.operation, Operation::Get { seen, .. } if !seen.is_empty());
        let session = is_in_session.then(|| self.clients[client].demand(key));
        let timeout = request.options.timeout.unwrap_or(TIMEOUT);
        self.counters
            .add(Count::Hurried, u64::from(timeout < TIMEOUT));
        self.asked.insert(
            name,
            Asked {
                client,
                node,
                key,
                at: now,
                timeout,
                asker,
                write,
                session,
            },
        );
        let arrived = self.machines[node].clocks(now).mono;
        self.handle(
            node,
            Event::Client {
                client: name,
                arrived,
                request,
            },
        );
        if self.dice.is_one_in_million(self.scenario.knobs.wakes) {
            let wait = self.dice.delay(Duration::from_millis(5));
            self.schedule_in(wait, Happening::Wake { node });
        }
    }

    /// Counts requests for keys that many ask for.
    fn warm(&mut self, key: usize) {
        let second = self.now.as_secs();
        let heat = self.heat.entry(key).or_default();
        *heat = if heat.0 == second {
            (second, heat.1 + 1)
        } else {
            (second, 1)
        };
        let is_hot = heat.1 > HOT;
        self.counters.add(Count::Hot, u64::from(is_hot));
    }

    /// One more request of a surge, and when the next one comes.
    pub(super) fn surge(&mut self, fault: usize, per_sec: u32, key: Option<usize>) {
        if self.now >= self.ends(fault) {
            return;
        }
        let wait = self.dice.delay(Duration::from_secs(1) / per_sec.max(1));
        self.schedule_in(wait, Happening::Surge { fault });
        let first = self.scenario.clients;
        if self.clients.len() < first + SURGING {
            self.clients.resize_with(first + SURGING, Client::default);
        }
        let client = first + self.dice.index(SURGING);
        let known = (0..self.machines.len()).filter(|node| self.machines[*node].is_known());
        let known: Vec<usize> = known.collect();
        let node = *self.dice.pick(&known);
        let keys = self.scenario.keys.len();
        let key = key.filter(|key| *key < keys);
        let key = key.unwrap_or_else(|| self.dice.index(keys));
        if self.machines[node].is_up() {
            let is_read = !self.dice.is_one_in(4);
            let action = if is_read { Action::Get } else { Action::Put };
            let asker = Asker::Surging;
            self.ask((client, asker), (node, key), action, Options::default());
        }
    }

    /// The machine that was asked has stopped.
    pub(super) fn never_answered(&mut self, asked: Asked) {
        self.hear(&asked, Outcome::Lost);
        if asked.asker == Asker::Planned {
            self.clients[asked.client].waits_for = None;
        }
        if let Some(write) = asked.write {
            let (now, counters) = (self.now, &mut self.counters);
            self.oracle.answered(write.id, None, now, counters);
            if asked.asker == Asker::Planned {
                self.clients[asked.client].unsure = Some(write);
            }
        }
    }

    /// Looks whether all replicas have deletes by now that they may not have had before.
    fn settle_deletes(&mut self, key: usize) {
        let Some(deletes) = self.deletes.remove(&key) else {
            return;
        };
        let (primaries, at) = (self.primaries(key), self.address(key));
        // What is held for others may be older, and be back after a loss of power.
        let durability = self.scenario.quorum.durability;
        let holds = |machine: &Machine| {
            let survivor = machine.disk.survivor(Space::Hints, &at, durability);
            survivor.is_some() || machine.disk.read(Space::Hints, &at) != ReadOutcome::Absent
        };
        // Until all has moved old owners are asked too.
        let is_held = self.is_moving() || self.machines.iter().any(holds);
        let mut left = Vec::new();
        for (delete, looks) in deletes {
            let dots = self.ghost.dots(key, delete);
            let has = |node: &usize| self.keeps(*node, key, &dots, &[Space::Objects]);
            if !is_held && primaries.iter().all(has) {
                self.counters.add(Count::Buried, 1);
                self.oracle.bury(delete, self.now);
            } else if looks < LOOKS {
                left.push((delete, looks + 1));
            }
        }
        if !left.is_empty() {
            self.deletes.insert(key, left);
        }
    }

    /// Asks for a key at some node, which must ask all replicas of it.
    pub(super) fn ask_all_replicas(&mut self, key: usize, action: Action) {
        self.clients.push(Client::default());
        let known = (0..self.machines.len()).filter(|node| self.machines[*node].is_known());
        let known: Vec<_> = known.collect();
        let (client, node) = (self.clients.len() - 1, *self.dice.pick(&known));
        // As many as there are: administrators in two halves may have left fewer than N.
        let all = self.primaries(key).len() as u8; // at most N
        let r = (action == Action::Get).then_some(all);
        let options = Options {
            r,
            ..Options::default()
        };
        self.ask((client, Asker::Last), (node, key), action, options);
        let end = self.now + TIMEOUT;
        let name = self.clients[client].waits_for;
        while name.is_some() && self.clients[client].waits_for == name && self.now < end {
            let next = self
                .queue
                .peek()
                .map_or(end, |Reverse(next)| next.at.min(end));
            self.run_until(next);
            if self.violation.is_some() {
                return;
            }
        }
    }

    pub(super) fn answered(&mut self, node: usize, name: ClientRequest, response: &Response) {
        let Some(asked) = self.asked.remove(&name) else {
            if self.outside.take_if(|outside| *outside == name).is_some() {
                self.answer = Some(response.clone());
                return;
            }
            return self.fail(
                "I10",
                format!("{name:?} was answered twice, or never asked"),
            );
        };
        self.tell(|| format!("node {node} answers {name:?}: {response:?}"));
        if matches!(asked.asker, Asker::Planned | Asker::Last) {
            self.clients[asked.client].waits_for = None;
        }
        let late = self.now.saturating_sub(asked.at + asked.timeout);
        let is_excused = self.machines[asked.node].late_until >= asked.at;
        if late > Duration::ZERO && !is_excused {
            self.fail("I10", format!("{name:?} was answered {late:?} late"));
        }
        if asked.asker == Asker::Planned && asked.timeout == TIMEOUT {
            self.recovery.count(asked.at, is_served(response));
        }
        self.hear(&asked, Outcome::of(response));
        match response {
            Response::Failed(Failure::Expired) => self.counters.add(Count::Expired, 1),
            Response::Failed(Failure::Full) => self.counters.add(Count::Full, 1),
            Response::Failed(Failure::Refused(error)) => self.counters.add(refusal(error), 1),
            _ => {}
        }
        match asked.write.clone() {
            Some(write) => self.written(&asked, write, response),
            None => self.read(&asked, response),
        }
    }

    /// Somebody who asked has heard what became of it, or never will.
    fn hear(&mut self, asked: &Asked, outcome: Outcome) {
        if let Some(listener) = &mut self.listener
            && matches!(asked.asker, Asker::Planned | Asker::Surging)
        {
            listener(Told {
                at: asked.at - START,
                took: self.now - asked.at,
                node: asked.node,
                is_read: asked.write.is_none(),
                outcome,
            });
        }
    }

    fn written(&mut self, asked: &Asked, write: Attempt, response: &Response) {
        let (id, key) = (write.id, asked.key);
        let (now, counters) = (self.now, &mut self.counters);
        let seen = self.oracle.answered(id, Some(response), now, counters);
        let is_heard = asked.asker != Asker::Gone;
        if let (Some(seen), Response::Put(written)) = (seen, response)
            && let Some(sealed) = written.context.clone()
            && is_heard
        {
            let memory = Memory {
                seen,
                sealed,
                fastest: None,
            };
            self.clients[asked.client].remember(key, memory);
        }
        if let Response::Put(written) = response
            && let Some(receipt) = &written.receipt
            && is_heard
        {
            self.clients[asked.client].keep_receipt(key, id, receipt.clone());
        }
        let is_done = matches!(response, Response::Put(_));
        if is_done && !self.atlas.is_loose(key, asked.at) {
            self.oracle.was_informed(id);
        }
        if is_done {
            self.check_hosts(key, id);
            if write.is_delete() && self.oracle.manner(key) == Manner::Causal {
                self.deletes.entry(key).or_default().push((id, 0));
            }
        }
        if *response == Response::Unknown && asked.asker == Asker::Planned {
            self.clients[asked.client].unsure = Some(write);
        }
        let is_limit = matches!(
            response,
            Response::Failed(Failure::Refused(_) | Failure::Overloaded)
        );
        self.mend(key);
        // As yet a damaged copy is repaired by nothing but the next write, and some writes read.
        let is_damaged = !self.atlas.losers_of(key).is_empty() && !self.scenario.converges;
        // Administrators in two halves may have left fewer hosts than W.
        let hosts = self.primaries(key).into_iter();
        let hosts: BTreeSet<u8> = hosts.map(|node| self.scenario.nodes[node].host).collect();
        let is_possible = hosts.len() >= self.scenario.quorum.w.into();
        if asked.asker == Asker::Last && !is_done && !is_limit && !is_damaged && is_possible {
            let what = format!("all is well and key {key} cannot be written: {response:?}");
            self.fail("liveness", what);
        }
    }

    fn read(&mut self, asked: &Asked, response: &Response) {
        let key = asked.key;
        let is_last = asked.asker == Asker::Last;
        let Response::Got(got) = response else {
            let is_stale = *response == Response::Failed(Failure::Stale);
            self.counters.add(Count::ReadFailed, 1);
            self.counters.add(Count::ToldStale, is_stale.into());
            self.mend(key);
            let is_damaged = !self.atlas.losers_of(key).is_empty() && !self.scenario.converges;
            if is_last && !is_damaged {
                let what = format!("all is well and key {key} cannot be read: {response:?}");
                self.fail("liveness", what);
            }
            return;
        };
        self.mend(key);
        let terms = Terms {
            invoked: asked.at,
            is_whole: !self.atlas.is_loose(key, asked.at),
        };
        let read = self
            .oracle
            .read(key, &got.siblings, &terms, &mut self.counters);
        let checked = read.and_then(|seen| {
            if is_last {
                self.oracle.end(key, &got.siblings)?;
            }
            Ok(seen)
        });
        match checked {
            Ok(_) if asked.asker == Asker::Gone => {}
            Ok(seen) => {
                let demand = asked.session.clone();
                let is_in_session = demand.is_some() && terms.is_whole;
                let demand = demand.unwrap_or_else(|| self.clients[asked.client].demand(key));
                let is_missed = (demand.seen.as_ref())
                    .is_some_and(|before| self.oracle.has_lost_sight(key, before, &seen))
                    || demand.own.is_some_and(|id| !self.oracle.covers(&seen, id));
                self.counters
                    .add(Count::OwnWriteMissed, u64::from(is_missed));
                self.counters.add(Count::SessionRead, is_in_session.into());
                if is_missed && is_in_session {
                    let what = format!("a session's read of key {key} misses what it has seen");
                    return self.fail("I5", what);
                }
                let (sealed, fastest) = (got.context.sealed.clone(), got.context.fastest);
                let memory = Memory {
                    seen,
                    sealed,
                    fastest,
                };
                self.clients[asked.client].remember(key, memory);
            }
            Err(violation) => self.violate(violation),
        }
    }
}

/// Whether a client got what it may expect: that it is told what is wrong with its request, too.
fn is_served(response: &Response) -> bool {
    matches!(
        response,
        Response::Got(_) | Response::Put(_) | Response::Failed(Failure::Refused(_))
    )
}

fn refusal(error: &MintError) -> Count {
    match error {
        MintError::ValueTooLarge { .. } => Count::TooLarge,
        MintError::RecordTooLarge { .. } => Count::RecordTooLarge,
        MintError::TooManySiblings { .. } => Count::TooManySiblings,
        MintError::TooManyActors { .. } => Count::TooManyActors,
        _ => Count::Refused,
    }
}
