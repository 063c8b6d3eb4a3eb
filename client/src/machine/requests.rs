//! Requests: sent, answered, tried again, given up.

use std::time::Duration;

use dynamo_driver::Unsent;
use dynamo_proto::node::{Failure, Operation, Options, Request, Response};
use dynamo_proto::wire::{Fetched, Message, Ticket};
use dynamo_proto::{Instant, NodeId};
use smallvec::SmallVec;

use super::asks::{
    Answer, Ask, AskId, Attempt, Failed, Found, Owner, Pinned, Running, Stage, Trouble,
};
use super::lines::Asked;
use super::places::PlaceId;
use super::{Action, Link, Machine};

/// A node is told that its client waits a little less long than it does, so that its answer comes in
/// time.
const SHARE: f64 = 0.9;
/// The first wait before a coordinator is asked again.
const REST: Duration = Duration::from_millis(30);
/// Before anything is known of how long a read takes, it is late after this share of its time.
const LATE_SHARE: u32 = 4;
/// A read is not late sooner.
const SOONEST_LATE: Duration = Duration::from_millis(2);

impl Machine {
    /// Asks for something. The answer comes as an [`Action::Answer`].
    pub fn ask(&mut self, now: Instant, ask: Ask) -> AskId {
        self.now = now;
        self.counts.asked += 1;
        let id = self.begin(Owner::Caller, ask);
        AskId(id)
    }

    pub(super) fn begin(&mut self, owner: Owner, ask: Ask) -> u64 {
        let id = self.next_ask;
        self.next_ask += 1;
        let timeout = ask.options.timeout.unwrap_or(self.settings.timeout);
        let deadline = self.now + timeout;
        let mut running = Running {
            owner,
            id: self.dice.request(),
            ask,
            began: self.now,
            deadline,
            wake: deadline,
            stage: Stage::Resting,
            attempts: SmallVec::new(),
            tried: Default::default(),
            pinned: None,
            sent: 0,
            failed: None,
            driven: None,
        };
        if self.asks.len() >= self.settings.most {
            let answer = Answer::Failed(Failed::Busy);
            self.tell(owner, id, answer);
            return id;
        }
        self.budget.earn();
        if running.ask.is_driven {
            running.driven = self.driven(&running);
        }
        self.deadlines.insert((deadline, id));
        self.asks.insert(id, running);
        self.dispatch(id);
        id
    }

    /// Sends a request to the best that can be asked now, or waits for one.
    pub(super) fn dispatch(&mut self, id: u64) {
        let Some(running) = self.asks.get(&id) else {
            return;
        };
        if running.driven.is_some() {
            return self.drive(id);
        }
        if running.pinned.is_some() {
            return self.ask_again(id);
        }
        for at in self.candidates(running) {
            if let Some(link) = self.line_to(at) {
                return self.send(id, link);
            }
            if self.is_to_come(at) {
                return self.wait_for(id, at);
            }
        }
        let Some(running) = self.asks.get_mut(&id) else {
            return;
        };
        if !running.attempts.is_empty() {
            return;
        }
        // All were asked and could not.
        if let Some(failed) = running.failed {
            return self.finish(id, Answer::Failed(failed));
        }
        running.tried.clear();
        let opening = self.next_opening().unwrap_or(self.now);
        self.rest(id, opening.max(self.now + REST));
    }

    fn wait_for(&mut self, id: u64, at: PlaceId) {
        if let Some(place) = self.places.get_mut(&at) {
            place.waiting.push(id);
        }
        let wake = self.now + self.settings.connect;
        self.set(id, Stage::Waiting(at), wake);
    }

    fn rest(&mut self, id: u64, until: Instant) {
        self.set(id, Stage::Resting, until);
    }

    pub(super) fn set(&mut self, id: u64, stage: Stage, wake: Instant) {
        if let Some(running) = self.asks.get_mut(&id) {
            running.stage = stage;
            self.deadlines.remove(&(running.wake, id));
            running.wake = wake.min(running.deadline);
            self.deadlines.insert((running.wake, id));
        }
    }

    /// There may be room for those who wait for that place.
    pub(super) fn serve(&mut self, at: PlaceId) {
        loop {
            let place = self.places.get(&at);
            let Some(id) = place.and_then(|place| place.waiting.first().copied()) else {
                return;
            };
            let Some(link) = self.line_to(at) else {
                return;
            };
            if let Some(place) = self.places.get_mut(&at) {
                place.waiting.remove(0);
            }
            match self.asks.get(&id).map(|running| running.pinned.is_some()) {
                Some(true) => self.ask_again(id),
                Some(false) => self.send(id, link),
                None => {}
            }
        }
    }

    /// There is no connection to what it waited for.
    pub(super) fn waited_in_vain(&mut self, id: u64, at: PlaceId) {
        if let Some(running) = self.asks.get_mut(&id) {
            running.tried.insert(at);
            if running.pinned.is_some() {
                let opening = self.places.get(&at).and_then(|place| place.circuit.until());
                let opening = opening.unwrap_or(self.now).max(self.now + REST);
                return self.rest(id, opening);
            }
            self.dispatch(id);
        }
    }

    /// Sends a request on that connection.
    fn send(&mut self, id: u64, link: Link) {
        let Some(at) = self.lines.get(link).map(|line| line.place) else {
            return;
        };
        let Some(running) = self.asks.get(&id) else {
            return;
        };
        let is_direct = self.on_duty(running).contains(&at);
        let is_pinned_here = running.pinned.map(|pinned| pinned.only_here);
        let options = Options {
            only_here: running.is_write() && is_pinned_here.unwrap_or(is_direct),
            ..running.ask.options
        };
        let request = Request {
            id: running.id,
            is_retry: running.pinned.is_some(),
            key: running.ask.key.clone(),
            operation: running.ask.operation.clone(),
            options,
        };
        if self.put_on_line(id, link, request, None) {
            self.counts.direct += u64::from(is_direct);
            let Some(running) = self.asks.get_mut(&id) else {
                return;
            };
            running.tried.insert(at);
            if running.is_write()
                && running.pinned.is_none()
                && let Some(attempt) = running.attempts.last_mut()
            {
                attempt.pin = Some(Pinned {
                    place: at,
                    node: self.lines.get(link).and_then(|line| line.node),
                    only_here: options.only_here,
                });
            }
            let wake = match running.is_read() {
                true => self.now + self.late_after(at, id),
                false => running.deadline,
            };
            self.set(id, Stage::Asked, wake);
        }
    }

    /// Returns whether it was sent.
    pub(super) fn put_on_line(
        &mut self,
        id: u64,
        link: Link,
        request: Request,
        seat: Option<NodeId>,
    ) -> bool {
        let (now, ticket) = (self.now, self.next_ticket);
        let (Some(running), Some(line)) = (self.asks.get_mut(&id), self.lines.get_mut(link)) else {
            return false;
        };
        let at = line.place;
        let patience = running.left(now).mul_f64(SHARE);
        let message = Message::Request {
            epoch: Default::default(), // whoever answers goes by its own
            ticket: Ticket(ticket),
            patience,
            request,
        };
        let sent = match line.connection() {
            Some(connection) => connection.send(&message),
            None => Err(Unsent::NotEstablished),
        };
        match sent {
            Ok(()) => {}
            Err(Unsent::TooLong { .. }) => {
                self.finish(id, Answer::Failed(Failed::TooLong));
                return false;
            }
            // Too much waits to be sent there.
            Err(_) => {
                running.tried.insert(at);
                match seat {
                    Some(seat) => self.take_vote(id, seat, Fetched::Failed),
                    None => self.dispatch(id),
                }
                return false;
            }
        }
        self.next_ticket += 1;
        line.asked.insert(ticket, Asked::Request(id));
        line.used = now;
        running.sent += 1;
        running.attempts.push(Attempt {
            link,
            place: at,
            ticket,
            sent: now,
            seat,
            pin: None,
        });
        if let Some(place) = self.places.get_mut(&at) {
            place.circuit.ask(now);
        }
        self.announce(link);
        true
    }

    /// How long a read there may take before somebody else is asked too.
    pub(super) fn late_after(&self, at: PlaceId, id: u64) -> Duration {
        let left = self
            .asks
            .get(&id)
            .map_or(Duration::ZERO, |it| it.left(self.now));
        let late = self.places.get(&at).and_then(|place| place.reads.late());
        let most = left / LATE_SHARE;
        late.map_or(most, |late| late.clamp(SOONEST_LATE.min(most), most))
    }

    /// A node has answered.
    pub(super) fn answered(&mut self, link: Link, ticket: u64, response: Response) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(link) else {
            return;
        };
        let at = line.place;
        let asked = line.asked.remove(&ticket);
        let is_measured = !matches!(response, Response::Failed(_));
        if let Some(Asked::Request(id)) = asked
            && let Some(running) = self.asks.get_mut(&id)
            && let Some(nth) = running.attempts.iter().position(|it| it.ticket == ticket)
        {
            let attempt = running.attempts.remove(nth);
            let is_read = running.is_read();
            if let Some(place) = self.places.get_mut(&at) {
                place.circuit.succeed();
                if is_measured {
                    let took = now.since(attempt.sent);
                    place.latency(is_read).measure(took, now);
                }
            }
            match attempt.seat {
                Some(seat) => self.seat_answered(id, (seat, link), response),
                None => self.settle(id, attempt, response),
            }
        }
        self.serve(at);
    }

    fn settle(&mut self, id: u64, attempt: Attempt, response: Response) {
        match response {
            Response::Got(got) => {
                let found = Found {
                    siblings: got.siblings,
                    contexts: vec![got.context.sealed],
                    fastest: got.context.fastest,
                };
                self.finish(id, Answer::Got(found));
            }
            Response::Put(written) => self.finish(id, Answer::Put(written)),
            Response::Listed(listed) => self.finish(id, Answer::Listed(listed)),
            Response::Unknown | Response::Fetched(_) => self.unsure(id, attempt),
            Response::Failed(failure) => self.failed(id, attempt, failure),
        }
    }

    /// An attempt has failed, and nothing was done by it.
    fn failed(&mut self, id: u64, attempt: Attempt, failure: Failure) {
        let is_elsewhere = matches!(
            failure,
            Failure::NoCoordinator | Failure::NotServing | Failure::OtherRing
        );
        if is_elsewhere {
            self.ask_directory(attempt.link);
        }
        let Some(running) = self.asks.get_mut(&id) else {
            return;
        };
        running.failed = Some(Failed::Node(failure));
        if !running.attempts.is_empty() {
            return; // somebody else may still answer
        }
        let may_others = match failure {
            Failure::Overloaded | Failure::Full | Failure::HintsFull | Failure::Expired => true,
            // Others may reach more than this one does.
            Failure::TooFew { .. } | Failure::Stale => running.is_read(),
            _ => is_elsewhere,
        };
        let is_pinned = running.pinned.is_some();
        if may_others && self.budget.spend() {
            self.counts.retried += 1;
            match is_pinned {
                true => self.rest_a_while(id),
                false => self.dispatch(id),
            }
        } else if is_pinned {
            // Of several attempts only one has failed.
            self.finish(id, Answer::Unknown);
        } else {
            self.finish(id, Answer::Failed(Failed::Node(failure)));
        }
    }

    /// A write may have been done: its coordinator is asked again, if there is time.
    fn unsure(&mut self, id: u64, attempt: Attempt) {
        let Some(running) = self.asks.get_mut(&id) else {
            return;
        };
        let pin = attempt.pin.or(running.pinned);
        let is_early = running.left(self.now) > self.now.since(running.began);
        running.pinned = pin;
        if running.is_write() && is_early && running.sent < 3 && self.budget.spend() {
            self.counts.retried += 1;
            self.rest_a_while(id);
        } else {
            self.finish(id, Answer::Unknown);
        }
    }

    /// The connection on which something was asked is gone.
    pub(super) fn attempt_lost(&mut self, id: u64, link: Link) {
        let Some(running) = self.asks.get_mut(&id) else {
            return;
        };
        let lost = running.attempts.iter().position(|it| it.link == link);
        let Some(attempt) = lost.map(|nth| running.attempts.remove(nth)) else {
            return;
        };
        if let Some(seat) = attempt.seat {
            return self.seat_lost(id, seat);
        }
        if running.is_read() && !running.attempts.is_empty() {
            return;
        }
        running.pinned = attempt.pin.or(running.pinned);
        let (is_read, is_pinned) = (running.is_read(), running.pinned.is_some());
        if self.budget.spend() {
            self.counts.retried += 1;
            match is_pinned {
                true => self.rest_a_while(id),
                false => self.dispatch(id),
            }
        } else if is_read {
            let trouble = self.trouble_at(attempt.place);
            self.finish(id, Answer::Failed(Failed::Unreachable(trouble)));
        } else {
            self.finish(id, Answer::Unknown);
        }
    }

    fn rest_a_while(&mut self, id: u64) {
        let sent = self.asks.get(&id).map_or(0, |running| running.sent);
        let wait = REST.saturating_mul(1 << sent.min(8));
        let until = self.now + self.dice.jittered(wait);
        self.rest(id, until);
    }

    /// Asks the same coordinator for what it may have done already.
    fn ask_again(&mut self, id: u64) {
        let Some(pinned) = self.asks.get(&id).and_then(|running| running.pinned) else {
            return;
        };
        if let Some(link) = self.line_to(pinned.place) {
            let node = self.lines.get(link).and_then(|line| line.node);
            // Somebody else lives there by now. Who passed it on may be anybody.
            if pinned.only_here && node != pinned.node {
                return self.finish(id, Answer::Unknown);
            }
            return self.send(id, link);
        }
        if self.is_to_come(pinned.place) {
            return self.wait_for(id, pinned.place);
        }
        let until = self.places.get(&pinned.place);
        let until = until.and_then(|place| place.circuit.until());
        self.rest(id, until.unwrap_or(self.now).max(self.now + REST));
    }

    /// Time to look at a request.
    pub(super) fn wake(&mut self, id: u64) {
        let now = self.now;
        let Some(running) = self.asks.get_mut(&id) else {
            return;
        };
        if running.deadline <= now {
            return self.expire(id);
        }
        match running.stage {
            Stage::Resting => self.dispatch(id),
            Stage::Waiting(at) => {
                if let Some(place) = self.places.get_mut(&at) {
                    place.waiting.retain(|it| *it != id);
                }
                self.waited_in_vain(id, at);
            }
            Stage::Asked => {
                let deadline = running.deadline;
                self.hedge(id);
                if self.asks.contains_key(&id) {
                    self.set(id, Stage::Asked, deadline);
                }
            }
        }
    }

    /// A read is late: somebody else is asked too, if that does not happen too often.
    fn hedge(&mut self, id: u64) {
        let now = self.now;
        let Some(running) = self.asks.get(&id) else {
            return;
        };
        for attempt in &running.attempts {
            if let Some(place) = self.places.get_mut(&attempt.place) {
                place.reads.measure(now.since(attempt.sent), now);
            }
        }
        if running.driven.is_some() {
            return self.hedge_driven(id);
        }
        let candidates = self.candidates(running);
        let link = candidates.into_iter().find_map(|at| self.line_to(at));
        if let Some(link) = link
            && self.budget.spend()
        {
            self.counts.hedged += 1;
            self.send(id, link);
        }
    }

    /// Its time is up.
    fn expire(&mut self, id: u64) {
        let now = self.now;
        let Some(running) = self.asks.get(&id) else {
            return;
        };
        let (is_write, is_read) = (running.is_write(), running.is_read());
        let may_be_done = running.pinned.is_some() || !running.attempts.is_empty();
        let answer = match running.failed {
            _ if is_write && may_be_done => Answer::Unknown,
            Some(failed) => Answer::Failed(failed),
            None if running.sent > 0 => Answer::Failed(Failed::Silent),
            None => Answer::Failed(Failed::Unreachable(self.trouble())),
        };
        let mut silent: Vec<Link> = Vec::new();
        for attempt in running.attempts.clone() {
            if let Some(place) = self.places.get_mut(&attempt.place) {
                let took = now.since(attempt.sent);
                place.latency(is_read).measure(took, now);
                place.circuit.fail(now, &mut self.dice);
            }
            let line = self.lines.get(attempt.link);
            if line.is_some_and(|line| line.heard < attempt.sent) {
                silent.push(attempt.link);
            }
        }
        self.finish(id, answer);
        for link in silent {
            self.lose(link, Trouble::Closed);
        }
    }

    pub(super) fn finish(&mut self, id: u64, answer: Answer) {
        let Some(running) = self.asks.remove(&id) else {
            return;
        };
        self.deadlines.remove(&(running.wake, id));
        for attempt in &running.attempts {
            if let Some(line) = self.lines.get_mut(attempt.link) {
                line.asked.remove(&attempt.ticket);
            }
        }
        if let Stage::Waiting(at) = running.stage
            && let Some(place) = self.places.get_mut(&at)
        {
            place.waiting.retain(|it| *it != id);
        }
        self.tell(running.owner, id, answer);
    }

    fn tell(&mut self, owner: Owner, id: u64, answer: Answer) {
        if owner == Owner::Caller {
            let ask = AskId(id);
            self.actions.push_back(Action::Answer { ask, answer });
        }
    }

    fn trouble_at(&self, at: PlaceId) -> Trouble {
        self.places
            .get(&at)
            .map_or(Trouble::None, |place| place.trouble)
    }

    /// Why nobody is reached, for want of a better reason.
    fn trouble(&self) -> Trouble {
        let troubles = self.places.values().map(|place| place.trouble);
        troubles
            .max_by_key(|trouble| match trouble {
                Trouble::None => 0,
                Trouble::NoConnection => 1,
                Trouble::Closed => 2,
                Trouble::Ended(_) => 3,
            })
            .unwrap_or_default()
    }

    /// Has a node bring the replicas of a key up to date, which it does when it reads all of them.
    pub(super) fn repair(&mut self, ask: &Ask, n: u8) {
        if !self.repairs.spend() {
            return;
        }
        self.counts.repairs += 1;
        let options = Options {
            n: ask.options.n,
            r: Some(n),
            timeout: Some(Duration::from_secs(1)),
            ..Options::default()
        };
        let operation = Operation::Get {
            head: true,
            seen: Vec::new(),
        };
        let repair = Ask {
            key: ask.key.clone(),
            operation,
            options,
            is_driven: false,
        };
        self.begin(Owner::Nobody, repair);
    }
}
