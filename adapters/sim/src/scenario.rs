//! What happens in a run: the cluster, what clients do, and what goes wrong. All of it is written
//! down before the run begins, so that a failing run can be kept and made smaller.

use std::time::Duration;

use dynamo_proto::Durability;
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::disk::Stop;
use crate::oracle::Manner;
use crate::race::Race;

/// One run, whole: the same scenario always runs the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// What chance is left (latencies, how bytes fall into pieces) grows from this.
    pub seed: u64,
    /// The cluster's machines, by the host and zone that each node says it is on.
    pub nodes: Vec<Place>,
    /// How keys are kept.
    pub quorum: Quorum,
    /// How each key is written.
    pub keys: Vec<Manner>,
    /// How many clients there are.
    pub clients: usize,
    /// How long one way between two machines takes, at least and on average beyond that.
    pub latency: (Duration, Duration),
    /// How long the store takes for one command, on average.
    pub disk: Duration,
    /// When clients have done and faults have ended.
    pub length: Duration,
    /// What clients do, in order.
    pub plan: Vec<Planned>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its machine.
    pub host: u8,
    /// Its zone.
    pub zone: u8,
}

/// How many replicas there are and how many must answer, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// How many replicas a key has.
    pub n: u8,
    /// How many must answer a read.
    pub r: u8,
    /// How many must have a write.
    pub w: u8,
    /// How safe they must have it.
    pub durability: Durability,
    /// Whether one more replica flushes.
    pub one_flushed: bool,
    /// How many requests a node takes on at once.
    pub requests: usize,
    /// How many reads of one key go side by side.
    pub reads_per_key: u32,
    /// How many siblings a client may make.
    pub siblings: usize,
}

/// One thing that a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When.
    pub at: Duration,
    /// Which client.
    pub client: usize,
    /// At which node.
    pub node: usize,
    /// To which key.
    pub key: usize,
    /// What.
    pub action: Action,
}

/// What a client can do to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Read, and remember.
    Get,
    /// Write with what was remembered last.
    Put,
    /// Write with what was remembered before that.
    PutStale,
    /// Write with both.
    PutBoth,
    /// Write without having read.
    Blind,
    /// Delete with what was remembered last.
    Delete,
}

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
    },
}

/// Which faults may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum FaultClass {
    /// Cuts, one way and both, isolated machines, and connections that break.
    Cuts,
    /// Stopped processes and machines.
    Stops,
    /// Paused processes.
    Pauses,
    /// Slow machines.
    Slowness,
    /// Jumping clocks.
    Clocks,
    /// Loss, damage, doubling and reordering on the wire.
    Noise,
}

impl FaultClass {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Cuts,
        Self::Stops,
        Self::Pauses,
        Self::Slowness,
        Self::Clocks,
        Self::Noise,
    ];
}

/// What a drawn scenario is to be like, where that is not left to chance.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// How long clients work.
    pub length: Option<Duration>,
    /// How much they do in that time.
    pub ops: Option<usize>,
    /// How many nodes there are.
    pub nodes: Option<usize>,
    /// Which faults may be drawn; all if none is named.
    pub faults: Vec<FaultClass>,
}

impl Scenario {
    /// A scenario drawn from a seed: cluster, load and faults all differ from seed to seed, and
    /// whole classes of faults are left out now and then.
    #[must_use]
    pub fn draw(seed: u64, wishes: &Wishes) -> Self {
        let dice = &mut Dice::new(seed);
        let count = wishes.nodes.unwrap_or_else(|| dice.between(1, 7) as usize);
        let hosts = if dice.is_one_in(4) {
            count.div_ceil(2)
        } else {
            count
        };
        let zones = dice.between(1, 3) as usize;
        let place = |at: usize| Place {
            host: (at % hosts) as u8,
            zone: (at % hosts % zones) as u8,
        };
        let nodes: Vec<_> = (0..count).map(place).collect();

        let mut classes: Vec<_> = match &wishes.faults[..] {
            [] => FaultClass::ALL.to_vec(),
            named => named.to_vec(),
        };
        classes.retain(|_| !dice.is_one_in(3));
        let durability = match dice.below(8) {
            0 => Durability::Memory,
            1 => Durability::Written,
            _ => Durability::Flushed,
        };
        if durability == Durability::Memory {
            classes.retain(|class| *class != FaultClass::Stops);
        }

        let n = dice.between(1, 5.min(count as u64)) as u8;
        let w = dice.between(1, u64::from(n).min(hosts as u64)) as u8;
        // Mostly quorums that overlap, of which most can be asked.
        let r = if dice.is_one_in(4) {
            dice.between(1, n.into()) as u8
        } else {
            n - w + 1
        };
        let quorum = Quorum {
            n,
            r,
            w,
            durability,
            one_flushed: dice.is_one_in(5),
            requests: if dice.is_one_in(8) { 3 } else { 1000 },
            reads_per_key: dice.between(1, 3) as u32,
            siblings: if dice.is_one_in(8) { 3 } else { 100 },
        };

        let length = wishes.length.unwrap_or(Duration::from_secs(60));
        let per_sec = *dice.pick(&[2, 5, 10, 30]);
        let ops = wishes.ops.unwrap_or((length.as_secs() * per_sec) as usize);
        let keys = dice.between(1, 12) as usize;
        // Few enough writes per key that each can be told from all others.
        let keys = keys.max(ops / 400);
        let manner = |dice: &mut Dice| match dice.below(6) {
            0 => Manner::Overwrite,
            1 => Manner::LastWriteWins,
            _ => Manner::Causal,
        };
        let keys: Vec<_> = (0..keys).map(|_| manner(dice)).collect();
        let clients = dice.between(1, 10) as usize;
        let (blind, stale) = (dice.below(20), dice.below(20));
        let mut plan: Vec<_> = (0..ops)
            .map(|_| Planned {
                at: Duration::from_nanos(dice.below(length.as_nanos() as u64)),
                client: dice.index(clients),
                node: dice.index(count),
                key: dice.index(keys.len()),
                action: match dice.below(100) {
                    roll if roll < 40 => Action::Get,
                    roll if roll < 40 + blind => Action::Blind,
                    roll if roll < 40 + blind + stale => Action::PutStale,
                    roll if roll < 85 => Action::Put,
                    roll if roll < 90 => Action::PutBoth,
                    _ => Action::Delete,
                },
            })
            .collect();
        // Now and then everybody wants to read the same thing at once.
        for _ in 0..length.as_secs() / 20 {
            let at = Duration::from_nanos(dice.below(length.as_nanos() as u64));
            let (node, key) = (dice.index(count), dice.index(keys.len()));
            let action = Action::Get;
            plan.extend((0..clients).map(|client| Planned {
                at,
                client,
                node,
                key,
                action,
            }));
        }
        let mut faults = draw_faults(dice, &classes, length, count, durability);
        // And now and then some of them race.
        for _ in 0..length.as_secs() / 20 {
            let race = Race {
                at: Duration::from_nanos(dice.below(length.as_nanos() as u64)),
                key: dice.index(keys.len()),
                first: dice.index(clients),
                node: dice.index(count),
            };
            plan.extend(race.plan(dice, clients, count));
            if classes.contains(&FaultClass::Cuts) && dice.is_one_in(2) {
                faults.extend(race.resets(count));
            }
        }
        plan.retain(|planned| planned.at < length);
        plan.sort_by_key(|planned| planned.at);
        faults.sort_by_key(|fault| fault.at);

        let base = *dice.pick(&[50, 200, 1000, 20_000]);
        Self {
            seed,
            nodes,
            quorum,
            keys,
            clients,
            latency: (
                Duration::from_micros(base),
                Duration::from_micros(base * dice.between(0, 4)),
            ),
            disk: Duration::from_micros(*dice.pick(&[5, 100, 2000, 10_000])),
            length,
            plan,
            faults,
        }
    }
}

fn draw_faults(
    dice: &mut Dice,
    classes: &[FaultClass],
    length: Duration,
    nodes: usize,
    durability: Durability,
) -> Vec<Fault> {
    if classes.is_empty() {
        return Vec::new();
    }
    let every = *dice.pick(&[2, 5, 15]);
    let count = length.as_secs() / every;
    (0..count)
        .map(|_| {
            let at = Duration::from_nanos(dice.below(length.as_nanos() as u64));
            let usual = *dice.pick(&[1, 4, 12]);
            let lasts = dice.delay(Duration::from_secs(usual));
            let node = dice.index(nodes);
            let kind = match dice.pick(classes) {
                FaultClass::Cuts if dice.is_one_in(3) => FaultKind::Isolate { node },
                FaultClass::Cuts if dice.is_one_in(2) => FaultKind::Reset {
                    from: node,
                    to: dice.index(nodes),
                },
                FaultClass::Cuts => FaultKind::Cut {
                    from: node,
                    to: dice.index(nodes),
                    both: dice.is_one_in(2),
                },
                FaultClass::Stops => {
                    let is_kill = durability == Durability::Written || dice.is_one_in(2);
                    let stop = if is_kill { Stop::Kill } else { Stop::PowerLoss };
                    {
                        let (effects, writing) = (dice.below(30) as u32, dice.is_one_in(2));
                        FaultKind::Stop {
                            node,
                            stop,
                            effects,
                            writing,
                        }
                    }
                }
                FaultClass::Pauses => FaultKind::Pause { node },
                FaultClass::Slowness => FaultKind::Slow {
                    node,
                    times: *dice.pick(&[10, 30, 100]),
                },
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
                    }
                }
            };
            Fault {
                at,
                lasts: lasts.min(length.saturating_sub(at)),
                kind,
            }
        })
        .collect()
}
