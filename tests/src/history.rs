//! A few replicas of one key, each kept twice: as `dynamo-proto` keeps it, and as the explicit set
//! of all writes that it has heard of, each with the set of all writes that its client had seen.
//!
//! The second is too large for use and too simple to be wrong: a write is alive where it is known
//! and no known write had seen it. After every step both must say the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use dynamo_proto::version::{
    Births, Boot, Causality, Content, Dot, Height, Past, Policy, Record, RequestId, Retirements,
    Rules, Siblings, Write,
};
use dynamo_proto::{Limits, NodeId, WallTime};

/// Something that happens to the replicas. Numbers name replicas, clients and messages; they count
/// modulo how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A client reads at a replica and remembers what it saw.
    Read { at: usize, client: usize },
    /// A client writes with what it remembers.
    Write { at: usize, client: usize },
    /// A client deletes with what it remembers.
    Delete { at: usize, client: usize },
    /// Somebody writes without having read.
    Blind { at: usize },
    /// A replica takes in all that another has.
    Sync { from: usize, to: usize },
    /// A replica's state leaves for somewhere, to arrive late or twice or never.
    Send { from: usize },
    /// One of the states under way arrives.
    Deliver { message: usize, to: usize },
    /// A replica loses the key: handed home, collected, or its disk gone.
    Forget { at: usize },
    /// A node starts anew with what it had stored.
    Restart { at: usize },
    /// All owners have subsumed what an earlier boot of that node minted, and it is retired. They
    /// need not have heard so yet.
    Retire { node: usize },
    /// A replica hears of all retirements.
    Learn { at: usize },
}

/// Writes as bits: the n-th write of a world is bit n.
type Writes = u64;

/// How many writes a world can tell apart.
pub const MOST_WRITES: usize = Writes::BITS as usize;

#[derive(Clone, Debug, Default)]
struct Replica {
    record: Record,
    known: Writes,
    /// The retirements that it has heard of.
    retired: Retirements,
    /// How far it confirmed them with the record that it has.
    confirmed: Height,
}

#[derive(Clone, Debug, Default)]
struct Client {
    past: Past,
    seen: Writes,
}

#[derive(Debug)]
struct Node {
    births: Births,
    boots: Vec<Boot>,
}

/// Replicas, their clients, and what was ever written.
#[derive(Clone, Debug)]
pub struct World {
    replicas: Vec<Replica>,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    under_way: Vec<(Siblings, Writes)>,
    /// What the client of each write had seen.
    pasts: Vec<Writes>,
    /// Those that are deletes.
    deletes: Writes,
    dots: BTreeMap<Dot, usize>,
    retired: Retirements,
    limits: Limits,
}

static NAMES: [u8; MOST_WRITES] = {
    let mut names = [0; MOST_WRITES];
    let mut at = 0;
    while at < MOST_WRITES {
        names[at] = at as u8;
        at += 1;
    }
    names
};

const POLICY: Policy = Policy::Siblings;

impl Clone for Node {
    fn clone(&self) -> Self {
        // Births cannot be cloned, as two of one kind would bear the same actors. Worlds are
        // cloned to try one continuation after another, so here it is right.
        let mut births = Births::new(self.births.node(), *self.boots.last().expect("one boot"));
        for _ in 0..self.births.count() {
            births.newborn();
        }
        Self {
            births,
            boots: self.boots.clone(),
        }
    }
}

impl World {
    /// Replicas that have never heard of the key, clients that have seen nothing.
    #[must_use]
    pub fn new(replicas: usize, clients: usize) -> Self {
        let nodes = (0..replicas).map(|at| {
            let boot = Boot((at as u64 + 1) << 32);
            Node {
                births: Births::new(NodeId(at as u64 + 1), boot),
                boots: vec![boot],
            }
        });
        Self {
            replicas: vec![Replica::default(); replicas],
            nodes: nodes.collect(),
            clients: vec![Client::default(); clients],
            under_way: Vec::new(),
            pasts: Vec::new(),
            deletes: 0,
            dots: BTreeMap::new(),
            retired: Retirements::default(),
            limits: Limits {
                siblings: usize::MAX,
                actors: usize::MAX,
                ..Limits::default()
            },
        }
    }

    /// Whether another write fits.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pasts.len() < MOST_WRITES
    }

    /// The state that a replica shares with others.
    #[must_use]
    pub fn siblings(&self, at: usize) -> &Siblings {
        self.replicas[at].record.siblings()
    }

    /// The boots retired so far.
    #[must_use]
    pub fn retired(&self) -> &Retirements {
        &self.retired
    }

    /// Takes the step, and compares the replica that it touched with its model.
    ///
    /// Returns whether anything changed.
    ///
    /// # Panics
    ///
    /// If they differ.
    pub fn take(&mut self, step: Step) -> bool {
        let (replicas, clients) = (self.replicas.len(), self.clients.len());
        match step {
            Step::Read { at, client } => self.read(at % replicas, client % clients),
            Step::Write { at, client } => self.write(at % replicas, Some(client % clients), false),
            Step::Delete { at, client } => self.write(at % replicas, Some(client % clients), true),
            Step::Blind { at } => self.write(at % replicas, None, false),
            Step::Sync { from, to } => self.sync(from % replicas, to % replicas),
            Step::Send { from } => self.send(from % replicas),
            Step::Deliver { message, to } => self.deliver(message, to % replicas),
            Step::Forget { at } => self.forget(at % replicas),
            Step::Restart { at } => self.restart(at % replicas),
            Step::Retire { node } => self.retire(node % replicas),
            Step::Learn { at } => self.learn(at % replicas),
        }
    }

    /// Lets every replica hear from every other, and compares them.
    ///
    /// # Panics
    ///
    /// If they do not end up byte-equal.
    pub fn settle(&mut self) {
        for at in 0..self.replicas.len() {
            self.learn(at);
        }
        for _ in 0..2 {
            for from in 0..self.replicas.len() {
                for to in 0..self.replicas.len() {
                    self.sync(from, to);
                }
            }
        }
        let bytes = |replica: &Replica| {
            let mut bytes = Vec::new();
            replica.record.siblings().encode(&mut bytes);
            bytes
        };
        let first = bytes(&self.replicas[0]);
        for replica in &self.replicas {
            assert_eq!(bytes(replica), first, "settled replicas differ: {self:#?}");
        }
    }

    fn read(&mut self, at: usize, client: usize) -> bool {
        let seen = self.seen(self.replicas[at].known);
        let past = self.replicas[at].record.siblings().past();
        let client = &mut self.clients[client];
        let is_news = client.past != past;
        *client = Client { past, seen };
        is_news
    }

    fn write(&mut self, at: usize, client: Option<usize>, is_delete: bool) -> bool {
        if !self.has_room() {
            return false;
        }
        let height = client.map_or(Height(0), |client| self.clients[client].past.clock.height());
        if height > self.replicas[at].retired.height() {
            self.learn(at);
        }
        let id = self.pasts.len();
        let client = client.map(|client| &self.clients[client]);
        let content = if is_delete {
            Content::Tombstone
        } else {
            Content::plain(Bytes::from_static(&NAMES[id..=id]))
        };
        let write = Write {
            past: client.map(|client| &client.past),
            content,
            request: RequestId(id as u128),
        };
        let replica = &mut self.replicas[at];
        let rules = Rules {
            policy: POLICY,
            truncate_to: None,
            limits: &self.limits,
            retired: &replica.retired,
        };
        let now = WallTime::from_secs(id as u32);
        let births = &mut self.nodes[at].births;
        let minted = replica.record.mint(write, now, births, &rules);
        let minted = minted.expect("no limit is set");
        let earlier = self.dots.insert(minted.dot, id);
        assert_eq!(earlier, None, "{:?} was minted twice", minted.dot);
        self.deletes |= Writes::from(is_delete) << id;
        self.pasts.push(client.map_or(0, |client| client.seen));
        self.replicas[at].known |= 1 << id;
        self.check(at);
        true
    }

    fn sync(&mut self, from: usize, to: usize) -> bool {
        let Replica { record, known, .. } = self.replicas[from].clone();
        self.arrive(record.siblings().clone(), known, to)
    }

    fn send(&mut self, from: usize) -> bool {
        let Replica { record, known, .. } = self.replicas[from].clone();
        self.under_way.push((record.siblings().clone(), known));
        known != 0
    }

    fn deliver(&mut self, message: usize, to: usize) -> bool {
        if self.under_way.is_empty() {
            return false;
        }
        let (siblings, known) = self.under_way[message % self.under_way.len()].clone();
        self.arrive(siblings, known, to)
    }

    fn arrive(&mut self, siblings: Siblings, known: Writes, to: usize) -> bool {
        let before = self.replicas[to].record.clone();
        let replica = &mut self.replicas[to];
        let merged = replica
            .record
            .merge(siblings.clone(), POLICY, &replica.retired);
        let is_news = match merged {
            Ok(is_news) => is_news,
            Err(behind) => {
                assert!(behind.height > replica.retired.height(), "{behind}");
                assert_eq!(replica.record, before, "what is refused changes nothing");
                self.learn(to);
                return self.arrive(siblings, known, to);
            }
        };
        let is_changed = replica.record.siblings() != before.siblings();
        assert_eq!(
            is_news, is_changed,
            "a merge must say whether it changed anything"
        );
        replica.known |= known;
        self.check(to);
        is_news
    }

    fn learn(&mut self, at: usize) -> bool {
        let replica = &mut self.replicas[at];
        let is_news = replica.retired != self.retired;
        replica.retired = self.retired.clone();
        let raised = replica.record.retire(replica.confirmed, &replica.retired);
        raised.expect("the list reaches all that was confirmed");
        self.check(at);
        is_news
    }

    fn forget(&mut self, at: usize) -> bool {
        let had = self.replicas[at].known != 0;
        let retired = std::mem::take(&mut self.replicas[at].retired);
        self.replicas[at] = Replica {
            retired,
            ..Replica::default()
        };
        had
    }

    fn restart(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        let boot = Boot(node.boots[0].0 + node.boots.len() as u64);
        node.boots.push(boot);
        node.births.renew(boot);
        true
    }

    fn retire(&mut self, node: usize) -> bool {
        let Node { births, boots } = &self.nodes[node];
        let Some(boot) = boots[..boots.len() - 1].last().copied() else {
            return false;
        };
        let id = births.node();
        // What the cluster confirms before it commits: nothing of that boot is anywhere that
        // every owner does not have.
        for message in 0..self.under_way.len() {
            self.deliver(message, 0);
        }
        self.settle();
        let height = self.retired.commit(id, boot);
        for replica in &mut self.replicas {
            if !replica.record.siblings().is_absent() {
                replica.confirmed = height;
            }
        }
        true
    }

    /// All that a replica that knows these writes has seen: them, and what their clients had.
    fn seen(&self, known: Writes) -> Writes {
        known | self.superseded(known)
    }

    fn superseded(&self, known: Writes) -> Writes {
        let of = |id: usize| {
            if known & (1 << id) != 0 {
                self.pasts[id]
            } else {
                0
            }
        };
        (0..self.pasts.len())
            .map(of)
            .fold(0, |all, past| all | past)
    }

    fn check(&self, at: usize) {
        let Replica { record, known, .. } = &self.replicas[at];
        let expected = known & !self.superseded(*known);
        let alive = record.siblings().values().iter().map(|sibling| {
            let id = self.dots[&sibling.dot];
            if let Some(body) = sibling.value.content.body() {
                assert_eq!(
                    body[..],
                    NAMES[id..=id],
                    "{:?} bears another's value",
                    sibling.dot
                );
            }
            1 << id
        });
        let alive = alive.fold(0, |all, id: Writes| all | id);
        let is_needed = |id: usize| !self.is_over(id, record.siblings().clock().height());
        let needed = (0..self.pasts.len()).filter(|id| is_needed(*id));
        let needed = needed.fold(0, |all, id| all | 1 << id);
        assert!(
            alive & !expected == 0 && expected & !alive & needed == 0,
            "replica {at} keeps the wrong writes alive: {alive:b} for {expected:b} of {self:#?}"
        );
        let is_exact = self.retired.height().0 == 0;
        for other in &self.replicas {
            self.check_order(&self.replicas[at], other, is_exact);
        }
    }

    /// Whether that is a delete of which, at that height, all are known to have seen it: it need not
    /// be kept.
    fn is_over(&self, id: usize, height: Height) -> bool {
        let mut dots = self.dots.iter();
        self.deletes & (1 << id) != 0
            && dots.any(|(dot, of)| *of == id && self.retired.cover(height, &dot.actor))
    }

    /// Clocks must order replicas as their histories do. Once boots are retired, one may claim
    /// less than it knows (never more).
    fn check_order(&self, one: &Replica, other: &Replica, is_exact: bool) {
        let (here, there) = (self.seen(one.known), self.seen(other.known));
        let histories = match (here & !there != 0, there & !here != 0) {
            (false, false) => Causality::Equal,
            (false, true) => Causality::Before,
            (true, false) => Causality::After,
            (true, true) => Causality::Concurrent,
        };
        let reach = one
            .record
            .siblings()
            .clock()
            .height()
            .max(other.record.siblings().clock().height());
        if one.retired.height() < reach {
            return;
        }
        let clocks = one
            .record
            .siblings()
            .compare(other.record.siblings(), &one.retired);
        let is_right = clocks == histories
            || !is_exact
                && match clocks {
                    Causality::Equal => false,
                    Causality::Before => histories == Causality::Equal,
                    Causality::After => histories == Causality::Equal,
                    Causality::Concurrent => true,
                };
        assert!(
            is_right,
            "clocks say {clocks:?}, histories {histories:?}: {one:#?} {other:#?}"
        );
    }
}
