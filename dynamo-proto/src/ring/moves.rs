//! What a change of membership moves: for plans shown to people, and for those who carry it out.

use alloc::vec::Vec;

use super::member::Member;
use super::{Ring, TokenRange};
use crate::identity::NodeId;
use crate::key::Token;

/// A range of tokens that gets another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// What moves. Never crosses the top of the ring.
    pub range: TokenRange,
    /// Who gives it up; nobody where a small ring grows to its number of replicas.
    pub from: Option<NodeId>,
    /// Who gets it; nobody where a ring shrinks below its number of replicas.
    pub to: Option<NodeId>,
}

impl Ring {
    /// What moves between this ring and the next, clockwise. With equal partitions every move is
    /// one copy of one partition.
    ///
    /// Only owners count. The order in which they are on duty moves nothing.
    pub fn moves<'a>(&'a self, next: &'a Self) -> impl Iterator<Item = Move> + use<'a> {
        let mut starts: Vec<Token> = self.starts().chain(next.starts()).collect();
        starts.push(Token(0));
        starts.sort_unstable();
        starts.dedup();
        let ends = starts
            .clone()
            .into_iter()
            .skip(1)
            .map(|start| Token(start.0 - 1));
        let ends = ends.chain([Token(u128::MAX)]);
        starts.into_iter().zip(ends).flat_map(move |(first, last)| {
            let range = TokenRange { first, last };
            let old = self
                .preference(self.partition(first))
                .primaries(self.replicas());
            let new = next
                .preference(next.partition(first))
                .primaries(next.replicas());
            let mut leavers = missing(old.clone(), new.clone());
            let mut newcomers = missing(new, old);
            core::iter::from_fn(move || {
                let (from, to) = (leavers.next(), newcomers.next());
                (from.is_some() || to.is_some()).then_some(Move { range, from, to })
            })
        })
    }

    fn starts(&self) -> impl Iterator<Item = Token> {
        self.partitions()
            .map(|partition| self.range(partition).first)
    }
}

/// Who is in the first list only.
fn missing<'a>(
    list: impl Iterator<Item = &'a Member>,
    other: impl Iterator<Item = &'a Member> + Clone,
) -> impl Iterator<Item = NodeId> {
    list.map(|member| member.id)
        .filter(move |&id| other.clone().all(|member| member.id != id))
}
