//! What an engine must do.

use std::sync::Arc;

use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space, WriteError};
use smallvec::{SmallVec, smallvec};

use crate::{Item, Limit, Page, ScanFailed, Span};

/// A storage engine: an ordered map of bytes in a few spaces. Every call blocks until it is done.
///
/// # What an engine promises
///
/// - **Order.** Calls made one after the other take effect in that order, and so do the batches of
///   a group. Whatever was answered `Ok` can be read from then on. Calls that overlap, in several
///   threads, take effect in some order.
/// - **Atomicity.** The changes of one batch happen together or not at all, also for a reader
///   beside it and across a crash. The batches of a group need not.
/// - **Durability.** The answer names what was reached, whatever was asked; it may be less, for
///   ever, as in an engine that has only memory. It is never more:
///
///   | answered | what took effect outlives |
///   | --- | --- |
///   | [`Memory`](Durability::Memory) | nothing but other calls |
///   | [`Written`](Durability::Written) | the end of the process, however it ends |
///   | [`Flushed`](Durability::Flushed) | the end of the machine's power, directory entries included |
///
///   It holds for all that took effect before, too. So a batch without changes is a flush.
/// - **Opening.** What can be read right after an engine is opened is as safe as it will ever be:
///   what a killed process had only written is flushed, or dropped, before anything is answered.
///   Otherwise a node would believe, and tell others, what a power cut can still take back.
/// - **Absent, corrupt, failed.** [`Absent`](ReadOutcome::Absent) is said only of what is known
///   not to be there. What is known to be damaged is [`Corrupt`](ReadOutcome::Corrupt), until it is
///   written anew or deleted; what could not be looked at is [`Failed`](ReadOutcome::Failed). An
///   engine need not look for damage: records carry a checksum over their address, which the core
///   checks.
/// - **A failed flush is final.** No engine can know what a failed flush left behind, and a second
///   one that succeeds proves nothing. From the first
///   [`FlushFailed`](WriteError::FlushFailed) on, every write is answered with it, until the
///   engine is opened again.
/// - **A failed write is whole or nothing.** Where a batch is answered
///   [`Failed`](WriteError::Failed) all of it has taken effect or none of it has; if it has, it is
///   as safe as was asked. What could be read and then be gone after a loss of power would be told
///   to others as if it were safe.
/// - **Full.** A batch answered [`Full`](WriteError::Full) has changed nothing. One that makes no
///   place larger than it was is taken even then, so a full store can be emptied.
///
/// Methods take `&self`, so that an engine that is [`Sync`] can be read while another thread waits
/// for a flush.
///
/// # Example
///
/// ```
/// use dynamo_proto::Durability;
/// use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space};
/// use dynamo_storage::{Backend, Write};
///
/// fn put(backend: &dyn Backend, at: &Address) {
///     let change = Change { space: Space::Objects, at: at.clone(), bytes: Some("tea".into()) };
///     let changes = [change].into_iter().collect();
///     let mut group = [Write::from(Batch { changes, durability: Durability::Flushed , may_use_reserve: false})];
///     backend.write(&mut group);
///     match group[0].answer {
///         Ok(Durability::Flushed) => println!("safe"),
///         Ok(weaker) => println!("no safer than {weaker:?}"),
///         Err(error) => println!("{error}"),
///     }
///     assert_eq!(backend.read(Space::Objects, at), ReadOutcome::Found("tea".into()));
/// }
/// ```
pub trait Backend: Send {
    /// What is there?
    fn read(&self, space: Space, at: &Address) -> ReadOutcome;

    /// Applies the batches in order and answers each, after one flush that satisfies the
    /// [most demanding](Write::most_demanding) of them. The changes may be taken out of the
    /// batches.
    fn write(&self, group: &mut [Write]);

    /// A page of what the span holds, from its beginning and in the order of addresses.
    ///
    /// Between two pages anything may be written or deleted: what was there all along is shown
    /// once, what came or went meanwhile may be shown or not. No lock outlives the call.
    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed>;

    /// Deletes all that the span holds. Not atomic: after an error, or a crash, any part of it may
    /// be gone.
    ///
    /// As it comes, it scans and deletes page by page; an engine that can do better says so.
    fn delete(
        &self,
        space: Space,
        span: &Span,
        durability: Durability,
    ) -> Result<Durability, WriteError> {
        delete_by_pages(self, space, span, durability)
    }
}

/// A batch that waits to be written, and then what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What to write.
    pub batch: Batch,
    /// How safe it is now, or why it was not written. Failed until the engine says otherwise.
    pub answer: Result<Durability, WriteError>,
}

impl Write {
    /// What the flush after these must reach.
    #[must_use]
    pub fn most_demanding(group: &[Self]) -> Durability {
        let asked = group.iter().map(|write| write.batch.durability);
        asked.max().unwrap_or(Durability::Memory)
    }
}

impl From<Batch> for Write {
    fn from(batch: Batch) -> Self {
        Self {
            batch,
            answer: Err(WriteError::Failed),
        }
    }
}

/// What points to an engine is one.
macro_rules! pointer_to_backend {
    ($pointer:ty where $($bounds:tt)+) => {
        impl<B: $($bounds)+> Backend for $pointer {
            fn read(&self, space: Space, at: &Address) -> ReadOutcome {
                (**self).read(space, at)
            }

            fn write(&self, group: &mut [Write]) {
                (**self).write(group);
            }

            fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
                (**self).scan(space, span, limit)
            }

            fn delete(
                &self,
                space: Space,
                span: &Span,
                durability: Durability,
            ) -> Result<Durability, WriteError> {
                (**self).delete(space, span, durability)
            }
        }
    };
}

pointer_to_backend!(Box<B> where Backend + ?Sized);
pointer_to_backend!(Arc<B> where Backend + Sync + ?Sized);

fn delete_by_pages<B: Backend + ?Sized>(
    backend: &B,
    space: Space,
    span: &Span,
    durability: Durability,
) -> Result<Durability, WriteError> {
    let mut rest = Some(span.clone());
    while let Some(span) = rest {
        let page = backend
            .scan(space, &span, Limit::default())
            .map_err(|ScanFailed| WriteError::Failed)?;
        let mut group = Vec::with_capacity(page.items.len());
        for item in page.items {
            let at = match item {
                Item::Found { at, .. } => at,
                // Nobody can name what is in there.
                Item::Corrupt(within) => within.into_one().ok_or(WriteError::Failed)?,
            };
            let removal = Change {
                space,
                at,
                bytes: None,
            };
            group.push(Write::from(Batch {
                changes: smallvec![removal],
                durability: Durability::Memory,
                may_use_reserve: false,
            }));
        }
        backend.write(&mut group);
        for write in group {
            write.answer?;
        }
        rest = page.rest;
    }
    // One flush for all pages, and for those of an earlier attempt.
    let mut flush = [Write::from(Batch {
        changes: SmallVec::new(),
        durability,
        may_use_reserve: false,
    })];
    backend.write(&mut flush);
    let [flush] = flush;
    flush.answer
}
