//! Three servers that pass each request on to the two others, wait for one of them, and answer.
//! They keep nothing and look at nothing: what a replicated put or get costs in sockets alone.
//!
//! A request says how many bytes its answer has: none for a put, a value's length for a get. It is
//! passed on as it came, and whoever gets it so answers at once.
//!
//! ```text
//! u8 kind | u64 number | u32 bytes wanted | u32 bytes that follow | bytes
//! ```

use std::cell::RefCell;
use std::future::pending;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

use super::BenchError;

const SERVERS: usize = 3;

/// A client asks.
const REQUEST: u8 = 1;

/// Another server passes on what a client asked.
const PASSED_ON: u8 = 2;
const ANSWER: u8 = 3;

pub(super) const HEADER_BYTES: usize = 1 + 8 + 4 + 4;

const READ_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    kind: u8,
    number: u64,
    wanted: u32,
    payload: u32,
}

impl Header {
    pub(super) fn request(number: u64, wanted: usize, payload: usize) -> Self {
        Self {
            kind: REQUEST,
            number,
            wanted: wanted as u32, // values are far shorter
            payload: payload as u32,
        }
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u8(self.kind);
        out.put_u64(self.number);
        out.put_u32(self.wanted);
        out.put_u32(self.payload);
    }

    pub(super) fn read(mut input: &[u8]) -> Option<Self> {
        (input.len() >= HEADER_BYTES).then(|| Self {
            kind: input.get_u8(),
            number: input.get_u64(),
            wanted: input.get_u32(),
            payload: input.get_u32(),
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn payload(&self) -> usize {
        self.payload as usize
    }
}

/// The three servers, each a process of its own. They end with this one.
#[derive(Debug)]
pub(super) struct Floor {
    servers: Vec<Child>,
    addresses: Vec<SocketAddr>,
}

impl Floor {
    pub(super) fn start() -> Result<Self, BenchError> {
        let mut floor = Self {
            servers: Vec::new(),
            addresses: Vec::new(),
        };
        floor.start_all().map_err(BenchError::Floor)?;
        Ok(floor)
    }

    /// Each says where it listens, and is told where the others do.
    fn start_all(&mut self) -> io::Result<()> {
        let program = std::env::current_exe()?;
        for _ in 0..SERVERS {
            let mut server = Command::new(&program)
                .args(["bench", "echo"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let said = server.stdout.take();
            self.servers.push(server);
            let mut line = String::new();
            BufReader::new(said.ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
            let address = line.trim().parse().map_err(io::Error::other)?;
            self.addresses.push(address);
        }
        for (server, own) in self.servers.iter_mut().zip(&self.addresses) {
            let others = self.addresses.iter().filter(|other| *other != own);
            let others: Vec<_> = others.map(ToString::to_string).collect();
            let stdin = server.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
            writeln!(stdin, "{}", others.join(" "))?;
        }
        Ok(())
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.servers.iter().map(Child::id).collect()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // It may have ended by itself, and then there is nothing to do.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// One of the servers: until its standard input ends.
pub(super) async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", listener.local_addr()?)?;
    stdout.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink()); // whether it ends or fails
        std::process::exit(0);
    });
    LocalSet::new().run_until(Echo::run(listener, line)).await
}

/// What waits to be written to one socket.
#[derive(Default)]
struct Outgoing {
    bytes: RefCell<BytesMut>,
    is_there: Notify,
}

/// Requests that are passed on and not answered, by the numbers under which they are.
#[derive(Default)]
struct Waiting {
    from: Vec<Option<(Rc<Outgoing>, u64)>>,
    free: Vec<usize>,
    /// Numbers whose second answer is still to come.
    halves: Vec<bool>,
}

struct Echo {
    others: Vec<Rc<Outgoing>>,
    waiting: RefCell<Waiting>,
    zeros: Vec<u8>,
}

impl Echo {
    async fn run(listener: TcpListener, others: String) -> io::Result<()> {
        let mut echo = Self {
            others: Vec::new(),
            waiting: RefCell::default(),
            zeros: vec![0; READ_BYTES],
        };
        let mut sockets = Vec::new();
        for other in others.split_whitespace() {
            let (read, write) = open(TcpStream::connect(other).await?)?;
            let out = Rc::<Outgoing>::default();
            spawn_local(Rc::clone(&out).write_to(write));
            echo.others.push(Rc::clone(&out));
            sockets.push((read, out));
        }
        let echo = Rc::new(echo);
        for (read, out) in sockets {
            spawn_local(Rc::clone(&echo).hear(read, out));
        }
        loop {
            let (socket, _) = listener.accept().await?;
            let (read, write) = open(socket)?;
            let out = Rc::<Outgoing>::default();
            spawn_local(Rc::clone(&out).write_to(write));
            spawn_local(Rc::clone(&echo).hear(read, out));
        }
    }

    async fn hear(self: Rc<Self>, mut socket: OwnedReadHalf, out: Rc<Outgoing>) {
        let mut input = BytesMut::with_capacity(READ_BYTES);
        loop {
            input.reserve(READ_BYTES / 2);
            match socket.read_buf(&mut input).await {
                Ok(0) | Err(_) => return, // it is over
                Ok(_) => {}
            }
            while let Some(header) = Header::read(&input) {
                let whole = HEADER_BYTES + header.payload();
                if input.len() < whole {
                    break;
                }
                self.take(header, &input[HEADER_BYTES..whole], &out);
                input.advance(whole);
            }
        }
    }

    fn take(&self, header: Header, payload: &[u8], out: &Rc<Outgoing>) {
        match header.kind {
            REQUEST => {
                let number = self.waiting.borrow_mut().add(Rc::clone(out), header.number);
                let passed_on = Header {
                    kind: PASSED_ON,
                    number,
                    ..header
                };
                for other in &self.others {
                    other.put(passed_on, payload);
                }
            }
            PASSED_ON => self.answer(header, out),
            _ => {
                let first = self.waiting.borrow_mut().answered(header.number);
                if let Some((client, number)) = first {
                    client.put(Header { number, ..header }, payload);
                }
            }
        }
    }

    fn answer(&self, header: Header, out: &Outgoing) {
        let wanted = header.wanted as usize;
        let answer = Header {
            kind: ANSWER,
            payload: header.wanted,
            ..header
        };
        match self.zeros.get(..wanted) {
            Some(zeros) => out.put(answer, zeros),
            None => out.put(answer, &vec![0; wanted]),
        }
    }
}

impl Waiting {
    fn add(&mut self, client: Rc<Outgoing>, number: u64) -> u64 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.from.push(None);
            self.halves.push(false);
            self.from.len() - 1
        });
        self.from[at] = Some((client, number));
        at as u64
    }

    /// Who asked, when the first of two answers is there. The number is free after the second.
    fn answered(&mut self, number: u64) -> Option<(Rc<Outgoing>, u64)> {
        let at = number as usize;
        let is_second = std::mem::replace(self.halves.get_mut(at)?, true);
        if is_second {
            self.halves[at] = false;
            self.free.push(at);
        }
        self.from[at].take()
    }
}

impl Outgoing {
    fn put(&self, header: Header, payload: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        header.write(&mut bytes);
        bytes.put_slice(payload);
        self.is_there.notify_one();
    }

    /// All that waits goes out together.
    async fn write_to(self: Rc<Self>, mut socket: OwnedWriteHalf) {
        let mut bytes = BytesMut::new();
        loop {
            self.is_there.notified().await;
            std::mem::swap(&mut *self.bytes.borrow_mut(), &mut bytes);
            if socket.write_all(&bytes).await.is_err() {
                return pending().await; // its reader ends the connection
            }
            bytes.clear();
        }
    }
}

fn open(socket: TcpStream) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    socket.set_nodelay(true)?;
    Ok(socket.into_split())
}
