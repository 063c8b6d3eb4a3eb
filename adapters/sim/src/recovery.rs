//! Whether things are as they were soon after a surge: of what clients planned to do shortly
//! before it, and a while after it, about the same share is done.

use std::time::Duration;

use crate::faults::{CALM, Fault, FaultKind};
use crate::report::{Count, Counters, Violation};

/// How long it may take until things are as they were.
pub(crate) const WITHIN: Duration = Duration::from_secs(5);

/// With fewer operations than this on each side nothing is said.
const FEWEST: u32 = 20;

/// The surges of a run, and how the clients around them fared.
#[derive(Debug)]
pub(crate) struct Recovery(Vec<Surge>);

#[derive(Debug)]
struct Surge {
    from: Duration,
    to: Duration,
    before: Share,
    after: Share,
}

/// How much was done of what was wanted.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    done: u32,
    wanted: u32,
}

impl Recovery {
    /// Watches the surges around which nothing else goes wrong.
    pub(crate) fn new(faults: &[Fault], start: Duration) -> Self {
        let is_surge = |fault: &&Fault| matches!(fault.kind, FaultKind::Surge { .. });
        let is_alone = |surge: &&Fault| {
            let disturbs = |other: &Fault| {
                other != *surge
                    && other.at + other.lasts + CALM >= surge.at
                    && other.at <= surge.at + surge.lasts + CALM
            };
            !faults.iter().any(disturbs)
        };
        let surges = faults.iter().filter(is_surge).filter(is_alone);
        let surges = surges.map(|fault| Surge {
            from: start + fault.at,
            to: start + fault.at + fault.lasts,
            before: Share::default(),
            after: Share::default(),
        });
        Self(surges.collect())
    }

    /// Something was wanted at that time, and was done or not.
    pub(crate) fn count(&mut self, wanted: Duration, is_done: bool) {
        for surge in &mut self.0 {
            // What was disturbed before the calm has had the same time to recover.
            let before = surge.from.saturating_sub(CALM - WITHIN)..surge.from;
            let after = surge.to + WITHIN..surge.to + CALM;
            let share = if before.contains(&wanted) {
                &mut surge.before
            } else if after.contains(&wanted) {
                &mut surge.after
            } else {
                continue;
            };
            share.wanted += 1;
            share.done += u32::from(is_done);
        }
    }

    /// Whether at least 90 % of the share before is done again.
    pub(crate) fn check(&self, counters: &mut Counters) -> Result<(), Violation> {
        for Surge {
            before, after, to, ..
        } in &self.0
        {
            // What went badly before it shows nothing afterwards.
            let was_well = 10 * before.done >= 9 * before.wanted;
            if before.wanted.min(after.wanted) < FEWEST || !was_well {
                continue;
            }
            counters.add(Count::Recovered, 1);
            let is_as_before = 10 * u64::from(after.done) * u64::from(before.wanted)
                >= 9 * u64::from(before.done) * u64::from(after.wanted);
            if !is_as_before {
                let what = format!(
                    "{} of {} were done before the surge that ended at {to:?}, {} of {} after it",
                    before.done, before.wanted, after.done, after.wanted
                );
                return Err(Violation::new("I11", what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn surge() -> Fault {
        Fault {
            at: 30 * SECOND,
            lasts: 5 * SECOND,
            kind: FaultKind::Surge {
                per_sec: 600,
                key: None,
            },
        }
    }

    fn after_which(done: u32) -> Result<(), Violation> {
        let mut recovery = Recovery::new(&[surge()], SECOND);
        for at in 0..30 {
            recovery.count(30 * SECOND - SECOND * at / 10, true);
            recovery.count(36 * SECOND, false); // it lasts
            recovery.count(42 * SECOND + SECOND * at / 10, at < done);
        }
        recovery.check(&mut Counters::default())
    }

    #[test]
    fn most_must_be_done_again_soon_after_a_surge() {
        assert_eq!(after_which(27), Ok(()));
        assert_eq!(after_which(26).unwrap_err().check, "I11");
    }

    #[test]
    fn nothing_is_said_when_little_was_done_before() {
        let mut recovery = Recovery::new(&[surge()], SECOND);
        for at in 0..30 {
            recovery.count(30 * SECOND, at < 20);
            recovery.count(42 * SECOND, false);
        }
        assert_eq!(recovery.check(&mut Counters::default()), Ok(()));
    }

    #[test]
    fn nothing_is_said_of_a_surge_beside_other_faults() {
        let pause = Fault {
            at: 40 * SECOND,
            lasts: SECOND,
            kind: FaultKind::Pause { node: 0 },
        };
        let mut recovery = Recovery::new(&[surge(), pause], SECOND);
        for _ in 0..30 {
            recovery.count(30 * SECOND, true);
            recovery.count(42 * SECOND, false);
        }
        assert_eq!(recovery.check(&mut Counters::default()), Ok(()));
    }
}
