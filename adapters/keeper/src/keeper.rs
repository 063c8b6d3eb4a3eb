//! The one task that owns a node: it hands in what happens and does what comes of it.
//!
//! Nothing here waits but for the next thing to happen. Each time, all sockets that have something
//! are read first, then the store's answers; only then is anything written, so that all that was
//! said to one connection meanwhile leaves at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use dynamo_driver::PeerStatus;
use dynamo_driver::driver::{Action, Driver, Link};
use dynamo_mailbox::Receiver;
use dynamo_proto::version::Boot;
use dynamo_proto::{Instant, Now};

use crate::bells::{Listening, Ringer};
use crate::beside::{Beside, Place};
use crate::board::{Company, Teller};
use crate::clock::Clock;
use crate::doors::Doors;
use crate::reactor::Reactor;
use crate::server::{Prepared, Question, ServeError, StartError};
use crate::sockets::Sockets;
use crate::store::Keeping;
use crate::timer::Timer;

/// How long what is under way may take when the node is stopped.
const GRACE: Duration = Duration::from_secs(10);

/// A node with its sockets, as one future: ready when the node has stopped or halted, and its sockets
/// are dropped.
pub struct Keeper<R: Reactor>(Option<Kept<R>>);

/// A node that has ended, with its store still open. If it is dropped, the node passes for lost.
#[must_use]
pub struct Ended {
    how: Result<(), ServeError>,
    store: Keeping,
    teller: Teller,
}

struct Kept<R: Reactor> {
    driver: Driver,
    store: Keeping,
    doors: Doors<R>,
    sockets: Sockets<R>,
    bells: Listening,
    clock: Clock,
    timer: Timer<R>,
    teller: Teller,
    questions: Receiver<Question>,
    beside: Beside,
    place: Place,
    /// The node was told to stop; who still waits for an answer then gets none.
    drained_at: Option<Instant>,
    /// Kept for their room.
    asked: Vec<Question>,
    rung: Vec<Ringer>,
    writes: Vec<Link>,
}

impl Prepared {
    /// The task that serves the node. To be called in the runtime that will poll it.
    pub fn keep<R: Reactor>(self) -> Result<Keeper<R>, StartError> {
        Ok(Keeper(Some(Kept {
            driver: self.node.driver,
            store: self.node.store,
            doors: Doors::new(self.doors, &self.bells)?,
            sockets: Sockets::new(self.bells.clone()),
            bells: Listening(self.bells),
            clock: self.node.clock,
            timer: Timer::new(),
            teller: self.teller,
            questions: self.questions,
            beside: self.beside,
            place: self.place,
            drained_at: None,
            asked: Vec::new(),
            rung: Vec::new(),
            writes: Vec::new(),
        })))
    }
}

impl<R: Reactor> Future for Keeper<R> {
    type Output = Ended;

    /// # Panics
    ///
    /// If it was ready before.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let kept = self.0.as_mut().expect("it is not ready yet");
        let how = ready!(kept.turn(context));
        let Kept { store, teller, .. } = self.0.take().expect("it was there just now");
        Poll::Ready(Ended { how, store, teller })
    }
}

impl Ended {
    /// Flushes and closes the store, in a thread of its own, since that can take long. Then the
    /// [`Server`](crate::Server) is told that all is over.
    pub fn close(self) {
        let Self { how, store, teller } = self;
        let closing = move || {
            let closed = store.close();
            let closed = closed.map_err(|error| ServeError::Close(Arc::new(error)));
            teller.ended(how.and(closed));
        };
        // Without a thread the node passes for lost; what was answered is as safe as before.
        let _ = thread::Builder::new()
            .name("dynamo-close".into())
            .spawn(closing);
    }
}

impl<R: Reactor> Kept<R> {
    /// Looks after everything once. Ready if the node has halted, or has finished after it was told
    /// to stop.
    ///
    /// All that is found to have happened, has happened now: the clock is read once.
    fn turn(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ServeError>> {
        self.bells.0.wake_me(context);
        let mut now = self.clock.now();
        self.answer_questions(now);
        if let Err(error) = self.look_around(now) {
            return Poll::Ready(Err(error));
        }
        while self.poll_deadline(context).is_ready() {
            now = self.clock.now();
            self.driver.tick(now);
            self.doors.reopen(now);
            if let Err(error) = self.act_and_write(now) {
                return Poll::Ready(Err(error));
            }
        }
        self.tell_company();
        let is_late = self.drained_at.is_some_and(|at| at <= now.mono);
        if is_late || (self.driver.is_drained() && self.place.finish()) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Takes in what has come at doors, on sockets and from the store, and does what follows.
    fn look_around(&mut self, now: Now) -> Result<(), ServeError> {
        self.bells.0.take(&mut self.rung);
        let mut rung = std::mem::take(&mut self.rung);
        for ringer in rung.drain(..) {
            let (driver, sockets) = (&mut self.driver, &mut self.sockets);
            match ringer {
                Ringer::Socket(link) => sockets.turn(link, driver, now),
                Ringer::Door(at) => self.doors.turn(at, driver, sockets, now),
                Ringer::Beside(at) => self.beside.turn(at, driver, now),
            }
            // At once: what was read holds its buffer until the store has what is in it.
            self.act(now)?;
        }
        self.rung = rung;
        if self.bells.0.has_stored() {
            self.store.tell(&mut self.driver, now)?;
        }
        self.act_and_write(now)
    }

    /// Does all that the driver wants but writing.
    fn act(&mut self, now: Now) -> Result<(), ServeError> {
        while let Some(action) = self.driver.poll() {
            match action {
                Action::Write(link) => self.writes.push(link),
                Action::Read(link) => self.sockets.turn(link, &mut self.driver, now),
                Action::Pass { to, message } => {
                    self.beside.pass(to, message, &mut self.driver, now);
                }
                Action::Store { op, command } => {
                    self.store.ask(&mut self.driver, now, op, command);
                }
                Action::Dial { link, address } => self.sockets.dial(link, address),
                Action::Close(link) => self.sockets.close(link),
                Action::Draw => {
                    let boot = Boot(getrandom::u64()?);
                    self.driver.drawn(now, boot);
                }
                Action::Halt(reason) => return Err(reason.into()),
            }
        }
        Ok(())
    }

    /// Does all that the driver wants, and writes last.
    fn act_and_write(&mut self, now: Now) -> Result<(), ServeError> {
        loop {
            self.act(now)?;
            if self.writes.is_empty() {
                return Ok(());
            }
            let mut writes = std::mem::take(&mut self.writes);
            for link in writes.drain(..) {
                self.sockets.write(link, &mut self.driver, now);
            }
            self.writes = writes;
        }
    }

    /// Answers what is asked about the node. Nobody is left to ask: it is to stop.
    fn answer_questions(&mut self, now: Now) {
        if !self.bells.0.has_asked() {
            return;
        }
        let taken = self.questions.take(&mut self.asked);
        for question in self.asked.drain(..) {
            question(&self.driver.site());
        }
        if taken.is_err() && self.drained_at.is_none() {
            self.doors.clear();
            self.driver.stop(now);
            self.drained_at = Some(now.mono + GRACE);
        }
    }

    /// Ready when something is due.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let of_driver = self.driver.next_deadline();
        let due = [of_driver, self.doors.closed_until(), self.drained_at];
        match due.into_iter().flatten().min() {
            Some(due) => self.timer.poll_until(self.clock.moment(due), context),
            None => Poll::Pending,
        }
    }

    fn tell_company(&mut self) {
        let site = self.driver.site();
        let count =
            |is_one: fn(&PeerStatus) -> bool| site.peers.iter().filter(|it| is_one(it)).count();
        self.teller.company(Company {
            connected: count(|peer| peer.connected.is_some()),
            missing: count(|peer| peer.is_member && peer.connected.is_none()),
            is_serving: site.is_ready,
        });
    }
}
