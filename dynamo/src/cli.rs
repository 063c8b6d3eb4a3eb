//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use dynamo_proto::version::Context;

use crate::backup::{Backup, Restore};
use crate::bench::Bench;
use crate::cluster::{Cluster, Ring};
use crate::demo::{FIRST_PORT, MOST_NODES};
use crate::doctor::Doctor;
use crate::hex;
use crate::keys::Keys;
use crate::runtime::Runtime;
use crate::settings::{CLUSTER, Options};
use crate::shell::{Completions, Manual};

/// Amazon's Dynamo: a key-value store that is always writeable.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_STATUS)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  not done, for the reason given
  2  the command line makes no sense
  3  the key has no value
  4  unknown: a write may have been done, or may yet be";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a cluster on this machine until Ctrl-C. What it keeps is gone then.
    Demo(Demo),
    /// Runs one node of a cluster until it is told to stop.
    Serve(Box<Serve>),
    /// Prints a key's values, all that were written concurrently, and their context.
    Get(Get),
    /// Writes a value: beside those that are there, or in place of those of a context.
    Put(Put),
    /// Deletes what is there, or what a context has seen.
    Delete(Delete),
    /// Looks after a cluster, by way of any of its nodes.
    Cluster(Box<Cluster>),
    /// Shows where a key lives, and why.
    Ring(Box<Ring>),
    /// Lists the keys of a bucket, page by page, or exports what they hold.
    Keys(Box<Keys>),
    Backup(Backup),
    Restore(Restore),
    /// Looks whether this machine is fit for a node, and says what to do.
    Doctor(Doctor),
    Completions(Completions),
    Manual(Manual),
    /// Measures servers: how much they do, how long it takes, what it costs them.
    Bench(Box<Bench>),
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many nodes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=MOST_NODES))]
    pub(crate) nodes: u16,
    /// The first node's port, the others have the next; those for RESP are 100 above,
    /// those for HTTP 200, those for Riak's clients 300. 0 for any that are free.
    #[arg(long, default_value_t = FIRST_PORT)]
    pub(crate) port: u16,
    /// What the nodes run on.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) runtime: Runtime,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A TOML file with any of the keys below that have a variable.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Says what would be served, or what is wrong with it, and opens nothing.
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Which key.
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) to: To,
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// Which key.
    pub(crate) key: String,
    /// What to write.
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: String,
    /// What the write supersedes: the context that `get` printed.
    #[arg(long, value_name = "HEX", value_parser = context)]
    pub(crate) context: Option<Context>,
    #[command(flatten)]
    pub(crate) to: To,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Which key.
    pub(crate) key: String,
    /// What is deleted: what was there when `get` printed this context. Without it, all that a
    /// read finds now.
    #[arg(long, value_name = "HEX", value_parser = context)]
    pub(crate) context: Option<Context>,
    #[command(flatten)]
    pub(crate) to: To,
}

/// Where a request goes, and how its answer is printed.
#[derive(Debug, Args)]
pub(crate) struct To {
    /// The bucket that the key is in.
    #[arg(long, default_value = "default")]
    pub(crate) bucket: String,
    /// The node to ask.
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from(([127, 0, 0, 1], FIRST_PORT)))]
    pub(crate) node: SocketAddr,
    /// The cluster's name.
    #[arg(long, value_name = "NAME", default_value = CLUSTER)]
    pub(crate) cluster: String,
    /// Prints one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn context(text: &str) -> Result<Context, String> {
    let bytes = hex::decode(text).ok_or("a context is an even number of hexadecimal digits")?;
    Context::decode(Bytes::from(bytes)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
