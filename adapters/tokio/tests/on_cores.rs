//! What every adapter does, on tokio with two nodes in a process.

use std::process::ExitCode;

use dynamo_behaviour::{run_on_cores, stop_all};

fn main() -> ExitCode {
    run_on_cores("tokio", |nodes, cores| {
        Ok(stop_all(dynamo_tokio::serve_on_cores(nodes, cores)?))
    })
}
