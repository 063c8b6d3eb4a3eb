//! The sockets and timers of tokio.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use dynamo_keeper::{Reactor, SockRef};
use futures_io::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep_until};

pub(crate) enum Tokio {}

/// A connection, with the face that other runtimes' have.
pub(crate) struct Socket(TcpStream);

impl Reactor for Tokio {
    type Listener = TcpListener;
    type Socket = Socket;
    type Dialing = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;
    type Alarm = Pin<Box<Sleep>>;

    fn listen(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    fn poll_accept(
        listener: &mut TcpListener,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Socket>> {
        let accepted = TcpListener::poll_accept(listener, context);
        accepted.map_ok(|(stream, _)| Socket(stream))
    }

    fn dial(address: SocketAddr) -> Self::Dialing {
        Box::pin(async move { TcpStream::connect(address).await.map(Socket) })
    }

    fn options(socket: &Socket) -> SockRef<'_> {
        SockRef::from(&socket.0)
    }

    fn alarm(at: Instant) -> Self::Alarm {
        Box::pin(sleep_until(at.into()))
    }

    fn reset(alarm: &mut Self::Alarm, at: Instant) {
        alarm.as_mut().reset(at.into());
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        let polled = Pin::new(&mut self.0).poll_read(context, &mut read);
        polled.map_ok(|()| read.filled().len())
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
