//! Where connections meet their node: from a fresh socket to its end.
//!
//! It promises that a handshake does not take long, that of two nodes only one dials the other, that
//! nobody passes for a node who is no member, and that there are no more clients than there is room
//! for. What is said then is [`Talk`]'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dynamo_driver::{Connection, Identity};
use dynamo_proto::ring::Ring;
use dynamo_proto::wire::Role;
use dynamo_proto::{Limits, NodeId};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::line::{Line, Lost};
use crate::mail::{Arrival, Link, outbox};
use crate::random;
use crate::talk::{ARRIVED_BYTES, OUTGOING_BYTES, Talk};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Most clients at once.
const CLIENTS: usize = 1024;

/// Most requests of one client that are not answered; it is not read from meanwhile.
const UNANSWERED: usize = 64;

/// Most messages that wait for one other node.
const MESSAGES_TO_PEER: usize = 4096;

/// Most messages that wait for the node.
pub(crate) const ARRIVALS: usize = 1024;

/// What all connections of one node share.
pub(crate) struct Lobby {
    identity: Identity,
    limits: Limits,
    ring: Arc<Ring>,
    node: mpsc::Sender<Arrival>,
    /// Room for the bytes of what waits for the node.
    pub(crate) arrived_bytes: Arc<Semaphore>,
    clients: Arc<Semaphore>,
    links: AtomicU64,
}

/// Who began a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opener {
    We,
    They,
}

impl Lobby {
    pub(crate) fn new(
        identity: Identity,
        limits: Limits,
        ring: Arc<Ring>,
        node: mpsc::Sender<Arrival>,
    ) -> Self {
        Self {
            identity,
            limits,
            ring,
            node,
            arrived_bytes: Arc::new(Semaphore::new(ARRIVED_BYTES as usize)),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            links: AtomicU64::new(0),
        }
    }

    /// A connection that we are asked for, until it ends. `stranger` is given back once it is known
    /// who that is.
    pub(crate) async fn welcome(
        &self,
        socket: TcpStream,
        stranger: OwnedSemaphorePermit,
    ) -> Result<(), Lost> {
        let nonce = random::nonce()?;
        let bound = self.outgoing_bytes();
        let connection = Connection::accept(self.identity, nonce, self.limits, bound);
        let (line, role) = establish(socket, connection).await?;
        drop(stranger);
        self.converse(line, role, Opener::They).await;
        Ok(())
    }

    /// A connection to a node, until it ends. An error if it never was established.
    pub(crate) async fn visit(&self, socket: TcpStream, peer: NodeId) -> Result<(), Lost> {
        let nonce = random::nonce()?;
        let hello = self.identity.hello(nonce);
        let bound = self.outgoing_bytes();
        let connection = Connection::dial(hello, Some(peer), self.limits, bound);
        let (line, role) = establish(socket, connection).await?;
        self.converse(line, role, Opener::We).await;
        Ok(())
    }

    /// The bound of a connection's own buffer: with it no message that is taken is ever refused.
    fn outgoing_bytes(&self) -> usize {
        OUTGOING_BYTES + self.limits.frame_bytes
    }

    async fn converse(&self, line: Line, role: Role, opener: Opener) {
        let (most_unanswered, queue, _place) = match role {
            Role::Client => match self.clients.clone().try_acquire_owned() {
                Ok(place) => (UNANSWERED, UNANSWERED, Some(place)),
                Err(_) => return,
            },
            Role::Peer { node, .. } if self.may_be(node, opener) => {
                (usize::MAX, MESSAGES_TO_PEER, None)
            }
            Role::Peer { .. } => return,
        };
        let (outbox, posted) = outbox(queue);
        let link = Link(self.links.fetch_add(1, Ordering::Relaxed));
        self.tell(Arrival::Opened { link, role, outbox }).await;
        let talk = Talk::new(self, line, posted, (link, role), most_unanswered);
        // However it ended, the node is told that it did, and nobody else asks.
        let _ = talk.run().await;
        self.tell(Arrival::Closed { link }).await;
    }

    /// Whether the other side of a connection may be that node. Of two nodes the one with the
    /// smaller id dials, so that a pair has one connection.
    fn may_be(&self, node: NodeId, opener: Opener) -> bool {
        let is_in_order = match opener {
            Opener::We => self.identity.node < node,
            Opener::They => node < self.identity.node,
        };
        is_in_order && self.ring.member(node).is_some()
    }

    /// A node that has ended listens no more, and its connections are about to end.
    pub(crate) async fn tell(&self, arrival: Arrival) {
        let _ = self.node.send(arrival).await;
    }
}

async fn establish(socket: TcpStream, connection: Connection) -> Result<(Line, Role), Lost> {
    let mut line = Line::new(socket, connection)?;
    let established = timeout(HANDSHAKE, line.establish()).await;
    let established = established.map_err(std::io::Error::from)??;
    Ok((line, established.peer))
}
