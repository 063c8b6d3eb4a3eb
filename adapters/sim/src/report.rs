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
    Suspected = "nodes suspected", 0;
    Trusted = "nodes trusted again", 0;
    WasAway = "nodes that noticed a pause of theirs", 0;
    Hedged = "reads hedged", 0;
    RepairSent = "replicas repaired", 0;
    HintTaken = "copies held for others", 0;
    HintRefused = "copies refused", 0;
    HandedOff = "copies brought home", 0;
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
    Split = "splits", 1;
    Bridge = "splits with a bridge", 1;
    Ring = "rings of majorities", 1;
    Flapped = "links that went and came", 1;
    HalfOpened = "connections that only one side knew of", 1;
    Clogged = "pieces on clogged links", 1;
    Severed = "connections ended in the middle of a frame", 1;
    Replayed = "old pieces sent again", 1;
    Outage = "outages of all nodes", 1;
    DiskSlowed = "disks slowed", 1;
    ReadError = "reads that a disk failed", 1;
    WriteError = "writes that a disk failed", 1;
    FlushError = "flushes that failed", 1;
    DiskFull = "disks full", 1;
    WriteRefusedFull = "writes refused by a full disk", 1;
    WriteTakenFull = "writes taken by a full disk", 1;
    Full = "requests refused because a disk was full", 1;
    WriteLost = "writes lost by a device", 1;
    Misdirected = "writes misdirected by a device", 1;
    LossSurfaced = "lost and misdirected writes that showed", 1;
    Rotten = "records rotten", 1;
    Torn = "records torn by a loss of power", 1;
    DamagedRead = "damaged records read", 1;
    Wiped = "disks wiped", 1;
    RolledBack = "disks rolled back", 1;
    Exchanged = "disks put into other machines", 1;
    StrangeDisk = "starts refused on another's disk", 1;
    Mended = "lost copies whole again", 1;
    Spared = "losses spared as too many", 1;
    Buried = "deletes that all replicas had", 1;
    Surge = "surges", 1;
    Surged = "requests of surges", 1;
    Recovered = "surges recovered from", 1;
    Hot = "requests for hot keys", 1;
    Oversized = "oversized values", 1;
    TooLarge = "writes refused as too large", 1;
    TooManySiblings = "writes refused for too many siblings", 1;
    TooManyActors = "writes refused for too many actors", 1;
    Refused = "writes refused otherwise", 1;
    AskedAgain = "requests asked again by their clients", 0;
    Redone = "writes done once more by their clients", 1;
    Vanished = "clients that vanished", 1;
    Hurried = "requests with little time", 1;
    WokenForNothing = "nodes woken for nothing", 1;
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
