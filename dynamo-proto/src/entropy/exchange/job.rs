//! One exchange with one node, from the parts that are compared to the keys that are sent.

use alloc::vec::Vec;
use core::ops::Range;

use crate::entropy::shape::Shape;
use crate::entropy::topics::Topic;
use crate::entropy::trees::Look;
use crate::store::{Address, Span};
use crate::{Instant, NodeId};

/// A part that differs is cut into so many.
const CUT: u64 = 16;

pub(super) struct Job {
    pub(super) peer: NodeId,
    pub(super) n: u8,
    /// What it is about.
    pub(super) topics: Vec<usize>,
    pub(super) began: Instant,
    /// When the step that is under way began.
    pub(super) step: Instant,
    /// Whether all that was found to differ so far is equal now.
    pub(super) is_clean: bool,
    /// Twigs to be compared, the next last.
    pub(super) parts: Vec<Range<u64>>,
    /// Twigs that differ, to be compared leaf by leaf.
    pub(super) twigs: Vec<u64>,
    /// Stretches to be compared key by key, the next last.
    pub(super) stretches: Vec<Stretch>,
    /// Leaves that differ and whose keys do not.
    pub(super) doubted: Vec<u64>,
    pub(super) state: State,
    /// How many copies came, and how many were sent.
    pub(super) got: u32,
    pub(super) gave: u32,
}

/// A stretch to be compared key by key.
pub(super) struct Stretch {
    /// What is left of it.
    pub(super) span: Span,
    /// The leaves that it is.
    pub(super) leaves: Range<u64>,
    /// Whether any key of it was found to differ, or could not be compared.
    pub(super) has_differed: bool,
    /// How often the other had too much to do.
    pub(super) refusals: u8,
}

pub(super) enum State {
    /// Something else goes first.
    Idle,
    /// Asked what differs of these.
    Roots(Instant, Vec<Range<u64>>),
    /// The store is asked for the leaves of a twig.
    Reading(Look, u64),
    /// Asked what differs of these leaves.
    Leaves(Instant, Range<u64>),
    /// The store is asked for keys.
    Listing,
    /// Asked what else is there of a stretch, in which these are here.
    Asked(Instant, Span, Vec<Address>),
    /// What came is being stored.
    Keeping(Then),
    /// What the other lacks is read again.
    Rereading(Then),
    /// It was sent.
    Sent(Instant, Then),
}

/// What is done after what came is stored.
pub(super) struct Then {
    /// What was compared.
    pub(super) span: Span,
    /// What the other lacks of it.
    pub(super) lacking: Vec<Address>,
    /// From where on it has not looked.
    pub(super) rest: Option<Address>,
}

impl Job {
    pub(super) fn new(
        (peer, n): (NodeId, u8),
        topics: Vec<usize>,
        all: &[&Topic],
        shape: Shape,
        now: Instant,
    ) -> Self {
        let parts = all.iter().map(|topic| topic.twigs.clone());
        let edges = all.iter().flat_map(|topic| topic.edges(shape));
        let stretch = |span| Stretch {
            span,
            leaves: 0..0,
            has_differed: false,
            refusals: 0,
        };
        let mut job = Self {
            peer,
            n,
            topics,
            began: now,
            step: now,
            is_clean: true,
            parts: parts.filter(|part| !part.is_empty()).collect(),
            twigs: Vec::new(),
            stretches: edges.map(stretch).collect(),
            doubted: Vec::new(),
            state: State::Idle,
            got: 0,
            gave: 0,
        };
        job.parts.sort_unstable_by_key(|part| part.start);
        job.parts.reverse();
        job
    }

    /// These parts differ: they are looked at more closely.
    pub(super) fn cut(&mut self, differing: impl Iterator<Item = Range<u64>>) {
        let before = self.parts.len();
        for part in differing {
            let len = part.end - part.start;
            if len <= 1 {
                self.twigs.push(part.start);
                continue;
            }
            let step = len.div_ceil(CUT);
            let starts = (part.start..part.end).step_by(step as usize); // twigs are far fewer
            let cut = starts.map(|start| start..(start + step).min(part.end));
            self.parts.extend(cut);
        }
        self.twigs.reverse();
        self.parts[before..].reverse();
    }

    /// These leaves differ: their keys are compared, those of neighbours together.
    pub(super) fn differ(&mut self, leaves: impl Iterator<Item = u64>, shape: Shape) {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for leaf in leaves {
            match runs.last_mut() {
                Some(run) if run.end == leaf => run.end += 1,
                _ => runs.push(leaf..leaf + 1),
            }
        }
        let stretch = |leaves| Stretch {
            span: shape.span(&leaves),
            leaves,
            has_differed: false,
            refusals: 0,
        };
        self.stretches.extend(runs.into_iter().rev().map(stretch));
    }

    /// The next stretch is done up to `rest`, or all of it.
    pub(super) fn advance(&mut self, rest: Option<Address>) {
        let Some(mut stretch) = self.stretches.pop() else {
            return;
        };
        if let Some(rest) = rest {
            stretch.span = stretch.span.starting_at(rest);
            if !stretch.span.is_empty() {
                return self.stretches.push(stretch);
            }
        }
        if !stretch.has_differed {
            self.doubted.extend(stretch.leaves);
        }
    }
}
