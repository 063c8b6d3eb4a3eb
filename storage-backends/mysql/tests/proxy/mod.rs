//! A line to a server that can be cut at a chosen word.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Where the line is cut, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never hears this word.
    At(&'static str),
    /// It hears it, and its answer is lost.
    Behind(&'static str),
    /// It hears it [later](LATE), when the client has long been cut off.
    LateAt(&'static str),
    /// When so many bytes were sent.
    AfterBytes(usize),
}

pub(crate) const LATE: Duration = Duration::from_millis(500);

pub(crate) struct Proxy {
    url: String,
    next: Arc<Mutex<Option<Cut>>>,
}

impl Proxy {
    /// To the server of this URL, from a port of its own.
    pub(crate) fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (before, after) = url.split_once('@').unwrap();
        let (server, database) = after.split_once('/').unwrap();
        let server = server.to_owned();
        let next = Arc::new(Mutex::new(None));
        let cuts = Arc::clone(&next);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                let cuts = Arc::clone(&cuts);
                thread::spawn(move || forward(&client, &server, &cuts));
            }
        });
        Self {
            url: format!("{before}@127.0.0.1:{port}/{database}"),
            next,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The next time that it comes to this.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.next.lock().unwrap() = Some(cut);
    }
}

fn forward(client: &TcpStream, server: &TcpStream, cuts: &Mutex<Option<Cut>>) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut from, mut to) = (server, client);
            let _ = std::io::copy(&mut from, &mut to);
            let _ = client.shutdown(Shutdown::Both);
        });
        let (mut from, mut to) = (client, server);
        let mut buffer = [0; 1 << 16];
        let mut sent = None;
        loop {
            let len = match from.read(&mut buffer) {
                Ok(len) if len > 0 => len,
                _ => break,
            };
            let bytes = &buffer[..len];
            let is_said = |word: &str| bytes.windows(word.len()).any(|it| it == word.as_bytes());
            let mut next = cuts.lock().unwrap();
            if let Some(Cut::AfterBytes(_)) = *next {
                *sent.get_or_insert(0) += len;
            }
            let cut = next.take_if(|cut| match cut {
                Cut::At(word) | Cut::Behind(word) | Cut::LateAt(word) => is_said(word),
                Cut::AfterBytes(bytes) => sent.is_some_and(|sent| sent > *bytes),
            });
            drop(next);
            match cut {
                None => {
                    if to.write_all(bytes).is_err() {
                        break;
                    }
                    continue;
                }
                Some(Cut::At(_) | Cut::AfterBytes(_)) => {}
                Some(Cut::Behind(_)) => {
                    client.shutdown(Shutdown::Both).unwrap();
                    to.write_all(bytes).unwrap();
                    thread::sleep(LATE / 2);
                }
                Some(Cut::LateAt(_)) => {
                    client.shutdown(Shutdown::Both).unwrap();
                    thread::sleep(LATE);
                    to.write_all(bytes).unwrap();
                    thread::sleep(LATE);
                }
            }
            break;
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    });
}
