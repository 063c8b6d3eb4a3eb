//! What can go wrong, and how it is drawn.
//!
//! Every fault is an entry of the schedule of its own: it begins, lasts, ends, and can be left out
//! without changing the others. What must not go wrong at the same time is not decided here: where
//! a fault would destroy more than the promises say is survived, the [atlas](crate::atlas) has it
//! pass without harm when its time comes.

use std::time::Duration;

use dynamo_proto::Durability;
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::disk::Stop;

/// One thing that goes wrong, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// From when on.
    pub at: Duration,
    /// How long.
    pub lasts: Duration,
    /// What.
    pub kind: FaultKind,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Nothing gets from one machine to another.
    Cut {
        /// From this one.
        from: usize,
        /// To that one.
        to: usize,
        /// And back.
        both: bool,
    },
    /// Nothing gets to or from a machine.
    Isolate {
        /// Which.
        node: usize,
    },
    /// Nothing gets from one side to the other or back, but a bridge has both.
    Split {
        /// The machines of one side: bit 0 is the first machine.
        side: u32,
        /// The one that is on both sides.
        bridge: Option<usize>,
    },
    /// Each machine has only its next neighbours, so many to each side: all have a majority, and no
    /// two the same.
    Ring {
        /// How many.
        reach: usize,
    },
    /// Two machines lose and find each other again and again.
    Flap {
        /// The one.
        one: usize,
        /// The other.
        other: usize,
        /// How long each time.
        every: Duration,
    },
    /// A machine forgets a connection of which the other goes on thinking that it is there.
    HalfOpen {
        /// Who forgets.
        node: usize,
        /// Who does not notice.
        peer: usize,
    },
    /// What one machine sends another takes so many times as long.
    Clog {
        /// From this one.
        from: usize,
        /// To that one.
        to: usize,
        /// How many times.
        times: u32,
    },
    /// The next that one machine sends another arrives in part, and then the connection is gone.
    Sever {
        /// From this one.
        from: usize,
        /// To that one.
        to: usize,
    },
    /// What one machine has begun to send another when the fault begins arrives once more when it
    /// ends, on whatever connection there is then.
    Replay {
        /// From this one.
        from: usize,
        /// To that one.
        to: usize,
    },
    /// Connections between two machines break when a request was forwarded through them.
    Reset {
        /// The one.
        from: usize,
        /// The other.
        to: usize,
    },
    /// A process stops in the middle of its work, and starts again when the fault ends.
    Stop {
        /// Which.
        node: usize,
        /// How.
        stop: Stop,
        /// After how many more effects.
        effects: u32,
        /// Whether it goes on until it has just given its store something to write.
        writing: bool,
    },
    /// All processes stop at once, and start again when the fault ends.
    Outage {
        /// How.
        stop: Stop,
    },
    /// A process stands still.
    Pause {
        /// Which.
        node: usize,
    },
    /// A machine and its store take so many times as long.
    Slow {
        /// Which.
        node: usize,
        /// How many times.
        times: u32,
    },
    /// A machine's wall clock jumps by so many seconds. It stays there.
    Jump {
        /// Which.
        node: usize,
        /// How far.
        secs: i64,
    },
    /// Pieces of what is sent are lost, damaged, doubled, or overtake each other, each so often in
    /// a million.
    Noise {
        /// Lost.
        lost: u32,
        /// One bit flipped, or cut short.
        damaged: u32,
        /// Arriving twice.
        doubled: u32,
        /// Overtaken by the next.
        reordered: u32,
        /// Arriving only when they are sent again, 200 ms later, and all that follows with them: a
        /// packet that TCP loses.
        #[serde(default, skip_serializing_if = "is_never")]
        resent: u32,
    },
    /// A store takes so many times as long.
    SlowDisk {
        /// Whose.
        node: usize,
        /// How many times.
        times: u32,
    },
    /// A store fails to read or to write, each so often in a million.
    DiskErrors {
        /// Whose.
        node: usize,
        /// Reads.
        reads: u32,
        /// Writes.
        writes: u32,
        /// Whether what it failed to write may be there: see [`FaultClass::HalfDone`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_half_done: bool,
    },
    /// A store's next flush fails, and those after it say that they succeed.
    FlushError {
        /// Whose.
        node: usize,
    },
    /// A store takes nothing that makes it larger.
    FullDisk {
        /// Whose.
        node: usize,
    },
    /// The next writes of a store are lost by the device, which shows when the store is opened
    /// again: at the latest when the fault ends and the process starts anew.
    LoseWrites {
        /// Whose.
        node: usize,
        /// How many.
        writes: u32,
        /// Whether they end up in another record's place.
        is_misdirected: bool,
        /// Whether it shows as soon as they are done: see [`FaultClass::LiveLosses`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_live: bool,
    },
    /// A bit of a stored record flips.
    Rot {
        /// Where.
        node: usize,
        /// Of which key.
        key: usize,
        /// Whether the engine notices, or only whoever checks the record.
        is_known: bool,
    },
    /// A machine loses power while it writes, and what it was writing is half old and half new; it
    /// starts again when the fault ends.
    TornWrite {
        /// Which.
        node: usize,
        /// After how many more effects.
        effects: u32,
    },
    /// A machine gets a new, empty disk; its process starts again when the fault ends.
    Wipe {
        /// Which.
        node: usize,
    },
    /// When the fault ends, a disk becomes again what it was when the fault began.
    Rollback {
        /// Whose.
        node: usize,
    },
    /// Two machines are given each other's disks.
    Swap {
        /// The one.
        one: usize,
        /// The other.
        other: usize,
    },
    /// A machine is given a copy of another's disk.
    Clone {
        /// Whose.
        from: usize,
        /// Which.
        to: usize,
    },
    /// So many requests a second come on top of what is planned, from clients that each ask once
    /// and do not wait.
    Surge {
        /// How many.
        per_sec: u32,
        /// For which key, if all are for one.
        key: Option<usize>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_never(millionths: &u32) -> bool {
    *millionths == 0
}

macro_rules! classes {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Which faults may be drawn.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
        pub enum FaultClass {
            $($(#[doc = $doc])* $name,)*
            /// Only if named: lost and misdirected writes that show at once, under a process that
            /// goes on. What it minted is minted again.
            LiveLosses,
        }

        impl FaultClass {
            /// All that the core survives.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

classes! {
    /// Cuts, one way and both, isolated machines, and connections that break.
    Cuts,
    /// Splits, with and without a bridge, and rings of majorities.
    Partitions,
    /// Links that come and go.
    Flaps,
    /// Connections that only one side knows of.
    HalfOpens,
    /// Links that are very slow.
    Clogs,
    /// Connections that end in the middle of a frame.
    Severs,
    /// Old pieces that arrive again.
    Replays,
    /// Stopped processes and machines.
    Stops,
    /// All processes or machines stopped at once.
    Outages,
    /// Paused processes.
    Pauses,
    /// Slow machines.
    Slowness,
    /// Jumping clocks.
    Clocks,
    /// Loss, damage, doubling and reordering on the wire.
    Noise,
    /// Slow disks.
    SlowDisks,
    /// Failing reads and writes.
    DiskErrors,
    /// Failing writes that are there all the same.
    HalfDone,
    /// Requests asked again under their own name.
    Resends,
    /// Failing flushes.
    FlushErrors,
    /// Full disks.
    FullDisks,
    /// Writes that the device lost or put elsewhere, which shows at the next start.
    LostWrites,
    /// Flipped bits in stored records.
    Rot,
    /// Writes torn by a loss of power.
    TornWrites,
    /// Disks that are replaced by empty ones.
    Wipes,
    /// Disks that are rolled back to a snapshot.
    Rollbacks,
    /// Disks that end up in other machines.
    Exchanges,
    /// Sudden load, of many keys or of one.
    Surges,
    /// Keys that everybody wants at once.
    HotKeys,
    /// Values that are too large.
    Oversized,
    /// Many blind writes to one key.
    Bombs,
    /// Clients that do anew what they do not know to be done.
    Redoing,
    /// Clients that do not wait for an answer.
    Vanishing,
    /// Requests with hardly any time, and nodes that are woken for nothing.
    Hurry,
    /// Tiny limits and capacities.
    TinyLimits,
}

impl FaultClass {
    /// Whether it is about what clients ask for.
    pub(crate) fn is_of_load(self) -> bool {
        self >= Self::Surges && self <= Self::TinyLimits
    }

    /// Whether who coordinates goes on, and its store keeps what it is given, so that all replicas
    /// get every write in the end, though nobody reads it.
    pub(crate) fn leaves_all_told(self) -> bool {
        match self {
            Self::Cuts
            | Self::Partitions
            | Self::Flaps
            | Self::HalfOpens
            | Self::Clogs
            | Self::Severs
            | Self::Replays
            | Self::Pauses
            | Self::Slowness
            | Self::Clocks
            | Self::Noise
            | Self::SlowDisks
            | Self::Resends
            | Self::HotKeys
            | Self::Oversized
            | Self::Bombs
            | Self::Redoing
            | Self::Vanishing
            | Self::Hurry => true,
            Self::Stops
            | Self::Outages
            | Self::DiskErrors
            | Self::HalfDone
            | Self::FlushErrors
            | Self::FullDisks
            | Self::LostWrites
            | Self::Rot
            | Self::TornWrites
            | Self::Wipes
            | Self::Rollbacks
            | Self::Exchanges
            | Self::Surges
            | Self::TinyLimits
            | Self::LiveLosses => false,
        }
    }
}

/// What the drawing of faults goes by.
pub(crate) struct Frame<'a> {
    pub(crate) classes: &'a [FaultClass],
    pub(crate) length: Duration,
    pub(crate) nodes: usize,
    pub(crate) keys: usize,
    pub(crate) durability: Durability,
}

/// How long before and after a surge nothing else goes wrong, so that what it does can be told.
pub(crate) const CALM: Duration = Duration::from_secs(12);

/// The faults of one scenario, in the order in which they begin.
pub(crate) fn draw(dice: &mut Dice, frame: &Frame<'_>) -> Vec<Fault> {
    let is_timed = |class: &FaultClass| frame.kind(*class, &mut Dice::new(0)).is_some();
    let classes: Vec<_> = frame.classes.iter().copied().filter(is_timed).collect();
    let mut faults = Vec::new();
    if !classes.is_empty() {
        let every = *dice.pick(&[2, 4, 10]);
        for _ in 0..frame.length.as_secs() / every {
            let at = Duration::from_nanos(dice.below(frame.length.as_nanos() as u64));
            let usual = *dice.pick(&[1, 4, 12]);
            let lasts = dice.delay(Duration::from_secs(usual));
            let class = *dice.pick(&classes);
            let Some(kind) = frame.kind(class, dice) else {
                continue;
            };
            let lasts = match kind {
                // Minutes, if there are any.
                FaultKind::Replay { .. } | FaultKind::Rollback { .. } if dice.is_one_in(2) => {
                    lasts * 20
                }
                FaultKind::Outage { .. } => lasts.min(Duration::from_secs(3)),
                _ => lasts,
            };
            faults.push(Fault {
                at,
                lasts: lasts.min(frame.length.saturating_sub(at)),
                kind,
            });
        }
    }
    if frame.classes.contains(&FaultClass::Surges) {
        faults = with_surge(faults, dice, frame);
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Puts a surge where nothing else is left to happen, if there is time enough.
fn with_surge(mut faults: Vec<Fault>, dice: &mut Dice, frame: &Frame<'_>) -> Vec<Fault> {
    let lasts = Duration::from_secs(dice.between(2, 5));
    let Some(room) = frame.length.checked_sub(lasts + 2 * CALM) else {
        return faults;
    };
    let at = CALM + Duration::from_nanos(dice.below(room.as_nanos() as u64 + 1));
    let (from, to) = (at - CALM, at + lasts + CALM);
    faults.retain(|fault| fault.at + fault.lasts < from || fault.at > to);
    let key = dice.is_one_in(2).then(|| dice.index(frame.keys));
    let per_sec = SURGE_PER_SEC;
    let kind = FaultKind::Surge { per_sec, key };
    faults.push(Fault { at, lasts, kind });
    faults
}

/// About ten times what a few nodes with stores that take 10 ms for each command can do.
const SURGE_PER_SEC: u32 = 600;

impl Frame<'_> {
    /// A fault of that class; `None` if it is not one that begins and ends, or there is nothing that
    /// it could happen to.
    fn kind(&self, class: FaultClass, dice: &mut Dice) -> Option<FaultKind> {
        let node = dice.index(self.nodes);
        let peer = (node + 1 + dice.index(self.nodes.max(2) - 1)) % self.nodes;
        let has_peer = self.nodes > 1;
        let times = *dice.pick(&[10, 30, 100]);
        let kind = match class {
            FaultClass::Cuts if dice.is_one_in(3) => FaultKind::Isolate { node },
            FaultClass::Cuts if dice.is_one_in(2) => FaultKind::Reset {
                from: node,
                to: peer,
            },
            FaultClass::Cuts => FaultKind::Cut {
                from: node,
                to: peer,
                both: dice.is_one_in(2),
            },
            FaultClass::Partitions if self.nodes > 3 && dice.is_one_in(2) => {
                // So many neighbours to each side that with itself it sees a majority.
                let reach = (self.nodes / 2).div_ceil(2);
                FaultKind::Ring { reach }
            }
            FaultClass::Partitions => {
                let bridge = (self.nodes > 2 && dice.is_one_in(2)).then_some(node);
                let side = dice.below(1 << self.nodes) as u32;
                FaultKind::Split { side, bridge }
            }
            FaultClass::Flaps if has_peer => FaultKind::Flap {
                one: node,
                other: peer,
                every: Duration::from_millis(*dice.pick(&[20, 200, 1000])),
            },
            FaultClass::HalfOpens if has_peer => FaultKind::HalfOpen { node, peer },
            FaultClass::Clogs if has_peer => FaultKind::Clog {
                from: node,
                to: peer,
                times,
            },
            FaultClass::Severs if has_peer => FaultKind::Sever {
                from: node,
                to: peer,
            },
            FaultClass::Replays if has_peer => FaultKind::Replay {
                from: node,
                to: peer,
            },
            FaultClass::Stops => FaultKind::Stop {
                node,
                stop: self.stop(dice),
                effects: dice.below(30) as u32,
                writing: dice.is_one_in(2),
            },
            FaultClass::Outages => FaultKind::Outage {
                stop: self.stop(dice),
            },
            FaultClass::Pauses => FaultKind::Pause { node },
            FaultClass::Slowness => FaultKind::Slow { node, times },
            FaultClass::Clocks => {
                let sign = if dice.is_one_in(2) { 1 } else { -1 };
                let secs = *dice.pick(&[1, 60, 3600, 400_000_000]);
                FaultKind::Jump {
                    node,
                    secs: sign * secs,
                }
            }
            FaultClass::Noise => {
                let rate = *dice.pick(&[100, 1000, 10_000]);
                let mut some = || if dice.is_one_in(2) { rate } else { 0 };
                FaultKind::Noise {
                    lost: some(),
                    damaged: some(),
                    doubled: some(),
                    reordered: some(),
                    resent: 0,
                }
            }
            FaultClass::SlowDisks => FaultKind::SlowDisk { node, times },
            FaultClass::DiskErrors | FaultClass::HalfDone => {
                let rate = *dice.pick(&[10_000, 100_000, 1_000_000]);
                let (reads, writes) = *dice.pick(&[(rate, 0), (0, rate), (rate, rate)]);
                FaultKind::DiskErrors {
                    node,
                    reads,
                    writes,
                    is_half_done: class == FaultClass::HalfDone,
                }
            }
            FaultClass::FlushErrors => FaultKind::FlushError { node },
            FaultClass::FullDisks => FaultKind::FullDisk { node },
            FaultClass::LostWrites | FaultClass::LiveLosses => FaultKind::LoseWrites {
                node,
                writes: dice.between(1, 5) as u32,
                is_misdirected: dice.is_one_in(2),
                is_live: class == FaultClass::LiveLosses,
            },
            FaultClass::Rot if self.keys > 0 => FaultKind::Rot {
                node,
                key: dice.index(self.keys),
                is_known: dice.is_one_in(2),
            },
            FaultClass::TornWrites => FaultKind::TornWrite {
                node,
                effects: dice.below(30) as u32,
            },
            FaultClass::Wipes => FaultKind::Wipe { node },
            FaultClass::Rollbacks => FaultKind::Rollback { node },
            FaultClass::Exchanges if has_peer && dice.is_one_in(2) => FaultKind::Swap {
                one: node,
                other: peer,
            },
            FaultClass::Exchanges if has_peer => FaultKind::Clone {
                from: node,
                to: peer,
            },
            _ => return None,
        };
        Some(kind)
    }

    /// A way for a process to stop that the bucket's durability is meant to survive.
    fn stop(&self, dice: &mut Dice) -> Stop {
        let is_kill = self.durability == Durability::Written || dice.is_one_in(2);
        if is_kill { Stop::Kill } else { Stop::PowerLoss }
    }
}
