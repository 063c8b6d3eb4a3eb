//! Directories that are gone when nobody needs them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, process};

/// A directory of its own, removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    parts: usize,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Scratch {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("dynamo-faults-{}-{number}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self { path, parts: 0 })
    }

    /// A path in it that was not given before. Nothing is there.
    pub fn part(&mut self) -> PathBuf {
        self.parts += 1;
        self.path.join(self.parts.to_string())
    }

    /// A new directory in it.
    pub fn directory(&mut self) -> io::Result<PathBuf> {
        let part = self.part();
        fs::create_dir(&part)?;
        Ok(part)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans up temporary files.
        let _ = fs::remove_dir_all(&self.path);
    }
}
