//! The directory of a store: whose it is, who has it open, and how it was left.
//!
//! ```text
//!   identity   format, engine, owner, generation, place, how it was left; replaced, never changed
//!   lock       locked while the store is open
//!   flushed    how far the engine's writes are known to be flushed
//!   data       the engine's; made as data.new, and named so when it is whole
//! ```
//!
//! A node is its directory, so a [`Directory`] opens only for its owner, its engine, and one
//! process at a time. It notices:
//! - a **foreign** directory, of another node or cluster;
//! - a **copy**: the directory is not where its store was last open. Two nodes that run on copies
//!   of one store would both speak in its name, so a copy is opened only by who says that the
//!   original is gone ([`Opening::Adopt`]). Only files that were copied are noticed: of a disk that
//!   was cloned or rolled back as a whole, nothing in it knows. That is safe, because every boot
//!   mints under a newborn actor, and nodes that meet their own name say so;
//! - a **backup**, which is meant to be opened elsewhere;
//! - whether it was **closed**, or its process ended otherwise and the tail may be gone;
//! - **files that are missing** although the engine had made them: see [`Directory::data`];
//! - **writes that are missing** although they were flushed: see [`Directory::expect_flushed`].
//!
//! A node that is told nothing but a directory learns from [`look`] who it is and which engine to open
//! it with. Every opening is counted before anything is read: the [`Generation`]. All that is written here
//! is flushed, directory entries included, but for `flushed`, which is only ever too low.

mod error;
mod identity;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use dynamo_proto::{ClusterId, Generation, NodeId};

use error::At as _;
pub use error::{CloseError, DirectoryError};
use identity::{Identity, State};

const LOCK: &str = "lock";
const FLUSHED: &str = "flushed";
const DATA: &str = "data";
const NEW_DATA: &str = "data.new";

/// Whose store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Of which cluster.
    pub cluster: ClusterId,
    /// Of which of its nodes.
    pub node: NodeId,
}

/// What to do with a directory that is not where its store was last open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// Refuse it: the original may still be running.
    #[default]
    InPlace,
    /// Take it for the original, which is gone for good.
    Adopt,
}

/// How a directory was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Empty: it has just been made a store.
    Empty,
    /// As it was left by [`Directory::close`].
    Closed,
    /// Its process ended otherwise: what was not flushed may be gone.
    Abandoned,
    /// A backup, or a copy that was adopted: the original may have written more.
    Copied,
}

/// What a directory says of the store in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which engine wrote it, by its name.
    pub engine: String,
    /// Whose it is.
    pub owner: Owner,
    /// How often it was opened so far.
    pub generation: Generation,
}

/// Looks whose store is in this directory; `None` if it is empty, absent, or no store. Neither
/// opens nor changes anything.
pub fn look(path: &Path) -> Result<Option<Seen>, DirectoryError> {
    let found = Identity::read(path)?;
    Ok(found.map(|identity| Seen {
        engine: identity.engine,
        owner: identity.owner,
        generation: identity.generation,
    }))
}

/// The open directory of a store; see the [module](self).
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    identity: Identity,
    found: Found,
    flushed_before: u64,
    flushed: AtomicU64,
    flushed_file: File,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Directory {
    /// Opens the store in this directory, or makes one in an empty or absent directory.
    pub fn open(
        path: &Path,
        engine: &'static str,
        owner: Owner,
        opening: Opening,
    ) -> Result<Self, DirectoryError> {
        create(path)?;
        let lock = lock(path)?;
        let place = place_of(path)?;
        let Some(found) = Identity::read(path)? else {
            expect_empty(path)?;
            let identity = Identity::newborn(engine, owner, place, State::New);
            let flushed = mark::open(path)?;
            return Self::begin(path, lock, identity, Found::Empty, flushed);
        };
        found.check(path, engine, owner)?;
        let is_in_place = found.place == place;
        let how = match found.state {
            State::UnfinishedBackup => {
                return Err(DirectoryError::Unfinished { path: path.into() });
            }
            State::Backup => Found::Copied,
            _ if !is_in_place && opening == Opening::InPlace => {
                return Err(DirectoryError::Copied { path: path.into() });
            }
            _ if !is_in_place => Found::Copied,
            State::Closed => Found::Closed,
            State::Open | State::New => Found::Abandoned,
        };
        let flushed = mark::open(path)?;
        let was_closed = matches!(found.state, State::Closed | State::Backup);
        if was_closed && flushed.1.is_none() {
            // It was flushed when the store was closed.
            return Err(DirectoryError::Damaged {
                path: path.join(FLUSHED),
            });
        }
        let state = match found.state {
            State::New => State::New,
            _ => State::Open,
        };
        let identity = Identity {
            generation: Generation(found.generation.0 + 1),
            place,
            state,
            ..found
        };
        Self::begin(path, lock, identity, how, flushed)
    }

    /// Makes a directory for a backup of this store. It is one when it is [closed](Self::close).
    pub fn for_backup(&self, path: &Path) -> Result<Self, DirectoryError> {
        create(path)?;
        let lock = lock(path)?;
        expect_empty(path)?;
        let identity = Identity {
            place: place_of(path)?,
            state: State::UnfinishedBackup,
            ..self.identity.clone()
        };
        let flushed = mark::open(path)?;
        Self::begin(path, lock, identity, Found::Empty, flushed)
    }

    fn begin(
        path: &Path,
        lock: File,
        identity: Identity,
        found: Found,
        (flushed_file, flushed_before): (File, Option<u64>),
    ) -> Result<Self, DirectoryError> {
        let flushed_before = flushed_before.unwrap_or(0);
        identity.write(path)?;
        Ok(Self {
            path: path.into(),
            identity,
            found,
            flushed_before,
            flushed: AtomicU64::new(flushed_before),
            flushed_file,
            _lock: lock,
        })
    }

    /// How it was found.
    #[must_use]
    pub fn found(&self) -> Found {
        self.found
    }

    /// Counts the times that it was opened.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.identity.generation
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.identity.owner
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine keeps its files. A new store has none, so they are made first, under
    /// another name: `make` returns when they are whole and flushed, down to the directory that it
    /// was given. So a process that ends in the middle leaves nothing that an engine would have to
    /// understand. Where they had been made once and are gone, nothing is made in their place; nor
    /// where `landmark` is, the one without which the engine would take the others for nothing.
    pub fn data<E: From<DirectoryError>>(
        &mut self,
        landmark: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let data = self.path.join(DATA);
        if !data.try_exists().at("look at", &data)? {
            if !matches!(self.identity.state, State::New | State::UnfinishedBackup) {
                return Err(DirectoryError::Missing { path: data }.into());
            }
            let new = self.path.join(NEW_DATA);
            match fs::remove_dir_all(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).at("remove", &new)?;
                }
                _ => fs::create_dir(&new).at("create", &new)?,
            }
            make(&new)?;
            fs::rename(&new, &data).at("rename", &new)?;
        }
        let landmark = data.join(landmark);
        if !landmark.try_exists().at("look at", &landmark)? {
            return Err(DirectoryError::Missing { path: landmark }.into());
        }
        // Also what an earlier process may have renamed and not flushed.
        flush_directory(&self.path).at("flush", &self.path)?;
        if self.identity.state == State::New {
            self.identity.state = State::Open;
            self.identity.write(&self.path)?;
        }
        Ok(data)
    }

    /// Refuses an engine that opened with less than it had flushed. The numbers are the engine's
    /// and only grow. What is known of them may be too low, never too high: writes that were
    /// flushed just before a power cut may be missed by it.
    pub fn expect_flushed(&self, found: u64) -> Result<(), DirectoryError> {
        if found < self.flushed_before {
            return Err(DirectoryError::Lost {
                path: self.path.clone(),
                flushed: self.flushed_before,
                found,
            });
        }
        Ok(())
    }

    /// Notes how far writes are flushed, after they are. Costs no flush.
    pub fn mark_flushed(&self, number: u64) {
        if self.flushed.fetch_max(number, Ordering::Relaxed) < number {
            // A mark that could not be written stays too low, which it may be.
            let _ = mark::write(&self.flushed_file, number);
        }
    }

    /// Notes that all is flushed and closed: to be called last, when the engine is closed and
    /// nothing has failed.
    pub fn close(self) -> Result<(), DirectoryError> {
        let flushed = self.path.join(FLUSHED);
        let number = self.flushed.load(Ordering::Relaxed);
        mark::write(&self.flushed_file, number)
            .and_then(|()| self.flushed_file.sync_all())
            .at("write", &flushed)?;
        let state = match self.identity.state {
            State::UnfinishedBackup => State::Backup,
            _ => State::Closed,
        };
        Identity {
            state,
            ..self.identity
        }
        .write(&self.path)
    }
}

/// Makes an entry in a directory as safe as what it names.
pub fn flush_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn create(path: &Path) -> Result<(), DirectoryError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).at("create", path)?;
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    flush_directory(parent).at("flush", parent)
}

fn lock(path: &Path) -> Result<File, DirectoryError> {
    let lock = path.join(LOCK);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&lock)
        .at("open", &lock)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&lock).unwrap_or_default();
            return Err(DirectoryError::InUse {
                path: path.into(),
                holder: holder.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(error).at("lock", &lock),
    }
    // For whoever finds it locked; that it is locked is all that counts.
    let _ = file.set_len(0);
    let _ = writeln!(file, "{}", std::process::id());
    Ok(file)
}

/// What is not ours is not overwritten.
fn expect_empty(path: &Path) -> Result<(), DirectoryError> {
    let ours = [LOCK, FLUSHED, identity::NEW];
    for entry in fs::read_dir(path).at("list", path)? {
        let name = entry.at("list", path)?.file_name();
        if !ours.iter().any(|our| name == *our) {
            return Err(DirectoryError::NotAStore { path: path.into() });
        }
    }
    Ok(())
}

/// What a copy has not in common with its original: the directory's inode.
fn place_of(path: &Path) -> Result<u64, DirectoryError> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(fs::metadata(path).at("look at", path)?.ino())
}

/// A number with its checksum.
mod mark {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;

    use xxhash_rust::xxh3::xxh3_64;

    use super::error::At as _;
    use super::{DirectoryError, FLUSHED};

    /// The file, and the number in it, if there is one that can be believed.
    pub(super) fn open(directory: &Path) -> Result<(File, Option<u64>), DirectoryError> {
        let path = directory.join(FLUSHED);
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .at("open", &path)?;
        let number = read(&file).at("read", &path)?;
        Ok((file, number))
    }

    fn read(file: &File) -> io::Result<Option<u64>> {
        let mut bytes = [0; 16];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let bits = u128::from_le_bytes(bytes);
        let (number, sum) = (bits as u64, (bits >> 64) as u64);
        let is_whole = sum == xxh3_64(&number.to_le_bytes());
        Ok(is_whole.then_some(number))
    }

    pub(super) fn write(file: &File, number: u64) -> io::Result<()> {
        let sum = xxh3_64(&number.to_le_bytes());
        let bits = u128::from(number) | u128::from(sum) << 64;
        file.write_all_at(&bits.to_le_bytes(), 0)
    }
}
