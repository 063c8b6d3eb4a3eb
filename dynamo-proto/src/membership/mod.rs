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
//! checking in handshakes that both sides belong to one [`ClusterId`].
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
mod confirmations;
mod detector;
mod directory;
mod epoch;
mod exchange;
mod gossip;
mod history;
mod limits;
mod plan;
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

use crate::ring::{Member, Ring, RingError};
use crate::rng::Rng;
use crate::version::Boot;
use crate::{ClusterId, Generation, Instant, NodeId, Now, Seed};

use self::cluster::Cluster;
use self::rings::Rings;
use self::roster::{Roster, Told};

pub use self::admin::{CommitError, StageError};
pub use self::commit::{Birth, Change, Commit, CommitId};
pub use self::confirmations::Step;
pub use self::detector::{Detector, Finding, Watching};
pub use self::directory::Directory;
pub use self::epoch::{Epoch, ShortEpoch};
pub use self::gossip::Gossip;
pub use self::history::{History, HistoryError};
pub use self::limits::{
    MAX_BUCKET_TYPES, MAX_CHANGES, MAX_COMMITS, MAX_NAME_BYTES, MAX_NEWCOMERS, MAX_OWN_COMMITS,
    MAX_SINGLE_BUCKETS, MAX_UNSETTLED,
};
pub use self::plan::{Load, Plan, PlanError};
pub use self::rings::Past;
pub use self::roster::Record;
pub use self::save::SavedError;
pub use self::state::{Standing, State, Void, Voided};

/// A restored node goes above the generation that it meets at most so often.
const MOST_RISES: u8 = 8;
/// One round of so many goes to a seed too.
const SEED_ROUNDS: u64 = 16;

/// What a node is told about itself at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of which cluster it is, or wants to be.
    pub cluster: ClusterId,
    /// Which node it is and what it wants to be; once it is a member, the history decides.
    pub member: Member,
    /// Drawn from good randomness at each start.
    pub boot: Boot,
    /// Where it is reached, in the driver's words.
    pub address: Box<str>,
    /// How many seeds the driver knows: addresses of ordinary nodes.
    pub seeds: u16,
    /// The administrator says that the store was restored from an older copy and that the node it
    /// was taken from is gone.
    pub is_restored: bool,
    /// How often a digest goes to one random peer.
    pub gossip_every: Duration,
    /// How closely neighbours watch each other.
    pub watching: Watching,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// To a node.
    Node(NodeId),
    /// To whichever node is at that address of those the driver knows, counted from 0.
    Seed(u16),
}

/// What is to be written down, and told when it is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    generation: Generation,
    epoch: Epoch,
    /// Whether all have moved to that epoch.
    is_moved: bool,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Say this to somebody. If it is lost, it is said again in other words.
    Send {
        /// To whom.
        to: To,
        /// What.
        message: Gossip,
    },
    /// Write [`Membership::to_bytes`] down, flushed, then say so with [`Membership::saved`].
    Save(Mark),
    /// More was learnt: the ring may be another.
    Changed(Epoch),
    /// Everybody has this epoch. What has to move is moved from now on; who has all says so with
    /// [`Membership::moved`].
    Settled(Epoch),
    /// All hold what they are on duty for in this epoch: it is read by its ring from now on.
    Moved(Epoch),
    /// All that this node knows to have switched has become more: fewer rings are past.
    Switched(Epoch),
    /// A node's neighbours cannot reach it.
    Suspected(NodeId),
    /// They can again.
    Trusted(NodeId),
    /// This node was removed. It serves nothing any more, and only tells what it knows of the
    /// history. To take part again it needs an empty store, and with it a new identity.
    Removed,
    /// Somebody lives under this node's name: this store was copied. This node says and serves
    /// nothing until it is started again: if the other is gone for good, with
    /// [`Config::is_restored`]; otherwise with an empty store.
    Overtaken {
        /// The other's generation.
        generation: Generation,
    },
    /// A peer belongs to a cluster of another birth. Nothing was taken in.
    OtherCluster(NodeId),
    /// There are [`MAX_COMMITS`] commits. No more are taken in.
    Full,
}

/// Why a node cannot take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// What it says of itself cannot be written down.
    #[error("a node's weight must not be 0, and its labels and address at most 255 bytes long")]
    Unsound,
    /// A cluster cannot begin like this.
    #[error(
        "a cluster's birth needs this node among its members, in the order of their ids, \
         and a ring and a bucket that can be"
    )]
    Birth,
}

/// How many bytes are kept for what, as if nothing was shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that was decided.
    pub history: usize,
    /// What follows from it, but for the ring.
    pub state: usize,
    /// What nodes say about themselves.
    pub roster: usize,
    /// Who is watched, and bits of confirmation.
    pub rest: usize,
}

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

impl Config {
    /// With the usual times, no seeds and no address.
    #[must_use]
    pub fn new(cluster: ClusterId, member: Member, boot: Boot) -> Self {
        Self {
            cluster,
            member,
            boot,
            address: "".into(),
            seeds: 0,
            is_restored: false,
            gossip_every: Duration::from_secs(1),
            watching: Watching::default(),
        }
    }
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

    /// What is known, by name.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.cluster
            .as_ref()
            .map_or_else(Epoch::default, |it| it.epoch)
    }

    /// Whether everybody, as far as is known here, has the current epoch on the disk.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.cluster
            .as_ref()
            .is_some_and(|it| it.confirmed.is_complete(Step::Known))
    }

    /// Whether everybody, as far as is known here, reads and writes by the ring of the current epoch
    /// alone.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        self.cluster
            .as_ref()
            .is_some_and(|it| it.is_all(&it.switched))
    }

    /// How many have taken that step with the current epoch, of how many.
    #[must_use]
    pub fn confirmed(&self, step: Step) -> (usize, usize) {
        let confirmed = self.cluster.as_ref().map(|it| &it.confirmed);
        confirmed.map_or((0, 0), |it| (it.count(step), it.present()))
    }

    /// Whether a node has taken that step with the current epoch.
    #[must_use]
    pub fn has_confirmed(&self, step: Step, node: NodeId) -> bool {
        let cluster = self.cluster.as_ref();
        cluster.is_some_and(|it| it.confirmed.has(step, node, &it.state))
    }

    /// All that was decided; nothing before a newcomer has heard of its cluster.
    #[must_use]
    pub fn history(&self) -> Option<&History> {
        self.cluster.as_ref().map(|it| &it.history)
    }

    /// What that makes of the cluster.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.cluster.as_ref().map(|it| &it.state)
    }

    /// Whether this node may answer for keys: it is a member or leaving, and alone under its name.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        let standing = self
            .state()
            .and_then(|it| it.standing(self.config.member.id));
        matches!(self.life, Life::Unsaved | Life::Living)
            && matches!(standing, Some(Standing::Member(_) | Standing::Leaving(_)))
    }

    /// Whether somebody else lives under this node's name.
    #[must_use]
    pub fn is_overtaken(&self) -> bool {
        self.life == Life::Overtaken
    }

    /// Which life of this node's this is.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What a node has said about itself.
    #[must_use]
    pub fn record(&self, node: NodeId) -> Option<&Record> {
        self.roster.record(node).map(|it| &**it)
    }

    /// Where a node is reached, as it has said itself, or as it was before this one was started.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<&str> {
        let said = self.record(node).map(|it| &*it.address);
        let said = said.filter(|address| !address.is_empty());
        said.or_else(|| self.addresses.get(&node).map(|it| &**it))
    }

    /// Another number whenever somebody has come or gone, or is somewhere else: time to look again.
    #[must_use]
    pub fn news(&self) -> u64 {
        self.news
    }

    /// Those who would like to be members, in the order of ids.
    pub fn newcomers(&self) -> impl Iterator<Item = &Record> {
        self.roster.newcomers().map(|it| &**it)
    }

    /// Whether a node's neighbours cannot reach it.
    #[must_use]
    pub fn is_suspected(&self, node: NodeId) -> bool {
        self.roster.is_suspected(node)
    }

    /// The ring of the current epoch. Placed when it is first asked for: where much changed at once
    /// in a large cluster, that takes a while.
    pub fn ring(&mut self) -> Result<Arc<Ring>, RingError> {
        let Some(cluster) = &self.cluster else {
            return Err(RingError::NoMembers);
        };
        self.rings.after(&cluster.history, cluster.history.order())
    }

    /// The ring by which this node reads: of the last epoch whose owners all hold what is theirs.
    pub fn reads(&mut self) -> Result<Arc<Ring>, RingError> {
        let Some(cluster) = &self.cluster else {
            return Err(RingError::NoMembers);
        };
        let order = cluster.history.order_of(cluster.reads.iter().copied());
        self.rings.after(&cluster.history, &order)
    }

    /// The rings under which something may have been written that today's owners lack: those of
    /// every branch since the last epoch that all have switched to, and its own.
    pub fn past(&mut self) -> Result<Past, RingError> {
        let today = self.ring()?;
        let Some(cluster) = &self.cluster else {
            return Err(RingError::NoMembers);
        };
        let mut rings: Vec<Arc<Ring>> = Vec::new();
        let history = &cluster.history;
        for order in cluster.orders_since_switched() {
            let ring = self.rings.after(history, &order)?;
            if ring != today && !rings.contains(&ring) {
                rings.push(ring);
            }
        }
        Ok(Past::new(rings))
    }

    /// How much memory this takes, but for rings.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let cluster = self.cluster.as_ref();
        Memory {
            history: cluster.map_or(0, |it| it.history.heap_bytes()),
            state: cluster.map_or(0, |it| it.state.heap_bytes()),
            roster: self.roster.heap_bytes(),
            rest: size_of::<Self>()
                + self.detector.heap_bytes()
                + cluster.map_or(0, |it| it.confirmed.heap_bytes()),
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
