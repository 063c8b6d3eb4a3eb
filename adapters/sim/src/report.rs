//! What a run found and what it met on the way.

use std::fmt;
use std::time::Duration;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which check found it.
    pub check: &'static str,
    /// What it found.
    pub what: String,
    /// When, in the world's time.
    pub at: Duration,
}

impl Violation {
    pub(crate) fn new(check: &'static str, what: String) -> Self {
        Self {
            check,
            what,
            at: Duration::ZERO,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:?} {}: {}", self.at, self.check, self.what)
    }
}

macro_rules! counters {
    ($($name:ident = $label:literal, $least:literal;)*) => {
        /// Something that happens in a run, and must happen in some: a check of what never
        /// happens shows nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the label says it")]
        pub enum Count { $($name,)* }

        impl Count {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// In words.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// How often it must happen in a hundred simulated hours of every kind of fault.
            #[must_use]
            pub fn least(self) -> u64 {
                match self { $(Self::$name => $least,)* }
            }
        }
    };
}

// The last column is about a third of what is usual.
counters! {
    Event = "events", 5_000_000;
    Read = "reads done", 200_000;
    ReadFailed = "reads failed", 8_000;
    Acked = "writes done", 200_000;
    Failed = "writes failed", 10_000;
    Unknown = "writes unknown", 5_000;
    UnknownSeen = "unknown writes read later", 5_000;
    SiblingsRead = "reads of siblings", 50_000;
    OwnWriteMissed = "reads that missed their client's own write", 100;
    Minted = "versions minted", 200_000;
    Newborn = "versions of newborn actors", 20_000;
    Forwarded = "writes forwarded", 80_000;
    Retried = "messages retried", 50_000;
    Repeated = "writes repeated", 800;
    Divergent = "reads that diverged", 5_000;
    Shared = "reads shared", 500;
    Superseded = "values superseded", 100_000;
    Overloaded = "requests refused as overload", 2_000;
    Expired = "requests expired", 2_000;
    StaleContext = "writes with a stale context", 40_000;
    BlindWrite = "blind writes", 40_000;
    Deleted = "deletes", 40_000;
    ConnectionLost = "connections lost", 20_000;
    Cut = "links cut", 7_000;
    Damaged = "pieces damaged on the way", 300;
    Lost = "pieces lost on the way", 300;
    Doubled = "pieces doubled on the way", 300;
    Reordered = "pieces reordered on the way", 300;
    Killed = "processes killed", 1_000;
    PowerLost = "machines that lost power", 1_000;
    TailLost = "writes lost from a disk's end", 200;
    Paused = "processes paused", 2_000;
    Slowed = "nodes slowed", 2_000;
    ClockJumped = "clocks that jumped", 2_000;
}

/// How often each thing happened.
#[derive(Clone, Debug)]
pub struct Counters([u64; Count::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Count::ALL.len()])
    }
}

impl Counters {
    pub(crate) fn add(&mut self, count: Count, times: u64) {
        self.0[count as usize] += times;
    }

    /// How often that happened.
    #[must_use]
    pub fn of(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// What happened too seldom in that time for the checks of it to show anything.
    #[must_use]
    pub fn too_seldom(&self, simulated: Duration) -> Vec<Count> {
        let secs = u128::from(simulated.as_secs());
        let is_too_seldom = |count: &Count| {
            u128::from(self.of(*count)) * 360_000 < u128::from(count.least()) * secs
        };
        Count::ALL.iter().copied().filter(is_too_seldom).collect()
    }

    /// Adds another run's.
    pub fn add_all(&mut self, other: &Self) {
        for (mine, others) in self.0.iter_mut().zip(&other.0) {
            *mine += others;
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first promise that was not kept.
    pub violation: Option<Violation>,
    /// What it met.
    pub counters: Counters,
    /// How long it took in its own time.
    pub simulated: Duration,
    /// A sum of all that happened, in order: equal runs have equal ones.
    pub digest: u64,
}
