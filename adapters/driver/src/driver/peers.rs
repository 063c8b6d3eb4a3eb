//! The other nodes: where they are, who dials whom, and when again.
//!
//! Of two nodes the one with the smaller id dials, so that a pair has one connection and two that
//! dial at once never have to choose. The other dials too, but only after it has waited a little in
//! vain: it may be somewhere else than it was. Who is dialed by whoever has it for a seed lets it in
//! whatever its id. Of two connections of one pair that in the right order stays. A node that comes
//! again replaces its earlier connection, whether that is known to be lost or not, unless it is an
//! earlier life of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dynamo_proto::membership::{MAX_NEWCOMERS, Membership};
use dynamo_proto::{Generation, Instant, NodeId};

use super::Link;
use crate::{Dice, PeerStatus, Waits};

pub(crate) struct Peers {
    me: NodeId,
    waits: Waits,
    /// By id, and so in the same order as `statuses`.
    peers: Vec<Peer>,
    statuses: Vec<PeerStatus>,
    /// Where they are before they have said so.
    known: BTreeMap<NodeId, SocketAddr>,
    /// What of the membership this follows from.
    news: Option<u64>,
    /// Those of this process, which nobody dials.
    beside: Vec<Beside>,
}

struct Beside {
    node: NodeId,
    address: SocketAddr,
    /// Since when, unless it is gone.
    since: Option<Instant>,
}

struct Peer {
    node: NodeId,
    link: Option<(Link, Generation)>,
    dialing: Dialing,
    /// How long to wait after the next failure.
    wait: Duration,
}

enum Dialing {
    /// It dials us, or is connected.
    Not,
    At(Instant),
    Now(Link),
}

/// A node that says who it is.
pub(crate) enum Arrival {
    /// It is let in, and this earlier connection of it is over.
    In { earlier: Option<Link> },
    /// It is here already, or it has another life by now, or there are too many strangers.
    Out,
}

impl Peers {
    pub(crate) fn new(me: NodeId, known: BTreeMap<NodeId, SocketAddr>, waits: Waits) -> Self {
        Self {
            me,
            waits,
            peers: Vec::new(),
            statuses: Vec::new(),
            known,
            news: None,
            beside: Vec::new(),
        }
    }

    /// Keeps up with who is in the cluster and where. Who is in it no more is not dialed any more,
    /// and forgotten when it hangs up: it may have to be told so.
    pub(crate) fn follow(&mut self, membership: &Membership, now: Instant) {
        if self.news == Some(membership.news()) {
            return;
        }
        self.news = Some(membership.news());
        let members = membership.state().into_iter();
        let members = members
            .flat_map(|state| state.present())
            .map(|it| (it, true));
        let newcomers = membership.newcomers().map(|it| (it.member.id, false));
        let mut listed: BTreeMap<NodeId, bool> = newcomers.collect();
        listed.extend(members);
        listed.remove(&self.me);
        for (node, is_member) in &listed {
            let said = membership.address(*node).and_then(|it| it.parse().ok());
            let address = said.or_else(|| self.known.get(node).copied());
            self.list(*node, *is_member, address, now);
        }
        for at in (0..self.peers.len()).rev() {
            if !listed.contains_key(&self.peers[at].node) {
                self.statuses[at].is_member = false;
                self.let_go(at);
            }
        }
    }

    fn list(&mut self, node: NodeId, is_member: bool, address: Option<SocketAddr>, now: Instant) {
        let at = self.place(node);
        let beside = self.beside.iter().find(|it| it.node == node);
        let status = &mut self.statuses[at];
        if let Some(beside) = beside {
            status.address = address.or(Some(beside.address));
            (status.is_member, status.connected) = (is_member, beside.since);
            return;
        }
        let is_news = address.is_some() && (status.address, status.is_member) != (address, true);
        (status.address, status.is_member) = (address.or(status.address), is_member);
        if is_member && is_news && status.connected.is_none() {
            self.peers[at].dialing = Dialing::At(now + self.patience(node));
        }
    }

    /// Where a node is in the table from now on.
    fn place(&mut self, node: NodeId) -> usize {
        let found = self.peers.binary_search_by_key(&node, |it| it.node);
        found.unwrap_or_else(|at| {
            let peer = Peer {
                node,
                link: None,
                dialing: Dialing::Not,
                wait: self.waits.redial,
            };
            let status = PeerStatus {
                node,
                address: None,
                is_member: false,
                connected: None,
            };
            self.peers.insert(at, peer);
            self.statuses.insert(at, status);
            at
        })
    }

    /// Forgets a node that is no member and to which there is no connection.
    fn let_go(&mut self, at: usize) {
        let is_beside = self.is_beside(self.peers[at].node);
        let peer = &mut self.peers[at];
        if matches!(peer.dialing, Dialing::At(_)) {
            peer.dialing = Dialing::Not;
        }
        if peer.link.is_none() && matches!(peer.dialing, Dialing::Not) && !is_beside {
            self.peers.remove(at);
            self.statuses.remove(at);
        }
    }

    /// How long it is waited for a node to dial.
    fn patience(&self, node: NodeId) -> Duration {
        match self.me < node {
            true => Duration::ZERO,
            false => 4 * self.waits.redial,
        }
    }

    /// All of them, by id.
    pub(crate) fn statuses(&self) -> &[PeerStatus] {
        &self.statuses
    }

    /// The connection to a node, if there is one.
    pub(crate) fn link(&self, node: NodeId) -> Option<Link> {
        let (link, _) = self.peers[self.at(node)?].link?;
        Some(link)
    }

    /// The connection to whoever is there, if there is one.
    pub(crate) fn link_at(&self, address: SocketAddr) -> Option<(NodeId, Link)> {
        let mut both = self.peers.iter().zip(&self.statuses);
        both.find_map(|(peer, status)| {
            let (link, _) = peer.link.filter(|_| status.address == Some(address))?;
            Some((peer.node, link))
        })
    }

    /// When the next one is to be dialed.
    pub(crate) fn next_dial(&self) -> Option<Instant> {
        let due = self.peers.iter().filter_map(|peer| match peer.dialing {
            Dialing::At(at) => Some(at),
            Dialing::Not | Dialing::Now(_) => None,
        });
        due.min()
    }

    /// One that is to be dialed by now.
    pub(crate) fn due(&self, now: Instant) -> Option<(NodeId, SocketAddr)> {
        let mut both = self.peers.iter().zip(&self.statuses);
        both.find_map(|(peer, status)| match peer.dialing {
            Dialing::At(at) if at <= now => Some((peer.node, status.address?)),
            _ => None,
        })
    }

    /// It is being dialed.
    pub(crate) fn dialing(&mut self, node: NodeId, link: Link) {
        if let Some(at) = self.at(node) {
            self.peers[at].dialing = Dialing::Now(link);
        }
    }

    /// Somebody who goes by that name is at the other end of a connection.
    pub(crate) fn arrived(
        &mut self,
        node: NodeId,
        generation: Generation,
        link: Link,
        was_dialed: bool,
        now: Instant,
    ) -> Arrival {
        let strangers = self.statuses.iter().filter(|it| !it.is_member).count();
        let is_one_too_many = self.at(node).is_none() && strangers >= 2 * MAX_NEWCOMERS;
        if node == self.me || self.is_beside(node) || is_one_too_many {
            return Arrival::Out;
        }
        let at = self.place(node);
        let is_in_order = was_dialed == (self.me < node);
        let peer = &mut self.peers[at];
        if let Some((_, current)) = peer.link
            && (generation < current || (generation == current && !is_in_order))
        {
            return Arrival::Out;
        }
        let earlier = peer.link.replace((link, generation));
        peer.dialing = Dialing::Not;
        self.statuses[at].connected = Some(now);
        Arrival::In {
            earlier: earlier.map(|(link, _)| link),
        }
    }

    /// A connection is over, or did not come about. Returns whether it was the one to that node.
    pub(crate) fn lost(&mut self, node: NodeId, link: Link, now: Instant, dice: &mut Dice) -> bool {
        let Some(at) = self.at(node) else {
            return false;
        };
        let (longest, patience) = (self.waits.longest_redial, self.patience(node));
        let peer = &mut self.peers[at];
        let was_connected = peer.link.is_some_and(|(current, _)| current == link);
        if was_connected {
            peer.link = None;
            let since = self.statuses[at].connected.take();
            // One that ends as soon as it has begun is no success.
            if since.is_some_and(|since| now.since(since) > longest) {
                peer.wait = self.waits.redial;
            }
        }
        let was_dialing = matches!(peer.dialing, Dialing::Now(dialing) if dialing == link);
        if was_dialing || was_connected {
            let status = &self.statuses[at];
            peer.dialing = match status.is_member && status.address.is_some() {
                true => Dialing::At(now + patience + dice.jittered(peer.wait)),
                false => Dialing::Not,
            };
            peer.wait = (2 * peer.wait).min(longest);
            if !status.is_member {
                self.let_go(at);
            }
        }
        was_connected
    }

    /// Whether a node is in this process.
    pub(crate) fn is_beside(&self, node: NodeId) -> bool {
        self.beside.iter().any(|it| it.node == node)
    }

    /// The node of this process that listens there.
    pub(crate) fn beside_at(&self, address: SocketAddr) -> Option<NodeId> {
        let beside = self.beside.iter().find(|it| it.address == address)?;
        Some(beside.node)
    }

    /// A node is in this process. Returns the connection to it, if there is or may be one.
    pub(crate) fn met_beside(
        &mut self,
        node: NodeId,
        address: SocketAddr,
        now: Instant,
    ) -> Option<Link> {
        self.beside.retain(|it| it.node != node);
        self.beside.push(Beside {
            node,
            address,
            since: Some(now),
        });
        let at = self.place(node);
        self.statuses[at].address = Some(address);
        self.statuses[at].connected = Some(now);
        let peer = &mut self.peers[at];
        let (link, dialing) = (peer.link.take(), &mut peer.dialing);
        match std::mem::replace(dialing, Dialing::Not) {
            Dialing::Now(link) => Some(link),
            Dialing::Not | Dialing::At(_) => link.map(|(link, _)| link),
        }
    }

    /// A node that was in this process is gone. Returns whether it was known to be there.
    pub(crate) fn left_beside(&mut self, node: NodeId) -> bool {
        let beside = self.beside.iter_mut().find(|it| it.node == node);
        let was_there = beside.is_some_and(|it| it.since.take().is_some());
        if was_there && let Some(at) = self.at(node) {
            self.statuses[at].connected = None;
        }
        was_there
    }

    fn at(&self, node: NodeId) -> Option<usize> {
        self.peers.binary_search_by_key(&node, |it| it.node).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dynamo_proto::membership::{Birth, Config};
    use dynamo_proto::ring::{Member, RingConfig};
    use dynamo_proto::version::Boot;
    use dynamo_proto::{Buckets, ClusterId, Seed, WallTime};

    use super::*;

    const ME: NodeId = NodeId(5);

    const NODES: [u64; 3] = [3, 5, 8];

    fn peers() -> Peers {
        let address = SocketAddr::from(([127, 0, 0, 1], 7400));
        let known = NODES.map(|node| (NodeId(node), address)).into();
        let mut peers = Peers::new(ME, known, Waits::default());
        peers.follow(&membership(&NODES), Instant::default());
        peers
    }

    fn membership(nodes: &[u64]) -> Membership {
        let member = |node: &u64| Member::new(NodeId(*node), "zone", format!("host-{node}"));
        let birth = Birth {
            cluster: ClusterId(1),
            ring: RingConfig::default(),
            members: nodes.iter().map(|node| Arc::new(member(node))).collect(),
            buckets: Buckets::default(),
            admits_newcomers: false,
            at: WallTime::ZERO,
        };
        let config = Config::new(birth.cluster, member(&ME.0), Boot(1));
        Membership::birth(config, Arc::new(birth), Seed(1)).expect("a sound birth")
    }

    fn link(number: u32) -> Link {
        Link {
            index: number,
            generation: 0,
        }
    }

    #[test]
    fn the_smaller_id_dials_and_the_other_when_nobody_has() {
        let mut peers = peers();
        let now = Instant::default();
        assert_eq!(peers.due(now).map(|(node, _)| node), Some(NodeId(8)));
        peers.dialing(NodeId(8), link(1));
        assert!(peers.due(now).is_none());
        let later = peers.next_dial().expect("3 may be somewhere else");
        assert_eq!(peers.due(later).map(|(node, _)| node), Some(NodeId(3)));

        let mut arrived = |node, was_dialed, number| {
            let link = link(number);
            match peers.arrived(NodeId(node), Generation(1), link, was_dialed, now) {
                Arrival::In { earlier } => Some(earlier),
                Arrival::Out => None,
            }
        };
        assert_eq!(arrived(3, true, 1), Some(None), "nobody else was first");
        assert_eq!(
            arrived(3, false, 2),
            Some(Some(link(1))),
            "the right order stays"
        );
        assert_eq!(arrived(3, true, 3), None);
        assert_eq!(arrived(5, true, 4), None, "this is me");
        assert_eq!(arrived(4, false, 5), Some(None), "a newcomer, perhaps");
        assert!(peers.next_dial().is_none());
        assert!(!peers.statuses()[1].is_member);
    }

    #[test]
    fn strangers_are_bounded_and_forgotten_when_they_go() {
        let (mut peers, now) = (peers(), Instant::default());
        let mut dice = Dice::new([1; 32]);
        let mut come = |node: u32| {
            let id = NodeId(100 + u64::from(node));
            let arrival = peers.arrived(id, Generation(1), link(node), false, now);
            matches!(arrival, Arrival::In { .. })
        };
        let most = 2 * MAX_NEWCOMERS as u32;
        assert!((0..most).all(&mut come));
        assert!(!come(most));
        for node in 0..most {
            assert!(peers.lost(NodeId(100 + u64::from(node)), link(node), now, &mut dice));
        }
        assert_eq!(peers.statuses().len(), 2);
    }

    #[test]
    fn who_is_no_member_any_more_is_not_dialed() {
        let (mut peers, now) = (peers(), Instant::default());
        let mut dice = Dice::new([1; 32]);
        peers.arrived(NodeId(8), Generation(1), link(1), true, now);
        peers.news = None; // as if more had been decided since
        peers.follow(&membership(&[5]), now);
        assert!(peers.next_dial().is_none());
        assert_eq!(peers.link(NodeId(8)), Some(link(1)), "it is still told so");
        assert!(peers.lost(NodeId(8), link(1), now, &mut dice));
        assert!(peers.next_dial().is_none());
        assert!(peers.statuses().is_empty());
    }

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew_after_a_connection_that_lasted() {
        let (mut peers, mut dice) = (peers(), Dice::new([1; 32]));
        let (first, longest) = (Waits::default().redial, Waits::default().longest_redial);
        let mut now = Instant::default();
        peers.arrived(NodeId(3), Generation(1), link(99), false, now);
        let mut waits = Vec::new();
        for number in 0..12 {
            peers.dialing(NodeId(8), link(number));
            assert!(!peers.lost(NodeId(8), link(number), now, &mut dice));
            let next = peers.next_dial().expect("it is dialed again");
            waits.push(next.since(now));
            now = next;
        }
        assert!((first / 2..=first).contains(&waits[0]), "{waits:?}");
        let last = waits[11];
        assert!((longest / 2..=longest).contains(&last), "{waits:?}");

        // One that ends at once.
        peers.arrived(NodeId(8), Generation(1), link(20), true, now);
        assert!(peers.lost(NodeId(8), link(20), now, &mut dice));
        let again = peers.next_dial().expect("it is dialed again");
        assert!(again.since(now) >= longest / 2);
        // And one that lasts.
        peers.arrived(NodeId(8), Generation(1), link(21), true, now);
        now = now + longest + Duration::from_secs(1);
        assert!(peers.lost(NodeId(8), link(21), now, &mut dice));
        let again = peers.next_dial().expect("it is dialed again");
        assert!(again.since(now) <= first);
    }

    #[test]
    fn a_node_that_comes_again_replaces_its_connection_and_an_earlier_life_does_not() {
        let (mut peers, now) = (peers(), Instant::default());
        let mut arrived = |generation, number| {
            peers.arrived(NodeId(3), Generation(generation), link(number), false, now)
        };
        assert!(matches!(arrived(5, 1), Arrival::In { earlier: None }));
        assert!(matches!(arrived(4, 2), Arrival::Out));
        assert!(matches!(arrived(5, 3), Arrival::In { earlier: Some(it) } if it == link(1)));
        assert!(matches!(arrived(6, 4), Arrival::In { earlier: Some(it) } if it == link(3)));
        // What was replaced ends later, and changes nothing.
        let mut dice = Dice::new([1; 32]);
        assert!(!peers.lost(NodeId(3), link(1), now, &mut dice));
        assert_eq!(peers.link(NodeId(3)), Some(link(4)));
    }
}
