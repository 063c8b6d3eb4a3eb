//! How a node is to be served: flags, then the environment, then a file, then what is usual.
//!
//! There is one list of keys: the flags, by the same names in the environment and in the file. A
//! key that is not known is an error everywhere.

mod birth;
mod storage;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory as _};
use dynamo_driver::Bounds;
use dynamo_proto::node::{Capacity, Config, HintLimits, Timing};
use dynamo_proto::ring::Member;
use dynamo_proto::{ClusterId, Limits, NodeId};
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::cli::Cli;
use crate::cores;
use crate::hex;
use crate::runtime::Runtime;

use self::birth::Conflicts;
pub(crate) use self::birth::{Beginning, majority};
use self::storage::{Engine, Flush};
pub(crate) use self::storage::{FJALL_RESERVE, Place, Storage};

/// All variables of the environment that begin so are meant for this program.
const PREFIX: &str = "DYNAMO_";

/// What a cluster is called unless it is called otherwise.
pub(crate) const CLUSTER: &str = "dynamo";

/// What may be said about a node.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Options {
    /// Begins a cluster with this node as its first member, if its store knows of none yet.
    #[arg(long, env = "DYNAMO_BOOTSTRAP", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    bootstrap: Option<bool>,
    /// Where a node of the cluster listens: this one asks there to be let in, and finds the others.
    /// Repeatable, or separated by spaces.
    #[arg(long, env = "DYNAMO_SEED", value_name = "ADDR", value_delimiter = ' ')]
    seed: Vec<String>,
    /// The cluster's name. Nodes of different clusters do not talk to each other. [default: dynamo]
    #[arg(long, env = "DYNAMO_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,
    /// A file with 32 hexadecimal digits that all nodes of the cluster share: contexts are sealed
    /// with them. Without it they follow from the cluster's name, which anybody can guess.
    #[arg(long, env = "DYNAMO_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The machine that it runs on: replicas of a key go to different ones. [default: node-ID]
    #[arg(long, env = "DYNAMO_HOST", value_name = "LABEL")]
    host: Option<String>,
    /// What fails together with it at large: replicas go to different ones. [default: zone]
    #[arg(long, env = "DYNAMO_ZONE", value_name = "LABEL")]
    zone: Option<String>,
    /// How much of the data it keeps, compared to the others. [default: 1]
    #[arg(long, env = "DYNAMO_WEIGHT", value_name = "W")]
    weight: Option<u32>,
    /// With --bootstrap, for ever: whoever asks to join is let in at once, without an administrator. For
    /// trials.
    #[arg(long, env = "DYNAMO_AUTO_ADMIT", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    auto_admit: Option<bool>,
    /// With --bootstrap, for ever: into how many partitions keys are cut. [default: 1024]
    #[arg(long, env = "DYNAMO_PARTITIONS", value_name = "Q")]
    partitions: Option<u32>,
    /// With --bootstrap: how many replicas a key has. [default: 3]
    #[arg(long, env = "DYNAMO_N", value_name = "N")]
    n: Option<u8>,
    /// With --bootstrap: how many must answer a read. [default: a majority]
    #[arg(long, env = "DYNAMO_R", value_name = "N")]
    r: Option<u8>,
    /// With --bootstrap: how many must have a write. [default: a majority]
    #[arg(long, env = "DYNAMO_W", value_name = "N")]
    w: Option<u8>,
    /// With --bootstrap, for ever: what becomes of concurrent writes: siblings, last-write-wins (loses
    /// acknowledged writes by design), or a data type that merges them, such as counter or map.
    /// [default: siblings; in the bucket default, on which plain commands of Redis act,
    /// last-write-wins]
    #[arg(long, env = "DYNAMO_CONFLICTS", value_name = "HOW")]
    conflicts: Option<Conflicts>,
    /// Where it keeps its part: a directory of its own.
    #[arg(long, env = "DYNAMO_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// What it keeps its part with. [default: fjall]
    #[arg(long, env = "DYNAMO_STORAGE", value_name = "ENGINE")]
    storage: Option<Engine>,
    /// When what was written is flushed to the disk: before each answer, many together, or so many
    /// milliseconds later, or never. [default: batch]
    #[arg(long, env = "DYNAMO_FLUSH", value_name = "batch|MS|never")]
    flush: Option<Flush>,
    /// The paper's write buffer: so many objects wait in memory for a thread to write them. Writes
    /// are answered from memory, and one replica of each is asked to flush at once.
    #[arg(long, env = "DYNAMO_WRITE_BUFFER", value_name = "OBJECTS")]
    write_buffer: Option<usize>,
    /// How many bytes a second of the store are read through again and again for damage, which the
    /// other nodes then repair; 0 for none. [default: 1048576]
    #[arg(long, env = "DYNAMO_SCRUB", value_name = "BYTES")]
    scrub: Option<u64>,
    /// How many bytes are kept free on the disk: no client's write goes into them, so that a full
    /// store can still be repaired and emptied. [default: 1073741824 for fjall, 268435456 for redb]
    #[arg(long, env = "DYNAMO_RESERVE", value_name = "BYTES")]
    reserve: Option<u64>,
    /// Within how many seconds it compares what it has with each other node that is to have the same.
    /// [default: 900]
    #[arg(long, env = "DYNAMO_EXCHANGE_EVERY", value_name = "SECONDS")]
    exchange_every: Option<NonZeroU32>,
    /// How often, in seconds, what all nodes have seen the end of is forgotten: deletes, and who
    /// wrote what before he started again. [default: 604800]
    #[arg(long, env = "DYNAMO_RETIRE_EVERY", value_name = "SECONDS")]
    retire_every: Option<NonZeroU32>,
    /// Takes a store that was copied or restored for the original, which must be gone for good: this
    /// node goes on in its name.
    #[arg(long, env = "DYNAMO_ADOPT", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    adopt: Option<bool>,
    /// The database, for the engine mysql: mysql://user:password@host:port/database
    #[arg(
        long,
        env = "DYNAMO_MYSQL_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    mysql_url: Option<String>,
    /// On how many cores: each has a node of its own, on a thread of its own. The next nodes listen on the next
    /// ports, and keep their parts below DIR. A store that is there is served on however many. [default: 1]
    #[arg(long, env = "DYNAMO_CORES", value_name = "N")]
    cores: Option<u16>,
    /// What it runs on. [default: tokio]
    #[arg(long, env = "DYNAMO_RUNTIME", value_name = "RUNTIME")]
    runtime: Option<Runtime>,
    /// Where it listens for other nodes and native clients. [default: 127.0.0.1:7400]
    #[arg(long, env = "DYNAMO_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where others reach it. [default: where it listens]
    #[arg(long, env = "DYNAMO_ADVERTISE", value_name = "ADDR")]
    advertise: Option<SocketAddr>,
    /// Where it listens for clients that speak RESP, as those of Redis do.
    #[arg(long, env = "DYNAMO_RESP", value_name = "ADDR")]
    resp: Option<SocketAddr>,
    /// Where it listens for HTTP: keys, metrics, status.
    #[arg(long, env = "DYNAMO_HTTP", value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where it listens for clients that speak Riak's Protocol Buffers.
    #[arg(long, env = "DYNAMO_RIAK", value_name = "ADDR")]
    riak: Option<SocketAddr>,
    /// Listens beyond this machine although nobody is authenticated.
    #[arg(long, env = "DYNAMO_INSECURE_LISTEN", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    insecure_listen: Option<bool>,
    /// How large things may become.
    #[arg(skip)]
    limits: Option<Limits>,
    /// How many there may be at once.
    #[arg(skip)]
    capacity: Option<Capacity>,
    /// How much is held for nodes that are away.
    #[arg(skip)]
    hints: Option<HintLimits>,
    /// How much may wait on connections.
    #[arg(skip)]
    bounds: Option<Bounds>,
}

/// All that a node needs to be told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) cluster: String,
    pub(crate) secret: [u8; 16],
    pub(crate) place: Labels,
    /// How the cluster begins, if it is to.
    pub(crate) birth: Option<Beginning>,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) limits: Limits,
    pub(crate) capacity: Capacity,
    pub(crate) hints: HintLimits,
    pub(crate) bounds: Bounds,
    pub(crate) exchange_every: Duration,
    /// How often what all have seen the end of is forgotten.
    pub(crate) retire_every: Duration,
    pub(crate) storage: Storage,
    pub(crate) runtime: Runtime,
    pub(crate) cores: u16,
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: Option<SocketAddr>,
    pub(crate) resp: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) riak: Option<SocketAddr>,
}

/// Where a node stands, and how much it is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) host: Option<String>,
    pub(crate) zone: String,
    pub(crate) weight: u32,
}

/// Why a node cannot be served like that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{file}: {1}", file = .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    #[error("{}: {}", .0.display(), .1.to_string().trim_end())]
    File(PathBuf, #[source] Box<toml::de::Error>),
    #[error(
        "{0} in the environment is no key of this program: `dynamo serve --help` names them all"
    )]
    Variable(String),
    #[error(
        "--bootstrap begins a cluster, and --seed looks for one that there is: leave out one of them"
    )]
    BothBirthAndSeeds,
    #[error("{0} is chosen once, when the cluster begins: leave it out, or say --bootstrap too")]
    FixedAtBirth(&'static str),
    #[error("nobody can be told to come to {0}: say with --advertise where others reach this node")]
    Nowhere(SocketAddr),
    #[error("cores = {0}: there are from 1 to {most}", most = cores::MOST)]
    Cores(u16),
    #[error("{0} cannot be resolved: {1}")]
    Address(String, #[source] std::io::Error),
    #[error(
        "{0} is beyond this machine, and nobody is authenticated: whoever reaches it can read and write everything. If only friends can, say --insecure-listen"
    )]
    Insecure(SocketAddr),
    #[error(
        "nothing would outlive this process: say where to keep it with --data DIR, or --storage memory if that is meant"
    )]
    NoData,
    #[error("--storage {0} keeps nothing in a directory: leave out --data")]
    UselessData(&'static str),
    #[error("--storage mysql needs --mysql-url")]
    NoUrl,
    #[error("--storage {0} has nothing to do with {1}: leave it out")]
    Useless(&'static str, &'static str),
    #[error("{}: a secret is 32 hexadecimal digits", .0.display())]
    Secret(PathBuf),
    #[error(transparent)]
    Bucket(#[from] dynamo_proto::BucketError),
    #[error(transparent)]
    Ring(#[from] dynamo_proto::ring::RingError),
}

impl Options {
    /// These, and where they say nothing, those of the file.
    pub(crate) fn or_file(self, file: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = file else {
            return Ok(self);
        };
        let text =
            fs::read_to_string(path).map_err(|error| SettingsError::Read(path.into(), error))?;
        let file = toml::from_str(&text);
        let file = file.map_err(|error| SettingsError::File(path.into(), Box::new(error)))?;
        Ok(self.or(file))
    }

    fn or(self, file: Self) -> Self {
        macro_rules! or {
            ($($key:ident)*) => {
                Self {
                    seed: if self.seed.is_empty() { file.seed } else { self.seed },
                    $($key: self.$key.or(file.$key),)*
                }
            };
        }
        or!(bootstrap cluster secret_file host zone weight auto_admit partitions n r w conflicts data
            storage flush write_buffer scrub reserve exchange_every retire_every adopt mysql_url runtime cores listen advertise resp http
            riak insecure_listen limits capacity hints bounds)
    }

    /// All that follows from them.
    pub(crate) fn settle(self) -> Result<Settings, SettingsError> {
        let listen = self
            .listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7400)));
        let is_insecure = self.insecure_listen.unwrap_or(false);
        let beyond = [Some(listen), self.resp, self.http, self.riak]
            .into_iter()
            .flatten()
            .find(|it| !it.ip().is_loopback());
        if let Some(beyond) = beyond.filter(|_| !is_insecure) {
            return Err(SettingsError::Insecure(beyond));
        }
        if listen.ip().is_unspecified() && self.advertise.is_none() {
            return Err(SettingsError::Nowhere(listen));
        }
        let cores = self.cores.unwrap_or(1);
        if !(1..=cores::MOST).contains(&cores) {
            return Err(SettingsError::Cores(cores));
        }
        let storage = self.storage()?;
        let birth = self.beginning(&storage)?;
        if birth.is_some() && !self.seed.is_empty() {
            return Err(SettingsError::BothBirthAndSeeds);
        }
        let cluster = self.cluster.as_deref().unwrap_or(CLUSTER);
        let secret = match &self.secret_file {
            Some(path) => secret(path)?,
            None => xxh3_128_with_seed(cluster.as_bytes(), 1).to_be_bytes(),
        };
        let seeds = self.seed.iter().map(|seed| resolve(seed));
        let usual = Timing::default();
        let every = |seconds: NonZeroU32| Duration::from_secs(seconds.get().into());
        Ok(Settings {
            cluster: cluster.into(),
            secret,
            place: Labels {
                host: self.host.clone(),
                zone: self.zone.clone().unwrap_or_else(|| "zone".into()),
                weight: self.weight.unwrap_or(1),
            },
            birth,
            seeds: seeds.collect::<Result<_, _>>()?,
            limits: self.limits.unwrap_or_default(),
            capacity: self.capacity.unwrap_or_default(),
            hints: self.hints.unwrap_or_default(),
            bounds: self.bounds.unwrap_or_default(),
            exchange_every: self.exchange_every.map_or(usual.exchange_every, every),
            retire_every: self.retire_every.map_or(usual.retire_every, every),
            storage,
            runtime: self.runtime.unwrap_or_default(),
            cores,
            listen,
            advertise: self.advertise,
            resp: self.resp,
            http: self.http,
            riak: self.riak,
        })
    }
}

impl Settings {
    pub(crate) fn cluster(&self) -> ClusterId {
        cluster_id(&self.cluster)
    }

    /// What the node of that name is told.
    pub(crate) fn config(&self, node: NodeId) -> Config {
        Config {
            node,
            cluster: self.cluster(),
            secret: self.secret,
            limits: self.limits,
            capacity: self.capacity,
            timing: Timing {
                exchange_every: self.exchange_every,
                retire_every: self.retire_every,
                ..Timing::default()
            },
            hints: self.hints,
        }
    }

    /// What it wants to be, with this as the first node of its process.
    pub(crate) fn member(&self, node: NodeId, first: NodeId) -> Member {
        let Labels { host, zone, weight } = self.place.clone();
        let host = host.unwrap_or_else(|| format!("node-{first}"));
        Member {
            weight,
            ..Member::new(node, zone, host)
        }
    }
}

/// Refuses what looks like a key of this program in the environment and is none.
pub(crate) fn check_environment() -> Result<(), SettingsError> {
    let known = known_variables();
    let unknown = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .find(|name| name.starts_with(PREFIX) && !known.contains(name));
    unknown.map_or(Ok(()), |name| Err(SettingsError::Variable(name)))
}

fn known_variables() -> BTreeSet<String> {
    let program = Cli::command();
    let serve = program.find_subcommand("serve");
    let arguments = serve.into_iter().flat_map(|serve| serve.get_arguments());
    let names = arguments.filter_map(|it| it.get_env()?.to_str().map(str::to_owned));
    names.collect()
}

/// A cluster goes by its name.
pub(crate) fn cluster_id(name: &str) -> ClusterId {
    ClusterId::named(name)
}

fn secret(path: &Path) -> Result<[u8; 16], SettingsError> {
    let text = fs::read_to_string(path).map_err(|error| SettingsError::Read(path.into(), error))?;
    let secret = hex::decode(text.trim()).and_then(|bytes| bytes.try_into().ok());
    secret.ok_or_else(|| SettingsError::Secret(path.into()))
}

/// Names may have become other addresses when it is started again, and not while it runs.
fn resolve(address: &str) -> Result<SocketAddr, SettingsError> {
    let failed = |error| SettingsError::Address(address.into(), error);
    let mut found = address.to_socket_addrs().map_err(failed)?;
    found
        .next()
        .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

/// A text in a file is read as it is on the command line.
macro_rules! try_from_string {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    };
}
use try_from_string;

#[cfg(test)]
mod tests;
