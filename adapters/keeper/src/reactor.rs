//! What a runtime lends to a keeper.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_io::{AsyncRead, AsyncWrite};
use socket2::SockRef;

/// A runtime's sockets and its timer. All of it is called in the runtime, by the task that polls the
/// [`Keeper`](crate::Keeper).
///
/// Each socket is polled with a waker of its own, so the runtime must remember the waker of the last
/// poll of each, for reading and writing apart, as they all do.
pub trait Reactor: Sized + 'static {
    /// A port that is listened at.
    type Listener: Unpin;
    /// A connection.
    type Socket: AsyncRead + AsyncWrite + Unpin;
    /// A connection that is being made.
    type Dialing: Future<Output = io::Result<Self::Socket>> + Unpin;
    /// Ready at an instant.
    type Alarm: Future + Unpin;

    /// Takes over a port.
    fn listen(listener: TcpListener) -> io::Result<Self::Listener>;

    /// Lets somebody in, or wakes when somebody comes.
    fn poll_accept(
        listener: &mut Self::Listener,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Socket>>;

    /// Connects.
    fn dial(address: SocketAddr) -> Self::Dialing;

    /// The socket, for its options.
    fn options(socket: &Self::Socket) -> SockRef<'_>;

    /// An alarm for that instant.
    fn alarm(at: Instant) -> Self::Alarm;

    /// Sets an alarm anew, whether it has rung or not.
    fn reset(alarm: &mut Self::Alarm, at: Instant);
}
