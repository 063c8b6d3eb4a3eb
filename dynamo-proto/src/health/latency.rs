//! How long something usually takes.

use core::time::Duration;

use crate::Instant;

/// A running mean of how long something takes, and of how far it departs from that.
///
/// ```
/// use std::time::Duration;
/// use dynamo_proto::{Instant, Latency};
///
/// let (mut near, mut far) = (Latency::default(), Latency::default());
/// let (now, patience) = (Instant::default(), Duration::from_millis(100));
/// near.measure(Duration::from_millis(1), now);
/// far.measure(Duration::from_millis(30), now);
/// assert!(near.rank(now, patience) < far.rank(now, patience));
/// assert!(far.late() > Some(Duration::from_millis(30)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    mean: u64,
    deviation: u64,
    /// The mean as it was when it last changed by much: what is compared with others', so that
    /// two that are about equal do not change places all the time.
    ranked: u64,
    measured: Option<Instant>,
}

/// One part in so many of what is measured enters the mean.
const SHARE: u64 = 8;
/// What was not measured for so many patiences is not known any more.
const STALE: u32 = 16;
/// The mean must depart by one part in so many of what it was to change its rank.
const HYSTERESIS: u64 = 4;

impl Latency {
    /// It took that long this time.
    pub fn measure(&mut self, took: Duration, now: Instant) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / 2);
        if self.measured.is_none() {
            (self.mean, self.deviation) = (took, took / 2);
        } else {
            let off = took.abs_diff(self.mean);
            self.deviation = (self.deviation / SHARE * (SHARE - 1)).saturating_add(off / SHARE);
            self.mean = (self.mean / SHARE * (SHARE - 1)).saturating_add(took / SHARE);
        }
        self.measured = Some(now);
        if self.mean.abs_diff(self.ranked) > self.ranked / HYSTERESIS {
            self.ranked = self.mean;
        }
    }

    /// The mean, of all of late.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.mean)
    }

    /// For putting several in order: nothing if it is not known, so that it becomes known.
    #[must_use]
    pub fn rank(&self, now: Instant, patience: Duration) -> Duration {
        if self.is_known(now, patience) {
            Duration::from_nanos(self.ranked)
        } else {
            Duration::ZERO
        }
    }

    /// Whether it was measured of late.
    #[must_use]
    pub fn is_known(&self, now: Instant, patience: Duration) -> bool {
        let measured = self.measured;
        measured.is_some_and(|at| now.since(at) < patience.saturating_mul(STALE))
    }

    /// Longer than about one in a hundred takes; not known before anything was measured.
    #[must_use]
    pub fn late(&self) -> Option<Duration> {
        self.measured?;
        let late = self.mean.saturating_add(self.deviation.saturating_mul(4));
        Some(Duration::from_nanos(late))
    }
}
