//! Carrying what one store holds into another: backups, and partitions on their way out.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

use dynamo_proto::Durability;
use dynamo_proto::store::{Batch, Change, Space, WriteError};
use smallvec::SmallVec;

use crate::directory::DirectoryError;
use crate::{Backend, Item, Limit, Page, ScanFailed, Span, Write};

/// An engine that can be backed up while it runs.
pub trait BackUp {
    /// Writes all that is there at one moment to an empty or absent directory, and returns when it
    /// is flushed. Whatever is written meanwhile is not part of it and does not wait for it. `watch`
    /// is told after each page what was copied so far; it may take its time, and end it.
    ///
    /// The directory is a store that opens as any other, for the same node: restoring is opening
    /// it. To the node that is one more boot, so it mints under a newborn actor, and what was
    /// written since the backup comes back from its peers.
    fn back_up(&self, to: &Path, watch: &mut Watch<'_>) -> Result<Copied, BackUpError>;
}

/// Looks on while something is copied, and may end it.
pub type Watch<'a> = dyn FnMut(&Copied) -> ControlFlow<()> + 'a;

/// What was carried over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many places.
    pub items: u64,
    /// How many bytes of names and values.
    pub bytes: u64,
    /// What could not be read, and so is not in the copy.
    pub damaged: Vec<(Space, Span)>,
}

/// Why a copy ended early. What was copied until then is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The source could not look.
    #[error(transparent)]
    Scan(#[from] ScanFailed),
    /// The target could not take it.
    #[error("the copy was not written: {0}")]
    Write(#[from] WriteError),
    /// Whoever looked on has ended it.
    #[error("the copy was ended before it was whole")]
    Stopped,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackUpError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It ended early.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The engine could not open or close it.
    #[error("the engine failed on the backup: {0}")]
    Engine(Box<dyn Error + Send + Sync>),
}

/// Copies these parts, read through `scan`, and asks for a flush at the end. Read through a
/// snapshot, it is a backup; through [`Backend::scan`] of one span, the export of a partition.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use dynamo_proto::Durability;
/// use dynamo_proto::store::Space;
/// use dynamo_storage::{Backend, Copied, CopyError, Span, copy};
///
/// fn export(from: &dyn Backend, partition: Span, into: &dyn Backend) -> Result<Copied, CopyError> {
///     let scan = |space, span: &Span, limit| from.scan(space, span, limit);
///     copy(scan, [(Space::Objects, partition)], into, &mut |_| ControlFlow::Continue(()))
/// }
/// ```
pub fn copy<B: Backend + ?Sized>(
    scan: impl Fn(Space, &Span, Limit) -> Result<Page, ScanFailed>,
    parts: impl IntoIterator<Item = (Space, Span)>,
    into: &B,
    watch: &mut Watch<'_>,
) -> Result<Copied, CopyError> {
    let mut copied = Copied::default();
    for (space, span) in parts {
        let mut rest = Some(span);
        while let Some(span) = rest {
            let page = scan(space, &span, Limit::default())?;
            let mut changes = SmallVec::with_capacity(page.items.len());
            for item in page.items {
                match item {
                    Item::Found { at, bytes } => {
                        copied.items += 1;
                        copied.bytes += (at.name.len() + bytes.len()) as u64;
                        let bytes = Some(bytes);
                        changes.push(Change { space, at, bytes });
                    }
                    Item::Corrupt(within) => copied.damaged.push((space, within)),
                }
            }
            write(into, changes, Durability::Memory)?;
            rest = page.rest;
            if watch(&copied).is_break() {
                return Err(CopyError::Stopped);
            }
        }
    }
    write(into, SmallVec::new(), Durability::Flushed)?;
    Ok(copied)
}

fn write<B: Backend + ?Sized>(
    into: &B,
    changes: SmallVec<[Change; 2]>,
    durability: Durability,
) -> Result<Durability, WriteError> {
    let mut group = [Write::from(Batch {
        changes,
        durability,
        may_use_reserve: false,
    })];
    into.write(&mut group);
    let [write] = group;
    write.answer
}
