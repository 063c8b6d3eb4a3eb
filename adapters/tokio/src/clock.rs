//! The machine's clocks.

use std::time::{Duration, SystemTime};

use dynamo_proto::{Instant, Now, WallTime};
use tokio::time;

/// Both clocks; the monotonic one counts from the node's start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: time::Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            mono: self.at(time::Instant::now()),
            wall: wall(),
        }
    }

    /// A moment, as the node counts.
    pub(crate) fn at(&self, moment: time::Instant) -> Instant {
        Instant::default() + moment.duration_since(self.start)
    }

    /// Waits for a deadline, or for ever if there is none.
    pub(crate) async fn sleep_until(&self, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) => {
                let wait = Duration::from_nanos(deadline.as_nanos());
                time::sleep_until(self.start + wait).await;
            }
            None => std::future::pending().await,
        }
    }
}

/// The calendar's time; 1970 if it is set to before that.
pub(crate) fn wall() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = since_1970.map_or(0, |wait| wait.as_micros());
    WallTime::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
