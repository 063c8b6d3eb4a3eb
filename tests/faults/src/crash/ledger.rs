//! What was reported of each place, and what may therefore be left there.

use std::collections::BTreeMap;

use dynamo_proto::Durability;

use super::work::{PLACES, Work};

/// All states of each place that may still be found, oldest first.
pub(super) struct Ledger {
    work: Work,
    places: Vec<Vec<State>>,
}

#[derive(Clone, Copy)]
struct State {
    /// Of the batch that made it.
    number: u64,
    is_there: bool,
    is_at: Durability,
}

/// The numbers found at each place that is not empty.
pub(super) type Found = BTreeMap<usize, u64>;

impl Ledger {
    pub(super) fn new(work: Work) -> Self {
        let nothing = State {
            number: 0,
            is_there: false,
            is_at: Durability::Flushed,
        };
        Self {
            work,
            places: vec![vec![nothing]; PLACES],
        }
    }

    /// A batch may have been written from now on.
    pub(super) fn begin(&mut self, number: u64) {
        for (place, is_removed) in self.work.places(number) {
            self.places[place].push(State {
                number,
                is_there: !is_removed,
                is_at: Durability::Memory,
            });
        }
    }

    /// A batch is so safe, and with it all that went before.
    pub(super) fn reach(&mut self, number: u64, level: Durability) {
        for state in self.places.iter_mut().flatten() {
            if state.number <= number {
                state.is_at = state.is_at.max(level);
            }
        }
    }

    /// Checks what was found after an end that only what reached this level outlives, and believes
    /// it: what can be read after opening is as safe as it will ever be.
    pub(super) fn check(&mut self, found: &Found, level: Durability) -> Result<(), String> {
        for (place, states) in self.places.iter_mut().enumerate() {
            // What has not been superseded by something safe enough.
            let first = states.iter().rposition(|state| state.is_at >= level);
            states.drain(..first.unwrap_or(0));
            let found = found.get(&place);
            let is_it = |state: &State| match found {
                Some(number) => state.is_there && state.number == *number,
                None => !state.is_there,
            };
            let Some(mut state) = states.iter().rev().copied().find(is_it) else {
                return Err(format!(
                    "place {place} holds {found:?}; what it may hold is {}",
                    show(states)
                ));
            };
            state.is_at = Durability::Flushed;
            *states = vec![state];
        }
        self.check_that_batches_are_whole(found)
    }

    /// Where one change of a batch is found, none of its others may be missing.
    fn check_that_batches_are_whole(&self, found: &Found) -> Result<(), String> {
        for (place, number) in found {
            for (other, _) in self.work.places(*number) {
                let state = self.places[other][0];
                if state.number < *number {
                    return Err(format!(
                        "batch {number} is found at place {place}, and not at place {other}, which \
                         holds {}",
                        show(&[state])
                    ));
                }
            }
        }
        Ok(())
    }
}

fn show(states: &[State]) -> String {
    let states = states.iter().map(|state| {
        let what = if state.is_there { "" } else { " (removed)" };
        format!("{}{what}: {:?}", state.number, state.is_at)
    });
    states.collect::<Vec<_>>().join(", ")
}
