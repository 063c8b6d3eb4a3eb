//! The sockets and timers of async-io, which smol and async-std share.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use async_io::{Async, Timer};
use dynamo_keeper::{Reactor, SockRef};

pub(crate) enum AsyncIo {}

impl Reactor for AsyncIo {
    type Listener = Async<TcpListener>;
    type Socket = Async<TcpStream>;
    type Dialing = Pin<Box<dyn Future<Output = io::Result<Self::Socket>> + Send>>;
    type Alarm = Timer;

    fn listen(listener: TcpListener) -> io::Result<Self::Listener> {
        Async::new(listener)
    }

    fn poll_accept(
        listener: &mut Self::Listener,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Socket>> {
        loop {
            match listener.get_ref().accept() {
                Ok((stream, _)) => return Poll::Ready(Async::new(stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(listener.poll_readable(context))?;
        }
    }

    fn dial(address: SocketAddr) -> Self::Dialing {
        Box::pin(Async::<TcpStream>::connect(address))
    }

    fn options(socket: &Self::Socket) -> SockRef<'_> {
        SockRef::from(socket.get_ref())
    }

    fn alarm(at: Instant) -> Timer {
        Timer::at(at)
    }

    fn reset(alarm: &mut Timer, at: Instant) {
        alarm.set_at(at);
    }
}
