//! Data types that merge by themselves: counters, sets, registers, flags, sketches, and maps of
//! these.
//!
//! Whatever its type, a key's [`Data`] is a list of *cells*: what one write left at one path, named
//! by the write's dot. An update drops the cells that it supersedes and adds its own. So merging is
//! the same for all types and nestings: a cell stays if both sides have it, or if the side without
//! it has not seen its dot. Nothing is kept of what is gone; that it was seen, the key's clock says.
//!
//! ```text
//!   type       a path ends in       a cell holds        an update supersedes
//!   counters                        its actor's total   its own actor's cell
//!   sets       the element          nothing             all cells of the element
//!   registers                       stamp, value        all cells
//!   flag                            nothing             all cells
//!   sketch                          registers           all cells, which it takes in
//!   map        type, name, then as that type has it
//! ```
//!
//! A counter that is a key of its own is never taken away, so the totals of retired boots are added
//! up in one number, the same everywhere at one height.

mod cells;
mod sketch;
mod update;
mod view;

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use bytes::{BufMut, Bytes};
use serde::{Deserialize, Serialize};

use self::cells::{ACTOR, Cell, Cells};
pub use self::update::{Action, Path, PathError, Step, Update};
pub use self::view::{Field, View};
use super::policy::Sight;
use super::{Actor, Clock, Height, Retirements};
use crate::reader::{DecodeError, Reader};

/// What the keys of a bucket are, or a field of a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataType {
    /// A number that is only counted up.
    GrowCounter,
    /// A number that is counted up and down.
    Counter,
    /// Elements that stay.
    GrowSet,
    /// Elements that come and go; one that is added and taken away at the same time stays.
    Set,
    /// One value; of those written at the same time the one stamped last is shown.
    Register,
    /// One value, or all that were written at the same time.
    MultiRegister,
    /// On or off; on if it is switched both ways at the same time.
    Flag,
    /// About how many different elements were added: a HyperLogLog of 16,384 registers, whose
    /// standard error is 0.8 %.
    Sketch,
    /// Named fields, each of any of these types.
    Map,
}

/// What a key of a data type holds: the same bytes wherever the same updates were seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Data {
    kind: DataType,
    bytes: Bytes,
}

/// Maps within maps, at most.
const MOST_NESTED: usize = 8;

/// What retired boots counted: only where the key itself is a counter.
const BASE: usize = size_of::<i128>();

impl DataType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::GrowCounter,
        Self::Counter,
        Self::GrowSet,
        Self::Set,
        Self::Register,
        Self::MultiRegister,
        Self::Flag,
        Self::Sketch,
        Self::Map,
    ];

    /// Its name, as configuration has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GrowCounter => "grow-counter",
            Self::Counter => "counter",
            Self::GrowSet => "grow-set",
            Self::Set => "set",
            Self::Register => "register",
            Self::MultiRegister => "multi-register",
            Self::Flag => "flag",
            Self::Sketch => "sketch",
            Self::Map => "map",
        }
    }

    /// Whether it is a number.
    #[must_use]
    pub const fn is_counter(self) -> bool {
        matches!(self, Self::GrowCounter | Self::Counter)
    }

    /// Whether it has elements.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::GrowSet | Self::Set)
    }

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Data {
    /// What a key is before it is first updated.
    #[must_use]
    pub fn new(kind: DataType) -> Self {
        Self::build(kind, 0, &[], &[])
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> DataType {
        self.kind
    }

    /// The bytes in which it travels and is stored.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        &self.bytes
    }

    /// What it says.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::of(self)
    }

    /// The data whose [`encoded`](Self::encoded) form this is. Shares the bytes.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let what = "data";
        let mut reader = Reader::new(&bytes);
        let kind = DataType::of_code(reader.u8(what)?).ok_or(DecodeError::Invalid(what))?;
        if kind.is_counter() {
            reader.array::<BASE>(what)?;
        }
        let count = reader.count(ACTOR, what)?;
        let (actors, _) = reader.slice(ACTOR * count, what)?.as_chunks();
        let actors: Vec<_> = actors.iter().map(cells::actor).collect();
        cells::check(kind, &actors, &mut reader)?;
        reader.finish()?;
        Ok(Self { kind, bytes })
    }

    /// Whether nothing is left of it, so that it is as good as deleted.
    pub(super) fn is_empty(&self) -> bool {
        !self.kind.is_counter() && self.cells().len() == 0
    }

    /// Whether a clock names all that it consists of, as far as can be said without the list of
    /// retirements.
    pub(super) fn is_named_by(&self, clock: &Clock) -> bool {
        let counters: Vec<_> = self.actors().map(|actor| clock.counter(&actor)).collect();
        let is_retired = |counter: u32| counter == 0 && clock.height() > Height(0);
        self.cells().all(|cell| {
            let counter = counters[cell.actor as usize];
            cell.counter <= counter || is_retired(counter)
        })
    }

    /// All that either side has and the other has not seen the end of.
    pub(super) fn merge(
        (ours, our_sight): (&Self, Sight<'_>),
        (theirs, their_sight): (&Self, Sight<'_>),
    ) -> Self {
        let mut actors: Vec<_> = ours.actors().chain(theirs.actors()).collect();
        actors.sort_unstable();
        actors.dedup();
        // Who sees what of each actor, and where the actors of each side are among all.
        let seen = |sight: Sight<'_>| -> Vec<u32> {
            actors.iter().map(|actor| sight.counter(actor)).collect()
        };
        let (we_saw, they_saw) = (seen(our_sight), seen(their_sight));
        let places = |data: &Self| -> Vec<u32> {
            let place = |actor| actors.partition_point(|other| *other < actor) as u32;
            data.actors().map(place).collect()
        };
        let (our_places, their_places) = (places(ours), places(theirs));
        let mut our_cells = ours.cells().map(|cell| cell.of(&our_places)).peekable();
        let mut their_cells = theirs.cells().map(|cell| cell.of(&their_places)).peekable();
        let mut alive = Vec::with_capacity(our_cells.len().max(their_cells.len()));
        let is_new = |cell: &Cell<'_>, seen: &[u32]| cell.counter > seen[cell.actor as usize];
        loop {
            let order = match (our_cells.peek(), their_cells.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.name().cmp(&other.name()),
            };
            match order {
                Ordering::Less => alive.extend(
                    our_cells
                        .next()
                        .filter(|cell| planted!(RemovedComesBack ? true; is_new(cell, &they_saw))),
                ),
                Ordering::Greater => {
                    alive.extend(their_cells.next().filter(|cell| is_new(cell, &we_saw)));
                }
                Ordering::Equal => {
                    // One dot leaves the same everywhere; should two claim otherwise, every
                    // replica must pick the same.
                    let (one, other) = (our_cells.next(), their_cells.next());
                    alive.extend(one.max(other));
                }
            }
        }
        let (our_height, their_height) = (our_sight.clock.height(), their_sight.clock.height());
        let base = match our_height.cmp(&their_height) {
            Ordering::Greater => ours.base(),
            Ordering::Less => theirs.base(),
            Ordering::Equal => ours.base().max(theirs.base()),
        };
        Self::build(ours.kind, base, &actors, &alive)
    }

    /// What is left without the cells that a clock has seen.
    pub(super) fn without(&self, clock: &Clock, retired: &Retirements) -> Self {
        let actors: Vec<_> = self.actors().collect();
        let is_seen = |cell: &Cell<'_>| {
            let actor = &actors[cell.actor as usize];
            cell.counter <= clock.counter(actor) || retired.cover(clock.height(), actor)
        };
        let left: Vec<_> = self.cells().filter(|cell| !is_seen(cell)).collect();
        Self::build(self.kind, self.base(), &actors, &left)
    }

    /// The form that is the same everywhere at that height, if it is another: what retired boots
    /// counted is one number.
    pub(super) fn fold(&self, height: Height, retired: &Retirements) -> Option<Self> {
        if !self.kind.is_counter() || !self.actors().any(|actor| retired.cover(height, &actor)) {
            return None;
        }
        let actors: Vec<_> = self.actors().collect();
        let (folded, left): (Vec<_>, Vec<_>) = self
            .cells()
            .partition(|cell| retired.cover(height, &actors[cell.actor as usize]));
        let folded = folded.iter().map(|cell| i128::from(cell.total()));
        let base = folded.fold(self.base(), i128::saturating_add);
        Some(Self::build(self.kind, base, &actors, &left))
    }

    /// The data of these cells, sorted by name, of which each gives its actor's place in a sorted
    /// list. Actors without a cell are left out.
    fn build(kind: DataType, base: i128, actors: &[Actor], cells: &[Cell<'_>]) -> Self {
        let mut places = vec![u32::MAX; actors.len()];
        for cell in cells {
            places[cell.actor as usize] = 0;
        }
        let used = places.iter_mut().filter(|place| **place == 0);
        let count = (0..).zip(used).map(|(at, place)| *place = at).count();
        let len: usize = cells.iter().map(Cell::encoded_len).sum();
        let head = 1 + BASE + 4 + ACTOR * count + 4;
        let mut bytes = Vec::with_capacity(head + len);
        bytes.put_u8(kind.code());
        if kind.is_counter() {
            bytes.put_i128(base);
        }
        bytes.put_u32(count as u32); // memory ends first, here and below
        for (actor, _) in actors
            .iter()
            .zip(&places)
            .filter(|(_, at)| **at != u32::MAX)
        {
            bytes.put_u64(actor.node.0);
            bytes.put_u64(actor.boot.0);
            bytes.put_u64(actor.serial);
        }
        bytes.put_u32(cells.len() as u32);
        for cell in cells {
            cell.encode(places[cell.actor as usize], &mut bytes);
        }
        let bytes = bytes.into();
        Self { kind, bytes }
    }

    /// What retired boots counted.
    fn base(&self) -> i128 {
        match self.bytes[1..].first_chunk() {
            Some(base) if self.kind.is_counter() => i128::from_be_bytes(*base),
            _ => 0,
        }
    }

    /// Who minted its cells, sorted.
    fn actors(&self) -> impl Iterator<Item = Actor> {
        let (actors, _) = self.split();
        actors.iter().map(cells::actor)
    }

    fn cells(&self) -> Cells<'_> {
        Cells::new(self.split().1)
    }

    /// Its actors and its cells.
    fn split(&self) -> (&[[u8; ACTOR]], &[u8]) {
        let head = if self.kind.is_counter() { 1 + BASE } else { 1 };
        let (count, rest) = self.bytes[head..]
            .split_first_chunk()
            .unwrap_or((&[0; 4], &[]));
        let len = ACTOR * u32::from_be_bytes(*count) as usize;
        let (actors, cells) = rest.split_at_checked(len).unwrap_or_default();
        (actors.as_chunks().0, cells)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actors: Vec<_> = self.actors().collect();
        write!(f, "{}", self.kind)?;
        if self.base() != 0 {
            write!(f, " {} and", self.base())?;
        }
        let mut cells = f.debug_list();
        for Cell {
            path,
            actor,
            counter,
            payload,
        } in self.cells()
        {
            let (path, payload) = (path.escape_ascii(), payload.escape_ascii());
            let actor = actors[actor as usize];
            cells.entry(&format_args!("{path}={payload}@{actor:?}:{counter}"));
        }
        cells.finish()
    }
}

/// A run of bytes that a cell borrows where it was there before.
type Run<'a> = Cow<'a, [u8]>;
