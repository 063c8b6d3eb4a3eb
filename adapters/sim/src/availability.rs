//! Measures how available a cluster is, and writes what came out as pages with tables and plots.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use dynamo_sim::measure::away::{self, Absence};
use dynamo_sim::measure::surge::{self, Passage, Room};
use dynamo_sim::measure::year::{self, Tally, Year, model};

use crate::level;
use crate::plot::{Axis, Plot, Series};

#[derive(Subcommand)]
pub(crate) enum Figure {
    /// A node is away for so many writes and comes back.
    Away {
        /// How many writes it misses.
        #[arg(long, default_value_t = 10_000)]
        writes: usize,
        #[command(flatten)]
        into: Into,
    },
    /// Replicas differ, nothing is held for anybody, and they compare what they have.
    ///
    /// Takes a minute and a gigabyte.
    Level {
        /// How many keys there are.
        #[arg(long, default_value_t = 1_000_000)]
        keys: usize,
        /// How many writes a node misses.
        #[arg(long, default_value_t = 10_000)]
        writes: usize,
        #[command(flatten)]
        into: Into,
    },
    /// Many times as much is asked for as the cluster can do, for ten seconds.
    Surge {
        /// How many times its capacity.
        #[arg(long, default_value_t = 10)]
        times: u32,
        #[command(flatten)]
        into: Into,
    },
    /// A year of ordinary failures.
    ///
    /// Takes some minutes, and prints after each month how the year has been so far.
    Year {
        /// How many days of it.
        #[arg(long, default_value_t = 365)]
        days: u64,
        #[command(flatten)]
        into: Into,
    },
}

#[derive(Args)]
pub(crate) struct Into {
    /// The directory for the page and its plot.
    #[arg(long, default_value = "docs/availability")]
    into: PathBuf,
}

/// At which shares of the slowest latencies are shown.
const ONE_IN: [f64; 13] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0,
];

pub(crate) type Failed = Box<dyn std::error::Error>;

pub(crate) fn draw(figure: Figure) -> ExitCode {
    let drawn = match figure {
        Figure::Away { writes, into } => draw_away(writes, &into.into),
        Figure::Level { keys, writes, into } => level::draw(keys, writes, &into.into),
        Figure::Surge { times, into } => draw_surge(times, &into.into),
        Figure::Year { days, into } => draw_year(days, &into.into),
    };
    match drawn {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(into: &Path, name: &str, page: &str, plot: &Plot) -> Result<(), Failed> {
    print!("{page}");
    std::fs::create_dir_all(into)
        .and_then(|()| std::fs::write(into.join(format!("{name}.md")), page))
        .and_then(|()| std::fs::write(into.join(format!("{name}.svg")), plot.to_svg()))
        .map_err(|error| format!("cannot write to {}: {error}", into.display()))?;
    Ok(())
}

fn draw_away(writes: usize, into: &Path) -> Result<(), Failed> {
    let near = (Duration::from_micros(200), Duration::from_micros(100));
    let far = (Duration::from_millis(20), Duration::from_millis(2));
    let (fast, slow) = (Duration::from_micros(100), Duration::from_millis(1));
    let cases = [
        (100, near, fast),
        (1024, near, fast),
        (10_240, near, fast),
        (1024, near, slow),
        (1024, far, fast),
    ];
    let mut page = format!(
        "# A node comes back

`cargo run --release -p dynamo-sim -- away --writes {writes}`

{} nodes, N = 3, R = W = 2, flushed. One is stopped; {} writes a second go on, {writes} in all, each of
another key that the node is on duty for. It starts again on the disk that it had. Nobody reads and
nobody writes from then on, so hints alone bring it what it missed. *Took* is simulated time from its
start until nobody holds anything for anybody and all replicas of all keys are equal, byte by byte.

*Values* are the bytes that clients wrote, *copies* what was held: with keys, buckets and clocks. *To the
node* is all that was sent to it in that time, frames, handshakes and pings included; *by all* what all
nodes sent each other, its answers included. Not counted is what TCP and IP add. A gigabit link carries
125 MB/s; a store does one command after the other; times are means of exponential distributions, those
on the way on top of the first number.

| value | one way | a store's command | took | a second | values | copies | to the node | by all |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
",
        away::NODES,
        away::PER_SEC,
    );
    let mut series = Vec::new();
    for (value_bytes, latency, disk) in cases {
        let returned = away::measure(&Absence {
            writes,
            value_bytes,
            latency,
            disk,
            exchange_every: None,
        })?;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let way = format!("{} + {} ms", millis(latency.0), millis(latency.1));
        let _ = writeln!(
            page,
            "| {value_bytes} B | {way} | {} ms | {:.2} s | {:.0} copies | {:.2} MB | {:.2} MB | {:.2} MB | {:.2} MB |",
            millis(disk),
            returned.took.as_secs_f64(),
            returned.copies as f64 / returned.took.as_secs_f64(),
            megabytes((writes * value_bytes) as u64),
            megabytes(returned.copy_bytes),
            megabytes(returned.sent_home),
            megabytes(returned.sent),
        );
        let points = returned.left.iter();
        series.push(Series {
            name: format!(
                "{value_bytes} B, {} ms, {} ms",
                millis(latency.0),
                millis(disk)
            ),
            points: points
                .map(|(at, left)| (at.as_secs_f64(), *left as f64))
                .collect(),
            has_line: true,
            has_shapes: false,
        });
    }
    page.push_str("\n![copies held for the node since its start](away.svg)\n");
    let plot = Plot {
        title: format!("What is held for a node that missed {writes} writes, since its start"),
        x: Axis::new("simulated seconds since it started", false),
        y: Axis::new("copies", false),
        series,
        goal: None,
        band: None,
    };
    write(into, "away", &page, &plot)
}

fn draw_surge(times: u32, into: &Path) -> Result<(), Failed> {
    let rooms = [50, 200, 1000].map(|requests| Room {
        requests,
        peers: 2 * requests,
    });
    let [begins, ends, length] = surge::SURGE.map(|at| at.as_secs());
    let capacity = surge::capacity(rooms[0])?;
    let mut page = format!(
        "# A surge

`cargo run --release -p dynamo-sim -- surge --times {times}`

{} nodes, N = 3, R = W = 2, 1,000 keys of 1 KiB, three reads to one write, each at any node; {} + {} ms
from node to node; a store does one command after the other, in {} ms on average. The cluster can do
**{capacity} requests a second**: of so many, 99 in 100 are done for 20 seconds on end. Half of that is
asked for all the time, and from second {begins} to second {ends} {times} times the capacity on top of it.
Clients ask when they want to and not again when they are refused; a request has 2 s.

*Before* and *during* are what is done in a second. *Back after* is when, after the surge, a second begins
in which, as in all later ones, at least 90 % is done of what was done before the surge, or of what is asked
for in it if that is less. How much a node takes on at once is `Capacity`: clients' requests, and what it
does in all before it refuses work for others.

| a node takes on | before | during | back after | longest wait | refused at once | failed | timed out |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
",
        surge::NODES,
        millis(surge::LATENCY.0),
        millis(surge::LATENCY.1),
        millis(surge::DISK),
    );
    let mut passages = Vec::new();
    for room in rooms {
        let passage = surge::measure(room, capacity, times)?;
        let sum = |of: fn(&surge::Stretch) -> u32| passage.stretches.iter().map(of).sum::<u32>();
        let back = match passage.recovered {
            Some(after) => format!("{:.2} s", after.as_secs_f64()),
            None => format!("not in {} s", length - ends),
        };
        let _ = writeln!(
            page,
            "| {} requests, {} changes for others | {:.0}/s | {:.0}/s | {back} | {:.2} s | {} | {} | {} |",
            room.requests,
            room.peers,
            passage.before,
            passage.during,
            passage.longest.as_secs_f64(),
            sum(|it| it.overloaded),
            sum(|it| it.failed),
            sum(|it| it.late),
        );
        passages.push((room, passage));
    }
    page.push_str("\n![offered, done and refused over time](surge.svg)\n");
    write(into, "surge", &page, &surge_plot(times, &passages))
}

fn surge_plot(times: u32, passages: &[(Room, Passage)]) -> Plot {
    let stretch = surge::STRETCH.as_secs_f64();
    let line = |name: String, passage: &Passage, of: fn(&surge::Stretch) -> u32| {
        let points = passage.stretches.iter().enumerate();
        let rate = |count: u32| (f64::from(count) / stretch).max(1.0);
        Series {
            name,
            points: points
                .map(|(at, it)| ((at as f64 + 0.5) * stretch, rate(of(it))))
                .collect(),
            has_line: true,
            has_shapes: false,
        }
    };
    let mut series = Vec::new();
    if let Some((room, passage)) = passages.first() {
        let room = room.requests;
        series.push(line("asked for".into(), passage, |it| it.offered));
        series.push(line(format!("refused ({room} at once)"), passage, |it| {
            it.overloaded
        }));
    }
    for (room, passage) in passages {
        series.push(line(
            format!("done ({} at once)", room.requests),
            passage,
            |it| it.done,
        ));
    }
    let [begins, ends, _] = surge::SURGE.map(|at| at.as_secs_f64());
    Plot {
        title: format!("{times} times the capacity for {} seconds", ends - begins),
        x: Axis::new("simulated seconds", false),
        y: Axis::new("requests a second (1 is none)", true),
        series,
        goal: None,
        band: Some((begins, ends, "surge".into())),
    }
}

fn draw_year(days: u64, into: &Path) -> Result<(), Failed> {
    let mut year = Year::default();
    for day in 0..days {
        year.live(day)
            .map_err(|violation| format!("day {day}: {violation}"))?;
        if year.days.is_multiple_of(30) {
            println!(
                "{} days: {:.5} % answered, {} requests",
                year.days,
                100.0 * (1.0 - year.lacking(false)),
                year.calm.asked + year.rough.asked + year.shut_in.asked,
            );
        }
    }
    write(into, "year", &year_page(&year), &year_plot(&year))
}

fn year_page(year: &Year) -> String {
    let mut page = format!(
        "# A year

`cargo run --release -p dynamo-sim -- year --days {}`

| of {} simulated days | answered without a timeout |
| --- | ---: |
| clients that are not cut off with a zone | **{:.5} %** |
| all clients, spread evenly over all nodes | {:.5} % |
| the paper | 99.9995 % |

",
        year.days,
        year.days,
        100.0 * (1.0 - year.lacking(false)),
        100.0 * (1.0 - year.lacking(true)),
    );
    page.push_str(
        "| latency of what was done | mean | p99.9 | the paper, server-driven: mean | p99.9 |
| --- | ---: | ---: | ---: | ---: |
",
    );
    for (name, of_reads, paper) in [
        ("reads", true, ["3.9 ms", "68.9 ms"]),
        ("writes", false, ["4.02 ms", "68.5 ms"]),
    ] {
        let mean = year.mean(of_reads);
        let last = year.slowest(of_reads, &[1000.0]);
        let last = last.first().map_or(0.0, |(_, millis)| *millis);
        let [paper_mean, paper_last] = paper;
        let _ = writeln!(
            page,
            "| {name} | {mean:.2} ms | {last:.1} ms | {paper_mean} | {paper_last} |"
        );
    }
    page.push_str(
        "\nThe paper's numbers are of its services and its machines of 2006; these come from the model below
and say how the protocol does in it, not how fast a disk is. What is left after all failures are survived
is set by how long it takes to find out.\n",
    );
    let _ = write!(
        page,
        "
## What fails

{} nodes on hosts of their own in {} zones, N = 3, R = W = 2, flushed, values of 1 KiB. From node to node
{} + {} ms, a store's command {} ms, however many it has. Timeout 2 s. At random times, and at the same
time if it so happens:

| | how often | how long | in these days |
| --- | --- | --- | ---: |
| a process crashes in the middle of its work | {} times a year and node | {} s | {} |
| a machine loses power and what is not flushed: silent for {} s, then down | {} times a year and node | {} s | {} |
| a disk is replaced by an empty one | {} time in two years and node | {} s down | {} |
| a zone is cut off from the others | {} times a year | {} s | {} |
| a store is {} times slower | {} times a year and node | {} s | {} |
| a process stands still, as for a collector of garbage | {} times a day and node | {} ms on average | |
| a packet is lost and sent again by TCP, all behind it with it | {} in a million | 200 ms | |
",
        model::NODES,
        model::ZONES,
        millis(model::LATENCY.0),
        millis(model::LATENCY.1),
        millis(model::DISK),
        model::CRASHES,
        model::CRASHED.as_secs(),
        year.failures[0],
        model::SILENT.as_secs(),
        model::REBOOTS,
        model::REBOOTED.as_secs(),
        year.failures[1],
        model::WIPES_IN_TWO,
        model::WIPED.as_secs(),
        year.failures[2],
        model::PARTITIONS,
        model::PARTED.as_secs(),
        year.failures[3],
        model::SLOW_TIMES,
        model::SLOW_DISKS,
        model::SLOW.as_secs(),
        year.failures[4],
        model::PAUSES,
        model::PAUSED.as_millis(),
        model::RESENT,
    );
    page.push_str(&year_counts(year));
    page.push_str("\n![how long requests took](year.svg)\n");
    page
}

fn year_counts(year: &Year) -> String {
    let [before, after] = year::AROUND.map(|time| time.as_secs());
    let mut text = format!(
        "
## What is counted

A hundred clients, each with a key of its own that it reads and writes by turns, with the context it got.
Each request goes to any of the nodes; where nobody listens the client asks another at once, and that is
no failure, nor is the time it takes counted. A request counts as answered if it was done before its
timeout. Refused, failed, unknown, and lost with the node that was asked are not; they are not asked again.
Latency is from when a node has the request until it has the answer.

Around failures, from {before} s before until {after} s after, {} requests a second are asked for, and {} in
all the rest; each kind of time counts by how long it lasts. A zone that is cut off is cut off from clients
elsewhere, too, who ask other nodes; those who are shut in with it stand apart. Every day begins with empty
stores and ends with all the checks of any simulated run, which all held.

| | time | requests | overloaded | failed | unknown | lost with their node |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
",
        f64::from(year::ROUGH_RATE) / 1000.0,
        f64::from(year::CALM_RATE) / 1000.0,
    );
    let mut row = |name: &str, tally: &Tally| {
        let [overloaded, failed, unknown, lost] = tally.undone;
        let _ = writeln!(
            text,
            "| {name} | {:.1} h | {} | {overloaded} | {failed} | {unknown} | {lost} |",
            tally.time.as_secs_f64() / 3600.0,
            tally.asked,
        );
    };
    row("nothing fails but packets and pauses", &year.calm);
    row("around failures", &year.rough);
    row("the same, shut in with a zone", &year.shut_in);
    if year.calm.undone == [0; 4] {
        let _ = write!(
            text,
            "
That none of {} was left undone when nothing failed says, 19 times in 20, that fewer than {:.1} in a million
are: at worst so much is to be taken from the shares above.
",
            year.calm.asked,
            // Of so many independent trials with none in vain.
            3e6 / year.calm.asked as f64,
        );
    }
    text
}

fn year_plot(year: &Year) -> Plot {
    let series = [("reads", true), ("writes", false)].map(|(name, of_reads)| Series {
        name: name.into(),
        points: year.slowest(of_reads, &ONE_IN),
        has_line: true,
        has_shapes: true,
    });
    Plot {
        title: "How long requests of a year took".into(),
        x: Axis::new("of so many requests, one took longer", true),
        y: Axis::new("milliseconds", true),
        series: series.into(),
        goal: None,
        band: None,
    }
}

fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
