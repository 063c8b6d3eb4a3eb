//! Who is asked for a key now: the nodes on duty, and who stands in for those that are away.

use smallvec::SmallVec;

use crate::node::Env;
use crate::ring::Ring;
use crate::{Key, NodeId};

/// One of the replicas of a key, as it is asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Who is asked.
    pub node: NodeId,
    /// The node on duty for which it stands in, if it is not on duty itself.
    pub held_for: Option<NodeId>,
}

pub(crate) type Seats = SmallVec<[Seat; 4]>;

impl Seat {
    fn of(node: NodeId) -> Self {
        Self {
            node,
            held_for: None,
        }
    }

    /// The node whose place it is.
    #[must_use]
    pub fn owner(&self) -> NodeId {
        self.held_for.unwrap_or(self.node)
    }
}

/// Whom a write is sent to: the first `n` nodes on duty, by any ring that counts, each one that is
/// away replaced by whoever stands in for it, if anybody does. Those of the current ring come first.
pub(crate) fn seats(key: &Key, n: u8, env: &Env<'_>) -> Seats {
    let mut seats = on_duty(&env.view.ring, key, n);
    if env.view.is_moving() {
        let older = env.view.older(key.token(), n.into());
        seats.extend(older.into_iter().map(Seat::of));
    }
    fill(&mut seats, key, env);
    seats
}

/// Whom a read may ask: the same, by the ring whose owners have all that was acknowledged.
pub(crate) fn seats_to_read(key: &Key, n: u8, env: &Env<'_>) -> Seats {
    let mut seats = on_duty(&env.view.reads, key, n);
    fill(&mut seats, key, env);
    seats.retain(|seat| env.view.is_present(seat.node));
    seats
}

fn on_duty(ring: &Ring, key: &Key, n: u8) -> Seats {
    let primaries = ring.lookup(key.token()).primaries(n.into());
    primaries.map(|member| Seat::of(member.id)).collect()
}

fn fill(seats: &mut Seats, key: &Key, env: &Env<'_>) {
    for at in 0..seats.len() {
        let owner = seats[at].node;
        if !env.health.is_trusted(owner)
            && let Some(node) = stand_in(
                key,
                Some(owner),
                |node| seats.iter().any(|seat| seat.node == node),
                env,
            )
        {
            seats[at] = Seat {
                node,
                held_for: Some(owner),
            };
        }
    }
}

/// The first that is reached of those who are not on duty for a key and not taken already: one on
/// another host than the others on duty, if there is one, since a host counts once. It may be on that of
/// the owner in whose place it is asked, as another node of the same process.
pub(crate) fn stand_in(
    key: &Key,
    owner: Option<NodeId>,
    is_taken: impl Fn(NodeId) -> bool,
    env: &Env<'_>,
) -> Option<NodeId> {
    // Who is on duty only by the current ring stands in for who was before, and is removed.
    let n = match env.view.is_moving() {
        true => 0,
        false => env.view.buckets.of(key).n,
    };
    let list = env.view.ring.lookup(key.token());
    let fallbacks = list.fallbacks(n.into()).map(|member| member.id);
    let mut free = fallbacks.filter(|node| env.health.is_trusted(*node) && !is_taken(*node));
    let first = free.next()?;
    let host = |node| env.view.ring.host(node);
    let others = || {
        list.primaries(n.into())
            .filter(|it| Some(it.id) != owner && is_taken(it.id))
    };
    let counts = |node: &NodeId| others().all(|other| host(other.id) != host(*node));
    if owner.is_none() || counts(&first) {
        return Some(first);
    }
    Some(free.find(counts).unwrap_or(first))
}

/// Whether this node keeps that key for itself, rather than for others.
pub(crate) fn is_owner(key: &Key, env: &Env<'_>) -> bool {
    let n = env.view.buckets.of(key).n;
    env.view.is_on_duty(env.me(), key.token(), n.into())
}

/// Whether nobody else keeps that key for itself.
pub(crate) fn is_sole_owner(key: &Key, env: &Env<'_>) -> bool {
    let n = env.view.buckets.of(key).n;
    let view = env.view;
    let list = view.ring.lookup(key.token());
    is_owner(key, env) && !view.is_moving() && list.primaries(n.into()).count() == 1
}
