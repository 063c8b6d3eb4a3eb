//! What nodes say about themselves, and whether their neighbours can reach them.
//!
//! Nobody decides this, so it is no part of the history; it spreads the same way. Of two records of
//! one node that of the higher generation holds, whole. An alarm is a count that only grows: odd
//! while the node is suspected, raised by those who watch it; even again when the node has answered
//! that it is there. A new generation starts at none.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::BufMut;
use xxhash_rust::xxh3::xxh3_64;

use super::State;
use super::codec;
use super::limits::{MAX_BUCKETS, MAX_NAME_BYTES, MAX_NEWCOMERS};
use crate::reader::{DecodeError, Reader};
use crate::ring::Member;
use crate::version::Boot;
use crate::{Generation, NodeId};

/// What a node says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it was told to be: holds for newcomers, until they are committed.
    pub member: Member,
    /// Which of its lives this is.
    pub generation: Generation,
    /// The random name of that life.
    pub boot: Boot,
    /// Where it is reached, in the driver's words.
    pub address: Box<str>,
}

/// How often a node's neighbours have lost it, and found it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alarm {
    pub(super) generation: Generation,
    pub(super) count: u32,
}

/// What is compared of a node before anything is sent about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) node: NodeId,
    pub(super) life: (Generation, Boot),
    pub(super) alarm: Alarm,
}

/// What is sent about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) node: NodeId,
    pub(super) record: Option<Arc<Record>>,
    pub(super) alarm: Alarm,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    record: Option<Arc<Record>>,
    alarm: Alarm,
}

/// All that is known about nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    entries: BTreeMap<NodeId, Entry>,
    /// The sum of all versions, in which order does not matter.
    sum: u64,
    newcomers: BTreeSet<NodeId>,
}

/// What came of something that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Learned {
    /// A new life, or the first that was heard of.
    pub(super) is_life: bool,
    /// It is suspected now and was not, or the other way round.
    pub(super) has_turned: bool,
}

impl Entry {
    fn version(&self, node: NodeId) -> Version {
        Version {
            node,
            life: self.record.as_ref().map_or_else(
                || (Generation::default(), Boot(0)),
                |it| (it.generation, it.boot),
            ),
            alarm: self.alarm,
        }
    }

    fn is_suspected(&self) -> bool {
        let generation = self.record.as_ref().map(|it| it.generation);
        self.alarm.count % 2 == 1 && generation.is_none_or(|it| self.alarm.generation >= it)
    }
}

impl Version {
    pub(super) const BYTES: usize = 36;

    /// An exclusive or of these is the same for equal rosters, and seldom for others.
    fn hash(&self) -> u64 {
        let mut bytes = [0; Self::BYTES];
        self.encode(&mut &mut bytes[..]);
        xxh3_64(&bytes)
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u64(self.node.0);
        out.put_u64(self.life.0.0);
        out.put_u64(self.life.1.0);
        out.put_u64(self.alarm.generation.0);
        out.put_u32(self.alarm.count);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a node's version";
        Ok(Self {
            node: NodeId(reader.u64(what)?),
            life: (Generation(reader.u64(what)?), Boot(reader.u64(what)?)),
            alarm: Alarm {
                generation: Generation(reader.u64(what)?),
                count: reader.u32(what)?,
            },
        })
    }

    fn bucket(node: NodeId, buckets: usize) -> usize {
        (xxh3_64(&node.0.to_be_bytes()) % buckets.max(1) as u64) as usize
    }
}

impl Roster {
    /// Takes in what was told about a node, if it is for this cluster to know.
    pub(super) fn take_in(&mut self, told: &Told, state: Option<&State>) -> Learned {
        let mut learned = Learned {
            is_life: false,
            has_turned: false,
        };
        let standing = state.map(|state| state.standing(told.node));
        let is_newcomer = matches!(standing, None | Some(None));
        if state.is_some_and(|state| state.is_removed(told.node))
            || (is_newcomer && told.record.is_none())
            || told
                .record
                .as_ref()
                .is_some_and(|it| it.member.id != told.node)
        {
            return learned;
        }
        let entry = self.entries.entry(told.node).or_default();
        let (was_suspected, before) = (entry.is_suspected(), entry.version(told.node));
        if let Some(record) = &told.record
            && (record.generation, record.boot) > before.life
        {
            entry.record = Some(record.clone());
            learned.is_life = true;
        }
        entry.alarm = entry.alarm.max(told.alarm);
        learned.has_turned = entry.is_suspected() != was_suspected;
        let after = entry.version(told.node);
        if before != after || learned.is_life {
            let is_old = !is_blank(&before);
            self.sum ^= after.hash() ^ if is_old { before.hash() } else { 0 };
        }
        if is_blank(&after) {
            self.entries.remove(&told.node);
        } else if is_newcomer {
            self.newcomers.insert(told.node);
            self.crowd_out();
        }
        learned
    }

    /// Follows a change of who is who. Forgets who was removed.
    pub(super) fn follow(&mut self, state: &State) {
        let removed: Vec<_> = (self.entries.keys().copied())
            .filter(|node| state.is_removed(*node))
            .collect();
        for node in removed {
            self.forget(node);
        }
        self.newcomers = (self.entries.keys().copied())
            .filter(|node| state.standing(*node).is_none())
            .collect();
        self.crowd_out();
    }

    pub(super) fn record(&self, node: NodeId) -> Option<&Arc<Record>> {
        self.entries.get(&node)?.record.as_ref()
    }

    pub(super) fn alarm(&self, node: NodeId) -> Alarm {
        self.entries
            .get(&node)
            .map_or_else(Alarm::default, |it| it.alarm)
    }

    /// What its generation is, as far as is known.
    pub(super) fn generation(&self, node: NodeId) -> Generation {
        self.record(node)
            .map_or_else(Generation::default, |it| it.generation)
    }

    pub(super) fn is_suspected(&self, node: NodeId) -> bool {
        self.entries.get(&node).is_some_and(Entry::is_suspected)
    }

    /// Whether a node is known under that generation, but in another life: it was copied.
    pub(super) fn is_twin(&self, node: NodeId, life: (Generation, Boot)) -> bool {
        let record = self.record(node);
        record.is_some_and(|it| it.generation == life.0 && it.boot != life.1)
    }

    /// Those who are neither members nor removed.
    pub(super) fn newcomers(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.newcomers.iter().filter_map(|node| self.record(*node))
    }

    /// What would say that a node is suspected; nothing if it is already.
    pub(super) fn accuse(&self, node: NodeId) -> Option<Told> {
        let entry = self.entries.get(&node).cloned().unwrap_or_default();
        if entry.is_suspected() {
            return None;
        }
        let generation = self.generation(node).max(entry.alarm.generation);
        let count = if generation > entry.alarm.generation {
            0
        } else {
            entry.alarm.count
        };
        Some(Told {
            node,
            record: None,
            alarm: Alarm {
                generation,
                count: (count + 1) | 1,
            },
        })
    }

    /// What would say that a node of that generation is there; nothing if nobody doubts it.
    pub(super) fn clear(&self, node: NodeId, doubt: Alarm) -> Option<Told> {
        let alarm = self.alarm(node).max(doubt);
        let is_odd = alarm.count % 2 == 1 && alarm.count < u32::MAX;
        (is_odd && alarm.generation >= self.generation(node)).then_some(Told {
            node,
            record: None,
            alarm: Alarm {
                count: alarm.count + 1,
                ..alarm
            },
        })
    }

    /// The same for equal rosters.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// Sums of parts of it: some sixteen nodes each.
    pub(super) fn sums(&self) -> Vec<u64> {
        let buckets = (self.entries.len() / 16)
            .clamp(1, MAX_BUCKETS)
            .next_power_of_two();
        self.sums_of(buckets)
    }

    fn sums_of(&self, buckets: usize) -> Vec<u64> {
        let mut sums = alloc::vec![0; buckets];
        for (node, entry) in &self.entries {
            sums[Version::bucket(*node, buckets)] ^= entry.version(*node).hash();
        }
        sums
    }

    /// The versions in those parts that differ from these sums; which parts those are.
    pub(super) fn differing(&self, sums: &[u64], most: usize) -> (Vec<u16>, Vec<Version>) {
        let ours = self.sums_of(sums.len());
        let differ: BTreeSet<usize> = (0..sums.len())
            .filter(|at| ours[*at] != sums[*at])
            .collect();
        let mut by_bucket: BTreeMap<usize, Vec<Version>> = BTreeMap::new();
        for (node, entry) in &self.entries {
            let bucket = Version::bucket(*node, sums.len());
            if differ.contains(&bucket) {
                by_bucket
                    .entry(bucket)
                    .or_default()
                    .push(entry.version(*node));
            }
        }
        let (mut parts, mut versions) = (Vec::new(), Vec::new());
        for bucket in differ {
            let more = by_bucket.remove(&bucket).unwrap_or_default();
            if !versions.is_empty() && versions.len() + more.len() > most {
                break; // the others another time
            }
            parts.push(bucket as u16); // fits: at most MAX_BUCKETS
            versions.extend(more);
        }
        (parts, versions)
    }

    /// Compares with what another knows of some parts of all: what it lacks, and of whom it knows
    /// more.
    pub(super) fn compare(
        &self,
        buckets: usize,
        parts: &[u16],
        theirs: &[Version],
        most: usize,
    ) -> (Vec<Told>, Vec<NodeId>) {
        let theirs: BTreeMap<NodeId, &Version> = theirs.iter().map(|it| (it.node, it)).collect();
        let parts: BTreeSet<usize> = parts.iter().copied().map(usize::from).collect();
        let mut told = Vec::new();
        for (node, entry) in &self.entries {
            if told.len() == most || !parts.contains(&Version::bucket(*node, buckets)) {
                continue;
            }
            let ours = entry.version(*node);
            let is_newer = theirs
                .get(node)
                .is_none_or(|it| ours.life > it.life || ours.alarm > it.alarm);
            if is_newer {
                told.push(self.tell(*node));
            }
        }
        let wanted = theirs.values().filter(|theirs| {
            let ours = self
                .entries
                .get(&theirs.node)
                .map(|it| it.version(theirs.node));
            ours.is_none_or(|ours| theirs.life > ours.life || theirs.alarm > ours.alarm)
        });
        (told, wanted.map(|it| it.node).take(most).collect())
    }

    /// All that is known about a node.
    pub(super) fn tell(&self, node: NodeId) -> Told {
        let entry = self.entries.get(&node).cloned().unwrap_or_default();
        Told {
            node,
            record: entry.record,
            alarm: entry.alarm,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let record = |entry: &Entry| match &entry.record {
            Some(record) => {
                let member = &record.member;
                size_of::<Record>()
                    + 16
                    + member.zone.len()
                    + member.host.len()
                    + record.address.len()
            }
            None => 0,
        };
        self.entries.values().map(record).sum::<usize>()
            + self.entries.len() * size_of::<(NodeId, Entry)>() * 3 / 2
    }

    fn forget(&mut self, node: NodeId) {
        if let Some(entry) = self.entries.remove(&node) {
            self.sum ^= entry.version(node).hash();
        }
    }

    /// Keeps the newcomers with the lowest ids, everywhere the same ones.
    fn crowd_out(&mut self) {
        while self.newcomers.len() > MAX_NEWCOMERS {
            if let Some(node) = self.newcomers.pop_last() {
                self.forget(node);
            }
        }
    }
}

/// Nothing is known.
fn is_blank(version: &Version) -> bool {
    version.life == (Generation::default(), Boot(0)) && version.alarm == Alarm::default()
}

/// Bytes of something told, at least.
pub(super) const LEAST_TOLD: usize = 21;

impl Told {
    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u64(self.node.0);
        out.put_u64(self.alarm.generation.0);
        out.put_u32(self.alarm.count);
        let Some(record) = &self.record else {
            out.put_u8(0);
            return;
        };
        out.put_u8(1);
        let mut bytes = Vec::with_capacity(record.encoded_len());
        record.encode(&mut bytes);
        out.put_slice(&bytes);
        out.put_u64(xxh3_64(&bytes));
    }

    pub(super) fn encoded_len(&self) -> usize {
        LEAST_TOLD + self.record.as_ref().map_or(0, |it| it.encoded_len() + 8)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "a record";
        let node = NodeId(reader.u64(what)?);
        let alarm = Alarm {
            generation: Generation(reader.u64(what)?),
            count: reader.u32(what)?,
        };
        let record = if reader.bool(what)? {
            let record = Record::read(reader)?;
            let mut bytes = Vec::with_capacity(record.encoded_len());
            record.encode(&mut bytes);
            if xxh3_64(&bytes) != reader.u64(what)? {
                return Err(DecodeError::Invalid(what));
            }
            Some(Arc::new(record))
        } else {
            None
        };
        Ok(Self {
            node,
            record,
            alarm,
        })
    }
}

impl Record {
    fn encode(&self, out: &mut impl BufMut) {
        codec::put_member(&self.member, out);
        out.put_u64(self.generation.0);
        out.put_u64(self.boot.0);
        codec::put_label(self.address.as_bytes(), out);
    }

    fn encoded_len(&self) -> usize {
        codec::member_len(&self.member) + 16 + codec::label_len(self.address.as_bytes())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            member: codec::member(reader)?,
            generation: Generation(reader.u64("a generation")?),
            boot: Boot(reader.u64("a boot")?),
            address: codec::label(reader, "an address")?,
        })
    }

    /// Whether it can be written down.
    pub(super) fn is_sound(&self) -> bool {
        self.member.check().is_ok()
            && self.address.len() <= MAX_NAME_BYTES
            && self.generation > Generation::default()
    }
}
