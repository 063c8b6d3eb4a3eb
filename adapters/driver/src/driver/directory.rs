//! What native clients are told of the cluster, so that they find their way by themselves.

use std::collections::BTreeMap;

use dynamo_proto::membership::{Directory, Epoch};
use dynamo_proto::ring::RingSnapshot;
use dynamo_proto::wire::{Message, Ticket};
use dynamo_proto::{Buckets, NodeId};

use super::links::Speech;
use super::{Driver, Link};

impl Driver {
    /// A client asks who is on duty for what. From now on it is told when that changes.
    pub(super) fn tell_directory(&mut self, link: Link, ticket: Ticket, known: u64) {
        let directory = self.directory();
        let directory = (directory.digest() != known).then(|| Box::new(directory));
        if let Some(line) = self.links.get_mut(link)
            && let Speech::Wire { connection, .. } = &mut line.speech
        {
            line.follows = true;
            // A ring too large for a frame is one that no client goes by.
            let _ = connection.send(&Message::Directory { ticket, directory });
            self.said(link);
        }
    }

    /// Who is on duty has changed, or is about to: all who have asked are told.
    pub(super) fn tell_epoch(&mut self, epoch: Epoch) {
        let followers: Vec<_> = self
            .links
            .all()
            .filter(|(_, line)| line.follows)
            .map(|(link, _)| link)
            .collect();
        for link in followers {
            if let Some(line) = self.links.get_mut(link)
                && let Speech::Wire { connection, .. } = &mut line.speech
                && connection.send(&Message::NewEpoch(epoch)).is_ok()
            {
                self.said(link);
            }
        }
    }

    fn directory(&self) -> Directory {
        let (ring, reads) = (self.node.ring(), self.node.reads());
        let membership = self.node.membership();
        let places = ring.members().iter().chain(reads.members());
        let places: BTreeMap<NodeId, Box<str>> = places
            .filter_map(|member| {
                let said = membership.record(member.id).map(|it| it.address.clone());
                let place = said.filter(|place| !place.is_empty());
                Some((member.id, place.or_else(|| self.address(member.id))?))
            })
            .collect();
        Directory {
            epoch: membership.epoch(),
            ring: RingSnapshot::from(&**ring),
            reads: (ring != reads).then(|| RingSnapshot::from(&**reads)),
            places,
            limits: self.config.limits,
            buckets: Buckets::clone(self.node.buckets()),
            retired: membership.retired().clone(),
        }
    }

    fn address(&self, node: NodeId) -> Option<Box<str>> {
        let mut statuses = self.peers.statuses().iter();
        let status = statuses.find(|status| status.node == node)?;
        Some(status.address?.to_string().into())
    }
}
