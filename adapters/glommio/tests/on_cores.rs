//! What every adapter does, on glommio with two nodes in a process, where this machine lets it run.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if let Err(missing) = dynamo_glommio::probe() {
        let all = dynamo_behaviour::BEHAVIOURS.len();
        println!("SKIPPED: glommio, two cores: none of {all} behaviours was looked at: {missing}");
        return std::process::ExitCode::SUCCESS;
    }
    dynamo_behaviour::run_on_cores("glommio", |nodes, cores| {
        let servers = dynamo_glommio::serve_on_cores(nodes, cores)?;
        Ok(dynamo_behaviour::stop_all(servers))
    })
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SKIPPED: glommio: there is none but on Linux");
}
