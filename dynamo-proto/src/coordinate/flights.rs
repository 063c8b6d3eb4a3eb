//! Reads of one key at the same time.
//!
//! A few go side by side. Those that come while that many are under way wait for the next together,
//! which then asks the replicas once for all of them. It begins after the last of them came, so
//! each sees what it would have seen alone.

use core::hash::BuildHasherDefault;

use hashbrown::HashMap;

use crate::Token;
use crate::hash::TokenHasher;
use crate::node::Slot;

/// The keys that are being read.
#[derive(Default)]
pub(crate) struct Flights(HashMap<u128, Flight, BuildHasherDefault<TokenHasher>>);

#[derive(Default)]
struct Flight {
    under_way: u32,
    waiting: Option<Slot>,
}

impl Flights {
    /// Whether another read of that key may go now, if so many may go side by side.
    pub(crate) fn has_room(&self, token: Token, abreast: u32) -> bool {
        self.0
            .get(&token.0)
            .is_none_or(|flight| flight.under_way < abreast)
    }

    /// The read that waits, for others to join.
    pub(crate) fn waiting(&self, token: Token) -> Option<Slot> {
        self.0.get(&token.0)?.waiting
    }

    /// A read goes.
    pub(crate) fn begin(&mut self, token: Token) {
        self.0.entry(token.0).or_default().under_way += 1;
    }

    /// A read waits for one of those under way to end.
    pub(crate) fn wait(&mut self, token: Token, slot: Slot) {
        self.0.entry(token.0).or_default().waiting = Some(slot);
    }

    /// The read that waits goes, or has been given up.
    pub(crate) fn no_longer_waits(&mut self, token: Token, slot: Slot) {
        if let Some(flight) = self.0.get_mut(&token.0)
            && flight.waiting == Some(slot)
        {
            flight.waiting = None;
        }
        self.forget_idle(token);
    }

    /// A read has ended. Returns the one that waited for it.
    pub(crate) fn end(&mut self, token: Token) -> Option<Slot> {
        let flight = self.0.get_mut(&token.0)?;
        flight.under_way -= 1;
        let next = flight.waiting.take();
        self.forget_idle(token);
        next
    }

    fn forget_idle(&mut self, token: Token) {
        if let Some(flight) = self.0.get(&token.0)
            && flight.under_way == 0
            && flight.waiting.is_none()
        {
            self.0.remove(&token.0);
        }
    }
}
