//! What every adapter does, on async-std.

use std::process::ExitCode;

use dynamo_behaviour::{run, stop};

fn main() -> ExitCode {
    run("async-std", |doors, setup| {
        Ok(stop(dynamo_async_std::on_async_std(doors, setup)?))
    })
}
