//! The other nodes of a process, and the mailboxes to and from each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dynamo_driver::driver::Driver;
use dynamo_mailbox::{Bound, Receiver, Refused, Sender, mailbox};
use dynamo_proto::node::Unsent;
use dynamo_proto::wire::Message;
use dynamo_proto::{NodeId, Now};

use crate::bells::{Bell, Bells, Ringer};

/// Most messages that wait for one node from one other.
const MESSAGES: usize = 16 << 10;

/// The other nodes of a process, as one of them has them.
#[derive(Default)]
pub(crate) struct Beside {
    neighbours: Vec<Neighbour>,
    /// Kept for its room.
    taken: Vec<Message>,
}

struct Neighbour {
    node: NodeId,
    address: SocketAddr,
    sender: Sender<Message>,
    /// None once it is gone.
    receiver: Option<Receiver<Message>>,
    bell: Arc<Bell>,
}

/// A node among those of its process: all of them end together.
pub(crate) struct Place {
    company: Arc<Company>,
    has_finished: bool,
}

struct Company {
    /// How many have something to finish.
    busy: AtomicUsize,
    all: Vec<Arc<Bells>>,
}

/// A node that is to be linked with the others of its process.
pub(crate) struct Single {
    pub(crate) node: NodeId,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pub(crate) bells: Arc<Bells>,
    /// How many bytes may wait for it from one other.
    pub(crate) bytes: usize,
}

/// Links all nodes of a process.
pub(crate) fn link(nodes: &[Single]) -> Vec<(Beside, Place)> {
    let company = Arc::new(Company {
        busy: AtomicUsize::new(nodes.len()),
        all: nodes.iter().map(|it| it.bells.clone()).collect(),
    });
    let mut linked: Vec<_> = nodes
        .iter()
        .map(|_| {
            let place = Place {
                company: company.clone(),
                has_finished: false,
            };
            (Beside::default(), place)
        })
        .collect();
    for one in 0..nodes.len() {
        for other in one + 1..nodes.len() {
            let [first, second] = [one, other].map(|at| End::new(&nodes[at], &linked[at].0));
            let ((to_first, of_first), (to_second, of_second)) =
                (first.mailbox(), second.mailbox());
            let of_other = (to_second, of_first);
            linked[one].0.add(&nodes[other], of_other, first.bell);
            let of_one = (to_first, of_second);
            linked[other].0.add(&nodes[one], of_one, second.bell);
        }
    }
    linked
}

/// Where messages of one node arrive at another.
struct End {
    bell: Arc<Bell>,
    bytes: usize,
}

impl End {
    fn new(single: &Single, of: &Beside) -> Self {
        Self {
            bell: Bell::new(Ringer::Beside(of.neighbours.len()), &single.bells),
            bytes: single.bytes,
        }
    }

    fn mailbox(&self) -> (Sender<Message>, Receiver<Message>) {
        let bound = Bound {
            items: MESSAGES,
            bytes: self.bytes,
        };
        let bell = self.bell.clone();
        mailbox(bound, move || bell.ring())
    }
}

impl Beside {
    fn add(
        &mut self,
        other: &Single,
        (sender, receiver): (Sender<Message>, Receiver<Message>),
        bell: Arc<Bell>,
    ) {
        self.neighbours.push(Neighbour {
            node: other.node,
            address: other.address,
            sender,
            receiver: Some(receiver),
            bell,
        });
    }

    /// Tells the driver who is there.
    pub(crate) fn meet(&self, driver: &mut Driver, now: Now) {
        for neighbour in &self.neighbours {
            driver.met_beside(now, neighbour.node, neighbour.address);
        }
    }

    /// Moves a message to one of them, or gives it back.
    pub(crate) fn pass(&self, to: NodeId, message: Message, driver: &mut Driver, now: Now) {
        let bytes = message.encoded_len();
        let neighbour = self.neighbours.iter().find(|it| it.node == to);
        let (message, why) = match neighbour.map(|it| &it.sender) {
            None => (message, Unsent::Unreachable),
            Some(sender) => match sender.send(message, bytes) {
                Ok(()) => return,
                Err(Refused::Full(message)) => (message, Unsent::Full),
                Err(Refused::Closed(message)) => (message, Unsent::Unreachable),
            },
        };
        driver.unpassed(now, to, message, why);
    }

    /// Takes what one of them has said.
    pub(crate) fn turn(&mut self, at: usize, driver: &mut Driver, now: Now) {
        let neighbour = &mut self.neighbours[at];
        neighbour.bell.answer();
        let Some(receiver) = &mut neighbour.receiver else {
            return;
        };
        if receiver.take(&mut self.taken).is_err() {
            neighbour.receiver = None;
            driver.left_beside(now, neighbour.node);
        }
        for message in self.taken.drain(..) {
            driver.passed(now, neighbour.node, message);
        }
    }
}

impl Place {
    /// This node has finished what was under way. Returns whether all have.
    pub(crate) fn finish(&mut self) -> bool {
        if !std::mem::replace(&mut self.has_finished, true)
            && self.company.busy.fetch_sub(1, Ordering::AcqRel) == 1
        {
            self.company.all.iter().for_each(|bells| bells.wake());
        }
        self.company.busy.load(Ordering::Acquire) == 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.finish();
    }
}
