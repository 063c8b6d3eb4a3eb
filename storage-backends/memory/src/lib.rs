//! Storage in memory: an ordered map for each space, and nothing behind it.
//!
//! For caches, tests, benchmarks, and what else can be lost. It answers at once and never waits, so
//! it runs in the core's own thread.
//!
//! # What it promises
//!
//! All that [`Backend`] asks, and no more safety than it has: every write is answered
//! [`Durability::Memory`], whatever was asked. A replica on it never counts for a bucket that wants
//! its writes written or flushed, which is the default: with [`Memory`] alone such a bucket takes no
//! writes. Give the bucket a durability of memory, and its promise is what memory can keep:
//!
//! ```
//! use dynamo_proto::{Bucket, Durability};
//!
//! let cache = Bucket { durability: Durability::Memory, ..Bucket::default() };
//! # assert_eq!(cache.w, 2);
//! ```
//!
//! Reading shares the bytes that are kept and writing keeps those that come, so neither copies a
//! value, and writing where something is already allocates nothing. Bytes that are a small part of
//! a large buffer keep all of it.
//!
//! # Example
//!
//! ```
//! use dynamo_proto::Durability;
//! use dynamo_proto::store::{
//!     Address, Batch, Change, Command, Completion, ReadOutcome, Space,
//! };
//! use dynamo_storage::carry_out;
//! use dynamo_storage_memory::Memory;
//!
//! let memory = Memory::new();
//! let at = Address { position: 7, name: "cart".into() };
//! let change = Change { space: Space::Objects, at: at.clone(), bytes: Some("tea".into()) };
//! let batch = Batch { changes: [change].into_iter().collect(), durability: Durability::Flushed , may_use_reserve: false};
//!
//! let wrote = carry_out(&memory, Command::Write(batch));
//! assert_eq!(wrote, Completion::Wrote(Ok(Durability::Memory))); // as safe as it gets
//!
//! let read = carry_out(&memory, Command::Read { space: Space::Objects, at });
//! assert_eq!(read, Completion::Read(ReadOutcome::Found("tea".into())));
//! ```

mod maps;

use std::cell::RefCell;

use dynamo_proto::Durability;
use dynamo_proto::store::{Address, ReadOutcome, Space, WriteError};
use dynamo_storage::{Backend, Item, Limit, Page, ScanFailed, Span, Write};

use maps::Maps;

/// Storage that is gone when it is dropped. For one thread at a time; see the crate's head for what
/// it means to a bucket.
#[derive(Debug, Default)]
pub struct Memory {
    /// Borrowed within a call only.
    maps: RefCell<Maps>,
    capacity: Option<usize>,
}

impl Memory {
    /// As large as it becomes. Keeps nothing: a bucket whose writes are to succeed on it has a
    /// durability of [`Durability::Memory`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With room for so many [`bytes`](Self::bytes); otherwise like [`new`](Self::new). A batch
    /// that would need more is answered [`WriteError::Full`], but one that frees as much as it
    /// takes never is.
    ///
    /// ```
    /// use dynamo_proto::Durability;
    /// use dynamo_proto::store::{Address, Batch, Change, Command, Completion, Space, WriteError};
    /// use dynamo_storage::carry_out;
    /// use dynamo_storage_memory::Memory;
    ///
    /// let memory = Memory::with_capacity(1024);
    /// let at = Address { position: 7, name: "cart".into() };
    /// let change = Change { space: Space::Objects, at, bytes: Some(vec![0; 2000].into()) };
    /// let batch = Batch { changes: [change].into_iter().collect(), durability: Durability::Memory , may_use_reserve: false};
    /// let wrote = carry_out(&memory, Command::Write(batch));
    /// assert_eq!(wrote, Completion::Wrote(Err(WriteError::Full)));
    /// ```
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            capacity: Some(bytes),
            ..Self::default()
        }
    }

    /// How much is kept: names, values, and the two handles to each of them. What the map and the
    /// allocator add is not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.maps.borrow().bytes()
    }
}

impl Backend for Memory {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        match self.maps.borrow().find(space, at) {
            Some(bytes) => ReadOutcome::Found(bytes.clone()),
            None => ReadOutcome::Absent,
        }
    }

    fn write(&self, group: &mut [Write]) {
        let mut maps = self.maps.borrow_mut();
        for Write { batch, answer } in group {
            *answer = if maps.have_room(&batch.changes, self.capacity) {
                for change in batch.changes.drain(..) {
                    maps.apply(change);
                }
                Ok(Durability::Memory)
            } else {
                Err(WriteError::Full)
            };
        }
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        let maps = self.maps.borrow();
        let items = maps.within(space, span).map(|(at, bytes)| {
            Ok(Item::Found {
                at: at.clone(),
                bytes: bytes.clone(),
            })
        });
        Page::fill(span, limit, items)
    }

    fn delete(&self, space: Space, span: &Span, _: Durability) -> Result<Durability, WriteError> {
        self.maps.borrow_mut().remove_within(space, span);
        Ok(Durability::Memory)
    }
}
