//! Where this node asks for its cluster: addresses at which somebody may listen.
//!
//! They are dialed whenever something is to be said there, which is now and then, and not otherwise.

use std::net::SocketAddr;

use dynamo_proto::NodeId;
use dynamo_proto::wire::Message;

use super::links::{Dialed, Speech};
use super::{Action, Driver, Link};
use crate::SeedStatus;
use crate::metrics::Count;

#[derive(Default)]
pub(super) struct Seeds {
    seeds: Vec<Seed>,
    statuses: Vec<SeedStatus>,
}

#[derive(Default)]
struct Seed {
    /// While it is being dialed.
    link: Option<Link>,
    /// What is said there then.
    message: Option<Message>,
}

impl Seeds {
    pub(super) fn new(addresses: &[SocketAddr]) -> Self {
        let status = |address: &SocketAddr| SeedStatus {
            address: *address,
            node: None,
            is_other_cluster: false,
        };
        Self {
            seeds: addresses.iter().map(|_| Seed::default()).collect(),
            statuses: addresses.iter().map(status).collect(),
        }
    }

    pub(super) fn statuses(&self) -> &[SeedStatus] {
        &self.statuses
    }

    /// It is no more being dialed.
    pub(super) fn lost(&mut self, seed: u16, link: Link) {
        if let Some(seed) = self.seeds.get_mut(usize::from(seed))
            && seed.link == Some(link)
        {
            (seed.link, seed.message) = (None, None);
        }
    }

    /// A node of another cluster is there.
    pub(super) fn is_other_cluster(&mut self, seed: u16) {
        if let Some(status) = self.statuses.get_mut(usize::from(seed)) {
            (status.node, status.is_other_cluster) = (None, true);
        }
    }
}

impl Driver {
    /// Something is to be said to whoever is at a seed's address.
    pub(super) fn introduce(&mut self, at: u16, message: Message) {
        let seeds = &mut self.seeds;
        let (Some(seed), Some(status)) = (
            seeds.seeds.get_mut(usize::from(at)),
            seeds.statuses.get_mut(usize::from(at)),
        ) else {
            return;
        };
        if let Some(node) = self.peers.beside_at(status.address) {
            status.node = Some(node);
            return self.pass(node, message);
        }
        let by_name = status.node.filter(|node| self.peers.link(*node).is_some());
        let by_place = || Some(self.peers.link_at(status.address)?.0);
        if let Some(node) = by_name.or_else(by_place) {
            // If it is lost, it is said again in other words.
            let _ = self.send_to(node, |connection| connection.send(&message));
            return;
        }
        seed.message = Some(message);
        if seed.link.is_none() && !self.is_stopping {
            let peer = Dialed::Seed(at);
            let link = self.links.insert(Speech::Dialing { peer }, self.now.mono);
            seed.link = Some(link);
            self.metrics.count(Count::Dialed);
            let address = status.address;
            self.actions.push_back(Action::Dial { link, address });
            self.sweep_from_now_on();
        }
    }

    /// That node is at the address of a seed: it is told what is to be said there.
    pub(super) fn found_at_seed(&mut self, at: u16, node: NodeId) {
        let at = usize::from(at);
        let Some(seed) = self.seeds.seeds.get_mut(at) else {
            return;
        };
        let message = seed.message.take();
        seed.link = None;
        let status = &mut self.seeds.statuses[at];
        (status.node, status.is_other_cluster) = (Some(node), false);
        if let Some(message) = message {
            let _ = self.send_to(node, |connection| connection.send(&message));
        }
    }
}
