//! What every adapter does, on tokio.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::ExitCode;
use std::sync::LazyLock;

use dynamo_behaviour::{run, stop};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
});

fn main() -> ExitCode {
    run("tokio", |doors, setup| {
        let _inside = RUNTIME.enter();
        Ok(stop(dynamo_tokio::serve(doors, setup)?))
    })
}
