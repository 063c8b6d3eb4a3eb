//! What group commit is worth: durable writes a second with some waiting, of each engine behind its
//! worker and of a bare file that is appended to and flushed.
//!
//! Disks change their minds from one second to the next, so all take turns, and what is compared
//! is what each did in the same round.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dynamo_benches::is_smoke_run;
use dynamo_benches::stores::{Bare, ON_DISK, Store, write};
use dynamo_benches::workload::{self, VALUES};
use dynamo_proto::Durability;
use dynamo_proto::store::Command;
use tempfile::TempDir;

const WAITING: [usize; 4] = [1, 16, 64, 256];
const PLACES: usize = 10_000;

fn main() {
    let (rounds, turn) = match is_smoke_run() {
        true => (1, Duration::from_millis(1)),
        false => (21, Duration::from_millis(100)),
    };
    for (size, value_bytes) in VALUES {
        let value = workload::value(value_bytes);
        let mut contestants = contestants(&value);
        let mut rates: Vec<Vec<f64>> = vec![Vec::new(); contestants.len()];
        for _ in 0..rounds {
            for (contestant, rates) in contestants.iter_mut().zip(&mut rates) {
                rates.push(rate(&mut *contestant.run, turn));
            }
        }
        println!("\ndurable writes of {size}: medians of {rounds} rounds");
        println!(
            "{:<12}{:>8}{:>10}{:>12}{:>13}",
            "", "waiting", "a second", "x bare file", "x one writer"
        );
        for (index, contestant) in contestants.iter().enumerate() {
            let beside = |wanted: &str, waiting| {
                let other = contestants.iter().position(|it| it.is(wanted, waiting));
                let pairs = rates[index].iter().zip(&rates[other.unwrap_or(index)]);
                median(pairs.map(|(ours, theirs)| ours / theirs).collect())
            };
            println!(
                "{:<12}{:>8}{:>10.0}{:>12.2}{:>13.1}",
                contestant.name,
                contestant.waiting,
                median(rates[index].clone()),
                beside("bare file", contestant.waiting),
                beside(contestant.name, 1),
            );
        }
    }
}

struct Contestant<'a> {
    name: &'static str,
    waiting: usize,
    /// Writes so many.
    run: Box<dyn FnMut(u64) + 'a>,
}

impl Contestant<'_> {
    fn is(&self, name: &str, waiting: usize) -> bool {
        self.name == name && self.waiting == waiting
    }
}

fn contestants(value: &Bytes) -> Vec<Contestant<'_>> {
    let mut all = Vec::new();
    for waiting in WAITING {
        let mut bare = Bare::new(directory()).expect("a file can be made");
        all.push(Contestant {
            name: "bare file",
            waiting,
            run: Box::new(move |count| {
                for _ in 0..count.div_ceil(waiting as u64) {
                    bare.append(waiting, value).expect("the disk has room");
                }
            }),
        });
        for engine in ON_DISK {
            let mut store = Store::holding(engine, directory(), PLACES, value);
            let mut nth = (0..PLACES).cycle();
            let mut put = move || {
                let nth = nth.next().unwrap_or_default();
                Command::Write(write(nth, value, Durability::Flushed).batch)
            };
            all.push(Contestant {
                name: engine.name,
                waiting,
                run: Box::new(move |count| store.carry_out(count, waiting, &mut put)),
            });
        }
    }
    all
}

/// Writes a second, in a turn of about so long.
fn rate(run: &mut dyn FnMut(u64), turn: Duration) -> f64 {
    const AT_A_TIME: u64 = 256;
    let (start, mut written) = (Instant::now(), 0);
    while written == 0 || start.elapsed() < turn {
        run(AT_A_TIME);
        written += AT_A_TIME;
    }
    written as f64 / start.elapsed().as_secs_f64()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// On the disk that the build is on: a temporary directory is often in memory.
fn directory() -> TempDir {
    tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a directory can be made")
}
