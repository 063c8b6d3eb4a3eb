//! An invented disk and an engine on it that keeps every promise, but for the flaw that it is
//! given.

#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, ReadOutcome, Space, WriteError};
use dynamo_storage::conformance::{End, Subject};
use dynamo_storage::{Backend, Item, Limit, Page, ScanFailed, Span, Write};

/// What an engine may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    AppliesGroupsBackwards,
    AnswersOnlyTheFirst,
    BuriesTheDeleted,
    CallsDamageAbsent,
    CallsEmptyAbsent,
    CutsNames,
    DropsTheLastChange,
    FlushesOnlyTheLatest,
    FlushesAgainAfterFailure,
    ForgetsDeletes,
    IncludesTheEnd,
    InventsBytes,
    KeepsDamageWhenOverwritten,
    KeepsTheFirstWrite,
    MixesSpaces,
    PassesOverDamage,
    RefusesRemovalsWhenFull,
    RemovesWholePositions,
    RepeatsAtPageEnds,
    SaysFlushedWhenWritten,
    SaysWrittenWhenInMemory,
    ScansOnlyAPage,
    ScansUnordered,
    ServesUnflushedAfterOpening,
    SkipsAtPageEnds,
    StopsScanAtWrites,
    TearsBatchesAtFlush,
    TearsRefusedBatches,
}

type Map = BTreeMap<(Space, Address), Kept>;

#[derive(Clone)]
struct Kept {
    bytes: Bytes,
    is_damaged: bool,
    is_buried: bool,
}

/// What is where; each layer holds what the one above it has handed down.
#[derive(Default)]
struct Layers {
    process: Map,
    system: Map,
    disk: Map,
    writes: usize,
    room: Option<usize>,
    next_flush_fails: bool,
    has_failed: bool,
}

/// The disk and the system above it, which outlive the engines.
pub(crate) struct Disk(Engine);

#[derive(Clone)]
pub(crate) struct Engine {
    flaw: Flaw,
    layers: Arc<Mutex<Layers>>,
}

impl Disk {
    pub(crate) fn with(flaw: Flaw) -> Self {
        let layers = Arc::default();
        Self(Engine { flaw, layers })
    }
}

impl Subject for Disk {
    type Backend = Engine;

    fn open(&mut self) -> Engine {
        self.0.clone()
    }

    fn open_bounded(&mut self, bytes: usize) -> Option<Engine> {
        self.0.layers().room = Some(bytes);
        Some(self.0.clone())
    }

    fn reopen(&mut self, backend: Engine, end: End) -> Option<Engine> {
        drop(backend);
        let mut layers = self.0.layers();
        if end == End::Machine {
            layers.system = layers.disk.clone();
        } else if self.0.flaw != Flaw::ServesUnflushedAfterOpening {
            layers.disk = layers.system.clone();
        }
        layers.process = layers.system.clone();
        Some(self.0.clone())
    }

    fn damage(&mut self, _: &Engine, space: Space, at: &Address) -> bool {
        let mut layers = self.0.layers();
        let kept = layers.process.get_mut(&(space, at.clone()));
        kept.map(|kept| kept.is_damaged = true).is_some()
    }

    fn fail_next_flush(&mut self, _: &Engine) -> bool {
        self.0.layers().next_flush_fails = true;
        true
    }
}

impl Engine {
    /// Of values.
    pub(crate) fn bytes_kept(&self) -> usize {
        let layers = self.layers();
        layers.process.values().map(|kept| kept.bytes.len()).sum()
    }

    fn layers(&self) -> MutexGuard<'_, Layers> {
        self.layers.lock().expect("no holder panics")
    }

    fn key(&self, space: Space, at: &Address) -> (Space, Address) {
        let space = match (self.flaw, space) {
            (Flaw::MixesSpaces, Space::Trees) => Space::Meta,
            _ => space,
        };
        let mut at = at.clone();
        if self.flaw == Flaw::CutsNames {
            at.name.truncate(3072);
        }
        (space, at)
    }

    fn apply(&self, layers: &mut Layers, batch: &Batch) -> Result<(), WriteError> {
        let Some(room) = layers.room else {
            let mut changes = batch.changes.as_slice();
            if let (Flaw::DropsTheLastChange, [most @ .., _]) = (self.flaw, changes)
                && !most.is_empty()
            {
                changes = most;
            }
            for change in changes {
                let key = self.key(change.space, &change.at);
                self.change(&mut layers.process, key, change.bytes.clone());
            }
            return Ok(());
        };
        let mut after = layers.process.clone();
        let (mut shrinks, mut first_alone) = (true, None);
        for change in &batch.changes {
            let key = self.key(change.space, &change.at);
            let len = |map: &Map| map.get(&key).map_or(0, |kept| kept.bytes.len());
            let len_before = len(&after);
            self.change(&mut after, key.clone(), change.bytes.clone());
            shrinks &= len(&after) <= len_before;
            first_alone.get_or_insert_with(|| after.clone());
        }
        let used: usize = after.values().map(|kept| kept.bytes.len()).sum();
        let is_refused = if shrinks {
            self.flaw == Flaw::RefusesRemovalsWhenFull && used + 8192 > room
        } else {
            used > room
        };
        if !is_refused {
            layers.process = after;
            return Ok(());
        }
        if self.flaw == Flaw::TearsRefusedBatches {
            layers.process = first_alone.unwrap_or_default();
        }
        Err(WriteError::Full)
    }

    fn change(&self, map: &mut Map, key: (Space, Address), bytes: Option<Bytes>) {
        let old = map.get(&key);
        let was_damaged = old.is_some_and(|kept| kept.is_damaged);
        match (self.flaw, bytes) {
            (Flaw::KeepsTheFirstWrite, Some(_)) if old.is_some() => {}
            (Flaw::BuriesTheDeleted, Some(_)) if old.is_some_and(|kept| kept.is_buried) => {}
            (flaw, Some(bytes)) => {
                let kept = Kept {
                    bytes,
                    is_damaged: was_damaged && flaw == Flaw::KeepsDamageWhenOverwritten,
                    is_buried: false,
                };
                map.insert(key, kept);
            }
            (Flaw::ForgetsDeletes, None) => {}
            (Flaw::BuriesTheDeleted, None) => {
                map.entry(key).and_modify(|kept| kept.is_buried = true);
            }
            (Flaw::RemovesWholePositions, None) => {
                let (space, at) = key;
                map.retain(|place, _| place.0 != space || place.1.position != at.position);
            }
            (_, None) => drop(map.remove(&key)),
        }
    }

    fn flush(
        &self,
        layers: &mut Layers,
        group: &[Write],
        asked: Durability,
    ) -> Result<Durability, WriteError> {
        if layers.has_failed && self.flaw != Flaw::FlushesAgainAfterFailure {
            return Err(WriteError::FlushFailed);
        }
        if asked >= Durability::Written && self.flaw != Flaw::SaysWrittenWhenInMemory {
            layers.system = layers.process.clone();
        }
        if asked == Durability::Flushed {
            if std::mem::take(&mut layers.next_flush_fails) {
                layers.has_failed = true;
                return Err(WriteError::FlushFailed);
            }
            match self.flaw {
                Flaw::SaysFlushedWhenWritten => {}
                Flaw::FlushesOnlyTheLatest => {
                    for change in group.iter().flat_map(|write| &write.batch.changes) {
                        let key = (change.space, change.at.clone());
                        match layers.system.get(&key).cloned() {
                            Some(kept) => layers.disk.insert(key, kept),
                            None => layers.disk.remove(&key),
                        };
                    }
                }
                _ => layers.disk = layers.system.clone(),
            }
        } else if self.flaw == Flaw::TearsBatchesAtFlush {
            let half = layers.system.iter().take(layers.system.len() / 2);
            layers.disk = half
                .map(|(key, kept)| (key.clone(), kept.clone()))
                .collect();
        }
        Ok(asked)
    }
}

impl Backend for Engine {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        let layers = self.layers();
        let kept = layers.process.get(&self.key(space, at));
        match kept.filter(|kept| !kept.is_buried) {
            None if self.flaw == Flaw::InventsBytes => ReadOutcome::Found(Bytes::new()),
            None => ReadOutcome::Absent,
            Some(kept) if kept.is_damaged && self.flaw == Flaw::CallsDamageAbsent => {
                ReadOutcome::Absent
            }
            Some(kept) if kept.is_damaged => ReadOutcome::Corrupt,
            Some(kept) if kept.bytes.is_empty() && self.flaw == Flaw::CallsEmptyAbsent => {
                ReadOutcome::Absent
            }
            Some(kept) => ReadOutcome::Found(kept.bytes.clone()),
        }
    }

    fn write(&self, group: &mut [Write]) {
        let mut layers = self.layers();
        layers.writes += 1;
        if self.flaw == Flaw::AppliesGroupsBackwards {
            group.reverse();
        }
        let applied: Vec<_> = group
            .iter()
            .map(|write| self.apply(&mut layers, &write.batch))
            .collect();
        let flushed = self.flush(&mut layers, group, Write::most_demanding(group));
        let answered = if self.flaw == Flaw::AnswersOnlyTheFirst {
            1
        } else {
            group.len()
        };
        for (write, applied) in group.iter_mut().zip(applied).take(answered) {
            write.answer = applied.and(flushed);
        }
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        let layers = self.layers();
        let mut shown: Vec<_> = layers
            .process
            .iter()
            .filter(|((kept_in, at), kept)| {
                let is_end = self.flaw == Flaw::IncludesTheEnd && span.end() == Some(at);
                let is_passed = self.flaw == Flaw::PassesOverDamage && kept.is_damaged;
                let is_hidden = is_passed || kept.is_buried;
                *kept_in == space && (span.contains(at) || is_end) && !is_hidden
            })
            .map(|((_, at), kept)| match kept.is_damaged {
                true => Item::Corrupt(Span::of_one(at.clone())),
                false => Item::Found {
                    at: at.clone(),
                    bytes: kept.bytes.clone(),
                },
            })
            .collect();
        if self.flaw == Flaw::ScansUnordered {
            shown.reverse();
        }
        let mut page = Page::fill(span, limit, shown.into_iter().map(Ok))?;
        let last = page.items.last().map(|item| item.first().clone());
        match (self.flaw, &page.rest, last) {
            (Flaw::RepeatsAtPageEnds, Some(_), Some(last)) if page.items.len() > 1 => {
                page.rest = Some(span.starting_at(last));
            }
            (Flaw::SkipsAtPageEnds, Some(rest), _) => {
                let after = rest.first().successor();
                page.rest = Some(rest.starting_at(after));
            }
            (Flaw::ScansOnlyAPage, _, _) => page.rest = None,
            (Flaw::StopsScanAtWrites, _, _) if layers.writes > 100 => page.rest = None,
            _ => {}
        }
        Ok(page)
    }
}
