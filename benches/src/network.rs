//! How messages get from node to node without a network: as they are, or as bytes.

use std::array;
use std::collections::VecDeque;

use dynamo_driver::{Connection, Event, Identity};
use dynamo_proto::wire::{Message, Nonce, Versions};
use dynamo_proto::{Generation, Limits, NodeId};

use crate::cluster::{CLUSTER, NODES};
use crate::scattered;

/// A message on its way, or there.
#[derive(Debug)]
pub struct Letter {
    /// Who sends it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// What it says.
    pub message: Message,
}

/// Carries messages between the nodes of a [`Cluster`](crate::cluster::Cluster).
pub trait Network {
    /// Takes a message for one or several nodes.
    fn send(&mut self, from: NodeId, to: &[NodeId], message: Message);

    /// Delivers the next one.
    fn deliver(&mut self) -> Option<Letter>;
}

/// Moves messages as they are. What goes to two is cloned, which shares its values.
#[derive(Debug, Default)]
pub struct Moved(VecDeque<Letter>);

/// Writes messages to frames, copies their bytes as sockets would, and reads them again.
#[derive(Debug)]
pub struct Framed {
    /// One for each two nodes.
    lines: [Line; NODES],
    /// Which line is read, and in which direction.
    turn: usize,
}

/// A connection, seen from both of its ends.
#[derive(Debug)]
struct Line {
    ends: [End; 2],
}

#[derive(Debug)]
struct End {
    node: NodeId,
    connection: Connection,
}

/// The most that waits for the other end.
const OUTGOING_BYTES: usize = 1 << 20;

impl Network for Moved {
    #[inline]
    fn send(&mut self, from: NodeId, to: &[NodeId], message: Message) {
        let Some((&last, others)) = to.split_last() else {
            return;
        };
        for &to in others {
            let message = message.clone();
            self.0.push_back(Letter { from, to, message });
        }
        let to = last;
        self.0.push_back(Letter { from, to, message });
    }

    #[inline]
    fn deliver(&mut self) -> Option<Letter> {
        self.0.pop_front()
    }
}

impl Framed {
    /// Connections between all nodes, past their handshakes.
    #[must_use]
    pub fn established() -> Self {
        let pairs: [[u64; 2]; NODES] = [[0, 1], [0, 2], [1, 2]];
        let mut framed = Self {
            lines: pairs.map(Line::new),
            turn: 0,
        };
        let said = framed.deliver();
        assert!(said.is_none(), "handshakes are no messages");
        framed
    }

    fn end(&mut self, from: NodeId, to: NodeId) -> &mut Connection {
        let at = (from.0 + to.0 - 1) as usize; // the order of the pairs above
        let ends = &mut self.lines[at].ends;
        let end = ends.iter_mut().find(|end| end.node == from);
        &mut end.expect("every two nodes have a line").connection
    }
}

impl Network for Framed {
    fn send(&mut self, from: NodeId, to: &[NodeId], message: Message) {
        let sent = match to {
            [one] => self.end(from, *one).send(&message),
            several => {
                let body = message.encode();
                let mut each = several.iter();
                each.try_for_each(|to| self.end(from, *to).send_body(&body))
            }
        };
        sent.expect("what is sent at once is far below the bound");
    }

    fn deliver(&mut self) -> Option<Letter> {
        let mut idle = 0;
        while idle < 2 * NODES {
            let line = &mut self.lines[self.turn / 2];
            if let Some(letter) = line.poll(self.turn % 2) {
                return Some(letter);
            }
            if line.carry(self.turn % 2) {
                idle = 0;
            } else {
                idle += 1;
                self.turn = (self.turn + 1) % (2 * NODES);
            }
        }
        None
    }
}

impl Line {
    fn new(nodes: [u64; 2]) -> Self {
        let [dialing, accepting] = nodes.map(|node| Identity {
            cluster: CLUSTER,
            node: NodeId(node),
            generation: Generation(1),
            versions: Versions::OURS,
        });
        let [ours, theirs] = array::from_fn(|at| nonce(2 * nodes[at] + at as u64));
        let limits = Limits::default();
        let hello = dialing.hello(ours);
        let connections = [
            Connection::dial(hello, Some(accepting.node), limits, OUTGOING_BYTES),
            Connection::accept(accepting, theirs, limits, OUTGOING_BYTES),
        ];
        let mut nodes = nodes.into_iter().map(NodeId);
        Self {
            ends: connections.map(|connection| End {
                node: nodes.next().expect("a node for each end"),
                connection,
            }),
        }
    }

    /// The next message that the end in that place has sent.
    fn poll(&mut self, sender: usize) -> Option<Letter> {
        let [from, to] = self.directed(sender);
        while let Some(event) = to.connection.poll().expect("nothing changes bytes here") {
            if let Event::Message(message) = event {
                let (from, to) = (from.node, to.node);
                return Some(Letter { from, to, message });
            }
        }
        None
    }

    /// Copies what that end has written into the other's buffer, as much as there is room for.
    /// Returns whether there was anything.
    fn carry(&mut self, sender: usize) -> bool {
        let [from, to] = self.directed(sender);
        let mut bytes = from.connection.outgoing();
        let waiting = bytes.len();
        to.connection.receive(&mut bytes);
        let taken = waiting - bytes.len();
        from.connection.sent(taken);
        taken > 0
    }

    fn directed(&mut self, sender: usize) -> [&mut End; 2] {
        let [one, other] = &mut self.ends;
        if sender == 0 {
            [one, other]
        } else {
            [other, one]
        }
    }
}

fn nonce(n: u64) -> Nonce {
    Nonce::new(scattered(n) as u32 | 1).expect("not 0")
}
