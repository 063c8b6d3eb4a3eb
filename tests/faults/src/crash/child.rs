//! The process that is killed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use dynamo_proto::Durability;
use dynamo_proto::store::{ReadOutcome, Space};
use dynamo_storage::{Backend, Item, Scan, Span, Write};

use super::work::{PLACES, SPACES, Work, address, place_of};
use crate::{Dice, Disk, named};

/// What a child is to do.
#[derive(Clone, Debug, clap::Args)]
pub struct Child {
    /// The engine's name.
    #[arg(long)]
    pub engine: String,
    /// The store's directory.
    #[arg(long)]
    pub root: PathBuf,
    /// Where the layer keeps what is flushed of it.
    #[arg(long)]
    pub image: PathBuf,
    /// Whether an earlier child's process was killed here and nothing else.
    #[arg(long)]
    pub resume: bool,
    /// What is written follows from it.
    #[arg(long)]
    pub seed: u64,
    /// The number of the first batch.
    #[arg(long)]
    pub first: u64,
    /// After how many changes of files it dies. Writes nothing if it is to live.
    #[arg(long)]
    pub die_after: Option<usize>,
    /// Whether these are counted from when the store is open.
    #[arg(long)]
    pub once_open: bool,
}

/// More than a child ever lives to write.
const MOST_BATCHES: u64 = 100_000;

impl Child {
    /// Opens the store, tells what is in it, and writes until it dies; what it does and what comes
    /// of it goes to the standard output, a line each:
    ///
    /// ```text
    /// found PLACE NUMBER        before anything is written
    /// opened
    /// begin FIRST LAST          before a group is given to the engine
    /// wrote NUMBER DURABILITY   after
    /// ```
    pub fn run(&self) -> io::Result<()> {
        let engine = named(&self.engine).ok_or_else(|| other("there is no such engine"))?;
        let disk = if self.resume {
            Disk::resume(&self.root, &self.image)?
        } else {
            Disk::watch(&self.root, &self.image)?
        };
        let dies_from_now = || {
            if let Some(changes) = self.die_after {
                disk.die_after(changes, Dice::new(self.seed ^ changes as u64));
            }
        };
        if !self.once_open {
            dies_from_now();
        }
        let work = Work { seed: self.seed };
        let store = (engine.open)(&self.root)?;
        for (place, number) in contents(&*store, work)? {
            println!("found {place} {number}");
        }
        println!("opened");
        if self.once_open {
            dies_from_now();
        }
        if self.die_after.is_some() {
            write_until_death(&*store, work, self.first)?;
        }
        Ok(())
    }
}

fn write_until_death(store: &dyn Backend, work: Work, mut first: u64) -> io::Result<()> {
    let end = first + MOST_BATCHES;
    while first < end {
        let last = first + work.group_len(first) - 1;
        let mut group: Vec<_> = (first..=last)
            .map(|it| Write::from(work.batch(it)))
            .collect();
        println!("begin {first} {last}");
        store.write(&mut group);
        for (number, write) in (first..).zip(group) {
            let reached = match write.answer {
                Ok(Durability::Memory) => "memory",
                Ok(Durability::Written) => "written",
                Ok(Durability::Flushed) => "flushed",
                Err(error) => return Err(other(format!("batch {number}: {error}"))),
            };
            println!("wrote {number} {reached}");
        }
        first = last + 1;
    }
    Err(other(format!("alive after {MOST_BATCHES} batches")))
}

/// The number found at each place; scans and reads must agree on it, and so must the spaces.
fn contents(store: &dyn Backend, work: Work) -> io::Result<BTreeMap<usize, u64>> {
    let [objects, trees] = SPACES.map(|space| contents_of(store, work, space));
    let (objects, trees) = (objects?, trees?);
    if objects == trees {
        Ok(objects)
    } else {
        Err(other(format!(
            "batches change both spaces alike, and they hold {objects:?} and {trees:?}"
        )))
    }
}

fn contents_of(store: &dyn Backend, work: Work, space: Space) -> io::Result<BTreeMap<usize, u64>> {
    let mut scanned = BTreeMap::new();
    for item in Scan::new(store, space, Span::all()) {
        let Item::Found { at, bytes } = item.map_err(other)? else {
            return Err(other("something is damaged"));
        };
        let place = place_of(&at).ok_or_else(|| other(format!("{at:?} was never written")))?;
        let number = work.number_of(space, place, &bytes);
        let number = number.ok_or_else(|| other(format!("{place} holds what nobody wrote")))?;
        scanned.insert(place, number);
    }
    for place in 0..PLACES {
        let read = match store.read(space, &address(place)) {
            ReadOutcome::Absent => None,
            ReadOutcome::Found(bytes) => work.number_of(space, place, &bytes),
            outcome => return Err(other(format!("place {place} reads as {outcome:?}"))),
        };
        if read.as_ref() != scanned.get(&place) {
            return Err(other(format!("place {place} reads and scans differently")));
        }
    }
    Ok(scanned)
}

fn other(what: impl Display) -> io::Error {
    io::Error::other(what.to_string())
}
