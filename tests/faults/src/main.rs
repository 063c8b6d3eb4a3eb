//! Crashes storage engines.

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the fault layer is for Linux");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::env;
    use std::process::ExitCode;

    use clap::Parser;
    use dynamo_faults::crash::{Child, Crashes};
    use dynamo_faults::engines;

    #[derive(Parser)]
    enum Command {
        /// Crashes an engine and checks what is left.
        Run {
            /// The engine's name.
            engine: String,
            /// How often at least: until enough was flushed and lost.
            #[arg(long, default_value_t = 20)]
            crashes: usize,
            /// All that happens follows from it.
            #[arg(long, default_value_t = 1)]
            seed: u64,
            /// While it makes its store, at every change until that is open, in as many stores.
            #[arg(long)]
            at_birth: bool,
        },
        /// Names the engines.
        Engines,
        /// The process that is crashed.
        #[command(hide = true)]
        Child(Child),
    }

    pub(super) fn main() -> ExitCode {
        let done = match Command::parse() {
            Command::Run {
                engine,
                crashes,
                seed,
                at_birth,
            } => run(engine, crashes, seed, at_birth),
            Command::Engines => {
                engines()
                    .iter()
                    .for_each(|engine| println!("{}", engine.name));
                Ok(())
            }
            Command::Child(child) => child.run().map_err(|error| error.to_string()),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn run(engine: String, crashes: usize, seed: u64, at_birth: bool) -> Result<(), String> {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let crashes = Crashes {
            program,
            engine,
            seed,
            crashes,
        };
        let run = match at_birth {
            true => crashes.run_at_birth(1),
            false => crashes.run(),
        };
        let tally = run.map_err(|ended| ended.to_string())?;
        println!("{}: {tally}", crashes.engine);
        Ok(())
    }
}
