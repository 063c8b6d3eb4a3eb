//! What every adapter does, on smol.

use std::process::ExitCode;

use dynamo_behaviour::{run, stop};

fn main() -> ExitCode {
    run("smol", |doors, setup| {
        Ok(stop(dynamo_async_std::on_smol(doors, setup)?))
    })
}
