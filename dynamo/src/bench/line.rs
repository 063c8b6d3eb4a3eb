//! One connection of the load: what it has to say, what it waits for.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use dynamo_driver::Dice;
use rustix::event::PollFlags;
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::speech::{Heard, Protocol, Speech};
use super::tally::Tally;
use super::workload::{Kind, Wish, Workload};

/// How long a connection that ended is left alone.
const PAUSE: Duration = Duration::from_millis(100);

const CONNECT: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 64 << 10;

/// Most requests of one connection under way: at a fixed rate those beyond wait to be said, and
/// their time runs.
const MOST_UNDER_WAY: usize = 10_000;

/// Who calls whom, and what they speak.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) host: SocketAddr,
    protocol: Protocol,
}

#[derive(Debug)]
pub(super) struct Line {
    caller: Caller,
    /// What there is while it is up.
    talk: Option<Talk>,
    down_since: Instant,
    under_way: VecDeque<Sent>,
    asked: u64,
    /// When the next request is due, at a fixed rate.
    pub(super) due: Option<Instant>,
}

#[derive(Debug)]
struct Talk {
    socket: TcpStream,
    speech: Speech,
    is_connected: bool,
    is_ready: bool,
    out: BytesMut,
    input: BytesMut,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u64,
    kind: Kind,
    /// From when its latency counts.
    meant: Instant,
}

impl Caller {
    pub(super) fn new(host: SocketAddr, protocol: Protocol) -> Self {
        Self { host, protocol }
    }

    fn connect(&self, dice: &mut Dice) -> io::Result<Talk> {
        let socket = TcpStream::connect_timeout(&self.host, CONNECT)?;
        socket.set_nonblocking(true)?;
        self.talk(socket, true, dice)
    }

    /// Without waiting: one host that is away must not hold up the load on the others.
    fn begin_to_connect(&self, dice: &mut Dice) -> io::Result<Talk> {
        let socket = Socket::new(Domain::for_address(self.host), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&self.host.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                return Err(error);
            }
            Ok(()) | Err(_) => {}
        }
        self.talk(socket.into(), false, dice)
    }

    fn talk(&self, socket: TcpStream, is_connected: bool, dice: &mut Dice) -> io::Result<Talk> {
        socket.set_nodelay(true)?;
        let mut speech = Speech::new(self.protocol, dice);
        let mut out = BytesMut::new();
        let is_ready = !speech.begin(&mut out);
        Ok(Talk {
            socket,
            speech,
            is_connected,
            is_ready,
            out,
            input: BytesMut::new(),
        })
    }
}

impl Line {
    pub(super) fn connect(caller: Caller, dice: &mut Dice) -> io::Result<Self> {
        Ok(Self {
            talk: Some(caller.connect(dice)?),
            caller,
            down_since: Instant::now(),
            under_way: VecDeque::new(),
            asked: 0,
            due: None,
        })
    }

    pub(super) fn socket(&self) -> Option<&TcpStream> {
        self.talk.as_ref().map(|talk| &talk.socket)
    }

    /// What is waited for at its socket.
    pub(super) fn interest(&self) -> PollFlags {
        match &self.talk {
            Some(talk) if !talk.is_connected => PollFlags::OUT,
            Some(talk) if !talk.out.is_empty() => PollFlags::IN | PollFlags::OUT,
            _ => PollFlags::IN,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether another request can be said.
    pub(super) fn has_room(&self, most: usize) -> bool {
        let talk = self.talk.as_ref();
        let is_ready = talk.is_some_and(|talk| talk.is_connected && talk.is_ready);
        is_ready && self.under_way.len() < most.min(MOST_UNDER_WAY)
    }

    pub(super) fn most() -> usize {
        MOST_UNDER_WAY
    }

    pub(super) fn ask(&mut self, wish: Wish, size: usize, meant: Instant) {
        let Some(talk) = &mut self.talk else { return };
        self.under_way.push_back(Sent {
            number: self.asked,
            kind: wish.kind,
            meant,
        });
        talk.speech.ask(self.asked, wish, size, &mut talk.out);
        self.asked += 1;
    }

    /// Says what can be said now, and hears what has come.
    pub(super) fn exchange(&mut self, reads: bool, tally: &mut Tally) {
        let Some(talk) = &mut self.talk else { return };
        let exchanged = talk.become_connected().and_then(|is_connected| {
            if !is_connected {
                return Ok(true);
            }
            talk.write()?;
            if reads { talk.read() } else { Ok(true) }
        });
        let is_open = match exchanged {
            Ok(is_open) => is_open && self.hear(tally).is_ok(),
            Err(_) => false,
        };
        if !is_open {
            tally.lose(self.under_way.len());
            self.under_way.clear();
            self.talk = None;
            self.down_since = Instant::now();
        }
    }

    fn hear(&mut self, tally: &mut Tally) -> Result<(), String> {
        let Some(talk) = &mut self.talk else {
            return Ok(());
        };
        let now = Instant::now();
        while let Some(heard) = talk.speech.hear(&mut talk.input)? {
            let (at, outcome) = match heard {
                Heard::Ready => {
                    talk.is_ready = true;
                    continue;
                }
                Heard::Oldest(outcome) => (0, outcome),
                Heard::Answer(number, outcome) => {
                    let at = self.under_way.iter().position(|it| it.number == number);
                    (at.ok_or("an answer to no question")?, outcome)
                }
            };
            let sent = self
                .under_way
                .remove(at)
                .ok_or("an answer to no question")?;
            tally.count(
                sent.kind,
                now.saturating_duration_since(sent.meant),
                outcome,
                now,
            );
        }
        Ok(())
    }

    /// Tries again after a pause.
    pub(super) fn come_back(&mut self, now: Instant, dice: &mut Dice) {
        if self.talk.is_none() && now.duration_since(self.down_since) >= PAUSE {
            self.talk = self.caller.begin_to_connect(dice).ok();
            self.down_since = now;
        }
    }

    /// Says what is due at a fixed rate; a request that cannot be said yet has been meant all the
    /// same.
    pub(super) fn ask_what_is_due(
        &mut self,
        now: Instant,
        interval: Duration,
        workload: &mut Workload,
    ) {
        while let Some(due) = self.due.filter(|due| *due <= now) {
            if !self.has_room(MOST_UNDER_WAY) {
                return;
            }
            let wish = workload.draw();
            self.ask(wish, workload.size(), due);
            self.due = Some(due + interval);
        }
    }
}

impl Talk {
    /// Whether there is a connection by now; an error if there will be none.
    fn become_connected(&mut self) -> io::Result<bool> {
        if !self.is_connected {
            match self.socket.take_error()? {
                Some(error) => return Err(error),
                None => self.is_connected = self.socket.peer_addr().is_ok(),
            }
        }
        Ok(self.is_connected)
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => self.out.advance(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the other side may say more.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(len) => {
                    self.input.extend_from_slice(&buffer[..len]);
                    if len < buffer.len() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
