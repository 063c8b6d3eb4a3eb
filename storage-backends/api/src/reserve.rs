//! Room kept free on the disk, so that a full store can still be repaired and emptied.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, ReadOutcome, Space, WriteError};

use crate::{Backend, Limit, Page, ScanFailed, Span, Write};

/// How much room there is.
pub trait Room: Send {
    /// Bytes that could still be written.
    fn free(&self) -> io::Result<u64>;

    /// Somebody was refused, with so many bytes free. An engine that still takes room for what was
    /// deleted begins to give it back, if so much is enough to do it with. Does not wait for it.
    fn reclaim(&self, free: u64) {
        let _ = free;
    }
}

impl<R: Room + Sync + ?Sized> Room for Arc<R> {
    fn free(&self) -> io::Result<u64> {
        (**self).free()
    }

    fn reclaim(&self, free: u64) {
        (**self).reclaim(free);
    }
}

/// What the file system of a directory has free for this process.
#[derive(Clone, Debug)]
pub struct FreeSpace(PathBuf);

impl FreeSpace {
    /// Of the file system that this is on.
    #[must_use]
    pub fn of(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Room for FreeSpace {
    fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.0)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// An engine that refuses to grow into the last so many bytes.
///
/// Engines on disk cannot go on when a write finds no room at all, and need some to throw things
/// away: a log-structured tree writes tombstones and merges tables before anything is freed. So a
/// batch that would leave less free than the reserve is answered
/// [`Full`](WriteError::Full), and nothing of it is written; but one that makes no place larger is
/// let through, so a full store can be emptied and what it has can be put right.
///
/// Where the free room cannot be told, nothing is refused.
pub struct Reserve<B, R> {
    backend: B,
    room: R,
    reserve: u64,
    is_full: AtomicBool,
}

impl<B: Backend, R: Room> Reserve<B, R> {
    /// Keeps so many bytes free.
    pub fn new(backend: B, room: R, reserve: u64) -> Self {
        Self {
            backend,
            room,
            reserve,
            is_full: AtomicBool::new(false),
        }
    }

    /// Whether the last group that wanted to grow was refused.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// The engine behind it.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The engine behind it, for good.
    pub fn into_backend(self) -> B {
        self.backend
    }

    /// What it may take: it is written to a log, and again to where it stays.
    fn size(batch: &Batch) -> u64 {
        let sizes = batch.changes.iter().map(|change| {
            let value = change.bytes.as_ref().map_or(0, |bytes| bytes.len());
            2 * (change.at.name.len() + value) as u64
        });
        sizes.sum()
    }

    fn grows(&self, batch: &Batch) -> bool {
        batch.changes.iter().any(|change| {
            let Some(new) = &change.bytes else {
                return false;
            };
            match self.backend.read(change.space, &change.at) {
                ReadOutcome::Found(old) => new.len() > old.len(),
                // What is put in the place of damage is what was there.
                ReadOutcome::Corrupt => false,
                ReadOutcome::Absent | ReadOutcome::Failed => true,
            }
        })
    }

    /// Writes one by one: whether a batch makes a place larger depends on those before it.
    fn write_nearly_full(&self, group: &mut [Write], free: u64) {
        let mut spare = free.saturating_sub(self.reserve);
        let asked = Write::most_demanding(group);
        let mut is_full = false;
        for write in group.iter_mut() {
            let size = Self::size(&write.batch);
            if size > spare && !write.batch.may_use_reserve && self.grows(&write.batch) {
                write.answer = Err(WriteError::Full);
                is_full = true;
                continue;
            }
            spare = spare.saturating_sub(size);
            write.batch.durability = Durability::Memory;
            self.backend.write(std::slice::from_mut(write));
        }
        self.is_full.store(is_full, Ordering::Relaxed);
        if is_full {
            self.room.reclaim(free);
        }
        let mut flush = [Write::from(Batch {
            changes: smallvec::SmallVec::new(),
            durability: asked,
            may_use_reserve: false,
        })];
        self.backend.write(&mut flush);
        let [flush] = flush;
        for write in group {
            write.answer = write.answer.and(flush.answer);
        }
    }
}

impl<B: Backend, R: Room> Backend for Reserve<B, R> {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        self.backend.read(space, at)
    }

    fn write(&self, group: &mut [Write]) {
        let free = self.room.free().unwrap_or(u64::MAX);
        let spare = free.saturating_sub(self.reserve);
        let size: u64 = group.iter().map(|write| Self::size(&write.batch)).sum();
        if size <= spare {
            self.is_full.store(false, Ordering::Relaxed);
            return self.backend.write(group);
        }
        self.write_nearly_full(group, free);
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        self.backend.scan(space, span, limit)
    }

    fn delete(
        &self,
        space: Space,
        span: &Span,
        durability: Durability,
    ) -> Result<Durability, WriteError> {
        self.backend.delete(space, span, durability)
    }
}
