//! One thing after the other that a node has to get from another, or to give up.

use alloc::vec::Vec;

use crate::node::Few;
use crate::store::{Address, Span};
use crate::upkeep::Entry;
use crate::{Instant, NodeId};

pub(super) struct Job {
    pub(super) kind: Kind,
    /// What is left, the next last.
    pub(super) spans: Vec<Span>,
    pub(super) state: State,
    /// When the stretch that is under way began.
    pub(super) began: Instant,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// To get what that node has.
    Pull { donor: NodeId },
    /// To give up what others have.
    Shed,
}

pub(super) enum State {
    /// Something else goes first.
    Idle,
    /// The store is asked what is here.
    Looking,
    Asked(Asked),
    /// What came is being stored. Then these are forgotten, and it goes on from there.
    Keeping {
        next: Option<Address>,
        entries: Vec<Entry>,
    },
    /// So many are being forgotten. Then it goes on from there.
    Forgetting {
        next: Option<Address>,
        copies: u32,
    },
}

/// Others are asked what they have.
pub(super) struct Asked {
    pub(super) since: Instant,
    pub(super) span: Span,
    /// Who has not answered.
    pub(super) waiting: Few,
    /// What is to be given up, in order.
    pub(super) entries: Vec<Entry>,
    /// Which of them are asked for by how far they have seen, if any are.
    pub(super) doubted: Vec<usize>,
    /// Who lacks which of those that are asked for: a bit for each.
    pub(super) lacking: Vec<(NodeId, u64)>,
}

impl Job {
    pub(super) fn new(kind: Kind, mut spans: Vec<Span>) -> Self {
        spans.reverse();
        Self {
            kind,
            spans,
            state: State::Idle,
            began: Instant::default(),
        }
    }

    /// Of what comes next the part before `rest`.
    pub(super) fn stretch(&self, rest: Option<Address>) -> Span {
        let whole = self.spans.last().cloned().unwrap_or_else(Span::all);
        match rest {
            Some(rest) => Span::new(whole.first().clone(), Some(rest)),
            None => whole,
        }
    }

    /// Where what comes next ends.
    pub(super) fn end(&self) -> Option<Address> {
        self.spans.last()?.end().cloned()
    }

    /// All before `next` is done, or all of the span.
    pub(super) fn advance(&mut self, next: Option<Address>) {
        if let Some(span) = self.spans.pop()
            && let Some(next) = next
        {
            let rest = span.starting_at(next);
            if !rest.is_empty() {
                self.spans.push(rest);
            }
        }
    }
}
