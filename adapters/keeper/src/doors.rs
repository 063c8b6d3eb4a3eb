//! The doors of a node: who comes in, a few at a time.

use std::net::TcpListener;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dynamo_driver::driver::Driver;
use dynamo_proto::{Instant, Now};

use crate::bells::{Bell, Bells, Ringer};
use crate::reactor::Reactor;
use crate::server::{Door, StartError};
use crate::sockets::Sockets;

/// How many are let in at a door before others have their turn.
const ACCEPTS: usize = 64;

/// How long to wait if the machine gives out no more sockets.
const NO_SOCKET: Duration = Duration::from_millis(100);

pub(crate) struct Doors<R: Reactor> {
    doors: Vec<Guarded<R>>,
    /// None is opened before.
    closed_until: Option<Instant>,
}

struct Guarded<R: Reactor> {
    listener: R::Listener,
    door: Door,
    bell: Arc<Bell>,
    waker: Waker,
}

impl<R: Reactor> Doors<R> {
    pub(crate) fn new(
        doors: Vec<(TcpListener, Door)>,
        bells: &Arc<Bells>,
    ) -> Result<Self, StartError> {
        let guard = |(at, (listener, door))| {
            let bell = Bell::new(Ringer::Door(at), bells);
            bell.ring();
            Ok::<_, StartError>(Guarded {
                listener: R::listen(listener).map_err(StartError::Listener)?,
                door,
                waker: Waker::from(bell.clone()),
                bell,
            })
        };
        Ok(Self {
            doors: doors
                .into_iter()
                .enumerate()
                .map(guard)
                .collect::<Result<_, _>>()?,
            closed_until: None,
        })
    }

    /// Lets in who is at a door.
    pub(crate) fn turn(
        &mut self,
        at: usize,
        driver: &mut Driver,
        sockets: &mut Sockets<R>,
        now: Now,
    ) {
        // All are rung when they may be opened again; none is left when the node stops.
        let Some(guarded) = self
            .doors
            .get_mut(at)
            .filter(|_| self.closed_until.is_none())
        else {
            return;
        };
        guarded.bell.answer();
        let mut context = Context::from_waker(&guarded.waker);
        for _ in 0..ACCEPTS {
            match R::poll_accept(&mut guarded.listener, &mut context) {
                Poll::Pending => return,
                Poll::Ready(Ok(stream)) => {
                    let link = driver.accepted(now, guarded.door.entrance());
                    sockets.insert(link, stream);
                }
                Poll::Ready(Err(_)) => {
                    self.closed_until = Some(now.mono + NO_SOCKET);
                    return;
                }
            }
        }
        guarded.bell.ring();
    }

    /// When to [reopen](Self::reopen) them, if at all.
    pub(crate) fn closed_until(&self) -> Option<Instant> {
        self.closed_until
    }

    /// Looks at all of them again, if it is time.
    pub(crate) fn reopen(&mut self, now: Now) {
        if self.closed_until.is_some_and(|until| until <= now.mono) {
            self.closed_until = None;
            for guarded in &self.doors {
                guarded.bell.answer();
                guarded.bell.ring();
            }
        }
    }

    /// Closes them for ever.
    pub(crate) fn clear(&mut self) {
        self.doors.clear();
        self.closed_until = None;
    }
}
