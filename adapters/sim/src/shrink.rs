//! Makes a failing scenario smaller while it goes on failing.

use crate::scenario::Scenario;

/// The smallest scenario found in which the same promise is still broken, if one is in this. Leaves out
/// faults and operations, ever fewer at a time, and gives up after so many runs.
#[must_use]
pub fn shrink(scenario: &Scenario, runs: usize) -> Option<Scenario> {
    let check = crate::run(scenario).violation?.check;
    let mut left = runs;
    let mut fails = |scenario: &Scenario| {
        left = left.saturating_sub(1);
        let broken = || crate::run(scenario).violation;
        left > 0 && broken().is_some_and(|violation| violation.check == check)
    };
    let mut smallest = scenario.clone();
    loop {
        let before = (smallest.faults.len(), smallest.plan.len());
        leave_out(&mut smallest, |scenario| &mut scenario.faults, &mut fails);
        leave_out(&mut smallest, |scenario| &mut scenario.plan, &mut fails);
        if before == (smallest.faults.len(), smallest.plan.len()) {
            return Some(smallest);
        }
    }
}

fn leave_out<T>(
    smallest: &mut Scenario,
    part: impl Fn(&mut Scenario) -> &mut Vec<T>,
    fails: &mut impl FnMut(&Scenario) -> bool,
) {
    let mut size = part(smallest).len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < part(smallest).len() {
            let mut smaller = smallest.clone();
            let things = part(&mut smaller);
            let to = (from + size).min(things.len());
            things.drain(from..to);
            if fails(&smaller) {
                *smallest = smaller;
            } else {
                from = to;
            }
        }
        size /= 2;
    }
}
