//! All connections together, in one thread.

use std::time::{Duration, Instant};

use dynamo_driver::Dice;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::BenchError;
use super::line::{Caller, Line};
use super::tally::Tally;
use super::workload::Workload;

/// How many requests of each connection are under way while all keys are written.
const FILLING: usize = 8;

/// How long writing all keys may go without an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that is down is looked after so often.
const LOOK: Duration = Duration::from_millis(100);

/// When the next request is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// When an answer has come, with so many under way.
    Closed { pipeline: usize },
    /// At its time.
    Open { per_second: u32 },
}

#[derive(Debug)]
pub(super) struct Load {
    lines: Vec<Line>,
    dice: Dice,
}

impl Load {
    pub(super) fn connect(callers: Vec<Caller>) -> Result<Self, BenchError> {
        let mut dice = Dice::new(seed()?);
        let lines = callers.into_iter().map(|caller| {
            Line::connect(caller, &mut dice)
                .map_err(|error| BenchError::Connect(caller.host, error))
        });
        let lines = lines.collect::<Result<_, _>>()?;
        Ok(Self { lines, dice })
    }

    /// Writes every key once.
    pub(super) fn fill(&mut self, workload: &mut Workload) -> Result<(), BenchError> {
        let mut tally = Tally::new(Instant::now());
        let (mut next, mut last) = (0, Instant::now());
        while next < workload.keys() || !self.lines.iter().all(Line::is_idle) {
            let now = Instant::now();
            for line in &mut self.lines {
                while next < workload.keys() && line.has_room(FILLING) {
                    line.ask(workload.first(next), workload.size(), now);
                    next += 1;
                }
            }
            let before = tally.done();
            self.exchange(LOOK, &mut tally)?;
            if tally.done() > before {
                last = now;
            }
            if now.duration_since(last) > PATIENCE || !tally.errors().is_empty() {
                return Err(BenchError::Fill(tally.errors_in_words()));
            }
        }
        Ok(())
    }

    /// Keeps going for so long. What is under way at the end stays so, and counts in the next run.
    pub(super) fn run(
        &mut self,
        workload: &mut Workload,
        pace: Pace,
        time: Duration,
    ) -> Result<Tally, BenchError> {
        let began = Instant::now();
        let mut tally = Tally::new(began);
        let interval = self.schedule(pace, began);
        loop {
            let now = Instant::now();
            if now.duration_since(began) >= time {
                tally.took = now.duration_since(began);
                return Ok(tally);
            }
            for line in &mut self.lines {
                line.come_back(now, &mut self.dice);
                match pace {
                    Pace::Closed { pipeline } => {
                        while line.has_room(pipeline) {
                            line.ask(workload.draw(), workload.size(), now);
                        }
                    }
                    Pace::Open { .. } => line.ask_what_is_due(now, interval, workload),
                }
            }
            let next_due = self.lines.iter().filter(|line| line.has_room(Line::most()));
            let next_due = next_due.filter_map(|line| line.due).min();
            let wait = next_due.map_or(LOOK, |due| due.saturating_duration_since(now).min(LOOK));
            let left = time.saturating_sub(now.duration_since(began));
            self.exchange(wait.min(left), &mut tally)?;
        }
    }

    /// Gives each connection its moments, evenly between those of the others; how far apart.
    fn schedule(&mut self, pace: Pace, now: Instant) -> Duration {
        let Pace::Open { per_second } = pace else {
            return Duration::ZERO;
        };
        let between = Duration::from_secs(1) / per_second;
        for (at, line) in (0..).zip(&mut self.lines) {
            line.due.get_or_insert(now + between * at);
        }
        between * self.lines.len() as u32
    }

    /// Says what there is to say, waits a while for something to come, and hears it.
    fn exchange(&mut self, wait: Duration, tally: &mut Tally) -> Result<(), BenchError> {
        for line in &mut self.lines {
            if line.interest().contains(PollFlags::OUT) {
                line.exchange(false, tally);
            }
        }
        let wait = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: wait.subsec_nanos().into(),
        };
        let (mut watched, mut sockets) = (Vec::new(), Vec::new());
        for (at, line) in self.lines.iter().enumerate() {
            if let Some(socket) = line.socket() {
                watched.push(at);
                sockets.push(PollFd::new(socket, line.interest()));
            }
        }
        match poll(&mut sockets, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(BenchError::System(error.into())),
        }
        let happened = sockets.iter().map(|socket| !socket.revents().is_empty());
        let happened: Vec<_> = watched.into_iter().zip(happened).collect();
        for (at, _) in happened.into_iter().filter(|(_, happened)| *happened) {
            self.lines[at].exchange(true, tally);
        }
        Ok(())
    }
}

/// Names of native requests must be new in every run.
fn seed() -> Result<[u8; 32], BenchError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::from)?;
    Ok(seed)
}
