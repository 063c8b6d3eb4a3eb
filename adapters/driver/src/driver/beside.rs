//! The other nodes of this process: they are moved messages, not sent frames.

use std::net::SocketAddr;

use dynamo_proto::node::{Event, Unsent};
use dynamo_proto::wire::Message;
use dynamo_proto::{NodeId, Now};

use super::{Action, Driver, Work};
use crate::metrics::Count;

impl Driver {
    /// A node of the same process begins, which listens there. From now on nobody dials the other: what
    /// this one says to it is an [`Action::Pass`].
    pub fn met_beside(&mut self, now: Now, node: NodeId, address: SocketAddr) {
        self.now = now;
        if let Some(earlier) = self.peers.met_beside(node, address, now.mono) {
            self.hang_up(earlier);
        }
        self.settle();
    }

    /// A node of the same process is gone.
    pub fn left_beside(&mut self, now: Now, node: NodeId) {
        self.now = now;
        if self.peers.left_beside(node) {
            self.metrics.count(Count::PeerLost);
            self.work
                .push_back(Work::Node(Event::PeerLost { peer: node }));
        }
        self.settle();
    }

    /// A node of the same process says something.
    pub fn passed(&mut self, now: Now, from: NodeId, message: Message) {
        self.now = now;
        self.metrics.count(Count::Passed);
        self.work.push_back(Work::Node(Event::Peer {
            from,
            arrived: now.mono,
            message,
        }));
        self.settle();
    }

    /// That node of the same process does not take what an [`Action::Pass`] was to bring it.
    pub fn unpassed(&mut self, now: Now, to: NodeId, message: Message, why: Unsent) {
        self.now = now;
        self.unsent(to, message, why);
        self.settle();
    }

    pub(super) fn pass(&mut self, to: NodeId, message: Message) {
        self.actions.push_back(Action::Pass { to, message });
    }
}
