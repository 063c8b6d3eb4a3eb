//! Planted bugs, and how many seeds it takes to catch each.

#[cfg(planted)]
pub(crate) use planted::run;
#[cfg(not(planted))]
pub(crate) use rebuild::run;

#[cfg(planted)]
mod planted {
    use std::fmt::Display;
    use std::path::Path;
    use std::process::ExitCode;
    use std::time::Duration;

    use dynamo_proto::planted::{Bug, plant};
    use dynamo_sim::{Scenario, Wishes};

    const MINUTE: Duration = Duration::from_secs(60);

    /// How often a scenario that catches a bug may be run again to make it smaller.
    const SHRINK_RUNS: usize = 3000;

    /// What is printed is a page of Markdown, kept as `docs/planted-bugs.md`.
    const HEAD: &str = "\
# Planted bugs

Printed by `cargo run --release -p dynamo-sim -- mutants`: known bugs, planted one after the other,
how many seeds it took until a promise was seen to be broken, and which check saw it. What the
checks are is told in [decision 5](decisions/0005-simulator.md).

| Bug | What it does wrong | Seeds | Check |
| --- | --- | ---: | --- |";

    fn row(bug: Bug, seeds: impl Display, check: &str) {
        println!("| `{bug:?}` | {} | {seeds} | {check} |", bug.describe());
    }

    pub(crate) fn run(within: u64, keep: Option<&Path>, only: &[String]) -> ExitCode {
        println!("{HEAD}");
        let mut caught = 0;
        let is_wanted = |bug: &&Bug| only.is_empty() || only.contains(&format!("{bug:?}"));
        let bugs: Vec<_> = Bug::ALL.iter().filter(is_wanted).collect();
        for bug in &bugs {
            plant(Some(**bug));
            let found = (0..within).find_map(|seed| {
                let minutes = if seed.is_multiple_of(2) { 1 } else { 5 };
                let wishes = Wishes {
                    length: Some(MINUTE * minutes),
                    ..Wishes::default()
                };
                let scenario = Scenario::draw(seed, &wishes);
                let violation = dynamo_sim::run(&scenario).violation?;
                Some((seed + 1, scenario, violation))
            });
            match found {
                Some((seeds, scenario, violation)) => {
                    caught += 1;
                    row(**bug, seeds, violation.check);
                    if let Some(keep) = keep
                        && let Some(smallest) = dynamo_sim::shrink(&scenario, SHRINK_RUNS)
                        && let Ok(json) = serde_json::to_string(&smallest)
                    {
                        let path = keep.join(format!("{bug:?}.json"));
                        if let Err(error) = std::fs::write(&path, json) {
                            eprintln!("cannot keep {}: {error}", path.display());
                        }
                    }
                }
                None => row(**bug, format_args!("**missed** in {within}"), ""),
            }
            plant(None);
        }
        println!("\nplanted {}, caught {caught}", bugs.len());
        if caught == bugs.len() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(planted))]
mod rebuild {
    use std::path::Path;
    use std::process::{Command, ExitCode};

    pub(crate) fn run(within: u64, keep: Option<&Path>, only: &[String]) -> ExitCode {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let status = Command::new(cargo)
            .args(["run", "--quiet", "--profile", "ci", "-p", "dynamo-sim"])
            .args([
                "--target-dir",
                "target/planted",
                "--",
                "mutants",
                "--within",
            ])
            .arg(within.to_string())
            .args(
                keep.into_iter()
                    .flat_map(|keep| [Path::new("--keep"), keep]),
            )
            .args(only.iter().flat_map(|bug| ["--only", bug]))
            .env("RUSTFLAGS", "--cfg planted")
            .status();
        match status {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("cannot run cargo to build the planted bugs: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
