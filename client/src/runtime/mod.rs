//! What a runtime lends to a client: sockets, a timer, and a task.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

#[cfg(feature = "smol")]
mod smol;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "smol")]
pub use self::smol::Smol;
#[cfg(feature = "tokio")]
pub use self::tokio::Tokio;

/// A connection that comes about.
pub type Dialing<S> = Pin<Box<dyn Future<Output = io::Result<S>> + Send>>;

/// A runtime. Each socket must remember the waker of its last poll, for reading and writing apart, as
/// they all do.
pub trait Runtime: 'static {
    /// A connection.
    type Socket: Send + Unpin + 'static;
    /// Ready at an instant.
    type Alarm: Future + Send + Unpin + 'static;

    /// Connects to a name or a number, and a port.
    fn dial(address: String) -> Dialing<Self::Socket>;

    /// Reads what has arrived; nothing if nothing more will.
    fn poll_read(
        socket: &mut Self::Socket,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>>;

    /// Writes some of these.
    fn poll_write(
        socket: &mut Self::Socket,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>>;

    /// An alarm for that instant.
    fn alarm(at: Instant) -> Self::Alarm;

    /// Runs a task until it ends.
    fn spawn(task: impl Future<Output = ()> + Send + 'static);
}
