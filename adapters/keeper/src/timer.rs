//! The one timer of a node.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::reactor::Reactor;

/// Wakes the task at a deadline, or a little before a later one: it is set anew only for an earlier.
pub(crate) struct Timer<R: Reactor> {
    alarm: Option<R::Alarm>,
    /// For when the alarm is set, unless it has rung.
    set: Option<Instant>,
}

impl<R: Reactor> Timer<R> {
    pub(crate) fn new() -> Self {
        Self {
            alarm: None,
            set: None,
        }
    }

    pub(crate) fn poll_until(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| {
            self.set = Some(due);
            R::alarm(due)
        });
        loop {
            if self.set.is_none_or(|set| due < set) {
                R::reset(alarm, due);
                self.set = Some(due);
            }
            if Pin::new(&mut *alarm).poll(context).is_pending() {
                return Poll::Pending;
            }
            self.set = None;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
        }
    }
}
