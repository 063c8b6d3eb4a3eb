//! Requests of clients, from their fronts or as frames, and the answers to them.

use bytes::BytesMut;
use dynamo_proto::Instant;
use dynamo_proto::node::{ClientRequest, Event, Failure, Operation, Request, Response};
use dynamo_proto::wire::{Message, Ticket as WireTicket};

use super::links::{Line, Speech};
use super::session::Start;
use super::{Action, Driver, Link, Work, site};
use crate::Bounds;
use crate::front::{Ask, Desk, Goodbye, Ticket};
use crate::metrics::{Count, Stage};

/// A request that the node works on.
pub(super) struct Asked {
    link: Link,
    /// Its name in its session.
    number: u64,
    stage: Stage,
    arrived: Instant,
}

impl Driver {
    /// Gives a front what has arrived, as far as there is room for what it asks for.
    pub(super) fn serve(&mut self, link: Link) {
        if self.is_stopping {
            return;
        }
        self.at_desk(link, None, |front, input, desk| {
            if input.is_empty() || desk.room == 0 {
                return Ok(());
            }
            let received = front.receive(input, desk);
            if input.is_empty() {
                *input = BytesMut::new();
            }
            received
        });
        self.block(link);
    }

    /// Notes whether there is room for more of that client's requests.
    pub(super) fn block(&mut self, link: Link) {
        let bounds = self.bounds;
        if let Some(line) = self.links.get_mut(link) {
            line.session.is_blocked = room(line, &bounds) == 0;
        }
    }

    /// There may be room again for what a client has sent already, and for more.
    pub(super) fn resume(&mut self, link: Link) {
        let bounds = self.bounds;
        let Some(line) = self.links.get_mut(link) else {
            return;
        };
        if room(line, &bounds) == 0 {
            return;
        }
        line.session.is_blocked = false;
        match &line.speech {
            Speech::Wire { .. } => self.listen(link),
            Speech::Front { .. } => self.serve(link),
            Speech::Dialing { .. } | Speech::Over => {}
        }
        let Some(line) = self.links.get_mut(link) else {
            return;
        };
        if line.is_finished {
            self.finish(link);
        } else if line.is_paused && line.wants(&bounds) > 0 {
            line.is_paused = false;
            self.actions.push_back(Action::Read(link));
        }
    }

    /// Nothing more will come: once all is answered and read, the connection is over.
    pub(super) fn finish(&mut self, link: Link) {
        let is_stopping = self.is_stopping;
        let Some(line) = self.links.get_mut(link) else {
            return;
        };
        line.is_finished = true;
        let is_client = line.is_client();
        let is_answered = line.session.len() == 0 && (is_stopping || !line.session.is_blocked);
        if !is_client || (is_answered && line.outgoing().is_empty()) {
            self.hang_up(link);
        }
    }

    /// A client asks for something.
    pub(super) fn ask(&mut self, link: Link, ticket: u64, request: Request, leads_to_write: bool) {
        let most = self.bounds.in_flight;
        let is_kept_place = self.links.get(link).is_some_and(Line::is_admin);
        if is_kept_place || self.links.waiting_bytes > self.bounds.total_bytes {
            self.metrics.count(Count::Refused);
            self.work.push_back(Work::Refuse(link, ticket));
        } else if let Some(line) = self.links.get_mut(link) {
            let arrived = self.now.mono;
            if let Some(start) = line
                .session
                .ask(ticket, request, leads_to_write, arrived, most)
            {
                self.start(link, start);
            }
        }
    }

    /// What was answered is the first step of something longer.
    fn go_on(&mut self, link: Link, number: u64, request: Request) {
        let arrived = self.now.mono;
        let line = self.links.get_mut(link);
        if let Some(start) = line.and_then(|line| line.session.go_on(number, request, arrived)) {
            self.start(link, start);
        }
    }

    fn start(&mut self, link: Link, start: Start) {
        let Start {
            number,
            request,
            arrived,
        } = start;
        let stage = match request.operation {
            Operation::Get { .. } | Operation::Fetch { .. } => Stage::Get,
            Operation::Put { .. } | Operation::Update { .. } => Stage::Put,
            Operation::List(_) => Stage::List,
        };
        let asked = self.asked.insert(Asked {
            link,
            number,
            stage,
            arrived,
        });
        self.work.push_back(Work::Node(Event::Client {
            client: ClientRequest(asked as u64),
            arrived,
            request,
        }));
    }

    /// The node has answered.
    pub(super) fn reply(&mut self, client: ClientRequest, response: Response) {
        let Some(asked) = self.asked.try_remove(client.0 as usize) else {
            return;
        };
        let Asked {
            link,
            number,
            stage,
            arrived,
        } = asked;
        self.metrics.took(stage, self.now.mono.since(arrived));
        self.metrics.count(match &response {
            Response::Got(_) | Response::Fetched(_) => Count::Got,
            Response::Put(_) => Count::Put,
            Response::Listed(_) => Count::Listed,
            Response::Failed(Failure::Overloaded) => Count::Refused,
            Response::Failed(_) => Count::Failed,
            Response::Unknown => Count::Unknown,
        });
        // Values are not kept for those who do not read; they are told to try again, which is true
        // of a read.
        let is_too_much = self.links.waiting_bytes > self.bounds.total_bytes;
        let response = match response {
            Response::Got(_) | Response::Fetched(_) if is_too_much => {
                Response::Failed(Failure::Overloaded)
            }
            response => response,
        };
        let ticket = self
            .links
            .get(link)
            .and_then(|line| line.session.ticket(number));
        if let Some(ticket) = ticket {
            self.answer(link, ticket, Some(number), response);
        }
    }

    /// Tells a client what became of its request, which has that number if the node was asked.
    pub(super) fn answer(
        &mut self,
        link: Link,
        ticket: u64,
        number: Option<u64>,
        response: Response,
    ) {
        let Some(line) = self.links.get_mut(link) else {
            return;
        };
        match &mut line.speech {
            Speech::Wire { connection, .. } => {
                let ticket = WireTicket(ticket);
                let answer = Message::Response { ticket, response };
                if connection.send(&answer).is_err() {
                    // Longer than any frame may be.
                    let response = Response::Failed(Failure::Overloaded);
                    let _ = connection.send(&Message::Response { ticket, response });
                }
                self.done(link, number);
                self.said(link);
            }
            Speech::Front { .. } => {
                let answered = number.map(|number| (ticket, number));
                self.at_desk(link, answered, |front, _, desk| {
                    front.answered(Ticket(ticket), response, desk)
                });
            }
            Speech::Dialing { .. } | Speech::Over => {}
        }
        let Some(line) = self.links.get(link) else {
            return;
        };
        if line.session.is_blocked || line.input_bytes() > 0 {
            self.work.push_back(Work::Resume(link));
        } else if line.is_finished {
            self.finish(link);
        }
    }

    /// A request is over: what has waited for it may start.
    fn done(&mut self, link: Link, number: Option<u64>) {
        let most = self.bounds.in_flight;
        if let Some(number) = number
            && let Some(line) = self.links.get_mut(link)
        {
            for start in line.session.answered(number, most) {
                self.start(link, start);
            }
        }
    }

    /// Lends a front its desk, and then does what it asks for: with the ticket and the number of the
    /// request that is answered, if one is.
    pub(super) fn at_desk(
        &mut self,
        link: Link,
        mut answered: Option<(u64, u64)>,
        work: impl FnOnce(
            &mut dyn crate::front::Front,
            &mut BytesMut,
            &mut Desk<'_>,
        ) -> Result<(), Goodbye>,
    ) {
        let mut asks = std::mem::take(&mut self.asks);
        let mut commands = Vec::new(); // few are ever given
        let site = site(
            &self.config,
            &self.node,
            &self.links,
            (&self.peers, &self.seeds),
            &self.metrics,
            (self.level.1, !self.is_stopping),
        );
        let said = {
            let room = self
                .links
                .get(link)
                .map_or(0, |line| room(line, &self.bounds));
            let Some(line) = self.links.get_mut(link) else {
                return;
            };
            let Speech::Front {
                front, input, out, ..
            } = &mut line.speech
            else {
                return;
            };
            let mut desk = Desk {
                out,
                asks: &mut asks,
                commands: &mut commands,
                room: room + usize::from(answered.is_some()),
                dice: &mut self.dice,
                now: self.now,
                site,
            };
            work(front.as_mut(), input, &mut desk)
        };
        for ask in asks.drain(..) {
            let Ask {
                ticket: Ticket(ticket),
                key,
                operation,
                options,
                leads_to_write,
            } = ask;
            let request = Request {
                id: self.dice.request(),
                is_retry: false,
                key,
                operation,
                options,
            };
            match answered {
                Some((earlier, number)) if earlier == ticket => {
                    answered = None;
                    self.go_on(link, number, request);
                }
                _ => self.ask(link, ticket, request, leads_to_write),
            }
        }
        self.done(link, answered.map(|(_, number)| number));
        self.asks = asks;
        match said {
            Ok(()) => {
                self.said(link);
                self.carry_out(link, commands);
            }
            Err(goodbye) => {
                if matches!(goodbye, Goodbye::Senseless(_)) {
                    self.metrics.count(Count::Senseless);
                }
                self.end(link);
            }
        }
    }
}

/// How many more requests a client may ask for.
pub(super) fn room(line: &Line, bounds: &Bounds) -> usize {
    let is_read = line.unread_bytes() < bounds.unread_bytes;
    if is_read && line.session.bytes() < bounds.in_flight_bytes && !line.is_ending {
        bounds.in_flight.saturating_sub(line.session.len())
    } else {
        0
    }
}
