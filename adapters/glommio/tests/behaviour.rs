//! What every adapter does, on glommio, where this machine lets it run.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if let Err(missing) = dynamo_glommio::probe() {
        let all = dynamo_behaviour::BEHAVIOURS.len();
        println!("SKIPPED: glommio: none of {all} behaviours was looked at: {missing}");
        return std::process::ExitCode::SUCCESS;
    }
    dynamo_behaviour::run("glommio", |doors, setup| {
        Ok(dynamo_behaviour::stop(dynamo_glommio::serve(doors, setup)?))
    })
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SKIPPED: glommio: there is none but on Linux");
}
