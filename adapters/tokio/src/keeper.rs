//! The one task that owns a node: it hands in what arrives and carries out what comes of it.
//!
//! Nothing here waits but for the next arrival, the next deadline or the end. Storage is in memory
//! and answers in line.

use std::collections::{BTreeMap, HashMap, VecDeque};

use dynamo_proto::node::{ClientRequest, Effect, Event, Failure, Node, Response, Targets};
use dynamo_proto::version::Boot;
use dynamo_proto::wire::{HEADER_BYTES, Message, Role, Ticket};
use dynamo_proto::{Generation, Limits, NodeId};
use dynamo_storage::carry_out;
use dynamo_storage_memory::Memory;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::mail::{Arrival, Link, Outbox};
use crate::random;
use crate::server::{ServeError, Status};

/// Most bytes that wait for another node, and most of values that wait for a client.
const WAITING_BYTES: usize = 64 << 20;

pub(crate) struct Keeper {
    node: Node,
    memory: Memory,
    limits: Limits,
    clock: Clock,
    links: HashMap<Link, (Role, Outbox)>,
    peers: BTreeMap<NodeId, (Link, Generation)>,
    /// As many as the node has requests of clients under way.
    asked: HashMap<ClientRequest, (Link, Ticket)>,
    next_request: u64,
    status: watch::Sender<Status>,
    events: VecDeque<Event>,
    effects: Vec<Effect>,
}

impl Keeper {
    pub(crate) fn new(
        node: Node,
        memory: Memory,
        limits: Limits,
        status: watch::Sender<Status>,
    ) -> Self {
        Self {
            node,
            memory,
            limits,
            clock: Clock::start(),
            links: HashMap::new(),
            peers: BTreeMap::new(),
            asked: HashMap::new(),
            next_request: 0,
            status,
            events: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    /// Serves until it is told to stop, or the node halts.
    pub(crate) async fn run(
        &mut self,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<(), ServeError> {
        loop {
            let deadline = self.node.next_deadline();
            tokio::select! {
                biased;
                _ = &mut stop => return Ok(()),
                () = self.clock.sleep_until(deadline) => self.events.push_back(Event::Tick),
                Some(arrival) = arrivals.recv() => self.take_in(arrival),
            }
            self.settle()?;
        }
    }

    /// Tells whoever watches how this ended. Nothing is served any more.
    pub(crate) fn ended(self, how: Result<(), ServeError>) {
        self.status.send_modify(|status| status.ended = Some(how));
    }

    fn take_in(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Opened { link, role, outbox } => self.open(link, role, outbox),
            Arrival::Closed { link } => self.close(link),
            Arrival::Said {
                link,
                arrived,
                message,
                room: _room,
            } => self.hear(link, arrived, message),
        }
    }

    /// A node that comes again has lost its earlier connection, whether we know that or not; unless
    /// it is what came again that is the older of the two.
    fn open(&mut self, link: Link, role: Role, outbox: Outbox) {
        if let Role::Peer { node, generation } = role {
            match self.peers.get(&node) {
                Some((_, current)) if generation < *current => return,
                Some((earlier, _)) => self.close(*earlier),
                None => {}
            }
            self.peers.insert(node, (link, generation));
            self.tell_connected();
        }
        self.links.insert(link, (role, outbox));
    }

    fn close(&mut self, link: Link) {
        if let Some((Role::Peer { node, .. }, _)) = self.links.remove(&link) {
            self.peers.remove(&node);
            self.events.push_back(Event::PeerLost { peer: node });
            self.tell_connected();
        }
    }

    fn tell_connected(&self) {
        let connected = self.peers.len();
        self.status
            .send_modify(|status| status.connected = connected);
    }

    fn hear(&mut self, link: Link, arrived: Instant, message: Message) {
        let Some((role, _)) = self.links.get(&link) else {
            return;
        };
        let arrived = self.clock.at(arrived);
        let event = match (role, message) {
            (Role::Peer { node, .. }, message) => Event::Peer {
                from: *node,
                arrived,
                message,
            },
            (
                Role::Client,
                Message::Request {
                    ticket,
                    patience,
                    mut request,
                    ..
                },
            ) => {
                let timeout = request.options.timeout.unwrap_or(patience);
                request.options.timeout = Some(timeout.min(patience));
                Event::Client {
                    client: self.name(link, ticket),
                    arrived,
                    request,
                }
            }
            (Role::Client, _) => return,
        };
        self.events.push_back(event);
    }

    fn name(&mut self, link: Link, ticket: Ticket) -> ClientRequest {
        let client = ClientRequest(self.next_request);
        self.next_request += 1;
        self.asked.insert(client, (link, ticket));
        client
    }

    /// Hands in all that has happened, and what comes of it, until nothing more does.
    fn settle(&mut self) -> Result<(), ServeError> {
        let mut effects = std::mem::take(&mut self.effects);
        while let Some(event) = self.events.pop_front() {
            self.node.handle(self.clock.now(), event, &mut effects);
            for effect in effects.drain(..) {
                self.carry_out(effect)?;
            }
        }
        self.effects = effects;
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), ServeError> {
        match effect {
            Effect::Send { to, message } => self.send(&to, &message),
            Effect::Store { op, command } => {
                let completion = carry_out(&self.memory, command);
                self.events.push_back(Event::Stored { op, completion });
            }
            Effect::Reply { client, response } => self.reply(client, response),
            Effect::Draw => {
                let boot = Boot(random::number()?);
                self.events.push_back(Event::Drawn { boot });
            }
            Effect::Notify(_) => {} // until there are metrics
            Effect::Halt(reason) => return Err(reason.into()),
        }
        Ok(())
    }

    fn send(&mut self, to: &Targets, message: &Message) {
        let body = message.encode();
        let is_sendable = HEADER_BYTES + body.bytes().len() <= self.limits.frame_bytes;
        for to in to {
            let outbox = self
                .peers
                .get(to)
                .and_then(|(link, _)| self.links.get(link));
            let is_queued = is_sendable
                && outbox
                    .is_some_and(|(_, outbox)| outbox.push(body.clone(), WAITING_BYTES).is_ok());
            if !is_queued {
                self.events.push_back(Event::Unsent {
                    to: *to,
                    message: message.clone(),
                });
            }
        }
    }

    /// A client that is gone gets none. Nor are values kept for one that does not read what it
    /// asked for: it is told to try again, which is true of a read.
    fn reply(&mut self, client: ClientRequest, response: Response) {
        let Some((link, ticket)) = self.asked.remove(&client) else {
            return;
        };
        let Some((_, outbox)) = self.links.get(&link) else {
            return;
        };
        let most = match response {
            Response::Got(_) => WAITING_BYTES,
            Response::Put(_) | Response::Failed(_) | Response::Unknown => usize::MAX,
        };
        let body = Message::Response { ticket, response }.encode();
        let is_sendable = HEADER_BYTES + body.bytes().len() <= self.limits.frame_bytes;
        if is_sendable && outbox.push(body, most).is_ok() {
            return;
        }
        let response = Response::Failed(Failure::Overloaded);
        let body = Message::Response { ticket, response }.encode();
        // Fails only if the client has just gone: there is room for an answer to each request.
        let _ = outbox.push(body, usize::MAX);
    }
}
