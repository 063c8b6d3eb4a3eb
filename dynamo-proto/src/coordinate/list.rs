//! A listing: which keys have values, stretch by stretch of the ring.
//!
//! ```text
//!   Asking -- all have answered --> [full, at the end, or long enough] --> answered
//!     ^  \ nobody, or not all the way: others are asked      |
//!     +----------------- Resting for as long as that took ---+
//! ```
//!
//! A stretch is as much as the same nodes are on duty for. So many of them are asked as have to
//! answer a read; what any of them has is listed, as far as all of them have looked. Nothing is
//! kept from one request to the next: each answer says where the next one begins.
//!
//! It yields to everything else: a node that has much to do puts it off, few go side by side, and
//! each rests as long as it has worked.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use smallvec::SmallVec;

use super::{Origin, Requests, Running, Terms};
use crate::node::{Env, Failure, Listed, Listing, MOST_LISTED, Notice, Response, Slot};
use crate::replica::{Lister, Looks, Replica, replicas};
use crate::ring::Ring;
use crate::store::{Address, Span};
use crate::wire::Message;
use crate::{Instant, Key, NodeId, Token};

/// A listing under way.
pub(crate) struct List {
    origin: Origin,
    /// Any key of the bucket.
    key: Key,
    /// What is left of it.
    listing: Listing,
    /// How many must look at each stretch.
    need: u8,
    deadline: Instant,
    /// When it has taken long enough, if anything has come of it.
    enough: Instant,
    keys: Vec<Key>,
    state: State,
    /// How many questions it has asked: answers to earlier ones come late.
    question: u32,
    /// How many of them have not led on.
    in_vain: usize,
    has_moved: bool,
    asked_at: Instant,
}

enum State {
    Asking { stretch: Span, of: Vec<Asked> },
    Resting,
}

struct Asked {
    node: NodeId,
    answer: Option<Listed>,
}

/// Most that go side by side.
const ABREAST: usize = 8;

/// Most questions for one request.
const QUESTIONS: u32 = 64;

/// Most partitions in a stretch.
const PARTITIONS: usize = 1024;

impl List {
    pub(crate) fn start(
        key: Key,
        listing: Listing,
        (origin, terms, deadline): (Origin, Terms, Instant),
        requests: &mut Requests,
        looks: &mut Looks,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        if requests.listings() >= ABREAST {
            env.notify(Notice::Overloaded);
            return env.answer(origin, Response::Failed(Failure::Overloaded));
        }
        let (now, need) = (env.mono(), terms.reads());
        let list = Self {
            origin,
            key,
            listing: Listing {
                most: listing.most.clamp(1, MOST_LISTED),
                ..listing
            },
            need,
            deadline,
            enough: now + deadline.since(now) / 2,
            keys: Vec::new(),
            state: State::Resting,
            question: 0,
            in_vain: 0,
            has_moved: false,
            asked_at: now,
        };
        let is_empty = list.listing.span.is_empty();
        let slot = requests.insert(Running::List(Box::new(list)), deadline);
        if is_empty {
            return Self::end(slot, None, requests, env);
        }
        Self::ask(slot, requests, looks, replica, env);
    }

    /// Asks those on duty for the next stretch.
    fn ask(
        slot: Slot,
        requests: &mut Requests,
        looks: &mut Looks,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(Running::List(list)) = requests.get_mut(slot) else {
            return;
        };
        let n = replicas(list.listing.scope, &list.key, env);
        let need = usize::from(list.need).min(n);
        let nodes = list.choose(n, need, env);
        if nodes.len() < need {
            let (need, got) = (need as u8, nodes.len() as u8);
            return Self::give_up(slot, Failure::TooFew { need, got }, requests, env);
        }
        let stretch = stretch(&env.view.reads, &list.listing.span, &nodes, n);
        let listing = Listing {
            span: stretch.clone(),
            ..list.listing.clone()
        };
        list.question += 1;
        list.asked_at = env.mono();
        let asked = |node: &NodeId| Asked {
            node: *node,
            answer: None,
        };
        let of = nodes.iter().map(asked).collect();
        list.state = State::Asking { stretch, of };
        let (key, question) = (list.key.clone(), list.question);
        let wake = (env.mono() + list.patience(env)).min(list.deadline);
        requests.wake(slot, wake);
        let mut at_once = None;
        for node in nodes {
            if node == env.me() {
                let asker = Lister::Request(slot, question);
                at_once = looks.ask(asker, key.clone(), listing.clone(), replica, env);
                continue;
            }
            let message = Message::List {
                ticket: env.mask.ticket(slot),
                question,
                key: key.clone(),
                listing: listing.clone(),
            };
            env.send(node, message);
        }
        if let Some((slot, question, listed)) = at_once {
            Self::answered(slot, env.me(), question, listed, requests, env);
        }
    }

    /// Who is asked: this node, and those that are there, first; others where those were asked in
    /// vain.
    fn choose(&self, n: usize, need: usize, env: &Env<'_>) -> SmallVec<[NodeId; 4]> {
        let token = Token(self.listing.span.first().position);
        let primaries = env.view.reads.lookup(token).primaries(n);
        let mut nodes: SmallVec<[NodeId; 4]> = primaries
            .map(|member| member.id)
            .filter(|node| env.view.is_present(*node))
            .collect();
        nodes.sort_by_key(|node| (!env.health.is_trusted(*node), *node != env.me()));
        let turn = self.in_vain % nodes.len().max(1);
        nodes.rotate_left(turn);
        nodes.truncate(need);
        nodes
    }

    /// How long an answer may take: the longer, the more often nothing has come of a question.
    fn patience(&self, env: &Env<'_>) -> Duration {
        let doubled = 1 << self.in_vain.min(8);
        env.config.timing.retry_after.saturating_mul(doubled)
    }

    /// A node has looked.
    pub(crate) fn answered(
        slot: Slot,
        from: NodeId,
        question: u32,
        listed: Listed,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(Running::List(list)) = requests.get_mut(slot) else {
            return;
        };
        let State::Asking { stretch, of } = &mut list.state else {
            return;
        };
        let Some(asked) = of.iter_mut().find(|asked| asked.node == from) else {
            return;
        };
        if list.question != question || asked.answer.is_some() {
            return;
        }
        asked.answer = Some(listed);
        if of.iter().any(|asked| asked.answer.is_none()) {
            return;
        }
        let stretch = stretch.clone();
        let answers = core::mem::take(of).into_iter();
        let answers: SmallVec<[Listed; 4]> = answers.filter_map(|asked| asked.answer).collect();
        let ends = answers.iter().filter_map(|listed| listed.rest.as_ref());
        let end = ends.chain(stretch.end()).min().cloned();
        if end.as_ref() == Some(stretch.first()) {
            list.in_vain += 1;
            let until = env.mono() + list.patience(env);
            return Self::rest(slot, until, requests, env);
        }
        let cut = list.take(answers, &Span::new(stretch.first().clone(), end.clone()));
        list.in_vain = 0;
        list.has_moved = true;
        let now = env.mono();
        let is_full = cut.is_some() || list.keys.len() == usize::from(list.listing.most);
        let is_enough = now >= list.enough || list.question >= QUESTIONS;
        let Some(rest) = cut.or(end) else {
            return Self::end(slot, None, requests, env);
        };
        list.listing.span = list.listing.span.starting_at(rest.clone());
        if list.listing.span.is_empty() {
            return Self::end(slot, None, requests, env);
        }
        if is_full || is_enough {
            return Self::end(slot, Some(rest), requests, env);
        }
        let until = now + now.since(list.asked_at);
        Self::rest(slot, until, requests, env);
    }

    /// Adds what was found within that. Returns where it must go on if there was no room for all.
    fn take(&mut self, answers: SmallVec<[Listed; 4]>, within: &Span) -> Option<Address> {
        let keys = answers.into_iter().flat_map(|listed| listed.keys);
        let at = |key: &Key| Address::of_object(key.token(), key.encoded());
        let mut found: Vec<(Address, Key)> = keys.map(|key| (at(&key), key)).collect();
        found.retain(|(at, _)| within.contains(at));
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (at, key) in found {
            let scope = self.listing.scope;
            if self
                .keys
                .iter()
                .rev()
                .any(|shown| scope.is_shown_by(&key, shown))
            {
                continue;
            }
            if self.keys.len() == usize::from(self.listing.most) {
                return Some(planted!(ListingSkips ? at.successor(); at));
            }
            self.keys.push(key);
        }
        None
    }

    fn rest(slot: Slot, until: Instant, requests: &mut Requests, env: &Env<'_>) {
        if let Some(Running::List(list)) = requests.get_mut(slot) {
            list.state = State::Resting;
            let wake = until.min(list.deadline).max(env.mono());
            requests.wake(slot, wake);
        }
    }

    /// Time to go on, to ask others, or to give up.
    pub(crate) fn wake(
        slot: Slot,
        requests: &mut Requests,
        looks: &mut Looks,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(Running::List(list)) = requests.get_mut(slot) else {
            return;
        };
        let now = env.mono();
        let is_silent = matches!(list.state, State::Asking { .. });
        if now >= list.deadline || (list.has_moved && now >= list.enough) {
            let failure = match &list.state {
                State::Asking { of, .. } => Failure::TooFew {
                    need: list.need,
                    got: of.iter().filter(|asked| asked.answer.is_some()).count() as u8,
                },
                State::Resting => Failure::Overloaded,
            };
            return Self::give_up(slot, failure, requests, env);
        }
        list.in_vain += usize::from(is_silent);
        Self::ask(slot, requests, looks, replica, env);
    }

    /// Answers with what there is, or says why there is nothing.
    fn give_up(slot: Slot, failure: Failure, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(Running::List(list)) = requests.get_mut(slot) else {
            return;
        };
        if list.has_moved {
            let rest = Some(list.listing.span.first().clone());
            return Self::end(slot, rest, requests, env);
        }
        if let Some(Running::List(list)) = requests.remove(slot) {
            env.answer(list.origin, Response::Failed(failure));
        }
    }

    fn end(slot: Slot, rest: Option<Address>, requests: &mut Requests, env: &mut Env<'_>) {
        if let Some(Running::List(list)) = requests.remove(slot) {
            let List { origin, keys, .. } = *list;
            env.answer(origin, Response::Listed(Listed { keys, rest }));
        }
    }
}

/// From the beginning of a span as far as these are all on duty.
fn stretch(ring: &Ring, span: &Span, nodes: &[NodeId], n: usize) -> Span {
    let first = span.first().clone();
    let mut token = Token(first.position);
    let mut end = None;
    for _ in 0..PARTITIONS {
        let last = ring.range(ring.partition(token)).last;
        // One that crosses the top of the ring ends at the top, for whoever comes from below.
        let next = if last < token {
            None
        } else {
            last.0.checked_add(1)
        };
        end = next.map(|position| Address {
            position,
            name: Default::default(),
        });
        let Some(next) = next.map(Token) else {
            break;
        };
        let list = ring.lookup(next);
        let is_behind = span.end().is_some_and(|end| end.position < next.0);
        if is_behind || !nodes.iter().all(|node| list.is_primary(*node, n)) {
            break;
        }
        token = next;
    }
    let end = [end, span.end().cloned()].into_iter().flatten().min();
    Span::new(first, end)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::ring::{Member, RingConfig, Strategy};

    fn ring(nodes: u64, strategy: Strategy) -> Ring {
        let replicas = 3;
        let config = RingConfig { strategy, replicas };
        let member = |id: u64| Member::new(NodeId(id), "zone", format!("host-{id}"));
        Ring::birth(config, (1..=nodes).map(member).collect()).unwrap()
    }

    /// From the bottom of the ring to the top, stretch by stretch, nothing is left out and nothing
    /// looked at twice.
    #[test]
    fn stretches_cover_the_ring_and_their_nodes_are_on_duty_for_all_of_each() {
        for strategy in [
            Strategy::EqualPartitions { partitions: 64 },
            Strategy::RandomTokens {
                tokens_per_node: 16,
            },
        ] {
            let ring = ring(7, strategy);
            let (mut span, mut stretches) = (Span::all(), 0);
            loop {
                let token = Token(span.first().position);
                let primaries = ring.lookup(token).primaries(3);
                let nodes: Vec<NodeId> = primaries.map(|member| member.id).take(2).collect();
                let stretch = stretch(&ring, &span, &nodes, 3);
                assert_eq!(stretch.first(), span.first());
                assert!(!stretch.is_empty());
                let last = stretch.end().map_or(u128::MAX, |end| end.position - 1);
                let starts = ring
                    .partitions()
                    .map(|partition| ring.range(partition).first);
                for inside in starts.filter(|start| token <= *start && start.0 <= last) {
                    let list = ring.lookup(inside);
                    assert!(nodes.iter().all(|node| list.is_primary(*node, 3)));
                }
                stretches += 1;
                match stretch.end() {
                    Some(end) => span = span.starting_at(end.clone()),
                    None => break,
                }
            }
            assert!((3..=112).contains(&stretches), "{stretches}");
        }
    }

    #[test]
    fn who_is_on_duty_for_everything_is_asked_for_all_of_it_at_once() {
        let ring = ring(3, Strategy::EqualPartitions { partitions: 64 });
        let all: Vec<NodeId> = (1..=3).map(NodeId).collect();
        assert_eq!(stretch(&ring, &Span::all(), &all, 3), Span::all());
        let part = Span::of_positions(5..=u128::MAX / 3);
        assert_eq!(stretch(&ring, &part, &all, 3), part);
    }
}
