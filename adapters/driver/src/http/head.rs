//! The head of a request: what is asked for, and what is said about it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};

use super::answer::Manner;
use super::links;
use super::query::Query;
use super::refusal::Refusal;
use super::target::Target;
use crate::riak::messages::{Link, Pair};

/// Longest head.
const HEAD_BYTES: usize = 32 << 10;

/// Most header fields of one request.
const MOST_FIELDS: usize = 256;

/// How far the head at the front has been searched for its end.
#[derive(Debug, Default)]
pub(super) struct Finder {
    searched: usize,
}

/// A request without its body, as far as it says where that ends.
#[derive(Debug)]
pub(super) struct Framed {
    /// What it asks for, if that makes sense.
    pub(super) head: Result<Head, Refusal>,
    pub(super) length: Length,
    /// Whether the client waits to be told to send the body.
    pub(super) expects: bool,
    pub(super) manner: Manner,
}

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) query: Query,
    pub(super) fields: Fields,
    pub(super) closes: bool,
    /// Whether the client knows bodies in chunks.
    pub(super) takes_chunks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
}

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Known(usize),
    Chunked,
}

/// What is said about a value, and when to do something with it.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The context, sealed.
    pub(super) context: Option<Bytes>,
    /// Another: the write is to be done only if it is still the latest.
    pub(super) if_not_modified: Option<Bytes>,
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) user: Vec<Pair>,
    pub(super) indexes: Vec<Pair>,
    pub(super) links: Vec<Link>,
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) if_modified_since: Option<u64>,
    pub(super) if_unmodified_since: Option<u64>,
    pub(super) takes_multipart: bool,
}

/// What the front of a head says about how it is framed.
#[derive(Debug, Default)]
struct Framing {
    length: Option<usize>,
    is_chunked: bool,
    has_host: bool,
    expects: bool,
    closes: Option<bool>,
}

impl Finder {
    /// The next head, once it is there whole. After an error nothing can be told apart any more.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Framed>, Refusal> {
        while matches!(input.first(), Some(b'\r' | b'\n')) && self.searched == 0 {
            input.advance(1);
        }
        let Some(end) = self.end(input) else {
            self.searched = input.len();
            return match input.len() {
                0..HEAD_BYTES => Ok(None),
                _ => Err(Refusal::HeadTooLong),
            };
        };
        self.searched = 0;
        if end > HEAD_BYTES {
            return Err(Refusal::HeadTooLong);
        }
        let bytes = input.split_to(end);
        Framed::parse(&bytes).map(Some)
    }

    /// Where an empty line ends.
    fn end(&self, input: &[u8]) -> Option<usize> {
        let from = self.searched.saturating_sub(3);
        let mut at = from;
        loop {
            at += 1 + input[at..].iter().position(|byte| *byte == b'\n')?;
            match &input[at..] {
                [b'\n', ..] => return Some(at + 1),
                [b'\r', b'\n', ..] => return Some(at + 2),
                _ => {}
            }
        }
    }
}

impl Framed {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let is_whole = request.parse(bytes)?.is_complete();
        let (true, Some(method), Some(uri), Some(minor)) =
            (is_whole, request.method, request.path, request.version)
        else {
            return Err(Refusal::Malformed("the head ends too early"));
        };
        let mut framing = Framing::default();
        for field in request.headers.iter() {
            framing.take(field)?;
        }
        if minor == 1 && !framing.has_host {
            return Err(Refusal::Malformed("a Host header is missing"));
        }
        let length = match (framing.is_chunked, framing.length) {
            (true, Some(_)) => {
                return Err(Refusal::Malformed("both a length and chunks are announced"));
            }
            (true, None) => Length::Chunked,
            (false, length) => Length::Known(length.unwrap_or(0)),
        };
        let is_newer = minor == 1;
        let closes = framing.closes.unwrap_or(!is_newer);
        Ok(Self {
            head: Head::parse((method, uri), request.headers, is_newer, closes),
            length,
            expects: framing.expects && is_newer && length != Length::Known(0),
            manner: Manner {
                is_head: method == "HEAD",
                closes,
            },
        })
    }
}

impl Head {
    fn parse(
        (method, uri): (&str, &str),
        headers: &[httparse::Header<'_>],
        takes_chunks: bool,
        closes: bool,
    ) -> Result<Self, Refusal> {
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "PUT" => Method::Put,
            "POST" => Method::Post,
            "DELETE" => Method::Delete,
            _ => return Err(Refusal::UnknownMethod),
        };
        let mut fields = Fields::default();
        for field in headers {
            fields.take(field)?;
        }
        let uri = without_host(uri);
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        Ok(Self {
            method,
            target: Target::parse(if path.is_empty() { "/" } else { path })?,
            query: Query::parse(query)?,
            fields,
            closes,
            takes_chunks,
        })
    }
}

/// A target that is a whole URL, from its path on: proxies send such.
fn without_host(uri: &str) -> &str {
    let after = |scheme: &str| {
        let (front, rest) = uri.split_at_checked(scheme.len())?;
        front.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    match after("http://").or_else(|| after("https://")) {
        None => uri,
        Some(rest) => rest.find(['/', '?']).map_or("", |at| &rest[at..]),
    }
}

impl Framing {
    fn take(&mut self, field: &httparse::Header<'_>) -> Result<(), Refusal> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let length = text(field)?;
            let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            let length = match length.parse() {
                Ok(length) if is_number => length,
                Err(_) if is_number => return Err(Refusal::BodyTooLong),
                _ => return Err(Refusal::Malformed("Content-Length is no number")),
            };
            if self.length.is_some_and(|other| other != length) {
                return Err(Refusal::Malformed("two lengths are announced"));
            }
            self.length = Some(length);
        } else if is("transfer-encoding") {
            if self.is_chunked || !text(field)?.eq_ignore_ascii_case("chunked") {
                return Err(Refusal::UnknownEncoding);
            }
            self.is_chunked = true;
        } else if is("host") {
            self.has_host = true;
        } else if is("expect") {
            if !text(field)?.eq_ignore_ascii_case("100-continue") {
                return Err(Refusal::UnknownExpectation);
            }
            self.expects = true;
        } else if is("connection") {
            for option in text(field)?.split(',') {
                let option = option.trim();
                if option.eq_ignore_ascii_case("close") {
                    self.closes = Some(true);
                } else if option.eq_ignore_ascii_case("keep-alive") {
                    self.closes.get_or_insert(false);
                }
            }
        }
        Ok(())
    }
}

impl Fields {
    fn take(&mut self, field: &httparse::Header<'_>) -> Result<(), Refusal> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if let Some(name) = rest_of_name(field, "x-riak-meta-") {
            self.user.push(pair(name.to_owned(), field.value));
        } else if let Some(name) = rest_of_name(field, "x-riak-index-") {
            let name = name.to_ascii_lowercase();
            for value in text(field)?.split(',') {
                self.indexes
                    .push(pair(name.clone(), value.trim().as_bytes()));
            }
        } else if is("link") {
            self.links.extend(links::read(text(field)?));
        } else if is("x-riak-vclock") && !field.value.trim_ascii().is_empty() {
            self.context = Some(context(field)?);
        } else if is("x-riak-if-not-modified") {
            self.if_not_modified = Some(context(field)?);
        } else if is("content-type") {
            self.content_type = Some(text(field)?.to_owned());
        } else if is("content-encoding") {
            self.content_encoding = Some(text(field)?.to_owned());
        } else if is("if-match") {
            self.if_match = Some(text(field)?.to_owned());
        } else if is("if-none-match") {
            self.if_none_match = Some(text(field)?.to_owned());
        } else if is("if-modified-since") {
            self.if_modified_since = super::text::seconds(text(field)?);
        } else if is("if-unmodified-since") {
            self.if_unmodified_since = super::text::seconds(text(field)?);
        } else if is("accept") {
            let accepts = text(field)?.to_ascii_lowercase();
            self.takes_multipart |= accepts.contains("multipart/mixed");
        }
        Ok(())
    }
}

/// What follows in a field's name that begins like this.
fn rest_of_name<'a>(field: &httparse::Header<'a>, prefix: &str) -> Option<&'a str> {
    let (front, rest) = field.name.split_at_checked(prefix.len())?;
    front.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn pair(key: String, value: &[u8]) -> Pair {
    Pair {
        key: key.into(),
        value: Some(Bytes::copy_from_slice(value)),
    }
}

fn text<'a>(field: &httparse::Header<'a>) -> Result<&'a str, Refusal> {
    str::from_utf8(field.value)
        .map(str::trim)
        .map_err(|_| Refusal::Malformed("a header field is no text"))
}

fn context(field: &httparse::Header<'_>) -> Result<Bytes, Refusal> {
    STANDARD
        .decode(field.value.trim_ascii())
        .map(Bytes::from)
        .map_err(|_| Refusal::Malformed("a context is base64, as it was given out"))
}

/// A context as it travels in a header field.
pub(super) fn context_text(sealed: &[u8]) -> String {
    STANDARD.encode(sealed)
}
