//! The paper's write buffer: puts are answered from memory and written out by a thread of its own,
//! to any engine below; reads look in the buffer first.
//!
//! ```text
//!   write, read, scan
//!          |
//!     +---------+   asks for no more than memory: answered here
//!     |  fresh  | --+
//!     +---------+   | by the writer, as one batch, when half full or when old
//!     | leaving | --+
//!     +---------+   | asks for more, or finds no place: goes through, behind all that is here
//!          |        v
//!     the engine, and its disk
//! ```
//!
//! # What it promises
//!
//! All that [`Backend`] asks. In particular:
//!
//! - **Durability.** What is only in the buffer is answered [`Durability::Memory`]. A group that
//!   asks for more goes through to the engine, after all that was buffered before it, and the
//!   engine answers it. So a bucket whose replicas write to memory, and of which one is asked to
//!   flush, has one that did.
//! - **What a crash can take** is bounded by [`Bounds`]: so many writes, so many bytes, none older
//!   than so long. What is left is a state that the store was in: the buffer is written out as one
//!   batch, and in order with all that goes through.
//! - **Room.** A write that finds no place in the buffer does not wait for the writer: it does the
//!   writer's work, and is answered when the engine has taken what was buffered and then itself. So
//!   in a store that takes more than its engine can the engine's speed is what is left.
//! - **Waiting.** Neither a read nor a write that finds a place waits for the engine's writes, with
//!   one exception: a write to an address that another thread is just then writing through.
//! - **A full engine.** What was answered from memory stays readable and is tried again, every
//!   [`age`](Bounds::age); what of it may use the room that is kept back goes ahead. Meanwhile
//!   nothing more is buffered: writes go to the engine, which takes or refuses each, and are answered
//!   memory at most, since what went before is no safer. A reader beside a batch that changes both
//!   what is held back and something else may see it half done.
//! - **A failing engine.** Likewise, but that nothing is written past what is held back.
//! - **A failed flush is final**, also one that the writer asked for: all that follow are answered
//!   so. What is in the buffer stays readable.
//!
//! Dropping it writes out what it holds, and cannot say whether that succeeded. Who wants to know
//! writes a batch without changes that asks to be flushed, first.
//!
//! # Example
//!
//! ```
//! use dynamo_storage::Backend;
//! use dynamo_storage_buffered::{Bounds, Buffered};
//!
//! fn buffered(engine: impl Backend + Sync + 'static) -> std::io::Result<impl Backend> {
//!     Buffered::over(engine, Bounds { objects: 1000, ..Bounds::default() })
//! }
//! ```

mod changes;
mod merge;
mod shared;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use dynamo_proto::Durability;
use dynamo_proto::store::{Address, ReadOutcome, Space, WriteError};
use dynamo_storage::{Backend, Limit, Page, ScanFailed, Span, Write};

use shared::Shared;

/// How much may be in memory alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most objects. The writer begins when half as many wait.
    pub objects: usize,
    /// Most bytes: names, values, and the two handles to each of them. The writer begins when half
    /// as many wait.
    pub bytes: usize,
    /// Longest that a write waits for the writer.
    pub age: Duration,
}

/// A buffer over an engine; see the crate's head. The engine is used by several threads at a time.
pub struct Buffered<B: Backend + Sync + 'static> {
    shared: Arc<Shared<B>>,
    /// Gone only while it is dropped.
    writer: Option<JoinHandle<()>>,
}

impl<B: Backend + Sync + 'static> Buffered<B> {
    /// Starts the writer's thread.
    pub fn over(engine: B, bounds: Bounds) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(engine, bounds));
        let writer = thread::Builder::new()
            .name("dynamo-write-buffer".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.write_out_until_closed()
            })?;
        Ok(Self {
            shared,
            writer: Some(writer),
        })
    }
}

impl<B: Backend + Sync + 'static> Backend for Buffered<B> {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        self.shared.read(space, at)
    }

    fn write(&self, group: &mut [Write]) {
        self.shared.write(group);
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        self.shared.scan(space, span, limit)
    }

    fn delete(
        &self,
        space: Space,
        span: &Span,
        durability: Durability,
    ) -> Result<Durability, WriteError> {
        self.shared.delete(space, span, durability)
    }
}

impl<B: Backend + Sync + 'static> Drop for Buffered<B> {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(writer) = mem::take(&mut self.writer) {
            // A writer that panicked has said so already.
            let _ = writer.join();
        }
    }
}

impl Default for Bounds {
    /// The paper's thousand objects.
    fn default() -> Self {
        Self {
            objects: 1000,
            bytes: 32 << 20,
            age: Duration::from_millis(100),
        }
    }
}
