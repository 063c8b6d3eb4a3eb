//! Which keys have changes under way.

use core::hash::BuildHasherDefault;

use hashbrown::HashMap;

use crate::Token;
use crate::hash::TokenHasher;
use crate::node::Slot;

/// By token, the node's own records apart from those that it holds for others. Two keys with one
/// token would wait for each other, which does no harm.
#[derive(Default)]
pub(super) struct Keys {
    own: Map,
    held: Map,
}

type Map = HashMap<u128, Slot, BuildHasherDefault<TokenHasher>>;

impl Keys {
    pub(super) fn find(&self, token: Token, is_hint: bool) -> Option<Slot> {
        let map = if is_hint { &self.held } else { &self.own };
        map.get(&token.0).copied()
    }

    pub(super) fn insert(&mut self, token: Token, is_hint: bool, work: Slot) {
        self.map(is_hint).insert(token.0, work);
    }

    pub(super) fn remove(&mut self, token: Token, is_hint: bool) {
        self.map(is_hint).remove(&token.0);
    }

    fn map(&mut self, is_hint: bool) -> &mut Map {
        if is_hint {
            &mut self.held
        } else {
            &mut self.own
        }
    }
}
