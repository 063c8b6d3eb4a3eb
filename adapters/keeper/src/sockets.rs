//! The sockets of a node: bytes between them and the driver, whenever either has some.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dynamo_driver::driver::{Driver, Link};
use dynamo_proto::Now;
use futures_io::{AsyncRead as _, AsyncWrite as _};

use crate::bells::{Bell, Bells, Ringer};
use crate::reactor::Reactor;

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// How often one socket is read before the others have their turn.
const READS: usize = 4;

/// How much of what nobody will read is taken off a socket before it is closed: while something is
/// left in it, closing it takes away from the other side what it was told last.
const LEFTOVER_BYTES: usize = 256 << 10;

pub(crate) struct Sockets<R: Reactor> {
    /// By the index of their links.
    sockets: Vec<Option<Socket<R>>>,
    bells: Arc<Bells>,
    /// What is read, until the driver has it: one for all.
    buffer: Box<[u8]>,
}

struct Socket<R: Reactor> {
    link: Link,
    state: State<R>,
    bell: Arc<Bell>,
    waker: Waker,
    /// Whether there was more to write than the socket took.
    is_writing: bool,
}

enum State<R: Reactor> {
    Dialing(R::Dialing),
    Open(R::Socket),
}

impl<R: Reactor> Sockets<R> {
    pub(crate) fn new(bells: Arc<Bells>) -> Self {
        Self {
            sockets: Vec::new(),
            bells,
            buffer: vec![0; READ_BYTES].into(),
        }
    }

    /// A socket that was accepted.
    pub(crate) fn insert(&mut self, link: Link, stream: R::Socket) {
        set_up::<R>(&stream);
        self.add(link, State::Open(stream));
    }

    /// A socket that is to be opened.
    pub(crate) fn dial(&mut self, link: Link, address: SocketAddr) {
        self.add(link, State::Dialing(R::dial(address)));
    }

    fn add(&mut self, link: Link, state: State<R>) {
        let bell = Bell::new(Ringer::Socket(link), &self.bells);
        let waker = Waker::from(bell.clone());
        bell.ring();
        let at = link.index();
        if at >= self.sockets.len() {
            self.sockets.resize_with(at + 1, || None);
        }
        self.sockets[at] = Some(Socket {
            link,
            state,
            bell,
            waker,
            is_writing: false,
        });
    }

    /// Lets go of a socket.
    pub(crate) fn close(&mut self, link: Link) {
        let place = self.sockets.get_mut(link.index());
        let closed = place.and_then(|place| place.take_if(|socket| socket.link == link));
        if let Some(Socket {
            state: State::Open(stream),
            ..
        }) = closed
        {
            let socket = R::options(&stream);
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let _ = socket.set_nonblocking(true);
            let mut left = LEFTOVER_BYTES;
            while let Ok(read @ 1..) = (&*socket).read(&mut self.buffer) {
                left = left.saturating_sub(read);
                if left == 0 {
                    break;
                }
            }
        }
    }

    /// Something has happened to a socket.
    pub(crate) fn turn(&mut self, link: Link, driver: &mut Driver, now: Now) {
        let Some(socket) = find(&mut self.sockets, link) else {
            return;
        };
        socket.bell.answer();
        if let State::Dialing(dialing) = &mut socket.state {
            let mut context = Context::from_waker(&socket.waker);
            let Poll::Ready(dialed) = Pin::new(dialing).poll(&mut context) else {
                return;
            };
            let is_connected = dialed.is_ok();
            if let Ok(stream) = dialed {
                set_up::<R>(&stream);
                socket.state = State::Open(stream);
            }
            driver.dialed(now, link, is_connected);
        }
        if socket.is_writing && socket.write(driver, now).is_err() {
            return driver.closed(now, link);
        }
        if socket.read(&mut self.buffer, driver, now).is_err() {
            driver.closed(now, link);
        }
    }

    /// There is something to write.
    pub(crate) fn write(&mut self, link: Link, driver: &mut Driver, now: Now) {
        if let Some(socket) = find(&mut self.sockets, link)
            && socket.write(driver, now).is_err()
        {
            driver.closed(now, link);
        }
    }
}

fn find<R: Reactor>(sockets: &mut [Option<Socket<R>>], link: Link) -> Option<&mut Socket<R>> {
    let socket = sockets.get_mut(link.index())?.as_mut();
    socket.filter(|socket| socket.link == link)
}

impl<R: Reactor> Socket<R> {
    /// As much as the socket takes.
    fn write(&mut self, driver: &mut Driver, now: Now) -> io::Result<()> {
        let link = self.link;
        let State::Open(stream) = &mut self.state else {
            return Ok(());
        };
        let mut context = Context::from_waker(&self.waker);
        loop {
            let outgoing = driver.outgoing(link);
            if outgoing.is_empty() {
                self.is_writing = false;
                return Ok(());
            }
            match Pin::new(&mut *stream).poll_write(&mut context, outgoing) {
                Poll::Pending => {
                    self.is_writing = true;
                    return Ok(());
                }
                Poll::Ready(written) => driver.sent(now, link, written?),
            }
        }
    }

    /// As much as there is and the driver wants, for a few reads.
    fn read(&mut self, buffer: &mut [u8], driver: &mut Driver, now: Now) -> io::Result<()> {
        let link = self.link;
        let State::Open(stream) = &mut self.state else {
            return Ok(());
        };
        let mut context = Context::from_waker(&self.waker);
        for _ in 0..READS {
            let wants = driver.wants(link).min(buffer.len());
            if wants == 0 {
                return Ok(()); // the driver says when it wants more
            }
            match Pin::new(&mut *stream).poll_read(&mut context, &mut buffer[..wants]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => match read? {
                    0 => {
                        driver.finished(now, link);
                        return Ok(());
                    }
                    len => driver.received(now, link, &buffer[..len]),
                },
            }
        }
        self.bell.ring();
        Ok(())
    }
}

/// Small messages leave at once.
fn set_up<R: Reactor>(stream: &R::Socket) {
    let _ = R::options(stream).set_tcp_nodelay(true);
}
