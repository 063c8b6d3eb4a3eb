//! What must be so when nothing goes wrong any more.

use super::*;
use dynamo_proto::Instant;
use dynamo_proto::node::{Held, TreeCheck};
use dynamo_proto::store::{Item, Limit, Span};

/// How long nodes may go on by themselves when nobody asks for anything any more: bringing home
/// what they hold for others, finding out who is there.
const QUIET: Duration = Duration::from_secs(60);

/// How long replicas may take to become equal.
const CONVERGE: Duration = Duration::from_secs(90);

impl World<'_> {
    pub(super) fn check_quiet(&mut self) {
        if self.violation.is_some() {
            return;
        }
        if let Some((name, asked)) = self.asked.first_key_value() {
            let what = format!("{name:?}, asked at {:?}, was never answered", asked.at);
            return self.fail("I10", what);
        }
        let is_missed = |machine: &Machine| !machine.is_up() && !machine.is_gone;
        let down = self.machines.iter().position(is_missed);
        if let Some(node) = down {
            return self.fail("liveness", format!("node {node} never started again"));
        }
        let end = self.now + QUIET;
        let mut busy = self.busy();
        while busy.is_some() && self.now < end && self.violation.is_none() {
            self.settle(Duration::from_secs(1));
            busy = self.busy();
        }
        if let Some(node) = busy
            && let Some(process) = &self.machines[node].node
        {
            let what = format!(
                "node {node} is still busy though nobody waits: {} requests, {} changes, {:?}, to be woken at {:?}",
                process.running(),
                process.load(),
                process.held(),
                process.next_deadline(),
            );
            self.fail("liveness", what);
        }
    }

    /// A node that has something to do.
    fn busy(&self) -> Option<usize> {
        (0..self.machines.len()).find(|node| {
            let process = self.machines[*node].node.as_ref();
            process.is_some_and(|node| !node.is_at_rest())
        })
    }

    /// On their own, and soon, all replicas of a key become equal, and nobody holds anything for
    /// anybody else.
    pub(super) fn check_convergence(&mut self) {
        let end = self.now + CONVERGE;
        while let Some(difference) = self.difference() {
            if self.violation.is_some() {
                return;
            }
            if self.now >= end {
                return self.fail("I6", difference);
            }
            self.settle(Duration::from_secs(1));
        }
    }

    /// Something that has not become equal.
    pub(crate) fn difference(&self) -> Option<String> {
        if let Some(unfinished) = self.unfinished() {
            return Some(unfinished);
        }
        let held = self.machines.iter().filter(|machine| !machine.is_gone);
        let held = held.map(Machine::copies_held);
        if let Some((node, held)) = held.enumerate().find(|(_, held)| *held > 0) {
            return Some(format!("node {node} still holds {held} copies for others"));
        }
        if self.scenario.knobs.are_level()
            && let Some(wrong) = (0..self.machines.len()).find_map(|node| self.wrong_trees(node))
        {
            return Some(wrong);
        }
        let mut nothing = Vec::new();
        self.raised(Siblings::default(), self.retired.height())
            .encode(&mut nothing);
        (0..self.scenario.keys.len()).find_map(|key| {
            let primaries = self.primaries(key);
            let at = self.address(key);
            let first = self.shared_state(primaries[0], &at);
            let differs =
                |node: &&usize| first.is_none() || self.shared_state(**node, &at) != first;
            let other = primaries.iter().find(differs)?;
            // What was torn before anybody else was told of it has nothing to be repaired from.
            let states = primaries.iter().map(|node| self.shared_state(*node, &at));
            if states.flatten().all(|state| state == nothing) {
                return None;
            }
            Some(format!(
                "nodes {} and {other} hold key {key} differently",
                primaries[0]
            ))
        })
    }

    /// Whether what a node keeps of its trees is not that of its records.
    fn wrong_trees(&self, node: usize) -> Option<String> {
        let process = self.machines[node].node.as_ref()?;
        if !process.membership().is_serving() {
            return None;
        }
        match self.check_tree(node) {
            Some(check) if check == TreeCheck::default() => None,
            Some(check) => Some(format!(
                "the trees of node {node} are not its records': {check:?}"
            )),
            None => Some(format!("node {node} has not made its trees yet")),
        }
    }

    /// A node that stopped must find trees that are those of its records, but for leaves that say
    /// that they are not.
    pub(super) fn check_found_tree(&mut self, node: usize) {
        if !self.atlas.is_scarred(node)
            && let Some(check) = self.check_tree(node)
            && check.wrong > 0
        {
            self.fail(
                "I6",
                format!("node {node} starts with wrong trees: {check:?}"),
            );
        }
    }

    fn check_tree(&self, node: usize) -> Option<TreeCheck> {
        let machine = &self.machines[node];
        let all = |space| machine.disk.all(space);
        let (records, kept) = (all(Space::Objects), all(Space::Trees));
        let buckets = match &machine.node {
            Some(process) => process.buckets(),
            None => &machine::buckets(&self.scenario),
        };
        let keys = machine.config.limits.keys as u64;
        let retired = match &machine.node {
            Some(process) => process.membership().retired(),
            None => &self.retired,
        };
        dynamo_proto::node::check_tree((self.ring(), buckets, retired), keys, records, kept)
    }

    /// Whether every two nodes have found since then that they have the same.
    pub(crate) fn has_agreed_since(&self, then: Duration) -> bool {
        let up = self.machines.iter();
        up.filter_map(|machine| Some((machine, machine.node.as_ref()?)))
            .all(|(machine, process)| {
                let now = machine.clocks(self.now).mono;
                let since = self.now - then;
                process
                    .agreements(now)
                    .all(|it| it.age.is_some_and(|age| age <= since))
            })
    }

    /// For how many stretches two nodes have to agree.
    pub(crate) fn stretches(&self) -> usize {
        let up = self
            .machines
            .iter()
            .filter_map(|machine| machine.node.as_ref());
        up.map(|process| process.agreements(Instant::default()).count())
            .sum::<usize>()
            / 2
    }

    /// How many keys all nodes have counted.
    pub(crate) fn keys_counted(&self) -> u64 {
        let up = self
            .machines
            .iter()
            .filter_map(|machine| machine.node.as_ref());
        up.map(dynamo_proto::node::Node::keys).sum()
    }

    /// How many records there are on all disks.
    pub(crate) fn copies(&self) -> usize {
        self.machines
            .iter()
            .map(|machine| machine.disk.count(Space::Objects))
            .sum()
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// How many copies all nodes that are up hold for others, and of how many bytes.
    pub(crate) fn held_by_all(&self) -> Held {
        let mut all = Held::default();
        for process in self
            .machines
            .iter()
            .filter_map(|machine| machine.node.as_ref())
        {
            let held = process.held();
            all.copies += held.copies;
            all.bytes += held.bytes;
        }
        all
    }

    /// How many bytes of partitions and copies nodes have sent each other so far, to whom they belong.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// How many bytes of records all nodes keep as their own, and how many of them that node.
    pub(crate) fn kept(&self, node: usize) -> (u64, u64) {
        let limit = Limit {
            items: usize::MAX,
            bytes: usize::MAX,
        };
        let kept = |machine: &Machine| {
            let page = machine.disk.scan(Space::Objects, &Span::all(), limit);
            let items = page.items.into_iter().map(|item| match item {
                Item::Found { at, bytes } => (at.name.len() + bytes.len()) as u64,
                Item::Corrupt(_) => 0,
            });
            items.sum::<u64>()
        };
        let all = self.machines.iter().map(kept).sum();
        (all, kept(&self.machines[node]))
    }

    /// How many bytes were sent so far, and how many of them to that node.
    pub(crate) fn traffic(&self, node: usize) -> (u64, u64) {
        let (mut all, mut to) = (0, 0);
        for link in self.all_links() {
            for (end, side) in self.links[link].ends.iter().enumerate() {
                all += side.sent;
                if self.machine_at(link, 1 - end) == node {
                    to += side.sent;
                }
            }
        }
        (all, to)
    }

    /// What retirements this node knows of and has seen all of may be more than before.
    pub(super) fn note_retired(&mut self, node: usize) {
        let Some(process) = &self.machines[node].node else {
            return;
        };
        let (list, earned) = (
            process.membership().retired(),
            process.membership().earned(),
        );
        if list.height() > self.retired.height() {
            let more = list.height().0 - self.retired.height().0;
            self.counters.add(Count::Retired, more.into());
            self.retired = list.clone();
        }
        let before = std::mem::replace(&mut self.machines[node].earned, earned);
        if earned <= before {
            return;
        }
        self.counters.add(Count::Raised, 1);
        let over: Vec<_> = self.ghost.deletes_of(earned, &self.retired).collect();
        for (_, delete) in over {
            self.oracle.forget(delete);
        }
    }

    /// What all replicas of a key are to have in common, in bytes, all retirements taken into
    /// account; none of a damaged record.
    pub(super) fn shared_state(&self, node: usize, at: &Address) -> Option<Vec<u8>> {
        let siblings = match self.machines[node].disk.read(Space::Objects, at) {
            ReadOutcome::Found(found) => Record::decode(at, found).ok()?.into_siblings(),
            ReadOutcome::Absent => Siblings::default(),
            ReadOutcome::Corrupt | ReadOutcome::Failed => return None,
        };
        let mut bytes = Vec::new();
        self.raised(siblings, self.retired.height())
            .encode(&mut bytes);
        Some(bytes)
    }
}
