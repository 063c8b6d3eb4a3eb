//! Showing another node what is here of a stretch of tokens.

use alloc::vec::Vec;

use crate::node::{Env, Slot};
use crate::replica::{Replica, Walker};
use crate::store::{Address, Limit, Page, ScanFailed, Span};
use crate::upkeep::{BATCH_BYTES, Entry, Jobs, PAGE, Parcel};
use crate::version::{Causality, Clock};
use crate::wire::{HANDOFF_MOST, Message, Ticket};
use crate::{Instant, NodeId, Token};

/// Most that is shown side by side.
pub(crate) const SHOWN_ABREAST: usize = 8;

/// So much more than others show is looked through at a time.
const LIMIT: Limit = Limit {
    items: 4 * PAGE.items,
    bytes: PAGE.bytes,
};

/// Questions of others, until the store has looked.
pub(crate) struct Shows {
    open: Jobs<Show>,
    /// Nobody is shown anything before.
    ready: Instant,
}

struct Show {
    began: Instant,
    span: Span,
    from: NodeId,
    ticket: Ticket,
    credit: u32,
    /// What the other has, by digest, and where each is among those that it named.
    known: Vec<(u128, u8)>,
    /// Or which records, and how far they have seen.
    seen: Vec<(Address, Clock)>,
}

impl Shows {
    pub(crate) fn new() -> Self {
        Self {
            open: Jobs::new(),
            ready: Instant::default(),
        }
    }

    /// Somebody asks.
    pub(crate) fn ask(
        &mut self,
        (from, ticket): (NodeId, Ticket),
        span: Span,
        credit: u32,
        (known, seen): (&[u128], Vec<(Address, Clock)>),
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let is_full = self.open.len() >= SHOWN_ABREAST || replica.is_full(env);
        if is_full || known.len() > HANDOFF_MOST {
            return later(from, ticket, span.first().clone(), env);
        }
        let known = known.iter().zip(0..);
        let mut known: Vec<(u128, u8)> = known.map(|(digest, at)| (*digest, at)).collect();
        known.sort_unstable();
        let slot = self.open.begin(Show {
            began: env.mono(),
            span,
            from,
            ticket,
            credit: credit.min(BATCH_BYTES),
            known,
            seen,
        });
        // It waits for its turn here: asked again and again, it would cost more.
        match self.ready > env.mono() {
            true => self.open.wait_until(slot, self.ready),
            false => self.look(slot, replica, env),
        }
    }

    /// When something is to be looked at.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.open.next_deadline()
    }

    /// Looks at one of those that wait, if it is time.
    pub(crate) fn tick(&mut self, replica: &mut Replica, env: &mut Env<'_>) {
        while env.mono() >= self.ready
            && let Some(slot) = self.open.pop_due(env.mono())
        {
            self.look(slot, replica, env);
        }
        // The others' turn comes when that is done.
        while let Some(slot) = self.open.pop_due(env.mono()) {
            self.open.wait_until(slot, self.ready);
        }
    }

    fn look(&mut self, slot: Slot, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(show) = self.open.get_mut(slot) else {
            return;
        };
        show.began = env.mono();
        replica.walk((Walker::Showing, slot), show.span.clone(), LIMIT, env);
    }

    /// What is here.
    pub(crate) fn listed(
        &mut self,
        slot: Slot,
        page: Result<Page, ScanFailed>,
        replica: &Replica,
        env: &mut Env<'_>,
    ) {
        let Some(show) = self.open.end(slot) else {
            return;
        };
        let Show {
            began,
            span,
            from,
            ticket,
            credit,
            known,
            seen,
        } = show;
        self.ready = self.ready.max(env.admission.next(began, env.now.mono));
        let Ok(page) = page else {
            return later(from, ticket, span.first().clone(), env);
        };
        let mut rest = page.rest.map(|rest| rest.first().clone());
        let asked = known.len().max(seen.len());
        let all = if asked < 64 {
            (1 << asked) - 1
        } else {
            u64::MAX
        };
        let (mut parcel, mut lacking) = (Parcel::of(credit as usize), all);
        for item in page.items {
            let at = item.first().clone();
            // What is being changed may not leave before it is safe.
            if replica.is_changing(Token(at.position), false) {
                rest = Some(at);
                break;
            }
            let Some(entry) = Entry::of(item, env) else {
                continue;
            };
            if let Some(asked) = seen.iter().position(|(at, _)| *at == entry.at) {
                let order = entry.siblings.clock().compare(&seen[asked].1, env.retired);
                if matches!(order, Causality::Equal | Causality::After) {
                    lacking &= !(1 << asked);
                }
                continue;
            }
            let digest = entry.digest(env);
            if let Ok(found) = known.binary_search_by_key(&digest, |(digest, _)| *digest) {
                lacking &= !(1 << known[found].1);
                continue;
            }
            if credit == 0 || !entry.is_of(from, env) {
                continue;
            }
            if !parcel.pack(entry.into_copy()) {
                rest = Some(at);
                break;
            }
        }
        let message = Message::Compared {
            ticket,
            copies: parcel.into_copies(),
            lacking,
            rest,
        };
        env.send(from, message);
    }
}

/// There is too much else to do.
fn later(from: NodeId, ticket: Ticket, first: Address, env: &mut Env<'_>) {
    let message = Message::Compared {
        ticket,
        copies: Vec::new(),
        lacking: u64::MAX,
        rest: Some(first),
    };
    env.send(from, message);
}
