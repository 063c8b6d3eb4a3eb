//! What this node has in common with which others, and when it last agreed with them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use super::shape::Shape;
use crate::node::Env;
use crate::rng::Rng;
use crate::store::Span;
use crate::{Instant, NodeId, Token};

/// How far a stretch of the ring is from its last agreement with another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The other node.
    pub peer: NodeId,
    /// Of keys that have so many replicas.
    pub n: u8,
    /// Where the stretch begins.
    pub first: Token,
    /// The last token in it.
    pub last: Token,
    /// How long ago both were found to have the same, or made to; never since this node started if
    /// `None`.
    pub age: Option<Duration>,
    /// Whether it is known that something is missing somewhere.
    pub is_dirty: bool,
}

/// How far a node is from having agreed with all that are to have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// For how many stretches it has to, each with one other node.
    pub stretches: usize,
    /// For how many of them it has since it started.
    pub agreed: usize,
    /// How long ago that was where it is longest ago.
    pub oldest: Duration,
}

/// A stretch for which this node and another are both on duty.
pub(super) struct Topic {
    pub(super) peer: NodeId,
    pub(super) n: u8,
    pub(super) first: u128,
    pub(super) last: u128,
    /// As far as it is whole twigs.
    pub(super) twigs: Range<u64>,
    agreed: Option<Instant>,
    /// The same, as far as this node itself has asked.
    asked: Option<Instant>,
    due: Instant,
    /// Whether the other was away when it was due.
    is_overdue: bool,
    /// Whether it is known that something may be missing somewhere, and since it was last talked
    /// about.
    is_dirty: bool,
    is_dirty_again: bool,
}

/// What is marked again and again is talked about so many times within the usual time.
const HURRIED: u32 = 16;

#[derive(Default)]
pub(super) struct Topics {
    /// By node, then by number of replicas, then clockwise.
    all: Vec<Topic>,
    /// Those that are not being talked about, by when they are due.
    due: BTreeSet<(Instant, usize)>,
}

impl Topics {
    /// Others may be on duty now.
    pub(super) fn plan(&mut self, shape: Shape, rng: &mut Rng, env: &Env<'_>) {
        let mut before = BTreeMap::new();
        for topic in self.all.drain(..) {
            before.insert((topic.peer, topic.n, topic.first, topic.last), topic);
        }
        self.due.clear();
        let mut found = Vec::new();
        let replicas = crate::moving::replicas(env);
        for (first, last) in crate::moving::parts(env) {
            for n in &replicas {
                for peer in partners(first, *n, env) {
                    found.push((peer, *n as u8, first, last)); // it came from one
                }
            }
        }
        found.sort_unstable();
        for (at, (peer, n, first, last)) in found.into_iter().enumerate() {
            let topic = before.remove(&(peer, n, first, last)).unwrap_or_else(|| {
                let leaves = shape.whole(first, last);
                let twig = shape.twig_len();
                let twigs = leaves.start.div_ceil(twig)..leaves.end / twig;
                Topic {
                    peer,
                    n,
                    first,
                    last,
                    twigs: twigs.start..twigs.end.max(twigs.start),
                    agreed: None,
                    asked: None,
                    due: env.mono() + super::part_of(env.config.timing.exchange_every, rng),
                    is_overdue: false,
                    is_dirty: false,
                    is_dirty_again: false,
                }
            });
            self.due.insert((topic.due, at));
            self.all.push(topic);
        }
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Topic> {
        self.all.get(at)
    }

    /// Some that are due, or soon will be, all with one node that may be talked to and of one kind.
    /// They are not due any more.
    pub(super) fn take(
        &mut self,
        is_talked_to: impl Fn(NodeId) -> bool,
        most: usize,
        env: &Env<'_>,
    ) -> Vec<usize> {
        let now = env.mono();
        let every = env.config.timing.exchange_every;
        let soon = now + every / 4;
        let mut taken = Vec::new();
        while taken.is_empty()
            && let Some((due, at)) = self.due.first().copied()
            && due <= now
        {
            self.due.pop_first();
            let Topic { peer, n, .. } = self.all[at];
            if !env.health.is_trusted(peer) {
                self.all[at].is_overdue = true;
                self.put_back(at, now + every / 8);
                continue;
            }
            if is_talked_to(peer) {
                self.put_back(at, now + env.config.timing.retry_after);
                continue;
            }
            taken.push(at);
            let is_alike = |(due, other): &(Instant, usize)| {
                let topic = &self.all[*other];
                *due <= soon && topic.peer == peer && topic.n == n
            };
            let alike = self.due.iter().filter(|it| is_alike(it)).take(most - 1);
            let alike: Vec<_> = alike.copied().collect();
            for it in alike {
                self.due.remove(&it);
                taken.push(it.1);
            }
        }
        taken.sort_unstable();
        for at in &taken {
            let topic = &mut self.all[*at];
            (topic.is_overdue, topic.is_dirty_again) = (false, false);
        }
        taken
    }

    /// Both have the same, as they had when this began.
    pub(super) fn agreed(&mut self, at: usize, began: Instant, rng: &mut Rng, env: &Env<'_>) {
        let every = env.config.timing.exchange_every;
        // Before the time is up.
        let due = env.mono() + every / 2 + super::part_of(every / 4, rng);
        if let Some(topic) = self.all.get_mut(at) {
            topic.agreed = topic.agreed.max(Some(began));
            topic.is_dirty = topic.is_dirty_again;
            let due = match topic.is_dirty {
                false => due,
                true => env.mono() + every / HURRIED,
            };
            self.put_back(at, due);
        }
    }

    /// It is not known whether they have, so it is asked again at that time.
    pub(super) fn put_back(&mut self, at: usize, due: Instant) {
        if let Some(topic) = self.all.get_mut(at) {
            self.due.remove(&(topic.due, at));
            topic.due = due;
            self.due.insert((due, at));
        }
    }

    /// Another node has found that it has the same as this one.
    pub(super) fn agreed_by(
        &mut self,
        peer: NodeId,
        n: u8,
        twigs: &Range<u64>,
        shape: Shape,
        rng: &mut Rng,
        env: &Env<'_>,
    ) {
        let span = shape.span(&shape.leaves_of(twigs.clone()));
        let first = span.first().position;
        let at = self
            .all
            .partition_point(|topic| (topic.peer, topic.n, topic.first) < (peer, n, first));
        let is_it = |topic: &&Topic| {
            topic.peer == peer && topic.n == n && topic.twigs == *twigs && !topic.has_edges(shape)
        };
        if let Some(topic) = self.all.get(at).filter(is_it)
            && self.due.contains(&(topic.due, at))
        {
            self.agreed(at, env.mono(), rng, env);
        }
    }

    /// Some replica of these keys may lack something.
    pub(super) fn mark(&mut self, tokens: &BTreeSet<Token>, is_all: bool, env: &Env<'_>) {
        let pause = env.config.timing.exchange_every / HURRIED;
        for at in 0..self.all.len() {
            let topic = &mut self.all[at];
            let mut within = tokens.range(Token(topic.first)..=Token(topic.last));
            if !is_all && within.next().is_none() {
                continue;
            }
            (topic.is_dirty, topic.is_dirty_again) = (true, true);
            let due = topic
                .agreed
                .map_or(Instant::default(), |agreed| agreed + pause);
            if self.due.contains(&(topic.due, at)) && due < topic.due {
                self.put_back(at, due);
            }
        }
    }

    /// All are due now, but for those that are being talked about.
    pub(super) fn hurry_all(&mut self, now: Instant) {
        for (_, at) in core::mem::take(&mut self.due) {
            self.all[at].due = now;
            self.due.insert((now, at));
        }
    }

    /// The same, and this node itself has asked.
    pub(super) fn agreed_when_asked(
        &mut self,
        at: usize,
        began: Instant,
        rng: &mut Rng,
        env: &Env<'_>,
    ) {
        if let Some(topic) = self.all.get_mut(at) {
            topic.asked = topic.asked.max(Some(began));
        }
        self.agreed(at, began, rng, env);
    }

    /// Whether all have been agreed upon since then, and nothing is known to be missing. What
    /// another has said may be from before.
    pub(super) fn have_agreed_since(&self, then: Instant) -> bool {
        let has_agreed = |topic: &Topic| topic.asked.is_some_and(|asked| asked >= then);
        self.all
            .iter()
            .all(|topic| has_agreed(topic) && !topic.is_dirty)
    }

    /// A node is there again: what was due meanwhile is due now.
    pub(super) fn hurry(&mut self, peer: NodeId, now: Instant) {
        for at in 0..self.all.len() {
            let topic = &mut self.all[at];
            if topic.peer == peer && core::mem::take(&mut topic.is_overdue) {
                self.put_back(at, now);
            }
        }
    }

    pub(super) fn level(&self, now: Instant) -> Level {
        let agreed = self.all.iter().filter_map(|topic| topic.agreed);
        let ages = agreed.map(|agreed| now.since(agreed));
        let (count, oldest) = ages.fold((0, Duration::ZERO), |(count, oldest), age| {
            (count + 1, oldest.max(age))
        });
        Level {
            stretches: self.all.len(),
            agreed: count,
            oldest,
        }
    }

    pub(super) fn agreements(&self, now: Instant) -> impl Iterator<Item = Agreement> {
        self.all.iter().map(move |topic| Agreement {
            peer: topic.peer,
            n: topic.n,
            first: Token(topic.first),
            last: Token(topic.last),
            age: topic.agreed.map(|agreed| now.since(agreed)),
            is_dirty: topic.is_dirty,
        })
    }
}

impl Topic {
    /// Whether some of it is no whole twig.
    pub(super) fn has_edges(&self, shape: Shape) -> bool {
        self.edges(shape).next().is_some()
    }

    /// What of it is no whole twig.
    pub(super) fn edges(&self, shape: Shape) -> impl Iterator<Item = Span> {
        let all = Span::of_positions(self.first..=self.last);
        let inner = shape.span(&shape.leaves_of(self.twigs.clone()));
        let edges = match self.twigs.is_empty() {
            true => [Some(all), None],
            false => {
                let before = Span::new(all.first().clone(), Some(inner.first().clone()));
                let after = inner.end().map(|end| all.starting_at(end.clone()));
                [Some(before), after]
            }
        };
        edges.into_iter().flatten().filter(|edge| !edge.is_empty())
    }
}

/// Who else is to have what this node is to have: while partitions move, only those who are by every
/// ring.
fn partners(first: u128, n: usize, env: &Env<'_>) -> Vec<NodeId> {
    let (view, me, token) = (env.view, env.me(), Token(first));
    let is_steady = |node: NodeId| {
        let mut rings = view.rings();
        rings.all(|ring| ring.lookup(token).is_primary(node, n))
    };
    if !is_steady(me) {
        return Vec::new();
    }
    let others = view.ring.lookup(token).primaries(n).map(|it| it.id);
    others
        .filter(|node| *node != me && is_steady(*node))
        .collect()
}
