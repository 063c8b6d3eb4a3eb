//! What is measured in simulated clusters rather than checked: how long a node that was away needs
//! to have all again, how a surge passes, how many requests of a year are answered.
//!
//! Every check goes on beside it, and what breaks a promise has no figures. Time is simulated, so
//! the same measurement always gives the same numbers.

pub mod away;
pub mod growth;
pub mod level;
pub mod surge;
pub mod year;

use std::time::Duration;

use dynamo_proto::node::{Failure, Response};

use crate::report::Violation;

/// What a client was told.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// When it asked, since clients began.
    pub at: Duration,
    /// How long it waited, as the coordinator sees it: the way between the two is not simulated.
    pub took: Duration,
    /// Which node it asked.
    pub node: usize,
    /// Whether it asked for something, or else wrote.
    pub is_read: bool,
    /// What.
    pub outcome: Outcome,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused at once: there is no room for it.
    Overloaded,
    /// It was not done in time or could not be.
    Failed,
    /// It may have been done.
    Unknown,
    /// The node that was asked stopped.
    Lost,
}

impl Outcome {
    pub(crate) fn of(response: &Response) -> Self {
        match response {
            Response::Failed(Failure::Overloaded) => Self::Overloaded,
            Response::Failed(_) => Self::Failed,
            Response::Unknown => Self::Unknown,
            _ => Self::Done,
        }
    }
}

/// The most requests a second, below a bound and closely enough, of which 99 in a hundred are done.
fn most(
    bound: u32,
    close: u32,
    run: impl Fn(u32) -> Result<Vec<Told>, Violation>,
) -> Result<u32, Violation> {
    let (mut can, mut cannot) = (0, bound);
    while cannot - can > close {
        let offered = can.midpoint(cannot);
        let told = run(offered)?;
        let done = told.iter().filter(|told| told.outcome == Outcome::Done);
        if 100 * done.count() >= 99 * told.len() {
            can = offered;
        } else {
            cannot = offered;
        }
    }
    Ok(can)
}
