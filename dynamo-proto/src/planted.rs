//! Known bugs that can be planted, to see that checkers find them.
//!
//! Everything here exists only in builds with `--cfg planted`, which no feature can switch on.

use core::sync::atomic::{AtomicU8, Ordering};

macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// A bug that some system of this kind has had.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { $($(#[doc = $doc])* $name,)* }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it does wrong.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)*).trim_ascii(),)* }
            }
        }
    };
}

bugs! {
    /// An actor goes on minting after its node has restarted.
    ActorOutlivesBoot,
    /// A blind write to a key that has a value is taken for stale and dropped.
    BlindIsStale,
    /// A merge keeps only the value with the higher dot.
    MergeKeepsOne,
    /// A merge prunes the clock to two entries.
    MergePrunes,
    /// What a context knows beyond its coordinator's record is forgotten.
    FutureForgotten,
    /// A replica acknowledges before its store has.
    AckBeforeStored,
    /// A coordinator tells the others before its own copy is kept.
    ToldBeforeStored,
    /// W counts replicas, not hosts.
    HostsNotCounted,
    /// A read is answered when one replica too few has.
    ReadOneShort,
    /// A write that was minted and ran out of time is called failed.
    FailedAfterMint,
    /// A write is answered again when its time is up.
    AnsweredTwice,
    /// A write that runs out of time is not answered.
    NeverAnswered,
    /// A write that may have been delivered is tried with another coordinator.
    RetriedElsewhere,
    /// A coordinator does not remember which requests it has minted.
    RequestsForgotten,
    /// The answer to a write gives a context that covers values its client has not seen.
    ContextCoversUnseen,
    /// The answer to a write that came again gives a context of what superseded it.
    RepeatCoversUnseen,
    /// Changes of one key run side by side.
    ChangesOverlap,
    /// Requests are taken on beyond capacity.
    CapacityIgnored,
    /// A hint is released when its owner has an older state of it.
    ReleasedUnseen,
    /// Hints are released as soon as they are sent.
    ReleasedUnsent,
    /// A hint that finds no room is acknowledged and dropped.
    HintDropped,
    /// Hints are taken without bound.
    HintsUnbounded,
    /// That a stand-in knows nothing counts as an answer to a read.
    StandInVotes,
    /// A node and whoever stands in for it count as two.
    SlotCountsTwice,
    /// Replicas that lag are not repaired.
    NeverRepairs,
    /// What a replica missed is held for it by nobody.
    NothingOwed,
    /// Whoever was suspected once is never trusted again.
    SuspectsForEver,
    /// Last-write-wins stamps a write by the wall clock alone.
    StampIgnoresSeen,
}

static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants a bug in place of any other; `None` pulls it out.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8 + 1), Ordering::Relaxed);
}

pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u8 + 1
}
