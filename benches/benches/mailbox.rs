//! From one thread to another and back: frames through two mailboxes, beside a connection over
//! loopback.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::Throughput;
use dynamo_benches::criterion;
use dynamo_mailbox::{Bound, Receiver, Sender, mailbox};

/// Of a frame.
const BYTES: usize = 1024;

/// How many are sent before the first is waited for.
const AT_ONCE: [usize; 2] = [1, 64];

fn main() {
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("there and back");
    for at_once in AT_ONCE {
        group.throughput(Throughput::Elements(at_once as u64));
        group.bench_function(format!("mailbox, {at_once} at a time"), |bencher| {
            let mut through = Mailboxes::open();
            bencher.iter_custom(|iterations| time(iterations, || through.there_and_back(at_once)));
        });
        group.bench_function(format!("loopback, {at_once} at a time"), |bencher| {
            let mut through = Loopback::open().expect("there is a port");
            bencher.iter_custom(|iterations| {
                time(iterations, || {
                    through
                        .there_and_back(at_once)
                        .expect("the other side listens");
                })
            });
        });
    }
    group.finish();
    criterion.final_summary();
}

fn time(iterations: u64, mut exchange: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..iterations).for_each(|_| exchange());
    start.elapsed()
}

/// Where a thread sends, and where it waits for the answers.
struct Mailboxes {
    sender: Sender<Bytes>,
    receiver: Receiver<Bytes>,
    frame: Bytes,
    taken: Vec<Bytes>,
}

impl Mailboxes {
    /// With a thread on the other side that sends back what it gets.
    fn open() -> Self {
        let (sender, mut theirs, they) = belled();
        let (back, receiver, we) = belled();
        we.get_or_init(thread::current);
        thread::spawn(move || {
            they.get_or_init(thread::current);
            let mut taken = Vec::new();
            while theirs.take(&mut taken).is_ok() {
                if taken.is_empty() {
                    thread::park();
                }
                for frame in taken.drain(..) {
                    back.send(frame, BYTES).expect("as much fits back as there");
                }
            }
        });
        Self {
            sender,
            receiver,
            frame: Bytes::from(vec![7; BYTES]),
            taken: Vec::new(),
        }
    }

    fn there_and_back(&mut self, count: usize) {
        for _ in 0..count {
            let sent = self.sender.send(self.frame.clone(), BYTES);
            sent.expect("there is room for them");
        }
        let mut back = 0;
        while back < count {
            self.receiver
                .take(&mut self.taken)
                .expect("the other side is there");
            if self.taken.is_empty() {
                thread::park();
            }
            back += self.taken.drain(..).count();
        }
    }
}

/// A mailbox that wakes the thread which is told it.
fn belled() -> (Sender<Bytes>, Receiver<Bytes>, Arc<OnceLock<Thread>>) {
    let reader = Arc::new(OnceLock::<Thread>::new());
    let woken = reader.clone();
    let wake = move || {
        if let Some(reader) = woken.get() {
            reader.unpark();
        }
    };
    let bound = Bound {
        items: 1024,
        bytes: 1 << 20,
    };
    let (sender, receiver) = mailbox(bound, wake);
    (sender, receiver, reader)
}

/// A connection, with a thread on the other side that sends back what it gets.
struct Loopback {
    stream: TcpStream,
    frames: Vec<u8>,
}

impl Loopback {
    fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        stream.set_nodelay(true)?;
        let (mut theirs, _) = listener.accept()?;
        theirs.set_nodelay(true)?;
        thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(len @ 1..) = theirs.read(&mut bytes) {
                if theirs.write_all(&bytes[..len]).is_err() {
                    return;
                }
            }
        });
        let frames = vec![7; BYTES * AT_ONCE[AT_ONCE.len() - 1]];
        Ok(Self { stream, frames })
    }

    fn there_and_back(&mut self, count: usize) -> io::Result<()> {
        let frames = &mut self.frames[..count * BYTES];
        self.stream.write_all(frames)?;
        self.stream.read_exact(frames)
    }
}
