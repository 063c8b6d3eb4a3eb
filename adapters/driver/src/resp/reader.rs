//! Commands out of bytes, in whatever pieces those arrive.
//!
//! A command is an array of bulk strings, or a line of words for people with telnet. What has
//! arrived of one stays where it was received; its arguments are slices of that. Each byte is looked
//! at once. Nothing is allocated for a number that was only announced.
//!
//! A command that is too long but well formed is read to its end and dropped on the way: the client
//! is told, and the connection lives on.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;

/// Longest announcement of an array or a bulk string: far more digits than any that is allowed.
const HEADER_BYTES: usize = 32;

/// Longest line of words.
const LINE_BYTES: usize = 64 << 10;

/// Most arguments of one command, as elsewhere.
const MOST_ARGUMENTS: i64 = 1 << 20;

/// Longest bulk string that is even skipped, as elsewhere.
const MOST_BULK_BYTES: i64 = 512 << 20;

/// How much one command may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Each argument.
    pub(super) argument: usize,
    /// All of it, as it is sent.
    pub(super) command: usize,
}

/// How far the command at the front has been read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    part: Part,
    /// Bytes of it that are understood, at the front of what was received.
    read: usize,
    /// Bytes beyond those in which no end of a line was found.
    searched: usize,
    arguments: Spans,
    /// Bytes of the bulk string at hand that had not come when it was last looked at.
    missing: usize,
    /// Why it is dropped, if it is.
    excess: Option<Excess>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// A command.
    #[default]
    Start,
    /// The length of the next of so many bulk strings.
    Length { left: i64 },
    /// So many bytes of a bulk string, its line's end included, and so many others.
    Bulk { left: i64, missing: usize },
}

/// Something that was read whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Command(Arguments),
    Dropped(Excess),
}

/// A command's name and what follows it: at least the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    bytes: Bytes,
    spans: Spans,
}

type Spans = SmallVec<[Span; 6]>;

/// Where an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

/// Why a command was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Excess {
    #[error("an argument of {len} bytes is over the limit of {limit}")]
    Argument { len: usize, limit: usize },
    #[error("a command of more than {limit} bytes: send it in several")]
    Command { limit: usize },
}

/// Why bytes are no command. What follows them cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    NotBulk(u8),
    BulkLength,
    ArrayLength,
    LongHeader,
    LongLine,
    Quotes,
    OtherProtocol,
}

impl Reader {
    /// The next command, once it is there whole.
    pub(super) fn next(
        &mut self,
        input: &mut BytesMut,
        bounds: Bounds,
    ) -> Result<Option<Read>, Malformed> {
        loop {
            match self.part {
                Part::Start => match input.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        let Some(announced) = self.header(input, Malformed::ArrayLength)? else {
                            return Ok(None);
                        };
                        if announced > MOST_ARGUMENTS {
                            return Err(Malformed::ArrayLength);
                        }
                        if announced <= 0 {
                            input.advance(std::mem::take(&mut self.read));
                            continue; // no command at all
                        }
                        self.part = Part::Length { left: announced };
                    }
                    Some(_) => match self.line(input)? {
                        None => return Ok(None),
                        Some(arguments) if arguments.spans.is_empty() => {}
                        Some(arguments) => return Ok(Some(Read::Command(arguments))),
                    },
                },
                Part::Length { left: 0 } => return Ok(Some(self.finish(input))),
                Part::Length { left } => {
                    match input.get(self.read) {
                        None => return Ok(None),
                        Some(b'$') => {}
                        Some(other) => return Err(Malformed::NotBulk(*other)),
                    }
                    let Some(announced) = self.header(input, Malformed::BulkLength)? else {
                        return Ok(None);
                    };
                    if !(0..=MOST_BULK_BYTES).contains(&announced) {
                        return Err(Malformed::BulkLength);
                    }
                    self.begin_bulk(announced as usize, bounds); // at most 2^29
                    let missing = announced as usize + 2;
                    self.part = Part::Bulk {
                        left: left - 1,
                        missing,
                    };
                    self.drop_excess(input);
                }
                Part::Bulk { left, missing } => {
                    let there = input.len() - self.read;
                    if there < missing {
                        if self.excess.is_some() {
                            self.read = input.len();
                            self.drop_excess(input);
                            let missing = missing - there;
                            self.part = Part::Bulk { left, missing };
                        } else {
                            self.missing = missing - there;
                        }
                        return Ok(None);
                    }
                    self.read += missing;
                    self.missing = 0;
                    self.part = Part::Length { left };
                    self.drop_excess(input);
                }
            }
        }
    }

    /// How many more bytes are known to be on their way, as far as they will be kept.
    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// The number in the line that begins with `*` or `$`, once all of it is there.
    fn header(&mut self, input: &BytesMut, wrong: Malformed) -> Result<Option<i64>, Malformed> {
        let line = &input[self.read..];
        let Some(end) = line
            .iter()
            .take(HEADER_BYTES)
            .position(|byte| *byte == b'\n')
        else {
            return match line.len() {
                0..HEADER_BYTES => Ok(None),
                _ => Err(Malformed::LongHeader),
            };
        };
        let digits = line[1..end].strip_suffix(b"\r").ok_or(wrong)?;
        self.read += end + 1;
        number(digits).map(Some).ok_or(wrong)
    }

    /// Takes note of where a bulk string will be, or that the command is too long.
    fn begin_bulk(&mut self, len: usize, bounds: Bounds) {
        if self.excess.is_some() {
            return;
        }
        let end = self.read + len;
        if len > bounds.argument {
            let limit = bounds.argument;
            self.excess = Some(Excess::Argument { len, limit });
        } else if end > bounds.command.min(u32::MAX as usize) {
            let limit = bounds.command;
            self.excess = Some(Excess::Command { limit });
        } else {
            self.arguments.push(Span {
                start: self.read as u32,
                end: end as u32,
            });
            return;
        }
        self.arguments = Spans::new();
    }

    fn drop_excess(&mut self, input: &mut BytesMut) {
        if self.excess.is_some() {
            input.advance(std::mem::take(&mut self.read));
        }
    }

    fn finish(&mut self, input: &mut BytesMut) -> Read {
        let Self {
            read,
            arguments,
            excess,
            ..
        } = std::mem::take(self);
        match excess {
            Some(excess) => Read::Dropped(excess),
            None => Read::Command(Arguments {
                bytes: input.split_to(read).freeze(),
                spans: arguments,
            }),
        }
    }

    /// A line of words, once all of it is there.
    fn line(&mut self, input: &mut BytesMut) -> Result<Option<Arguments>, Malformed> {
        let new = input.iter().skip(self.searched);
        let Some(end) = new.take(LINE_BYTES).position(|byte| *byte == b'\n') else {
            self.searched = input.len();
            return match self.searched {
                0..LINE_BYTES => Ok(None),
                _ => Err(Malformed::LongLine),
            };
        };
        let end = std::mem::take(&mut self.searched) + end;
        let line = input.split_to(end + 1);
        let arguments = words(line.trim_ascii_end())?;
        // A browser that was lured here must not get to send commands in a body.
        let name = arguments
            .spans
            .first()
            .map(|span| span.of(&arguments.bytes));
        if name.is_some_and(|name| {
            name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
        }) {
            return Err(Malformed::OtherProtocol);
        }
        Ok(Some(arguments))
    }
}

impl Arguments {
    /// How many, the name included.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn name(&self) -> &[u8] {
        self.at(0)
    }

    /// One of them; nothing where there is none.
    pub(super) fn at(&self, at: usize) -> &[u8] {
        self.spans.get(at).map_or(&[], |span| span.of(&self.bytes))
    }

    /// One of them, to be kept; nothing where there is none.
    pub(super) fn keep(&self, at: usize) -> Bytes {
        self.spans.get(at).map_or_else(Bytes::new, |span| {
            self.bytes.slice(span.start as usize..span.end as usize)
        })
    }
}

impl Span {
    fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

/// A decimal number and nothing else.
pub(super) fn number(digits: &[u8]) -> Option<i64> {
    if digits.first() == Some(&b'+') {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Words between white space; those in quotes may contain it, and bytes by their numbers.
fn words(line: &[u8]) -> Result<Arguments, Malformed> {
    let (mut bytes, mut spans) = (BytesMut::with_capacity(line.len()), Spans::new());
    let mut rest = line.trim_ascii_start();
    while let Some(first) = rest.first() {
        let start = bytes.len() as u32; // a line is short
        rest = match first {
            b'"' => quoted(&rest[1..], &mut bytes)?,
            b'\'' => single_quoted(&rest[1..], &mut bytes)?,
            _ => {
                let blank = rest.iter().position(|byte| is_blank(*byte));
                let (word, rest) = rest.split_at(blank.unwrap_or(rest.len()));
                if word.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
                    return Err(Malformed::Quotes);
                }
                bytes.extend_from_slice(word);
                rest
            }
        };
        if rest.first().is_some_and(|byte| !is_blank(*byte)) {
            return Err(Malformed::Quotes);
        }
        let end = bytes.len() as u32;
        spans.push(Span { start, end });
        rest = rest.trim_ascii_start();
    }
    Ok(Arguments {
        bytes: bytes.freeze(),
        spans,
    })
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

/// What follows the closing quote.
fn quoted<'a>(mut rest: &'a [u8], bytes: &mut BytesMut) -> Result<&'a [u8], Malformed> {
    loop {
        let (byte, after) = match rest {
            [] | [b'\\'] => return Err(Malformed::Quotes),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (digit(*high) << 4 | digit(*low), after)
            }
            [b'\\', escaped, after @ ..] => {
                let byte = match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                };
                (byte, after)
            }
            [byte, after @ ..] => (*byte, after),
        };
        bytes.extend_from_slice(&[byte]);
        rest = after;
    }
}

/// What follows the closing quote; only that quote can be escaped.
fn single_quoted<'a>(mut rest: &'a [u8], bytes: &mut BytesMut) -> Result<&'a [u8], Malformed> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(Malformed::Quotes),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
        };
        bytes.extend_from_slice(&[byte]);
        rest = after;
    }
}

fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        _ => (hex | 0x20) - b'a' + 10,
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBulk(other) => {
                write!(f, "expected '$', got '{}'", other.escape_ascii())
            }
            Self::BulkLength => f.write_str("invalid bulk length"),
            Self::ArrayLength => f.write_str("invalid multibulk length"),
            Self::LongHeader => f.write_str("too big count string"),
            Self::LongLine => f.write_str("too big inline request"),
            Self::Quotes => f.write_str("unbalanced quotes in request"),
            Self::OtherProtocol => f.write_str("this is not HTTP"),
        }
    }
}
