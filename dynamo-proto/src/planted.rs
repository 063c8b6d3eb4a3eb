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
    /// A node that was just started takes what it does not find for what was never done.
    StartForgotten,
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
    /// A hint goes home as safely as its bucket asks, whatever its write asked.
    HomeLessSafely,
    /// A hint that finds no room is acknowledged and dropped.
    HintDropped,
    /// Hints are taken without bound.
    HintsUnbounded,
    /// That a stand-in knows nothing counts as an answer to a read.
    StandInVotes,
    /// A node and whoever holds its copy for it count as two.
    SlotCountsTwice,
    /// A read is answered whatever it must have seen.
    SessionForgotten,
    /// Replicas that lag are not repaired.
    NeverRepairs,
    /// What a replica missed is held for it by nobody.
    NothingOwed,
    /// Whoever was suspected once is never trusted again.
    SuspectsForEver,
    /// What is held for a node that is not on duty any more stays where it is.
    HeldForTheGone,
    /// A node that has given a key up says that it has never heard of it.
    GoneIsAbsent,
    /// While partitions move a write counts by the current ring alone.
    OldRingNotCounted,
    /// As soon as a change is decided requests go by the new ring alone.
    NewRingOnly,
    /// A read asks new owners as soon as they are decided.
    ReadsAhead,
    /// A node says that it has moved without asking who was on duty before.
    MovedUnasked,
    /// A donor forgets without asking the owners what they lack.
    ForgottenUnasked,
    /// A running write does not notice that others are on duty now.
    RunningUntold,
    /// Whoever is asked by another epoch does not say so.
    EpochUnread,
    /// Last-write-wins stamps a write by the wall clock alone.
    StampIgnoresSeen,
    /// An update that is asked for again and not remembered is done again.
    UpdateRedone,
    /// What another replica has seen the end of stays in data.
    RemovedComesBack,
    /// An increment supersedes what other coordinators counted.
    CountsAlone,
    /// A listing that is full goes on behind the first key that it has no room for.
    ListingSkips,
    /// A listing shows what is deleted.
    DeletedListed,
    /// A delete is forgotten after a while, whoever has not seen it.
    ReapedByAge,
    /// A leaf is written beside the batch of its key.
    TreeBeside,
    /// An exchange is taken for agreed whatever could not be compared.
    AgreedUnlooked,
    /// Boots are retired while copies of what they wrote are held for others.
    RetiredUnasked,
    /// As soon as boots are retired a node takes it that it has seen all they wrote.
    RaisedUnearned,
    /// A boot is retired that still mints.
    RetiredAlive,
    /// A clock that takes more retirements into account goes on naming who is retired.
    RetiredUncanonical,
}

static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants a bug in place of any other; `None` pulls it out.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8 + 1), Ordering::Relaxed);
}

pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u8 + 1
}
