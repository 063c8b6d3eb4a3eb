//! Where a running node is asked for backups: a socket in its directory, for whoever may write there.
//!
//! It has a thread of its own, makes one backup at a time, and ends one when whoever wanted it is
//! gone or the node stops.

use std::fs::{self, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dynamo_storage::{BackUpError, Copied, CopyError};

use super::{BackUpTo, SOCKET, Said, Wanted, say};

/// It is open until it is dropped.
#[derive(Debug)]
pub(crate) struct Desk {
    path: PathBuf,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How long somebody may take to say what is wanted, in how many bytes, or to hear how it goes.
const PATIENCE: Duration = Duration::from_secs(5);
const LINE: u64 = 64 << 10;

/// How often it is told how far a backup is.
const NEWS: Duration = Duration::from_millis(500);

/// Longest sleep before it is looked whether all is over.
const NAP: Duration = Duration::from_millis(50);

impl Desk {
    /// Opens it in that directory, which no other process has open.
    pub(crate) fn open(directory: &Path, back_up: BackUpTo) -> io::Result<Self> {
        let path = directory.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = is_over.clone();
        let work = move || {
            for asked in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever asked so badly that it cannot be told does not hear why.
                let _ = asked.and_then(|asked| serve(asked, &back_up, &seen));
            }
        };
        let thread = thread::Builder::new().name("dynamo-backup".into());
        Ok(Self {
            path,
            is_over,
            thread: Some(thread.spawn(work)?),
        })
    }
}

impl Drop for Desk {
    /// Returns when nothing uses the store any more.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let is_woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take()
            && is_woken
        {
            let _ = thread.join(); // it has said why it ended
        }
    }
}

fn serve(mut asked: UnixStream, back_up: &BackUpTo, is_over: &AtomicBool) -> io::Result<()> {
    asked.set_read_timeout(Some(PATIENCE))?;
    asked.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new((&asked).take(LINE)).read_line(&mut line)?;
    let wanted: Wanted = match serde_json::from_str(&line) {
        Ok(wanted) => wanted,
        Err(error) => return say(&mut asked, &Said::Failed(error.to_string())),
    };
    let (start, mut told) = (Instant::now(), Instant::now());
    let mut watch = |copied: &Copied| {
        let due = copied.bytes as f64 / wanted.bytes_a_second.max(1) as f64;
        let due = start + Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX / 4);
        loop {
            if told.elapsed() >= NEWS {
                told = Instant::now();
                let &Copied { items, bytes, .. } = copied;
                if say(&mut asked, &Said::Copied { items, bytes }).is_err() {
                    return ControlFlow::Break(());
                }
            }
            if is_over.load(Ordering::SeqCst) {
                return ControlFlow::Break(());
            }
            match due.checked_duration_since(Instant::now()) {
                Some(early) if !early.is_zero() => thread::sleep(early.min(NAP)),
                _ => return ControlFlow::Continue(()),
            }
        }
    };
    let said = match back_up(&wanted.back_up_to, &mut watch) {
        Ok(copied) => Said::Done {
            items: copied.items,
            bytes: copied.bytes,
            damaged: copied.damaged.len() as u64,
        },
        Err(BackUpError::Copy(CopyError::Stopped)) => {
            Said::Failed("the node stops, and the backup is not whole: remove it".to_owned())
        }
        Err(error) => Said::Failed(error.to_string()),
    };
    say(&mut asked, &said)
}
