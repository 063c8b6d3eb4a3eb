//! The oracle for clients of real nodes: what each saw, held against what it was promised.

use std::time::Duration;

use dynamo_proto::node::{Got, Response};
use dynamo_proto::version::RequestId;

use crate::oracle::{Manner, Oracle, Seen, Terms};
use crate::report::{Count, Counters, Violation};

/// All that clients of some keys have asked for and been told, in the order in which they say so.
///
/// Whoever writes asks first under which request id; whoever reads tells when it began. As in the
/// [simulator](crate), nothing is taken from any node but its answers.
#[derive(Debug)]
pub struct History {
    oracle: Oracle,
    counters: Counters,
}

/// What a client has seen of a key.
#[derive(Clone, Debug, Default)]
pub struct Sight(Seen);

impl History {
    /// Of so many keys, none of them written yet. Each is written with contexts, or blindly.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        let manners = std::iter::repeat_n(Manner::Causal, keys);
        Self {
            oracle: Oracle::new(manners, false),
            counters: Counters::default(),
        }
    }

    /// A client is about to write, superseding what it has seen; blindly without that.
    pub fn write(&mut self, key: usize, seen: Option<&Sight>, now: Duration) -> RequestId {
        self.oracle.invoke(key, seen.map(|seen| &seen.0), now)
    }

    /// What became of a write; nothing was heard without an answer. What its client has seen by that, if it
    /// knows all there is.
    pub fn written(
        &mut self,
        id: RequestId,
        response: Option<&Response>,
        now: Duration,
    ) -> Option<Sight> {
        let seen = self.oracle.answered(id, response, now, &mut self.counters);
        seen.map(Sight)
    }

    /// A read that began then was answered.
    pub fn read(&mut self, key: usize, got: &Got, began: Duration) -> Result<Sight, Violation> {
        let terms = Terms {
            invoked: began,
            is_whole: false,
        };
        let read = self
            .oracle
            .read(key, &got.siblings, &terms, &mut self.counters);
        read.map(Sight)
    }

    /// Everything has ended, and this is what all replicas of a key have together.
    pub fn end(&self, key: usize, got: &Got) -> Result<(), Violation> {
        self.oracle.end(key, &got.siblings)
    }

    /// How often that happened.
    #[must_use]
    pub fn of(&self, count: Count) -> u64 {
        self.counters.of(count)
    }
}
