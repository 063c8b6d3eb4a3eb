//! Looks whether a machine is fit for a node, and says what to do where it is not.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use dynamo_storage::{FreeSpace, Room as _, directory};
use rustix::process::{Resource, getrlimit};
use serde_json::json;

use crate::error::Error;
use crate::print;
use crate::settings::FJALL_RESERVE;

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Where the node keeps its part, or will: its disk is measured there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    data: PathBuf,
    /// How many bytes the node will keep free there.
    #[arg(long, value_name = "BYTES", default_value_t = FJALL_RESERVE)]
    reserve: u64,
    /// Where the node will listen. Repeatable.
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Prints a line of JSON for each finding.
    #[arg(long)]
    json: bool,
}

/// What was found of one thing.
struct Finding {
    about: &'static str,
    health: Health,
    is: String,
    /// What to do.
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Good,
    /// It works, and not as well as it could, or it could not be looked at.
    Doubtful,
    /// It will not work, or not for long.
    Bad,
}

/// Connections of clients, of peers, and the files of a store.
const FILES: u64 = 65_536;
const FEWEST_FILES: u64 = 4096;

/// Flushes that are measured, of so many bytes each.
const FLUSHES: usize = 50;
const PAGE: [u8; 4096] = [0; 4096];

/// A write waits for a flush on each of two nodes.
const SLOW_FLUSH: Duration = Duration::from_millis(10);
const TOO_SLOW_FLUSH: Duration = Duration::from_millis(250);

/// Stamps of a clock before that, the start of 2024, decide nothing sensible.
const THIS_AGE: Duration = Duration::from_secs(1_704_067_200);

impl Doctor {
    pub(crate) fn run(&self) -> Result<ExitCode, Error> {
        let mut findings = vec![open_files(), clock(), io_uring()];
        findings.extend(self.store());
        findings.extend(self.listen.iter().map(|address| port(*address)));
        let worst = findings.iter().map(|finding| finding.health).max();
        for finding in &findings {
            print::out(&self.line(finding))?;
        }
        Ok(match worst {
            Some(Health::Bad) => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        })
    }

    fn line(&self, finding: &Finding) -> String {
        let Finding {
            about,
            health,
            is,
            advice,
        } = finding;
        let health = match health {
            Health::Good => "good",
            Health::Doubtful => "doubtful",
            Health::Bad => "bad",
        };
        if self.json {
            let line = json!({ "about": about, "health": health, "is": is, "advice": advice });
            return format!("{line}\n");
        }
        let advice = advice.as_ref();
        let advice = advice.map_or(String::new(), |it| format!("\n{:20}{it}", ""));
        format!("{health:8}  {about:8}  {is}{advice}\n")
    }

    /// The directory, and the disk that it is on.
    fn store(&self) -> Vec<Finding> {
        let owner = match directory::look(&self.data) {
            Ok(Some(seen)) => Finding::good(
                "store",
                format!(
                    "{} has the store of node {}, kept by {}, opened {} times",
                    self.data.display(),
                    seen.owner.node,
                    seen.engine,
                    seen.generation.0,
                ),
            ),
            Ok(None) => Finding::good("store", format!("none at {} yet", self.data.display())),
            Err(error) => Finding {
                about: "store",
                health: Health::Bad,
                is: error.to_string(),
                advice: Some("see Troubleshooting in docs/".to_owned()),
            },
        };
        let place = existing(&self.data);
        vec![owner, room(&place, self.reserve), flush(&place)]
    }
}

impl Finding {
    fn good(about: &'static str, is: impl Into<String>) -> Self {
        Self {
            about,
            health: Health::Good,
            is: is.into(),
            advice: None,
        }
    }

    fn of(about: &'static str, health: Health, is: String, advice: &str) -> Self {
        let advice = (health != Health::Good).then(|| advice.to_owned());
        Self {
            about,
            health,
            is,
            advice,
        }
    }
}

/// The directory, or the one above in which it would be made.
fn existing(path: &Path) -> PathBuf {
    let mut above = path.ancestors().filter(|it| it.is_dir());
    above.next().map_or_else(|| ".".into(), Path::to_path_buf)
}

fn open_files() -> Finding {
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let health = match most {
        FILES.. => Health::Good,
        FEWEST_FILES.. => Health::Doubtful,
        _ => Health::Bad,
    };
    let is = match most {
        u64::MAX => "a process may open any number".to_owned(),
        most => format!("a process may open {most}"),
    };
    let advice = "each connection is one: raise the hard limit to 65536 or more (ulimit -Hn, LimitNOFILE for systemd, --ulimit nofile for docker)";
    Finding::of("files", health, is, advice)
}

/// Whether wall time can be trusted: only stamps of last-write-wins and lifetimes go by it.
fn clock() -> Finding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    if now.unwrap_or_default() < THIS_AGE {
        let is = "it is years behind".to_owned();
        return Finding::of("clock", Health::Bad, is, "set it, and let NTP keep it");
    }
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .output();
    let said = asked.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    match said.as_deref() {
        Ok("yes") => Finding::good("clock", "kept by NTP"),
        Ok("no") => Finding::of(
            "clock",
            Health::Doubtful,
            "not kept by NTP".to_owned(),
            "install chrony, or start systemd-timesyncd: where the last write wins it is the clock that says which that is",
        ),
        _ => Finding::of(
            "clock",
            Health::Doubtful,
            "nobody says whether it is kept by NTP".to_owned(),
            "make sure that it is, on this machine or the one that this container runs on",
        ),
    }
}

#[cfg(target_os = "linux")]
fn io_uring() -> Finding {
    match dynamo_glommio::probe() {
        Ok(()) => Finding::good("io_uring", "there, with enough locked memory"),
        Err(missing) => Finding::of(
            "io_uring",
            Health::Doubtful,
            missing.to_string(),
            "only --runtime glommio needs it: the others work",
        ),
    }
}

#[cfg(not(target_os = "linux"))]
fn io_uring() -> Finding {
    Finding::good("io_uring", "Linux alone has it, and only glommio needs it")
}

fn room(place: &Path, reserve: u64) -> Finding {
    const GIB: f64 = (1_u64 << 30) as f64;
    let free = match FreeSpace::of(place).free() {
        Ok(free) => free,
        Err(error) => {
            let is = format!("cannot be told: {error}");
            return Finding::of("room", Health::Bad, is, "is this a directory?");
        }
    };
    let health = match free {
        free if free <= reserve => Health::Bad,
        free if free < 4 * reserve => Health::Doubtful,
        _ => Health::Good,
    };
    let is = format!(
        "{:.1} GiB free at {}, of which {:.1} are kept in reserve",
        free as f64 / GIB,
        place.display(),
        reserve as f64 / GIB,
    );
    let advice = "clients' writes are refused as soon as only the reserve is left: free some, take a larger disk, or a smaller --reserve for little data";
    Finding::of("room", health, is, advice)
}

/// How long the disk takes for what every write that is acknowledged waits for.
fn flush(place: &Path) -> Finding {
    let mut times = match flushes(place) {
        Ok(times) => times,
        Err(error) => {
            let is = format!("cannot write at {}: {error}", place.display());
            let advice = "the node's user must own its directory";
            return Finding::of("flush", Health::Bad, is, advice);
        }
    };
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    let health = match median {
        median if median >= TOO_SLOW_FLUSH => Health::Bad,
        median if median >= SLOW_FLUSH => Health::Doubtful,
        _ => Health::Good,
    };
    let is = format!("{median:.1?} in the middle, {longest:.1?} at most, of {FLUSHES}");
    let advice = "take a disk that flushes faster, such as an SSD that is not shared; or say with --flush MS or --write-buffer that acknowledged writes may be lost with the power";
    Finding::of("flush", health, is, advice)
}

fn flushes(place: &Path) -> io::Result<Vec<Duration>> {
    let path = place.join(format!("doctor-{}", std::process::id()));
    let measured = (|| {
        let mut file = File::create_new(&path)?;
        (0..FLUSHES)
            .map(|_| {
                let start = Instant::now();
                file.write_all(&PAGE)?;
                file.sync_data()?;
                Ok(start.elapsed())
            })
            .collect()
    })();
    let _ = fs::remove_file(&path);
    measured
}

fn port(address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good("port", format!("{address} is free")),
        Err(error) => Finding {
            about: "port",
            health: Health::Bad,
            is: format!("nobody can listen at {address}: {error}"),
            advice: Some("choose another, or stop who has it (ss -ltnp)".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_and_a_full_disk_are_bad_and_a_free_one_is_good() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let address = taken.local_addr().expect("it has one");
        assert_eq!(port(address).health, Health::Bad);
        drop(taken);
        assert_eq!(port(address).health, Health::Good);

        let place = tempfile::tempdir().expect("a directory");
        assert_eq!(room(place.path(), u64::MAX).health, Health::Bad);
        assert_eq!(room(place.path(), 0).health, Health::Good);
        assert_eq!(flushes(place.path()).expect("it is ours").len(), FLUSHES);
        let left = fs::read_dir(place.path()).expect("it is there").count();
        assert_eq!(left, 0, "it leaves nothing behind");
        assert_eq!(flush(Path::new("/nowhere")).health, Health::Bad);
    }
}
