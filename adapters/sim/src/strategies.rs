//! The paper's three ways to place keys, compared as its section 6 does: how even they are for what a
//! node must know (its figure 8), and how even that is when much or little goes on (its figure 6).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::{Key, Limits, NodeId, Token};
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::plot::{Axis, Plot, Series};

/// As in the paper.
const NODES: usize = 30;
const REPLICAS: usize = 3;
/// Of which a node's load may differ from the mean before it is out of balance.
const BALANCE: f64 = 0.15;

const KEYS: usize = 100_000;
/// What is asked for most: a fifth of the keys get four fifths of all requests.
const POPULAR: usize = KEYS / 5;
const CLUSTERS: u64 = 10;
/// Keys that somebody asks for in half an hour, at the quietest and the busiest hour.
const QUIET: f64 = 1_000.0;
const BUSY: f64 = 10_000.0;
const HALF_HOURS: usize = 48;

/// One way to place keys, with all that is chosen about it.
#[derive(Clone, Copy)]
struct Way {
    number: usize,
    strategy: Strategy,
    /// Tokens or partitions for each node.
    each: u32,
}

const NAMES: [&str; 3] = [
    "1: random tokens",
    "2: random tokens, equal partitions",
    "3: equal partitions, assigned",
];
/// Partitions of the second strategy; its tokens are what is varied.
const PARTITIONS: u32 = 4096;

impl Way {
    fn new(number: usize, each: u32) -> Self {
        let strategy = match number {
            1 => Strategy::RandomTokens {
                tokens_per_node: each,
            },
            2 => Strategy::RandomTokensEqualPartitions {
                tokens_per_node: each,
                partitions: PARTITIONS,
            },
            _ => Strategy::EqualPartitions {
                partitions: each * NODES as u32,
            },
        };
        Self {
            number,
            strategy,
            each,
        }
    }

    fn ring(self, cluster: u64) -> Ring {
        let config = RingConfig {
            strategy: self.strategy,
            replicas: REPLICAS as u8,
        };
        let node = |at: u64| {
            // Tokens are drawn from ids, so other ids are another draw.
            Member::new(NodeId(cluster << 32 | at), "zone", format!("host-{at}"))
        };
        let members = (0..NODES as u64).map(node).collect();
        Ring::birth(config, members).expect("a small ring")
    }

    /// Bytes that must be known to make the ring: a token and whose it is, or a partition's owners.
    fn metadata(self) -> usize {
        let entries = self.each as usize * NODES;
        match self.number {
            1 | 2 => entries * (size_of::<Token>() + 2),
            _ => entries * 2 * REPLICAS,
        }
    }
}

/// Compares them and writes what came of it.
pub(crate) fn run(into: &Path) -> ExitCode {
    let tokens = keys();
    let efficiency = efficiencies(&tokens);
    let day = day(&tokens);
    match write(&efficiency, &day, into) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write into {}: {error}", into.display());
            ExitCode::FAILURE
        }
    }
}

fn keys() -> Vec<Token> {
    let limits = Limits::default();
    let key = |at: usize| Key::new("default", "keys", format!("key-{at}"), &limits);
    (0..KEYS)
        .map(|at| key(at).expect("a short key").token())
        .collect()
}

/// Requests served by each node, if each request is served by all owners of its key.
fn loads(ring: &Ring, requests: impl Iterator<Item = (Token, f64)>) -> Vec<f64> {
    let seats: BTreeMap<NodeId, usize> = (ring.members().iter().enumerate())
        .map(|(seat, member)| (member.id, seat))
        .collect();
    // By partition first: there are fewer of them than keys.
    let mut asked = vec![0.0; ring.partitions().len()];
    for (token, times) in requests {
        asked[ring.partition(token).0 as usize] += times;
    }
    let mut loads = vec![0.0; NODES];
    for (partition, times) in ring.partitions().zip(asked) {
        for owner in ring.preference(partition).primaries(REPLICAS) {
            loads[seats[&owner.id]] += times;
        }
    }
    loads
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean load in parts of the highest.
fn efficiency(loads: &[f64]) -> f64 {
    mean(loads) / loads.iter().copied().fold(0.0, f64::max)
}

struct Efficiency {
    way: Way,
    mean: f64,
    worst: f64,
    heap: usize,
}

fn efficiencies(tokens: &[Token]) -> Vec<Efficiency> {
    let mut all = Vec::new();
    for number in 1..=3 {
        for each in [4, 8, 16, 32, 64, 128, 256, 512] {
            let way = Way::new(number, each);
            let mut found = Vec::new();
            let mut heap = 0;
            for cluster in 1..=CLUSTERS {
                let ring = way.ring(cluster);
                heap = ring.heap_bytes();
                let popular = 4.0 * (KEYS - POPULAR) as f64 / POPULAR as f64;
                // Other keys are popular in each.
                let first = cluster as usize * (KEYS / CLUSTERS as usize);
                let is_popular = |at: usize| (at + first) % KEYS < POPULAR;
                let requests = (tokens.iter().enumerate())
                    .map(|(at, token)| (*token, if is_popular(at) { popular } else { 1.0 }));
                found.push(efficiency(&loads(&ring, requests)));
            }
            all.push(Efficiency {
                way,
                mean: mean(&found),
                worst: found.iter().copied().fold(1.0, f64::min),
                heap,
            });
        }
    }
    all
}

/// What happened in half an hour: requests, and for each strategy how many nodes in a hundred were
/// out of balance.
struct HalfHour {
    requests: f64,
    outside: [f64; 3],
}

/// A day from its quietest hour to its busiest and back.
///
/// The busier the hour, the more customers there are. How often each comes has a long tail (Pareto,
/// 1.5), so in a quiet hour some few decide what is asked for.
fn day(tokens: &[Token]) -> Vec<HalfHour> {
    let ways = [Way::new(1, 128), Way::new(2, 128), Way::new(3, 128)];
    let rings = ways.map(|way| (1..=CLUSTERS).map(|it| way.ring(it)).collect::<Vec<_>>());
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut day = Vec::new();
    for half_hour in 0..HALF_HOURS {
        let phase = half_hour as f64 / HALF_HOURS as f64 * std::f64::consts::TAU;
        let customers = QUIET + (BUSY - QUIET) * (1.0 - phase.cos()) / 2.0;
        let (mut outside, mut all) = ([0.0; 3], 0.0);
        for cluster in 0..CLUSTERS as usize {
            let requests: Vec<(Token, f64)> = (0..customers as usize)
                .map(|_| {
                    let draw = (dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                    let times = (1.0 - draw).powf(-1.0 / 1.5).min(1000.0).floor();
                    (tokens[dice.next_u64() as usize % KEYS], times)
                })
                .collect();
            all += requests.iter().map(|(_, times)| times).sum::<f64>() / CLUSTERS as f64;
            for (rings, outside) in rings.iter().zip(&mut outside) {
                let loads = loads(&rings[cluster], requests.iter().copied());
                let middle = mean(&loads);
                let out = loads
                    .iter()
                    .filter(|it| (*it - middle).abs() > BALANCE * middle);
                *outside += out.count() as f64 * 100.0 / (NODES * CLUSTERS as usize) as f64;
            }
        }
        day.push(HalfHour {
            requests: all,
            outside,
        });
    }
    day
}

fn write(efficiency: &[Efficiency], day: &[HalfHour], into: &Path) -> io::Result<()> {
    let mut page = format!(
        "# The three strategies

Printed by `cargo run --release -p dynamo-sim -- strategies`: the paper's three ways to place keys,
as the ring of this project does them. {NODES} nodes, {REPLICAS} owners of each key, {KEYS} keys.
Every request counts at all owners of its key. Numbers are of {CLUSTERS} clusters each.

## How even, for what must be known

The paper's figure 8. A fifth of the keys get four fifths of all requests. Efficiency is the mean load
in parts of the highest. Metadata is what must be known beside the members to make the ring: tokens
and whose they are, or the owners of each partition; the ring in memory holds the lists of all
partitions. Strategy 2 has {PARTITIONS} partitions.

| strategy | tokens or partitions a node | metadata, bytes | ring in memory, bytes | efficiency: mean | worst |
| --- | ---: | ---: | ---: | ---: | ---: |
"
    );
    for it in efficiency {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {:.3} | {:.3} |",
            NAMES[it.way.number - 1],
            it.way.each,
            it.way.metadata(),
            it.heap,
            it.mean,
            it.worst
        );
    }
    let _ = write!(
        page,
        "
As in the paper the third strategy is the most even for what must be known, by far: what is left is
chance in which keys are popular. Other than in the paper the second is no worse than the first.

![efficiency](strategies-efficiency.svg)

## How even, when much or little goes on

The paper's figure 6: how many nodes in a hundred are more than 15 % off the mean, over a day of half
hours. The busier the hour, the more customers, from {QUIET} to {BUSY} in half an hour, each with a key
of its own; how often each comes has a long tail (Pareto, 1.5). 128 tokens or partitions a node.

| | requests in half an hour | strategy 1 | strategy 2 | strategy 3 |
| --- | ---: | ---: | ---: | ---: |
"
    );
    let mut by_load: Vec<&HalfHour> = day.iter().collect();
    by_load.sort_by(|one, other| one.requests.total_cmp(&other.requests));
    let quarter = HALF_HOURS / 4;
    for (name, hours) in [
        ("the quietest quarter of the day", &by_load[..quarter]),
        ("the busiest quarter", &by_load[HALF_HOURS - quarter..]),
    ] {
        let of = |value: &dyn Fn(&HalfHour) -> f64| {
            hours.iter().map(|hour| value(hour)).sum::<f64>() / quarter as f64
        };
        let _ = writeln!(
            page,
            "| {name} | {:.0} | {:.1} % | {:.1} % | {:.1} % |",
            of(&|it| it.requests),
            of(&|it| it.outside[0]),
            of(&|it| it.outside[1]),
            of(&|it| it.outside[2])
        );
    }
    page.push_str(
        "
The paper saw 20 % and 10 % of its nodes off balance, in production; how many it is hangs on how long
the tail of the customers is, which it does not say. What it found is here too: the less goes on, the
less even it is, however keys are placed, for then few customers decide.

![imbalance](strategies-imbalance.svg)
",
    );
    std::fs::write(into.join("strategies.md"), page)?;
    for (name, plot) in plots(efficiency, day) {
        std::fs::write(into.join(name), plot.to_svg())?;
    }
    Ok(())
}

fn plots(efficiency: &[Efficiency], day: &[HalfHour]) -> [(&'static str, Plot); 2] {
    let names = ["strategy 1", "strategy 2", "strategy 3"];
    let by_metadata = (1..=3).map(|number| Series {
        name: names[number - 1].into(),
        points: (efficiency.iter().filter(|it| it.way.number == number))
            .map(|it| (it.way.metadata() as f64, it.mean))
            .collect(),
        has_line: true,
        has_shapes: true,
    });
    let by_hour = (0..3).map(|at| Series {
        name: names[at].into(),
        points: (day.iter().enumerate())
            .map(|(half_hour, it)| (half_hour as f64 / 2.0, it.outside[at]))
            .collect(),
        has_line: true,
        has_shapes: true,
    });
    let from_zero = |name| Axis {
        shows: vec![0.0],
        ..Axis::new(name, false)
    };
    [
        (
            "strategies-efficiency.svg",
            Plot {
                title: "Mean load in parts of the highest".into(),
                x: Axis::new("metadata, bytes", true),
                y: from_zero("efficiency"),
                series: by_metadata.collect(),
                goal: None,
                band: None,
            },
        ),
        (
            "strategies-imbalance.svg",
            Plot {
                title: "Nodes more than 15 % off the mean load, over a day".into(),
                x: Axis::new("hours since the quietest", false),
                y: from_zero("nodes in a hundred"),
                series: by_hour.collect(),
                goal: None,
                band: None,
            },
        ),
    ]
}
