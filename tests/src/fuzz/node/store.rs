//! The node's store: an ordered map that does what it is told, or fails in the ways that it may.

use std::collections::{BTreeMap, VecDeque};

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::node::{Event, Op};
use dynamo_proto::store::{
    Address, Batch, Command, Completion, Item, Page, ReadOutcome, ScanFailed, Space, WriteError,
};

use super::site;

type Content = BTreeMap<(Space, Address), Bytes>;

#[derive(Default)]
pub(super) struct Store {
    content: Content,
    /// What it held when the node last started.
    before: Content,
    outstanding: VecDeque<(Op, Completion)>,
    /// Completions that were given, or belong to an earlier boot.
    old: VecDeque<(Op, Completion)>,
}

/// So many completions are remembered.
const OLD: usize = 16;

impl Store {
    /// Carries a command out at once; what became of it is told later.
    pub(super) fn take(
        &mut self,
        op: Op,
        command: Command,
        bytes: &mut Unstructured<'_>,
    ) -> Result<()> {
        assert!(
            self.outstanding.iter().all(|(other, _)| *other != op),
            "{op:?} names two commands"
        );
        let completion = match command {
            Command::Read { space, at } => Completion::Read(self.read(space, at, bytes)?),
            Command::Write(batch) => Completion::Wrote(self.write(batch, bytes)?),
            Command::Scan { space, span, limit } => {
                let inside = |(there, at): &&(Space, Address)| *there == space && span.contains(at);
                let items = self.content.keys().filter(inside).map(|place| {
                    let (at, bytes) = (place.1.clone(), self.content[place].clone());
                    Ok(Item::Found { at, bytes })
                });
                match bytes.ratio(1, 16)? {
                    true => Completion::Scanned(Err(ScanFailed)),
                    false => Completion::Scanned(Page::fill(&span, limit, items)),
                }
            }
        };
        self.outstanding.push_back((op, completion));
        Ok(())
    }

    fn read(&self, space: Space, at: Address, bytes: &mut Unstructured<'_>) -> Result<ReadOutcome> {
        let found = |content: &Bytes| ReadOutcome::Found(content.clone());
        let right = self.content.get(&(space, at));
        let fault = if bytes.ratio(1, 8)? {
            bytes.int_in_range(1..=4)?
        } else {
            0
        };
        Ok(match (fault, right) {
            (1, _) => ReadOutcome::Failed,
            (2, Some(_)) => ReadOutcome::Corrupt,
            // One bit is wrong.
            (3, Some(content)) => {
                let mut content = content.to_vec();
                let at = bytes.choose_index(content.len())?;
                content[at] ^= 1 << bytes.int_in_range(0..=7)?;
                ReadOutcome::Found(content.into())
            }
            // What belongs elsewhere, perhaps.
            (4, Some(content)) => found(self.content.values().next().unwrap_or(content)),
            (_, Some(content)) => found(content),
            (_, None) => ReadOutcome::Absent,
        })
    }

    fn write(
        &mut self,
        batch: Batch,
        bytes: &mut Unstructured<'_>,
    ) -> Result<std::result::Result<Durability, WriteError>> {
        let (is_there, outcome) = if bytes.ratio(1, 8)? {
            match bytes.int_in_range(0..=3)? {
                0 => (false, Err(WriteError::Full)),
                1 => (bytes.arbitrary()?, Err(WriteError::Failed)),
                2 => (bytes.arbitrary()?, Err(WriteError::FlushFailed)),
                _ => (true, Ok(site::durability(bytes)?)),
            }
        } else {
            (true, Ok(batch.durability))
        };
        for change in batch.changes.into_iter().filter(|_| is_there) {
            let place = (change.space, change.at);
            match change.bytes {
                Some(content) => self.content.insert(place, content),
                None => self.content.remove(&place),
            };
        }
        Ok(outcome)
    }

    /// What became of some command that has not been told.
    pub(super) fn complete(
        &mut self,
        bytes: &mut Unstructured<'_>,
    ) -> Result<Option<(Op, Completion)>> {
        if self.outstanding.is_empty() {
            return Ok(None);
        }
        let at = bytes.choose_index(self.outstanding.len())?;
        let told = self.outstanding.remove(at).expect("chosen among them");
        self.remember(told.clone());
        Ok(Some(told))
    }

    pub(super) fn complete_next(&mut self) -> Option<(Op, Completion)> {
        self.outstanding.pop_front()
    }

    /// A completion that comes again, of another command, or of another kind of command.
    pub(super) fn invent(&mut self, bytes: &mut Unstructured<'_>) -> Result<Event> {
        let (mut op, completion) = match self.old.len() {
            0 => (Op(0), Completion::Read(ReadOutcome::Absent)),
            count => self.old[bytes.choose_index(count)?].clone(),
        };
        match bytes.int_in_range(0..=7)? {
            0 => op = Op(bytes.arbitrary()?),
            1 => {
                // The driver has lost track of its store.
                let kind = |completion: &Completion| matches!(completion, Completion::Read(_));
                let confused = |(_, other): &(Op, Completion)| kind(other) != kind(&completion);
                if let Some(at) = self.outstanding.iter().position(confused)
                    && let Some((other, _)) = self.outstanding.remove(at)
                {
                    op = other;
                }
            }
            _ => {}
        }
        Ok(Event::Stored { op, completion })
    }

    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// What the next boot of the node finds: what is there, what was there when the last one
    /// began, or nothing.
    pub(super) fn restart(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        match bytes.int_in_range(0..=3)? {
            0 => self.content.clear(),
            1 => self.content.clone_from(&self.before),
            _ => {}
        }
        Ok(())
    }

    /// The node starts anew: nothing is owed to it.
    pub(super) fn forget(&mut self) {
        self.before.clone_from(&self.content);
        for told in std::mem::take(&mut self.outstanding) {
            self.remember(told);
        }
    }

    fn remember(&mut self, told: (Op, Completion)) {
        self.old.push_back(told);
        if self.old.len() > OLD {
            self.old.pop_front();
        }
    }
}
