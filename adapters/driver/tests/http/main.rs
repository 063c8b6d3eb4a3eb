//! HTTP: requests in, answers out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../desk/mod.rs"]
mod desk;

mod about;
mod buckets;
mod conditions;
mod data;
mod framing;
mod hostile;
mod objects;
mod values;

use desk::World;
use dynamo_driver::http::Http;
use dynamo_proto::version::Policy;

/// A connection to buckets that keep siblings.
fn siblings() -> World {
    World::new(Http::new(), Policy::Siblings)
}

/// A connection to buckets where the last write wins.
fn plain() -> World {
    World::new(Http::new(), desk::last_write_wins())
}

/// An answer taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// The first one of those that came back, and the rest.
    fn split(bytes: &[u8]) -> (Self, &[u8]) {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut fields);
        let head = response.parse(bytes).unwrap().unwrap();
        let length = response
            .headers
            .iter()
            .find(|field| field.name == "Content-Length");
        let length = length.map_or(0, |field| {
            str::from_utf8(field.value).unwrap().parse().unwrap()
        });
        let answer = Self {
            status: response.code.unwrap(),
            head: String::from_utf8(bytes[..head].to_vec()).unwrap(),
            body: bytes[head..head + length].to_vec(),
        };
        (answer, &bytes[head + length..])
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.split("\r\n").skip(1);
        lines.find_map(|line| {
            let (other, value) = line.split_once(": ")?;
            (name == other).then_some(value)
        })
    }

    fn context(&self) -> String {
        self.field("X-Riak-Vclock").expect("a context").to_owned()
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

impl World {
    /// One request, and its only answer.
    fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        let said = self.say(request);
        let (answer, rest) = Answer::split(&said);
        assert!(rest.is_empty(), "{}", rest.escape_ascii());
        answer
    }

    /// Has done what the cluster is asked to note of a bucket, and the answer to that.
    fn noted(&mut self) -> Answer {
        self.note();
        let said = self.out.split();
        let (answer, rest) = Answer::split(&said);
        assert!(rest.is_empty(), "{}", rest.escape_ascii());
        answer
    }

    fn get(&mut self, path: &str, fields: &str) -> Answer {
        self.ask(request("GET", path, fields, ""))
    }

    fn put(&mut self, path: &str, fields: &str, body: &str) -> Answer {
        self.ask(request("PUT", path, fields, body))
    }
}

/// A request; `fields` is lines with their ends.
fn request(method: &str, path: &str, fields: &str, body: &str) -> String {
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}{length}\r\n{body}")
}
