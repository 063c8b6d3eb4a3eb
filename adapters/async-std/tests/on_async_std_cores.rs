//! What every adapter does, on async-std with two nodes in a process.

use std::process::ExitCode;

use dynamo_behaviour::{run_on_cores, stop_all};

fn main() -> ExitCode {
    run_on_cores("async-std", |nodes, cores| {
        Ok(stop_all(dynamo_async_std::on_async_std_cores(
            nodes, cores,
        )?))
    })
}
