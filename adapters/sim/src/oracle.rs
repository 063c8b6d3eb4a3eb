//! What clients saw, held against what they were promised.
//!
//! Every write has a number of its own, which its request id carries. For every write the oracle
//! knows which writes its client had seen, and so all that those had seen: the write's past. From
//! that alone, without a look at any clock, follows what reads may show:
//!
//! - no write that another shown write had seen, none that failed, none twice;
//! - while quorums overlap and are strict, every write that was acknowledged before the read began,
//!   or one that had seen it;
//! - at the end, every acknowledged write, or one that had seen it;
//! - nothing that a delete had seen, once all replicas have the delete.
//!
//! Where copies were destroyed, within what is survived, a read may miss what they were counted for
//! until they are whole again; whoever asks says so.
//!
//! Keys that are written by overwriting, or whose bucket lets the last write win, lose writes by
//! design; of them less is asked. What is asked of data types is told in `data`.

mod data;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dynamo_proto::node::Response;
use dynamo_proto::version::{RequestId, Siblings};

pub(crate) use self::data::Deed;
use crate::bits::Bits;
use crate::report::{Count, Counters, Violation};

/// How the keys of a bucket type are written, and so what is asked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// With contexts, or blindly.
    Causal,
    /// Each write supersedes what its coordinator finds.
    Overwrite,
    /// Concurrent writes are decided by their stamps.
    LastWriteWins,
    /// It is a counter, counted up and sometimes down.
    Counter,
    /// It is a set of a few elements, which come and go.
    Set,
}

impl Manner {
    /// Whether it is updated, and merges by itself.
    pub(crate) fn is_data(self) -> bool {
        matches!(self, Self::Counter | Self::Set)
    }
}

/// One write.
#[derive(Debug)]
struct Write {
    key: usize,
    /// Its place among the writes of its key.
    place: usize,
    outcome: Outcome,
    invoked: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Pending,
    /// Asked for again: what became of it before is not known.
    Retried,
    Acked(Duration),
    Failed,
    Unknown,
}

#[derive(Debug)]
struct Key {
    manner: Manner,
    /// All writes of the key, in the order in which clients sent them.
    writes: Vec<usize>,
    /// For each of them all that its client had seen, and all that those had seen.
    pasts: Vec<Bits>,
    /// Deletes that nobody need keep any more, and all that they had seen.
    over: Bits,
    /// Deletes that all replicas had at that time, by place.
    buried: Vec<(usize, Duration)>,
}

/// What may be asked of a read, beside what may be asked of every one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// When it began.
    pub(crate) invoked: Duration,
    /// Whether all copies that were counted for acknowledged writes have been there since.
    pub(crate) is_whole: bool,
}

/// What a client has seen of a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Bits);

/// All writes of a run.
#[derive(Debug)]
pub(crate) struct Oracle {
    keys: Vec<Key>,
    writes: Vec<Write>,
    /// What was done to keys of data types, by the number of the write.
    deeds: BTreeMap<usize, Deed>,
    /// Those that were done while all copies were there which had been counted before.
    informed: BTreeSet<usize>,
    /// Whether every read meets every acknowledged write.
    is_strict: bool,
}

impl Oracle {
    pub(crate) fn new(manners: impl Iterator<Item = Manner>, is_strict: bool) -> Self {
        let key = |manner| Key {
            manner,
            writes: Vec::new(),
            pasts: Vec::new(),
            over: Bits::default(),
            buried: Vec::new(),
        };
        Self {
            keys: manners.map(key).collect(),
            writes: Vec::new(),
            deeds: BTreeMap::new(),
            informed: BTreeSet::new(),
            is_strict,
        }
    }

    /// A client sends a write that supersedes what it has seen; `None` if blind.
    pub(crate) fn invoke(&mut self, key: usize, seen: Option<&Seen>, now: Duration) -> RequestId {
        let number = self.writes.len();
        let of = &mut self.keys[key];
        let place = of.writes.len();
        of.writes.push(number);
        of.pasts
            .push(seen.map_or_else(Bits::default, |seen| seen.0.clone()));
        self.writes.push(Write {
            key,
            place,
            outcome: Outcome::Pending,
            invoked: now,
        });
        RequestId(number as u128 + 1)
    }

    /// A client asks again for a write whose outcome it does not know.
    pub(crate) fn retry(&mut self, id: RequestId) {
        if let Some(number) = number(id, &self.writes) {
            self.writes[number].outcome = Outcome::Retried;
        }
    }

    /// All replicas have that write by now. If it is a delete, nothing that it had seen is seen
    /// again.
    pub(crate) fn bury(&mut self, id: RequestId, now: Duration) {
        if let Some(number) = number(id, &self.writes) {
            let Write { key, place, .. } = self.writes[number];
            self.keys[key].buried.push((place, now));
        }
    }

    /// All replicas have that delete, and need not keep it: it is seen where nothing shows it.
    pub(crate) fn forget(&mut self, id: RequestId) {
        if let Some(number) = number(id, &self.writes) {
            let Write { key, place, .. } = self.writes[number];
            let Key { over, pasts, .. } = &mut self.keys[key];
            over.insert(place);
            over.add_all(&pasts[place]);
        }
    }

    /// Not all replicas have all that they had of that key any more.
    pub(crate) fn unbury(&mut self, key: usize) {
        self.keys[key].buried.clear();
    }

    /// What became of it. Returns what the client has seen if it now knows all there is.
    pub(crate) fn answered(
        &mut self,
        id: RequestId,
        response: Option<&Response>,
        now: Duration,
        counters: &mut Counters,
    ) -> Option<Seen> {
        let number = number(id, &self.writes)?;
        let (outcome, count) = match response {
            Some(Response::Put(_)) => (Outcome::Acked(now), Count::Acked),
            Some(Response::Failed(_)) => (Outcome::Failed, Count::Failed),
            Some(
                Response::Unknown | Response::Got(_) | Response::Fetched(_) | Response::Listed(_),
            )
            | None => (Outcome::Unknown, Count::Unknown),
        };
        counters.add(count, 1);
        let is_update = count == Count::Acked && self.deeds.contains_key(&number);
        counters.add(Count::Updated, is_update.into());
        let write = &mut self.writes[number];
        write.outcome = match (write.outcome, outcome) {
            // That another attempt was not even tried says nothing of an earlier one.
            (Outcome::Retried, Outcome::Failed) => Outcome::Unknown,
            (_, outcome) => outcome,
        };
        let (key, place) = (write.key, write.place);
        let stands_alone =
            matches!(response, Some(Response::Put(written)) if written.context.is_some());
        stands_alone.then(|| {
            let mut seen = self.keys[key].pasts[place].clone();
            seen.insert(place);
            Seen(seen)
        })
    }

    /// A read was answered. Returns what its client has seen.
    pub(crate) fn read(
        &self,
        key: usize,
        siblings: &Siblings,
        terms: &Terms,
        counters: &mut Counters,
    ) -> Result<Seen, Violation> {
        if self.manner(key).is_data() {
            counters.add(Count::Read, 1);
            counters.add(Count::DataRead, 1);
            let since = (self.is_strict && terms.is_whole).then_some(terms.invoked);
            self.check_data(key, siblings, since)?;
            return Ok(Seen::default());
        }
        let places = self.shown(key, siblings)?;
        self.check_buried(key, &places, terms.invoked)?;
        let of = &self.keys[key];
        let mut closure = Bits::default();
        for place in &places {
            closure.add_all(&of.pasts[*place]);
            let write = &self.writes[of.writes[*place]];
            counters.add(
                Count::UnknownSeen,
                u64::from(write.outcome == Outcome::Unknown),
            );
        }
        counters.add(Count::Read, 1);
        counters.add(Count::SiblingsRead, u64::from(places.len() > 1));
        let is_superseded = |place: &&usize| closure.contains(**place);
        if of.manner == Manner::Causal
            && let Some(place) = places.iter().find(is_superseded)
        {
            let name = self.name(key, *place);
            let what = format!("a read shows {name} beside a write that had seen it");
            return Err(Violation::new("I2", what));
        }
        for place in &places {
            closure.insert(*place);
        }
        if of.manner == Manner::Causal && self.is_strict && terms.is_whole {
            let missed = of.writes.iter().enumerate().find(|(place, number)| {
                let acked = match self.writes[**number].outcome {
                    Outcome::Acked(at) => at < terms.invoked,
                    _ => false,
                };
                acked && !closure.contains(*place) && !of.over.contains(*place)
            });
            if let Some((place, _)) = missed {
                let what = format!(
                    "a read misses {}, acknowledged before",
                    self.name(key, place)
                );
                return Err(Violation::new("I2", what));
            }
        }
        Ok(Seen(closure))
    }

    /// Whether a client that had seen so much has been shown less since: no promise, but counted.
    pub(crate) fn has_lost_sight(&self, key: usize, before: &Seen, after: &Seen) -> bool {
        let over = &self.keys[key].over;
        let is_lost = |place: usize| !after.0.contains(place) && !over.contains(place);
        before.0.iter().any(is_lost)
    }

    /// Whether a reader of that has seen that write, alive or superseded.
    pub(crate) fn covers(&self, seen: &Seen, id: RequestId) -> bool {
        number(id, &self.writes).is_none_or(|number| {
            let Write { key, place, .. } = self.writes[number];
            seen.0.contains(place) || self.keys[key].over.contains(place)
        })
    }

    /// Everything has ended and this is what is left of a key.
    pub(crate) fn end(&self, key: usize, last: &Siblings) -> Result<(), Violation> {
        if self.manner(key).is_data() {
            return self.check_data(key, last, Some(Duration::MAX));
        }
        let places = self.shown(key, last)?;
        let of = &self.keys[key];
        let mut closure = of.over.clone();
        for place in &places {
            closure.add_all(&of.pasts[*place]);
            closure.insert(*place);
        }
        let acked = of.writes.iter().enumerate().filter_map(|(place, number)| {
            match self.writes[*number].outcome {
                Outcome::Acked(_) => Some((place, *number)),
                _ => None,
            }
        });
        for (place, number) in acked {
            let is_kept = match of.manner {
                Manner::Causal => closure.contains(place),
                // It, or one that was not over when it began.
                Manner::Overwrite => {
                    let mut last = places.iter().copied().chain(of.over.iter());
                    last.any(|last| last == place || self.may_follow(of.writes[last], number))
                }
                // Nothing that it had seen outlives it.
                Manner::LastWriteWins => {
                    let is_there = !places.is_empty() || of.over.iter().next().is_some();
                    is_there && places.iter().all(|last| !of.pasts[place].contains(*last))
                }
                Manner::Counter | Manner::Set => true, // looked at above
            };
            if !is_kept {
                let what = format!("{} was acknowledged and is lost", self.name(key, place));
                return Err(Violation::new("I1", what));
            }
        }
        if of.manner == Manner::LastWriteWins && places.len() > 1 {
            return Err(Violation::new(
                "I2",
                format!("key {key} has {} last writes", places.len()),
            ));
        }
        Ok(())
    }

    /// How a key is written.
    pub(crate) fn manner(&self, key: usize) -> Manner {
        self.keys[key].manner
    }

    /// What each write of a key had seen, by place, for those who look inside.
    pub(crate) fn past(&self, id: RequestId) -> Option<(usize, usize, &Bits)> {
        let Write { key, place, .. } = self.writes[number(id, &self.writes)?];
        Some((key, place, &self.keys[key].pasts[place]))
    }

    fn may_follow(&self, later: usize, earlier: usize) -> bool {
        match self.writes[later].outcome {
            Outcome::Acked(at) => at > self.writes[earlier].invoked,
            Outcome::Pending | Outcome::Retried | Outcome::Unknown | Outcome::Failed => true,
        }
    }

    /// Nothing of what a delete had seen that all replicas had by then.
    pub(crate) fn check_buried(
        &self,
        key: usize,
        places: &[usize],
        since: Duration,
    ) -> Result<(), Violation> {
        let of = &self.keys[key];
        for (delete, _) in of.buried.iter().filter(|(_, at)| *at <= since) {
            let is_back = |place: &&usize| of.pasts[*delete].contains(**place);
            if let Some(place) = places.iter().find(is_back) {
                let what = format!(
                    "{} is back, though all replicas had {}, which had seen it",
                    self.name(key, *place),
                    self.name(key, *delete)
                );
                return Err(Violation::new("I7", what));
            }
        }
        Ok(())
    }

    /// The places of the writes that a state shows, if it may show them at all.
    fn shown(&self, key: usize, siblings: &Siblings) -> Result<Vec<usize>, Violation> {
        let mut places = BTreeMap::new();
        for sibling in siblings.values() {
            let id = sibling.value.request;
            let Some(number) = number(id, &self.writes) else {
                return Err(Violation::new(
                    "I2",
                    format!("key {key} has a value nobody wrote"),
                ));
            };
            let write = &self.writes[number];
            if write.key != key {
                let what = format!("key {key} shows {}", self.name(write.key, write.place));
                return Err(Violation::new("I2", what));
            }
            if write.outcome == Outcome::Failed {
                let what = format!("{} failed and is there", self.name(key, write.place));
                return Err(Violation::new("I10", what));
            }
            if places.insert(write.place, ()).is_some() {
                let what = format!("{} is there twice", self.name(key, write.place));
                return Err(Violation::new("I2", what));
            }
        }
        Ok(places.into_keys().collect())
    }

    fn name(&self, key: usize, place: usize) -> String {
        let number = self.keys[key].writes[place];
        format!(
            "write {number} of key {key} (sent at {:?})",
            self.writes[number].invoked
        )
    }
}

impl Seen {
    /// Adds what another read saw.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add_all(&other.0);
    }
}

fn number(id: RequestId, writes: &[Write]) -> Option<usize> {
    let number = usize::try_from(id.0.checked_sub(1)?).ok()?;
    (number < writes.len()).then_some(number)
}
