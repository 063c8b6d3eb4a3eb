//! What one client has asked for and was not answered yet.
//!
//! Requests on one key keep their order: a write waits for all that came before it, a read for the
//! writes. All others run side by side, up to a bound.

use std::collections::VecDeque;

use bytes::Bytes;
use dynamo_proto::Instant;
use dynamo_proto::node::{Listing, Operation, Request};
use dynamo_proto::version::Content;
use smallvec::SmallVec;

/// A request that may start now.
#[derive(Debug)]
pub(crate) struct Start {
    /// Its name within the session.
    pub(crate) number: u64,
    pub(crate) request: Request,
    pub(crate) arrived: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Session {
    /// In the order in which they came, so by number.
    asked: VecDeque<Asked>,
    next: u64,
    running: usize,
    bytes: usize,
    /// Whether there was no room for more when last somebody looked.
    pub(crate) is_blocked: bool,
}

#[derive(Debug)]
struct Asked {
    number: u64,
    /// What the client calls it.
    ticket: u64,
    token: u128,
    is_write: bool,
    bytes: usize,
    /// How many that came before it must be answered first.
    before: usize,
    waiting: Option<Box<(Request, Instant)>>,
}

impl Session {
    /// How many requests are not answered.
    pub(crate) fn len(&self) -> usize {
        self.asked.len()
    }

    /// How many bytes those are that the node or the session has.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a request in, and gives it back if it may start now.
    pub(crate) fn ask(
        &mut self,
        ticket: u64,
        request: Request,
        leads_to_write: bool,
        arrived: Instant,
        most_running: usize,
    ) -> Option<Start> {
        let number = self.next;
        self.next += 1;
        let token = request.key.token().0;
        let is_read = matches!(
            request.operation,
            Operation::Get { .. } | Operation::Fetch { .. } | Operation::List(_)
        );
        let is_write = leads_to_write || !is_read;
        let conflicts = |earlier: &&Asked| earlier.is_in_the_way_of(token, is_write);
        let before = self.asked.iter().filter(conflicts).count();
        let bytes = bytes(&request);
        self.bytes += bytes;
        let starts = before == 0 && self.running < most_running;
        let (start, waiting) = if starts {
            self.running += 1;
            let start = Start {
                number,
                request,
                arrived,
            };
            (Some(start), None)
        } else {
            (None, Some(Box::new((request, arrived))))
        };
        self.asked.push_back(Asked {
            number,
            ticket,
            token,
            is_write,
            bytes,
            before,
            waiting,
        });
        start
    }

    /// The ticket of one that is running.
    pub(crate) fn ticket(&self, number: u64) -> Option<u64> {
        Some(self.asked[self.at(number)?].ticket)
    }

    /// One that was running goes on with another request, and is not answered yet.
    pub(crate) fn go_on(
        &mut self,
        number: u64,
        request: Request,
        arrived: Instant,
    ) -> Option<Start> {
        let at = self.at(number)?;
        let (before, after) = (self.asked[at].bytes, bytes(&request));
        self.asked[at].bytes = after;
        self.bytes = self.bytes - before + after;
        Some(Start {
            number,
            request,
            arrived,
        })
    }

    /// One that was running is answered. What may start now.
    pub(crate) fn answered(&mut self, number: u64, most_running: usize) -> SmallVec<[Start; 1]> {
        let mut started = SmallVec::new();
        let Some(done) = self.at(number).and_then(|at| self.asked.remove(at)) else {
            return started;
        };
        self.running -= 1;
        self.bytes -= done.bytes;
        if self.running == self.asked.len() {
            return started;
        }
        for later in self.asked.iter_mut().filter(|it| it.number > number) {
            if done.is_in_the_way_of(later.token, later.is_write) {
                later.before -= 1;
            }
        }
        for asked in self.asked.iter_mut().filter(|it| it.before == 0) {
            if self.running >= most_running {
                break;
            }
            if let Some(waiting) = asked.waiting.take() {
                let (request, arrived) = *waiting;
                self.running += 1;
                started.push(Start {
                    number: asked.number,
                    request,
                    arrived,
                });
            }
        }
        started
    }

    fn at(&self, number: u64) -> Option<usize> {
        let at = self.asked.binary_search_by_key(&number, |it| it.number);
        at.ok()
    }
}

impl Asked {
    /// Whether that has to wait for this. Tokens are equal for one key, and by chance for no other.
    fn is_in_the_way_of(&self, token: u128, is_write: bool) -> bool {
        (self.is_write || is_write) && self.token == token
    }
}

/// About as much memory as a request keeps.
fn bytes(request: &Request) -> usize {
    let body = match &request.operation {
        Operation::Put {
            content: Content::Live { metadata, body },
            ..
        } => metadata.encoded().len() + body.len(),
        Operation::Update {
            update, context, ..
        } => update.bytes() + context.as_ref().map_or(0, Bytes::len),
        Operation::List(Listing { span, .. }) => {
            let end = span.end().map_or(0, |end| end.name.len());
            span.first().name.len() + end
        }
        Operation::Put { .. } | Operation::Get { .. } | Operation::Fetch { .. } => 0,
    };
    size_of::<Request>() + request.key.encoded().len() + body
}

#[cfg(test)]
mod tests {
    use dynamo_proto::node::{Condition, Mode, Options};
    use dynamo_proto::version::RequestId;
    use dynamo_proto::{Key, Limits};

    use super::*;

    fn request(key: &str, is_write: bool) -> Request {
        let operation = if is_write {
            Operation::Put {
                fastest: None,
                mode: Mode::Blind,
                content: Content::plain("tea"),
                condition: Condition::None,
            }
        } else {
            Operation::read()
        };
        Request {
            id: RequestId(1),
            is_retry: false,
            key: Key::new("default", "carts", key, &Limits::default()).expect("a key"),
            operation,
            options: Options::default(),
        }
    }

    /// Asks for these in turn, `R`, `W` or `D` and a key, and returns which start at once. `D` reads
    /// in order to delete.
    fn ask(session: &mut Session, most: usize, what: &[&str]) -> Vec<u64> {
        let mut started = Vec::new();
        for (ticket, what) in what.iter().enumerate() {
            let (verb, key) = what.split_at(1);
            let request = request(key, verb == "W");
            let start = session.ask(
                ticket as u64,
                request,
                verb == "D",
                Instant::default(),
                most,
            );
            started.extend(start.map(|start| start.number));
        }
        started
    }

    fn answer(session: &mut Session, most: usize, number: u64) -> Vec<u64> {
        assert_eq!(
            session.ticket(number),
            Some(number),
            "both count from 0 here"
        );
        let started = session.answered(number, most);
        started.iter().map(|start| start.number).collect()
    }

    #[test]
    fn a_write_waits_for_what_came_before_it_on_its_key_and_a_read_for_writes() {
        let mut session = Session::default();
        let most = 100;
        let at_once = ask(
            &mut session,
            most,
            &["Ra", "Ra", "Wa", "Ra", "Ra", "Wb", "Rb"],
        );
        assert_eq!(at_once, [0, 1, 5]);
        assert!(answer(&mut session, most, 1).is_empty());
        assert_eq!(answer(&mut session, most, 0), [2]);
        assert_eq!(answer(&mut session, most, 2), [3, 4]);
        assert_eq!(answer(&mut session, most, 5), [6]);
        for number in [3, 4, 6] {
            assert!(answer(&mut session, most, number).is_empty());
        }
        assert_eq!((session.len(), session.bytes()), (0, 0));
        assert!(session.answered(3, most).is_empty(), "once is enough");
        assert_eq!(session.ticket(3), None);
    }

    #[test]
    fn what_goes_on_keeps_its_turn() {
        let mut session = Session::default();
        assert_eq!(ask(&mut session, 9, &["Da", "Ra", "Wa"]), [0]);
        let delete = request("a", true);
        let going_on = session.go_on(0, delete, Instant::default());
        assert_eq!(going_on.expect("it runs").number, 0);
        assert_eq!(answer(&mut session, 9, 0), [1]);
        assert_eq!(answer(&mut session, 9, 1), [2]);
        assert!(answer(&mut session, 9, 2).is_empty());
        assert_eq!(session.bytes(), 0);
    }

    #[test]
    fn no_more_run_than_may_and_the_others_follow_in_order() {
        let mut session = Session::default();
        assert_eq!(
            ask(&mut session, 2, &["Ra", "Wb", "Wa", "Rc", "Rd"]),
            [0, 1]
        );
        assert_eq!(
            answer(&mut session, 2, 1),
            [3],
            "2 waits for 0, and lets pass"
        );
        assert_eq!(answer(&mut session, 2, 0), [2]);
        assert_eq!(answer(&mut session, 2, 3), [4]);
    }
}
