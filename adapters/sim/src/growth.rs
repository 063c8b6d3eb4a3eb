//! Measures how a cluster grows, and writes what came out as a page with plots.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use dynamo_sim::measure::Told;
use dynamo_sim::measure::growth::{self, Joined, slowest};

use crate::plot::{Axis, Plot, Series};

type Failed = Box<dyn std::error::Error>;

/// In how long clients are to be answered while a node joins: beyond that background work yields.
const TARGET: Duration = Duration::from_millis(15);

pub(crate) fn run(nodes: &[usize], into: &Path) -> ExitCode {
    match draw(nodes, into) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn draw(nodes: &[usize], into: &Path) -> Result<(), Failed> {
    let mut page = format!(
        "# A cluster that grows

Printed by `cargo run --release -p dynamo-sim -- growth`. Nodes on an invented network: {} + {} ms from one to
another, a gigabit a second on each link; a store does one command after the other, in {} ms on average.
N = 3, R = W = 2, flushed; {} keys of {} bytes, three reads to one write that reads before it writes, each
at any node. Same command, same numbers.

## More nodes do more

What a cluster can do: of so many requests a second, 99 in 100 are done for {} seconds on end.

| nodes | requests a second | a node's | of the first |
| ---: | ---: | ---: | ---: |
",
        millis(growth::LATENCY.0),
        millis(growth::LATENCY.1),
        millis(growth::DISK),
        growth::KEYS,
        growth::VALUE,
        growth::CAPACITY_FOR.as_secs(),
    );
    let mut points = Vec::new();
    let mut first = None;
    for nodes in nodes {
        let capacity = f64::from(growth::capacity(*nodes)?);
        let each = capacity / *nodes as f64;
        let first = *first.get_or_insert(each);
        let _ = writeln!(
            page,
            "| {nodes} | {capacity:.0} | {each:.0} | {:.1} % |",
            100.0 * each / first
        );
        points.push((*nodes as f64, capacity));
    }
    let each = points.first().map_or(0.0, |(nodes, all)| all / nodes);
    let proportional = points.iter().map(|(nodes, _)| (*nodes, nodes * each));
    let capacities = Plot {
        title: "What a cluster can do".into(),
        x: Axis::new("nodes", false),
        y: Axis::new("requests a second", false),
        series: vec![
            line("proportional to the first", proportional.collect(), false),
            line("done", points, true),
        ],
        goal: None,
        band: None,
    };
    let load = growth::capacity(growth::MEMBERS)? / 2;
    let joined = growth::join(load, TARGET)?;
    write_join(&mut page, load, &joined);
    page.push_str(
        "
![capacity](growth-capacity.svg)
![latency](growth-join.svg)
",
    );
    print!("{page}");
    std::fs::create_dir_all(into)
        .and_then(|()| std::fs::write(into.join("growth.md"), &page))
        .and_then(|()| std::fs::write(into.join("growth-capacity.svg"), capacities.to_svg()))
        .and_then(|()| std::fs::write(into.join("growth-join.svg"), join_plot(&joined).to_svg()))
        .map_err(|error| format!("cannot write to {}: {error}", into.display()))?;
    Ok(())
}

fn write_join(page: &mut String, load: u32, joined: &Joined) {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let _ = write!(
        page,
        "
## One joins under load

A sixth node joins {} that keep all keys and are asked for {load} requests a second, half of what they can
do, before, meanwhile and after. Clients are to be answered in {} ms (`Timing::target`): when one in a
hundred waits longer, the move yields. It takes **{:.1} s** until all read and write by the new ring alone and
nobody keeps what is not its own.

*Moved* is all that nodes sent each other for it, copies and what they compare. *The least* is a sixth of what
all six keep.

| moved | the least | of it | the newcomer keeps |
| ---: | ---: | ---: | ---: |
| {:.2} MiB | {:.2} MiB | **{:.3}** | {:.2} MiB |

| | asked | not done | p50 | p99 | p99.9 | of before |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
",
        growth::MEMBERS,
        millis(TARGET),
        joined.took.as_secs_f64(),
        mib(joined.moved),
        mib(joined.least),
        joined.moved as f64 / joined.least as f64,
        mib(joined.kept),
    );
    let before = slowest(&joined.told[0], 1000).0.as_secs_f64();
    for (name, told) in ["before", "meanwhile", "after"].iter().zip(&joined.told) {
        let [p50, p99, p999] = [2, 100, 1000].map(|one_in| slowest(told, one_in).0);
        let _ = writeln!(
            page,
            "| {name} | {} | {} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} |",
            told.len(),
            slowest(told, 1).1,
            millis(p50),
            millis(p99),
            millis(p999),
            p999.as_secs_f64() / before,
        );
    }
}

fn join_plot(joined: &Joined) -> Plot {
    let all: Vec<Told> = joined.told.iter().flatten().copied().collect();
    let begins = growth::JOINS.as_secs_f64();
    let ends = begins + joined.took.as_secs_f64();
    let of = |name: &str, one_in: usize, secs: u64| {
        let spans = all.chunk_by(|a, b| a.at.as_secs() / secs == b.at.as_secs() / secs);
        let points = spans.map(|told| {
            let at = told[0].at.as_secs() / secs * secs;
            let slow = millis(slowest(told, one_in).0);
            (at as f64 + secs as f64 / 2.0, slow.max(0.1))
        });
        line(name, points.collect(), false)
    };
    Plot {
        title: "A sixth node joins".into(),
        x: Axis::new("simulated seconds", false),
        y: Axis::new("milliseconds", true),
        series: vec![
            of("p50 of a second", 2, 1),
            of("p99 of a second", 100, 1),
            of("p99.9 of five", 1000, 5),
        ],
        goal: None,
        band: Some((begins, ends, "moving".into())),
    }
}

fn line(name: &str, points: Vec<(f64, f64)>, has_shapes: bool) -> Series {
    Series {
        name: name.into(),
        points,
        has_line: true,
        has_shapes,
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
