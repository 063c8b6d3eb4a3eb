//! Who comes in, and whose place they take.

use bytes::BytesMut;
use dynamo_proto::wire::Refusal;

use super::links::{Speech, Who};
use super::{Driver, Lane, Link};
use crate::Connection;
use crate::front::Front;
use crate::metrics::Count;

/// What a listener speaks.
pub enum Entrance {
    /// Frames: other nodes and native clients.
    Native,
    /// A front's protocol, for clients or for those who look after the node.
    Front(Box<dyn Front>, Lane),
}

impl Driver {
    pub(super) fn let_in(&mut self) -> Link {
        let (identity, limits) = (self.identity, self.config.limits);
        let is_full = self.links.strangers >= self.bounds.strangers || self.is_stopping;
        let speech = if is_full {
            self.metrics.count(Count::TurnedAway);
            Speech::Wire {
                connection: Box::new(Connection::refuse(identity, Refusal::Overloaded, limits)),
                who: Who::Nobody,
            }
        } else {
            let (nonce, bound) = (self.dice.nonce(), self.bounds.peer_bytes);
            Speech::Wire {
                connection: Box::new(Connection::accept(identity, nonce, limits, bound)),
                who: Who::Stranger(None),
            }
        };
        self.sweep_from_now_on();
        self.links.insert(speech, self.now.mono)
    }

    pub(super) fn seat(&mut self, front: Box<dyn Front>, lane: Lane) -> Link {
        let lane = self.place(lane);
        let is_full = lane == Lane::Nobody;
        let mut out = BytesMut::new();
        if is_full {
            self.metrics.count(Count::TurnedAway);
            front.turn_away(&mut out);
        }
        let speech = Speech::Front {
            front,
            lane,
            input: BytesMut::new(),
            out,
        };
        self.sweep_from_now_on();
        let link = self.links.insert(speech, self.now.mono);
        if is_full {
            self.end(link);
        }
        link
    }

    /// Whose place a new connection of that lane takes.
    fn place(&mut self, lane: Lane) -> Lane {
        let has_room = self.links.clients < self.bounds.clients;
        match lane {
            _ if self.is_stopping => Lane::Nobody,
            Lane::Clients | Lane::Admins if has_room => Lane::Clients,
            Lane::Admins if self.links.admins < self.bounds.admins => Lane::Admins,
            Lane::Admins => match self.links.quietest_admin() {
                Some(quietest) => {
                    self.metrics.count(Count::HungUp);
                    self.hang_up(quietest);
                    Lane::Admins
                }
                None => Lane::Nobody,
            },
            Lane::Clients | Lane::Nobody => Lane::Nobody,
        }
    }
}
