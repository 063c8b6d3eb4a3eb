//! The sockets and timers of glommio.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use dynamo_keeper::{Reactor, SockRef};
use futures_io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;

pub(crate) enum Glommio {}

/// A port, and whoever is being let in.
pub(crate) struct Listener {
    listener: Rc<TcpListener>,
    accepting: Option<Opening>,
}

/// A connection that can lend its descriptor.
pub(crate) struct Socket(TcpStream);

type Opening = Pin<Box<dyn Future<Output = io::Result<Socket>>>>;

impl Reactor for Glommio {
    type Listener = Listener;
    type Socket = Socket;
    type Dialing = Opening;
    type Alarm = Timer;

    fn listen(listener: std::net::TcpListener) -> io::Result<Listener> {
        // An io_uring waits in the kernel only for what would block.
        listener.set_nonblocking(false)?;
        #[expect(
            unsafe_code,
            reason = "the descriptor is a listener's, who has given it away"
        )]
        let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
        Ok(Listener {
            listener: Rc::new(listener),
            accepting: None,
        })
    }

    fn poll_accept(listener: &mut Listener, context: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        let accepting = listener.accepting.get_or_insert_with(|| {
            let listener = listener.listener.clone();
            Box::pin(async move { Ok(Socket(listener.accept().await?)) })
        });
        let accepted = accepting.as_mut().poll(context);
        if accepted.is_ready() {
            listener.accepting = None;
        }
        accepted
    }

    fn dial(address: SocketAddr) -> Opening {
        Box::pin(async move { Ok(Socket(TcpStream::connect(address).await?)) })
    }

    fn options(socket: &Socket) -> SockRef<'_> {
        SockRef::from(socket)
    }

    fn alarm(at: Instant) -> Timer {
        Timer::new(at.saturating_duration_since(Instant::now()))
    }

    fn reset(alarm: &mut Timer, at: Instant) {
        alarm.reset(at.saturating_duration_since(Instant::now()));
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        #[expect(
            unsafe_code,
            reason = "the stream keeps its descriptor open as long as it is lent"
        )]
        unsafe {
            BorrowedFd::borrow_raw(self.0.as_raw_fd())
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
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
        Pin::new(&mut self.0).poll_close(context)
    }
}
