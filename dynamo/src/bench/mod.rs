//! Measures servers from outside: how much they do, how long it takes, what it costs them.
//!
//! ```text
//!   Workload --> Line --> sockets --> servers        /proc/PID/stat --> Cpu
//!                Line <-- sockets <-- servers
//!                  |
//!                  v
//!                Tally --> text, JSON, SVG
//! ```
//!
//! One thread speaks over all connections. In a closed loop each sends its next request when an
//! answer has come. At a fixed rate requests have their moments whatever the servers do, and
//! latency counts from the moment a request was meant for: servers that fall behind cannot hide it.
//!
//! `bench floor` measures, with the same load, three servers that do nothing but pass requests on:
//! what the network costs by itself.

mod cpu;
mod floor;
mod keys;
mod line;
mod load;
mod plot;
mod report;
mod speech;
mod tally;
mod workload;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use dynamo_proto::ClusterId;

use self::keys::Skew;
use self::line::Caller;
use self::load::Pace;
use self::speech::Protocol;
use self::workload::{Mix, Workload};
use crate::print;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The same load on three servers that pass each request on to two others, wait for one of them
    /// and answer, and keep nothing.
    Floor(Load),
    /// One of those servers.
    #[command(hide = true)]
    Echo,
}

/// Who is measured.
#[derive(Debug, Args)]
struct Servers {
    /// A server; several share the connections evenly.
    #[arg(long = "host", value_name = "ADDR", default_value = "127.0.0.1:6379")]
    hosts: Vec<SocketAddr>,
    /// What they speak.
    #[arg(long, value_enum, default_value_t = Speech::Resp)]
    protocol: Speech,
    /// The cluster that they belong to, as they print it, where they speak the native protocol.
    #[arg(long, value_name = "HEX", value_parser = cluster, required_if_eq("protocol", "native"))]
    cluster: Option<ClusterId>,
    /// Has each put wait for so many replicas with WAIT, as Redis has it.
    #[arg(long, value_name = "REPLICAS")]
    wait: Option<u32>,
    /// A process whose time on the processor is counted.
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Speech {
    Resp,
    Native,
}

/// What they are given to do.
#[derive(Debug, Args)]
struct Load {
    /// How many connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// How many requests each connection has under way, in a closed loop.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pipeline: u32,
    /// Requests per second over all connections, whatever the servers do; without it, each answer
    /// is followed by the next request.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<u32>,
    /// What share of requests is of which kind: get, put and delete.
    #[arg(long, default_value = "get=50,put=50")]
    mix: Mix,
    /// How many different keys.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Which keys: uniform, or zipf=S with S above 0 and below 1.
    #[arg(long, default_value = "uniform")]
    skew: Skew,
    /// Bytes of a value.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(..=64 << 20))]
    size: u32,
    /// How many seconds are measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// How many seconds go before that.
    #[arg(long, default_value_t = 2)]
    warm_up: u32,
    /// Does not write every key once at first.
    #[arg(long)]
    no_fill: bool,
    /// What is drawn begins here: the same number, the same requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the results to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws latencies into this file as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("no connection to {0}: {1}")]
    Connect(SocketAddr, #[source] io::Error),
    #[error("{0}: {1}")]
    Process(u32, #[source] io::Error),
    #[error("time on the processor is read from /proc, which this system does not have")]
    NoProc,
    #[error("the servers answered nothing: {0}")]
    NoAnswers(String),
    #[error("not every key could be written at first: {0}")]
    Fill(String),
    #[error("a server of the floor did not start: {0}")]
    Floor(#[source] io::Error),
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    #[error("the operating system failed: {0}")]
    System(#[from] io::Error),
}

impl Bench {
    pub(crate) async fn run(&self) -> Result<(), BenchError> {
        match &self.what {
            None => {
                let callers = self.servers.callers(self.load.clients as usize);
                self.load.measure("servers", callers, &self.servers.pids)
            }
            Some(What::Floor(load)) => {
                let floor = floor::Floor::start()?;
                let hosts = floor.addresses();
                let callers = callers(hosts, &Protocol::Floor, load.clients as usize);
                load.measure("floor", callers, &floor.pids())
            }
            Some(What::Echo) => floor::serve().await.map_err(BenchError::Floor),
        }
    }
}

impl Servers {
    fn callers(&self, clients: usize) -> Vec<Caller> {
        let protocol = match (self.protocol, self.cluster) {
            (Speech::Native, Some(cluster)) => Protocol::Native(cluster),
            _ => Protocol::Resp(self.wait),
        };
        callers(&self.hosts, &protocol, clients)
    }
}

/// Connections to be, evenly over the hosts.
fn callers(hosts: &[SocketAddr], protocol: &Protocol, clients: usize) -> Vec<Caller> {
    let hosts = hosts.iter().cycle().take(clients);
    hosts.map(|host| Caller::new(*host, *protocol)).collect()
}

impl Load {
    fn measure(&self, what: &str, callers: Vec<Caller>, pids: &[u32]) -> Result<(), BenchError> {
        let mut workload = Workload::new(
            self.mix.clone(),
            self.skew,
            self.keys,
            self.size as usize,
            self.seed,
        );
        let pace = match self.rate {
            Some(rate) => Pace::Open {
                per_second: rate.max(1),
            },
            None => Pace::Closed {
                pipeline: self.pipeline as usize,
            },
        };
        let mut load = load::Load::connect(callers)?;
        if !self.no_fill {
            load.fill(&mut workload)?;
        }
        let warm_up = Duration::from_secs(self.warm_up.into());
        let measured = Duration::from_secs(self.seconds.into());
        load.run(&mut workload, pace, warm_up)?;
        let before = cpu::Reading::of(pids)?;
        let tally = load.run(&mut workload, pace, measured)?;
        let used = before.until_now()?;
        if tally.answered() == 0 {
            return Err(BenchError::NoAnswers(tally.errors_in_words()));
        }
        let results = report::Results::new(what, self, &tally, &used);
        let text = print::out(&results.text());
        if let Some(path) = &self.json {
            write(path, &format!("{:#}\n", results.json()))?;
        }
        if let Some(path) = &self.svg {
            write(path, &plot::svg(what, &tally))?;
        }
        text.map_err(|error| BenchError::System(io::Error::other(error)))
    }
}

fn write(path: &PathBuf, text: &str) -> Result<(), BenchError> {
    fs::write(path, text).map_err(|error| BenchError::File(path.clone(), error))
}

fn cluster(text: &str) -> Result<ClusterId, String> {
    u128::from_str_radix(text, 16)
        .map(ClusterId)
        .map_err(|_| "a cluster is up to 32 hexadecimal digits".into())
}
