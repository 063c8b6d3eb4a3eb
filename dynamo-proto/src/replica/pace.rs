//! How fast the store works when it has enough to do.

use core::time::Duration;

use crate::Instant;

/// The mean time from one command that the store has done to the next, while others wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    gap: u64,
    /// When it did the last one, if others were waiting then.
    last: Option<Instant>,
}

/// One part in so many of what is measured enters the mean: completions come in groups.
const SHARE: u64 = 64;
/// So much it may always have to do.
const FEW: u64 = 32;

impl Pace {
    /// It has done a command; so many wait.
    pub(super) fn measure(&mut self, now: Instant, waiting: usize) {
        if let Some(last) = self.last {
            let gap = u64::try_from(now.since(last).as_nanos()).unwrap_or(u64::MAX / 2);
            self.gap = self.gap - self.gap / SHARE + gap / SHARE;
        }
        self.last = (waiting > 0).then_some(now);
    }

    /// How much of what is begun now it has done within that time.
    pub(super) fn within(&self, time: Duration) -> usize {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let done = time.checked_div(self.gap).unwrap_or(u64::MAX).max(FEW);
        usize::try_from(done).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_busy_store_does_in_a_time_is_known_and_pauses_do_not_count() {
        let mut pace = Pace::default();
        assert_eq!(pace.within(Duration::from_secs(1)), usize::MAX);
        let mut now = Instant::default();
        for group in 0..200 {
            // Ten at a time, every 20 ms, the last of them with nothing left to do.
            for waiting in (0..10).rev() {
                now = now + Duration::from_millis(2);
                pace.measure(now, waiting);
            }
            now = now + Duration::from_secs(group);
        }
        let done = pace.within(Duration::from_secs(1));
        assert!((450..=550).contains(&done), "{done}");
        assert_eq!(pace.within(Duration::from_millis(1)), FEW as usize);
    }
}
