//! An invented disk: what is written is seen at once, kept when it was flushed, and lost from its
//! end when the machine or the process stops.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Item, Limit, Page, ReadOutcome, Space, Span};

use crate::dice::Dice;

/// How a process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// It alone: the operating system still has what it was given.
    Kill,
    /// With its machine.
    PowerLoss,
}

/// What a machine keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    content: BTreeMap<(Space, Address), Bytes>,
    /// How to take back what was written since the last completed flush, the oldest first.
    log: VecDeque<Undo>,
    /// The number of the first write in the log.
    first: u64,
    written: u64,
    flushed: u64,
}

#[derive(Clone, Debug)]
struct Undo {
    changes: Vec<(Space, Address, Option<Bytes>)>,
}

/// Names a write until it completes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteNumber(u64);

impl Disk {
    /// What is there.
    #[must_use]
    pub(crate) fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        match self.content.get(&(space, at.clone())) {
            Some(bytes) => ReadOutcome::Found(bytes.clone()),
            None => ReadOutcome::Absent,
        }
    }

    /// A page of what is there.
    pub(crate) fn scan(&self, space: Space, span: &Span, limit: Limit) -> Page {
        let first = (space, span.first().clone());
        let there = self.content.range(first..);
        let there = there.take_while(|((other, at), _)| *other == space && span.contains(at));
        let items = there.map(|((_, at), bytes)| {
            let (at, bytes) = (at.clone(), bytes.clone());
            Ok::<_, Infallible>(Item::Found { at, bytes })
        });
        let Ok(page) = Page::fill(span, limit, items);
        page
    }

    /// Writes, so that whoever reads next sees it. It is safe only once it [completes](Self::complete).
    pub(crate) fn write(&mut self, batch: &Batch) -> WriteNumber {
        let changes = batch.changes.iter().map(|change| {
            let Change { space, at, bytes } = change.clone();
            let place = (space, at);
            let before = match bytes {
                Some(bytes) => self.content.insert(place.clone(), bytes),
                None => self.content.remove(&place),
            };
            (place.0, place.1, before)
        });
        let changes = changes.collect();
        self.log.push_back(Undo { changes });
        WriteNumber(self.first + self.log.len() as u64)
    }

    /// Whether that write is as safe as that.
    pub(crate) fn is_safe(&self, number: WriteNumber, durability: Durability) -> bool {
        match durability {
            Durability::Memory => true,
            Durability::Written => self.written >= number.0,
            Durability::Flushed => self.flushed >= number.0,
        }
    }

    /// The write, and with it all before it, is as safe as was asked.
    pub(crate) fn complete(&mut self, number: WriteNumber, durability: Durability) {
        match durability {
            Durability::Memory => {}
            Durability::Written => self.written = self.written.max(number.0),
            Durability::Flushed => {
                self.written = self.written.max(number.0);
                self.flushed = self.flushed.max(number.0);
                while self.first < self.flushed {
                    self.log.pop_front();
                    self.first += 1;
                }
            }
        }
    }

    /// The process stops: of what was not safe, some of the end is lost. What is left is as safe as
    /// can be. Returns how many writes were lost.
    pub(crate) fn stop(&mut self, stop: Stop, dice: &mut Dice) -> u64 {
        let last = self.first + self.log.len() as u64;
        let safe = match stop {
            Stop::Kill => self.written,
            Stop::PowerLoss => self.flushed,
        };
        let kept = dice.between(safe.max(self.first), last.max(safe));
        let lost = last.saturating_sub(kept);
        for _ in 0..lost {
            let Some(undo) = self.log.pop_back() else {
                break;
            };
            for (space, at, before) in undo.changes.into_iter().rev() {
                match before {
                    Some(bytes) => self.content.insert((space, at), bytes),
                    None => self.content.remove(&(space, at)),
                };
            }
        }
        self.log.clear();
        self.first = kept;
        (self.written, self.flushed) = (kept, kept);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &'static str, durability: Durability) -> Batch {
        let at = Address {
            position: 1,
            name: Bytes::from_static(b"k"),
        };
        let bytes = Some(Bytes::from_static(text.as_bytes()));
        let change = Change {
            space: Space::Objects,
            at,
            bytes,
        };
        Batch {
            changes: [change].into_iter().collect(),
            durability,
            may_use_reserve: false,
        }
    }

    fn text(disk: &Disk) -> Option<Bytes> {
        disk.content.values().next().cloned()
    }

    #[test]
    fn what_was_flushed_survives_and_what_was_not_may_be_lost() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..100 {
            let mut disk = Disk::default();
            let flushed = disk.write(&batch("flushed", Durability::Flushed));
            disk.complete(flushed, Durability::Flushed);
            disk.write(&batch("under way", Durability::Flushed));
            assert_eq!(text(&disk).unwrap(), "under way");
            disk.stop(Stop::PowerLoss, &mut Dice::new(seed));
            match &text(&disk).unwrap()[..] {
                b"flushed" => lost += 1,
                b"under way" => kept += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(kept > 20 && lost > 20);
    }

    #[test]
    fn a_kill_keeps_what_the_operating_system_has() {
        for seed in 0..100 {
            let mut disk = Disk::default();
            let written = disk.write(&batch("written", Durability::Written));
            disk.complete(written, Durability::Written);
            disk.stop(Stop::Kill, &mut Dice::new(seed));
            assert_eq!(text(&disk).unwrap(), "written");
        }
        let lost = (0..100).filter(|seed| {
            let mut disk = Disk::default();
            let written = disk.write(&batch("written", Durability::Written));
            disk.complete(written, Durability::Written);
            disk.stop(Stop::PowerLoss, &mut Dice::new(*seed));
            text(&disk).is_none()
        });
        assert!(lost.count() > 20);
    }
}
