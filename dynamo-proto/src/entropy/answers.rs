//! Answering nodes that compare what they have with what is here.

use alloc::vec::Vec;
use core::ops::Range;

use super::ANSWERED_ABREAST;
use super::shape::Shape;
use super::trees::Look;
use crate::NodeId;
use crate::node::{Env, Slot, Slots};
use crate::replica::{Replica, Walker};
use crate::store::{Limit, Page, ScanFailed};
use crate::wire::{Exchange, Message, Ticket};

/// All leaves of a twig, of some kinds of buckets.
pub(super) const PAGE: Limit = Limit {
    items: 8192,
    bytes: 1 << 20,
};

/// Questions of others, while the store looks.
pub(super) struct Answers(Slots<Answer>);

struct Answer {
    from: NodeId,
    ticket: Ticket,
    n: u8,
    leaves: Range<u64>,
    digests: Vec<u64>,
    look: Look,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self(Slots::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Somebody has these leaves.
    pub(super) fn ask(
        &mut self,
        (from, ticket): (NodeId, Ticket),
        (n, twig, digests): (u8, u64, Vec<u64>),
        shape: Shape,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let is_known = twig < shape.twig(shape.leaves());
        if !is_known
            || digests.len() as u64 != shape.twig_len()
            || self.0.len() >= ANSWERED_ABREAST
            || env.health.is_store_slow(env.now.mono)
        {
            return tell((from, ticket), None, env);
        }
        let leaves = shape.leaves_of(twig..twig + 1);
        let span = shape.span(&leaves);
        let slot = self.0.insert(Answer {
            from,
            ticket,
            n,
            leaves,
            digests,
            look: replica.trees.look(),
        });
        replica.walk_trees((Walker::Answer, slot), span, PAGE, env);
    }

    /// What is here.
    pub(super) fn listed(
        &mut self,
        slot: Slot,
        page: Result<Page, ScanFailed>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(answer) = self.0.remove(slot) else {
            return;
        };
        let to = (answer.from, answer.ticket);
        let is_sure = replica.trees.looked(answer.look);
        let Some(page) = page.ok().filter(|page| is_sure && page.rest.is_none()) else {
            return tell(to, None, env);
        };
        let ours = replica.trees.leaves(answer.n, &answer.leaves, &page);
        let pairs = ours.iter().zip(&answer.digests);
        tell(
            to,
            Some(bits(pairs.map(|(ours, theirs)| ours != theirs))),
            env,
        );
    }
}

/// What differs, a bit for each, if anything can be said.
pub(super) fn tell((to, ticket): (NodeId, Ticket), differs: Option<Vec<u64>>, env: &mut Env<'_>) {
    let exchange = Exchange::Unequal {
        ticket,
        is_sure: differs.is_some(),
        differs: differs.unwrap_or_default(),
    };
    env.send(to, Message::Exchange(exchange));
}

/// One bit for each, the first lowest.
pub(super) fn bits(all: impl Iterator<Item = bool>) -> Vec<u64> {
    let mut words = Vec::new();
    for (at, is_set) in all.enumerate() {
        if at % 64 == 0 {
            words.push(0);
        }
        words[at / 64] |= u64::from(is_set) << (at % 64);
    }
    words
}

/// Whether that bit is set.
pub(super) fn is_set(words: &[u64], at: usize) -> bool {
    words
        .get(at / 64)
        .is_some_and(|word| word & 1 << (at % 64) != 0)
}
