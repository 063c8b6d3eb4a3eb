//! Names as they are listed: one object, or one for each page, in JSON.

use bytes::{Bytes, BytesMut};
use dynamo_proto::WallTime;
use serde_json::{Value, json};

use super::answer::{Answer, JSON, Manner};
use super::query::Listing;

/// A listing that is told as its pages come.
#[derive(Debug)]
pub(super) struct Telling {
    /// What its names are.
    what: &'static str,
    /// What is told before them, within the object.
    before: String,
    is_streamed: bool,
    /// Whether its parts are framed as chunks; if not, the end of the connection is its end.
    in_chunks: bool,
    told: Told,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// Its head, and of names nothing.
    Head,
    Names,
}

impl Telling {
    pub(super) fn new(what: &'static str, before: String, how: Listing, in_chunks: bool) -> Self {
        Self {
            what,
            before,
            is_streamed: how == Listing::Streamed,
            in_chunks,
            told: Told::Nothing,
        }
    }

    /// Whether its status has been told, so that no other can be.
    pub(super) fn has_begun(&self) -> bool {
        self.told != Told::Nothing
    }

    /// Whether an error is told as one of its objects: who reads pages one by one looks at each.
    pub(super) fn tells_errors(&self) -> bool {
        self.is_streamed
    }

    /// Whether the connection has to end with it.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.has_begun() && !self.in_chunks
    }

    /// A page, with others to follow.
    pub(super) fn page(&mut self, names: &[Bytes], now: WallTime, out: &mut BytesMut) {
        self.begin(now, out);
        let part = match self.is_streamed {
            true => self.object(names),
            false => self.names(names),
        };
        self.part(&part, out);
    }

    /// The last page.
    pub(super) fn end(
        &mut self,
        names: &[Bytes],
        manner: Manner,
        now: WallTime,
        out: &mut BytesMut,
    ) {
        if !self.has_begun() {
            let body = self.object(names);
            let answer = Answer::new(200).with_body(JSON, body);
            answer.write(manner, now, out);
            return;
        }
        let part = match self.is_streamed {
            true => self.object(names),
            false => self.names(names) + "]}",
        };
        self.part(&part, out);
        self.close(out);
    }

    /// The end, for this reason.
    pub(super) fn fail(&mut self, why: &str, now: WallTime, out: &mut BytesMut) {
        self.begin(now, out);
        self.part(&json!({ "error": why }).to_string(), out);
        self.close(out);
    }

    fn begin(&mut self, now: WallTime, out: &mut BytesMut) {
        if !self.has_begun() {
            Answer::new(200)
                .with("Content-Type", JSON)
                .begin(self.in_chunks, now, out);
            self.told = Told::Head;
        }
    }

    /// A whole object. What comes before the names is in the first one only.
    fn object(&mut self, names: &[Bytes]) -> String {
        let before = std::mem::take(&mut self.before);
        format!("{{{before}\"{}\":[{}]}}", self.what, joined(names))
    }

    /// A part of the one object.
    fn names(&mut self, names: &[Bytes]) -> String {
        let names = joined(names);
        match self.told {
            Told::Names if names.is_empty() => names,
            Told::Names => format!(",{names}"),
            Told::Nothing | Told::Head => {
                self.told = Told::Names;
                let before = std::mem::take(&mut self.before);
                format!("{{{before}\"{}\":[{names}", self.what)
            }
        }
    }

    fn close(&self, out: &mut BytesMut) {
        if self.in_chunks {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }

    fn part(&self, part: &str, out: &mut BytesMut) {
        if part.is_empty() {
            return; // an empty chunk is the last one
        }
        if self.in_chunks {
            out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        }
        out.extend_from_slice(part.as_bytes());
        if self.in_chunks {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Names between commas. One that is no text is shown as far as it is.
fn joined(names: &[Bytes]) -> String {
    let mut text = String::new();
    for name in names {
        if !text.is_empty() {
            text.push(',');
        }
        let name = String::from_utf8_lossy(name).into_owned();
        text.push_str(&Value::String(name).to_string());
    }
    text
}
