//! A client as a pure machine: no sockets, no clock, no threads.
//!
//! ```text
//!   ask ------------------+                                    +---> Dial, Close
//!   dialed, closed -------+    places    lines    requests     +---> Write: outgoing
//!   received, sent -------+---> \ circuits | directory | budgets --+---> Answer
//!   tick -----------------+          next_deadline             +---> Met, NotMet, Learned
//! ```
//!
//! It knows who is on duty for a key, because some node has told it, and speaks to these directly: to
//! the one that has answered fastest of late. Without that knowledge, or where nobody on duty is
//! reached, any node will do: it passes the request on.
//!
//! It promises:
//! - each request is answered once, by its deadline;
//! - a write that may have been delivered is asked for again only of the same coordinator, under the
//!   same name; otherwise the answer is "unknown". So no retry makes a second sibling;
//! - no more than a tenth of what is asked is asked twice, so that retries do not keep down a cluster
//!   that is down;
//! - a node that fails again and again is left alone for a while, longer each time;
//! - bounds on requests, connections, and requests on one connection.
//!
//! Whoever drives it has sockets and a clock: after each input it does what [`Machine::poll`] says
//! until that says nothing more, and comes back with [`tick`](Machine::tick) at
//! [`next_deadline`](Machine::next_deadline). [`Client`](crate::Client) does so on tokio and smol.

mod asks;
mod chart;
mod driven;
mod lines;
mod places;
mod requests;
mod route;
mod settings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dynamo_driver::{Connection, Dice, Established, Event as Heard};
use dynamo_proto::membership::Directory;
use dynamo_proto::wire::{Hello, Message, Role, Ticket, Versions};
use dynamo_proto::{Instant, Limits, NodeId};

pub use self::asks::{Answer, Ask, AskId, Failed, Found, Trouble};
pub use self::lines::Link;
pub use self::settings::{Settings, Way};

use self::asks::Running;
use self::chart::Chart;
use self::lines::{Asked, Line, Lines, State};
use self::places::{Budget, Place, PlaceId};

/// Something for whoever drives the machine to do.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one allocation for every read"
)]
#[derive(Clone, Debug)]
pub enum Action {
    /// Connect to that address, and say how that went: [`Machine::dialed`].
    Dial {
        /// What the connection will be called.
        link: Link,
        /// A name or a number, and a port.
        address: String,
    },
    /// There is something to write where there was nothing: [`Machine::outgoing`].
    Write(Link),
    /// Close the socket, or stop dialing. What is said of the link from then on is ignored.
    Close(Link),
    /// A request is over.
    Answer {
        /// Which.
        ask: AskId,
        /// How it ended.
        answer: Answer,
    },
    /// The first node has answered.
    Met,
    /// None of the addresses given at the start answers, for this reason. It goes on trying when
    /// something is asked.
    NotMet(Trouble),
    /// How large things may become, as the cluster says.
    Learned(Limits),
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were asked for.
    pub asked: u64,
    /// Requests that were sent to a node on duty for their key.
    pub direct: u64,
    /// Requests that were sent again.
    pub retried: u64,
    /// Reads that were sent to a second node too, because the first was late.
    pub hedged: u64,
    /// Reads whose replicas were asked by this client itself.
    pub driven: u64,
    /// Of these, the ones that a node had to do in the end.
    pub undriven: u64,
    /// Repairs asked for.
    pub repairs: u64,
    /// Directories taken in.
    pub directories: u64,
    /// Connections made.
    pub connected: u64,
    /// Connections lost.
    pub lost: u64,
}

/// A client, as a pure machine: told what happens, it says what to do.
pub struct Machine {
    settings: Settings,
    dice: Dice,
    now: Instant,
    places: BTreeMap<PlaceId, Place>,
    nodes: BTreeMap<NodeId, PlaceId>,
    next_place: u32,
    lines: Lines,
    asks: BTreeMap<u64, Running>,
    next_ask: u64,
    next_ticket: u64,
    /// When requests are to be looked at, and which.
    deadlines: BTreeSet<(Instant, u64)>,
    actions: VecDeque<Action>,
    budget: Budget,
    repairs: Budget,
    chart: Option<Chart>,
    refresh_at: Instant,
    /// Whether it has been said that somebody was met, or nobody.
    has_met: Option<bool>,
    counts: Counts,
}

/// Most bytes that wait to be sent on one connection; one request may always.
const OUTGOING_BYTES: usize = 16 << 20;
/// So many of the addresses given are dialed at the start.
const FIRST_DIALED: usize = 8;

impl Machine {
    /// A client that starts now. The seed is to be drawn from good randomness: requests are named by
    /// it.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32], now: Instant) -> Self {
        let mut machine = Self {
            dice: Dice::new(seed),
            now,
            places: BTreeMap::new(),
            nodes: BTreeMap::new(),
            next_place: 0,
            lines: Lines::default(),
            asks: BTreeMap::new(),
            next_ask: 0,
            next_ticket: 0,
            deadlines: BTreeSet::new(),
            actions: VecDeque::new(),
            budget: Budget::new(settings.retries),
            repairs: Budget::new(settings.retries),
            chart: None,
            refresh_at: now + settings.refresh,
            has_met: None,
            counts: Counts::default(),
            settings,
        };
        for address in machine.settings.nodes.clone() {
            if machine.place_at(&address).is_none() {
                machine.add_place(Place::new(address, true, None));
            }
        }
        let seeds: Vec<_> = machine.places.keys().copied().take(FIRST_DIALED).collect();
        seeds.into_iter().for_each(|seed| machine.dial(seed));
        machine
    }

    /// How an [`Action::Dial`] went.
    pub fn dialed(&mut self, now: Instant, link: Link, is_connected: bool) {
        self.now = now;
        if !is_connected {
            return self.lose(link, Trouble::NoConnection);
        }
        let hello = Hello {
            versions: Versions::OURS,
            nonce: self.dice.nonce(),
            cluster: self.settings.cluster,
            role: Role::Client,
        };
        let limits = self.settings.limits;
        if let Some(line) = self.lines.get_mut(link) {
            let connection = Connection::dial(hello, None, limits, OUTGOING_BYTES);
            line.state = State::Speaking(Box::new(connection));
            line.heard = now;
            self.announce(link);
        }
    }

    /// Bytes have arrived.
    pub fn received(&mut self, now: Instant, link: Link, mut bytes: &[u8]) {
        self.now = now;
        while !bytes.is_empty() {
            let Some(line) = self.lines.get_mut(link) else {
                return;
            };
            line.heard = now;
            let Some(connection) = line.connection() else {
                return;
            };
            connection.receive(&mut bytes);
            self.listen(link);
        }
        self.announce(link);
    }

    /// The socket is of no use any more.
    pub fn closed(&mut self, now: Instant, link: Link) {
        self.now = now;
        self.lose(link, Trouble::Closed);
    }

    /// What is to be written to a connection.
    #[must_use]
    pub fn outgoing(&self, link: Link) -> &[u8] {
        match self.lines.get(link).map(|line| &line.state) {
            Some(State::Speaking(connection)) => connection.outgoing(),
            Some(State::Dialing) | None => &[],
        }
    }

    /// The socket has taken that many of the [outgoing](Self::outgoing) bytes.
    ///
    /// # Panics
    ///
    /// If there were not that many.
    pub fn sent(&mut self, now: Instant, link: Link, len: usize) {
        self.now = now;
        if let Some(line) = self.lines.get_mut(link) {
            if let Some(connection) = line.connection() {
                connection.sent(len);
            }
            line.is_announced = false;
            self.announce(link);
        }
    }

    /// A deadline has come, or may have.
    pub fn tick(&mut self, now: Instant) {
        self.now = now;
        let overdue = |line: &Line| !line.is_open() && line.opened + self.settings.connect <= now;
        let overdue = self.lines.all().filter(|(_, line)| overdue(line));
        let overdue: Vec<_> = overdue.map(|(link, _)| link).collect();
        for link in overdue {
            self.lose(link, Trouble::NoConnection);
        }
        if self.refresh_at <= now {
            self.refresh();
        }
        while let Some((at, ask)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            self.wake(ask);
        }
    }

    /// When to [`tick`](Self::tick) at the latest, if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.lines.all().filter(|(_, line)| !line.is_open());
        let waiting = waiting.map(|(_, line)| line.opened + self.settings.connect);
        let has_lines = self.lines.all().next().is_some();
        let refresh = has_lines.then_some(self.refresh_at);
        let asks = self.deadlines.first().map(|(at, _)| *at);
        waiting.chain(refresh).chain(asks).min()
    }

    /// What to do next, if anything.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What the cluster has told about itself.
    #[must_use]
    pub fn directory(&self) -> Option<&Directory> {
        self.chart.as_ref().map(|chart| &chart.directory)
    }

    fn listen(&mut self, link: Link) {
        while let Some(connection) = self.lines.get_mut(link).and_then(Line::connection) {
            match connection.poll() {
                Ok(Some(Heard::Message(message))) => self.hear(link, message),
                Ok(Some(Heard::Established(established))) => self.meet(link, established),
                // It is older than directories: then any node will do.
                Ok(Some(Heard::Unsupported(_))) => {}
                Ok(None) => return,
                Err(ended) => return self.lose(link, Trouble::Ended(ended)),
            }
        }
    }

    fn hear(&mut self, link: Link, message: Message) {
        match message {
            Message::Response { ticket, response } => self.answered(link, ticket.0, response),
            Message::Directory { ticket, directory } => {
                if let Some(line) = self.lines.get_mut(link) {
                    line.asked.remove(&ticket.0);
                }
                if let Some(directory) = directory {
                    self.learn(*directory);
                }
            }
            Message::NewEpoch(epoch) => {
                let known = self.chart.as_ref().map(|chart| chart.directory.epoch);
                // What is known may be what moves on to other nodes within one epoch.
                if known.is_none_or(|known| epoch.height >= known.height) {
                    self.ask_directory(link);
                }
            }
            _ => {} // nothing that nodes say to clients
        }
    }

    /// Both sides have shaken hands.
    fn meet(&mut self, link: Link, established: Established) {
        let Role::Peer { node, .. } = established.peer else {
            return self.lose(link, Trouble::NoConnection);
        };
        let Some(line) = self.lines.get_mut(link) else {
            return;
        };
        line.node = Some(node);
        let at = line.place;
        self.counts.connected += 1;
        if let Some(place) = self.places.get_mut(&at) {
            place.circuit.succeed();
            place.trouble = Trouble::None;
            if self.settings.way == Way::Direct {
                place.node = Some(node);
                // Whoever was there before has gone elsewhere.
                self.nodes
                    .retain(|other, place| *place != at || *other == node);
                self.nodes.entry(node).or_insert(at);
            }
        }
        if self.has_met != Some(true) {
            self.has_met = Some(true);
            self.actions.push_back(Action::Met);
        }
        self.ask_directory(link);
        self.serve(at);
    }

    /// A connection is over, or did not come about.
    fn lose(&mut self, link: Link, trouble: Trouble) {
        let Some(line) = self.lines.remove(link) else {
            return;
        };
        self.actions.push_back(Action::Close(link));
        let (now, at) = (self.now, line.place);
        if let Some(place) = self.places.get_mut(&at) {
            place.links.retain(|it| *it != link);
            place.trouble = trouble;
            if line.is_open() {
                self.counts.lost += 1;
                place.circuit.fail(now, &mut self.dice);
            } else {
                place.circuit.refuse(now, &mut self.dice);
            }
        }
        let is_gone = (self.places.get(&at)).is_none_or(|place| place.links.is_empty());
        if self.has_met.is_none() && self.lines.all().next().is_none() {
            self.has_met = Some(false);
            self.actions.push_back(Action::NotMet(trouble));
        }
        for asked in line.asked.into_values() {
            if let Asked::Request(ask) = asked {
                self.attempt_lost(ask, link);
            }
        }
        if is_gone {
            let place = self.places.get_mut(&at);
            let waiting = place.map(|place| std::mem::take(&mut place.waiting));
            for ask in waiting.into_iter().flatten() {
                self.waited_in_vain(ask, at);
            }
        }
    }

    /// Closes a connection that nothing is asked on.
    fn let_go(&mut self, link: Link) {
        if let Some(line) = self.lines.remove(link) {
            self.actions.push_back(Action::Close(link));
            if let Some(place) = self.places.get_mut(&line.place) {
                place.links.retain(|it| *it != link);
            }
        }
    }

    fn announce(&mut self, link: Link) {
        if let Some(line) = self.lines.get_mut(link)
            && !line.is_announced
            && let State::Speaking(connection) = &line.state
            && !connection.outgoing().is_empty()
        {
            line.is_announced = true;
            self.actions.push_back(Action::Write(link));
        }
    }

    fn dial(&mut self, at: PlaceId) {
        let Some(place) = self.places.get_mut(&at) else {
            return;
        };
        let link = self.lines.insert(Line {
            place: at,
            state: State::Dialing,
            node: None,
            asked: BTreeMap::new(),
            opened: self.now,
            heard: self.now,
            used: self.now,
            is_announced: false,
        });
        place.links.push(link);
        place.circuit.ask(self.now);
        let address = place.address.clone();
        self.actions.push_back(Action::Dial { link, address });
    }

    fn add_place(&mut self, place: Place) -> PlaceId {
        let id = PlaceId(self.next_place);
        self.next_place += 1;
        self.places.insert(id, place);
        id
    }

    fn place_at(&self, address: &str) -> Option<PlaceId> {
        let mut places = self.places.iter();
        let found = places.find(|(_, place)| place.address == address);
        found.map(|(id, _)| *id)
    }

    /// Asks one of the nodes whether anything has changed, and closes what is not used.
    fn refresh(&mut self) {
        self.refresh_at = self.now + self.dice.jittered(self.settings.refresh);
        let (now, idle) = (self.now, self.settings.idle);
        let open = self.lines.all().filter(|(_, line)| line.is_open());
        let mut open: Vec<_> = open.map(|(link, line)| (line.used, link)).collect();
        open.sort();
        let last = open.pop();
        for (used, link) in open {
            let is_quiet = self
                .lines
                .get(link)
                .is_some_and(|line| line.asked.is_empty());
            if is_quiet && now.since(used) >= idle {
                self.let_go(link);
            }
        }
        if let Some((_, link)) = last {
            self.ask_directory(link);
        }
    }

    fn ask_directory(&mut self, link: Link) {
        let known = self.chart.as_ref().map_or(0, |chart| chart.digest);
        let ticket = self.next_ticket;
        let Some(line) = self.lines.get_mut(link) else {
            return;
        };
        let is_asked = line.asked.values().any(|it| *it == Asked::Directory);
        if let Some(connection) = line.connection()
            && !is_asked
        {
            let ticket = Ticket(ticket);
            // If there is no room for it, there is much else to do.
            if connection
                .send(&Message::AskDirectory { ticket, known })
                .is_ok()
            {
                line.asked.insert(ticket.0, Asked::Directory);
                self.next_ticket += 1;
                self.announce(link);
            }
        }
    }

    fn learn(&mut self, directory: Directory) {
        let known = self.chart.as_mut();
        if let Some(chart) = known {
            if directory.epoch.height < chart.directory.epoch.height {
                return; // whoever tells it is behind
            }
            if directory.ring == chart.directory.ring && directory.reads == chart.directory.reads {
                chart.digest = directory.digest();
                chart.directory = directory;
                return self.learned();
            }
        }
        // A ring that cannot be is nobody's.
        if let Ok(chart) = Chart::of(directory) {
            self.chart = Some(chart);
            self.learned();
        }
    }

    fn learned(&mut self) {
        self.counts.directories += 1;
        let Some(chart) = &self.chart else {
            return;
        };
        let limits = chart.directory.limits;
        self.actions.push_back(Action::Learned(limits));
        if self.settings.way == Way::ThroughAny {
            return;
        }
        let told = chart.directory.places.clone();
        for (node, address) in &told {
            let at = self.place_at(address).unwrap_or_else(|| {
                self.add_place(Place::new(address.to_string(), false, Some(*node)))
            });
            let is_anothers = self.places.get(&at).is_some_and(|place| {
                !place.links.is_empty() && place.node.is_some_and(|there| there != *node)
            });
            if !is_anothers {
                self.nodes.insert(*node, at);
            }
        }
        // A node does not always say where it is itself: then it is where it was met.
        let members = self.chart.as_ref().map(Chart::members).unwrap_or_default();
        self.nodes.retain(|node, _| members.contains(node));
        let nodes = &self.nodes;
        self.places.retain(|id, place| {
            let is_node = nodes.values().any(|at| at == id);
            place.is_seed || is_node || !place.links.is_empty() || !place.waiting.is_empty()
        });
    }
}
