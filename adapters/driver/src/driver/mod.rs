//! A node and all its connections as one machine: bytes in, bytes out.
//!
//! ```text
//!   accepted, dialed ----+                                   +---> Dial, Close
//!   received, sent ------+    peers    fronts    clients     +---> Write: outgoing
//!   completed, drawn ----+---> \  |  sessions  /  budgets ---+---> Store
//!   tick ----------------+              Node                 +---> Draw, Halt
//!                                  next_deadline
//! ```
//!
//! The adapter calls one of the inputs when something has happened, then does what
//! [`Driver::poll`] says until it says nothing more. What is to be written stays here until it is:
//! whatever was said to one connection between two looks at it leaves in one write.
//!
//! It promises:
//! - of two nodes one dials the other, again and again, with growing waits and jitter. A node that
//!   says nothing is pinged, then given up; one that reads nothing is given up. Each loss is told
//!   to the node, and so is each message that was not queued, in the same pass;
//! - bounds: on connections of each kind, on what waits on one connection and on all together, both
//!   ways. Whoever leaves answers unread is not read from; who asks beyond the sum of all is told
//!   that the node is overloaded, at once. Connections for looking after the node have places of
//!   their own and ask the node nothing, so they work under any load;
//! - requests of one connection on one key keep their order;
//! - each request of a client is answered once, as long as its connection lasts;
//! - what is said to a node of the same process is neither encoded nor copied: it leaves as the message
//!   that it is, and what there is no room for comes back to the node as from a connection.
//!
//! Left to others: sockets, clocks, disks, and what is said in the fronts' protocols.

mod beside;
mod clients;
mod cluster;
mod directory;
mod effects;
mod entrance;
mod links;
mod peers;
mod seeds;
mod session;
mod sweep;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use dynamo_proto::node::{
    Config, ConfigError, Effect, Event, Failure, Level, Node, Op, Reason, Response, Start,
};
use dynamo_proto::store::{Address, Command, Completion, Space};
use dynamo_proto::version::Boot;
use dynamo_proto::wire::{Message, Versions};
use dynamo_proto::{Generation, Instant, NodeId, Now, Seed};
use slab::Slab;

pub use self::entrance::Entrance;
pub use self::links::{Lane, Link};

use self::clients::Asked;
use self::links::{Dialed, Line, Links, Speech, Who};
use self::peers::Peers;
use self::seeds::Seeds;
use crate::admin::Admin;
use crate::front::Ask;
use crate::metrics::Count;
use crate::{Bounds, Connection, Dice, Identity, Load, Metrics, Site, Waits};

/// How often it is looked how far the node has agreed with others.
const LEVEL_EVERY: Duration = Duration::from_secs(1);
/// An empty buffer of a client's that is larger is given back.
const KEEP_BYTES: usize = 4 << 10;

/// What a driver begins with.
#[derive(Debug)]
pub struct Setup {
    /// Who the node is and how it works.
    pub config: Arc<Config>,
    /// As what it starts.
    pub start: Start,
    /// Where others listen, as far as that is known before they have said so.
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// Where to ask for the cluster.
    pub seeds: Vec<SocketAddr>,
    /// Orders this start among all of this node: the later, the greater.
    pub generation: Generation,
    /// Drawn from good randomness.
    pub boot: Boot,
    /// Drawn from good randomness.
    pub seed: [u8; 32],
    /// How much may wait.
    pub bounds: Bounds,
    /// How long to wait.
    pub waits: Waits,
}

/// Something for the adapter to do.
#[derive(Debug)]
pub enum Action {
    /// Connect to that node, and say how that went: [`Driver::dialed`].
    Dial {
        /// What the connection will be called.
        link: Link,
        /// Where it listens.
        address: SocketAddr,
    },
    /// There is something to write where there was nothing: [`Driver::outgoing`]. Said once, until
    /// all of it is written.
    Write(Link),
    /// More is wanted of a connection of which nothing was: [`Driver::wants`].
    Read(Link),
    /// Close the socket, or stop dialing. What is said of the link from then on is ignored.
    Close(Link),
    /// Move that to a node of this process, as it is; if that cannot be, give it back:
    /// [`Driver::unpassed`].
    Pass {
        /// To whom.
        to: NodeId,
        /// What it says.
        message: Message,
    },
    /// Carry that out on the store, and say how it went: [`Driver::completed`].
    Store {
        /// Its name.
        op: Op,
        /// What to do.
        command: Command,
    },
    /// Draw the number of a boot from good randomness: [`Driver::drawn`].
    Draw,
    /// Stop the process: going on could break a promise.
    Halt(Reason),
}

/// A node and all its connections; see the [module](self).
pub struct Driver {
    node: Node,
    config: Arc<Config>,
    identity: Identity,
    bounds: Bounds,
    waits: Waits,
    dice: Dice,
    links: Links,
    peers: Peers,
    seeds: Seeds,
    /// Requests that the node works on, by the number that it knows them by.
    asked: Slab<Asked>,
    work: VecDeque<Work>,
    actions: VecDeque<Action>,
    metrics: Metrics,
    /// When it was last looked how far this node has agreed with others, and how far it had.
    level: (Instant, Level),
    admin: Admin,
    now: Now,
    /// When connections are next looked at for what is overdue.
    next_sweep: Option<Instant>,
    is_stopping: bool,
    /// Kept for their room.
    effects: Vec<Effect>,
    asks: Vec<Ask>,
}

/// What is done in the same pass, after what is being done.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of it is events, and a box would be one allocation for each"
)]
enum Work {
    Node(Event),
    /// Its session may have room again.
    Resume(Link),
    /// A request, by its ticket, that the node is not asked for.
    Refuse(Link, u64),
}

impl Driver {
    /// A node that starts now.
    pub fn new(setup: Setup, now: Now) -> Result<Self, ConfigError> {
        let Setup {
            config,
            mut start,
            peers,
            seeds,
            generation,
            boot,
            seed,
            bounds,
            waits,
        } = setup;
        let mut dice = Dice::new(seed);
        start.seeds = u16::try_from(seeds.len()).unwrap_or(u16::MAX);
        let node = Node::new(config.clone(), start, boot, Seed(dice.number()))?;
        let identity = Identity {
            cluster: config.cluster,
            node: config.node,
            generation,
            versions: Versions::OURS,
        };
        let mut peers = Peers::new(config.node, peers, waits);
        peers.follow(node.membership(), now.mono);
        Ok(Self {
            peers,
            seeds: Seeds::new(&seeds),
            node,
            config,
            identity,
            bounds,
            waits,
            dice,
            links: Links::default(),
            asked: Slab::new(),
            work: VecDeque::new(),
            actions: VecDeque::new(),
            metrics: Metrics::default(),
            level: Default::default(),
            admin: Admin::default(),
            now,
            next_sweep: None,
            is_stopping: false,
            effects: Vec::new(),
            asks: Vec::new(),
        })
    }

    /// Somebody has come in. Whoever there is no room for is told so and hung up on.
    pub fn accepted(&mut self, now: Now, entrance: Entrance) -> Link {
        self.now = now;
        self.metrics.count(Count::Accepted);
        let link = match entrance {
            Entrance::Native => self.let_in(),
            Entrance::Front(front, lane) => self.seat(front, lane),
        };
        self.settle();
        link
    }

    /// How an [`Action::Dial`] went.
    pub fn dialed(&mut self, now: Now, link: Link, is_connected: bool) {
        self.now = now;
        if !is_connected {
            self.metrics.count(Count::DialFailed);
            self.hang_up(link);
        } else if let Some(line) = self.links.get_mut(link)
            && let Speech::Dialing { peer } = line.speech
        {
            let hello = self.identity.hello(self.dice.nonce());
            let (limits, bound) = (self.config.limits, self.bounds.peer_bytes);
            let expected = match peer {
                Dialed::Peer(node) => Some(node),
                Dialed::Seed(_) => None,
            };
            line.speech = Speech::Wire {
                connection: Box::new(Connection::dial(hello, expected, limits, bound)),
                who: Who::Stranger(Some(peer)),
            };
            line.opened = now.mono;
            self.said(link);
        }
        self.settle();
    }

    /// How many bytes are wanted of a connection now. If none are, [`Action::Read`] says when more
    /// are.
    pub fn wants(&mut self, link: Link) -> usize {
        let bounds = self.bounds;
        let Some(line) = self.links.get_mut(link) else {
            return 0;
        };
        let wants = line.wants(&bounds);
        line.is_paused = wants == 0;
        wants
    }

    /// Bytes have arrived: no more than were [wanted](Self::wants).
    pub fn received(&mut self, now: Now, link: Link, bytes: &[u8]) {
        self.now = now;
        self.take_in(link, bytes);
        self.settle();
    }

    /// The other side has said its last, and may still listen.
    pub fn finished(&mut self, now: Now, link: Link) {
        self.now = now;
        self.finish(link);
        self.settle();
    }

    /// The socket is of no use any more.
    pub fn closed(&mut self, now: Now, link: Link) {
        self.now = now;
        self.hang_up(link);
        self.settle();
    }

    /// What is to be written to a connection.
    #[must_use]
    pub fn outgoing(&self, link: Link) -> &[u8] {
        self.links.get(link).map_or(&[], |line| line.outgoing())
    }

    /// The socket has taken that many of the [outgoing](Self::outgoing) bytes.
    ///
    /// # Panics
    ///
    /// If there were not that many.
    pub fn sent(&mut self, now: Now, link: Link, len: usize) {
        self.now = now;
        self.took(link, len);
        self.settle();
    }

    /// A command to the store completed.
    pub fn completed(&mut self, now: Now, op: Op, completion: Completion) {
        self.now = now;
        self.metrics.count(Count::Stored);
        self.handle(Event::Stored { op, completion });
        self.settle();
    }

    /// Whoever looks through the store found something there that cannot be read.
    pub fn damaged(&mut self, now: Now, space: Space, at: Address) {
        self.now = now;
        self.handle(Event::Damaged { space, at });
        self.settle();
    }

    /// They found a part of the store of which nobody knows what was in it.
    pub fn unreadable(&mut self) {
        self.metrics.count(Count::Unreadable);
    }

    /// The number that an [`Action::Draw`] asked for.
    pub fn drawn(&mut self, now: Now, boot: Boot) {
        self.now = now;
        self.handle(Event::Drawn { boot });
        self.settle();
    }

    /// A deadline has come, or may have.
    pub fn tick(&mut self, now: Now) {
        self.now = now;
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now.mono);
        if is_due(self.node.next_deadline()) {
            self.work.push_back(Work::Node(Event::Tick));
        }
        if is_due(self.next_sweep) {
            self.sweep();
        }
        if now.mono.since(self.level.0) >= LEVEL_EVERY {
            self.level = (now.mono, self.node.level(now.mono));
        }
        self.dial();
        self.settle();
    }

    /// When to [`tick`](Self::tick) at the latest, if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let next_dial = if self.is_stopping {
            None
        } else {
            self.peers.next_dial()
        };
        let deadlines = [self.node.next_deadline(), self.next_sweep, next_dial];
        deadlines.into_iter().flatten().min()
    }

    /// What to do next, if anything.
    pub fn poll(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if let Some(Action::Close(link)) = action {
            self.links.forget(link);
        }
        action
    }

    /// Takes no more requests: what is under way is finished.
    pub fn stop(&mut self, now: Now) {
        self.now = now;
        self.is_stopping = true;
        let all: Vec<_> = self.links.all().map(|(link, _)| link).collect();
        for link in all {
            if self.links.get(link).is_some_and(Line::is_client) {
                self.finish(link);
            }
        }
        self.settle();
    }

    /// Whether all is finished that was under way when it was told to stop.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.is_stopping && self.links.clients + self.links.admins == 0
    }

    /// Which node this is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.node
    }

    /// What there is to tell about the node.
    #[must_use]
    pub fn site(&self) -> Site<'_> {
        site(
            &self.config,
            &self.node,
            &self.links,
            (&self.peers, &self.seeds),
            &self.metrics,
            (self.level.1, !self.is_stopping),
        )
    }

    /// Does all that follows from what has happened.
    fn settle(&mut self) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Node(event) => self.handle(event),
                Work::Resume(link) => self.resume(link),
                Work::Refuse(link, ticket) => {
                    self.answer(link, ticket, None, Response::Failed(Failure::Overloaded));
                }
            }
        }
    }

    /// Something was queued on a connection, perhaps.
    fn said(&mut self, link: Link) {
        if let Some(line) = self.links.get_mut(link)
            && !line.is_announced
            && !line.outgoing().is_empty()
        {
            line.is_announced = true;
            (line.moved, line.behind) = (self.now.mono, self.now.mono);
            self.actions.push_back(Action::Write(link));
        }
        self.links.recount(link);
    }

    fn took(&mut self, link: Link, len: usize) {
        let Some(line) = self.links.get_mut(link) else {
            return;
        };
        self.metrics.add(Count::BytesSent, len as u64);
        match &mut line.speech {
            Speech::Wire { connection, .. } => connection.sent(len),
            Speech::Front { out, .. } => {
                bytes::Buf::advance(out, len);
                if out.is_empty() && out.capacity() > KEEP_BYTES {
                    *out = BytesMut::new();
                }
            }
            Speech::Dialing { .. } | Speech::Over => {}
        }
        line.moved = self.now.mono;
        let is_empty = line.outgoing().is_empty();
        if is_empty {
            line.is_announced = false;
        }
        let (is_ending, is_blocked) = (line.is_ending, line.session.is_blocked);
        let is_finished = line.is_finished;
        self.links.recount(link);
        if is_ending && is_empty {
            self.hang_up(link);
        } else if is_blocked {
            self.work.push_back(Work::Resume(link));
        } else if is_finished && is_empty {
            self.finish(link);
        }
    }

    /// The connection is over once what is outgoing is written.
    fn end(&mut self, link: Link) {
        let Some(line) = self.links.get_mut(link) else {
            return;
        };
        if line.outgoing().is_empty() {
            self.hang_up(link);
        } else {
            line.is_ending = true;
            self.said(link);
        }
    }

    /// The connection is over.
    fn hang_up(&mut self, link: Link) {
        let Some(speech) = self.links.end(link) else {
            return;
        };
        let peer = match speech {
            Speech::Dialing { peer } => Some(peer),
            Speech::Wire { who, .. } => match who {
                Who::Stranger(peer) => peer,
                Who::Peer(peer) => Some(Dialed::Peer(peer)),
                Who::Client | Who::Admin | Who::Nobody => None,
            },
            Speech::Front { .. } | Speech::Over => None,
        };
        if let Some(Dialed::Seed(seed)) = peer {
            self.seeds.lost(seed, link);
        }
        if let Some(Dialed::Peer(peer)) = peer
            && self.peers.lost(peer, link, self.now.mono, &mut self.dice)
        {
            self.metrics.count(Count::PeerLost);
            self.work.push_back(Work::Node(Event::PeerLost { peer }));
        }
        self.metrics.count(Count::Closed);
        self.actions.push_back(Action::Close(link));
    }

    fn dial(&mut self) {
        if self.is_stopping {
            return;
        }
        while let Some((peer, address)) = self.peers.due(self.now.mono) {
            let dialed = Dialed::Peer(peer);
            let speech = Speech::Dialing { peer: dialed };
            let link = self.links.insert(speech, self.now.mono);
            self.peers.dialing(peer, link);
            self.metrics.count(Count::Dialed);
            self.actions.push_back(Action::Dial { link, address });
            self.sweep_from_now_on();
        }
    }
}

/// What there is to tell, of parts of a driver: others of it may be changed meanwhile.
fn site<'a>(
    config: &'a Config,
    node: &'a Node,
    links: &Links,
    (peers, seeds): (&'a Peers, &'a Seeds),
    metrics: &'a Metrics,
    (level, is_open): (Level, bool),
) -> Site<'a> {
    Site {
        config,
        buckets: node.buckets(),
        ring: node.ring(),
        membership: node.membership(),
        is_drained: node.is_drained(),
        is_ready: is_open && node.membership().is_serving(),
        peers: peers.statuses(),
        seeds: seeds.statuses(),
        load: Load {
            running: node.running(),
            stores: node.load(),
            held: node.held(),
            keys: node.keys(),
            level,
            clients: links.clients + links.admins,
            waiting_bytes: links.waiting_bytes,
        },
        metrics,
    }
}
