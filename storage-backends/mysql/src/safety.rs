//! What a server's settings are worth.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use dynamo_proto::Durability;
use mysql::Conn;
use mysql::prelude::Queryable;

use crate::Error;

/// How safe a commit is, and why not safer.
///
/// | setting | a commit is |
/// | --- | --- |
/// | `innodb_flush_log_at_trx_commit` 1 or 3 | flushed |
/// | 2 | written |
/// | 0 | in memory: the server's own end can take it |
/// | `log_bin` on and `sync_binlog` not 1 | written: what the binary log lacks after a power cut is undone |
/// | `innodb_doublewrite` off | written: a power cut can tear a page that had long been safe |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Safety {
    /// What is reached, and answered.
    pub durability: Durability,
    /// The settings that keep it from being flushed, each as it is.
    pub because_of: Vec<String>,
}

/// How long an opened store waits for what was committed before.
const FLUSH_PATIENCE: Duration = Duration::from_secs(30);

impl Safety {
    pub(crate) fn of(flush_at_commit: u64, has_log: bool, sync_log: u64) -> Self {
        let mut safety = Self {
            durability: Durability::Flushed,
            because_of: Vec::new(),
        };
        let committed = match flush_at_commit {
            1 | 3 => Durability::Flushed,
            2 => Durability::Written,
            _ => Durability::Memory,
        };
        let setting = format!("innodb_flush_log_at_trx_commit={flush_at_commit}");
        safety.limit(committed, setting);
        if has_log && sync_log != 1 {
            safety.limit(Durability::Written, format!("sync_binlog={sync_log}"));
        }
        safety
    }

    pub(crate) fn limit(&mut self, to: Durability, because_of: String) {
        if to < Durability::Flushed {
            self.durability = self.durability.min(to);
            self.because_of.push(because_of);
        }
    }
}

impl fmt::Display for Safety {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.durability {
            Durability::Memory => "in the server's memory",
            Durability::Written => "written, not flushed",
            Durability::Flushed => "flushed",
        };
        f.write_str(what)?;
        if !self.because_of.is_empty() {
            write!(f, ", because of {}", self.because_of.join(" and "))?;
        }
        Ok(())
    }
}

/// What does not change while a connection lasts, or only by mischief: a reason to say less than
/// the commit does. Refuses a server that only pretends to flush.
pub(crate) fn of_pages(server: &mut Conn) -> Result<Option<String>, Error> {
    let method = variable(server, "innodb_flush_method")?.unwrap_or_default();
    if ["nosync", "littlesync"].contains(&method.to_lowercase().as_str()) {
        return Err(Error::PretendsToFlush {
            setting: format!("innodb_flush_method={method}"),
        });
    }
    if variable(server, "debug_no_sync")?.is_some_and(|it| it == "ON" || it == "1") {
        return Err(Error::PretendsToFlush {
            setting: "debug_no_sync=ON".into(),
        });
    }
    let pages = variable(server, "innodb_doublewrite")?.unwrap_or_default();
    let is_on = ["ON", "1", "DETECT_AND_RECOVER"].contains(&pages.as_str());
    Ok((!is_on).then(|| format!("innodb_doublewrite={pages}")))
}

/// Waits until all that was committed so far is flushed, as it will be by itself.
pub(crate) fn wait_for_flush(server: &mut Conn) -> Result<(), Error> {
    let committed = log_position(
        server,
        ["Innodb_lsn_current", "Innodb_redo_log_current_lsn"],
    )?;
    let start = Instant::now();
    while start.elapsed() < FLUSH_PATIENCE {
        let names = ["Innodb_lsn_flushed", "Innodb_redo_log_flushed_to_disk_lsn"];
        if log_position(server, names)? >= committed {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(Error::FlushUnknown)
}

/// MariaDB's name for it, and MySQL's.
fn log_position(server: &mut Conn, names: [&str; 2]) -> Result<u64, Error> {
    for name in names {
        let row: Option<(String, String)> =
            server.query_first(format!("SHOW GLOBAL STATUS LIKE '{name}'"))?;
        if let Some(position) = row.and_then(|(_, value)| value.parse().ok()) {
            return Ok(position);
        }
    }
    Err(Error::FlushUnknown)
}

pub(crate) fn variable(server: &mut Conn, name: &str) -> Result<Option<String>, Error> {
    let row: Option<(String, String)> =
        server.query_first(format!("SHOW GLOBAL VARIABLES LIKE '{name}'"))?;
    Ok(row.map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weakest_setting_counts() {
        for (settings, durability, said) in [
            ((1, false, 0), Durability::Flushed, "flushed"),
            ((3, true, 1), Durability::Flushed, "flushed"),
            (
                (1, true, 0),
                Durability::Written,
                "written, not flushed, because of sync_binlog=0",
            ),
            (
                (2, false, 0),
                Durability::Written,
                "written, not flushed, because of innodb_flush_log_at_trx_commit=2",
            ),
            (
                (0, true, 100),
                Durability::Memory,
                "in the server's memory, because of innodb_flush_log_at_trx_commit=0 and \
                 sync_binlog=100",
            ),
        ] {
            let (flush, log, sync) = settings;
            let safety = Safety::of(flush, log, sync);
            assert_eq!(
                (safety.durability, safety.to_string()),
                (durability, said.into())
            );
        }
    }
}
