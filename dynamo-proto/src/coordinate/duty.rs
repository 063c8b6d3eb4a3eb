//! Who is asked for a key now: the nodes on duty, and who stands in for those that are away.

use smallvec::SmallVec;

use crate::node::Env;
use crate::{Key, NodeId};

/// One of the replicas of a key, as it is asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) node: NodeId,
    /// The node on duty for which it stands in, if it is not on duty itself.
    pub(crate) held_for: Option<NodeId>,
}

pub(crate) type Seats = SmallVec<[Seat; 4]>;

impl Seat {
    /// The node whose place it is.
    pub(crate) fn owner(&self) -> NodeId {
        self.held_for.unwrap_or(self.node)
    }
}

/// The first `n` nodes on duty, each one that is away replaced by whoever stands in for it, if
/// anybody does.
pub(crate) fn seats(key: &Key, n: u8, env: &Env<'_>) -> Seats {
    let mut seats = Seats::new();
    for member in env.ring.lookup(key.token()).primaries(n.into()) {
        seats.push(Seat {
            node: member.id,
            held_for: None,
        });
    }
    for at in 0..seats.len() {
        let owner = seats[at].node;
        if !env.health.is_trusted(owner)
            && let Some(node) =
                stand_in(key, |node| seats.iter().any(|seat| seat.node == node), env)
        {
            seats[at] = Seat {
                node,
                held_for: Some(owner),
            };
        }
    }
    seats
}

/// The first that is reached of those who are not on duty for a key and not taken already.
pub(crate) fn stand_in(
    key: &Key,
    is_taken: impl Fn(NodeId) -> bool,
    env: &Env<'_>,
) -> Option<NodeId> {
    let n = env.config.buckets.of(key).n;
    let list = env.ring.lookup(key.token());
    let mut fallbacks = list.fallbacks(n.into()).map(|member| member.id);
    fallbacks.find(|node| env.health.is_trusted(*node) && !is_taken(*node))
}

/// Whether this node keeps that key for itself, rather than for others.
pub(crate) fn is_owner(key: &Key, env: &Env<'_>) -> bool {
    let n = env.config.buckets.of(key).n;
    env.ring.lookup(key.token()).is_primary(env.me(), n.into())
}
