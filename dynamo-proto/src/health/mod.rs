//! Whom this node can reach, as its own requests and probes see it.
//!
//! ```text
//!            late          pinged in vain
//!   Trusted -----> doubted ---------------> Suspected -- pinged, directly and by way of others
//!    ^ ^  \_________________________________/   |
//!    | |          a lost connection             |
//!    | +---------- an answer                    |
//!    +------------ an answer -------------------+
//!                    at once the first time, later each time it has flapped
//! ```
//!
//! Suspicion only routes: it decides who is asked, never what is true or who is a member. Whoever is
//! slow but answers is not suspected; slowness decides who is asked first. Only answers count as
//! signs of life, since what a node says unasked does not prove that it hears us.
//!
//! Left to others: standing in for whom is suspected, and bringing home what was held for it.

mod latency;
mod probe;

use alloc::vec::Vec;
use core::time::Duration;

use crate::{Instant, NodeId};

pub use latency::Latency;

/// What this node knows of all others.
pub(crate) struct Health {
    me: NodeId,
    /// In the order of their ids.
    peers: Vec<Peer>,
    /// The wait for an answer by which all other times are measured.
    patience: Duration,
    /// Until then silence proves nothing: this node itself was not there.
    deaf_until: Instant,
    /// No peer wants to be probed before.
    next_probe: Option<Instant>,
    pings: u32,
    /// How long this node's own store takes to write.
    store: Latency,
    slow_store: Duration,
    is_store_slow: bool,
    /// In hundredths: what further reads may still cost beyond those that were needed.
    hedges: u32,
}

struct Peer {
    node: NodeId,
    /// When it was suspected; `None` while it is trusted.
    suspected: Option<Instant>,
    /// Since when something it was asked is late, and nothing else answered either.
    doubted: Option<Instant>,
    /// When it was last trusted again.
    trusted: Instant,
    /// When it was last asked without an answer since, and pinged without a pong.
    probe_at: Instant,
    unanswered: u32,
    answered: Instant,
    /// How often it was suspected soon after it was trusted.
    flaps: u32,
    /// By way of whom it is reached, if not directly.
    via: Option<NodeId>,
    reads: Latency,
}

/// How often a peer must be stable for that many patiences before earlier flaps are forgotten.
const STABLE: u32 = 120;
/// Most doublings of the time for which a peer that flaps is not trusted.
const MOST_FLAPS: u32 = 6;
/// A hedge costs as much as this many reads earn: so at most 5 % of reads are hedged.
const HEDGE: u32 = 20;
const MOST_HEDGES: u32 = 10 * HEDGE;

impl Health {
    pub(crate) fn new(me: NodeId, patience: Duration, slow_store: Duration) -> Self {
        Self {
            me,
            peers: Vec::new(),
            patience,
            deaf_until: Instant::default(),
            next_probe: None,
            pings: 0,
            store: Latency::default(),
            slow_store,
            is_store_slow: false,
            hedges: 0,
        }
    }

    /// These are all nodes there are, in the order of their ids, this one among them or not.
    pub(crate) fn follow(&mut self, nodes: &[NodeId]) {
        let mut before = core::mem::take(&mut self.peers).into_iter().peekable();
        for node in nodes.iter().copied().filter(|node| *node != self.me) {
            while before.next_if(|peer| peer.node < node).is_some() {}
            let known = before.next_if(|peer| peer.node == node);
            self.peers.push(known.unwrap_or_else(|| Peer::new(node)));
        }
        self.schedule();
    }

    /// Whether that node can be asked, as far as is known. This node itself always can, nodes that
    /// are not of the cluster never.
    pub(crate) fn is_trusted(&self, node: NodeId) -> bool {
        match self.peer(node) {
            Some(peer) => peer.suspected.is_none(),
            None => node == self.me,
        }
    }

    /// By way of whom that node is reached, if not directly.
    pub(crate) fn via(&self, node: NodeId) -> Option<NodeId> {
        self.peer(node)?.via
    }

    /// An answer came, directly or by way of another. Returns whether the node is trusted again.
    pub(crate) fn answered(&mut self, node: NodeId, via: Option<NodeId>, now: Instant) -> bool {
        let patience = self.patience;
        let Some(peer) = self.peer_mut(node) else {
            return false;
        };
        peer.answered = now;
        peer.unanswered = 0;
        let was_doubted = peer.doubted.take().is_some();
        if peer.suspected.is_none() {
            let was_far = via.is_none() && peer.via.take().is_some();
            if was_far || was_doubted {
                self.schedule();
            }
            return false;
        }
        let since = peer.suspected.unwrap_or(now);
        let hold = match planted!(SuspectsForEver ? u32::MAX; peer.flaps) {
            0 => Duration::ZERO,
            u32::MAX => Duration::MAX,
            flaps => patience.saturating_mul(1 << (flaps.min(MOST_FLAPS) - 1)),
        };
        if now < since + hold {
            return false;
        }
        peer.suspected = None;
        peer.trusted = now;
        peer.via = via;
        self.schedule();
        true
    }

    /// A message came that is no answer. By the way on which it came its sender is spoken to.
    pub(crate) fn heard(&mut self, node: NodeId, via: Option<NodeId>) {
        if let Some(peer) = self.peer_mut(node)
            && peer.suspected.is_none()
            && peer.via != via
        {
            peer.via = via;
            self.schedule();
        }
    }

    /// What was asked of a node then is not answered yet, though it should be. Whether it is there
    /// at all a ping will show: slow is not dead.
    pub(crate) fn missed(&mut self, node: NodeId, asked: Instant, now: Instant) {
        let is_deaf = now < self.deaf_until;
        if let Some(peer) = self.peer_mut(node)
            && !is_deaf
            && !peer.is_probed()
            && peer.answered <= asked
        {
            peer.doubted = Some(now);
            peer.probe_at = now;
            self.next_probe = Some(now);
        }
    }

    /// Somebody else has reached a node that this one suspects: it had better look again.
    pub(crate) fn look_again(&mut self, node: NodeId, now: Instant) {
        if let Some(peer) = self.peer_mut(node)
            && peer.suspected.is_some()
        {
            peer.probe_at = now;
            self.schedule();
        }
    }

    /// There is no connection to a node. Returns whether it is suspected from now on.
    pub(crate) fn unreachable(&mut self, node: NodeId, now: Instant) -> bool {
        if let Some(peer) = self.peer_mut(node) {
            peer.via = None;
        }
        self.suspect(node, now)
    }

    /// This node has not been running for a while: nobody could be heard.
    pub(crate) fn was_away(&mut self, now: Instant) {
        self.deaf_until = now + self.patience;
        for peer in &mut self.peers {
            peer.doubted = None;
        }
        self.schedule();
    }

    /// How long a read of that node takes to be answered; of this node, nothing.
    pub(crate) fn rank(&self, node: NodeId, now: Instant) -> Duration {
        self.peer(node)
            .map_or(Duration::ZERO, |peer| peer.reads.rank(now, self.patience))
    }

    /// A node has answered a read.
    pub(crate) fn read_took(&mut self, node: NodeId, took: Duration, now: Instant) {
        if let Some(peer) = self.peer_mut(node) {
            peer.reads.measure(took, now);
        }
    }

    /// When a read of that node is late, so that another had better be asked too.
    pub(crate) fn late_after(&self, node: NodeId) -> Option<Duration> {
        let late = match self.peer(node) {
            Some(peer) => peer.reads.late(),
            None => self.store.late(),
        };
        late.filter(|late| *late < self.patience)
    }

    /// A read begins, and earns a part of a hedge.
    pub(crate) fn earn_hedge(&mut self) {
        self.hedges = (self.hedges + 1).min(MOST_HEDGES);
    }

    /// Whether one more replica may be asked than is needed.
    pub(crate) fn spend_hedge(&mut self) -> bool {
        let is_enough = self.hedges >= HEDGE;
        if is_enough {
            self.hedges -= HEDGE;
        }
        is_enough
    }

    /// This node's store has written something.
    pub(crate) fn wrote(&mut self, took: Duration, now: Instant) {
        self.store.measure(took, now);
        let mean = self.store.mean();
        self.is_store_slow = if self.is_store_slow {
            mean > self.slow_store / 2
        } else {
            mean > self.slow_store
        };
    }

    /// Whether others had better do what needs a disk. What was not tried for a while is tried.
    pub(crate) fn is_store_slow(&self, now: Instant) -> bool {
        self.is_store_slow && self.store.is_known(now, self.patience)
    }

    fn suspect(&mut self, node: NodeId, now: Instant) -> bool {
        let stable = self.patience.saturating_mul(STABLE);
        let Some(peer) = self.peer_mut(node) else {
            return false;
        };
        if peer.suspected.is_some() {
            return false;
        }
        let was_trusted = peer.trusted != Instant::default();
        peer.flaps = if was_trusted && now.since(peer.trusted) < stable {
            (peer.flaps + 1).min(MOST_FLAPS)
        } else {
            0
        };
        peer.suspected = Some(now);
        peer.doubted = None;
        peer.probe_at = now;
        peer.unanswered = 0;
        self.next_probe = Some(now);
        true
    }

    fn peer(&self, node: NodeId) -> Option<&Peer> {
        let at = self.peers.binary_search_by_key(&node, |peer| peer.node);
        at.ok().map(|at| &self.peers[at])
    }

    fn peer_mut(&mut self, node: NodeId) -> Option<&mut Peer> {
        let at = self.peers.binary_search_by_key(&node, |peer| peer.node);
        at.ok().map(|at| &mut self.peers[at])
    }
}

impl Peer {
    fn new(node: NodeId) -> Self {
        Self {
            node,
            suspected: None,
            doubted: None,
            trusted: Instant::default(),
            probe_at: Instant::default(),
            unanswered: 0,
            answered: Instant::default(),
            flaps: 0,
            via: None,
            reads: Latency::default(),
        }
    }

    /// Whether it is pinged from time to time.
    fn is_probed(&self) -> bool {
        self.suspected.is_some() || self.doubted.is_some() || self.via.is_some()
    }
}

#[cfg(test)]
mod tests;
