//! Dynamo as a program.
//!
//! `dynamo demo` runs a cluster on this machine; `put`, `get` and `delete` talk to it.

mod ask;
mod cli;
mod demo;
mod error;
mod hex;
mod print;

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
        Command::Demo(demo) => demo::run(&demo, &program()).await?,
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
