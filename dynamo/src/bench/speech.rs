//! Requests and answers as bytes, in each protocol.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use dynamo_driver::{Connection, Dice, Event};
use dynamo_proto::node::{Condition, Mode, Operation, Options, Request, Response};
use dynamo_proto::version::Content;
use dynamo_proto::wire::{Hello, Message, Role, Ticket, Versions};
use dynamo_proto::{ClusterId, Key, Limits};

use super::floor::{HEADER_BYTES, Header};
use super::workload::{Kind, Wish};

/// How long a native request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What servers speak.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    /// Redis's; a put may wait for so many replicas.
    Resp(Option<u32>),
    Native(ClusterId),
    Floor,
}

/// One side of one conversation.
#[derive(Debug)]
pub(super) enum Speech {
    Resp(Resp),
    Native(Box<Native>),
    /// With the length of values.
    Floor,
}

#[derive(Debug)]
pub(super) struct Resp {
    wait: Option<u32>,
    /// How many replies the requests under way still get, the oldest first.
    owed: VecDeque<u8>,
    /// What the first of two replies was.
    half: Option<Outcome>,
}

#[derive(Debug)]
pub(super) struct Native {
    connection: Connection,
    dice: Dice,
}

/// Something that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The conversation can begin.
    Ready,
    /// An answer to the oldest request.
    Oldest(Outcome),
    /// An answer to the request of this number.
    Answer(u64, Outcome),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The word for what went wrong.
    Failed(String),
}

impl Speech {
    pub(super) fn new(protocol: Protocol, dice: &mut Dice) -> Self {
        match protocol {
            Protocol::Resp(wait) => Self::Resp(Resp {
                wait,
                owed: VecDeque::new(),
                half: None,
            }),
            Protocol::Native(cluster) => {
                let hello = Hello {
                    versions: Versions::OURS,
                    nonce: dice.nonce(),
                    cluster,
                    role: Role::Client,
                };
                let limits = Limits::default();
                Self::Native(Box::new(Native {
                    connection: Connection::dial(hello, None, limits, usize::MAX),
                    dice: dice.clone(),
                }))
            }
            Protocol::Floor => Self::Floor,
        }
    }

    /// Whether the other side must say something first; what to say for that.
    pub(super) fn begin(&mut self, out: &mut BytesMut) -> bool {
        match self {
            Self::Native(native) => {
                out.put(native.connection.take_outgoing());
                true
            }
            Self::Resp(_) | Self::Floor => false,
        }
    }

    pub(super) fn ask(&mut self, number: u64, wish: Wish, size: usize, out: &mut BytesMut) {
        match self {
            Self::Resp(resp) => resp.ask(&wish, out),
            Self::Native(native) => native.ask(number, wish, out),
            Self::Floor => {
                let want = match wish.kind {
                    Kind::Get => size,
                    Kind::Put | Kind::Delete => 0,
                };
                let header = Header::request(number, want, wish.value.len());
                header.write(out);
                out.put_slice(&wish.value);
            }
        }
    }

    /// What comes next in the bytes, if it is there whole; an error where it makes no sense.
    pub(super) fn hear(&mut self, input: &mut BytesMut) -> Result<Option<Heard>, String> {
        match self {
            Self::Resp(resp) => resp.hear(input),
            Self::Native(native) => native.hear(input),
            Self::Floor => {
                let Some(header) = Header::read(input) else {
                    return Ok(None);
                };
                let whole = HEADER_BYTES + header.payload();
                if input.len() < whole {
                    return Ok(None);
                }
                input.advance(whole);
                Ok(Some(Heard::Answer(header.number(), Outcome::Done)))
            }
        }
    }
}

impl Resp {
    fn ask(&mut self, wish: &Wish, out: &mut BytesMut) {
        let key = format!("key:{:010}", wish.key);
        match wish.kind {
            Kind::Get => say(out, &[b"GET", key.as_bytes()]),
            Kind::Put => say(out, &[b"SET", key.as_bytes(), &wish.value]),
            Kind::Delete => say(out, &[b"DEL", key.as_bytes()]),
        }
        let waits = self.wait.filter(|_| wish.kind != Kind::Get);
        if let Some(replicas) = waits {
            say(out, &[b"WAIT", replicas.to_string().as_bytes(), b"5000"]);
        }
        self.owed.push_back(1 + u8::from(waits.is_some()));
    }

    fn hear(&mut self, input: &mut BytesMut) -> Result<Option<Heard>, String> {
        loop {
            let Some((len, outcome)) = self.reply(input)? else {
                return Ok(None);
            };
            input.advance(len);
            let owed = self.owed.front_mut().ok_or("an answer to no question")?;
            *owed -= 1;
            if *owed > 0 {
                self.half = Some(outcome);
                continue;
            }
            self.owed.pop_front();
            return Ok(Some(Heard::Oldest(match self.half.take() {
                Some(failed @ Outcome::Failed(_)) => failed,
                _ => outcome,
            })));
        }
    }

    /// The length of the reply at the front, and what it says.
    fn reply(&self, input: &[u8]) -> Result<Option<(usize, Outcome)>, String> {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line = input[..end].trim_ascii_end();
        let text = String::from_utf8_lossy(line);
        let number = || {
            text[1..]
                .parse::<i64>()
                .map_err(|_| format!("no number: {text}"))
        };
        let done = Ok(Some((end + 1, Outcome::Done)));
        match line.first() {
            Some(b'+' | b'_') => done,
            Some(b'-') => {
                let word = text[1..].split(' ').next().unwrap_or_default();
                Ok(Some((end + 1, Outcome::Failed(word.to_owned()))))
            }
            Some(b':') if self.half.is_some() => {
                let is_enough = number()? >= i64::from(self.wait.unwrap_or(0));
                match is_enough {
                    true => done,
                    false => Ok(Some((end + 1, Outcome::Failed("NOREPLICAS".into())))),
                }
            }
            Some(b':') => done,
            Some(b'$') => match usize::try_from(number()?) {
                Err(_) => done, // null
                Ok(len) if input.len() < end + 1 + len + 2 => Ok(None),
                Ok(len) => Ok(Some((end + 1 + len + 2, Outcome::Done))),
            },
            _ => Err(format!("this is no RESP: {text}")),
        }
    }
}

impl Native {
    fn ask(&mut self, number: u64, wish: Wish, out: &mut BytesMut) {
        let key = format!("key:{:010}", wish.key);
        let limits = Limits::default();
        let key = Key::new("default", "default", key, &limits).expect("a short key");
        let put = |mode, content| Operation::Put {
            fastest: None,
            mode,
            content,
            condition: Condition::None,
        };
        let operation = match wish.kind {
            Kind::Get => Operation::read(),
            Kind::Put => put(Mode::Overwrite, Content::plain(wish.value)),
            Kind::Delete => put(Mode::Overwrite, Content::Tombstone),
        };
        let message = Message::Request {
            epoch: Default::default(),
            ticket: Ticket(number),
            patience: PATIENCE,
            request: Request {
                id: self.dice.request(),
                is_retry: false,
                key,
                operation,
                options: Options::default(),
            },
        };
        // Refused only before it is established, or where it is longer than any frame.
        if self.connection.send(&message).is_ok() {
            out.put(self.connection.take_outgoing());
        }
    }

    fn hear(&mut self, input: &mut BytesMut) -> Result<Option<Heard>, String> {
        loop {
            match self.connection.poll().map_err(|ended| ended.to_string())? {
                Some(Event::Established(_)) => return Ok(Some(Heard::Ready)),
                Some(Event::Message(Message::Response { ticket, response })) => {
                    let outcome = match response {
                        Response::Got(_)
                        | Response::Put(_)
                        | Response::Fetched(_)
                        | Response::Listed(_) => Outcome::Done,
                        Response::Failed(failure) => Outcome::Failed(failure.to_string()),
                        Response::Unknown => Outcome::Failed("unknown".into()),
                    };
                    return Ok(Some(Heard::Answer(ticket.0, outcome)));
                }
                Some(Event::Message(_) | Event::Unsupported(_)) => {}
                None if input.is_empty() => return Ok(None),
                None => self.connection.receive(input),
            }
        }
    }
}

fn say(out: &mut BytesMut, arguments: &[&[u8]]) {
    let mut writer = out.writer();
    let _ = write!(writer, "*{}\r\n", arguments.len()); // a buffer takes all
    for argument in arguments {
        let _ = write!(writer, "${}\r\n", argument.len());
        let _ = writer.write_all(argument);
        let _ = writer.write_all(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(kind: Kind) -> Wish {
        let value = bytes::Bytes::from_static(b"v");
        Wish {
            kind,
            key: 1,
            value,
        }
    }

    #[test]
    fn answers_are_matched_with_their_questions() {
        let mut dice = Dice::new([1; 32]);
        let mut speech = Speech::new(Protocol::Resp(Some(1)), &mut dice);
        let (mut out, mut input) = (BytesMut::new(), BytesMut::new());
        for kind in [Kind::Get, Kind::Put, Kind::Put, Kind::Put, Kind::Get] {
            speech.ask(0, wish(kind), 1, &mut out);
        }
        let said = b"$3\r\nabc\r\n+OK\r\n:1\r\n+OK\r\n:0\r\n-OOM full\r\n:1\r\n$-1\r\n";
        let mut heard = Vec::new();
        for byte in said {
            input.put_u8(*byte);
            while let Some(next) = speech.hear(&mut input).unwrap() {
                heard.push(next);
            }
        }
        let failed = |word: &str| Heard::Oldest(Outcome::Failed(word.into()));
        let done = || Heard::Oldest(Outcome::Done);
        assert_eq!(
            heard,
            [done(), done(), failed("NOREPLICAS"), failed("OOM"), done()]
        );
        input.put_slice(b"+OK\r\n");
        assert!(speech.hear(&mut input).is_err());
    }
}
