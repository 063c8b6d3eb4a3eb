//! The machine's clocks.

use std::time::{self, Duration, SystemTime};

use dynamo_proto::{Instant, Now, WallTime};

/// Both clocks of the machine; the monotonic one counts from the node's start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: time::Instant,
}

impl Clock {
    /// Clocks for a node that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: time::Instant::now(),
        }
    }

    /// What they show.
    #[must_use]
    pub fn now(&self) -> Now {
        Now {
            mono: Instant::default() + self.start.elapsed(),
            wall: wall(),
        }
    }

    /// A moment, as the machine counts.
    #[must_use]
    pub fn moment(&self, moment: Instant) -> time::Instant {
        self.start + Duration::from_nanos(moment.as_nanos())
    }
}

/// The calendar's time; 1970 if it is set to before that.
fn wall() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = since_1970.map_or(0, |wait| wait.as_micros());
    WallTime::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
