//! What came of it, counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::speech::Outcome;
use super::workload::Kind;

/// Longer latencies are counted as this.
const LONGEST: Duration = Duration::from_secs(120);

/// How exactly latencies are kept, in decimal digits.
const DIGITS: u8 = 3;

/// Answers over a stretch of time.
#[derive(Debug)]
pub(super) struct Tally {
    began: Instant,
    /// How long it took in all.
    pub(super) took: Duration,
    latencies: [Histogram<u64>; Kind::ALL.len()],
    errors: BTreeMap<String, u64>,
    /// Requests done in each second.
    pub(super) seconds: Vec<u64>,
}

impl Tally {
    pub(super) fn new(began: Instant) -> Self {
        let histogram =
            || Histogram::new_with_max(LONGEST.as_nanos() as u64, DIGITS).expect("sound bounds");
        Self {
            began,
            took: Duration::ZERO,
            latencies: [histogram(), histogram(), histogram()],
            errors: BTreeMap::new(),
            seconds: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, kind: Kind, took: Duration, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Done => {
                self.latencies[kind as usize].saturating_record(took.as_nanos() as u64);
                let second = now.duration_since(self.began).as_secs() as usize;
                if self.seconds.len() <= second {
                    self.seconds.resize(second + 1, 0);
                }
                self.seconds[second] += 1;
            }
            Outcome::Failed(word) => *self.errors.entry(word).or_default() += 1,
        }
    }

    /// Requests that a connection took with it when it ended.
    pub(super) fn lose(&mut self, requests: usize) {
        if requests > 0 {
            *self.errors.entry("lost".into()).or_default() += requests as u64;
        }
    }

    pub(super) fn latencies(&self, kind: Kind) -> &Histogram<u64> {
        &self.latencies[kind as usize]
    }

    /// Of all kinds together.
    pub(super) fn all(&self) -> Histogram<u64> {
        let mut all = self.latencies[0].clone();
        for other in &self.latencies[1..] {
            all.add(other).expect("the same bounds");
        }
        all
    }

    pub(super) fn done(&self) -> u64 {
        self.latencies.iter().map(Histogram::len).sum()
    }

    pub(super) fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// Requests that were answered, whatever the answer: what servers worked for.
    pub(super) fn answered(&self) -> u64 {
        self.done() + self.errors.values().sum::<u64>()
    }

    pub(super) fn errors_in_words(&self) -> String {
        let errors = self
            .errors
            .iter()
            .map(|(word, count)| format!("{count} {word}"));
        match errors.collect::<Vec<_>>() {
            errors if errors.is_empty() => "no errors".into(),
            errors => errors.join(", "),
        }
    }
}
