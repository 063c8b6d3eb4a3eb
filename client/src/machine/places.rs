//! Where nodes are, how fast they answer, and whether it is worth asking them.

use std::time::Duration;

use dynamo_driver::Dice;
use dynamo_proto::{Instant, Latency, NodeId};

use super::Link;
use super::asks::Trouble;

/// An address, and whoever answers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PlaceId(pub(super) u32);

pub(super) struct Place {
    pub(super) address: String,
    /// Whether it was given at the start.
    pub(super) is_seed: bool,
    /// Who is there, if that is known and always the same.
    pub(super) node: Option<NodeId>,
    pub(super) links: Vec<Link>,
    pub(super) circuit: Circuit,
    pub(super) reads: Latency,
    pub(super) writes: Latency,
    /// Requests that wait for a connection.
    pub(super) waiting: Vec<u64>,
    pub(super) trouble: Trouble,
}

/// Opens when a node fails again and again, and then lets one request through at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circuit {
    failures: u32,
    until: Option<Instant>,
    wait: Duration,
}

/// How many failures in a row open a circuit.
const MOST_FAILURES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What was not measured for sixteen times so long is not known any more.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

impl Place {
    pub(super) fn new(address: String, is_seed: bool, node: Option<NodeId>) -> Self {
        Self {
            address,
            is_seed,
            node,
            links: Vec::new(),
            circuit: Circuit::default(),
            reads: Latency::default(),
            writes: Latency::default(),
            waiting: Vec::new(),
            trouble: Trouble::None,
        }
    }

    pub(super) fn latency(&mut self, is_read: bool) -> &mut Latency {
        match is_read {
            true => &mut self.reads,
            false => &mut self.writes,
        }
    }

    /// For putting several in order.
    pub(super) fn rank(&self, is_read: bool, now: Instant) -> Duration {
        match is_read {
            true => self.reads.rank(now, PATIENCE),
            false => self.writes.rank(now, PATIENCE),
        }
    }
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            failures: 0,
            until: None,
            wait: FIRST_WAIT,
        }
    }
}

impl Circuit {
    /// Whether the place may be asked now.
    pub(super) fn lets_through(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// Something is asked there. Until it has succeeded, or another wait is over, nothing else is.
    pub(super) fn ask(&mut self, now: Instant) {
        if let Some(until) = &mut self.until {
            *until = now + self.wait;
        }
    }

    pub(super) fn succeed(&mut self) {
        *self = Self::default();
    }

    pub(super) fn fail(&mut self, now: Instant, dice: &mut Dice) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MOST_FAILURES {
            self.open(now, dice);
        }
    }

    /// There is no connection to be had: once is enough to know.
    pub(super) fn refuse(&mut self, now: Instant, dice: &mut Dice) {
        self.failures = self.failures.max(MOST_FAILURES);
        self.open(now, dice);
    }

    /// When it lets something through again.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    fn open(&mut self, now: Instant, dice: &mut Dice) {
        self.until = Some(now + dice.jittered(self.wait));
        self.wait = self.wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}

/// What may be spent on asking a second time: a share of what is asked a first time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Earned by one request, in hundredths of a retry.
    share: u32,
    hundredths: u32,
}

const RETRY: u32 = 100;
const MOST_RETRIES: u32 = 10;

impl Budget {
    pub(super) fn new(share: u32) -> Self {
        Self {
            share,
            hundredths: MOST_RETRIES * RETRY,
        }
    }

    pub(super) fn earn(&mut self) {
        self.hundredths = (self.hundredths + self.share).min(MOST_RETRIES * RETRY);
    }

    pub(super) fn spend(&mut self) -> bool {
        let is_there = self.hundredths >= RETRY;
        if is_there {
            self.hundredths -= RETRY;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::default() + Duration::from_millis(ms)
    }

    #[test]
    fn a_circuit_opens_after_three_failures_and_lets_one_through_at_a_time() {
        let (mut circuit, mut dice) = (Circuit::default(), Dice::new([1; 32]));
        for _ in 0..2 {
            circuit.fail(at(0), &mut dice);
            assert!(circuit.lets_through(at(0)));
        }
        circuit.fail(at(0), &mut dice);
        assert!(!circuit.lets_through(at(1)));
        assert!(circuit.lets_through(at(60)), "its wait is over");
        circuit.ask(at(60));
        assert!(!circuit.lets_through(at(60)), "one is on its way");
        circuit.fail(at(60), &mut dice);
        assert!(!circuit.lets_through(at(105)), "it waits longer each time");
        circuit.succeed();
        assert!(circuit.lets_through(at(105)));
    }

    #[test]
    fn ten_of_a_hundred_are_tried_again() {
        let mut budget = Budget::new(10);
        while budget.spend() {}
        let mut spent = 0;
        for _ in 0..1000 {
            budget.earn();
            spent += u32::from(budget.spend());
        }
        assert_eq!(spent, 100);
    }
}
