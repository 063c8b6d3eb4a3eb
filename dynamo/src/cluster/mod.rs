//! `dynamo cluster` and `dynamo ring`: what an administrator asks of any node.

mod show;

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use dynamo_client::{Admin, Tokio};
use dynamo_driver::admin::{Command, Properties};
use serde_json::Value;
use tokio::time::sleep;

use crate::demo::FIRST_PORT;
use crate::error::Error;
use crate::print;
use crate::settings::{CLUSTER, cluster_id};

/// How often it is looked how far a change has come.
const EVERY: Duration = Duration::from_millis(250);

/// Looks after a cluster, by way of any of its nodes.
///
/// Changes are staged at one node, looked at as a plan, and committed together.
#[derive(Debug, Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows who is in the cluster, what is staged, and how far the last change has come.
    Status {
        /// Goes on until all nodes have carried out all that was decided.
        #[arg(long)]
        wait: bool,
    },
    /// Shows what would come of what is staged: which node would hold how much.
    Plan,
    /// Does what the last plan showed.
    Commit {
        /// Even if fewer hosts are left than a key has replicas.
        #[arg(long)]
        anyway: bool,
        /// Returns when all nodes have carried it out.
        #[arg(long)]
        wait: bool,
    },
    /// Forgets what is staged.
    Unstage,
    /// Stages that a node that asks to join becomes a member; without a name, all that ask.
    Join {
        /// Its id, or how it begins.
        id: Option<String>,
    },
    /// Stages that a member leaves: it gives away what it holds, and can be stopped then.
    Leave {
        /// Its id, or how it begins.
        id: String,
    },
    /// Stages that a node that is gone, or has left, is removed for ever.
    Remove {
        /// Its id, or how it begins.
        id: String,
    },
    /// Stages that a node that asks to join takes the place of one that is gone for good.
    Replace {
        /// The id of who is gone, or how it begins.
        dead: String,
        /// The id of who asks to join, or how it begins.
        by: String,
    },
    /// Stages that a member holds more or less of the data.
    Weight {
        /// Its id, or how it begins.
        id: String,
        /// Compared to the others, who have 1 unless something else was said.
        weight: u32,
    },
    /// Stages that a member stands somewhere else.
    Zone {
        /// Its id, or how it begins.
        id: String,
        /// What fails together with it at large.
        zone: Option<String>,
        /// The machine that it runs on.
        #[arg(long)]
        host: Option<String>,
    },
    /// Stages how the buckets of a type are kept, or one of them. What is not said stays as it is.
    Bucket(Bucket),
}

#[derive(Debug, Args)]
struct Bucket {
    /// TYPE, or TYPE/BUCKET. Buckets without a type are of the type default.
    #[arg(value_name = "TYPE[/BUCKET]")]
    name: String,
    /// How many replicas a key has. Chosen once.
    #[arg(long)]
    n: Option<u8>,
    /// How many must answer a read.
    #[arg(long)]
    r: Option<u8>,
    /// How many must have a write.
    #[arg(long)]
    w: Option<u8>,
    /// How many of those that answer a read must be on duty for the key.
    #[arg(long)]
    pr: Option<u8>,
    /// How many of those that have a write must be on duty for the key.
    #[arg(long)]
    pw: Option<u8>,
    /// siblings, last-write-wins, or a data type, such as counter or map. Chosen once.
    #[arg(long)]
    conflicts: Option<String>,
    /// How safe a replica must have a write: memory, written, flushed.
    #[arg(long)]
    durability: Option<String>,
}

/// Shows where a key lives, and why.
#[derive(Debug, Args)]
pub(crate) struct Ring {
    /// Which key.
    key: String,
    /// The bucket that the key is in: BUCKET, or TYPE/BUCKET.
    #[arg(long, default_value = "default")]
    bucket: String,
    #[command(flatten)]
    at: At,
}

/// Which node is told, and how its answer is printed.
#[derive(Debug, Args)]
struct At {
    /// The node to tell.
    #[arg(long, global = true, value_name = "ADDR", default_value_t = SocketAddr::from(([127, 0, 0, 1], FIRST_PORT)))]
    node: SocketAddr,
    /// The cluster's name.
    #[arg(long, global = true, value_name = "NAME", default_value = CLUSTER)]
    cluster: String,
    /// Prints one line of JSON.
    #[arg(long, global = true)]
    json: bool,
}

impl Cluster {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let Self { verb, at } = self;
        let mut node = at.connect().await?;
        let waits = match verb {
            Verb::Status { wait } | Verb::Commit { wait, .. } => wait,
            _ => false,
        };
        let is_status = matches!(verb, Verb::Status { .. });
        if !(waits && is_status) {
            let command = verb.command();
            let answer = node.tell(&command).await?;
            at.print(&answer, |answer| show::answer(&command, answer))?;
        }
        if waits {
            let status = wait(&mut node, at.json).await?;
            at.print(&status, |status| match is_status {
                true => show::answer(&Command::Status, status),
                false => "all nodes have carried it out\n".into(),
            })?;
        }
        Ok(())
    }
}

impl Ring {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let (bucket_type, bucket) = self
            .bucket
            .split_once('/')
            .unwrap_or(("default", &self.bucket));
        let command = Command::Where {
            bucket_type: bucket_type.into(),
            bucket: bucket.into(),
            key: self.key.clone(),
        };
        let mut node = self.at.connect().await?;
        let answer = node.tell(&command).await?;
        self.at.print(&answer, |answer| {
            show::place(&self.key, &self.bucket, answer)
        })
    }
}

/// The node that is told.
struct Node {
    at: SocketAddr,
    admin: Admin<Tokio>,
}

impl Node {
    async fn tell(&mut self, command: &Command) -> Result<Value, Error> {
        let told = self.admin.tell(command).await;
        told.map_err(|error| Error::administering(self.at, error))
    }
}

impl At {
    async fn connect(&self) -> Result<Node, Error> {
        let admin = Admin::connect(self.node.to_string(), cluster_id(&self.cluster)).await;
        match admin {
            Ok(admin) => Ok(Node {
                at: self.node,
                admin,
            }),
            Err(error) => Err(Error::administering(self.node, error)),
        }
    }

    fn print(&self, answer: &Value, text: impl FnOnce(&Value) -> String) -> Result<(), Error> {
        match self.json {
            true => print::out(&format!("{answer}\n")),
            false => print::out(&text(answer)),
        }
    }
}

impl Verb {
    fn command(self) -> Command {
        match self {
            Self::Status { .. } => Command::Status,
            Self::Plan => Command::Plan,
            Self::Commit { anyway, .. } => Command::Commit { anyway },
            Self::Unstage => Command::Unstage,
            Self::Join { id } => Command::Join { node: id },
            Self::Leave { id } => Command::Leave { node: id },
            Self::Remove { id } => Command::Remove { node: id },
            Self::Replace { dead, by } => Command::Replace { dead, by },
            Self::Weight { id, weight } => Command::Weight { node: id, weight },
            Self::Zone { id, zone, host } => Command::Zone {
                node: id,
                zone,
                host,
            },
            Self::Bucket(bucket) => {
                let (bucket_type, name) = match bucket.name.split_once('/') {
                    Some((bucket_type, name)) => (bucket_type.into(), Some(name.into())),
                    None => (bucket.name, None),
                };
                Command::Bucket {
                    bucket_type,
                    bucket: name,
                    properties: Properties {
                        n: bucket.n,
                        r: bucket.r,
                        w: bucket.w,
                        pr: bucket.pr,
                        pw: bucket.pw,
                        conflicts: bucket.conflicts,
                        durability: bucket.durability,
                    },
                }
            }
        }
    }
}

/// Waits until all have carried out what was decided, and shows how far that is.
async fn wait(node: &mut Node, is_json: bool) -> Result<Value, Error> {
    let shows = !is_json && io::stderr().is_terminal();
    loop {
        let status = node.tell(&Command::Status).await?;
        if shows {
            eprint!("\r\x1b[K{}", show::progress(&status));
        }
        if status["settled"] == true {
            if shows {
                eprintln!();
            }
            return Ok(status);
        }
        sleep(EVERY).await;
    }
}
