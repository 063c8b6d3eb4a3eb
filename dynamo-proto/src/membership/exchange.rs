//! What is said and heard: rounds of gossip, answers, pings.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::commit::Birth;
use super::gossip::{Gossip, Kind, VERSIONS_AT_ONCE};
use super::history::{History, HistoryError};
use super::limits::{COMMITS_BYTES, MAX_HEADS, MAX_RECORDS};
use super::roster::{Alarm, Told};
use super::{
    Cluster, Commit, CommitId, Epoch, Finding, Life, MOST_RISES, Membership, Output, SEED_ROUNDS,
    ShortEpoch, Standing, To,
};
use crate::{Generation, Instant, NodeId, Now};

impl Membership {
    /// A peer has said something.
    pub fn handle(&mut self, now: Now, from: NodeId, message: Gossip, out: &mut Vec<Output>) {
        let is_heard = match self.life {
            Life::Living => true,
            // What it alone knows must not be lost with it.
            Life::Removed => message.is_of_history(),
            Life::Unsaved | Life::Overtaken => false,
        };
        if !is_heard {
            return;
        }
        let sender = from;
        let from = To::Node(from);
        match message.0 {
            Kind::Digest {
                epoch,
                heads,
                roster,
                confirmed,
                retired,
            } => {
                if self.cluster.is_some() && self.life == Life::Living {
                    self.compare_retired(from, retired, out);
                }
                self.compare_histories(from, epoch, &heads, confirmed, out);
                if roster != self.roster.sum() && self.life == Life::Living {
                    say(from, Kind::Sums(self.roster.sums()), out);
                }
            }
            Kind::Locate { names, is_answer } => self.located(from, &names, is_answer, out),
            Kind::Birth(birth) => self.born(now.mono, from, birth, out),
            Kind::Commits { commits, has_more } => {
                self.told_commits(now.mono, from, commits, has_more, out);
            }
            Kind::Confirmed {
                epoch,
                steps,
                switched,
                is_answer,
            } => {
                if let Some(cluster) = self.cluster.as_mut().filter(|it| it.epoch == epoch) {
                    cluster.confirmed.merge(&steps);
                    let is_behind = cluster.take_over(&switched);
                    let is_ahead =
                        cluster.confirmed.exceeds(&steps) || cluster.switched != switched;
                    if !is_answer && is_ahead {
                        say(from, cluster.confirmations(true), out);
                    }
                    if is_behind {
                        out.push(Output::Switched(epoch));
                        self.save(out);
                    }
                    self.go_on(out);
                }
            }
            Kind::Sums(sums) => {
                let (parts, versions) = self.roster.differing(&sums, VERSIONS_AT_ONCE);
                if !parts.is_empty() {
                    let buckets = sums.len();
                    let kind = Kind::Versions {
                        buckets,
                        parts,
                        versions,
                    };
                    say(from, kind, out);
                }
            }
            Kind::Versions {
                buckets,
                parts,
                versions,
            } => {
                let (told, wanted) = self.roster.compare(buckets, &parts, &versions, MAX_RECORDS);
                if !told.is_empty() || !wanted.is_empty() {
                    say(from, Kind::Records { told, wanted }, out);
                }
            }
            Kind::Records { told, wanted } => {
                for told in told {
                    let life = told.record.as_ref().map(|it| (it.generation, it.boot));
                    if told.node == sender && life.is_some_and(|it| self.roster.is_twin(sender, it))
                    {
                        let (told, wanted) = (Vec::from([self.roster.tell(sender)]), Vec::new());
                        say(from, Kind::Records { told, wanted }, out);
                    } else {
                        self.told(now.mono, told, out);
                    }
                }
                if !wanted.is_empty() && self.life == Life::Living {
                    let told = wanted
                        .into_iter()
                        .map(|node| self.roster.tell(node))
                        .collect();
                    let wanted = Vec::new();
                    say(from, Kind::Records { told, wanted }, out);
                }
            }
            Kind::Retired { first, boots } => self.told_retired(sender, first, &boots, out),
            Kind::Ask(question) => self.asked(sender, question, out),
            Kind::Answer(answer) => self.answered_by(sender, answer),
            Kind::Ping {
                asker,
                number,
                doubt,
            } => {
                self.deny(now.mono, doubt, out);
                let pong = Kind::Pong {
                    asker,
                    subject: self.config.member.id,
                    number,
                    generation: self.generation,
                    alarm: self.roster.alarm(self.config.member.id),
                };
                say(from, pong, out);
            }
            Kind::Pong {
                asker,
                subject,
                number,
                generation,
                alarm,
            } => {
                if asker == self.config.member.id {
                    self.answered(now.mono, subject, number, (generation, alarm), out);
                } else if from == To::Node(subject) && self.is_present(asker) {
                    say(To::Node(asker), message.0, out);
                }
            }
            Kind::Reach { subject, number } => {
                if let To::Node(asker) = from
                    && self.is_present(subject)
                {
                    let doubt = self.roster.alarm(subject);
                    let ping = Kind::Ping {
                        asker,
                        number,
                        doubt,
                    };
                    say(To::Node(subject), ping, out);
                }
            }
        }
    }

    /// A node asks for something by another epoch. Whoever of the two knows more tells the other, at
    /// once, and not for every request that is on its way.
    pub(crate) fn met(
        &mut self,
        now: Instant,
        node: NodeId,
        epoch: ShortEpoch,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(cluster) = self.cluster.as_ref().filter(|_| self.life == Life::Living) else {
            return false;
        };
        let is_known = cluster.state.standing(node).is_some();
        if epoch == ShortEpoch::default() || epoch == cluster.epoch.short() || !is_known {
            return false;
        }
        let before = self.met.insert(node, (epoch, now));
        let again =
            |(of, at): (ShortEpoch, Instant)| of == epoch && now < at + self.config.gossip_every;
        if let Some(before) = before.filter(|before| again(*before)) {
            self.met.insert(node, before);
            return false;
        }
        match cluster.history.heads_at(epoch) {
            Some(heads) => cluster.tell(To::Node(node), &heads, out),
            None => say(To::Node(node), self.digest(), out),
        }
        true
    }

    /// Sends a digest to one random peer, and now and then to a seed.
    pub(super) fn gossip(&mut self, out: &mut Vec<Output>) {
        let digest = self.digest();
        let others = self.detector.others();
        let peer = others
            .get(self.rng.below(others.len() as u64) as usize)
            .copied();
        if let Some(peer) = peer {
            say(To::Node(peer), digest.clone(), out);
        }
        let is_round = peer.is_none() || self.rng.below(SEED_ROUNDS) == 0;
        if self.config.seeds > 0 && is_round {
            let seed = self.rng.below(self.config.seeds.into()) as u16; // below a u16
            say(To::Seed(seed), digest, out);
        }
    }

    /// Pings who is to be pinged, and accuses who was lost.
    pub(super) fn watch(&mut self, now: Instant, out: &mut Vec<Output>) {
        let mut findings = core::mem::take(&mut self.findings);
        self.detector.tick(now, &mut self.rng, &mut findings);
        for finding in findings.drain(..) {
            match finding {
                Finding::Ping { node, number } => {
                    let ping = Kind::Ping {
                        asker: self.config.member.id,
                        number,
                        doubt: self.roster.alarm(node),
                    };
                    say(To::Node(node), ping, out);
                }
                Finding::Reach { node, by, number } => {
                    let subject = node;
                    say(To::Node(by), Kind::Reach { subject, number }, out);
                }
                Finding::Lost(node) => {
                    if let Some(told) = self.roster.accuse(node) {
                        self.told(now, told, out);
                    }
                }
            }
        }
        self.findings = findings;
    }

    /// The history has grown.
    pub(super) fn learned(&mut self, out: &mut Vec<Output>) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        cluster.refresh();
        self.news += 1;
        let epoch = cluster.epoch;
        let is_removed = cluster.state.is_removed(self.config.member.id);
        out.push(Output::Changed(epoch));
        self.save(out);
        if is_removed && self.life != Life::Removed {
            self.life = Life::Removed;
            out.push(Output::Removed);
        }
    }

    pub(super) fn digest(&self) -> Kind {
        let (epoch, heads, confirmed) = match &self.cluster {
            None => (Epoch::default(), Vec::new(), 0),
            Some(it) => (
                it.epoch,
                it.history.heads().iter().copied().take(MAX_HEADS).collect(),
                it.confirmed.digest(it.epoch, &it.switched),
            ),
        };
        Kind::Digest {
            epoch,
            heads,
            roster: self.roster.sum(),
            confirmed,
            retired: self.retiring.list.height(),
        }
    }

    fn compare_histories(
        &self,
        from: To,
        epoch: Epoch,
        heads: &[CommitId],
        confirmed: u64,
        out: &mut Vec<Output>,
    ) {
        match &self.cluster {
            None if epoch.is_nothing() => {}
            None => say(from, locate(Vec::new(), false), out),
            Some(cluster) if epoch == cluster.epoch => {
                if confirmed != cluster.confirmed.digest(epoch, &cluster.switched) {
                    say(from, cluster.confirmations(false), out);
                }
            }
            Some(cluster) if epoch.is_nothing() => {
                say(from, Kind::Birth(cluster.history.birth().clone()), out);
            }
            Some(cluster) if heads.iter().all(|head| cluster.history.contains(*head)) => {
                cluster.tell(from, heads, out);
            }
            Some(cluster) => say(from, locate(cluster.history.locate(), false), out),
        }
    }

    fn located(&self, from: To, names: &[CommitId], is_answer: bool, out: &mut Vec<Output>) {
        let Some(cluster) = &self.cluster else {
            if !names.is_empty() && !is_answer {
                say(from, locate(Vec::new(), true), out);
            }
            return;
        };
        if names.is_empty() {
            say(from, Kind::Birth(cluster.history.birth().clone()), out);
            return;
        }
        let is_known = |name: &CommitId| cluster.history.contains(*name);
        if !names.iter().any(is_known) {
            if let To::Node(node) = from {
                out.push(Output::OtherCluster(node));
            }
            return;
        }
        cluster.tell(from, names, out);
        if !is_answer && !names.iter().all(is_known) {
            say(from, locate(cluster.history.locate(), true), out);
        }
    }

    fn born(&mut self, now: Instant, from: To, birth: Arc<Birth>, out: &mut Vec<Output>) {
        let is_ours = match &self.cluster {
            Some(cluster) => cluster.history.root() == birth.id(),
            None => birth.cluster == self.config.cluster && birth.is_sound(),
        };
        if let (false, To::Node(node)) = (is_ours, from) {
            out.push(Output::OtherCluster(node));
        }
        if self.cluster.is_some() || !is_ours {
            return;
        }
        let cluster = Cluster::new(History::new(birth));
        say(from, locate(cluster.history.locate(), false), out);
        self.cluster = Some(cluster);
        self.learned(out);
        self.follow(now);
    }

    fn told_commits(
        &mut self,
        now: Instant,
        from: To,
        commits: Vec<Arc<Commit>>,
        has_more: bool,
        out: &mut Vec<Output>,
    ) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        let before = cluster.epoch.height;
        if cluster.history.take_in(commits) == Err(HistoryError::Full) {
            out.push(Output::Full);
        }
        if cluster.history.epoch().height == before {
            return;
        }
        if has_more {
            say(from, locate(cluster.history.locate(), false), out);
        }
        self.learned(out);
        self.follow(now);
    }

    /// Takes in what was told about a node, this one perhaps.
    fn told(&mut self, now: Instant, told: Told, out: &mut Vec<Output>) {
        let me = self.config.member.id;
        if told.node == me {
            if let Some(record) = &told.record
                && record.member.id == me
                && record.boot != self.config.boot
                && record.generation >= self.generation
            {
                self.overtaken(record.generation, out);
            }
            self.deny(now, told.alarm, out);
            return;
        }
        let was_at = self.address(told.node).map(Box::<str>::from);
        let state = self.cluster.as_ref().map(|it| &it.state);
        let learned = self.roster.take_in(&told, state);
        if learned.is_life {
            self.news += 1;
            // Those that are to be found again after a restart.
            if self.is_present(told.node) && self.address(told.node) != was_at.as_deref() {
                self.save(out);
            }
        }
        if learned.has_turned {
            let is_suspected = self.roster.is_suspected(told.node);
            out.push(if is_suspected {
                Output::Suspected(told.node)
            } else {
                Output::Trusted(told.node)
            });
            self.choose(now);
        }
    }

    /// Somebody lives, or lived, under this node's name after this store was copied.
    fn overtaken(&mut self, generation: Generation, out: &mut Vec<Output>) {
        // What is told first need not be the last that was heard of the earlier life. Whoever turns
        // up again and again is alive.
        if self.config.is_restored && self.rises < MOST_RISES && generation < Generation(u64::MAX) {
            self.rises += 1;
            self.generation = Generation(generation.0 + 1);
            self.life = Life::Unsaved;
            self.announce();
            self.save(out);
        } else {
            self.life = Life::Overtaken;
            out.push(Output::Overtaken { generation });
        }
    }

    /// Says that this node is there, if somebody doubts it.
    fn deny(&mut self, now: Instant, doubt: Alarm, out: &mut Vec<Output>) {
        let me = self.config.member.id;
        // Odd is doubt.
        if self.life == Life::Living
            && doubt.count % 2 == 1
            && let Some(told) = self.roster.clear(me, doubt)
        {
            let state = self.cluster.as_ref().map(|it| &it.state);
            let learned = self.roster.take_in(&told, state);
            if learned.has_turned {
                out.push(Output::Trusted(me));
                self.choose(now);
            }
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        subject: NodeId,
        number: u32,
        (generation, alarm): (Generation, Alarm),
        out: &mut Vec<Output>,
    ) {
        // An earlier life has nothing to say about this one.
        if generation < self.roster.generation(subject) || !self.is_present(subject) {
            return;
        }
        self.detector.heard(now, subject, number);
        if alarm > self.roster.alarm(subject) {
            let told = Told {
                node: subject,
                record: None,
                alarm,
            };
            self.told(now, told, out);
        }
    }

    pub(super) fn is_present(&self, node: NodeId) -> bool {
        let standing = self.state().and_then(|state| state.standing(node));
        matches!(standing, Some(Standing::Member(_) | Standing::Leaving(_)))
    }
}

impl Cluster {
    /// Tells what follows from those commits, as much as fits.
    fn tell(&self, to: To, known: &[CommitId], out: &mut Vec<Output>) {
        let mut commits = Vec::new();
        let mut bytes = 0;
        let mut missing = self.history.missing(known).peekable();
        while let Some(commit) =
            missing.next_if(|it| commits.is_empty() || bytes + it.encoded_len() <= COMMITS_BYTES)
        {
            bytes += commit.encoded_len();
            commits.push(commit.clone());
        }
        if !commits.is_empty() {
            let has_more = missing.peek().is_some();
            say(to, Kind::Commits { commits, has_more }, out);
        }
    }

    fn confirmations(&self, is_answer: bool) -> Kind {
        Kind::Confirmed {
            epoch: self.epoch,
            steps: self.confirmed.steps().clone(),
            switched: self.switched.clone(),
            is_answer,
        }
    }
}

fn locate(names: Vec<CommitId>, is_answer: bool) -> Kind {
    Kind::Locate { names, is_answer }
}

pub(super) fn say(to: To, kind: Kind, out: &mut Vec<Output>) {
    out.push(Output::Send {
        to,
        message: Gossip::from(kind),
    });
}
