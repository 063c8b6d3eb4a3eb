//! A year of ordinary failures, and how many requests in it are answered.
//!
//! Failures are short and a year is long, so time is of two kinds. Around failures many requests
//! are asked for, in all the rest few; each kind counts in the end by how long it lasts, not by how
//! many requests it had. Each day is a run of its own, that begins with empty stores, is checked
//! like any other, and can be run alone.

use std::ops::Range;
use std::time::Duration;

use super::{Outcome, Told};
use crate::dice::Dice;
use crate::disk::Stop;
use crate::faults::{Fault, FaultKind};
use crate::oracle::Manner;
use crate::report::Violation;
use crate::scenario::{Action, Knobs, Place, Planned, Scenario};

/// What fails, and how often.
pub mod model {
    use std::time::Duration;

    /// Nodes, each on a host of its own.
    pub const NODES: usize = 6;
    /// Zones, with as many nodes each.
    pub const ZONES: usize = 3;
    /// One way between two nodes, at least and on average beyond that.
    pub const LATENCY: (Duration, Duration) =
        (Duration::from_micros(200), Duration::from_micros(300));
    /// A command of a store, on average.
    pub const DISK: Duration = Duration::from_millis(1);

    /// How often in a year a node's process crashes, in the middle of its work.
    pub const CRASHES: u32 = 12;
    /// Until it runs again.
    pub const CRASHED: Duration = Duration::from_secs(30);
    /// How often in a year a node's machine loses power.
    pub const REBOOTS: u32 = 4;
    /// How long it is silent before its connections are known to be gone.
    pub const SILENT: Duration = Duration::from_secs(5);
    /// Until it runs again.
    pub const REBOOTED: Duration = Duration::from_secs(300);
    /// How often in two years a node gets an empty disk in place of its own.
    pub const WIPES_IN_TWO: u32 = 1;
    /// Until it runs again.
    pub const WIPED: Duration = Duration::from_secs(600);
    /// How often in a year a zone is cut off from the others.
    pub const PARTITIONS: u32 = 2;
    /// How long.
    pub const PARTED: Duration = Duration::from_secs(600);
    /// How often in a year a node's store is slow.
    pub const SLOW_DISKS: u32 = 4;
    /// How many times slower.
    pub const SLOW_TIMES: u32 = 100;
    /// How long.
    pub const SLOW: Duration = Duration::from_secs(600);
    /// How often in a day a node's process stands still.
    pub const PAUSES: u32 = 24;
    /// How long on average.
    pub const PAUSED: Duration = Duration::from_millis(100);
    /// How often in a million a packet has to be sent again.
    pub const RESENT: u32 = 100;
}

/// Requests in a thousand seconds, when nothing fails.
pub const CALM_RATE: u32 = 100;
/// And around failures.
pub const ROUGH_RATE: u32 = 20_000;
/// How long before a failure and after it.
pub const AROUND: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

/// Each has a key of its own, which it reads and writes by turns.
const CLIENTS: usize = 100;
const DAY: Duration = Duration::from_secs(86_400);

/// What became of requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How long it was asked for.
    pub time: Duration,
    /// How often.
    pub asked: u64,
    /// How many were refused, failed, unknown, and lost with the node that was asked.
    pub undone: [u64; 4],
    /// Of those that were done: how long they took, in microseconds.
    pub reads: Vec<u32>,
    /// The same of writes.
    pub writes: Vec<u32>,
}

/// What became of a year.
#[derive(Clone, Debug, Default)]
pub struct Year {
    /// How many days it had.
    pub days: u64,
    /// When nothing failed.
    pub calm: Tally,
    /// Around failures.
    pub rough: Tally,
    /// Of the latter: who asked a node in a zone that was cut off, and is asking in it.
    pub shut_in: Tally,
    /// How many processes crashed, machines lost power, disks were replaced, zones were cut off and
    /// stores slow.
    pub failures: [u64; 5],
}

impl Tally {
    fn count(&mut self, told: &Told) {
        self.asked += 1;
        let at = match told.outcome {
            Outcome::Done => {
                let took = told.took.as_micros() as u32;
                let all = if told.is_read {
                    &mut self.reads
                } else {
                    &mut self.writes
                };
                return all.push(took);
            }
            Outcome::Overloaded => 0,
            Outcome::Failed => 1,
            Outcome::Unknown => 2,
            Outcome::Lost => 3,
        };
        self.undone[at] += 1;
    }

    fn lacking(&self) -> u64 {
        self.undone.iter().sum()
    }

    /// How much of its time one of its requests stands for, in seconds.
    fn weight(&self) -> f64 {
        self.time.as_secs_f64() / (self.asked.max(1) as f64)
    }
}

impl Year {
    /// Runs one more day of it.
    ///
    /// # Errors
    ///
    /// If a promise is broken.
    pub fn live(&mut self, day: u64) -> Result<(), Violation> {
        let plan = Day::draw(day);
        let mut told = Vec::new();
        let report = crate::watch(&plan.scenario, |heard| told.push(heard));
        if let Some(violation) = report.violation {
            return Err(violation);
        }
        for told in told {
            if plan.is_shut_in(&told) {
                self.shut_in.count(&told);
            } else if plan.is_rough(told.at) {
                self.rough.count(&told);
            } else {
                self.calm.count(&told);
            }
        }
        let rough: Duration = plan.rough.iter().map(|span| span.end - span.start).sum();
        self.rough.time += rough;
        self.calm.time += DAY - rough;
        for cut in &plan.cuts {
            self.shut_in.time += cut.1.end - cut.1.start;
        }
        for (all, today) in self.failures.iter_mut().zip(plan.failures) {
            *all += today;
        }
        self.days += 1;
        Ok(())
    }

    /// The share of requests that were not done, of all, or but for those from a zone that was cut
    /// off.
    #[must_use]
    pub fn lacking(&self, with_shut_in: bool) -> f64 {
        let mut lacking = self.rough.lacking();
        let mut asked = self.rough.asked;
        if with_shut_in {
            lacking += self.shut_in.lacking();
            asked += self.shut_in.asked;
        }
        let share = |lacking: u64, asked: u64| lacking as f64 / asked.max(1) as f64;
        let calm = share(self.calm.lacking(), self.calm.asked) * self.calm.time.as_secs_f64();
        let rough = share(lacking, asked) * self.rough.time.as_secs_f64();
        (calm + rough) / (self.calm.time + self.rough.time).as_secs_f64()
    }

    /// How long reads, or else writes, took on average, in milliseconds.
    #[must_use]
    pub fn mean(&self, of_reads: bool) -> f64 {
        let all = self.weighed(of_reads);
        let weight: f64 = all.iter().map(|(_, weight)| weight).sum();
        let sum = all
            .iter()
            .map(|(micros, weight)| f64::from(*micros) * weight);
        sum.sum::<f64>() / weight / 1000.0
    }

    /// How long the longest took but for one in so many, in milliseconds, for several such numbers
    /// in order.
    #[must_use]
    pub fn slowest(&self, of_reads: bool, one_in: &[f64]) -> Vec<(f64, f64)> {
        let all = self.weighed(of_reads);
        let weight: f64 = all.iter().map(|(_, weight)| weight).sum();
        let mut one_in = one_in.iter().peekable();
        let (mut slowest, mut so_far) = (Vec::new(), 0.0);
        for (micros, of) in all {
            so_far += of;
            while let Some(many) = one_in.next_if(|many| so_far >= weight * (1.0 - 1.0 / **many)) {
                slowest.push((*many, f64::from(micros) / 1000.0));
            }
        }
        slowest
    }

    /// How long each took, in microseconds and in order, and how much time it stands for.
    fn weighed(&self, of_reads: bool) -> Vec<(u32, f64)> {
        let of = |tally: &Tally| {
            let all = if of_reads {
                &tally.reads
            } else {
                &tally.writes
            };
            let weight = tally.weight();
            let all = all.iter().map(|micros| (*micros, weight));
            all.collect::<Vec<_>>()
        };
        let mut all = of(&self.calm);
        all.extend(of(&self.rough));
        all.sort_by_key(|(micros, _)| *micros);
        all
    }
}

/// A day, before it is run.
struct Day {
    scenario: Scenario,
    /// When something fails, in order, and apart from each other.
    rough: Vec<Range<Duration>>,
    /// Which zone is cut off and when.
    cuts: Vec<(u8, Range<Duration>)>,
    failures: [u64; 5],
}

impl Day {
    fn draw(day: u64) -> Self {
        let mut dice = Dice::new(day ^ 0x0dd_da75);
        let mut day = Self {
            scenario: cluster(day),
            rough: Vec::new(),
            cuts: Vec::new(),
            failures: [0; 5],
        };
        for node in 0..model::NODES {
            day.fail(node, &mut dice);
        }
        day.part(&mut dice);
        day.merge_rough();
        day.pause(&mut dice);
        day.plan(&mut dice);
        day
    }

    fn is_rough(&self, at: Duration) -> bool {
        self.rough.iter().any(|span| span.contains(&at))
    }

    fn is_shut_in(&self, told: &Told) -> bool {
        let zone = self.scenario.nodes[told.node].zone;
        (self.cuts.iter()).any(|(cut, span)| *cut == zone && span.contains(&told.at))
    }

    /// What goes wrong at one node.
    fn fail(&mut self, node: usize, dice: &mut Dice) {
        let stop = |stop| FaultKind::Stop {
            node,
            stop,
            effects: 0,
            writing: false,
        };
        let slow = FaultKind::SlowDisk {
            node,
            times: model::SLOW_TIMES,
        };
        let kinds = [
            (2 * model::CRASHES, model::CRASHED, stop(Stop::Kill)),
            (2 * model::REBOOTS, model::REBOOTED, stop(Stop::PowerLoss)),
            (model::WIPES_IN_TWO, model::WIPED, FaultKind::Wipe { node }),
            (2 * model::SLOW_DISKS, model::SLOW, slow),
        ];
        for (at, (in_two_years, lasts, kind)) in kinds.into_iter().enumerate() {
            if dice.below(2 * 365) >= u64::from(in_two_years) {
                continue;
            }
            let begins = self.happens(lasts, dice);
            if at == 1 {
                // Nobody hears of it for a while; what it is asked meanwhile it never sees.
                self.add(begins, model::SILENT, FaultKind::Pause { node });
                let off = model::SILENT * 9 / 10;
                self.add(begins + off, lasts - off, kind);
            } else {
                self.add(begins, lasts, kind);
            }
            self.failures[if at == 3 { 4 } else { at }] += 1;
        }
    }

    /// Zones are cut off.
    fn part(&mut self, dice: &mut Dice) {
        if dice.below(365) >= u64::from(model::PARTITIONS) {
            return;
        }
        let zone = dice.index(model::ZONES) as u8;
        let places = self.scenario.nodes.iter().enumerate();
        let side = places.filter(|(_, place)| place.zone == zone);
        let side = side.map(|(at, _)| 1 << at).sum();
        let begins = self.happens(model::PARTED, dice);
        self.add(
            begins,
            model::PARTED,
            FaultKind::Split { side, bridge: None },
        );
        self.cuts.push((zone, begins..begins + model::PARTED));
        self.failures[3] += 1;
    }

    /// When something begins that lasts so long.
    fn happens(&mut self, lasts: Duration, dice: &mut Dice) -> Duration {
        let [before, after] = AROUND;
        let room = DAY - before - lasts - after;
        let begins = before + Duration::from_nanos(dice.below(room.as_nanos() as u64));
        self.rough.push(begins - before..begins + lasts + after);
        begins
    }

    fn merge_rough(&mut self) {
        self.rough.sort_by_key(|span| span.start);
        let mut merged: Vec<Range<Duration>> = Vec::new();
        for span in self.rough.drain(..) {
            match merged.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => merged.push(span),
            }
        }
        self.rough = merged;
    }

    /// Processes stand still for a moment.
    fn pause(&mut self, dice: &mut Dice) {
        for node in 0..model::NODES {
            for _ in 0..model::PAUSES {
                let at = Duration::from_nanos(dice.below(DAY.as_nanos() as u64));
                let lasts = dice.delay(model::PAUSED);
                self.add(at, lasts, FaultKind::Pause { node });
            }
        }
    }

    fn plan(&mut self, dice: &mut Dice) {
        let mut at = Duration::ZERO;
        for turn in 0.. {
            let rough = self.rough.iter().find(|span| span.end > at);
            let (rate, ends) = match rough {
                Some(span) if span.contains(&at) => (ROUGH_RATE, span.end),
                Some(span) => (CALM_RATE, span.start),
                None => (CALM_RATE, DAY),
            };
            let next = at + dice.delay(Duration::from_secs(1000) / rate);
            if next >= ends {
                // What is left of the wait would be as long again.
                at = ends;
                if at == DAY {
                    break;
                }
                continue;
            }
            at = next;
            let client = turn % CLIENTS;
            let is_read = (turn / CLIENTS).is_multiple_of(2);
            self.scenario.plan.push(Planned {
                at,
                client,
                node: dice.index(model::NODES),
                key: client,
                action: if is_read { Action::Get } else { Action::Put },
                timeout: None,
                is_flushed: false,
                only_here: false,
                vanishes: false,
            });
        }
    }

    fn add(&mut self, at: Duration, lasts: Duration, kind: FaultKind) {
        self.scenario.faults.push(Fault { at, lasts, kind });
    }
}

fn cluster(day: u64) -> Scenario {
    let noise = FaultKind::Noise {
        lost: 0,
        damaged: 0,
        doubled: 0,
        reordered: 0,
        resent: model::RESENT,
    };
    Scenario {
        seed: day,
        nodes: (0..model::NODES)
            .map(|at| Place {
                host: at as u8,
                zone: (at % model::ZONES) as u8,
            })
            .collect(),
        keys: vec![Manner::Causal; CLIENTS],
        clients: CLIENTS,
        latency: model::LATENCY,
        disk: model::DISK,
        length: DAY,
        knobs: Knobs {
            asks_another: true,
            body_bytes: Some(1024),
            ..Knobs::default()
        },
        faults: vec![Fault {
            at: Duration::ZERO,
            lasts: DAY,
            kind: noise,
        }],
        ..Scenario::calm(model::NODES)
    }
}
