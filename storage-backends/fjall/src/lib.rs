//! Storage on disk in a log-structured tree: [fjall](https://docs.rs/fjall), the default.
//!
//! A write goes to fjall's journal and to memory; a flush is one `fdatasync` of the journal, for
//! all that was written since the last one. Sorted tables are written behind it.
//!
//! # What it promises
//!
//! All that [`Backend`] asks, for any number of threads:
//! - memory, written and flushed are what they say: a batch stays in the process, goes to the
//!   operating system, or to the disk. Reads and scans see a snapshot and never wait for a writer
//!   or a flush.
//! - **Damage** in a table is found by its block's checksum when it is read: what is in that block
//!   is [corrupt](ReadOutcome::Corrupt), and a scan names a span around it. Damage in the journal
//!   is found when the store is opened, which then fails: see [`OpenError::Journal`].
//! - **A torn tail**, of a journal that was not flushed when the power went, is cut off.
//! - **A lost tail** that had been flushed is noticed: see [`DirectoryError::Lost`](dynamo_storage::directory::DirectoryError::Lost).
//! - **A failed flush**, also one of fjall's own in the background, is final.
//!
//! # What it leaves to others
//!
//! Keeping some of the disk free: fjall cannot go on when a write finds no room, so such a write
//! ends the store as a failed flush does, and one that it makes in the background too. Put
//! [`Reserve`] in front of it, with the store itself as its [`Room`]: that counts what has still to
//! become tables, and gives back room when somebody is refused: all that was deleted, if what is left
//! of its space fits into half of the reserve. And keep enough for a merge, which writes its tables
//! before it removes those that it was made of: sixteen times [`Options::memtable_bytes`], a gibibyte
//! as it comes.
//!
//! # From start to end
//!
//! What a node's process does with its store, which is the same with every engine that keeps one:
//!
//! ```
//! use std::sync::Arc;
//! use std::thread;
//!
//! use dynamo_proto::node::Op;
//! use dynamo_proto::store::{Address, Batch, Change, Command, Completion, Space};
//! use dynamo_proto::{ClusterId, Durability, NodeId};
//! use dynamo_storage::directory::{Opening, Owner, look};
//! use dynamo_storage::worker::{Worker, WorkerOptions};
//! use dynamo_storage::Reserve;
//! use dynamo_storage_fjall::{Fjall, Options};
//!
//! # let temporary = tempfile::tempdir()?;
//! # let path = temporary.path();
//! // Who am I? The directory says it; a new one belongs to a new node, drawn at random.
//! let owner = match look(path)? {
//!     Some(seen) => seen.owner,
//!     None => Owner { cluster: ClusterId(7), node: NodeId(0x5eed) },
//! };
//! let store = Arc::new(Fjall::open(path, owner, Opening::InPlace, Options::default())?);
//! // How often was it opened? The node says so to its peers.
//! let generation = store.directory().generation();
//! # assert_eq!(generation.0, 1);
//!
//! // The engine in threads of its own. It leaves a gibibyte free for deletes and repairs.
//! let guarded = Reserve::new(store.clone(), store.clone(), 1 << 30);
//! let node = thread::current();
//! let wake = move || node.unpark();
//! let mut worker = Worker::start(Arc::new(guarded), WorkerOptions::default(), wake)?;
//!
//! let at = Address { position: 7, name: "cart".into() };
//! let change = Change { space: Space::Objects, at, bytes: Some("tea".into()) };
//! let batch = Batch {
//!     changes: [change].into_iter().collect(),
//!     durability: Durability::Flushed,
//!     may_use_reserve: false,
//! };
//! // What is refused has completed at once.
//! let mut completed = Vec::new();
//! if let Err(refused) = worker.submit(Op(1), Command::Write(batch)) {
//!     completed.push((Op(1), refused));
//! }
//! while completed.is_empty() {
//!     thread::park();
//!     // An error is the end of the node: it must not answer anything more, nor close the store.
//!     worker.take(&mut completed)?;
//! }
//! assert_eq!(completed, [(Op(1), Completion::Wrote(Ok(Durability::Flushed)))]);
//!
//! // In order: first all that is under way, then the store.
//! worker.close()?;
//! Arc::into_inner(store).expect("the worker has given it back").close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod journal;
mod reclaim;
mod scan;
mod spaces;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use dynamo_proto::Durability;
use dynamo_proto::store::{Address, ReadOutcome, Space, WriteError};
#[cfg(doc)]
use dynamo_storage::Reserve;
use dynamo_storage::directory::{CloseError, Directory, Opening, Owner};
use dynamo_storage::{
    BackUp, BackUpError, Backend, Copied, FreeSpace, Limit, Page, Room, SPACES, ScanFailed, Span,
    Watch, Write, address, copy,
};
use fjall::{Database, PersistMode, Readable as _, Snapshot};

pub use error::OpenError;
use error::{is_damage, outcome_of};
use reclaim::Reclaimer;
use spaces::{MARK, Spaces};

/// The engine's name in a store's directory.
const ENGINE: &str = "fjall";
/// Where this is not, fjall makes a new database.
const LANDMARK: &str = "version";

/// So much room a merge may need, at worst, and what is written meanwhile.
const MEMTABLES_IN_RESERVE: u64 = 16;

/// How a store is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How much of its tables is kept in memory.
    pub cache_bytes: u64,
    /// How much is collected in memory, for each space, before it becomes a table.
    pub memtable_bytes: u64,
}

/// A store on disk; see the crate's head.
pub struct Fjall {
    reclaimer: Reclaimer,
    spaces: Spaces,
    database: Database,
    /// The number of the last group: each is written with its group, so that what is found after
    /// an opening says how far the store goes.
    last_group: AtomicU64,
    directory: Directory,
}

impl Fjall {
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
        let data = directory.data(LANDMARK, |new| open_data(new, options).map(drop))?;
        journal::mend(&data)?;
        let (spaces, database) = open_data(&data, options)?;
        let last_group = spaces.last_group()?;
        directory.expect_flushed(last_group)?;
        Ok(Self {
            reclaimer: Reclaimer::new(),
            spaces,
            database,
            last_group: AtomicU64::new(last_group),
            directory,
        })
    }

    /// The directory that it is in.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Flushes all, ends its threads, and marks the directory as closed. Dropped without this, it
    /// opens next time as after a crash.
    pub fn close(self) -> Result<(), CloseError> {
        self.flush().map_err(|_| CloseError::FlushFailed)?;
        drop((self.reclaimer, self.spaces, self.database));
        Ok(self.directory.close()?)
    }

    fn flush(&self) -> Result<(), fjall::Error> {
        let reached = self.last_group.load(Ordering::Acquire);
        self.database.persist(PersistMode::SyncData)?;
        // A flush of fjall's own that failed just before may have left this one nothing to fail at;
        // by now it says so.
        self.database.persist(PersistMode::Buffer)?;
        self.directory.mark_flushed(reached);
        Ok(())
    }

    fn reach(&self, asked: Durability) -> Result<Durability, fjall::Error> {
        match asked {
            // Fails if a flush has failed, and writes nothing out.
            Durability::Memory => {}
            Durability::Written => self.database.persist(PersistMode::Buffer)?,
            Durability::Flushed => self.flush()?,
        }
        Ok(asked)
    }

    /// Writes a group without making it any safer.
    fn apply(&self, group: &mut [Write]) -> Result<(), fjall::Error> {
        self.reclaimer.changed();
        let last = group.iter().rposition(|it| !it.batch.changes.is_empty());
        for (index, write) in group.iter_mut().enumerate() {
            if write.batch.changes.is_empty() {
                continue;
            }
            let size = write.batch.changes.len() + 1;
            let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), size);
            for change in write.batch.changes.drain(..) {
                let space = self.spaces.of(change.space);
                let key = address::encode(&change.at);
                match change.bytes {
                    Some(bytes) => batch.insert(space, key, bytes),
                    None => batch.remove(space, key),
                }
            }
            if Some(index) == last {
                let number = self.last_group.fetch_add(1, Ordering::AcqRel) + 1;
                let mark = number.to_be_bytes();
                batch.insert(self.spaces.of(Space::Objects), MARK, mark);
            }
            batch.commit()?;
        }
        Ok(())
    }

    fn page(
        &self,
        snapshot: &Snapshot,
        space: Space,
        span: &Span,
        limit: Limit,
    ) -> Result<Page, ScanFailed> {
        scan::page(snapshot, self.spaces.of(space), span, limit)
    }
}

/// Opens what fjall keeps, or makes it. Dropped in their order, the threads have ended.
fn open_data(data: &Path, options: Options) -> Result<(Spaces, Database), OpenError> {
    let database = Database::builder(data)
        .manual_journal_persist(true)
        .cache_size(options.cache_bytes)
        .open()?;
    let spaces = Spaces::open(&database, data, options)?;
    Ok((spaces, database))
}

impl Backend for Fjall {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        // Without a snapshot a batch could be seen half-way.
        let snapshot = self.database.snapshot();
        outcome_of(snapshot.get(self.spaces.of(space), address::encode(at)))
    }

    fn write(&self, group: &mut [Write]) {
        let asked = Write::most_demanding(group);
        let answer = self
            .apply(group)
            .and_then(|()| self.reach(asked))
            // Whatever fails here leaves fjall unable to go on.
            .map_err(|_| WriteError::FlushFailed);
        for write in group {
            write.answer = answer;
        }
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        self.page(&self.database.snapshot(), space, span, limit)
    }
}

/// What the disk has free, without what is in memory and has still to become tables: it was taken
/// already.
impl Room for Fjall {
    fn free(&self) -> io::Result<u64> {
        let free = FreeSpace::of(self.directory.path()).free()?;
        Ok(free.saturating_sub(self.database.write_buffer_size()))
    }

    /// What was deleted is given back if what is left is small beside what the disk has free, which
    /// is then the reserve. Otherwise it is when tables are merged next.
    fn reclaim(&self, free: u64) {
        let spaces = self.spaces.all();
        self.reclaimer.begin(&self.database, spaces, free);
    }
}

impl BackUp for Fjall {
    fn back_up(&self, to: &Path, watch: &mut Watch<'_>) -> Result<Copied, BackUpError> {
        let snapshot = self.database.snapshot();
        let directory = self.directory.for_backup(to)?;
        let engine = |error: Box<dyn std::error::Error + Send + Sync>| BackUpError::Engine(error);
        let target =
            Self::open_in(directory, Options::default()).map_err(|it| engine(it.into()))?;
        let all = SPACES.map(|space| (space, Span::all()));
        let scan = |space, span: &Span, limit| self.page(&snapshot, space, span, limit);
        let copied = copy(scan, all, &target, watch)?;
        target.close().map_err(|it| engine(it.into()))?;
        Ok(copied)
    }
}

impl Options {
    /// The usual ones, with as much collected in memory as goes with so large a reserve.
    #[must_use]
    pub fn with_reserve(reserve: u64) -> Self {
        let usual = Self::default();
        Self {
            memtable_bytes: (reserve / MEMTABLES_IN_RESERVE).clamp(1 << 20, usual.memtable_bytes),
            ..usual
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            memtable_bytes: 64 << 20,
        }
    }
}
