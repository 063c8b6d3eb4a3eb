//! One node: whatever clients, peers, its store and its clocks do, it keeps what is asked of it alone.

mod check;
mod draw;
mod peers;
mod site;
mod store;

use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use dynamo_proto::node::{ClientRequest, Config, Effect, Event, Node, Operation, Request, Start};
use dynamo_proto::ring::Ring;
use dynamo_proto::version::{Boot, RequestId};
use dynamo_proto::wire::{Message, Ticket};
use dynamo_proto::{Buckets, Instant, NodeId, Now, Seed, WallTime};

use check::Ledger;
use peers::Peers;
use store::Store;

/// Long enough for any request to begin and end among others.
const STEPS: usize = 300;

/// Where the node under test stands among the members.
const ME: NodeId = NodeId(1);

/// Events into one node: clients' requests in all modes and with all options, what peers say and
/// ask with tickets that are theirs, old or invented, completions of its store in any order and
/// with any outcome, messages that were not sent, lost connections, passing time and restarts on
/// whatever its disk holds. At the end all is well, and everything that is owed must come.
///
/// # Panics
///
/// If the node panics; if an answer is missing, late, given twice or by nobody asked for; if a
/// write is called failed that others can have seen; if more is under way, or done about one
/// event, than the node's capacity allows; if it wants to be woken in the past; if an equal node
/// does anything else.
pub fn node(bytes: &[u8]) {
    let _ = explore(&mut Unstructured::new(bytes)); // bytes that end early make a short run
}

fn explore(bytes: &mut Unstructured<'_>) -> Result<()> {
    let (config, ring, buckets) = site::draw(bytes)?;
    let mut world = World::new(config, ring, buckets);
    for _ in 0..STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(bytes)?;
    }
    world.settle();
    Ok(())
}

struct World {
    config: Arc<Config>,
    buckets: Arc<Buckets>,
    ring: Arc<Ring>,
    node: Node,
    /// Is told the same.
    twin: Node,
    boots: u64,
    is_asked_to_draw: bool,
    now: Now,
    store: Store,
    peers: Peers,
    ledger: Ledger,
    /// Requests of clients and of peers, so that each has a name of its own.
    asked: u64,
    effects: Vec<Effect>,
    twins: Vec<Effect>,
}

impl World {
    fn new(config: Arc<Config>, ring: Arc<Ring>, buckets: Arc<Buckets>) -> Self {
        let now = Now {
            mono: Instant::from_nanos(1_000_000_000),
            wall: WallTime::from_secs(1_700_000_000),
        };
        Self {
            node: start(&config, &ring, &buckets, 0),
            twin: start(&config, &ring, &buckets, 0),
            boots: 0,
            is_asked_to_draw: false,
            now,
            store: Store::default(),
            peers: Peers::new(&buckets),
            ledger: Ledger::new(&config, &ring),
            asked: 0,
            effects: Vec::new(),
            twins: Vec::new(),
            config,
            buckets,
            ring,
        }
    }

    fn step(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        let event = match bytes.int_in_range(0..=31)? {
            0..=5 => self.client(bytes)?,
            6 | 7 => self.forwarded(bytes)?,
            8 | 9 => self.peers.store(bytes, &mut self.ledger)?,
            10 => self.peers.fetch(bytes, &mut self.ledger)?,
            11..=15 => self.peers.answer(bytes)?,
            16 => self.peers.invent(bytes)?,
            17 => {
                self.peers.work(bytes, self.now.wall)?;
                return Ok(());
            }
            18..=23 => match self.store.complete(bytes)? {
                Some((op, completion)) => Event::Stored { op, completion },
                None => return Ok(()),
            },
            24 => self.store.invent(bytes)?,
            25 => self.peers.unsent(bytes)?,
            26 => Event::PeerLost {
                peer: self.peers.any(bytes)?,
            },
            27 | 28 => {
                self.pass(bytes)?;
                Event::Tick
            }
            29 => {
                if let Some(next) = self.node.next_deadline() {
                    self.now.mono = self.now.mono.max(next);
                }
                Event::Tick
            }
            30 => self.drawn(),
            _ => {
                self.store.restart(bytes)?;
                self.restart();
                return Ok(());
            }
        };
        self.handle(event, bytes)
    }

    /// A client of this node asks for something, now or a while ago.
    fn client(&mut self, bytes: &mut Unstructured<'_>) -> Result<Event> {
        let request = self.request(bytes)?;
        let arrived = self.arrival(bytes)?;
        self.asked += 1;
        let client = ClientRequest(self.asked);
        let deadline = arrived + self.patience(&request, Duration::MAX);
        self.ledger.asks(client, &request, deadline);
        Ok(Event::Client {
            client,
            arrived,
            request,
        })
    }

    /// Another node forwards what its client asks for.
    fn forwarded(&mut self, bytes: &mut Unstructured<'_>) -> Result<Event> {
        let request = self.request(bytes)?;
        let arrived = self.arrival(bytes)?;
        let from = self.peers.any(bytes)?;
        let ticket = Ticket(self.asked);
        let patience = draw::wait(bytes)?;
        let deadline = arrived + self.patience(&request, patience);
        self.ledger.forwards(from, ticket, &request, deadline);
        Ok(Event::Peer {
            from,
            arrived,
            message: Message::Request {
                epoch: Default::default(),
                ticket,
                patience,
                request,
            },
        })
    }

    fn request(&mut self, bytes: &mut Unstructured<'_>) -> Result<Request> {
        self.asked += 1;
        let again = bytes.ratio(1, 8)?;
        let name = if again {
            bytes.int_in_range(1..=self.asked)?
        } else {
            self.asked
        };
        let id = RequestId(peers::OURS | u128::from(name));
        draw::request(bytes, id, &self.peers)
    }

    /// The number that the node has asked for, or nothing.
    fn drawn(&mut self) -> Event {
        if !std::mem::take(&mut self.is_asked_to_draw) {
            return Event::Tick;
        }
        self.boots += 1;
        Event::Drawn {
            boot: boot(self.boots),
        }
    }

    /// How long whoever asks waits at most.
    fn patience(&self, request: &Request, patience: Duration) -> Duration {
        let timing = self.config.timing;
        let asked = request.options.timeout.unwrap_or(timing.timeout);
        asked.min(patience).min(timing.longest_timeout)
    }

    fn arrival(&self, bytes: &mut Unstructured<'_>) -> Result<Instant> {
        let now = self.now.mono.as_nanos();
        let ago = if bytes.ratio(1, 8)? {
            draw::wait(bytes)?.as_nanos() as u64
        } else {
            0
        };
        Ok(Instant::from_nanos(now.saturating_sub(ago)))
    }

    fn pass(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        self.now.mono = self.now.mono + draw::wait(bytes)?;
        if bytes.ratio(1, 4)? {
            self.now.wall = WallTime::from_micros(bytes.arbitrary()?);
        }
        Ok(())
    }

    /// Both nodes take in the event, and do the same about it.
    fn handle(&mut self, event: Event, bytes: &mut Unstructured<'_>) -> Result<()> {
        let most = self.ledger.most_effects(self.node.load());
        self.effects.clear();
        self.twins.clear();
        self.node.handle(self.now, event.clone(), &mut self.effects);
        self.twin.handle(self.now, event, &mut self.twins);
        check::are_same(&self.effects, &self.twins);
        assert!(
            self.effects.len() <= most,
            "{} effects of one event, {most} at most",
            self.effects.len()
        );
        let mut halts = false;
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Send { to, message } => {
                    self.ledger.sends(&to, &message);
                    self.peers.hear(&to, &message);
                }
                Effect::Store { op, command } => self.store.take(op, command, bytes)?,
                Effect::Reply { client, response } => {
                    self.peers.overhear(&response);
                    self.ledger.replies(client, &response);
                }
                Effect::Introduce { .. } => panic!("it has no seed"),
                Effect::Draw => self.is_asked_to_draw = true,
                Effect::Notify(_) => {}
                Effect::Halt(_) => halts = true,
            }
        }
        if halts {
            self.restart();
        } else {
            self.ledger
                .check(&self.node, self.now.mono, self.store.outstanding());
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.boots += 1;
        self.is_asked_to_draw = false;
        self.node = start(&self.config, &self.ring, &self.buckets, self.boots);
        self.twin = start(&self.config, &self.ring, &self.buckets, self.boots);
        self.store.forget();
        self.ledger.forget();
    }

    /// The store works and time passes until nothing is left to be done.
    fn settle(&mut self) {
        let nothing = &mut Unstructured::new(&[]);
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 100_000, "there is no end to it");
            let event = if let Some((op, completion)) = self.store.complete_next() {
                Event::Stored { op, completion }
            } else if self.is_asked_to_draw {
                self.drawn()
            } else if self.node.running() == 0 && self.node.load() == 0 {
                break; // but for pings of those that never answer
            } else {
                let next = self.node.next_deadline();
                self.now.mono = next.expect("something runs and waits for nothing");
                Event::Tick
            };
            self.handle(event, nothing)
                .expect("nothing is drawn from no bytes but what is usual");
        }
        self.ledger.check_settled(&self.node);
    }
}

fn start(config: &Arc<Config>, ring: &Ring, buckets: &Buckets, boots: u64) -> Node {
    let start = Start::founder(config.cluster, ring, buckets.clone(), config.node);
    let node = Node::new(config.clone(), start, boot(boots), Seed(boots));
    node.expect("a sound configuration")
}

/// Numbers that are as different as random ones.
fn boot(boots: u64) -> Boot {
    Boot((boots + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn is_read(request: &Request) -> bool {
    matches!(
        request.operation,
        Operation::Get { .. } | Operation::Fetch { .. } | Operation::List(_)
    )
}
