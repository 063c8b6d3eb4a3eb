//! Scenarios drawn from seeds: cluster, load and faults all differ from seed to seed.

use std::time::Duration;

use dynamo_proto::Durability;

use crate::dice::Dice;
use crate::faults::{self, FaultClass, Frame};
use crate::oracle::Manner;
use crate::scenario::{Action, Decision, Knobs, Place, Planned, Quorum, Scenario, Wish, Wishes};

impl Scenario {
    /// A scenario drawn from a seed. Whole classes of faults are left out each time, so that what
    /// the others do is seen without them.
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

        let durability = match dice.below(8) {
            0 => Durability::Memory,
            1 => Durability::Written,
            _ => Durability::Flushed,
        };
        let mut classes = draw_classes(dice, wishes);
        classes.retain(|class| is_survived(*class, durability));
        if is_decided(seed) {
            // A node whose disk is another knows of no decision, and is believed by its clients.
            use FaultClass::{Exchanges, Rollbacks, Wipes};
            classes.retain(|class| !matches!(class, Exchanges | Rollbacks | Wipes));
        }
        let mut quorum = draw_quorum(dice, count, hosts, durability);
        let mut knobs = draw_knobs(dice, &classes, count);

        let length = wishes.length.unwrap_or(Duration::from_secs(60));
        let load = Load::draw(dice, wishes, &classes, count, length);
        let faults = faults::draw(
            dice,
            &Frame {
                classes: &classes,
                length,
                nodes: count,
                keys: load.keys.len(),
                durability,
            },
        );
        let base = *dice.pick(&[50, 200, 1000, 20_000]);
        let more = base * dice.between(0, 4);
        // Whoever asks again before an answer can have come never brings home what it holds.
        let answer = Duration::from_micros(2 * (base + more));
        knobs.retry_after = knobs.retry_after.max(4 * answer);
        if is_level(seed) {
            knobs.exchange_every = Duration::from_secs(15);
            knobs.audit_every = Duration::from_secs(20);
            knobs.retire_every = Duration::from_secs(10);
            knobs.longest_timeout = Duration::from_secs(4);
        }
        let disk = *dice.pick(&[5, 100, 2000, 10_000]);
        let is_surged = classes.contains(&FaultClass::Surges);
        if is_surged {
            // No more than the store can do while somebody still waits for it.
            quorum.requests = 50;
            knobs.peers = 100;
        }
        let changes = Changes::draw(seed, &classes, &nodes, &quorum, length);
        let mut nodes = nodes;
        nodes.extend(changes.newcomers);
        let founders = (nodes.len() > count || !changes.decisions.is_empty()).then_some(count);
        // Chance of their own, so that all else is as it would be without them.
        let data = load.of_data();
        let mut plan = load.plan(dice);
        plan.extend(
            data.plan(&mut Dice::new(!seed))
                .into_iter()
                .map(|planned| Planned {
                    client: load.clients + planned.client,
                    key: load.keys.len() + planned.key,
                    ..planned
                }),
        );
        plan.sort_by_key(|planned| planned.at);
        Self {
            seed,
            nodes,
            founders,
            decisions: changes.decisions,
            quorum,
            clients: load.clients + data.clients,
            latency: (Duration::from_micros(base), Duration::from_micros(more)),
            // What a surge asks for is too much for a disk like this.
            disk: Duration::from_micros(if is_surged { 10_000 } else { disk }),
            length,
            plan,
            keys: [load.keys, data.keys].concat(),
            faults,
            knobs,
            converges: wishes.converges
                || knobs.are_level()
                || classes.iter().all(|class| class.leaves_all_told()),
        }
    }
}

/// Whether replicas compare what they have in that run: in all but every fourth, in which it shows
/// what hints and repairs do by themselves.
fn is_level(seed: u64) -> bool {
    seed % 4 != 1
}

/// Whether anything is decided in that run: in every third.
fn is_decided(seed: u64) -> bool {
    seed % 3 == 2
}

/// So that what is drawn for all else is the same with decisions and without.
const DECISIONS: u64 = 0x0dec_1ded;

/// What administrators decide in a run.
#[derive(Default)]
struct Changes {
    newcomers: Vec<Place>,
    decisions: Vec<Decision>,
}

impl Changes {
    fn draw(
        seed: u64,
        classes: &[FaultClass],
        nodes: &[Place],
        quorum: &Quorum,
        length: Duration,
    ) -> Self {
        if !is_decided(seed) || classes.contains(&FaultClass::Surges) {
            return Self::default();
        }
        let dice = &mut Dice::new(seed ^ DECISIONS);
        let count = nodes.len();
        let newcomers = (0..dice.between(1, 3)).map(|at| Place {
            host: (count as u64 + at) as u8,
            zone: dice.below(3) as u8,
        });
        let newcomers: Vec<_> = newcomers.collect();
        let all: Vec<Place> = nodes.iter().chain(&newcomers).copied().collect();
        let mut members: Vec<usize> = (0..count).collect();
        let mut outside: Vec<usize> = (count..all.len()).collect();
        let mut decisions = Vec::new();
        let mut at = Duration::ZERO;
        for _ in 0..dice.between(1, 4) {
            at += Duration::from_nanos(dice.below(length.as_nanos() as u64 / 4));
            let mut changes = Vec::new();
            for _ in 0..dice.between(1, 2) {
                let node = *dice.pick(&members);
                let hosts = |without: usize| {
                    let left = members.iter().filter(|it| **it != without);
                    let hosts: std::collections::BTreeSet<u8> =
                        left.map(|it| all[*it].host).collect();
                    hosts.len()
                };
                let may_go =
                    members.len() > usize::from(quorum.n) && hosts(node) >= usize::from(quorum.w);
                let wish = match dice.below(6) {
                    0 if may_go => Wish::Leave(node),
                    1 if !outside.is_empty() => Wish::Replace {
                        dead: node,
                        by: outside[0],
                    },
                    2 => Wish::Weigh {
                        node,
                        weight: dice.between(1, 3) as u32,
                    },
                    // A host is in one zone.
                    3 if all.iter().filter(|it| it.host == all[node].host).count() == 1 => {
                        Wish::Rezone {
                            node,
                            zone: dice.below(3) as u8,
                        }
                    }
                    _ if !outside.is_empty() => Wish::Join(outside[0]),
                    _ => continue,
                };
                match wish {
                    Wish::Join(_) => members.push(outside.remove(0)),
                    Wish::Leave(node) => members.retain(|it| *it != node),
                    Wish::Replace { dead, .. } => {
                        members.retain(|it| *it != dead);
                        members.push(outside.remove(0));
                    }
                    _ => {}
                }
                changes.push(wish);
            }
            let told = dice.index(count);
            decisions.push(Decision { at, told, changes });
        }
        Self {
            newcomers,
            decisions,
        }
    }
}

/// Those that are named; if none is, about half of what the core survives. Surges, which want a
/// long time in which nothing else goes wrong, are left out more often.
fn draw_classes(dice: &mut Dice, wishes: &Wishes) -> Vec<FaultClass> {
    if !wishes.faults.is_empty() {
        return wishes.faults.clone();
    }
    let mut classes = FaultClass::ALL.to_vec();
    classes.retain(|_| dice.is_one_in(2));
    if dice.is_one_in(6) {
        classes.retain(|class| class.leaves_all_told());
    }
    let is_surge = |class: &FaultClass| *class == FaultClass::Surges;
    if dice.is_one_in(6) && classes.iter().any(is_surge) {
        // Beside a surge all else that clients do is as usual, or nothing could be compared.
        classes.retain(|class| !class.is_of_load() || is_surge(class));
    } else {
        classes.retain(|class| !is_surge(class));
    }
    classes
}

/// Whether a bucket of that durability promises to survive faults of that class.
fn is_survived(class: FaultClass, durability: Durability) -> bool {
    match class {
        FaultClass::Stops
        | FaultClass::Outages
        | FaultClass::LostWrites
        | FaultClass::LiveLosses
        | FaultClass::Wipes
        | FaultClass::Rollbacks
        | FaultClass::Exchanges => durability >= Durability::Written,
        FaultClass::FlushErrors | FaultClass::TornWrites => durability >= Durability::Flushed,
        _ => true,
    }
}

fn draw_quorum(dice: &mut Dice, nodes: usize, hosts: usize, durability: Durability) -> Quorum {
    let n = dice.between(1, 5.min(nodes as u64)) as u8;
    let w = dice.between(1, u64::from(n).min(hosts as u64)) as u8;
    // Mostly quorums that overlap, of which most can be asked.
    let r = if dice.is_one_in(4) {
        dice.between(1, n.into()) as u8
    } else {
        n - w + 1
    };
    Quorum {
        n,
        r,
        w,
        is_strict: dice.is_one_in(3),
        durability,
        one_flushed: dice.is_one_in(5),
        requests: if dice.is_one_in(8) { 3 } else { 1000 },
        reads_per_key: dice.between(1, 3) as u32,
        siblings: if dice.is_one_in(8) { 3 } else { 100 },
    }
}

fn draw_knobs(dice: &mut Dice, classes: &[FaultClass], nodes: usize) -> Knobs {
    let usual = Knobs::default();
    let is_tiny = classes.contains(&FaultClass::TinyLimits);
    let is_hurried = classes.contains(&FaultClass::Hurry);
    let has_oversized = is_tiny || classes.contains(&FaultClass::Oversized);
    let has_short_frames = has_oversized || classes.contains(&FaultClass::Bombs);
    let value_bytes = if has_oversized {
        *dice.pick(&[100, 1000, 10_000])
    } else {
        usual.value_bytes
    };
    let (record_bytes, frame_bytes) = if has_short_frames && dice.is_one_in(2) {
        // What all nodes write before they hear of each other goes into one.
        let record_bytes = *dice.pick(&[4_000, 20_000]);
        (record_bytes, (nodes + 1) * record_bytes + 4_000)
    } else {
        (usual.record_bytes, usual.frame_bytes)
    };
    Knobs {
        value_bytes: value_bytes.min(record_bytes),
        record_bytes,
        frame_bytes,
        actors: if is_tiny {
            *dice.pick(&[8, 30, 1000])
        } else {
            usual.actors
        },
        peers: if is_tiny {
            *dice.pick(&[4, 20, 1000])
        } else {
            usual.peers
        },
        hints: if is_tiny {
            *dice.pick(&[1, 5, 1000])
        } else {
            usual.hints
        },
        retry_after: if is_hurried {
            Duration::from_millis(*dice.pick(&[20, 100, 500]))
        } else {
            usual.retry_after
        },
        wakes: if is_hurried { 20_000 } else { usual.wakes },
        has_queues: classes.contains(&FaultClass::Surges),
        is_scrubbed: dice.is_one_in(2),
        ..usual
    }
}

/// What clients do.
struct Load<'a> {
    classes: &'a [FaultClass],
    nodes: usize,
    length: Duration,
    ops: usize,
    keys: Vec<Manner>,
    clients: usize,
}

impl<'a> Load<'a> {
    fn draw(
        dice: &mut Dice,
        wishes: &Wishes,
        classes: &'a [FaultClass],
        nodes: usize,
        length: Duration,
    ) -> Self {
        let is_surged = classes.contains(&FaultClass::Surges);
        let per_sec = *dice.pick(if is_surged {
            &[10, 20]
        } else {
            &[2, 5, 10, 30][..]
        });
        let ops = wishes.ops.unwrap_or((length.as_secs() * per_sec) as usize);
        // Few enough writes per key that each can be told from all others.
        let keys = (dice.between(1, 12) as usize).max(ops / 400);
        let manner = |dice: &mut Dice| match dice.below(6) {
            0 => Manner::Overwrite,
            1 => Manner::LastWriteWins,
            _ => Manner::Causal,
        };
        let keys = (0..keys).map(|_| manner(dice)).collect();
        let clients = dice.between(1, 10) as usize;
        Self {
            classes,
            nodes,
            length,
            ops,
            keys,
            clients,
        }
    }

    /// What some others do to keys of data types meanwhile.
    fn of_data(&self) -> Self {
        Self {
            classes: self.classes,
            nodes: self.nodes,
            length: self.length,
            ops: self.ops / 4,
            keys: vec![Manner::Counter, Manner::Set],
            clients: 3,
        }
    }

    fn has(&self, class: FaultClass) -> bool {
        self.classes.contains(&class)
    }

    fn moment(&self, dice: &mut Dice) -> Duration {
        Duration::from_nanos(dice.below(self.length.as_nanos() as u64))
    }

    fn plan(&self, dice: &mut Dice) -> Vec<Planned> {
        let (blind, stale) = (dice.below(20), dice.below(20));
        let mut plan: Vec<_> = (0..self.ops)
            .map(|_| {
                let action = match dice.below(100) {
                    roll if roll < 40 => Action::Get,
                    roll if roll < 40 + blind => Action::Blind,
                    roll if roll < 40 + blind + stale => Action::PutStale,
                    roll if roll < 85 => Action::Put,
                    roll if roll < 90 => Action::PutBoth,
                    _ => Action::Delete,
                };
                self.planned(action, dice)
            })
            .collect();
        self.spoil(&mut plan, dice);
        for _ in 0..self.length.as_secs() / 20 {
            self.crowd(&mut plan, dice);
        }
        if self.has(FaultClass::Bombs) {
            for _ in 0..self.length.as_secs().div_ceil(60) {
                self.bomb(&mut plan, dice);
            }
        }
        plan.sort_by_key(|planned| planned.at);
        if self.has(FaultClass::HotKeys) {
            self.heat(&mut plan, dice);
        }
        plan
    }

    fn planned(&self, action: Action, dice: &mut Dice) -> Planned {
        Planned {
            at: self.moment(dice),
            client: dice.index(self.clients),
            node: dice.index(self.nodes),
            key: dice.index(self.keys.len()),
            action,
            timeout: None,
            is_flushed: dice.is_one_in(4),
            only_here: false,
            vanishes: false,
        }
    }

    /// Some of what is planned goes less well.
    fn spoil(&self, plan: &mut [Planned], dice: &mut Dice) {
        for planned in plan {
            if self.has(FaultClass::Oversized) && dice.is_one_in(30) {
                planned.action = Action::Oversized;
            }
            // There is something to ask again for only now and then.
            if self.has(FaultClass::Redoing) && dice.is_one_in(8) {
                planned.action = Action::Redo;
            }
            if self.has(FaultClass::Resends) {
                planned.only_here = dice.is_one_in(2);
                if dice.is_one_in(8) {
                    planned.action = Action::Retry;
                }
            }
            if self.has(FaultClass::Hurry) && dice.is_one_in(10) {
                let millis = *dice.pick(&[0, 1, 10, 100]);
                planned.timeout = Some(Duration::from_millis(millis));
            }
            planned.vanishes = self.has(FaultClass::Vanishing) && dice.is_one_in(20);
        }
    }

    /// Everybody wants to read the same thing at once.
    fn crowd(&self, plan: &mut Vec<Planned>, dice: &mut Dice) {
        let first = self.planned(Action::Get, dice);
        plan.extend((0..self.clients).map(|client| Planned { client, ..first }));
    }

    /// Many write to one key and none of them has read it.
    fn bomb(&self, plan: &mut Vec<Planned>, dice: &mut Dice) {
        let first = self.planned(Action::Blind, dice);
        for _ in 0..dice.between(10, 120) {
            plan.push(Planned {
                at: first.at + Duration::from_nanos(dice.below(1_000_000_000)),
                client: dice.index(self.clients),
                node: dice.index(self.nodes),
                ..first
            });
        }
    }

    /// For some seconds all is about one key, and ten times as much of it.
    fn heat(&self, plan: &mut Vec<Planned>, dice: &mut Dice) {
        let (from, key) = (self.moment(dice), dice.index(self.keys.len()));
        let to = from + Duration::from_secs(3);
        let mut more = Vec::new();
        for planned in plan
            .iter_mut()
            .filter(|planned| (from..to).contains(&planned.at))
        {
            planned.key = key;
            more.extend((0..9).map(|_| Planned {
                at: from + Duration::from_nanos(dice.below(3_000_000_000)),
                client: dice.index(self.clients),
                node: dice.index(self.nodes),
                ..*planned
            }));
        }
        plan.extend(more);
        plan.sort_by_key(|planned| planned.at);
    }
}
