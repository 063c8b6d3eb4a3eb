//! What the node owes, and to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dynamo_proto::node::{ClientRequest, Config, Effect, Node, Request, Response};
use dynamo_proto::ring::Ring;
use dynamo_proto::version::{RequestId, Siblings};
use dynamo_proto::wire::{Fetched, Message, Ticket};
use dynamo_proto::{Instant, NodeId};

use super::is_read;

/// A request that was not answered yet.
struct Asked {
    id: RequestId,
    is_read: bool,
    deadline: Instant,
}

pub(super) struct Ledger {
    config: Arc<Config>,
    members: usize,
    clients: BTreeMap<ClientRequest, Asked>,
    /// By who forwarded it, and under which name.
    forwarded: BTreeMap<(NodeId, Ticket), Asked>,
    stores: BTreeMap<(NodeId, Ticket), u32>,
    fetches: BTreeMap<(NodeId, Ticket), u32>,
    /// Requests that came more than once: what one attempt says holds for that attempt alone.
    attempts: BTreeMap<RequestId, u32>,
    /// Writes that somebody else can have seen.
    shown: BTreeSet<RequestId>,
    /// Writes of which it was said that nothing was done and nothing will be.
    failed: BTreeSet<RequestId>,
}

impl Ledger {
    pub(super) fn new(config: &Arc<Config>, ring: &Arc<Ring>) -> Self {
        Self {
            config: config.clone(),
            members: ring.members().len(),
            clients: BTreeMap::new(),
            forwarded: BTreeMap::new(),
            stores: BTreeMap::new(),
            fetches: BTreeMap::new(),
            attempts: BTreeMap::new(),
            shown: BTreeSet::new(),
            failed: BTreeSet::new(),
        }
    }

    pub(super) fn asks(&mut self, client: ClientRequest, request: &Request, deadline: Instant) {
        let asked = self.attempt(request, deadline);
        self.clients.insert(client, asked);
    }

    pub(super) fn forwards(
        &mut self,
        from: NodeId,
        ticket: Ticket,
        request: &Request,
        deadline: Instant,
    ) {
        let asked = self.attempt(request, deadline);
        self.forwarded.insert((from, ticket), asked);
    }

    fn attempt(&mut self, request: &Request, deadline: Instant) -> Asked {
        *self.attempts.entry(request.id).or_default() += 1;
        Asked {
            id: request.id,
            is_read: is_read(request),
            deadline,
        }
    }

    pub(super) fn stores(&mut self, from: NodeId, ticket: Ticket) {
        *self.stores.entry((from, ticket)).or_default() += 1;
    }

    pub(super) fn fetches(&mut self, from: NodeId, ticket: Ticket) {
        *self.fetches.entry((from, ticket)).or_default() += 1;
    }

    pub(super) fn sends(&mut self, to: &[NodeId], message: &Message) {
        let several: BTreeSet<_> = to.iter().collect();
        assert!(
            !to.is_empty() && several.len() == to.len() && !several.contains(&self.config.node),
            "sent to {to:?}"
        );
        let answered = |ticket: &Ticket| match to {
            [peer] => (*peer, *ticket),
            _ => panic!("an answer to {to:?}"),
        };
        match message {
            Message::Store { siblings, .. } => self.shows(siblings),
            Message::Stored { ticket, .. } | Message::NotStored { ticket, .. } => {
                settle(&mut self.stores, answered(ticket));
            }
            Message::Fetched { ticket, outcome } => {
                settle(&mut self.fetches, answered(ticket));
                if let Fetched::Found(siblings) = outcome {
                    self.shows(siblings);
                }
            }
            Message::Response { ticket, response } => {
                let name = answered(ticket);
                let asked = self.forwarded.remove(&name);
                let asked = asked.unwrap_or_else(|| panic!("{name:?} was answered too often"));
                self.answered(&asked, response);
            }
            Message::Relay { to, message, .. } => self.sends(&[*to], message),
            Message::Handoff { copies, .. } => {
                for copy in copies {
                    self.shows(&copy.siblings);
                }
            }
            Message::Fetch { .. }
            | Message::Request { .. }
            | Message::Ping { .. }
            | Message::Pong { .. }
            | Message::HandedOff { .. }
            | Message::Gossip(_)
            | Message::Compare { .. }
            | Message::Exchange(_)
            | Message::Compared { .. }
            | Message::List { .. }
            | Message::Listed { .. } => {}
            other => panic!("a node does not say {other:?}"),
        }
    }

    pub(super) fn replies(&mut self, client: ClientRequest, response: &Response) {
        let asked = self.clients.remove(&client);
        let asked = asked.unwrap_or_else(|| panic!("{client:?} was answered too often"));
        self.answered(&asked, response);
    }

    fn answered(&mut self, asked: &Asked, response: &Response) {
        let Asked { id, is_read, .. } = *asked;
        let is_sole = self.attempts[&id] == 1;
        match response {
            Response::Got(got) => self.shows(&got.siblings),
            Response::Fetched(kept) => {
                if let Fetched::Found(siblings) = &kept.outcome {
                    self.shows(siblings);
                }
            }
            Response::Failed(_) if is_sole && !is_read => {
                assert!(
                    !self.shown.contains(&id),
                    "{id:?} failed and others can have seen it"
                );
                self.failed.insert(id);
            }
            Response::Put(_) | Response::Unknown => assert!(!is_read, "{id:?} is a read"),
            Response::Listed(_) => assert!(is_read, "{id:?} is no read"),
            Response::Failed(_) => {}
        }
    }

    /// Others see that state.
    fn shows(&mut self, siblings: &Siblings) {
        for sibling in siblings.values() {
            let id = sibling.value.request;
            assert!(
                !(self.failed.contains(&id) && self.attempts[&id] == 1),
                "{id:?} failed and is there"
            );
            self.shown.insert(id);
        }
    }

    /// The most that may be done about one event, however many it concerns: each request sends
    /// messages to its replicas and says so, each change and each command is answered once.
    pub(super) fn most_effects(&self, load: usize) -> usize {
        let requests = 2 * self.config.capacity.requests;
        (requests + load + self.members + 2) * (2 * self.members + 4)
    }

    /// What must hold after every event.
    pub(super) fn check(&self, node: &Node, now: Instant, outstanding: usize) {
        let capacity = self.config.capacity;
        let (running, load, next) = (node.running(), node.load(), node.next_deadline());
        assert!(running <= capacity.requests, "{running} requests run");
        assert!(
            outstanding <= capacity.stores(),
            "{outstanding} commands are outstanding, {} at most",
            capacity.stores()
        );
        assert!(
            load <= capacity.stores() + capacity.requests,
            "{load} changes and commands are under way"
        );
        assert!(
            next.is_none_or(|next| next > now),
            "a deadline has passed: {next:?} at {now:?}"
        );
        for asked in self.clients.values().chain(self.forwarded.values()) {
            let Asked { id, deadline, .. } = asked;
            assert!(*deadline > now, "{id:?} was not answered by {deadline:?}");
            assert!(
                next.is_some_and(|next| next <= *deadline),
                "{id:?} must be answered by {deadline:?}, the next deadline is {next:?}"
            );
        }
    }

    /// What must hold when everything has ended.
    pub(super) fn check_settled(&self, node: &Node) {
        assert_eq!((node.running(), node.load()), (0, 0), "something is left");
        let unanswered: u32 = self.stores.values().chain(self.fetches.values()).sum();
        assert_eq!(unanswered, 0, "peers were not answered");
    }

    /// The node starts anew and owes nobody anything.
    pub(super) fn forget(&mut self) {
        self.clients.clear();
        self.forwarded.clear();
        self.stores.clear();
        self.fetches.clear();
    }
}

fn settle(owed: &mut BTreeMap<(NodeId, Ticket), u32>, name: (NodeId, Ticket)) {
    let owed = owed.get_mut(&name).filter(|owed| **owed > 0);
    *owed.unwrap_or_else(|| panic!("{name:?} was answered too often")) -= 1;
}

/// Two equal nodes that were told the same do the same, to the byte.
pub(super) fn are_same(effects: &[Effect], others: &[Effect]) {
    let bytes = |message: &Message| message.encode().bytes().clone();
    let answer = |response: &Response| {
        bytes(&Message::Response {
            ticket: Ticket(0),
            response: response.clone(),
        })
    };
    let is_same = |(one, other): (&Effect, &Effect)| match (one, other) {
        (
            Effect::Send { to, message },
            Effect::Send {
                to: too,
                message: again,
            },
        ) => to == too && message.kind() == again.kind() && bytes(message) == bytes(again),
        (
            Effect::Store { op, command },
            Effect::Store {
                op: too,
                command: again,
            },
        ) => op == too && command == again,
        (
            Effect::Reply { client, response },
            Effect::Reply {
                client: too,
                response: again,
            },
        ) => client == too && answer(response) == answer(again),
        (Effect::Draw, Effect::Draw) => true,
        (Effect::Notify(one), Effect::Notify(other)) => one == other,
        (Effect::Halt(one), Effect::Halt(other)) => one == other,
        _ => false,
    };
    assert!(
        effects.len() == others.len() && effects.iter().zip(others).all(is_same),
        "the same events had other effects: {effects:?} and {others:?}"
    );
}
