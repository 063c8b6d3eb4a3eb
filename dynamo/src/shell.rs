//! What goes with the program: completions for shells, and its manual.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::Error;
use crate::print;

/// Prints what a shell needs to complete commands and flags:
/// `dynamo completions bash > /etc/bash_completion.d/dynamo`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell.
    shell: Shell,
}

/// Writes the manual, a page for each command, for `man`.
#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// An existing directory, such as /usr/local/share/man/man1.
    directory: PathBuf,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<(), Error> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "dynamo", &mut text);
        print::out(&String::from_utf8_lossy(&text))
    }
}

impl Manual {
    pub(crate) fn run(&self) -> Result<(), Error> {
        Ok(clap_mangen::generate_to(Cli::command(), &self.directory)?)
    }
}
