//! Who is in the cluster: what administrators decided, how all nodes come to know it, and who can be
//! reached.
//!
//! ```text
//!   administrator -- stage, plan, commit --> History --> State --> Ring
//!                                             ^   \
//!            gossip, every second with one    |    epoch, confirmed by everybody: settled
//!            random peer: digest, differences v
//!   nodes ---- what they say of themselves -- Roster <-- alarms -- Detector (pings of neighbours)
//! ```
//!
//! What it promises:
//! - Whatever is committed, anywhere, in any halves of a cluster, in the end all have equal
//!   histories and equal rings, in whatever order and however often they hear of it.
//! - Who was removed is never a member again.
//! - A node says that it has an epoch when that is on its disk, and not before.
//! - Same events, same bytes out. Damaged bytes are refused. Everything has a bound.
//!
//! What it leaves to others: carrying messages and writing down what is to be saved; moving data;
//! checking in handshakes that both sides belong to one [`ClusterId`](crate::ClusterId).
//!
//! A cluster of one takes in a newcomer:
//!
//! ```
//! use std::sync::Arc;
//! use dynamo_proto::membership::*;
//! use dynamo_proto::ring::{Member, RingConfig};
//! use dynamo_proto::version::Boot;
//! use dynamo_proto::{Bucket, ClusterId, Instant, NodeId, Now, Seed, WallTime};
//!
//! let config = |id: u64| Config {
//!     seeds: 1,
//!     ..Config::new(ClusterId(7), Member::new(NodeId(id), "zone", format!("host-{id}")), Boot(id))
//! };
//! let birth = Birth {
//!     cluster: ClusterId(7),
//!     ring: RingConfig::default(),
//!     members: vec![Arc::new(config(1).member)],
//!     buckets: Bucket::default().into(),
//!     admits_newcomers: false,
//!     at: WallTime::from_secs(1_700_000_000),
//! };
//! let mut nodes = [
//!     Membership::birth(config(1), Arc::new(birth), Seed(1))?,
//!     Membership::newcomer(config(2), Seed(2))?,
//! ];
//!
//! // Time passes; what one says the other hears. The only seed is the first node.
//! let mut pass = |nodes: &mut [Membership; 2], seconds: std::ops::Range<u64>| {
//!     for second in seconds {
//!         let now = Now { mono: Instant::from_nanos(second * 1_000_000_000), ..Now::default() };
//!         let mut outputs: Vec<(usize, Output)> = Vec::new();
//!         for at in 0..2 {
//!             let mut out = Vec::new();
//!             nodes[at].tick(now, &mut out);
//!             outputs.extend(out.into_iter().map(|it| (at, it)));
//!         }
//!         while let Some((at, output)) = outputs.pop() {
//!             let mut out = Vec::new();
//!             match output {
//!                 Output::Save(mark) => nodes[at].saved(mark, &mut out), // after writing `to_bytes`
//!                 Output::Send { message, .. } => {
//!                     nodes[1 - at].handle(now, NodeId(at as u64 + 1), message, &mut out);
//!                     outputs.extend(out.drain(..).map(|it| (1 - at, it)));
//!                 }
//!                 _ => {}
//!             }
//!             outputs.extend(out.into_iter().map(|it| (at, it)));
//!         }
//!     }
//! };
//! pass(&mut nodes, 0..10);
//! let newcomer = nodes[0].newcomers().next().expect("it has spoken to its seed").member.clone();
//!
//! nodes[0].stage(Change::Join(Arc::new(newcomer)))?;
//! let plan = nodes[0].plan()?;
//! assert_eq!(plan.loads()[&NodeId(2)].gains, 1024); // everything is to have two copies now
//! let (now, mut out) = (Now { mono: Instant::from_nanos(10_000_000_000), ..Now::default() }, Vec::new());
//! nodes[0].commit(plan, now, &mut out)?;
//! for output in out {
//!     if let Output::Save(mark) = output {
//!         nodes[0].saved(mark, &mut Vec::new()); // only now it is safe
//!     }
//! }
//!
//! pass(&mut nodes, 10..20);
//! assert_eq!(nodes[0].epoch(), nodes[1].epoch());
//! assert_eq!(nodes[1].ring()?.members().len(), 2);
//! assert!(nodes[1].is_settled());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admin;
mod cluster;
mod codec;
mod commit;
mod config;
mod confirmations;
mod detector;
mod directory;
mod epoch;
mod exchange;
mod gossip;
mod history;
mod known;
mod limits;
mod output;
mod plan;
mod retiring;
mod rings;
mod roster;
mod save;
mod state;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::rng::Rng;
use crate::version::{Height, Retirements};
use crate::{Generation, Instant, NodeId, Now, Seed};

use self::cluster::Cluster;
use self::retiring::Retiring;
use self::rings::Rings;
use self::roster::{Roster, Told};

pub use self::admin::{CommitError, StageError};
pub use self::commit::{Birth, Change, Commit, CommitId};
pub use self::config::{Config, StartError};
pub use self::confirmations::Step;
pub use self::detector::{Detector, Finding, Watching};
pub use self::directory::Directory;
pub use self::epoch::{Epoch, ShortEpoch};
pub use self::gossip::Gossip;
pub use self::history::{History, HistoryError};
pub use self::known::Memory;
pub use self::limits::{
    MAX_BUCKET_TYPES, MAX_CHANGES, MAX_COMMITS, MAX_NAME_BYTES, MAX_NEWCOMERS, MAX_OWN_COMMITS,
    MAX_RETIRED, MAX_SINGLE_BUCKETS, MAX_UNSETTLED,
};
pub use self::output::{Mark, Output, To};
pub use self::plan::{Load, Plan, PlanError};
pub(crate) use self::retiring::{Question, Stage};
pub use self::rings::Past;
pub use self::roster::Record;
pub use self::save::SavedError;
pub use self::state::{Standing, State, Void, Voided};

/// A restored node goes above the generation that it meets at most so often.
const MOST_RISES: u8 = 8;
/// One round of so many goes to a seed too.
const SEED_ROUNDS: u64 = 16;

/// One node's part in its cluster's membership.
#[derive(Debug)]
pub struct Membership {
    config: Config,
    generation: Generation,
    /// How often it went above a generation that it met.
    rises: u8,
    life: Life,
    cluster: Option<Cluster>,
    roster: Roster,
    staged: Vec<Change>,
    rings: Rings,
    retiring: Retiring,
    detector: Detector,
    rng: Rng,
    next_gossip: Option<Instant>,
    findings: Vec<Finding>,
    /// Who asked by another epoch, by which, and when it was last told so.
    met: BTreeMap<NodeId, (ShortEpoch, Instant)>,
    /// Where others were when that was last written down.
    addresses: BTreeMap<NodeId, Box<str>>,
    news: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Its generation is not on the disk yet: it says nothing.
    Unsaved,
    Living,
    Removed,
    Overtaken,
}

impl Membership {
    /// One of the first members of a new cluster.
    pub fn birth(config: Config, birth: Arc<Birth>, seed: Seed) -> Result<Self, StartError> {
        let is_member = birth.members.iter().any(|it| it.id == config.member.id);
        if !is_member || birth.cluster != config.cluster || !birth.is_sound() {
            return Err(StartError::Birth);
        }
        let mut membership = Self::newcomer(config, seed)?;
        membership.cluster = Some(Cluster::new(History::new(birth)));
        Ok(membership)
    }

    /// A node that looks for its cluster at its seeds.
    pub fn newcomer(config: Config, seed: Seed) -> Result<Self, StartError> {
        Self::start(config, Generation::default(), seed)
    }

    fn start(config: Config, before: Generation, seed: Seed) -> Result<Self, StartError> {
        let mut membership = Self {
            generation: Generation(before.0.saturating_add(1)),
            rises: 0,
            life: Life::Unsaved,
            cluster: None,
            roster: Roster::default(),
            staged: Vec::new(),
            rings: Rings::default(),
            retiring: Retiring::of(Retirements::default(), Height(0), config.boot),
            detector: Detector::new(config.member.id, config.watching),
            rng: Rng::new(seed),
            next_gossip: None,
            findings: Vec::new(),
            met: BTreeMap::new(),
            addresses: BTreeMap::new(),
            news: 0,
            config,
        };
        if !membership.own_record().is_sound() {
            return Err(StartError::Unsound);
        }
        membership.announce();
        Ok(membership)
    }

    /// When to come back with [`tick`](Self::tick).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.life {
            // Then it waits for its disk.
            Life::Unsaved => self.next_gossip.is_none().then(Instant::default),
            Life::Living => {
                let next = self.next_gossip.unwrap_or_default();
                Some(
                    self.detector
                        .next_deadline()
                        .map_or(next, |at| at.min(next)),
                )
            }
            Life::Removed => Some(self.next_gossip.unwrap_or_default()),
            Life::Overtaken => None,
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, at: Now, out: &mut Vec<Output>) {
        let now = at.mono;
        if self.next_gossip.is_none() {
            // The first moment of this life.
            let wait = self.rng.below(nanos(self.config.gossip_every));
            self.next_gossip = Some(now + Duration::from_nanos(wait));
            self.follow(now);
            self.save(out);
        }
        match self.life {
            Life::Living => self.watch(now, out),
            Life::Removed => {}
            Life::Unsaved | Life::Overtaken => return,
        }
        if self.next_gossip.is_some_and(|at| at <= now) {
            self.next_gossip = Some(now + self.config.gossip_every);
            self.admit(at, out);
            self.gossip(out);
            if self.life == Life::Living {
                self.lead(now, out);
            }
        }
    }

    /// A node has answered a question of somebody's else: it is there.
    pub(crate) fn is_there(&mut self, now: Instant, node: NodeId) {
        self.detector.is_there(now, node);
    }

    /// What was to be written down is on the disk.
    pub fn saved(&mut self, mark: Mark, out: &mut Vec<Output>) {
        if mark.generation != self.generation {
            return;
        }
        if self.life == Life::Unsaved {
            self.life = Life::Living;
        }
        self.retiring.saved(mark.retired);
        let me = self.config.member.id;
        if let Some(cluster) = &mut self.cluster
            && cluster.epoch == mark.epoch
        {
            cluster.confirmed.confirm(Step::Known, me, &cluster.state);
            if mark.is_moved {
                cluster
                    .confirmed
                    .confirm(Step::Switched, me, &cluster.state);
            }
            self.go_on(out);
        }
    }

    /// This node holds all that it is on duty for in this epoch, which everybody knows.
    pub fn moved(&mut self, epoch: Epoch, out: &mut Vec<Output>) {
        let me = self.config.member.id;
        if let Some(cluster) = &mut self.cluster
            && cluster.epoch == epoch
            && cluster.confirmed.is_complete(Step::Known)
        {
            cluster.confirmed.confirm(Step::Moved, me, &cluster.state);
            self.go_on(out);
        }
    }

    fn own_record(&self) -> Record {
        Record {
            member: self.config.member.clone(),
            generation: self.generation,
            boot: self.config.boot,
            address: self.config.address.clone(),
        }
    }

    /// Puts this life into the roster.
    fn announce(&mut self) {
        let told = Told {
            node: self.config.member.id,
            record: Some(Arc::new(self.own_record())),
            alarm: roster::Alarm::default(),
        };
        self.roster
            .take_in(&told, self.cluster.as_ref().map(|it| &it.state));
    }

    fn save(&self, out: &mut Vec<Output>) {
        out.push(Output::Save(Mark {
            generation: self.generation,
            epoch: self.epoch(),
            retired: self.retiring.list.height(),
            is_moved: self.cluster.as_ref().is_some_and(|it| it.is_all(&it.reads)),
        }));
    }

    /// Those who count may be others.
    fn follow(&mut self, now: Instant) {
        if let Some(cluster) = &self.cluster {
            self.roster.follow(&cluster.state);
            self.detector.follow(cluster.state.present());
            self.choose(now);
        }
    }

    fn choose(&mut self, now: Instant) {
        let roster = &self.roster;
        self.detector
            .choose(now, |node| roster.is_suspected(node), &mut self.rng);
    }

    /// A node that was removed stays so.
    fn if_removed(&mut self) {
        let me = self.config.member.id;
        if self.state().is_some_and(|state| state.is_removed(me)) {
            self.life = Life::Removed;
        }
    }

    /// Takes what follows when everybody has taken a step.
    fn go_on(&mut self, out: &mut Vec<Output>) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        let is_complete = |step| cluster.confirmed.is_complete(step);
        let (is_known, is_moved, is_switched) = (
            is_complete(Step::Known),
            is_complete(Step::Moved),
            is_complete(Step::Switched),
        );
        let heads: Vec<CommitId> = cluster.history.heads().iter().copied().collect();
        if is_known && !core::mem::replace(&mut cluster.is_settled, is_known) {
            out.push(Output::Settled(cluster.epoch));
        }
        if is_moved && cluster.reads != heads {
            cluster.reads.clone_from(&heads);
            out.push(Output::Moved(cluster.epoch));
            self.save(out);
        }
        if let Some(cluster) = &mut self.cluster
            && is_switched
            && cluster.switched != heads
        {
            cluster.switched = heads;
            out.push(Output::Switched(cluster.epoch));
            self.save(out);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
