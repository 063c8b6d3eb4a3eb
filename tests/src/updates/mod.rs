//! Replicas of one key of a data type, each kept twice: as `dynamo-proto` keeps it, and as the set
//! of all updates that it has heard of, each with the set of those that its coordinator had.
//!
//! What a step of an update left is alive where it is known and nothing known superseded it. After
//! every event both must say the same.

mod choice;
mod model;
mod shown;

use std::collections::BTreeMap;

use bytes::Bytes;
use dynamo_proto::version::{
    Action, Births, Boot, Content, Data, DataType, Height, Past, Policy, Record, RequestId,
    Retirements, Rules, Siblings, Step, Write,
};
use dynamo_proto::{Limits, NodeId, WallTime};

use self::choice::an_update;
use self::model::Op;
use self::shown::{show, view};

/// Something that happens. Numbers name replicas, clients, messages and updates; they count modulo
/// how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A replica coordinates one of the updates that make sense for the type.
    Update { at: usize, which: usize },
    /// The same, for a client that takes away only what it remembers.
    UpdateSeen {
        at: usize,
        client: usize,
        which: usize,
    },
    /// A client reads and remembers what it saw.
    Read { at: usize, client: usize },
    /// A client deletes the key with what it remembers.
    Delete { at: usize, client: usize },
    /// A replica takes in all that another has.
    Sync { from: usize, to: usize },
    /// A replica's state leaves for somewhere, to arrive late or twice or never.
    Send { from: usize },
    /// One of the states under way arrives.
    Deliver { message: usize, to: usize },
    /// A replica loses the key.
    Forget { at: usize },
    /// A node starts anew with what it had stored.
    Restart { at: usize },
    /// An earlier boot of that node is retired.
    Retire { node: usize },
    /// A replica hears of all retirements.
    Learn { at: usize },
}

type Known = u64;

const MOST_UPDATES: usize = Known::BITS as usize;
const CLIENTS: usize = 2;

#[derive(Clone, Debug, Default)]
struct Replica {
    record: Record,
    known: Known,
    confirmed: Height,
}

/// Replicas, and all that was ever done to them.
#[derive(Debug)]
pub struct World {
    kind: DataType,
    replicas: Vec<Replica>,
    births: Vec<(Births, Vec<Boot>)>,
    clients: Vec<(Past, Known)>,
    under_way: Vec<(Siblings, Known)>,
    ops: Vec<Op>,
    retired: Retirements,
    limits: Limits,
}

impl World {
    /// Replicas that have never heard of the key, which is of that type.
    #[must_use]
    pub fn new(kind: DataType, replicas: usize) -> Self {
        let births = (1..=replicas as u64).map(|node| {
            let boot = Boot(node << 32);
            (Births::new(NodeId(node), boot), vec![boot])
        });
        Self {
            kind,
            replicas: vec![Replica::default(); replicas],
            births: births.collect(),
            clients: vec![Default::default(); CLIENTS],
            under_way: Vec::new(),
            ops: Vec::new(),
            retired: Retirements::default(),
            limits: Limits::default(),
        }
    }

    /// The states that replicas have now.
    #[must_use]
    pub fn states(&self) -> Vec<Siblings> {
        let states = self.replicas.iter().map(|it| it.record.siblings().clone());
        states.collect()
    }

    /// The boots retired so far.
    #[must_use]
    pub fn retired(&self) -> &Retirements {
        &self.retired
    }

    /// What the key's bucket does about concurrent writes.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy::Data(self.kind)
    }

    /// Lets it happen, and compares the replica that it touched with its model.
    ///
    /// # Panics
    ///
    /// If they differ.
    pub fn take(&mut self, event: Event) {
        let count = self.replicas.len();
        match event {
            Event::Update { at, which } => self.update(at % count, None, which),
            Event::UpdateSeen { at, client, which } => {
                self.update(at % count, Some(client % CLIENTS), which);
            }
            Event::Read { at, client } => {
                let Replica { record, known, .. } = &self.replicas[at % count];
                self.clients[client % CLIENTS] = (record.siblings().past(), *known);
            }
            Event::Delete { at, client } => self.delete(at % count, client % CLIENTS),
            Event::Sync { from, to } => {
                let Replica { record, known, .. } = &self.replicas[from % count];
                self.arrive(record.siblings().clone(), *known, to % count);
            }
            Event::Send { from } => {
                let Replica { record, known, .. } = &self.replicas[from % count];
                self.under_way.push((record.siblings().clone(), *known));
            }
            Event::Deliver { message, to } if !self.under_way.is_empty() => {
                let message = self.under_way[message % self.under_way.len()].clone();
                self.arrive(message.0, message.1, to % count);
            }
            Event::Deliver { .. } => {}
            Event::Forget { at } => self.replicas[at % count] = Replica::default(),
            Event::Restart { at } => {
                let (births, boots) = &mut self.births[at % count];
                let boot = Boot(boots[0].0 + boots.len() as u64);
                boots.push(boot);
                births.renew(boot);
            }
            Event::Retire { node } => self.retire(node % count),
            Event::Learn { at } => self.learn(at % count),
        }
    }

    /// Lets every replica hear from every other.
    ///
    /// # Panics
    ///
    /// If they do not end up byte-equal.
    pub fn settle(&mut self) {
        let count = self.replicas.len();
        (0..count).for_each(|at| self.learn(at));
        for _ in 0..2 {
            for from in 0..count {
                (0..count).for_each(|to| self.take(Event::Sync { from, to }));
            }
        }
        let first = self.replicas[0].record.siblings();
        for replica in &self.replicas {
            assert_eq!(replica.record.siblings(), first, "settled replicas differ");
        }
    }

    fn update(&mut self, at: usize, client: Option<usize>, which: usize) {
        if self.ops.len() == MOST_UPDATES {
            return;
        }
        let update = an_update(self.kind, which);
        let (id, known) = (self.ops.len(), self.replicas[at].known);
        let now = WallTime::from_secs(1 + (id as u32 * 7) % 5); // clocks are wrong
        let rules = Rules {
            policy: self.policy(),
            truncate_to: None,
            limits: &self.limits,
            retired: &self.retired,
        };
        let (record, births) = (&mut self.replicas[at].record, &mut self.births[at].0);
        let request = RequestId(id as u128);
        let seen = client.map(|client| &self.clients[client]);
        let named = (seen.map(|(past, _)| past), request);
        let updated = record.update(&update, named, now, births, &rules);
        let updated = updated.expect("the update fits");
        self.ops.push(Op {
            dot: updated.dot,
            known,
            seen: seen.map(|(_, known)| *known),
            is_delete: false,
            steps: Vec::new(),
        });
        self.replicas[at].known |= 1 << id;
        for step in update.steps() {
            let left = self.left(id, step, known | 1 << id, now);
            self.ops[id].steps.push(left);
        }
        self.check(at);
        if let [
            Step {
                action: Action::Count(_),
                ..
            },
        ] = update.steps()
            && self.kind.is_counter()
        {
            let count = view(self.kind, self.replicas[at].record.siblings()).count();
            assert_eq!(updated.came_to, count);
        }
    }

    fn delete(&mut self, at: usize, client: usize) {
        if self.ops.len() == MOST_UPDATES || self.kind.is_counter() {
            return;
        }
        let (past, seen) = self.clients[client].clone();
        let id = self.ops.len();
        let rules = Rules {
            policy: self.policy(),
            truncate_to: None,
            limits: &self.limits,
            retired: &self.retired,
        };
        let write = Write {
            past: Some(&past),
            content: Content::Tombstone,
            request: RequestId(id as u128),
        };
        let (record, births) = (&mut self.replicas[at].record, &mut self.births[at].0);
        let minted = record.mint(write, WallTime::from_secs(1), births, &rules);
        self.ops.push(Op {
            dot: minted.expect("a delete fits").dot,
            known: seen,
            seen: None,
            is_delete: true,
            steps: Vec::new(),
        });
        self.replicas[at].known |= seen | 1 << id;
        self.check(at);
    }

    fn arrive(&mut self, siblings: Siblings, known: Known, to: usize) {
        let policy = self.policy();
        let replica = &mut self.replicas[to];
        let before = replica.record.siblings().clone();
        let merged = replica.record.merge(siblings, policy, &self.retired);
        let is_news = merged.expect("all retirements are known everywhere");
        let is_changed = *replica.record.siblings() != before;
        assert_eq!(
            is_news, is_changed,
            "a merge must say whether it changed anything"
        );
        replica.known |= known;
        self.check(to);
    }

    fn learn(&mut self, at: usize) {
        let Replica {
            record, confirmed, ..
        } = &mut self.replicas[at];
        let raised = record.retire(*confirmed, &self.retired);
        raised.expect("all retirements are known everywhere");
        self.check(at);
    }

    /// What the cluster confirms before it commits: nothing of that boot is anywhere that every
    /// owner does not have.
    fn retire(&mut self, node: usize) {
        let (births, boots) = &self.births[node];
        let Some(boot) = boots[..boots.len() - 1].last().copied() else {
            return;
        };
        let id = births.node();
        for message in 0..self.under_way.len() {
            self.take(Event::Deliver { message, to: 0 });
        }
        self.settle();
        let height = self.retired.commit(id, boot);
        for replica in &mut self.replicas {
            if !replica.record.siblings().is_absent() {
                replica.confirmed = height;
            }
        }
    }

    fn check(&self, at: usize) {
        let Replica { record, known, .. } = &self.replicas[at];
        let mut bytes = Vec::new();
        record.siblings().encode(&mut bytes);
        assert_eq!(bytes.len(), record.siblings().encoded_len());
        assert_eq!(
            Siblings::decode(bytes.into()).as_ref(),
            Ok(record.siblings())
        );
        let view = view(self.kind, record.siblings());
        if self.kind.is_counter() {
            // Nothing ever supersedes what was counted.
            let steps = (0..self.ops.len()).filter(|id| known & (1 << id) != 0);
            let steps = steps.flat_map(|id| &self.ops[id].steps);
            let count: i64 = steps.map(|it| by(&it.step.action)).sum();
            assert_eq!(view.count(), count, "replica {at} counts wrong: {self:#?}");
            return;
        }
        let mut shown = BTreeMap::new();
        show(&view, String::new(), &mut shown);
        assert_eq!(
            shown,
            self.expected(*known),
            "replica {at} shows the wrong: {self:#?}"
        );
    }
}

fn by(action: &Action) -> i64 {
    match action {
        Action::Count(by) => *by,
        _ => 0,
    }
}

/// # Panics
///
/// If bytes decode to data that is not what they say.
pub fn check_bytes(bytes: &[u8]) {
    if let Ok(data) = Data::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(data.encoded()[..], *bytes, "there is one form only");
        show(&data.view(), String::new(), &mut BTreeMap::new());
    }
}
