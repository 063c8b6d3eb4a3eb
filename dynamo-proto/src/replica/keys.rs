//! Which keys have changes under way.

use core::hash::BuildHasherDefault;

use hashbrown::HashMap;

use crate::Token;
use crate::hash::TokenHasher;
use crate::node::Slot;

/// By token. Two keys with one token would wait for each other, which does no harm.
#[derive(Default)]
pub(super) struct Keys(HashMap<u128, Slot, BuildHasherDefault<TokenHasher>>);

impl Keys {
    pub(super) fn find(&self, token: Token) -> Option<Slot> {
        self.0.get(&token.0).copied()
    }

    pub(super) fn insert(&mut self, token: Token, work: Slot) {
        self.0.insert(token.0, work);
    }

    pub(super) fn remove(&mut self, token: Token) {
        self.0.remove(&token.0);
    }
}
