//! When to flush, and what that is worth.

use std::time::Duration;

use dynamo_proto::Durability;

/// When what was written is flushed, and so what an answer is worth.
///
/// Whatever waits is written as one group with one flush; that is not a choice. The choice is
/// whether an answer waits for that flush:
///
/// | policy | best answer | a power cut takes |
/// | --- | --- | --- |
/// | [`EachGroup`](Self::EachGroup) | [`Flushed`](Durability::Flushed) | nothing that was answered |
/// | [`Every`](Self::Every) | [`Written`](Durability::Written) | what was answered since the last flush began: the interval, and as long as a flush takes |
/// | [`Never`](Self::Never) | [`Written`](Durability::Written) | whatever the operating system had not written out yet, often half a minute; no promise |
///
/// No policy changes what an answer means. Under the weaker two a bucket whose durability is
/// flushed takes no writes, because none is ever answered so; give the bucket a durability of
/// written to say that this is what its writes are worth. The end of the process alone takes
/// nothing that was answered, under all three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlushPolicy {
    /// Each group that asks for it, before it is answered.
    #[default]
    EachGroup,
    /// So long after the first write that was not flushed, at the latest.
    Every(Duration),
    /// When the worker is closed.
    Never,
}

impl FlushPolicy {
    /// The best that a write is answered.
    #[must_use]
    pub fn best_answer(self) -> Durability {
        match self {
            Self::EachGroup => Durability::Flushed,
            Self::Every(_) | Self::Never => Durability::Written,
        }
    }
}
