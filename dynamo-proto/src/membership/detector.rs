//! Who can be reached, as neighbours see it: each node pings a few others and they are all watched.
//!
//! ```text
//!              no answer in time         again and again, directly and by way of two others
//!   Trusted ------------------> Doubted -------------------------------------------------> Suspected
//!      ^  \________ an answer _____/                                                           |
//!      +---------------------------------- an answer ------------------------------------------+
//! ```
//!
//! All nodes stand on a circle in the order of a hash of their ids. Each watches those that follow it
//! and are trusted, and those in between that are not. How long an answer may take is measured for
//! each; how often it must fail to come grows with how often that node was lost and found.
//!
//! What it promises: whoever is not in the cluster any more is not watched; a pause of this node is
//! nobody else's; suspicion only routes. What it leaves to others: telling everybody, and the
//! suspected, who will deny it if they can.

use alloc::vec::Vec;
use core::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::rng::Rng;
use crate::{Instant, NodeId};

/// How closely neighbours watch each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watching {
    /// How many trusted neighbours each node watches.
    pub neighbours: usize,
    /// How often it pings each.
    pub every: Duration,
    /// The longest it waits for an answer.
    pub patience: Duration,
    /// How many pings in a row must fail.
    pub misses: u32,
    /// And how long nothing must have been heard.
    pub silence: Duration,
}

/// What the detector wants done, or has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Ask a node whether it is there.
    Ping {
        /// Whom.
        node: NodeId,
        /// What it is to repeat.
        number: u32,
    },
    /// Have another ask it.
    Reach {
        /// Whom.
        node: NodeId,
        /// By way of whom.
        by: NodeId,
        /// What it is to repeat.
        number: u32,
    },
    /// A node cannot be reached.
    Lost(NodeId),
}

/// A ping that came back is taken for an answer to one of the last so many.
const LATE: u32 = 16;
/// Others that are asked to pass a ping on.
const RELAYS: usize = 2;
/// Most who are watched for each that is to be: beyond it all in between are down.
const MOST_WATCHED: usize = 4;
/// Most doublings of the misses that it takes to lose a node that comes and goes.
const MOST_FLAPS: u32 = 4;
/// A node that was there for that many pings is one that stays.
const STABLE: u32 = 120;

/// The watch that one node keeps over others.
#[derive(Debug)]
pub struct Detector {
    me: NodeId,
    watching: Watching,
    /// Everybody but this node, around the circle from its own place on.
    circle: Vec<NodeId>,
    watched: Vec<Watch>,
    pings: u32,
    next: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Watch {
    node: NodeId,
    /// When to ping it next.
    at: Instant,
    /// The ping that was not answered yet.
    asked: Option<(u32, Instant)>,
    heard: Instant,
    misses: u32,
    is_lost: bool,
    flaps: u32,
    /// Answers since it was lost last.
    answers: u32,
    /// Nanoseconds; 0 while nothing is known.
    mean: u64,
    deviation: u64,
}

impl Detector {
    /// Nobody is watched yet.
    #[must_use]
    pub fn new(me: NodeId, watching: Watching) -> Self {
        Self {
            me,
            watching,
            circle: Vec::new(),
            watched: Vec::new(),
            pings: 0,
            next: None,
        }
    }

    /// When to come back.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    /// These are the nodes there are, this one among them or not.
    pub fn follow(&mut self, nodes: impl Iterator<Item = NodeId>) {
        let place = |node: NodeId| xxh3_64(&node.0.to_be_bytes());
        let mine = place(self.me);
        let mut circle: Vec<_> = nodes
            .filter(|node| *node != self.me)
            .map(|node| (place(node).wrapping_sub(mine), node))
            .collect();
        circle.sort_unstable();
        self.circle = circle.into_iter().map(|(_, node)| node).collect();
    }

    /// Everybody but this node.
    pub(super) fn others(&self) -> &[NodeId] {
        &self.circle
    }

    /// Watches those who are to be watched, given who is suspected by anybody.
    pub(crate) fn choose(
        &mut self,
        now: Instant,
        is_suspected: impl Fn(NodeId) -> bool,
        rng: &mut Rng,
    ) {
        let mut left = self.watching.neighbours;
        let most = self.watching.neighbours * MOST_WATCHED;
        let mut chosen = Vec::with_capacity(most);
        for node in self.circle.iter().copied().take(most) {
            if left == 0 {
                break;
            }
            let old = self.watched.iter().find(|watch| watch.node == node);
            chosen.push(old.cloned().unwrap_or_else(|| {
                let wait = rng.below(nanos(self.watching.every));
                Watch::new(node, now, now + Duration::from_nanos(wait))
            }));
            left -= usize::from(!is_suspected(node));
        }
        self.watched = chosen;
        self.schedule();
    }

    /// An answer came. Says whether that node had been lost.
    pub fn heard(&mut self, now: Instant, node: NodeId, number: u32) -> bool {
        let is_late = self.pings.wrapping_sub(number) > LATE * self.watched.len() as u32;
        let Some(watch) = self.watched.iter_mut().find(|it| it.node == node) else {
            return false;
        };
        if is_late {
            return false;
        }
        if let Some((_, at)) = watch.asked.take_if(|(asked, _)| *asked == number) {
            watch.measure(now.since(at));
        }
        watch.heard = now;
        watch.misses = 0;
        watch.answers = watch.answers.saturating_add(1);
        if watch.answers > STABLE {
            watch.flaps = 0;
        }
        let was_lost = core::mem::take(&mut watch.is_lost);
        let soon = now + self.watching.every;
        watch.at = watch.at.max(now).min(soon);
        self.schedule();
        was_lost
    }

    /// A node was heard of in another way.
    pub(crate) fn is_there(&mut self, now: Instant, node: NodeId) {
        if let Some(watch) = self.watched.iter_mut().find(|it| it.node == node) {
            watch.heard = now;
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant, rng: &mut Rng, findings: &mut Vec<Finding>) {
        let Some(due) = self.next.filter(|at| *at <= now) else {
            return;
        };
        if now.since(due) > self.watching.patience {
            // This node was away: what it did not hear says nothing.
            for watch in &mut self.watched {
                watch.asked = None;
                watch.misses = 0;
                watch.heard = now;
            }
        }
        let watching = self.watching;
        for at in 0..self.watched.len() {
            let watch = &mut self.watched[at];
            let patience = watch.patience(&watching);
            if watch.asked.is_some_and(|(_, sent)| sent + patience <= now) {
                watch.asked = None;
                watch.misses += 1;
                watch.at = now;
                let is_silent = now.since(watch.heard) >= watching.silence;
                let flaps = watch.flaps.min(MOST_FLAPS);
                if !watch.is_lost && is_silent && watch.misses >= watching.misses << flaps {
                    watch.is_lost = true;
                    watch.flaps = (watch.flaps + 1).min(MOST_FLAPS);
                    watch.answers = 0;
                    findings.push(Finding::Lost(watch.node));
                }
            }
            if watch.at > now {
                continue;
            }
            self.pings = self.pings.wrapping_add(1);
            let (node, number) = (watch.node, self.pings);
            watch.asked = Some((number, now));
            watch.at = now + watching.every;
            findings.push(Finding::Ping { node, number });
            if watch.misses > 0 {
                for by in self.relays(node, rng) {
                    findings.push(Finding::Reach { node, by, number });
                }
            }
        }
        self.schedule();
    }

    /// Bytes that this keeps on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.circle.capacity() * size_of::<NodeId>() + self.watched.capacity() * size_of::<Watch>()
    }

    fn relays(&self, node: NodeId, rng: &mut Rng) -> impl Iterator<Item = NodeId> + use<> {
        let others = self.circle.len() as u64;
        let first = rng.below(others);
        let nth = |n: u64| {
            self.circle
                .get(((first + n) % others.max(1)) as usize)
                .copied()
        };
        let relays: [Option<NodeId>; RELAYS] = core::array::from_fn(|n| nth(n as u64));
        relays.into_iter().flatten().filter(move |by| *by != node)
    }

    fn schedule(&mut self) {
        let watching = self.watching;
        let due = |watch: &Watch| match watch.asked {
            Some((_, sent)) => watch.at.min(sent + watch.patience(&watching)),
            None => watch.at,
        };
        self.next = self.watched.iter().map(due).min();
    }
}

impl Watch {
    fn new(node: NodeId, now: Instant, at: Instant) -> Self {
        Self {
            node,
            at,
            asked: None,
            heard: now,
            misses: 0,
            is_lost: false,
            flaps: 0,
            answers: 0,
            mean: 0,
            deviation: 0,
        }
    }

    /// How long an answer may take: what it took of late and four deviations, as senders of TCP
    /// reckon; never less than a quarter of the longest.
    fn patience(&self, watching: &Watching) -> Duration {
        if self.mean == 0 {
            return watching.patience;
        }
        let usual = Duration::from_nanos(self.mean.saturating_add(4 * self.deviation));
        usual.clamp(watching.patience / 4, watching.patience)
    }

    fn measure(&mut self, took: Duration) {
        let took = nanos(took).max(1);
        if self.mean == 0 {
            (self.mean, self.deviation) = (took, took / 2);
        } else {
            let off = self.mean.abs_diff(took);
            self.deviation = self.deviation - self.deviation / 4 + off / 4;
            self.mean = (self.mean - self.mean / 8 + took / 8).max(1);
        }
    }
}

impl Watching {
    /// The usual watch, at another pace.
    #[must_use]
    pub fn every(every: Duration) -> Self {
        Self {
            every,
            patience: every,
            silence: every.saturating_mul(4),
            ..Self::default()
        }
    }
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            neighbours: 3,
            every: Duration::from_secs(1),
            patience: Duration::from_secs(1),
            misses: 5,
            silence: Duration::from_secs(4),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
