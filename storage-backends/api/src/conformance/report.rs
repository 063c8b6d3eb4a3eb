//! What came of each requirement.

use std::fmt;

/// What came of all requirements, in their order.
#[derive(Clone, Debug)]
pub struct Report {
    /// By name.
    pub verdicts: Vec<(&'static str, Verdict)>,
}

/// What came of one requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The engine does what is required.
    Kept,
    /// The subject cannot stage what it takes to tell.
    Skipped,
    /// The engine does something else: this.
    Broken(String),
}

/// A requirement's own account.
pub(super) type Outcome<T = ()> = Result<T, Miss>;

/// Why a requirement is not known to be kept.
pub(super) enum Miss {
    Skipped,
    Broken(String),
}

impl Report {
    /// The names of what is broken.
    pub fn broken(&self) -> impl Iterator<Item = &'static str> {
        self.named(|verdict| matches!(verdict, Verdict::Broken(_)))
    }

    /// The names of what could not be told.
    pub fn skipped(&self) -> impl Iterator<Item = &'static str> {
        self.named(|verdict| *verdict == Verdict::Skipped)
    }

    fn named(&self, is_wanted: fn(&Verdict) -> bool) -> impl Iterator<Item = &'static str> {
        let wanted = self.verdicts.iter().filter(move |(_, it)| is_wanted(it));
        wanted.map(|(name, _)| *name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, verdict) in &self.verdicts {
            match verdict {
                Verdict::Kept => writeln!(f, "kept     {name}")?,
                Verdict::Skipped => writeln!(f, "skipped  {name}")?,
                Verdict::Broken(how) => writeln!(f, "BROKEN   {name}: {how}")?,
            }
        }
        Ok(())
    }
}

/// Ends a requirement as broken unless this holds.
macro_rules! ensure {
    ($holds:expr, $($how:tt)+) => {
        if !$holds {
            return Err($crate::conformance::report::Miss::Broken(format!($($how)+)));
        }
    };
}

pub(super) use ensure;
