//! Clients that speak text, as bytes: RESP and HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::client::SILENCE;

/// The body of an answer to a GET.
pub(crate) fn get(node: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(node).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: dynamo\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    body.into()
}

/// A command of RESP.
pub(crate) fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// A client of RESP.
pub(crate) struct Line(TcpStream);

impl Line {
    pub(crate) fn connect(node: SocketAddr) -> Self {
        let socket = TcpStream::connect(node).unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        Self(socket)
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// So many bytes.
    pub(crate) fn hear(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whatever there is next; nothing if that was all.
    pub(crate) fn hear_some(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        let len = self.0.read(&mut bytes).unwrap();
        bytes.truncate(len);
        bytes
    }

    /// All that there is until the end.
    pub(crate) fn hear_out(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        bytes
    }
}
