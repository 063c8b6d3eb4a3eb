//! Crashes: a child process writes heavily until it is killed in the midst of a change or flush of
//! a file; then, mostly, the power is cut too; and what is left must be what was reported.
//!
//! What is checked after each: nothing that was answered flushed is gone (or, where only the
//! process was killed, written); nothing is older than that, or was never written; batches are
//! whole; what could be read after an earlier opening is there. A child can die while it recovers
//! from the last crash.

mod child;
mod ledger;
mod work;

pub use child::Child;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fmt, fs, io};

use dynamo_proto::Durability;

use crate::{Dice, Image, Scratch};
use ledger::{Found, Ledger};
use work::Work;

/// Crashes one engine again and again.
#[derive(Clone, Debug)]
pub struct Crashes {
    /// The program whose command `child` runs a [`Child`].
    pub program: PathBuf,
    /// The engine's name.
    pub engine: String,
    /// All that is done and all that is lost follows from it, as far as the engine's threads let it.
    pub seed: u64,
    /// How often at least. Goes on until enough came of it; see [`Tally::worth`].
    pub crashes: usize,
}

/// How many times as often an engine is crashed until that was worth the name.
const PATIENCE: usize = 10;

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Processes killed.
    pub crashes: usize,
    /// After how many of them the power was cut.
    pub power_cuts: usize,
    /// How many died before the store was open.
    pub while_opening: usize,
    /// Batches given to the engine.
    pub batches: u64,
    /// How many of them it said to be flushed.
    pub flushed: u64,
    /// Bytes of files lost in power cuts.
    pub bytes_lost: u64,
}

/// Why a run ended early.
#[derive(Debug)]
pub enum Ended {
    /// The engine broke a promise.
    Broken(String),
    /// The test itself could not go on.
    Unable(io::Error),
}

impl Crashes {
    /// Crashes the engine so often and until that was worth the name, and looks at what is left in
    /// the end. How much a child does before it dies is up to the engine's threads and the
    /// machine's disk too.
    pub fn run(&self) -> Result<Tally, Ended> {
        let mut scratch = Scratch::new()?;
        let mut run = Run::new(self, Dice::new(self.seed), &mut scratch)?;
        let enough = Tally::worth(self.crashes);
        while !run.tally.reaches(&enough) {
            if run.tally.crashes == self.crashes * PATIENCE {
                let gist = format!("{}, and it wants {enough}", run.tally);
                return Err(Ended::Unable(io::Error::other(gist)));
            }
            let reach = 1 << run.dice.below(10);
            let death = Death {
                after: run.dice.below(reach),
                once_open: run.dice.below(2) == 0,
            };
            run.live_and_die(self, death)?;
            run.end(&mut scratch)?;
        }
        run.look(self)?;
        Ok(run.tally)
    }

    /// Crashes the engine while it makes its store: in a new directory each time, so many changes
    /// later each time, until it is open before that or was crashed often enough. Looks at what is
    /// left each time.
    pub fn run_at_birth(&self, step: usize) -> Result<Tally, Ended> {
        let mut tally = Tally::default();
        for after in (0..).step_by(step).take(self.crashes) {
            let mut scratch = Scratch::new()?;
            let mut run = Run::new(self, Dice::new(self.seed ^ after as u64), &mut scratch)?;
            run.tally = tally;
            let once_open = false;
            run.live_and_die(self, Death { after, once_open })?;
            run.end(&mut scratch)?;
            run.look(self)?;
            if run.tally.while_opening == tally.while_opening {
                return Ok(run.tally);
            }
            tally = run.tally;
        }
        Ok(tally)
    }
}

impl Tally {
    /// What must have happened before so many crashes show anything.
    #[must_use]
    pub fn worth(crashes: usize) -> Self {
        let times = crashes as u64;
        Self {
            crashes,
            power_cuts: crashes.div_ceil(2),
            while_opening: 1,
            batches: 0,
            flushed: times * 5 / 2,
            bytes_lost: times * 50,
        }
    }

    fn reaches(&self, least: &Self) -> bool {
        self.crashes >= least.crashes
            && self.power_cuts >= least.power_cuts
            && self.while_opening >= least.while_opening
            && self.batches >= least.batches
            && self.flushed >= least.flushed
            && self.bytes_lost >= least.bytes_lost
    }
}

struct Run {
    root: PathBuf,
    image: PathBuf,
    dice: Dice,
    ledger: Ledger,
    /// The number of the next batch.
    next: u64,
    /// Whether the last end was only a process's.
    resumes: bool,
    /// What outlives all ends since the store was last looked at.
    survives: Durability,
    tally: Tally,
}

/// When a child is to die.
struct Death {
    /// How many changes of files.
    after: usize,
    /// Counted from there; else from its birth, so that it often does not live to see it.
    once_open: bool,
}

impl Run {
    fn new(crashes: &Crashes, dice: Dice, scratch: &mut Scratch) -> io::Result<Self> {
        Ok(Self {
            root: scratch.directory()?,
            image: scratch.part(),
            dice,
            ledger: Ledger::new(Work { seed: crashes.seed }),
            next: 1,
            resumes: false,
            survives: Durability::Written,
            tally: Tally::default(),
        })
    }

    fn live_and_die(&mut self, crashes: &Crashes, death: Death) -> Result<(), Ended> {
        let output = self.child(crashes, Some(death))?;
        let is_open = self.read(&output)?;
        if output.status.signal() != Some(libc::SIGKILL) {
            return Err(broken(&output));
        }
        self.tally.crashes += 1;
        self.tally.while_opening += usize::from(!is_open);
        Ok(())
    }

    /// The last look.
    fn look(&mut self, crashes: &Crashes) -> Result<(), Ended> {
        let output = self.child(crashes, None)?;
        if self.read(&output)? && output.status.success() {
            Ok(())
        } else {
            Err(broken(&output))
        }
    }

    fn child(&self, crashes: &Crashes, death: Option<Death>) -> io::Result<Output> {
        let mut command = Command::new(&crashes.program);
        command.args(["child", "--engine", &crashes.engine]);
        command.arg("--root").arg(&self.root);
        command.arg("--image").arg(&self.image);
        command.args(["--seed", &crashes.seed.to_string()]);
        command.args(["--first", &self.next.to_string()]);
        if self.resumes {
            command.arg("--resume");
        }
        if let Some(Death { after, once_open }) = death {
            command.args(["--die-after", &after.to_string()]);
            command.args(once_open.then_some("--once-open"));
        }
        command.output()
    }

    /// Enters what a child said, and checks what it found; whether it came so far.
    fn read(&mut self, output: &Output) -> Result<bool, Ended> {
        let text = String::from_utf8_lossy(&output.stdout);
        let (mut found, mut is_open) = (Found::new(), false);
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let number = |index: usize| words[index].parse::<u64>().map_err(io::Error::other);
            match words[..] {
                ["found", ..] => {
                    found.insert(number(1)? as usize, number(2)?);
                }
                ["opened"] => {
                    is_open = true;
                    let checked = self.ledger.check(&found, self.survives);
                    checked.map_err(Ended::Broken)?;
                    self.survives = Durability::Written;
                }
                ["begin", ..] => {
                    for number in number(1)?..=number(2)? {
                        self.ledger.begin(number);
                        self.tally.batches += 1;
                    }
                    self.next = number(2)? + 1;
                }
                ["wrote", _, level] => {
                    let level = match level {
                        "flushed" => Durability::Flushed,
                        "written" => Durability::Written,
                        _ => Durability::Memory,
                    };
                    self.ledger.reach(number(1)?, level);
                    self.tally.flushed += u64::from(level == Durability::Flushed);
                }
                _ => return Err(io::Error::other(format!("a child said {line:?}")).into()),
            }
        }
        Ok(is_open)
    }

    /// What else ends with the process.
    fn end(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        let luck = match self.dice.below(4) {
            0 => {
                self.resumes = true;
                return Ok(());
            }
            1 => None,
            _ => Some(&mut self.dice),
        };
        let root = scratch.part();
        self.tally.bytes_lost += Image::at(&self.image).restore(&self.root, &root, luck)?;
        self.tally.power_cuts += 1;
        remove(&self.root)?;
        remove(&self.image)?;
        self.root = root;
        self.image = scratch.part();
        self.resumes = false;
        self.survives = Durability::Flushed;
        Ok(())
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    fs::remove_dir_all(directory)
}

fn broken(output: &Output) -> Ended {
    let said = String::from_utf8_lossy(&output.stderr);
    Ended::Broken(format!("{}: {}", output.status, said.trim()))
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Unable(error)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(how) => write!(f, "a promise is broken: {how}"),
            Self::Unable(error) => write!(f, "the test could not go on: {error}"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} crashes ({} while opening), {} power cuts, {} batches, {} of them flushed, {} \
             bytes lost",
            self.crashes,
            self.while_opening,
            self.power_cuts,
            self.batches,
            self.flushed,
            self.bytes_lost
        )
    }
}
