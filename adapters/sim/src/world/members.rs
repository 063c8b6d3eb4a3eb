//! What administrators decide, and what must be so of rings (I9).

use dynamo_proto::membership::{Change, ShortEpoch, Standing, Step};
use dynamo_proto::node::Node;
use dynamo_proto::ring::RingSnapshot;
use dynamo_proto::store::{Item, Limit, Span};

use super::*;
use crate::scenario::Wish;

/// How long a node need not say again what it has said.
const SAID: Duration = Duration::from_secs(2);

/// Who asks by another epoch than that of the node that is asked, and whether that certainly speaks.
pub(super) fn other_epoch(node: &Node, event: &Event) -> Option<(NodeId, ShortEpoch, bool)> {
    let (from, message) = match event {
        // By way of another.
        Event::Peer {
            message: Message::Relay { from, to, message },
            ..
        } if *to == node.id() => (from, &**message),
        Event::Peer { from, message, .. } => (from, message),
        _ => return None,
    };
    let epoch = message.epoch()?;
    let membership = node.membership();
    let is_known = membership.state()?.standing(*from).is_some();
    // What it knows is on its disk, so it has begun to speak.
    let speaks = membership.is_serving() && membership.has_confirmed(Step::Known, node.id());
    let is_other = epoch != membership.epoch().short();
    (is_known && is_other).then_some((*from, epoch, speaks))
}

impl World<'_> {
    /// A decision is staged and committed, as far as it can be.
    pub(super) fn decide(&mut self, at: usize) {
        let decision = self.scenario.decisions[at].clone();
        self.decree(decision.told, &decision.changes);
    }

    /// Stages and commits changes at a node. Whether that was done.
    pub(crate) fn decree(&mut self, node: usize, wishes: &[Wish]) -> bool {
        let machine = &self.machines[node];
        if !machine.is_up() || machine.pauses > 0 {
            return false;
        }
        // What would destroy more than is survived is not decided.
        let may = |world: &mut Self, wish: &Wish| match *wish {
            Wish::Remove(gone) | Wish::Replace { dead: gone, .. } => {
                gone != node && world.may_remove(gone)
            }
            _ => true,
        };
        let wishes: Vec<_> = wishes.iter().filter(|it| may(self, it)).collect();
        for wish in &wishes {
            if let Wish::Remove(gone) | Wish::Replace { dead: gone, .. } = **wish {
                self.stop(gone, Stop::Kill);
                self.machines[gone].is_gone = true;
            }
        }
        let changes: Vec<_> = wishes.iter().map(|wish| self.change(**wish)).collect();
        self.tell(|| format!("node {node} is told: {changes:?}"));
        let machine = &mut self.machines[node];
        let now = machine.clocks(self.now);
        let Some(process) = machine.node.as_mut() else {
            return false;
        };
        process.unstage();
        for change in changes {
            let _ = process.stage(change); // what cannot be is left out
        }
        let Ok(plan) = process.plan() else {
            return false;
        };
        let mut effects = Vec::new();
        let is_done = process.commit(plan, now, &mut effects).is_ok();
        self.counters.add(Count::Decided, is_done.into());
        let mut events = VecDeque::new();
        for effect in effects {
            self.carry_out(node, effect, &mut events);
        }
        for event in events {
            self.handle(node, event);
        }
        self.handle(node, Event::Tick);
        is_done
    }

    /// A node that was given up may start again all the same.
    pub(crate) fn bring_back(&mut self, node: usize) {
        self.machines[node].is_gone = false;
    }

    fn change(&self, wish: Wish) -> Change {
        let member = |at| machine::member(&self.scenario, at).into();
        let id = machine::id;
        match wish {
            Wish::Join(node) => Change::Join(member(node)),
            Wish::Leave(node) => Change::Leave(id(node)),
            Wish::Remove(node) => Change::Remove(id(node)),
            Wish::Replace { dead, by } => Change::Replace {
                dead: id(dead),
                by: member(by),
            },
            Wish::Weigh { node, weight } => Change::Weigh {
                node: id(node),
                weight,
            },
            Wish::Rezone { node, zone } => Change::Place {
                node: id(node),
                zone: format!("zone-{zone}").into(),
                host: machine::member(&self.scenario, node).host,
            },
        }
    }

    /// Who is asked by another epoch says so at once, and then not for every request on its way.
    pub(super) fn check_told(
        &mut self,
        node: usize,
        (peer, epoch, speaks): (NodeId, ShortEpoch, bool),
        effects: &[Effect],
    ) {
        let is_said = effects.iter().any(|effect| {
            matches!(effect, Effect::Send { to, message: Message::Gossip(_) } if to.contains(&peer))
        });
        if is_said {
            self.said.insert((node, peer), (epoch, self.now));
            return;
        }
        let before = self.said.get(&(node, peer));
        let is_recent = |(of, at): &(ShortEpoch, Duration)| *of == epoch && self.now < *at + SAID;
        if speaks && !before.is_some_and(is_recent) {
            let what = format!("node {node} does not say to {peer} that it goes by another epoch");
            self.fail("P9", what);
        }
    }

    /// Equal epochs are equal rings, everywhere and always.
    pub(super) fn check_ring(&mut self, node: usize) {
        let Some(process) = &self.machines[node].node else {
            return;
        };
        let epoch = process.membership().epoch();
        if epoch.is_nothing() {
            return;
        }
        let snapshot = RingSnapshot::from(&**process.ring());
        let sum = format!("{snapshot:?}");
        let sum = sum.bytes().fold(0, |sum, byte| mix(sum, byte.into()));
        if *self.rings.entry(epoch).or_insert(sum) != sum {
            self.fail(
                "I9",
                format!("node {node} has another ring of epoch {epoch}"),
            );
        }
    }

    /// When all is quiet all know the same, nobody looks back, and nobody keeps what is not its own.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let best = self.machines.iter().filter_map(|it| it.node.as_ref());
        let best = best.max_by_key(|node| node.membership().epoch())?;
        let epoch = best.membership().epoch();
        let state = best.membership().state()?;
        for (at, machine) in self.machines.iter().enumerate() {
            let Some(process) = &machine.node else {
                continue;
            };
            let membership = process.membership();
            match state.standing(machine::id(at)) {
                None => {}
                Some(Standing::Removed) if membership.is_serving() => {
                    return Some(format!("node {at} serves although it is removed"));
                }
                Some(Standing::Removed) => {}
                Some(Standing::Member(_) | Standing::Leaving(_)) => {
                    if membership.epoch() != epoch || !membership.is_switched() {
                        let now = membership.epoch();
                        return Some(format!("node {at} is at {now} of {epoch}, or looks back"));
                    }
                    if let Some(key) = self.kept_for_nothing(at) {
                        return Some(format!("node {at} keeps key {key}, which is not its own"));
                    }
                }
            }
        }
        None
    }

    fn kept_for_nothing(&self, node: usize) -> Option<String> {
        if self.machines[node]
            .node
            .as_ref()?
            .membership()
            .epoch()
            .height
            <= 1
        {
            return None; // a disk that errs may have put anything there
        }
        let all = Limit {
            items: usize::MAX,
            bytes: usize::MAX,
        };
        let page = self.machines[node]
            .disk
            .scan(Space::Objects, &Span::all(), all);
        let keys = page.items.into_iter().filter_map(|item| match item {
            // What cannot be read cannot be compared either, and stays.
            Item::Found { at, bytes } if Record::decode(&at, bytes.clone()).is_ok() => {
                Key::decode(at.name).ok()
            }
            Item::Found { .. } | Item::Corrupt(_) => None,
        });
        let n = self.scenario.quorum.n.into();
        let me = machine::id(node);
        let mut keys = keys.filter(|key| !self.ring().lookup(key.token()).is_primary(me, n));
        keys.next()
            .map(|key| String::from_utf8_lossy(key.key()).into_owned())
    }
}
