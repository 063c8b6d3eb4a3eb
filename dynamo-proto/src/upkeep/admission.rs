//! How much a node does for itself beside what clients want now: the paper's section 6.5.
//!
//! Background work (bringing home, moving, comparing) is done in stretches of a batch each. Whoever
//! has done one asks when the next may begin: at once while clients are answered in time. When too
//! many lately were not, each doer works only for a share of the time and rests for the others, and
//! that share is halved until they are; then it grows again, slowly. It never becomes nothing: what
//! is never repaired is lost one day.
//!
//! What is watched are the answers of this node to clients and, apart from those, to other nodes,
//! which ask for clients of theirs.

use core::time::Duration;

use crate::Instant;

/// So much of the time is all of it.
const WHOLE: u32 = 64;
/// By so much the share grows when nobody waits.
const STEP: u32 = 4;
/// How often it is thought over.
const LOOK: Duration = Duration::from_millis(250);
/// How many looks what was measured counts for.
const LOOKS: usize = 8;
/// Of so many answers one may be late, and one besides.
const ONE_IN: u32 = 100;
/// Nobody rests for longer: clients may be gone by then.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Admits background work.
#[derive(Debug)]
pub(crate) struct Admission {
    /// In how long ninety-nine of a hundred are to be answered.
    target: Duration,
    clients: Window,
    peers: Window,
    /// Of [`WHOLE`].
    share: u32,
    next_look: Instant,
}

/// What was answered of late.
#[derive(Debug, Default)]
struct Window {
    looks: [Tally; LOOKS],
    at: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    all: u32,
    late: u32,
}

impl Admission {
    pub(crate) fn new(target: Duration) -> Self {
        Self {
            target,
            clients: Window::default(),
            peers: Window::default(),
            share: WHOLE,
            next_look: Instant::default(),
        }
    }

    /// A client was answered, so long after it asked.
    pub(crate) fn answered(&mut self, took: Duration, now: Instant) {
        self.look(now);
        self.clients.count(took > self.target);
    }

    /// A client was refused, for there was too much to do.
    pub(crate) fn refused(&mut self, now: Instant) {
        self.look(now);
        self.clients.count(true);
    }

    /// Another node was answered, so long after it asked.
    pub(crate) fn served(&mut self, took: Duration, now: Instant) {
        self.look(now);
        self.peers.count(took > self.target);
    }

    /// When somebody whose last stretch of work began then, and is done now, may begin the next.
    pub(crate) fn next(&mut self, began: Instant, now: Instant) -> Instant {
        self.look(now);
        let rest = now.since(began).saturating_mul(WHOLE - self.share) / self.share;
        now + rest.min(LONGEST_REST)
    }

    /// How much of something is to be done at a time: the less, the longer is rested in between. What
    /// is done at once is what a client may have to wait for.
    pub(crate) fn of(&mut self, whole: u32, now: Instant) -> u32 {
        self.look(now);
        let part = u64::from(self.share * self.share);
        (u64::from(whole) * part / u64::from(WHOLE * WHOLE)) as u32 // at most `whole`
    }

    /// Thinks the share over, as often as it was to be since it last was.
    fn look(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        let missed = now.since(self.next_look).as_nanos() / LOOK.as_nanos();
        // Then all is forgotten and nobody waits.
        let most = LOOKS as u128 + u128::from(WHOLE / STEP);
        for _ in 0..=missed.min(most) {
            self.share = match self.clients.is_late() || self.peers.is_late() {
                true => (self.share / 2).max(1),
                false => (self.share + STEP).min(WHOLE),
            };
            self.clients.turn();
            self.peers.turn();
        }
        self.next_look = now + LOOK;
    }
}

impl Window {
    fn count(&mut self, is_late: bool) {
        let tally = &mut self.looks[self.at];
        tally.all = tally.all.saturating_add(1);
        tally.late = tally.late.saturating_add(is_late.into());
    }

    fn is_late(&self) -> bool {
        let sum =
            |what: fn(&Tally) -> u32| self.looks.iter().map(what).fold(0, u32::saturating_add);
        sum(|tally| tally.late) > 1 + sum(|tally| tally.all) / ONE_IN
    }

    fn turn(&mut self) {
        self.at = (self.at + 1) % LOOKS;
        self.looks[self.at] = Tally::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(100);
    const STRETCH: Duration = Duration::from_millis(10);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// How long is rested after a stretch.
    fn rest(admission: &mut Admission, millis: u64) -> Duration {
        let now = at(millis);
        let began = at(millis - STRETCH.as_millis() as u64);
        admission.next(began, now).since(now)
    }

    /// A client each millisecond, one in so many of them late.
    fn serve(admission: &mut Admission, millis: core::ops::Range<u64>, one_in: u64) {
        for millis in millis {
            let is_late = millis % one_in == 0;
            let took = if is_late { 2 * TARGET } else { TARGET / 2 };
            admission.answered(took, at(millis));
        }
    }

    #[test]
    fn nobody_rests_while_clients_are_answered_in_time() {
        let mut admission = Admission::new(TARGET);
        serve(&mut admission, 1000..5000, 200);
        assert_eq!(rest(&mut admission, 5000), Duration::ZERO);
        assert_eq!(admission.of(1000, at(5000)), 1000);
    }

    #[test]
    fn background_work_yields_to_clients_that_wait_but_goes_on() {
        let mut admission = Admission::new(TARGET);
        serve(&mut admission, 1000..1600, 20);
        let soon = rest(&mut admission, 1600);
        serve(&mut admission, 1600..5000, 20);
        let later = rest(&mut admission, 5000);
        assert!(Duration::ZERO < soon && soon < later, "{soon:?}, {later:?}");
        assert_eq!(later, STRETCH * (WHOLE - 1));
        assert_eq!(admission.next(at(0), at(5000)), at(5000) + LONGEST_REST);
    }

    #[test]
    fn it_comes_back_slowly_once_they_are() {
        let mut admission = Admission::new(TARGET);
        serve(&mut admission, 1000..5000, 20);
        serve(&mut admission, 5000..8000, 1_000_000);
        let half = rest(&mut admission, 8000);
        assert!(
            Duration::ZERO < half && half < STRETCH * (WHOLE - 1),
            "{half:?}"
        );
        serve(&mut admission, 8000..13_000, 1_000_000);
        assert_eq!(rest(&mut admission, 13_000), Duration::ZERO);
    }

    #[test]
    fn with_nobody_there_all_time_is_its_own() {
        let mut admission = Admission::new(TARGET);
        serve(&mut admission, 1000..5000, 2);
        assert_eq!(rest(&mut admission, 60_000), Duration::ZERO);
    }

    #[test]
    fn one_that_waits_is_no_trend_and_refusals_are_late() {
        let mut admission = Admission::new(TARGET);
        admission.served(2 * TARGET, at(1000));
        assert_eq!(rest(&mut admission, 1500), Duration::ZERO);
        for millis in 1500..1600 {
            admission.refused(at(millis));
        }
        assert!(rest(&mut admission, 2000) > Duration::ZERO);
    }

    #[test]
    fn what_other_nodes_ask_for_their_clients_counts_apart() {
        let mut admission = Admission::new(TARGET);
        for millis in 1000..2000 {
            admission.answered(TARGET / 2, at(millis));
            if millis % 50 == 0 {
                admission.served(2 * TARGET, at(millis));
            }
        }
        assert!(rest(&mut admission, 2000) > Duration::ZERO);
    }
}
