//! What a node tells its handle: written by one, waited for by any.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::server::ServeError;

/// How a node is.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) company: Company,
    pub(crate) ended: Option<Result<(), ServeError>>,
}

/// Who is with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Company {
    /// How many other nodes it is connected to.
    pub(crate) connected: usize,
    /// How many members of its cluster it is not connected to.
    pub(crate) missing: usize,
    /// Whether it serves requests.
    pub(crate) is_serving: bool,
}

/// Where it stands written.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    status: Status,
    waiting: Vec<Waker>,
}

/// Whoever writes. If it goes without having told how the node ended, the node is lost.
pub(crate) struct Teller {
    board: Arc<Board>,
    /// What it has told.
    company: Company,
}

impl Board {
    pub(crate) fn look<A>(&self, look: impl FnOnce(&Status) -> A) -> A {
        look(&self.lock().status)
    }

    /// Waits until what is seen there is an answer.
    pub(crate) async fn wait_for<A>(&self, look: impl Fn(&Status) -> Option<A>) -> A {
        std::future::poll_fn(|context| {
            let mut written = self.lock();
            match look(&written.status) {
                Some(answer) => Poll::Ready(answer),
                None => {
                    let waker = context.waker();
                    if !written.waiting.iter().any(|it| it.will_wake(waker)) {
                        written.waiting.push(waker.clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        let waiting = {
            let mut written = self.lock();
            change(&mut written.status);
            std::mem::take(&mut written.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        // Nothing panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Teller {
    pub(crate) fn new(board: Arc<Board>) -> Self {
        let company = Company::default();
        Self { board, company }
    }

    pub(crate) fn company(&mut self, company: Company) {
        if self.company != company {
            self.company = company;
            self.board.change(|status| status.company = company);
        }
    }

    pub(crate) fn ended(self, how: Result<(), ServeError>) {
        self.board.change(|status| status.ended = Some(how));
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.board.change(|status| {
            status.ended.get_or_insert(Err(ServeError::Lost));
        });
    }
}
