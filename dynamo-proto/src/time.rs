//! Time as the caller tells it. Nothing in this crate reads a clock.

use core::ops::Add;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// The calendar's time, in microseconds since 1970-01-01 UTC, as some machine believes it.
///
/// It may jump, drift and differ between machines, so nothing about safety hangs on it: it stamps
/// values for last-write-wins and for people, and dates clock entries for truncation.
///
/// ```
/// use dynamo_proto::WallTime;
/// assert_eq!(WallTime::from_secs(2).as_micros(), 2_000_000);
/// assert_eq!(WallTime::from_micros(2_999_999).as_secs(), 2);
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct WallTime(u64);

impl WallTime {
    /// The first microsecond of 1970; also "never stamped".
    pub const ZERO: Self = Self(0);

    /// That many microseconds after 1970 began.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// That many seconds after 1970 began.
    #[must_use]
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs as u64 * 1_000_000)
    }

    /// Microseconds since 1970 began.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970 began; the last representable second after the year 2106.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        let secs = self.0 / 1_000_000;
        if secs > u32::MAX as u64 {
            u32::MAX
        } else {
            secs as u32
        }
    }

    /// The next microsecond after this one; the last one stays.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A moment of the caller's monotonic clock, in nanoseconds since a beginning of its choosing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// That many nanoseconds after the beginning.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the beginning.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after an earlier moment this is; nothing if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// That much later; the last moment there is, if there is none such.
    fn add(self, wait: Duration) -> Self {
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(wait))
    }
}

/// Both of the caller's clocks: one to wait by, one to stamp by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Never runs backwards; decides when to act.
    pub mono: Instant,
    /// What people call the time; decides nothing about safety.
    pub wall: WallTime,
}
