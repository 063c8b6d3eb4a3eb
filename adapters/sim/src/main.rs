//! Runs simulated clusters from the command line.

mod at_bytes;
mod availability;
mod batch;
mod growth;
mod level;
mod mutants;
mod plot;
mod scale;
mod strategies;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use dynamo_sim::{FaultClass, Scenario, Wishes};

/// Runs simulated clusters and checks what they promised.
#[derive(Parser)]
#[command(name = "dynamo-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Runs a range of seeds and prints a line for each violation.
    ///
    /// Some seeds are run twice, to see that they run the same way. With no wishes and enough
    /// simulated time it also fails if something that checks depend on happened too seldom.
    Run {
        /// The seeds, as FIRST..LAST; the last is not run.
        #[arg(long, value_parser = seeds)]
        seeds: (u64, u64),
        #[command(flatten)]
        wishes: Wish,
        /// Where schedules of failing runs go, shrunk.
        #[arg(long, default_value = "target/sim")]
        keep: PathBuf,
        /// How often a failing run may be run again to make it smaller; 0 keeps none.
        #[arg(long, default_value_t = 2000)]
        shrink: usize,
        /// Print how often each thing must happen, too.
        #[arg(long)]
        rates: bool,
    },
    /// Runs one seed, or one kept schedule, and prints all that happens.
    Replay {
        /// The seed.
        #[arg(long, required_unless_present = "schedule")]
        seed: Option<u64>,
        /// A schedule that was kept.
        #[arg(long, conflicts_with = "seed")]
        schedule: Option<PathBuf>,
        #[command(flatten)]
        wishes: Wish,
    },
    /// Runs a range of seeds at the level of bytes: whole drivers, their connections and fronts.
    Bytes {
        /// The seeds, as FIRST..LAST; the last is not run.
        #[arg(long, value_parser = seeds)]
        seeds: (u64, u64),
    },
    /// Plants known bugs, one after the other, and runs seeds until each is caught.
    ///
    /// Builds itself anew with `--cfg planted`, into a target directory of its own.
    Mutants {
        /// How many seeds may pass before a bug counts as missed.
        #[arg(long, default_value_t = 400)]
        within: u64,
        /// Where the schedules that caught them go, shrunk.
        #[arg(long)]
        keep: Option<PathBuf>,
        /// Only the bugs of these names.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    #[command(flatten)]
    Figure(availability::Figure),
    /// Runs membership alone in large clusters and writes tables and plots of how it does.
    ///
    /// Takes long, most of it for false alarms, which are seldom: fewer node-days are quicker.
    Scale {
        /// How many nodes, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "10,100,1000,5000")]
        nodes: Vec<usize>,
        /// For how many days of one node each false alarms are waited for; at most one day.
        #[arg(long, default_value_t = 1000.0)]
        node_days: f64,
        /// The directory for `scale.md` and its plots.
        #[arg(long, default_value = "docs")]
        into: PathBuf,
    },
    /// Measures what more nodes can do, and what it costs clients that one joins.
    Growth {
        /// How many nodes, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "3,6,12,24")]
        nodes: Vec<usize>,
        /// The directory for `growth.md` and its plots.
        #[arg(long, default_value = "docs")]
        into: PathBuf,
    },
    /// Compares the paper's three ways to place keys and writes tables and plots.
    Strategies {
        /// The directory for `strategies.md` and its plots.
        #[arg(long, default_value = "docs")]
        into: PathBuf,
    },
}

#[derive(Clone, clap::Args)]
struct Wish {
    /// How many simulated minutes clients work; by default half of the seeds get 1 and half 5.
    #[arg(long)]
    minutes: Option<u64>,
    /// How many operations clients plan.
    #[arg(long)]
    ops: Option<usize>,
    /// How many nodes there are.
    #[arg(long)]
    nodes: Option<usize>,
    /// Which faults happen, separated by commas; if none is named, each seed has some of all that
    /// the core survives.
    #[arg(long, value_delimiter = ',')]
    faults: Vec<FaultClass>,
    /// Replicas must become equal on their own when faults have ended. They do not yet: nothing
    /// repairs what a node missed.
    #[arg(long)]
    converges: bool,
}

impl Wish {
    fn is_none(&self) -> bool {
        self.ops.is_none() && self.nodes.is_none() && self.faults.is_empty() && !self.converges
    }

    /// The scenario of that seed, as wished.
    fn scenario(&self, seed: u64) -> Scenario {
        let minutes = self
            .minutes
            .unwrap_or(if seed.is_multiple_of(2) { 1 } else { 5 });
        let wishes = Wishes {
            length: Some(Duration::from_secs(60 * minutes)),
            ops: self.ops,
            nodes: self.nodes,
            faults: self.faults.clone(),
            converges: self.converges,
        };
        Scenario::draw(seed, &wishes)
    }
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once("..").ok_or("expected FIRST..LAST")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    Ok((number(first)?, number(last)?))
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Action::Run {
            seeds,
            wishes,
            keep,
            shrink,
            rates,
        } => batch::run(seeds, &wishes, (&keep, shrink), rates),
        Action::Replay {
            seed,
            schedule,
            wishes,
        } => {
            let scenario = match schedule {
                None => wishes.scenario(seed.unwrap_or_default()),
                Some(path) => match read(&path) {
                    Ok(scenario) => scenario,
                    Err(error) => {
                        eprintln!("cannot read {}: {error}", path.display());
                        return ExitCode::FAILURE;
                    }
                },
            };
            println!("{:?}", scenario.quorum);
            match dynamo_sim::trace(&scenario, |line| println!("{line}")).violation {
                Some(violation) => {
                    println!("{violation}");
                    ExitCode::FAILURE
                }
                None => ExitCode::SUCCESS,
            }
        }
        Action::Bytes { seeds } => at_bytes::run(seeds),
        Action::Mutants { within, keep, only } => mutants::run(within, keep.as_deref(), &only),
        Action::Figure(figure) => availability::draw(figure),
        Action::Scale {
            nodes,
            node_days,
            into,
        } => scale::run(&nodes, node_days, &into),
        Action::Growth { nodes, into } => growth::run(&nodes, &into),
        Action::Strategies { into } => strategies::run(&into),
    }
}

fn read(path: &std::path::Path) -> Result<Scenario, Box<dyn std::error::Error>> {
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}
