//! Random tokens: the paper's first two strategies.
//!
//! A node's tokens are drawn once and for all from its identity, so a membership change moves
//! nothing but what the arriving or leaving tokens bound.

use alloc::vec::Vec;

use md5::{Digest, Md5};

use super::RingError;
use super::member::{Homes, Member, Seat};
use crate::identity::NodeId;
use crate::key::Token;

/// Every token of every member, clockwise.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TokenRing {
    tokens: Vec<Token>,
    owners: Vec<Seat>,
    /// For each value of a token's top bits: how many tokens start with a lower one.
    below: Vec<u32>,
    shift: u32,
}

impl TokenRing {
    /// `tokens_per_node` tokens times its weight for every member, `limit` in all at most.
    pub(super) fn new(
        members: &[Member],
        homes: &Homes,
        tokens_per_node: u32,
        limit: u32,
    ) -> Result<Self, RingError> {
        if tokens_per_node == 0 {
            return Err(RingError::ZeroTokens);
        }
        let weights: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
        let all = weights
            .checked_mul(tokens_per_node.into())
            .filter(|&all| all <= limit.into())
            .ok_or(RingError::TooManyTokens { limit })?;
        let mut owned: Vec<(Token, Seat)> = Vec::with_capacity(all as usize);
        for (member, seat) in members.iter().zip(homes.seats()) {
            let tokens = 0..tokens_per_node * member.weight;
            owned.extend(tokens.map(|nth| (drawn(member.id, nth), seat)));
        }
        owned.sort_unstable();
        owned.dedup_by_key(|&mut (token, _)| token);
        let (tokens, owners): (Vec<_>, Vec<_>) = owned.into_iter().unzip();

        // About as many buckets as tokens: a lookup then searches one token or two.
        let bits = tokens.len().next_power_of_two().ilog2().max(1);
        let shift = u128::BITS - bits;
        let below = (0..=1u128 << bits)
            .map(|top| tokens.partition_point(|token| token.0 >> shift < top) as u32)
            .collect();
        Ok(Self {
            tokens,
            owners,
            below,
            shift,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn token(&self, index: usize) -> Token {
        self.tokens[index]
    }

    /// The owners of all tokens, clockwise.
    pub(super) fn owners(&self) -> &[Seat] {
        &self.owners
    }

    /// The last token that does not lie after this one; before the first token, the last of all.
    #[inline]
    pub(super) fn at_or_before(&self, token: Token) -> usize {
        self.up_to(token)
            .checked_sub(1)
            .unwrap_or(self.tokens.len() - 1)
    }

    /// The first token after this one; after the last token, the first of all.
    pub(super) fn after(&self, token: Token) -> usize {
        self.up_to(token) % self.tokens.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.tokens.capacity() * size_of::<Token>()
            + self.owners.capacity() * size_of::<Seat>()
            + self.below.capacity() * size_of::<u32>()
    }

    /// How many tokens do not lie after this one.
    #[inline]
    fn up_to(&self, token: Token) -> usize {
        let top = (token.0 >> self.shift) as usize;
        let (low, high) = (self.below[top] as usize, self.below[top + 1] as usize);
        low + self.tokens[low..high].partition_point(|&other| other <= token)
    }
}

fn drawn(node: NodeId, nth: u32) -> Token {
    let mut md5 = Md5::new();
    md5.update(node.0.to_be_bytes());
    md5.update(nth.to_be_bytes());
    Token(u128::from_be_bytes(md5.finalize().into()))
}
