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

impl std::error::Error for Violation {}

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
    Updated = "updates of data types done", 100_000;
    Listed = "keys listed", 5_000;
    DataRead = "reads of data types", 80_000;
    OwnWriteMissed = "reads that missed their client's own write", 100;
    SessionRead = "reads of sessions done", 30_000;
    ToldStale = "reads of sessions that could not see enough", 30;
    Minted = "versions minted", 200_000;
    Newborn = "versions of newborn actors", 20_000;
    Forwarded = "writes forwarded", 80_000;
    Retried = "messages retried", 50_000;
    Repeated = "writes repeated", 800;
    Divergent = "reads that diverged", 5_000;
    Shared = "reads shared", 500;
    Superseded = "values superseded", 100_000;
    Overloaded = "requests refused as overload", 2_000;
    Suspected = "nodes suspected", 50_000;
    Trusted = "nodes trusted again", 50_000;
    WasAway = "nodes that noticed a pause of theirs", 200;
    Hedged = "reads hedged", 2_000;
    RepairSent = "replicas repaired", 9_000;
    HintTaken = "copies held for others", 30_000;
    HintRefused = "copies refused", 0;
    Retired = "boots retired", 100;
    Raised = "nodes that had seen all that retired boots wrote", 100;
    HandedOff = "copies brought home", 30_000;
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
    Paused = "processes paused", 1_000;
    Slowed = "nodes slowed", 2_000;
    ClockJumped = "clocks that jumped", 2_000;
    Split = "splits", 300;
    Bridge = "splits with a bridge", 200;
    Ring = "rings of majorities", 400;
    Flapped = "links that went and came", 50_000;
    HalfOpened = "connections that only one side knew of", 1_000;
    Clogged = "pieces on clogged links", 40_000;
    Severed = "connections ended in the middle of a frame", 700;
    Replayed = "old pieces sent again", 80_000;
    Outage = "outages of all nodes", 900;
    DiskSlowed = "disks slowed", 1_000;
    ReadError = "reads that a disk failed", 10_000;
    WriteError = "writes that a disk failed", 3_000;
    FlushError = "flushes that failed", 600;
    DiskFull = "disks full", 1_000;
    WriteRefusedFull = "writes refused by a full disk", 10_000;
    WriteTakenFull = "writes taken by a full disk", 10_000;
    Full = "requests refused because a disk was full", 6_000;
    WriteLost = "writes lost by a device", 600;
    Misdirected = "writes misdirected by a device", 100;
    LossSurfaced = "lost and misdirected writes that showed", 300;
    Rotten = "records rotten", 200;
    Scrubbed = "damaged records found by looking for them", 60;
    HintRotten = "records held for others rotten", 5;
    Decided = "changes of membership decided", 0;
    Epoch = "times that a node learnt about its cluster", 0;
    OtherEpoch = "requests by another epoch", 0;
    Pulled = "copies that came to new owners", 0;
    Shed = "records given up by old owners", 0;
    Levelled = "copies that an exchange moved", 0;
    TreeMended = "leaves made anew", 0;
    ExchangeBytes = "bytes of exchanges", 0;
    Removed = "nodes that learnt that they are removed", 0;
    Torn = "records torn by a loss of power", 60;
    DamagedRead = "damaged records read", 700;
    Wiped = "disks wiped", 300;
    RolledBack = "disks rolled back", 400;
    Exchanged = "disks put into other machines", 300;
    StrangeDisk = "starts refused on another's disk", 300;
    Mended = "lost copies whole again", 7_000;
    Spared = "losses spared as too many", 9_000;
    Buried = "deletes that all replicas had", 40_000;
    Surge = "surges", 40;
    Surged = "requests of surges", 90_000;
    Recovered = "surges recovered from", 40;
    Hot = "requests for hot keys", 100_000;
    Oversized = "oversized values", 10_000;
    TooLarge = "writes refused as too large", 20_000;
    RecordTooLarge = "writes refused for too large a record", 2_000;
    TooLong = "messages that no frame holds", 0;
    TooManySiblings = "writes refused for too many siblings", 20_000;
    TooManyActors = "writes refused for too many actors", 20_000;
    Refused = "writes refused otherwise", 6_000;
    AskedAgain = "requests asked again by their clients", 9_000;
    Redone = "writes done once more by their clients", 4_000;
    Vanished = "clients that vanished", 20_000;
    Hurried = "requests with little time", 40_000;
    WokenForNothing = "nodes woken for nothing", 9_000;
    TextAnswer = "answers to clients of RESP", 0;
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
