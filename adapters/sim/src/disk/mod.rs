//! An invented disk: what is written is seen at once, kept when it was flushed, and lost from its
//! end when the machine or the process stops.
//!
//! Below that it can do worse. What a device lost or wrote to the wrong place is *latent*: reads
//! are answered from what the engine believes, until it is opened again and finds what the device
//! has. After a flush that failed no later one makes anything safe, whatever it says.

mod beside;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Item, Limit, Page, ReadOutcome, Space, Span};

use crate::dice::Dice;
pub(crate) use beside::Open;
use beside::{Beside, Content};

/// How a process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// It alone: the operating system still has what it was given.
    Kill,
    /// With its machine.
    PowerLoss,
}

/// A place of a store.
pub(crate) type Place = (Space, Address);

/// What a machine keeps.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Whose store it is: written when it was made, looked at when it is opened.
    owner: usize,
    content: Content,
    /// What the device has in some places instead of what the engine believes.
    latent: BTreeMap<Place, Option<Bytes>>,
    /// Places that the engine itself knows to be damaged.
    corrupt: BTreeSet<Place>,
    /// How to take back what was written since the last completed flush, the oldest first.
    log: VecDeque<Undo>,
    /// The number of the first write in the log.
    first: u64,
    written: u64,
    flushed: u64,
    /// Whether a flush has failed since it was opened.
    is_spoilt: bool,
    /// What has to agree with it, if anything.
    beside: Option<Beside>,
}

#[derive(Clone, Debug)]
struct Undo {
    changes: Vec<(Place, Option<Bytes>)>,
}

/// Names a write until it completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WriteNumber(u64);

impl WriteNumber {
    /// That of a write that was not done and so is never safe.
    pub(crate) const NEVER: Self = Self(u64::MAX);
}

/// What a stop took from a disk.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// How many writes.
    pub(crate) lost: u64,
    /// A place that is left half old and half new.
    pub(crate) torn: Option<Address>,
}

impl Disk {
    /// An empty one, for that machine.
    pub(crate) fn of(owner: usize) -> Self {
        Self {
            owner,
            content: BTreeMap::new(),
            latent: BTreeMap::new(),
            corrupt: BTreeSet::new(),
            log: VecDeque::new(),
            first: 0,
            written: 0,
            flushed: 0,
            is_spoilt: false,
            beside: None,
        }
    }

    /// An empty one, for that machine, that is compared with a real engine. What a real engine
    /// cannot be made to do must not happen to it: bits that turn, writes that are lost or go astray.
    pub(crate) fn beside(owner: usize, best: Durability, open: Open) -> Self {
        Self {
            beside: Some(Beside::new(owner, best, open)),
            ..Self::of(owner)
        }
    }

    /// Whose store it is.
    pub(crate) fn owner(&self) -> usize {
        self.owner
    }

    /// What the engine says is there.
    #[must_use]
    pub(crate) fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        let place = (space, at.clone());
        if self.corrupt.contains(&place) {
            return ReadOutcome::Corrupt;
        }
        let outcome = match self.content.get(&place) {
            Some(bytes) => ReadOutcome::Found(bytes.clone()),
            None => ReadOutcome::Absent,
        };
        if let Some(beside) = &self.beside {
            beside.expect_read(space, at, &outcome);
        }
        outcome
    }

    /// A page of what is there.
    pub(crate) fn scan(&self, space: Space, span: &Span, limit: Limit) -> Page {
        let first = (space, span.first().clone());
        let there = self.content.range(first..);
        let there = there.take_while(|((other, at), _)| *other == space && span.contains(at));
        let items = there.map(|(place, bytes)| {
            let (at, bytes) = (place.1.clone(), bytes.clone());
            Ok::<_, Infallible>(if self.corrupt.contains(place) {
                Item::Corrupt(Span::of_one(at))
            } else {
                Item::Found { at, bytes }
            })
        });
        let Ok(page) = Page::fill(span, limit, items);
        if let Some(beside) = &self.beside {
            beside.expect_page(space, span, limit, &page);
        }
        page
    }

    /// What would be there, at worst, if everything stopped now.
    pub(crate) fn survivor(
        &self,
        space: Space,
        at: &Address,
        durability: Durability,
    ) -> Option<&Bytes> {
        let place = (space, at.clone());
        if self.corrupt.contains(&place) {
            return None;
        }
        if let Some(latent) = self.latent.get(&place) {
            return latent.as_ref();
        }
        let safe = match durability {
            Durability::Memory => return self.content.get(&place),
            Durability::Written => self.written,
            Durability::Flushed => self.flushed,
        };
        let is_unsafe = safe.saturating_sub(self.first) as usize;
        let undone = self.log.iter().skip(is_unsafe).find_map(|undo| {
            let mut changes = undo.changes.iter();
            changes.find_map(|(changed, before)| (*changed == place).then_some(before.as_ref()))
        });
        undone.unwrap_or_else(|| self.content.get(&place))
    }

    /// Writes, so that whoever reads next sees it. It is safe only once it [completes](Self::complete).
    pub(crate) fn write(&mut self, batch: &Batch) -> WriteNumber {
        if let Some(beside) = &self.beside {
            beside.write(batch);
        }
        let changes = batch.changes.iter().map(|change| {
            let Change { space, at, bytes } = change.clone();
            let place = (space, at);
            self.latent.remove(&place);
            self.corrupt.remove(&place);
            let before = match bytes {
                Some(bytes) => self.content.insert(place.clone(), bytes),
                None => self.content.remove(&place),
            };
            (place, before)
        });
        let changes = changes.collect();
        self.log.push_back(Undo { changes });
        WriteNumber(self.first + self.log.len() as u64)
    }

    /// Writes, and the device does nothing of the kind: what was there before is still there when
    /// it is opened again, and what was written is at another place, if one is given.
    pub(crate) fn write_astray(&mut self, batch: &Batch, to: Option<&Address>) -> WriteNumber {
        let before = batch.changes.iter().map(|change| {
            let place = (change.space, change.at.clone());
            let before = match self.latent.get(&place) {
                Some(latent) => latent.clone(),
                None => self.content.get(&place).cloned(),
            };
            (place, before)
        });
        let before: Vec<_> = before.collect();
        let number = self.write(batch);
        self.latent.extend(before);
        if let (Some(to), Some(change)) = (to, batch.changes.first()) {
            self.latent
                .insert((change.space, to.clone()), change.bytes.clone());
        }
        number
    }

    /// Whether these make a place larger than it was.
    pub(crate) fn grows(&self, batch: &Batch) -> bool {
        batch.changes.iter().any(|change| {
            let place = (change.space, change.at.clone());
            let before = self.content.get(&place);
            match (&change.bytes, before) {
                (Some(bytes), Some(before)) => bytes.len() > before.len(),
                (Some(_), None) => true,
                (None, _) => false,
            }
        })
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
        if durability >= Durability::Written {
            self.written = self.written.max(number.0);
        }
        if durability < Durability::Flushed || self.is_spoilt {
            return;
        }
        self.flushed = self.flushed.max(number.0);
        while self.first < self.flushed {
            self.log.pop_front();
            self.first += 1;
        }
    }

    /// A flush failed: what it was to make safe never will be, however often it is tried again.
    pub(crate) fn spoil(&mut self) {
        self.is_spoilt = true;
    }

    /// The process stops: of what was not safe, some of the end is lost, and the first of that may
    /// be torn where `may_tear` allows it. What is left is as safe as can be.
    pub(crate) fn stop(
        &mut self,
        stop: Stop,
        dice: &mut Dice,
        may_tear: impl FnOnce(&Address) -> bool,
    ) -> Taken {
        let last = self.first + self.log.len() as u64;
        let safe = match stop {
            Stop::Kill if !self.is_spoilt => self.written,
            Stop::Kill | Stop::PowerLoss => self.flushed,
        };
        let found = self.beside.as_mut().map(Beside::reopen);
        if let Some(found) = &found {
            self.expect_one_of_its_states(found);
        }
        let kept = dice.between(safe.max(self.first), last.max(safe));
        let mut taken = Taken {
            lost: last.saturating_sub(kept),
            torn: None,
        };
        let mut written = None;
        for _ in 0..taken.lost {
            let Some(undo) = self.log.pop_back() else {
                break;
            };
            for (place, before) in undo.changes.into_iter().rev() {
                let after = match before.clone() {
                    Some(bytes) => self.content.insert(place.clone(), bytes),
                    None => self.content.remove(&place),
                };
                written = after.map(|after| (place, before, after));
            }
        }
        if let Some((place, before, after)) = written
            && place.0 == Space::Objects
            && may_tear(&place.1)
        {
            taken.torn = Some(place.1.clone());
            self.content
                .insert(place, torn(before.as_deref(), &after, dice));
        }
        if let (Some(beside), Some(found)) = (&self.beside, found) {
            beside.adjust(&found, &self.content);
        }
        self.log.clear();
        self.first = kept;
        (self.written, self.flushed) = (kept, kept);
        self.is_spoilt = false;
        taken
    }

    /// What an engine was left with must be what there was after some write, and not before what
    /// was written when its process ended.
    fn expect_one_of_its_states(&self, found: &Content) {
        let mut content = self.content.clone();
        let is_unsafe =
            |undone: usize| self.first + (self.log.len() - undone) as u64 > self.written;
        for (undone, undo) in self.log.iter().rev().enumerate() {
            if content == *found || !is_unsafe(undone) {
                break;
            }
            for (place, before) in undo.changes.iter().rev().cloned() {
                match before {
                    Some(bytes) => content.insert(place, bytes),
                    None => content.remove(&place),
                };
            }
        }
        assert_eq!(
            *found, content,
            "{:?} is left with something else",
            self.beside
        );
    }

    /// The store is opened: what the device has is what there is.
    pub(crate) fn open(&mut self) -> usize {
        let surfaced = self.latent.len();
        for (place, bytes) in std::mem::take(&mut self.latent) {
            match bytes {
                Some(bytes) => self.content.insert(place, bytes),
                None => self.content.remove(&place),
            };
        }
        surfaced
    }

    /// The same, but nobody can tell that it is not that node's own.
    pub(crate) fn of_another(self, owner: usize) -> Self {
        Self { owner, ..self }
    }

    /// What would be there if it were opened now.
    pub(crate) fn snapshot(&self) -> Self {
        let mut snapshot = Self {
            content: self.content.clone(),
            latent: self.latent.clone(),
            corrupt: self.corrupt.clone(),
            ..Self::of(self.owner)
        };
        snapshot.open();
        snapshot
    }

    /// A bit of what is kept there flips. Whether there was anything.
    pub(crate) fn rot(
        &mut self,
        space: Space,
        at: &Address,
        is_known: bool,
        dice: &mut Dice,
    ) -> bool {
        let place = (space, at.clone());
        let Some(bytes) = self
            .content
            .get_mut(&place)
            .filter(|bytes| !bytes.is_empty())
        else {
            return false;
        };
        let mut rotten = bytes.to_vec();
        let bit = dice.index(rotten.len() * 8);
        rotten[bit / 8] ^= 1 << (bit % 8);
        *bytes = rotten.into();
        if is_known {
            self.corrupt.insert(place);
        }
        true
    }

    /// All that the engine says is in a space.
    pub(crate) fn all(&self, space: Space) -> impl Iterator<Item = (Address, Bytes)> {
        let there = self
            .content
            .iter()
            .filter(move |(place, _)| place.0 == space);
        there.map(|(place, bytes)| (place.1.clone(), bytes.clone()))
    }

    /// How many places of a space hold something.
    pub(crate) fn count(&self, space: Space) -> usize {
        self.content.keys().filter(|place| place.0 == space).count()
    }
}

/// The beginning of what was written over what was there, as far as it got.
fn torn(before: Option<&[u8]>, after: &[u8], dice: &mut Dice) -> Bytes {
    let at = dice.index(after.len().max(1));
    let rest = before.and_then(|before| before.get(at..)).unwrap_or(&[]);
    [&after[..at], rest].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &'static str) -> Address {
        Address {
            position: 1,
            name: Bytes::from_static(name.as_bytes()),
        }
    }

    fn batch(text: &'static str, durability: Durability) -> Batch {
        let bytes = Some(Bytes::from_static(text.as_bytes()));
        let change = Change {
            space: Space::Objects,
            at: at("k"),
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

    fn flushed(text: &'static str) -> Disk {
        let mut disk = Disk::of(0);
        let number = disk.write(&batch(text, Durability::Flushed));
        disk.complete(number, Durability::Flushed);
        disk
    }

    fn survivor(disk: &Disk) -> Option<&Bytes> {
        disk.survivor(Space::Objects, &at("k"), Durability::Flushed)
    }

    #[test]
    fn what_was_flushed_survives_and_what_was_not_may_be_lost() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..100 {
            let mut disk = flushed("flushed");
            disk.write(&batch("under way", Durability::Flushed));
            assert_eq!(text(&disk).unwrap(), "under way");
            assert_eq!(survivor(&disk).unwrap(), "flushed");
            disk.stop(Stop::PowerLoss, &mut Dice::new(seed), |_| false);
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
            let mut disk = Disk::of(0);
            let written = disk.write(&batch("written", Durability::Written));
            disk.complete(written, Durability::Written);
            disk.stop(Stop::Kill, &mut Dice::new(seed), |_| false);
            assert_eq!(text(&disk).unwrap(), "written");
        }
        let lost = (0..100).filter(|seed| {
            let mut disk = Disk::of(0);
            let written = disk.write(&batch("written", Durability::Written));
            disk.complete(written, Durability::Written);
            disk.stop(Stop::PowerLoss, &mut Dice::new(*seed), |_| false);
            text(&disk).is_none()
        });
        assert!(lost.count() > 20);
    }

    #[test]
    fn what_a_device_lost_shows_when_it_is_opened_again() {
        let mut disk = flushed("before");
        let lost = disk.write_astray(&batch("lost", Durability::Flushed), Some(&at("other")));
        disk.complete(lost, Durability::Flushed);
        assert!(disk.is_safe(lost, Durability::Flushed), "so it says");
        assert_eq!(text(&disk).unwrap(), "lost");
        assert_eq!(survivor(&disk).unwrap(), "before");
        disk.stop(Stop::PowerLoss, &mut Dice::new(1), |_| false);
        assert_eq!(disk.open(), 2);
        assert_eq!(text(&disk).unwrap(), "before");
        let astray = disk.read(Space::Objects, &at("other"));
        assert_eq!(astray, ReadOutcome::Found("lost".into()));
    }

    #[test]
    fn a_later_write_to_the_same_place_undoes_a_lost_one() {
        let mut disk = flushed("before");
        disk.write_astray(&batch("lost", Durability::Flushed), None);
        let sound = disk.write(&batch("sound", Durability::Flushed));
        disk.complete(sound, Durability::Flushed);
        assert_eq!(survivor(&disk).unwrap(), "sound");
        assert_eq!(disk.open(), 0);
    }

    #[test]
    fn no_flush_after_a_failed_one_makes_anything_safe() {
        let lost = (0..100).filter(|seed| {
            let mut disk = flushed("before");
            disk.write(&batch("failed", Durability::Flushed));
            disk.spoil();
            let lie = disk.write(&batch("lie", Durability::Flushed));
            disk.complete(lie, Durability::Flushed);
            assert!(!disk.is_safe(lie, Durability::Flushed));
            disk.stop(Stop::Kill, &mut Dice::new(*seed), |_| false);
            text(&disk).unwrap() == "before"
        });
        assert!(lost.count() > 20);
    }

    #[test]
    fn a_torn_write_leaves_neither_the_old_nor_the_new() {
        let mut torn = 0;
        for seed in 0..100 {
            let mut disk = flushed("aaaaaaaa");
            disk.write(&batch("bbbbbbbb", Durability::Flushed));
            let taken = disk.stop(Stop::PowerLoss, &mut Dice::new(seed), |_| true);
            let text = text(&disk).unwrap();
            assert_eq!(text.len(), 8);
            assert_eq!(taken.torn.is_some(), taken.lost > 0);
            torn += usize::from(text.contains(&b'a') && text.contains(&b'b'));
        }
        assert!(torn > 20);
    }

    #[test]
    fn what_makes_nothing_larger_fits_a_full_disk() {
        let disk = flushed("before");
        assert!(disk.grows(&batch("and after", Durability::Flushed)));
        assert!(!disk.grows(&batch("after", Durability::Flushed)));
        let mut removal = batch("", Durability::Flushed);
        removal.changes[0].bytes = None;
        assert!(!disk.grows(&removal));
    }
}
