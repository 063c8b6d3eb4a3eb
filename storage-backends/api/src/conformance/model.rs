//! Any sequence of calls, beside a map that does the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Space};
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::SplitMix64;

use super::Subject;
use super::places::{awkward, batch, expect, pages, set, unset};
use super::report::{Miss, Outcome, ensure};
use crate::{Backend, Limit, SPACES, Span, Write};

const STEPS: usize = 4000;

pub(super) fn it_behaves_as_a_map_does<S: Subject>(subject: &mut S) -> Outcome {
    let mut pair = Pair {
        backend: subject.open(),
        map: BTreeMap::new(),
    };
    let mut dice = Dice::new(1);
    for step in 0..STEPS {
        pair.take_step(&mut dice).map_err(|miss| match miss {
            Miss::Broken(how) => Miss::Broken(format!("at step {step}, {how}")),
            Miss::Skipped => Miss::Skipped,
        })?;
    }
    for space in SPACES {
        pair.compare(space, &Span::all(), Limit::default())?;
    }
    Ok(())
}

/// The engine, and what it should hold.
struct Pair<B> {
    backend: B,
    map: BTreeMap<(Space, Address), Bytes>,
}

impl<B: Backend> Pair<B> {
    fn take_step(&mut self, dice: &mut Dice) -> Outcome {
        let space = dice.space();
        match dice.below(16) {
            0..6 => {
                let batches = (0..=dice.below(3)).map(|_| dice.batch()).collect();
                self.write(batches)
            }
            6..12 => {
                let at = dice.address();
                let expected = self.map.get(&(space, at.clone()));
                expect(&self.backend, space, &at, expected)
            }
            12..15 => {
                let (span, limit) = (dice.span(), dice.limit());
                self.compare(space, &span, limit)
            }
            _ => self.delete(space, &dice.span()),
        }
    }

    fn write(&mut self, batches: Vec<Batch>) -> Outcome {
        let mut group: Vec<_> = batches.iter().cloned().map(Write::from).collect();
        self.backend.write(&mut group);
        for Write { answer, .. } in group {
            ensure!(answer.is_ok(), "a write was answered {answer:?}");
        }
        for Change { space, at, bytes } in batches.into_iter().flat_map(|batch| batch.changes) {
            match bytes {
                Some(bytes) => self.map.insert((space, at), bytes),
                None => self.map.remove(&(space, at)),
            };
        }
        Ok(())
    }

    fn delete(&mut self, space: Space, span: &Span) -> Outcome {
        let answer = self.backend.delete(space, span, Durability::Memory);
        ensure!(answer.is_ok(), "a delete was answered {answer:?}");
        self.map
            .retain(|(kept_in, at), _| *kept_in != space || !span.contains(at));
        Ok(())
    }

    fn compare(&self, space: Space, span: &Span, limit: Limit) -> Outcome {
        let found = pages(&self.backend, space, span, limit)?;
        let in_span = self
            .map
            .iter()
            .filter(|((kept_in, at), _)| *kept_in == space && span.contains(at));
        let expected = in_span.map(|((_, at), bytes)| (at, bytes));
        ensure!(
            found.iter().map(|(at, bytes)| (at, bytes)).eq(expected),
            "{space:?} scans {span:?} as {found:?}"
        );
        Ok(())
    }
}

/// Choices that grow from a seed, so that a broken run can be run again.
pub(super) struct Dice {
    rng: SplitMix64,
    places: Vec<Address>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: SplitMix64::seed_from_u64(seed),
            places: awkward(),
        }
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound as u64) as usize
    }

    pub(super) fn space(&mut self) -> Space {
        SPACES[self.below(SPACES.len())]
    }

    pub(super) fn address(&mut self) -> Address {
        let index = self.below(self.places.len());
        self.places[index].clone()
    }

    /// Of up to four places, no two the same. Flushes are rare: they are slow where they are real.
    pub(super) fn batch(&mut self) -> Batch {
        let mut changes = BTreeMap::new();
        for _ in 0..=self.below(4) {
            let (space, at) = (self.space(), self.address());
            let change = if self.below(4) == 0 {
                unset(space, &at)
            } else {
                set(space, &at, self.bytes())
            };
            changes.insert((space, at), change);
        }
        let durability = match self.below(32) {
            0 => Durability::Flushed,
            1..4 => Durability::Written,
            _ => Durability::Memory,
        };
        batch(changes.into_values(), durability)
    }

    fn bytes(&mut self) -> Bytes {
        let longest = [1, 32, 256, 8192][self.below(4)];
        let len = self.below(longest);
        (0..len).map(|_| self.rng.next_u64() as u8).collect()
    }

    fn span(&mut self) -> Span {
        let first = self.address();
        match self.below(4) {
            0 => Span::of_one(first),
            1 => Span::of_positions(first.position..=self.address().position),
            2 => Span::new(first, Some(self.address())),
            _ => Span::new(first, None),
        }
    }

    fn limit(&mut self) -> Limit {
        Limit {
            items: self.below(20),
            bytes: self.below(1000),
        }
    }
}
