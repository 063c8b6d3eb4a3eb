//! A native client that blocks, one request at a time; and one that says what it likes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::{Connection, Ended, Event};
use dynamo_proto::node::{Condition, Got, Mode, Operation, Options, Request, Response, Written};
use dynamo_proto::version::{Content, RequestId};
use dynamo_proto::wire::{Hello, Message, Nonce, Role, Ticket, Versions};
use dynamo_proto::{ClusterId, Key, Limits};

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing may be heard: much longer than a node works on a request, as a node that is watched
/// by a sanitizer is slow.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// A connection to one node.
#[derive(Debug)]
pub struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) connection: Connection,
    asked: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Lost {
    /// The two sides cannot talk, or do not any more.
    Ended(Ended),
    /// The socket failed, or was closed, or nothing was heard on it for too long.
    Socket(io::Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<Ended> for Lost {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl Client {
    /// Connects to a node of that cluster.
    pub fn connect(node: SocketAddr, cluster: ClusterId) -> Result<Self, Lost> {
        Self::connect_within(SILENCE, node, cluster)
    }

    /// The same, giving up as soon as nothing is heard for so long.
    pub fn connect_within(
        silence: Duration,
        node: SocketAddr,
        cluster: ClusterId,
    ) -> Result<Self, Lost> {
        let socket = TcpStream::connect_timeout(&node, silence)?;
        socket.set_read_timeout(Some(silence))?;
        socket.set_nodelay(true)?;
        let hello = hello(cluster, Role::Client);
        let mut client = Self {
            socket,
            connection: Connection::dial(hello, None, Limits::default(), 1 << 20),
            asked: 0,
        };
        client.flush()?;
        match client.next()? {
            Event::Established(_) => Ok(client),
            other => panic!("a hello is answered {other:?}"),
        }
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, request: Request) -> Result<Response, Lost> {
        let asked = Ticket(self.asked);
        self.say(request);
        self.flush()?;
        loop {
            if let Event::Message(Message::Response { ticket, response }) = self.next()?
                && ticket == asked
            {
                return Ok(response);
            }
        }
    }

    /// Asks, when it is flushed.
    pub(crate) fn say(&mut self, request: Request) {
        let message = Message::Request {
            epoch: Default::default(),
            ticket: Ticket(self.asked),
            patience: PATIENCE,
            request,
        };
        self.asked += 1;
        self.connection.send(&message).unwrap();
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let bytes = self.connection.take_outgoing();
        self.socket.write_all(&bytes)
    }

    pub(crate) fn read(&mut self, name: &str) -> Got {
        match self.ask(get(name)) {
            Ok(Response::Got(got)) => got,
            other => panic!("a read was answered {other:?}"),
        }
    }

    pub(crate) fn write(
        &mut self,
        name: &str,
        mode: Mode,
        content: impl Into<Option<Bytes>>,
    ) -> Written {
        let content = content.into().map_or(Content::Tombstone, Content::plain);
        match self.ask(put(name, mode, content)) {
            Ok(Response::Put(written)) => written,
            other => panic!("a write was answered {other:?}"),
        }
    }

    fn next(&mut self) -> Result<Event, Lost> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(event) = self.connection.poll()? {
                return Ok(event);
            }
            let most = self.connection.room().min(buffer.len());
            let len = self.socket.read(&mut buffer[..most])?;
            if len == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.connection.receive(&mut &buffer[..len]);
        }
    }
}

pub(crate) fn hello(cluster: ClusterId, role: Role) -> Hello {
    Hello {
        versions: Versions::OURS,
        nonce: Nonce::new(7).unwrap(),
        cluster,
        role,
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new("default", "tests", name, &Limits::default()).unwrap()
}

pub(crate) fn get(name: &str) -> Request {
    request(name, Operation::read())
}

pub(crate) fn put(name: &str, mode: Mode, content: Content) -> Request {
    let operation = Operation::Put {
        fastest: None,
        mode,
        content,
        condition: Condition::None,
    };
    request(name, operation)
}

fn request(name: &str, operation: Operation) -> Request {
    static ASKED: AtomicU64 = AtomicU64::new(1);
    Request {
        id: RequestId(ASKED.fetch_add(1, Ordering::Relaxed).into()),
        is_retry: false,
        key: key(name),
        operation,
        options: Options::default(),
    }
}

/// The live values, sorted.
pub(crate) fn values(got: &Got) -> Vec<Bytes> {
    let contents = got.siblings.answers().map(|sibling| &sibling.value.content);
    let mut bodies: Vec<Bytes> = contents.filter_map(Content::body).cloned().collect();
    bodies.sort();
    bodies
}

/// What a client that has read this writes next.
pub(crate) fn after(got: &Got) -> Mode {
    Mode::Context([got.context.sealed.clone()].into_iter().collect())
}
