//! The sockets and timers of smol.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use smol::Timer;
use smol::io::{AsyncRead as _, AsyncWrite as _};
use smol::net::TcpStream;

use super::{Dialing, Runtime};

/// smol, with its threads.
pub enum Smol {}

impl Runtime for Smol {
    type Socket = TcpStream;
    type Alarm = Timer;

    fn dial(address: String) -> Dialing<TcpStream> {
        Box::pin(async move {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            Ok(socket)
        })
    }

    fn poll_read(
        socket: &mut TcpStream,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(socket).poll_read(context, buffer)
    }

    fn poll_write(
        socket: &mut TcpStream,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(socket).poll_write(context, bytes)
    }

    fn alarm(at: Instant) -> Timer {
        Timer::at(at)
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }
}
