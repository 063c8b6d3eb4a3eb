//! Storage on disk in one file, a copy-on-write B-tree: [redb](https://docs.rs/redb).
//!
//! A group is one transaction, and a flush its commit. Reads are faster than in a log-structured
//! tree, and nothing runs in the background; writes cost a path of pages each.
//!
//! # What it promises
//!
//! All that [`Backend`] asks, for any number of threads:
//! - memory and flushed are what they say. There is nothing between them: what asks to be written
//!   is flushed. Reads and scans see the last commit and never wait for a writer or a flush.
//! - **Damage** is found when the store is opened: the checksums of all pages are verified then,
//!   unless [`Options::verify`] says otherwise. What turns on the disk while it is open is found when
//!   it is next read from there, and ends the store: nothing more is read or written, and it does
//!   not open again. A B-tree has no way around a damaged page.
//! - **A torn commit** is undone when the store is opened.
//! - **A lost commit** that had been flushed is noticed: see [`DirectoryError::Lost`](dynamo_storage::directory::DirectoryError::Lost).
//! - **A failed flush** is final, as is every failed write to the file.
//!
//! # What it leaves to others
//!
//! Keeping some of the disk free: a write that finds no room ends the store as a failed flush does.
//! Put [`Reserve`](dynamo_storage::Reserve) in front of it. What is deleted makes room in the file,
//! and is given back to the disk when the store is next opened and verified: a store that was full
//! and was emptied takes no more until then.
//!
//! # Example
//!
//! ```
//! use dynamo_proto::store::{Address, Batch, Change, Command, Completion, Space};
//! use dynamo_proto::{ClusterId, Durability, NodeId};
//! use dynamo_storage::carry_out;
//! use dynamo_storage::directory::{Opening, Owner};
//! use dynamo_storage_redb::{Options, Redb};
//!
//! let temporary = tempfile::tempdir()?;
//! let owner = Owner { cluster: ClusterId(7), node: NodeId(1) };
//! let redb = Redb::open(temporary.path(), owner, Opening::InPlace, Options::default())?;
//!
//! let at = Address { position: 7, name: "cart".into() };
//! let change = Change { space: Space::Objects, at, bytes: Some("tea".into()) };
//! let batch = Batch { changes: [change].into_iter().collect(), durability: Durability::Flushed , may_use_reserve: false};
//! let wrote = carry_out(&redb, Command::Write(batch));
//! assert_eq!(wrote, Completion::Wrote(Ok(Durability::Flushed)));
//! redb.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod checked;
mod error;
mod tables;

use std::fs::File;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, ReadOutcome, Space, WriteError};
use dynamo_storage::directory::{CloseError, Directory, Opening, Owner, flush_directory};
use dynamo_storage::{
    BackUp, BackUpError, Backend, Copied, Limit, Page, SPACES, ScanFailed, Span, Watch, Write,
    address, copy,
};
use redb::{Builder, Database, ReadTransaction, ReadableDatabase as _};

use checked::Checked;
pub use error::OpenError;
use tables::{Tables, table_of};

/// The engine's name in a store's directory.
const ENGINE: &str = "redb";
const FILE: &str = "store.redb";

/// How a store is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How much of the file is kept in memory.
    pub cache_bytes: usize,
    /// Whether all of the file is read, and its checksums verified, when it is opened. It is anyway
    /// after a crash. If most of it was deleted, the rest is moved together then.
    pub verify: bool,
}

/// A store on disk; see the crate's head.
pub struct Redb {
    database: Database,
    /// The number of the last group: each is written with its group, so that what is found after
    /// an opening says how far the store goes.
    last_group: AtomicU64,
    last_flushed: AtomicU64,
    has_failed: AtomicBool,
    directory: Directory,
}

impl Redb {
    /// Opens the store in this directory, or makes one in an empty or absent directory.
    pub fn open(
        path: &Path,
        owner: Owner,
        opening: Opening,
        options: Options,
    ) -> Result<Self, OpenError> {
        Self::open_in(Directory::open(path, ENGINE, owner, opening)?, options)
    }

    fn open_in(mut directory: Directory, options: Options) -> Result<Self, OpenError> {
        let data = directory.data(FILE, |new| {
            open_file(&new.join(FILE), options).map(drop)?;
            flush_directory(new).map_err(redb::Error::Io)?;
            Ok::<_, OpenError>(())
        })?;
        let database = open_file(&data.join(FILE), options)?;
        // Also flushes what a killed process had only written.
        let last_group = tables::make(&database)?;
        directory.expect_flushed(last_group)?;
        Ok(Self {
            database,
            last_group: AtomicU64::new(last_group),
            last_flushed: AtomicU64::new(last_group),
            has_failed: AtomicBool::new(false),
            directory,
        })
    }

    /// The directory that it is in.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Flushes all and marks the directory as closed. Dropped without this, it opens next time as
    /// after a crash.
    pub fn close(self) -> Result<(), CloseError> {
        self.commit(&mut [], Durability::Flushed)
            .map_err(|_| CloseError::FlushFailed)?;
        let Self {
            database,
            directory,
            ..
        } = self;
        drop(database);
        Ok(directory.close()?)
    }

    /// Writes a group as one transaction; what of it was not written is still there after an error.
    fn commit(&self, group: &mut [Write], asked: Durability) -> Result<Durability, WriteError> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err(WriteError::FlushFailed);
        }
        let is_empty = group.iter().all(|write| write.batch.changes.is_empty());
        if is_empty && self.is_flushed() {
            return Ok(Durability::Flushed);
        }
        if is_empty && asked == Durability::Memory {
            return Ok(Durability::Memory);
        }
        self.try_commit(asked, |tables| {
            for write in group.iter_mut() {
                for change in write.batch.changes.drain(..) {
                    tables.apply(&change)?;
                }
            }
            Ok(())
        })
    }

    /// One transaction, which is the next group.
    fn try_commit(
        &self,
        asked: Durability,
        change: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::Error>,
    ) -> Result<Durability, WriteError> {
        let committed = (|| {
            let mut transaction = self.database.begin_write()?;
            let reached = match asked {
                Durability::Memory => {
                    transaction.set_durability(redb::Durability::None)?;
                    Durability::Memory
                }
                Durability::Written | Durability::Flushed => Durability::Flushed,
            };
            // Only one transaction is under way at a time.
            let group = self.last_group.load(Ordering::Acquire) + 1;
            let mut tables = Tables::open(&transaction)?;
            change(&mut tables)?;
            tables.mark(group)?;
            drop(tables);
            self.last_group.store(group, Ordering::Release);
            transaction.commit()?;
            Ok((group, reached))
        })();
        match committed {
            Ok((group, reached)) => {
                if reached == Durability::Flushed {
                    self.last_flushed.fetch_max(group, Ordering::AcqRel);
                    self.directory.mark_flushed(group);
                }
                Ok(reached)
            }
            // The transaction was given up, and the file is as it was.
            Err(redb::Error::ValueTooLarge(_)) => Err(WriteError::Failed),
            Err(_) => {
                self.has_failed.store(true, Ordering::Release);
                Err(WriteError::FlushFailed)
            }
        }
    }

    fn is_flushed(&self) -> bool {
        let last = self.last_group.load(Ordering::Acquire);
        self.last_flushed.load(Ordering::Acquire) == last
    }
}

/// Whether most of the file is room that was freed, and it is worth being given back.
fn is_mostly_room(database: &Database) -> Result<bool, redb::Error> {
    const WORTH_IT: u64 = 4 << 20;
    let transaction = database.begin_write()?;
    let stats = transaction.stats()?;
    transaction.abort()?;
    let room = stats.fragmented_bytes();
    Ok(room > WORTH_IT && room > stats.stored_bytes() + stats.metadata_bytes())
}

/// Opens a file, or makes it, and verifies it.
fn open_file(path: &Path, options: Options) -> Result<Database, OpenError> {
    let open = || {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        let mut database = Builder::new()
            .set_cache_size(options.cache_bytes)
            .create_with_backend(Checked::new(file))?;
        if options.verify {
            // Whether it had to be repaired says nothing yet: what matters is how far it goes.
            database.check_integrity()?;
            if is_mostly_room(&database)? {
                database.compact()?;
            }
        }
        Ok::<_, redb::Error>(database)
    };
    // redb takes some of what it reads before it has verified it for granted, and panics where that
    // is damaged. All that it was about is dropped with it.
    match catch_unwind(open) {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(OpenError::Damaged { path: path.into() }),
    }
}

impl Backend for Redb {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        let found = (|| {
            let table = self.database.begin_read()?.open_table(table_of(space))?;
            let value = table.get(&*address::encode(at))?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })();
        match found {
            Ok(Some(bytes)) => ReadOutcome::Found(bytes),
            Ok(None) => ReadOutcome::Absent,
            Err(error) if error::is_damage(&error) => ReadOutcome::Corrupt,
            Err(_) => ReadOutcome::Failed,
        }
    }

    fn write(&self, group: &mut [Write]) {
        let answer = self.commit(group, Write::most_demanding(group));
        for write in group {
            write.answer = answer;
        }
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        let snapshot = self.database.begin_read().map_err(|_| ScanFailed)?;
        tables::page(&snapshot, space, span, limit)
    }

    /// As one transaction.
    fn delete(
        &self,
        space: Space,
        span: &Span,
        durability: Durability,
    ) -> Result<Durability, WriteError> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err(WriteError::FlushFailed);
        }
        self.try_commit(durability, |tables| tables.remove(space, span))
    }
}

impl BackUp for Redb {
    fn back_up(&self, to: &Path, watch: &mut Watch<'_>) -> Result<Copied, BackUpError> {
        let engine = |error: Box<dyn std::error::Error + Send + Sync>| BackUpError::Engine(error);
        let snapshot: ReadTransaction =
            self.database.begin_read().map_err(|it| engine(it.into()))?;
        let directory = self.directory.for_backup(to)?;
        let target =
            Self::open_in(directory, Options::default()).map_err(|it| engine(it.into()))?;
        let all = SPACES.map(|space| (space, Span::all()));
        let scan = |space, span: &Span, limit| tables::page(&snapshot, space, span, limit);
        let copied = copy(scan, all, &target, watch)?;
        target.close().map_err(|it| engine(it.into()))?;
        Ok(copied)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            verify: true,
        }
    }
}
