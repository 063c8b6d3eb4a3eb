//! Jobs that go on step by step, side by side.

use crate::node::{Deadlines, Env, Slot, Slots};
use crate::{Instant, NodeId};

/// So many times shorter than for an answer it is waited for room or for client work to pass.
const YIELD_SHARE: u32 = 8;
/// It is waited for so many patiences for an answer: what was sent may have to be stored first.
const WAIT: u32 = 16;

/// Jobs under way, and when each is to go on if nothing happens before.
pub(crate) struct Jobs<T> {
    jobs: Slots<T>,
    deadlines: Deadlines,
}

impl<T> Jobs<T> {
    pub(crate) fn new() -> Self {
        Self {
            jobs: Slots::new(),
            deadlines: Deadlines::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.jobs.iter()
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.jobs.slots()
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.jobs.get_mut(slot)
    }

    pub(crate) fn begin(&mut self, job: T) -> Slot {
        self.jobs.insert(job)
    }

    pub(crate) fn end(&mut self, slot: Slot) -> Option<T> {
        self.deadlines.clear(slot);
        self.jobs.remove(slot)
    }

    /// When one of them is to go on next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// One that is to go on now.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Slot> {
        self.deadlines.pop_due(now)
    }

    /// It goes on at that time.
    pub(crate) fn wait_until(&mut self, slot: Slot, at: Instant) {
        self.deadlines.set(slot, at);
    }

    /// An answer has come, if a job says that it is what it waits for.
    pub(crate) fn answered(
        &mut self,
        slot: Slot,
        is_it: impl FnOnce(&T) -> bool,
    ) -> Option<&mut T> {
        let job = self.jobs.get_mut(slot).filter(|job| is_it(job))?;
        self.deadlines.clear(slot);
        Some(job)
    }

    /// It does not wait any longer.
    pub(crate) fn stop_waiting(&mut self, slot: Slot) {
        self.deadlines.clear(slot);
    }

    /// It waits for an answer; it is looked after once that is late.
    pub(crate) fn wait(&mut self, slot: Slot, env: &Env<'_>) {
        let patience = env.config.timing.retry_after;
        self.deadlines.set(slot, env.mono() + patience);
    }

    /// The same, under a name of its own: an answer to an earlier question is none to this one.
    pub(crate) fn wait_anew(&mut self, slot: Slot, env: &Env<'_>) -> Slot {
        let Some(job) = self.end(slot) else {
            return slot;
        };
        let slot = self.begin(job);
        self.wait(slot, env);
        slot
    }

    /// Something else goes first.
    pub(crate) fn pause(&mut self, slot: Slot, env: &Env<'_>) {
        let wait = env.config.timing.retry_after / YIELD_SHARE;
        self.deadlines.set(slot, env.mono() + wait);
    }

    /// A step that began then is done. Returns whether clients leave time for the next one now;
    /// otherwise it rests until they do.
    pub(crate) fn rest(&mut self, slot: Slot, began: Instant, env: &mut Env<'_>) -> bool {
        let next = env.admission.next(began, env.now.mono);
        let is_now = next <= env.mono();
        if !is_now {
            self.deadlines.set(slot, next);
        }
        is_now
    }
}

/// An answer of that node's, asked for then, is late. Returns whether it is waited for no longer.
pub(crate) fn is_given_up(node: NodeId, since: Instant, env: &mut Env<'_>) -> bool {
    env.missed(node, since);
    let longest = env.config.timing.retry_after.saturating_mul(WAIT);
    env.mono() >= since + longest || !env.health.is_trusted(node)
}
