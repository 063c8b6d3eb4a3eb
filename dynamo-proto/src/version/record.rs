//! What one node keeps of a key, and how it mints a new version of it.

use core::iter::once;
use core::time::Duration;

use smallvec::SmallVec;

use super::siblings::{last_live, last_stamp};
use super::{
    Behind, Births, Causality, Clock, Content, DataType, Dot, Height, Past, Policy, RequestId,
    Retirements, Sibling, Siblings, Value,
};
use crate::{Durability, Limits, NodeId, WallTime};

/// A key as one node holds it: the state that all replicas share, and a note of the node's own
/// about what it minted.
///
/// The note is what lets a node go on minting under the same actor. It is written with each mint,
/// kept with the record and never sent, so it is gone whenever the record was: a state that came
/// back from elsewhere may lack writes that this node once minted, and gets a newborn actor.
///
/// **One live record for each key.** Minting in a record and in a copy of it makes one dot of two
/// writes: changes of a key are done one after the other, in the record that the last one left.
///
/// ```
/// use dynamo_proto::version::*;
/// use dynamo_proto::{Limits, NodeId, WallTime};
///
/// let limits = Limits::default();
/// let retired = Retirements::default();
/// let rules = Rules { policy: Policy::Siblings, truncate_to: None, limits: &limits, retired: &retired };
/// let mut births = Births::new(NodeId(1), Boot(7));
/// let now = WallTime::from_secs(1_000_000);
///
/// let mut record = Record::default();
/// let write = |text: &'static str, past| Write {
///     past,
///     content: Content::plain(text.as_bytes()),
///     request: RequestId(text.len() as u128),
/// };
/// record.mint(write("tea", None), now, &mut births, &rules)?;
/// record.mint(write("coffee", None), now, &mut births, &rules)?; // blind: concurrent with tea
/// assert_eq!(record.siblings().values().len(), 2);
///
/// let seen = record.siblings().past();
/// record.mint(write("both", Some(&seen)), now, &mut births, &rules)?;
/// assert_eq!(record.siblings().values().len(), 1);
/// # Ok::<(), MintError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub(super) siblings: Siblings,
    pub(super) note: Note,
}

/// What a node remembers of its own writes in one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The last dot that it minted.
    pub(super) last: Option<Dot>,
    /// The requests that it made versions of most recently, the last one last.
    pub(super) requests: Window,
    /// Whether there were others before them.
    pub(super) has_more: bool,
    /// Whom the record is held for; nobody if it is the node's own.
    pub(super) owners: Owners,
    /// How safe they must have it before it is let go.
    pub(super) owed: Durability,
}

/// The nodes that a record is held for, in order.
pub(super) type Owners = SmallVec<[NodeId; 2]>;

/// How many requests a record remembers.
pub(super) const WINDOW: usize = 8;

pub(super) type Window = SmallVec<[RequestId; WINDOW]>;

/// Whether a write has been made a version in this record before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It has not.
    No,
    /// It has.
    Yes,
    /// It may have been: it is said to be tried again, and the record does not remember that far.
    Unclear,
}

/// A client's write, before it has a version.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    /// What the client had seen and now supersedes; `None` is a blind write, concurrent with
    /// everything.
    pub past: Option<&'a Past>,
    /// What it writes.
    pub content: Content,
    /// The client's name for the request.
    pub request: RequestId,
}

/// What a coordinator goes by when it mints.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The bucket's conflict policy.
    pub policy: Policy,
    /// The paper's truncation, off unless given: while coordinating, clock entries beyond this
    /// many are left out, oldest first, never one with a live value. **Gives up promises 1, 2 and
    /// 7**: what is forgotten can come back as a sibling, and replicas may never agree. Retiring
    /// boots keeps clocks short without that.
    pub truncate_to: Option<usize>,
    /// How large a client may make things.
    pub limits: &'a Limits,
    /// The boots that the cluster has retired.
    pub retired: &'a Retirements,
}

/// What came of minting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The new write.
    pub dot: Dot,
    /// How many live values it superseded here.
    pub superseded: usize,
}

/// Why a write was refused. The record is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// Somebody mints under this node's name: here is a dot that bears it and that it never minted.
    /// It must say so and [renew](Births::renew) its boot; then the write may be tried again.
    #[error("{0:?} bears this node's name, and it did not mint it")]
    Impostor(Dot),
    /// This boot is retired. The node must [renew](Births::renew) its boot; then the write may be
    /// tried again.
    #[error("this boot of the node is retired")]
    BootRetired,
    /// The writer, or the record, takes retirements into account that are not known here.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// Too many live values: read, merge and write with the context.
    #[error(
        "the key would have {count} siblings, over the limit of {limit}: read it and write back with its context"
    )]
    TooManySiblings {
        /// How many there would be.
        count: usize,
        /// What [`Limits`] allows.
        limit: usize,
    },
    /// Too many actors in the clock.
    #[error(
        "the key's clock would have {count} entries, over the limit of {limit}: boots that are gone must be retired"
    )]
    TooManyActors {
        /// How many there would be.
        count: usize,
        /// What [`Limits`] allows.
        limit: usize,
    },
    /// Too much alive at once.
    #[error(
        "the key would take {len} bytes, over the limit of {limit}: read it and write back with its context"
    )]
    RecordTooLarge {
        /// How much it would take.
        len: usize,
        /// What [`Limits`] allows.
        limit: usize,
    },
    /// A plain value, where the bucket holds a data type, or an update that does not fit it.
    #[error("the bucket's keys are each a {kind}, and this does not fit one")]
    Unfit {
        /// What they are.
        kind: DataType,
    },
    /// An update, where the bucket holds plain values.
    #[error("the bucket holds plain values, which are written whole: updates need a data type")]
    Plain,
    /// A counter that would be more than 64 bits can say.
    #[error("the counter would overflow")]
    Overflow,
    /// An element that is too long, with the names of the fields on the way to it.
    #[error("an element of {len} bytes, with the names of the fields on the way, is over 65,535")]
    ElementTooLong {
        /// How long they are together.
        len: usize,
    },
    /// A value over the limit.
    #[error("a value of {len} bytes is over the limit of {limit}")]
    ValueTooLarge {
        /// Its length.
        len: usize,
        /// What [`Limits`] allows.
        limit: usize,
    },
    /// Metadata over the limit.
    #[error("metadata of {len} bytes is over the limit of {limit}")]
    MetadataTooLarge {
        /// Its length.
        len: usize,
        /// What [`Limits`] allows.
        limit: usize,
    },
    /// The values to supersede are stamped too far ahead of this node's clock.
    #[error(
        "the key was last written {ahead:?} ahead of this node's clock: one of the clocks is wrong"
    )]
    ClockSkew {
        /// How far.
        ahead: Duration,
    },
}

impl Record {
    /// What a node has about a key that it got from somebody else, or read back from a store of
    /// an earlier boot.
    #[must_use]
    pub fn received(siblings: Siblings) -> Self {
        Self {
            siblings,
            note: Note::default(),
        }
    }

    /// What a node begins anew with where its own record was damaged: it does not remember what it
    /// minted there.
    #[must_use]
    pub fn repaired() -> Self {
        Self {
            siblings: Siblings::default(),
            note: Note {
                has_more: true,
                ..Note::default()
            },
        }
    }

    /// The nodes that this one holds the record for, while they are away; none if it is its own.
    #[must_use]
    pub fn owners(&self) -> &[NodeId] {
        &self.note.owners
    }

    /// How safe the nodes that it is held for must have it before it is let go: as safe as any of
    /// the writes in it was to be.
    #[must_use]
    pub fn owed(&self) -> Durability {
        self.note.owed
    }

    /// From now on the record is held for that node too, which is to have it so safely.
    pub fn hold_for(&mut self, owner: NodeId, durability: Durability) {
        let Note { owners, owed, .. } = &mut self.note;
        *owed = durability.max(*owed);
        if let Err(at) = owners.binary_search(&owner) {
            owners.insert(at, owner);
        }
    }

    /// That node has all that `delivered` has seen: the record is held for it no longer, unless it
    /// has learned more meanwhile. Returns whether that changed anything.
    pub fn release(&mut self, owner: NodeId, delivered: &Clock, retired: &Retirements) -> bool {
        let order = self.siblings.clock.compare(delivered, retired);
        if !planted!(ReleasedUnseen ? true; matches!(order, Causality::Equal | Causality::Before)) {
            return false;
        }
        match self.note.owners.binary_search(&owner) {
            Ok(at) => {
                self.note.owners.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// The replicated state.
    #[must_use]
    pub fn siblings(&self) -> &Siblings {
        &self.siblings
    }

    pub(crate) fn siblings_mut(&mut self) -> &mut Siblings {
        &mut self.siblings
    }

    /// The replicated state, without the node's note.
    #[must_use]
    pub fn into_siblings(self) -> Siblings {
        self.siblings
    }

    /// The last dot that this node minted here, since it holds the key.
    #[must_use]
    pub fn minted(&self) -> Option<&Dot> {
        self.note.last.as_ref()
    }

    /// Whether that request has been made a version here before.
    #[must_use]
    pub fn repeat(&self, request: RequestId, is_retry: bool) -> Repeat {
        planted!(RequestsForgotten => return Repeat::No);
        let mut alive = self
            .siblings
            .values
            .iter()
            .map(|sibling| sibling.value.request);
        if self.note.requests.contains(&request) || alive.any(|other| other == request) {
            Repeat::Yes
        } else if is_retry && self.note.has_more {
            Repeat::Unclear
        } else {
            Repeat::No
        }
    }

    /// Takes in all that another replica knows; see [`Siblings::merge`].
    pub fn merge(
        &mut self,
        other: Siblings,
        policy: Policy,
        retired: &Retirements,
    ) -> Result<bool, Behind> {
        self.siblings.merge(other, policy, retired)
    }

    /// Takes in a retirement; see [`Siblings::retire`].
    pub fn retire(&mut self, height: Height, retired: &Retirements) -> Result<bool, Behind> {
        self.siblings.retire(height, retired)
    }

    /// Makes the client's write a version: with a dot never used before, superseding exactly what
    /// the client had seen, alive beside all else that is alive here.
    pub fn mint(
        &mut self,
        write: Write<'_>,
        now: WallTime,
        births: &mut Births,
        rules: &Rules<'_>,
    ) -> Result<Minted, MintError> {
        if let Content::Data(_) = write.content {
            return Err(MintError::Plain); // it is made by updates alone
        }
        if let Policy::Data(kind) = rules.policy {
            return match write.content {
                Content::Tombstone if !kind.is_counter() => {
                    self.clear(kind, (write.past, write.request), now, births, rules)
                }
                _ => Err(MintError::Unfit { kind }),
            };
        }
        self.check_name(write.past, births, rules.retired)?;
        let next = self.next_dot(write.past, births);
        let stamp = self.check(&write, now, next.is_none(), rules)?;
        let dot = next.unwrap_or_else(|| Dot {
            actor: births.newborn(),
            counter: 1,
        });

        planted!(BlindIsStale => if write.past.is_none() && !self.siblings.is_absent() {
            return Ok(Minted { dot, superseded: 0 });
        });
        let Siblings { clock, values } = &mut self.siblings;
        let before = values.len();
        if let Some(past) = write.past {
            values.retain(|sibling| !past.clock.covers(&sibling.dot, rules.retired));
            clock.join(&past.clock);
        }
        clock.advance(dot, now.as_secs());
        let value = Value {
            content: write.content,
            request: write.request,
            stamp,
        };
        rules.policy.admit(values, Sibling { dot, value });
        let superseded = before + 1 - values.len();
        self.siblings.leave_out_retired(rules.retired);
        if let Some(keep) = rules.truncate_to {
            let Siblings { clock, values } = &mut self.siblings;
            clock.truncate(keep, |actor| last_live(values, actor) > 0);
        }
        self.note.add(dot, write.request);
        Ok(Minted { dot, superseded })
    }

    /// Checks that nobody else mints under this node's name, and that it may mint under it.
    pub(super) fn check_name(
        &self,
        past: Option<&Past>,
        births: &Births,
        retired: &Retirements,
    ) -> Result<(), MintError> {
        for clock in self.clocks(past) {
            retired.reach(clock.height())?;
        }
        if retired.contains(births.node(), births.boot()) {
            return Err(MintError::BootRetired);
        }
        match self.impostor(past, births) {
            Some(dot) => Err(MintError::Impostor(dot)),
            None => Ok(()),
        }
    }

    /// Checks the write against limits and policy before anything changes, and stamps it.
    fn check(
        &self,
        write: &Write<'_>,
        now: WallTime,
        is_first: bool,
        rules: &Rules<'_>,
    ) -> Result<WallTime, MintError> {
        let values = &self.siblings.values;
        let limits = rules.limits;
        if let Content::Live { metadata, body } = &write.content {
            let (len, limit) = (body.len(), limits.value_bytes);
            if len > limit {
                return Err(MintError::ValueTooLarge { len, limit });
            }
            let (len, limit) = (metadata.encoded().len(), limits.metadata_bytes);
            if len > limit {
                return Err(MintError::MetadataTooLarge { len, limit });
            }
        }
        let is_unseen = |sibling: &&Sibling| {
            write
                .past
                .is_none_or(|past| !past.clock.covers(&sibling.dot, rules.retired))
        };
        let unseen = values.iter().filter(is_unseen).count();
        // A key that merging has taken over a limit can still be written to if that makes it no
        // larger.
        if rules.policy == Policy::Siblings {
            let (count, limit) = (1 + unseen, limits.siblings);
            if count > limit.max(values.len()) {
                return Err(MintError::TooManySiblings { count, limit });
            }
        }
        if rules.truncate_to.is_none() {
            self.check_actors(write.past, is_first, limits)?;
        }
        let (len, limit) = (self.len_with(write, is_first, rules), limits.record_bytes);
        if len > limit && len > self.siblings.encoded_len() {
            return Err(MintError::RecordTooLarge { len, limit });
        }
        let seen = last_stamp(values).max(write.past.map_or(WallTime::ZERO, |past| past.stamp));
        let stamp = rules.policy.stamp(now, seen, unseen == 0);
        stamp.map_err(|ahead| MintError::ClockSkew { ahead })
    }

    /// About how many bytes the state takes with that write: never less.
    fn len_with(&self, write: &Write<'_>, is_first: bool, rules: &Rules<'_>) -> usize {
        let Siblings { clock, values } = &self.siblings;
        let is_alive = |sibling: &&Sibling| {
            let past = write.past;
            let is_unseen = past.is_none_or(|past| !past.clock.covers(&sibling.dot, rules.retired));
            is_unseen && rules.policy == Policy::Siblings
        };
        let alive = values.iter().filter(is_alive).map(Sibling::encoded_len);
        let entries = write
            .past
            .map_or(clock.entries().len(), |past| clock.joined_len(&past.clock));
        Clock::len_of(entries + usize::from(is_first))
            + Siblings::COUNT
            + alive.sum::<usize>()
            + Sibling::len_of(&write.content)
    }

    /// Checks that the clock has room, for a newborn actor too if there is one.
    pub(super) fn check_actors(
        &self,
        past: Option<&Past>,
        is_first: bool,
        limits: &Limits,
    ) -> Result<(), MintError> {
        let clock = &self.siblings.clock;
        let before = clock.entries().len();
        let known = past.map_or(before, |past| clock.joined_len(&past.clock));
        let (count, limit) = (known + usize::from(is_first), limits.actors);
        if count > limit.max(before) {
            return Err(MintError::TooManyActors { count, limit });
        }
        Ok(())
    }

    /// The next dot of the actor that minted here before, if it was born in this boot and neither
    /// the record nor the writer knows it otherwise than this node left it.
    pub(super) fn next_dot(&self, past: Option<&Past>, births: &Births) -> Option<Dot> {
        let last = self.note.last?;
        let is_whole = self.siblings.clock.counter(&last.actor) == last.counter;
        let is_sole = past.is_none_or(|past| past.clock.counter(&last.actor) <= last.counter);
        let counter = last.counter.checked_add(1)?;
        planted!(ActorOutlivesBoot => return is_whole.then_some(Dot { counter, ..last }));
        (births.bore(&last.actor) && is_whole && is_sole).then_some(Dot { counter, ..last })
    }

    /// A dot that bears our name and is not ours: of an actor unborn, or past the last that the
    /// actor minted here.
    fn impostor(&self, past: Option<&Past>, births: &Births) -> Option<Dot> {
        let mut entries = self.clocks(past).flat_map(|clock| clock.entries());
        let impostor = entries.find(|entry| {
            let is_past_last = self.note.last.is_some_and(|last| {
                last.actor == entry.actor
                    && entry.counter > last.counter
                    && births.bore(&last.actor)
            });
            is_past_last || births.is_impostor(&entry.actor)
        })?;
        Some(Dot {
            actor: impostor.actor,
            counter: impostor.counter,
        })
    }

    fn clocks<'a>(&'a self, past: Option<&'a Past>) -> impl Iterator<Item = &'a Clock> {
        once(&self.siblings.clock).chain(past.map(|past| &past.clock))
    }
}

impl Default for Note {
    fn default() -> Self {
        Self {
            last: None,
            requests: Window::default(),
            has_more: false,
            owners: Owners::default(),
            owed: Durability::Memory,
        }
    }
}

impl Note {
    pub(super) fn add(&mut self, dot: Dot, request: RequestId) {
        self.last = Some(dot);
        if self.requests.len() == WINDOW {
            self.requests.remove(0);
            self.has_more = true;
        }
        self.requests.push(request);
    }
}
