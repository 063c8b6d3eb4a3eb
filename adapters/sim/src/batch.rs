//! Many seeds, on all cores.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dynamo_sim::{Count, Counters, Report, Scenario};

use crate::Wish;

/// One of so many seeds is run twice.
const TWICE: u64 = 50;

/// With less simulated time than this, seldom things may be missing by chance.
const ENOUGH: Duration = Duration::from_secs(10 * 3600);

#[derive(Default)]
struct Total {
    counters: Counters,
    simulated: Duration,
    violations: u64,
}

pub(crate) fn run(
    (first, last): (u64, u64),
    wish: &Wish,
    keep: (&Path, usize),
    shows_rates: bool,
) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(first);
    let total = Mutex::new(Total::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        break;
                    }
                    let (report, complaint) = run_seed(seed, wish, keep);
                    let mut total = total.lock().expect("nothing panics while it counts");
                    total.counters.add_all(&report.counters);
                    total.simulated += report.simulated;
                    if let Some(complaint) = complaint {
                        total.violations += 1;
                        println!("seed {seed} {complaint}");
                    }
                }
            });
        }
    });
    let total = total
        .into_inner()
        .expect("nothing panicked while it counted");
    for count in Count::ALL {
        let (happened, label) = (total.counters.of(*count), count.label());
        if shows_rates {
            let per_100_hours = happened as f64 * 360_000.0 / total.simulated.as_secs_f64();
            let least = count.least();
            println!("{happened:>12} {label}: {per_100_hours:.0} in 100 h, at least {least}");
        } else {
            println!("{happened:>12} {label}");
        }
    }
    let mut is_good = total.violations == 0;
    if wish.is_none() && total.simulated > ENOUGH {
        for count in total.counters.too_seldom(total.simulated) {
            is_good = false;
            println!(
                "too seldom: {} (at least {} in 100 h)",
                count.label(),
                count.least()
            );
        }
    }
    println!(
        "seeds {}, simulated hours {:.2}, violations {}, events per second {:.0}",
        last.saturating_sub(first),
        total.simulated.as_secs_f64() / 3600.0,
        total.violations,
        total.counters.of(Count::Event) as f64 / started.elapsed().as_secs_f64()
    );
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs a seed, some of them twice. Says what was wrong, if anything was.
fn run_seed(seed: u64, wish: &Wish, keep: (&Path, usize)) -> (Report, Option<String>) {
    let scenario = wish.scenario(seed);
    let report = dynamo_sim::run(&scenario);
    let complaint = match &report.violation {
        Some(violation) => Some(format!("{violation}{}", kept(seed, &scenario, keep))),
        None if seed.is_multiple_of(TWICE)
            && dynamo_sim::run(&scenario).digest != report.digest =>
        {
            Some("ran differently the second time".to_owned())
        }
        None => None,
    };
    (report, complaint)
}

/// Shrinks a failing scenario and keeps it in a file. Says where.
fn kept(seed: u64, scenario: &Scenario, (keep, runs): (&Path, usize)) -> String {
    let Some(smallest) = dynamo_sim::shrink(scenario, runs) else {
        return String::new();
    };
    let path = keep.join(format!("seed-{seed}.json"));
    let written = std::fs::create_dir_all(keep).and_then(|()| {
        let json = serde_json::to_string_pretty(&smallest)?;
        std::fs::write(&path, json)
    });
    match written {
        Ok(()) => format!(
            " (shrunk to {} operations and {} faults: {})",
            smallest.plan.len(),
            smallest.faults.len(),
            path.display()
        ),
        Err(error) => format!(" (cannot keep it in {}: {error})", path.display()),
    }
}
