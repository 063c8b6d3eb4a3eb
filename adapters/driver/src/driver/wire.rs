//! Connections that carry frames: other nodes and native clients.

use dynamo_proto::NodeId;
use dynamo_proto::node::Event;
use dynamo_proto::wire::{Message, Role};

use super::clients::room;
use super::links::{Dialed, Speech, Who};
use super::peers::Arrival;
use super::sweep::PING;
use super::{Driver, Link, Work};
use crate::metrics::Count;
use crate::{Ended, Established, Event as Heard};

/// A client that has begun something longer when all connections together have too much is hung up
/// on. Nodes are not: there are few, and without them nothing becomes less.
const MOST_UNREAD: usize = 64 << 10;

impl Driver {
    pub(super) fn take_in(&mut self, link: Link, mut bytes: &[u8]) {
        let now = self.now.mono;
        self.metrics.add(Count::BytesReceived, bytes.len() as u64);
        while !bytes.is_empty() {
            let Some(line) = self.links.get_mut(link) else {
                return;
            };
            line.heard = now;
            line.is_pinged = false;
            match &mut line.speech {
                Speech::Wire { connection, .. } => {
                    let before = bytes.len();
                    connection.receive(&mut bytes);
                    let is_taken = bytes.len() < before;
                    debug_assert!(is_taken, "no more is received than is wanted");
                    self.listen(link);
                    if !is_taken {
                        break;
                    }
                }
                Speech::Front { front, input, .. } => {
                    // As much again as is there, if that much is known to come.
                    let len = front.wants().min(input.len()).max(bytes.len());
                    input.reserve(len);
                    input.extend_from_slice(bytes);
                    bytes = &[];
                    self.serve(link);
                }
                Speech::Dialing { .. } | Speech::Over => return,
            }
        }
        self.links.recount(link);
        let is_too_much = self.links.waiting_bytes > self.bounds.total_bytes;
        let is_long = self.links.get(link).is_some_and(|line| {
            let is_peer = matches!(
                line.speech,
                Speech::Wire {
                    who: Who::Peer(_),
                    ..
                }
            );
            !is_peer && line.input_bytes() > MOST_UNREAD
        });
        if is_too_much && is_long {
            self.metrics.count(Count::HungUp);
            self.hang_up(link);
        }
    }

    /// Takes all that was said, or as much as there is room for.
    pub(super) fn listen(&mut self, link: Link) {
        loop {
            let bounds = self.bounds;
            let Some(line) = self.links.get_mut(link) else {
                return;
            };
            let is_full = room(line, &bounds) == 0;
            let Speech::Wire { connection, who } = &mut line.speech else {
                return;
            };
            if *who == Who::Client && is_full {
                line.session.is_blocked = true;
                return;
            }
            let who = *who;
            match connection.poll() {
                Ok(Some(Heard::Message(message))) => self.hear(link, who, message),
                Ok(Some(Heard::Established(established))) => self.meet(link, established),
                Ok(Some(Heard::Unsupported(_))) => self.metrics.count(Count::Unsupported),
                Ok(None) => return,
                Err(ended) => {
                    if let (Who::Stranger(Some(Dialed::Seed(seed))), true) =
                        (who, ended.is_of_another_cluster())
                    {
                        self.seeds.is_other_cluster(seed);
                    }
                    self.metrics.count(match ended {
                        Ended::RefusedByUs(_) | Ended::RefusedByThem(_) => Count::TurnedAway,
                        _ => Count::Senseless,
                    });
                    return self.end(link);
                }
            }
        }
    }

    fn hear(&mut self, link: Link, who: Who, message: Message) {
        match (who, message) {
            (Who::Peer(_), Message::Pong { ticket: PING }) => {}
            (Who::Peer(from), message) => {
                self.metrics.count(Count::PeerMessage);
                self.work.push_back(Work::Node(Event::Peer {
                    from,
                    arrived: self.now.mono,
                    message,
                }));
            }
            (
                Who::Client,
                Message::Request {
                    epoch: _,
                    ticket,
                    patience,
                    mut request,
                },
            ) => {
                let timeout = request.options.timeout.unwrap_or(patience);
                request.options.timeout = Some(timeout.min(patience));
                self.ask(link, ticket.0, request, false);
            }
            (Who::Admin, Message::Admin { ticket, command }) => {
                self.administer(link, ticket, &command);
            }
            (Who::Client, Message::AskDirectory { ticket, known }) => {
                self.tell_directory(link, ticket, known);
            }
            // A client may only ask; nobody else has been let in.
            (Who::Client | Who::Admin | Who::Stranger(_) | Who::Nobody, _) => {
                self.metrics.count(Count::Senseless);
                self.hang_up(link);
            }
        }
    }

    /// Somebody has said who it is.
    fn meet(&mut self, link: Link, established: Established) {
        let dialed = self.links.get(link).and_then(|line| match line.speech {
            Speech::Wire {
                who: Who::Stranger(dialed),
                ..
            } => dialed,
            _ => None,
        });
        match established.peer {
            Role::Client => self.meet_client(link),
            Role::Admin => self.meet_admin(link),
            Role::Peer { node, generation } => {
                let now = self.now.mono;
                let arrival = (self.peers).arrived(node, generation, link, dialed.is_some(), now);
                if let Some(Dialed::Seed(seed)) = dialed {
                    self.found_at_seed(seed, node);
                }
                match arrival {
                    Arrival::In { earlier } => self.meet_peer(link, node, earlier),
                    Arrival::Out => {
                        // Of two that meet twice one connection is enough.
                        if self.peers.link(node).is_none() {
                            self.metrics.count(Count::TurnedAway);
                        }
                        self.hang_up(link);
                    }
                }
            }
        }
        self.said(link);
    }

    fn meet_peer(&mut self, link: Link, node: NodeId, earlier: Option<Link>) {
        if let Some(earlier) = earlier {
            self.hang_up(earlier);
            self.metrics.count(Count::PeerLost);
            self.work
                .push_back(Work::Node(Event::PeerLost { peer: node }));
        }
        self.metrics.count(Count::PeerMet);
        self.links.identify(link, Who::Peer(node));
    }

    fn meet_client(&mut self, link: Link) {
        if self.links.clients >= self.bounds.clients || self.is_stopping {
            self.metrics.count(Count::TurnedAway);
            return self.hang_up(link);
        }
        self.links.identify(link, Who::Client);
        if let Some(line) = self.links.get_mut(link)
            && let Speech::Wire { connection, .. } = &mut line.speech
        {
            // Answers are bounded by what may be asked for while they are unread.
            connection.bound_outgoing(usize::MAX);
        }
    }
}
