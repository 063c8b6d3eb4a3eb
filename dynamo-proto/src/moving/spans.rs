//! Which stretches of tokens concern a node when others are on duty than before.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::job::{Job, Kind};
use crate::node::Env;
use crate::store::Span;
use crate::{NodeId, Token};

/// So much more than another a node may be asked for first.
const UNEVEN: u128 = u128::MAX / 32;

/// Stretches of tokens, those that meet united.
#[derive(Default)]
struct Stretches(Vec<(u128, u128)>);

impl Stretches {
    fn add(&mut self, first: u128, last: u128) {
        match self.0.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(first) => *end = last,
            _ => self.0.push((first, last)),
        }
    }

    fn spans(self) -> Vec<Span> {
        let spans = self.0.into_iter();
        spans
            .map(|(first, last)| Span::of_positions(first..=last))
            .collect()
    }
}

/// Of which nodes what is asked first: of each about as much as of any other, but in few stretches,
/// since each costs the time of a question.
#[derive(Default)]
struct FirstAsked {
    shares: BTreeMap<NodeId, u128>,
    last: Option<NodeId>,
}

impl FirstAsked {
    fn choose(&mut self, donors: &BTreeSet<NodeId>, len: u128) -> Option<NodeId> {
        let share = |donor: &NodeId| self.shares.get(donor).copied().unwrap_or(0);
        let least = donors.iter().copied().min_by_key(share)?;
        let most = share(&least).saturating_add(UNEVEN);
        let same = self
            .last
            .filter(|it| donors.contains(it) && share(it) <= most);
        let chosen = same.unwrap_or(least);
        let share = self.shares.entry(chosen).or_default();
        *share = share.saturating_add(len);
        self.last = Some(chosen);
        Some(chosen)
    }
}

/// All that this node is on duty for and was not, asked of everybody who was: of one of them first, so
/// that what they have in common comes once, and then of the others.
pub(super) fn to_pull(env: &Env<'_>) -> [Vec<Job>; 2] {
    let (view, me) = (env.view, env.me());
    let replicas = replicas(env);
    let mut rounds: [BTreeMap<NodeId, Stretches>; 2] = Default::default();
    let mut first_asked = FirstAsked::default();
    for (first, last) in parts(env) {
        let token = Token(first);
        let mut asked = BTreeSet::new();
        for n in replicas.iter().copied() {
            let is_new = view.ring.lookup(token).is_primary(me, n)
                && !view.reads.lookup(token).is_primary(me, n);
            let before = view.past.iter().filter(|_| is_new);
            let before = before.flat_map(|ring| ring.lookup(token).primaries(n));
            asked.extend(before.map(|member| member.id));
        }
        asked.retain(|donor| *donor != me && view.is_present(*donor));
        let Some(chosen) = first_asked.choose(&asked, last - first) else {
            continue;
        };
        for donor in asked {
            let round = usize::from(donor != chosen);
            rounds[round].entry(donor).or_default().add(first, last);
        }
    }
    let job =
        |(donor, stretches): (_, Stretches)| Job::new(Kind::Pull { donor }, stretches.spans());
    rounds.map(|donors| donors.into_iter().map(job).collect())
}

/// All that this node may hold and is not on duty for.
pub(super) fn to_shed(env: &Env<'_>) -> Vec<Job> {
    let (view, me) = (env.view, env.me());
    let fewest = replicas(env).first().copied().unwrap_or(0);
    let mut foreign = Stretches::default();
    for (first, last) in parts(env) {
        if !view.ring.lookup(Token(first)).is_primary(me, fewest) {
            foreign.add(first, last);
        }
    }
    match foreign.0.is_empty() {
        true => Vec::new(),
        false => [Job::new(Kind::Shed, foreign.spans())].into(),
    }
}

/// How many replicas keys may have.
pub(crate) fn replicas(env: &Env<'_>) -> BTreeSet<usize> {
    let all = env.view.buckets.all();
    all.map(|bucket| bucket.n.into()).collect()
}

/// Stretches in which no ring changes owners.
pub(crate) fn parts(env: &Env<'_>) -> impl Iterator<Item = (u128, u128)> {
    let mut starts: Vec<u128> = [0].into();
    for ring in env.view.rings() {
        let partitions = ring.partitions();
        starts.extend(partitions.map(|partition| ring.range(partition).first.0));
    }
    starts.sort_unstable();
    starts.dedup();
    let ends: Vec<u128> = starts.iter().skip(1).map(|start| start - 1).collect();
    starts.into_iter().zip(ends.into_iter().chain([u128::MAX]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn donors_are_asked_for_as_much_as_each_other_in_few_stretches() {
        let donors = BTreeSet::from([NodeId(1), NodeId(2), NodeId(3)]);
        let (mut first_asked, parts) = (FirstAsked::default(), 1024);
        let chosen = (0..parts).map(|_| first_asked.choose(&donors, u128::MAX / parts));
        let chosen: Vec<_> = chosen.map(|it| it.expect("there are donors")).collect();
        let stretches = 1 + chosen.windows(2).filter(|two| two[0] != two[1]).count();
        assert!(stretches <= 64, "{stretches}");
        let (least, most) = (
            first_asked.shares.values().min(),
            first_asked.shares.values().max(),
        );
        assert!(
            most.zip(least)
                .is_some_and(|(most, least)| most - least <= 2 * UNEVEN)
        );
        assert_eq!(first_asked.choose(&BTreeSet::new(), 1), None);
    }
}
