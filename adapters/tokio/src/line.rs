//! A socket and the [`Connection`] that makes messages of its bytes.

use std::io;

use dynamo_driver::{Connection, Ended, Established, Event, Unsent};
use dynamo_proto::wire::Message;
use tokio::io::Interest;
use tokio::net::TcpStream;

pub(crate) struct Line {
    socket: TcpStream,
    connection: Connection,
}

/// Why a connection is over, or never came about.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The two sides cannot talk, or do not any more.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The socket failed, or was closed.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

impl From<getrandom::Error> for Lost {
    fn from(error: getrandom::Error) -> Self {
        Self::Socket(error.into())
    }
}

impl Line {
    pub(crate) fn new(socket: TcpStream, connection: Connection) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self { socket, connection })
    }

    /// What happened next, `None` if more bytes must be [exchanged](Self::exchange) first.
    pub(crate) fn poll(&mut self) -> Result<Option<Event>, Ended> {
        self.connection.poll()
    }

    /// Waits until the socket takes or gives something, and returns how much it gave. May be
    /// dropped at any time. Reading is only for whoever has polled all that there was.
    pub(crate) async fn exchange(&mut self, reads: bool) -> io::Result<usize> {
        let interest = match (reads, self.connection.outgoing().is_empty()) {
            (true, true) => Interest::READABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
            (false, true) => return std::future::pending().await,
        };
        let ready = self.socket.ready(interest).await?;
        if ready.is_writable() {
            self.write()?;
        }
        if reads && ready.is_readable() {
            return self.read();
        }
        Ok(0)
    }

    /// Shakes hands.
    pub(crate) async fn establish(&mut self) -> Result<Established, Lost> {
        loop {
            match self.poll() {
                Ok(Some(Event::Established(established))) => return Ok(established),
                Ok(_) => {}
                Err(ended) => {
                    self.write()?; // the refusal, if that is why
                    return Err(ended.into());
                }
            }
            self.exchange(true).await?;
        }
    }

    pub(crate) fn send(&mut self, message: &Message) -> Result<(), Unsent> {
        self.connection.send(message)
    }

    /// As much as the socket takes at once.
    fn write(&mut self) -> io::Result<()> {
        while !self.connection.outgoing().is_empty() {
            match self.socket.try_write(self.connection.outgoing()) {
                Ok(len) => self.connection.sent(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<usize> {
        let Some(mut buffer) = self.connection.read_buffer() else {
            return Ok(0);
        };
        match self.socket.try_read_buf(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            read => read,
        }
    }
}
