//! Time on the processor, of processes other than this one.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::BenchError;

/// What processes had used at a moment.
#[derive(Debug)]
pub(super) struct Reading {
    used: Vec<(u32, Duration)>,
}

/// What a process used, in user and system mode together, over all its threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) pid: u32,
    pub(super) time: Duration,
}

impl Reading {
    pub(super) fn of(pids: &[u32]) -> Result<Self, BenchError> {
        if !pids.is_empty() && !Path::new("/proc/self/stat").exists() {
            return Err(BenchError::NoProc);
        }
        let used = pids.iter().map(|pid| Ok((*pid, used(*pid)?)));
        Ok(Self {
            used: used.collect::<Result<_, BenchError>>()?,
        })
    }

    pub(super) fn until_now(&self) -> Result<Vec<Used>, BenchError> {
        let since = self.used.iter().map(|(pid, before)| {
            let time = used(*pid)?.saturating_sub(*before);
            Ok(Used { pid: *pid, time })
        });
        since.collect()
    }
}

fn used(pid: u32) -> Result<Duration, BenchError> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(path).map_err(|error| BenchError::Process(pid, error))?;
    ticks(&text)
        .map(|ticks| {
            let per_second = rustix::param::clock_ticks_per_second();
            Duration::from_millis(ticks * 1000 / per_second)
        })
        .ok_or_else(|| BenchError::Process(pid, io::ErrorKind::InvalidData.into()))
}

/// User and system time, the 14th and 15th field; the second is a name in brackets, which may hold
/// anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_read_whatever_the_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 110 23 14 15 16";
        assert_eq!(ticks(stat), Some(133));
        assert_eq!(ticks("7 (a) S 1 2"), None);
    }
}
