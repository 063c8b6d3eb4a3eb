//! Answers as bytes.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use bytes::{BufMut, Bytes, BytesMut};
use dynamo_proto::WallTime;

use super::text::date;

pub(super) const TEXT: &str = "text/plain";
pub(super) const JSON: &str = "application/json";

/// A status, what is said about it, and a body.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    fields: String,
    body: Bytes,
}

/// How an answer is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Without its body, which is told as long as it would be.
    pub(super) is_head: bool,
    /// As the last one.
    pub(super) closes: bool,
}

impl Answer {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            fields: String::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// A line of text for people.
    pub(super) fn text(status: u16, text: impl Display) -> Self {
        Self::new(status).with_body(TEXT, format!("{text}\n"))
    }

    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        let _ = write!(self.fields, "{name}: {value}\r\n"); // a String takes all
        self
    }

    /// Whole lines, each with its end.
    pub(super) fn with_lines(mut self, lines: &str) -> Self {
        self.fields.push_str(lines);
        self
    }

    pub(super) fn with_body(self, kind: impl Display, body: impl Into<Bytes>) -> Self {
        let mut answer = self.with("Content-Type", kind);
        answer.body = body.into();
        answer
    }

    pub(super) fn write(&self, manner: Manner, now: WallTime, out: &mut BytesMut) {
        let Self { status, body, .. } = self;
        let head = self.head(manner.closes, now);
        out.reserve(head.len() + body.len() + 32);
        out.put_slice(head.as_bytes());
        if !matches!(status, 204 | 304) {
            out.put_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        out.put_slice(b"\r\n");
        if !manner.is_head {
            out.put_slice(body);
        }
    }

    /// As far as a body whose length is not known: it follows in chunks, or until the connection
    /// ends.
    pub(super) fn begin(&self, in_chunks: bool, now: WallTime, out: &mut BytesMut) {
        out.put_slice(self.head(!in_chunks, now).as_bytes());
        if in_chunks {
            out.put_slice(b"Transfer-Encoding: chunked\r\n");
        }
        out.put_slice(b"\r\n");
    }

    fn head(&self, closes: bool, now: WallTime) -> String {
        let Self { status, fields, .. } = self;
        format!(
            "HTTP/1.1 {status} {}\r\nDate: {}\r\n{}{}{fields}",
            reason(*status),
            date(now),
            if closes { "Connection: close\r\n" } else { "" },
            match status {
                503 => "Retry-After: 1\r\n",
                _ => "",
            },
        )
    }
}

/// What somebody else said, as a value of a header field, which it must not end.
pub(super) fn field(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    match text.contains(|letter: char| letter.is_control()) {
        true => Cow::Owned(text.replace(|letter: char| letter.is_control(), " ")),
        false => text,
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        415 => "Unsupported Media Type",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}
