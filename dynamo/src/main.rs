//! Dynamo as a program.
//!
//! `dynamo serve` runs a node, `dynamo demo` a whole cluster on this machine; `put`, `get` and
//! `delete` talk to them, `cluster` and `ring` look after them.

mod ask;
mod backup;
mod bench;
mod cli;
mod cluster;
mod cores;
mod demo;
mod doctor;
mod engine;
mod error;
mod hex;
mod journal;
mod keys;
mod print;
mod runtime;
mod serve;
mod settings;
mod shell;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::error::Error;

/// What `get` of a key without a value ends with.
const NO_VALUE: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dynamo: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Bench(bench) => bench.run().await?,
        Command::Cluster(cluster) => cluster.run().await?,
        Command::Ring(ring) => ring.run().await?,
        Command::Keys(keys) => keys.run().await?,
        Command::Backup(backup) => backup.run()?,
        Command::Restore(restore) => restore.run()?,
        Command::Doctor(doctor) => return doctor.run(),
        Command::Completions(completions) => completions.run()?,
        Command::Manual(manual) => manual.run()?,
        Command::Demo(demo) => demo::run(&demo, &program()).await?,
        Command::Serve(options) => serve::run(*options).await?,
        Command::Put(put) => {
            let written = ask::put(&put).await?;
            print::out(&print::written(put.to.json, &written))?;
        }
        Command::Delete(delete) => {
            let written = ask::delete(&delete).await?;
            print::out(&print::written(delete.to.json, &written))?;
        }
        Command::Get(get) => {
            let got = ask::get(&get).await?;
            if !got.siblings.is_absent() || get.to.json {
                print::out(&print::got(&get, &got))?;
            }
            if got.siblings.is_deleted() {
                eprintln!("dynamo: no value");
                return Ok(ExitCode::from(NO_VALUE));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// This program as it was called, to be called so again.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "dynamo".into())
}
