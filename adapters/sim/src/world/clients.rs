//! What clients of the world ask, and what they are told.

use super::*;

impl World<'_> {
    pub(super) fn plan(&mut self, at: usize) {
        let planned = self.scenario.plan[at];
        if let Some(next) = self.scenario.plan.get(at + 1) {
            self.schedule(next.at + START, Happening::Plan(at + 1));
        }
        if self.clients[planned.client].waits_for.is_some() || !self.machines[planned.node].is_up()
        {
            return; // busy, or refused by a machine where nobody listens
        }
        match planned.action {
            Action::Blind => self.counters.add(Count::BlindWrite, 1),
            Action::Delete => self.counters.add(Count::Deleted, 1),
            Action::PutStale => self.counters.add(Count::StaleContext, 1),
            Action::Get | Action::Put | Action::PutBoth => {}
        }
        self.ask(
            planned.client,
            planned.node,
            planned.key,
            planned.action,
            None,
        );
    }

    pub(super) fn ask(
        &mut self,
        client: usize,
        node: usize,
        key: usize,
        action: Action,
        r: Option<u8>,
    ) {
        let (now, dice) = (self.now, &mut self.dice);
        let (mut request, write) =
            self.clients[client].ask(action, key, &mut self.oracle, now, dice);
        request.options.r = r;
        self.requests += 1;
        let name = ClientRequest(self.requests);
        self.tell(|| format!("client {client} asks node {node}: {name:?} {request:?}"));
        self.clients[client].waits_for = Some(name);
        self.asked.insert(
            name,
            Asked {
                client,
                node,
                key,
                at: now,
                write,
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
    }

    /// Asks for a key at some node, which must ask all replicas of it.
    pub(super) fn ask_all_replicas(&mut self, key: usize, action: Action) {
        self.clients.push(Client::default());
        let (client, node) = (self.clients.len() - 1, self.dice.index(self.machines.len()));
        let r = (action == Action::Get).then_some(self.scenario.quorum.n);
        self.ask(client, node, key, action, r);
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
            if self.scenario.keys.is_empty() && self.answer.is_none() {
                self.answer = Some(response.clone());
                return;
            }
            return self.fail(
                "I10",
                format!("{name:?} was answered twice, or never asked"),
            );
        };
        self.tell(|| format!("node {node} answers {name:?}: {response:?}"));
        self.clients[asked.client].waits_for = None;
        let late = self.now.saturating_sub(asked.at + TIMEOUT);
        let is_excused = self.machines[asked.node].late_until >= asked.at;
        if late > Duration::ZERO && !is_excused {
            self.fail("I10", format!("{name:?} was answered {late:?} late"));
        }
        if matches!(response, Response::Failed(Failure::Expired)) {
            self.counters.add(Count::Expired, 1);
        }
        let is_last = asked.client >= self.scenario.clients;
        if let Some(write) = asked.write {
            let (now, counters) = (self.now, &mut self.counters);
            let seen = self.oracle.answered(write, Some(response), now, counters);
            if let (Some(seen), Response::Put(written)) = (seen, response)
                && let Some(sealed) = written.context.clone()
            {
                let memory = Memory {
                    seen,
                    sealed,
                    fastest: None,
                };
                self.clients[asked.client].remember(asked.key, memory);
            }
            let is_done = matches!(response, Response::Put(_));
            if is_done {
                self.check_hosts(asked.key, write);
            }
            let is_limit = matches!(
                response,
                Response::Failed(Failure::Refused(_) | Failure::Overloaded)
            );
            if is_last && !is_done && !is_limit {
                let what = format!(
                    "all is well and key {} cannot be written: {response:?}",
                    asked.key
                );
                self.fail("liveness", what);
            }
            return;
        }
        let Response::Got(got) = response else {
            self.counters.add(Count::ReadFailed, 1);
            if is_last {
                let what = format!(
                    "all is well and key {} cannot be read: {response:?}",
                    asked.key
                );
                self.fail("liveness", what);
            }
            return;
        };
        let read = self
            .oracle
            .read(asked.key, &got.siblings, asked.at, &mut self.counters);
        let checked = read.and_then(|seen| {
            if is_last {
                self.oracle.end(asked.key, &got.siblings)?;
            }
            Ok(seen)
        });
        match checked {
            Ok(seen) => {
                let before = self.clients[asked.client].seen(asked.key);
                let is_missed = before.is_some_and(|before| Oracle::has_lost_sight(before, &seen));
                self.counters
                    .add(Count::OwnWriteMissed, u64::from(is_missed));
                let (sealed, fastest) = (got.context.sealed.clone(), got.context.fastest);
                let memory = Memory {
                    seen,
                    sealed,
                    fastest,
                };
                self.clients[asked.client].remember(asked.key, memory);
            }
            Err(violation) => self.violate(violation),
        }
    }
}
