//! The one task that owns a client's machine and its sockets.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time;

use dynamo_proto::{Instant, Limits};
use futures_channel::oneshot;

use crate::machine::{Action, Answer, Ask, AskId, Counts, Link, Machine, Trouble};
use crate::runtime::{Dialing, Runtime};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
/// How often one socket is read before the others have their turn.
const READS: usize = 4;

/// What callers leave for the pump, and what it leaves for them.
#[derive(Default)]
pub(crate) struct Post(Mutex<Letters>);

#[derive(Default)]
struct Letters {
    asks: Vec<(Ask, oneshot::Sender<Answer>)>,
    waker: Option<Waker>,
    limits: Option<Limits>,
    counts: Counts,
    is_closed: bool,
}

impl Post {
    /// Leaves a request. Nobody will answer it if the client is closed.
    pub(crate) fn ask(&self, ask: Ask) -> oneshot::Receiver<Answer> {
        let (tell, told) = oneshot::channel();
        let mut post = self.lock();
        if !post.is_closed {
            post.asks.push((ask, tell));
            if let Some(waker) = &post.waker {
                waker.wake_by_ref();
            }
        }
        told
    }

    /// Nobody will ask for anything any more.
    pub(crate) fn close(&self) {
        let mut post = self.lock();
        post.is_closed = true;
        post.asks.clear();
        if let Some(waker) = post.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn limits(&self) -> Option<Limits> {
        self.lock().limits
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        // Nothing panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the [module](self).
pub(crate) struct Pump<R: Runtime> {
    machine: Machine,
    post: Arc<Post>,
    start: time::Instant,
    /// By the index of their links.
    sockets: Vec<Option<Socket<R>>>,
    callers: BTreeMap<AskId, oneshot::Sender<Answer>>,
    met: Option<oneshot::Sender<Result<(), Trouble>>>,
    alarm: Option<(time::Instant, R::Alarm)>,
    buffer: Box<[u8]>,
}

struct Socket<R: Runtime> {
    link: Link,
    state: State<R>,
    /// Whether there is something to write.
    is_writing: bool,
}

enum State<R: Runtime> {
    Dialing(Dialing<R::Socket>),
    Open(R::Socket),
}

impl<R: Runtime> Pump<R> {
    pub(crate) fn new(
        machine: Machine,
        post: Arc<Post>,
        start: time::Instant,
        met: oneshot::Sender<Result<(), Trouble>>,
    ) -> Self {
        Self {
            machine,
            post,
            start,
            sockets: Vec::new(),
            callers: BTreeMap::new(),
            met: Some(met),
            alarm: None,
            buffer: vec![0; READ_BYTES].into(),
        }
    }

    fn now(&self) -> Instant {
        Instant::default() + self.start.elapsed()
    }

    /// Takes what callers have left. Returns whether that was all for ever.
    fn take_asks(&mut self, context: &Context<'_>) -> bool {
        let asks = {
            let mut post = self.post.lock();
            if post.is_closed {
                return true;
            }
            match &mut post.waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => post.waker = Some(context.waker().clone()),
            }
            std::mem::take(&mut post.asks)
        };
        let now = self.now();
        for (ask, caller) in asks {
            // Who does not wait for a read any more needs none.
            if !caller.is_canceled() {
                let id = self.machine.ask(now, ask);
                self.callers.insert(id, caller);
            }
        }
        false
    }

    /// Does what the machine says. Returns whether there was anything.
    fn act(&mut self) -> bool {
        let mut is_news = false;
        while let Some(action) = self.machine.poll() {
            is_news = true;
            match action {
                Action::Dial { link, address } => {
                    let at = link.index();
                    if at >= self.sockets.len() {
                        self.sockets.resize_with(at + 1, || None);
                    }
                    self.sockets[at] = Some(Socket {
                        link,
                        state: State::Dialing(R::dial(address)),
                        is_writing: false,
                    });
                }
                Action::Write(link) => {
                    if let Some(socket) = self.socket(link) {
                        socket.is_writing = true;
                    }
                }
                Action::Close(link) => {
                    if self.socket(link).is_some() {
                        self.sockets[link.index()] = None;
                    }
                }
                Action::Answer { ask, answer } => {
                    if let Some(caller) = self.callers.remove(&ask) {
                        let _ = caller.send(answer); // or nobody waits for it
                    }
                }
                Action::Met => {
                    if let Some(met) = self.met.take() {
                        let _ = met.send(Ok(()));
                    }
                }
                Action::NotMet(trouble) => {
                    if let Some(met) = self.met.take() {
                        let _ = met.send(Err(trouble));
                    }
                }
                Action::Learned(limits) => self.post.lock().limits = Some(limits),
            }
        }
        if is_news {
            self.post.lock().counts = self.machine.counts();
        }
        is_news
    }

    fn socket(&mut self, link: Link) -> Option<&mut Socket<R>> {
        let socket = self.sockets.get_mut(link.index())?.as_mut();
        socket.filter(|socket| socket.link == link)
    }

    /// Brings bytes from a socket to the machine and back. Returns whether there may be more.
    fn turn(&mut self, at: usize, context: &mut Context<'_>) -> bool {
        let now = Instant::default() + self.start.elapsed();
        let Some(socket) = self.sockets.get_mut(at).and_then(Option::as_mut) else {
            return false;
        };
        let link = socket.link;
        if let State::Dialing(dialing) = &mut socket.state {
            let Poll::Ready(dialed) = dialing.as_mut().poll(context) else {
                return false;
            };
            let is_connected = dialed.is_ok();
            if let Ok(stream) = dialed {
                socket.state = State::Open(stream);
            }
            self.machine.dialed(now, link, is_connected);
            return true;
        }
        let State::Open(stream) = &mut socket.state else {
            return false;
        };
        while socket.is_writing {
            let outgoing = self.machine.outgoing(link);
            if outgoing.is_empty() {
                socket.is_writing = false;
                break;
            }
            match R::poll_write(stream, context, outgoing) {
                Poll::Pending => break,
                Poll::Ready(Ok(len @ 1..)) => self.machine.sent(now, link, len),
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.machine.closed(now, link);
                    return true;
                }
            }
        }
        for _ in 0..READS {
            match R::poll_read(stream, context, &mut self.buffer) {
                Poll::Pending => return false,
                Poll::Ready(Ok(len @ 1..)) => self.machine.received(now, link, &self.buffer[..len]),
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.machine.closed(now, link);
                    return true;
                }
            }
        }
        true
    }

    fn set_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.machine.next_deadline() else {
            self.alarm = None;
            return Poll::Pending;
        };
        let due = self.start + time::Duration::from_nanos(due.as_nanos());
        if due <= time::Instant::now() {
            return Poll::Ready(());
        }
        let (set, alarm) = self.alarm.get_or_insert_with(|| (due, R::alarm(due)));
        if due < *set {
            (*set, *alarm) = (due, R::alarm(due));
        }
        if Pin::new(alarm).poll(context).is_ready() {
            self.alarm = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl<R: Runtime> Unpin for Pump<R> {}

impl<R: Runtime> Future for Pump<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.take_asks(context) {
                return Poll::Ready(());
            }
            let mut is_busy = self.act();
            for at in 0..self.sockets.len() {
                is_busy |= self.turn(at, context);
            }
            is_busy |= self.act();
            if self.set_alarm(context).is_ready() {
                let now = self.now();
                self.machine.tick(now);
                is_busy = true;
            }
            if !is_busy {
                return Poll::Pending;
            }
        }
    }
}

impl<R: Runtime> Drop for Pump<R> {
    fn drop(&mut self) {
        self.post.close();
    }
}
