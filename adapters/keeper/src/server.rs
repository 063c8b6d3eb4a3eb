//! A served node, and the handle to it.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use dynamo_driver::driver::{self, Driver, Entrance, Lane};
use dynamo_driver::front::Front;
use dynamo_driver::{Bounds, Site, Waits};
use dynamo_mailbox::{Bound, Receiver, Refused, Sender, mailbox};
use dynamo_proto::node::{Config, ConfigError, ReadFailed, Reason, Start};
use dynamo_proto::version::Boot;
use dynamo_proto::{Generation, NodeId};
use dynamo_storage::worker::Stopped;
use futures_channel::oneshot;
use socket2::{SockRef, TcpKeepalive};

use crate::bells::Bells;
use crate::beside::{self, Beside, Place, Single};
use crate::board::{Board, Company, Status, Teller};
use crate::clock::Clock;
use crate::cores::Nodes;
use crate::store::{CloseError, Keeping, Store};

/// Most questions to a node that wait to be answered.
const QUESTIONS: Bound = Bound {
    items: 64,
    bytes: usize::MAX,
};

/// A client that says nothing is asked by the operating system whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A node that is to be served.
#[derive(Debug)]
pub struct Setup {
    /// Who it is and how it works.
    pub config: Config,
    /// As what it starts; what its store has about its cluster comes before that.
    pub start: Start,
    /// Where others listen, as far as that is known before they have said so.
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// Where to ask for the cluster.
    pub seeds: Vec<SocketAddr>,
    /// Orders this start among all of this node: the later, the greater.
    pub generation: Generation,
    /// Where it keeps its part.
    pub store: Store,
    /// How much may wait.
    pub bounds: Bounds,
    /// How long to wait.
    pub waits: Waits,
}

/// A node that has started, for an adapter that owns it by itself.
pub struct Started {
    /// The node and its connections.
    pub driver: Driver,
    /// Where it keeps its part.
    pub store: Keeping,
    /// The time since it started.
    pub clock: Clock,
}

/// What a listener speaks.
pub enum Door {
    /// Frames: other nodes and native clients.
    Native,
    /// A front's protocol. Those on which the node is looked after have places of their own.
    Front(Box<dyn Fn() -> Box<dyn Front> + Send>, Lane),
}

/// The handle to a node that is being served. It stops when this is dropped.
pub struct Server {
    addresses: Vec<SocketAddr>,
    board: Arc<Board>,
    questions: Sender<Question>,
}

/// A node that is ready to be kept, in whichever thread.
pub struct Prepared {
    pub(crate) node: Started,
    pub(crate) doors: Vec<(TcpListener, Door)>,
    pub(crate) bells: Arc<Bells>,
    pub(crate) teller: Teller,
    pub(crate) questions: Receiver<Question>,
    pub(crate) beside: Beside,
    pub(crate) place: Place,
}

/// Why a node is not served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It was told something impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What its store has about its cluster is not to be read.
    #[error(transparent)]
    Read(#[from] ReadFailed),
    /// The runtime cannot take over a listener, or it does not know where it listens.
    #[error("the listener is of no use: {0}")]
    Listener(#[source] io::Error),
    /// There are no threads for its store.
    #[error("the store's threads cannot be started: {0}")]
    Store(#[source] io::Error),
    /// The operating system gave no randomness, without which no write is safe.
    #[error("the operating system gives no randomness")]
    Randomness(#[from] getrandom::Error),
    /// There is no thread for it, or no runtime in that thread.
    #[error("a thread for the node cannot be started: {0}")]
    Thread(#[source] io::Error),
    /// Its thread has ended by a bug.
    #[error("the node's thread has ended")]
    Lost,
}

/// Why a node is served no more although nobody stopped it, was not stopped as it should be, or does
/// not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ServeError {
    /// It halted: going on could have broken a promise.
    #[error("the node halted: {0}")]
    Halted(#[from] Reason),
    /// Its store has ended.
    #[error("the node halted: {0}")]
    Store(#[from] Stopped),
    /// It needed a new name to mint under, and the operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    Randomness(#[from] getrandom::Error),
    /// It has stopped, and its store was not closed.
    #[error("the store was not closed: {0}")]
    Close(Arc<CloseError>),
    /// It is asked more than it has answered.
    #[error("as many questions wait for the node as may: ask again")]
    Busy,
    /// Its task is gone: it panicked, or its runtime was shut down.
    #[error("the node's task was ended from outside or by a bug")]
    Lost,
}

pub(crate) type Question = Box<dyn FnOnce(&Site<'_>) + Send>;

/// Puts a node behind these listeners. It is served as soon as, and as long as, a
/// [`Keeper`](crate::Keeper) of it is polled.
pub fn prepare(
    doors: Vec<(TcpListener, Door)>,
    setup: Setup,
) -> Result<(Server, Prepared), StartError> {
    let (mut servers, mut prepared) = prepare_all(vec![(doors, setup)])?;
    Ok((servers.remove(0), prepared.remove(0)))
}

/// The same with all nodes of a process.
pub(crate) fn prepare_all(nodes: Nodes) -> Result<(Vec<Server>, Vec<Prepared>), StartError> {
    let single = |(doors, setup): &(Vec<(TcpListener, Door)>, Setup)| {
        let listens = doors.first().map(|(listener, _)| listener.local_addr());
        let said = setup.start.address.parse().ok();
        Ok(Single {
            node: setup.config.node,
            address: match (said, listens) {
                (Some(address), _) => address,
                (None, Some(address)) => address?,
                (None, None) => SocketAddr::from(([0; 4], 0)), // nowhere
            },
            bells: Arc::default(),
            bytes: setup.bounds.peer_bytes,
        })
    };
    let singles = nodes.iter().map(single).collect::<Result<Vec<_>, _>>();
    let singles = singles.map_err(StartError::Listener)?;
    let linked = beside::link(&singles);
    let nodes = nodes.into_iter().zip(singles).zip(linked);
    let prepared = nodes.map(|(((doors, setup), single), (beside, place))| {
        prepare_one(doors, setup, single.bells, beside, place)
    });
    let prepared: Vec<_> = prepared.collect::<Result<_, _>>()?;
    Ok(prepared.into_iter().unzip())
}

fn prepare_one(
    doors: Vec<(TcpListener, Door)>,
    setup: Setup,
    bells: Arc<Bells>,
    beside: Beside,
    place: Place,
) -> Result<(Server, Prepared), StartError> {
    let addresses = doors.iter().map(|(listener, _)| listener.local_addr());
    let addresses = addresses.collect::<Result<_, _>>();
    let addresses = addresses.map_err(StartError::Listener)?;
    // Those who are let in inherit it.
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    for (listener, _) in &doors {
        let _ = SockRef::from(listener).set_tcp_keepalive(&keepalive);
    }
    let woken = bells.clone();
    let mut node = setup.start(move || woken.stored())?;
    beside.meet(&mut node.driver, node.clock.now());
    let board = Arc::new(Board::default());
    let woken = bells.clone();
    let (questions, asked) = mailbox(QUESTIONS, move || woken.asked());
    let prepared = Prepared {
        node,
        doors,
        bells,
        teller: Teller::new(board.clone()),
        questions: asked,
        beside,
        place,
    };
    let server = Server {
        addresses,
        board,
        questions,
    };
    Ok((server, prepared))
}

impl Setup {
    /// Starts the node and its store; nobody can reach it yet. `wake` is called, in whatever thread,
    /// when the store has something to [tell](Keeping::tell).
    pub fn start(self, wake: impl Fn() + Send + Sync + 'static) -> Result<Started, StartError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let clock = Clock::start();
        let saved = self.store.read(Start::SPACE, &Start::place());
        let setup = driver::Setup {
            config: Arc::new(self.config),
            start: self.start.with_saved(saved)?,
            peers: self.peers,
            seeds: self.seeds,
            generation: self.generation,
            boot: Boot(getrandom::u64()?),
            seed,
            bounds: self.bounds,
            waits: self.waits,
        };
        Ok(Started {
            driver: Driver::new(setup, clock.now())?,
            store: self.store.start(wake).map_err(StartError::Store)?,
            clock,
        })
    }
}

impl Door {
    /// What it is for whoever comes in now.
    #[must_use]
    pub fn entrance(&self) -> Entrance {
        match self {
            Self::Native => Entrance::Native,
            Self::Front(front, lane) => Entrance::Front(front(), *lane),
        }
    }
}

impl Server {
    /// Where its first door is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where its doors are, in the order in which they were given.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many other nodes it is connected to.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.board.look(|status| status.company.connected)
    }

    /// What there is to tell about the node now.
    pub async fn ask<A: Send + 'static>(
        &self,
        question: impl FnOnce(&Site<'_>) -> A + Send + 'static,
    ) -> Result<A, ServeError> {
        let (answer, answered) = oneshot::channel();
        let question = Box::new(move |site: &Site<'_>| {
            // Whoever asked may not wait any more.
            let _ = answer.send(question(site));
        });
        match self.questions.send(question, 0) {
            Ok(()) => answered.await.map_err(|_| ServeError::Lost),
            Err(Refused::Full(_)) => Err(ServeError::Busy),
            Err(Refused::Closed(_)) => Err(ServeError::Lost),
        }
    }

    /// Waits until it serves requests: until it is a member of its cluster.
    pub async fn serving(&self) -> Result<(), ServeError> {
        self.wait_for(|company| company.is_serving).await
    }

    /// Waits until it serves requests and is connected to all other members at once.
    pub async fn joined(&self) -> Result<(), ServeError> {
        self.wait_for(|company| company.is_serving && company.missing == 0)
            .await
    }

    async fn wait_for(&self, is_so: impl Fn(&Company) -> bool) -> Result<(), ServeError> {
        let look = |status: &Status| match &status.ended {
            Some(how) => Some(how.clone()),
            None => is_so(&status.company).then_some(Ok(())),
        };
        self.board.wait_for(look).await
    }

    /// Waits until the node halts, for ever if all is well.
    pub async fn halted(&self) -> ServeError {
        let ended = self.board.wait_for(|status| status.ended.clone()).await;
        ended.err().unwrap_or(ServeError::Lost)
    }

    /// Stops the node: it takes no more requests, answers those under way, and lets go of its ports;
    /// then its store is flushed and closed.
    pub async fn stop(self) -> Result<(), ServeError> {
        self.stopping().await
    }

    /// Tells it to stop, now; then that is waited for.
    pub(crate) fn stopping(self) -> impl Future<Output = Result<(), ServeError>> {
        drop(self.questions);
        let board = self.board;
        async move { board.wait_for(|status| status.ended.clone()).await }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Server");
        debug.field("addresses", &self.addresses);
        debug.finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Native => f.write_str("Native"),
            Self::Front(_, lane) => write!(f, "Front({lane:?})"),
        }
    }
}
