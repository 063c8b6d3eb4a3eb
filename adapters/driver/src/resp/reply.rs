//! Answers as bytes.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

/// How answers are written: what [`Reply`] tells apart, the older version does not always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Version {
    #[default]
    Resp2,
    Resp3,
}

/// An answer, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Ok,
    Nil,
    Simple(&'static str),
    Integer(i64),
    Bulk(Bytes),
    /// A word that says which kind of error it is, and what it means.
    Error(Cow<'static, str>),
    Array(Vec<Reply>),
    Map(Vec<(&'static str, Reply)>),
    /// As a map, of somebody's own names.
    Fields(Vec<(Bytes, Reply)>),
    /// That many answers follow, and are its parts.
    Head(usize),
}

impl Reply {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Bulk(text.into().into())
    }

    pub(super) fn error(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Error(text.into())
    }

    /// Roughly how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Bulk(bytes) => bytes.len(),
                Self::Error(text) => text.len(),
                Self::Array(parts) => parts.iter().map(Self::bytes).sum(),
                Self::Map(parts) => parts.iter().map(|(_, part)| 16 + part.bytes()).sum(),
                Self::Fields(parts) => {
                    let bytes = |(name, part): &(Bytes, Self)| name.len() + 32 + part.bytes();
                    parts.iter().map(bytes).sum()
                }
                Self::Ok | Self::Nil | Self::Simple(_) | Self::Integer(_) | Self::Head(_) => 0,
            }
    }

    pub(super) fn write(&self, version: Version, out: &mut BytesMut) {
        match self {
            Self::Ok => out.put_slice(b"+OK\r\n"),
            Self::Nil => out.put_slice(match version {
                Version::Resp2 => b"$-1\r\n",
                Version::Resp3 => b"_\r\n",
            }),
            Self::Simple(text) => put_line(out, b'+', text.as_bytes()),
            Self::Integer(number) => put_number(out, b':', *number),
            Self::Bulk(bytes) => put_bulk(out, bytes),
            Self::Error(text) => put_line(out, b'-', text.as_bytes()),
            Self::Array(parts) => {
                put_number(out, b'*', parts.len() as i64);
                parts.iter().for_each(|part| part.write(version, out));
            }
            Self::Fields(parts) => {
                put_map(version, parts.len(), out);
                for (name, part) in parts {
                    put_bulk(out, name);
                    part.write(version, out);
                }
            }
            Self::Map(parts) => {
                put_map(version, parts.len(), out);
                for (name, part) in parts {
                    put_bulk(out, name.as_bytes());
                    part.write(version, out);
                }
            }
            Self::Head(parts) => put_number(out, b'*', *parts as i64),
        }
    }
}

fn put_map(version: Version, parts: usize, out: &mut BytesMut) {
    match version {
        Version::Resp2 => put_number(out, b'*', 2 * parts as i64),
        Version::Resp3 => put_number(out, b'%', parts as i64),
    }
}

fn put_bulk(out: &mut BytesMut, bytes: &[u8]) {
    out.reserve(bytes.len() + 24);
    put_number(out, b'$', bytes.len() as i64);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

/// A line ends where it ends: what it quotes must not end it before.
fn put_line(out: &mut BytesMut, kind: u8, text: &[u8]) {
    out.reserve(text.len() + 3);
    out.put_u8(kind);
    for byte in text {
        out.put_u8(if byte.is_ascii_control() { b' ' } else { *byte });
    }
    out.put_slice(b"\r\n");
}

fn put_number(out: &mut BytesMut, kind: u8, number: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_u8(kind);
    if number < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
}
