//! A node's store: memory that outlives the node, and is in a mood.

use std::collections::VecDeque;

use bytes::Bytes;
use dynamo_proto::node::Op;
use dynamo_proto::store::{
    Address, Batch, Change, Command, Completion, ReadOutcome, ScanFailed, Space, WriteError,
};
use dynamo_proto::{Durability, Key};
use dynamo_storage::{Backend, carry_out};
use dynamo_storage_memory::Memory;

/// How a store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As safe as it was asked to be.
    Works,
    /// No room for anything.
    Full,
    /// No room but for what may use the reserve.
    Reserved,
    /// Every write fails, and leaves nothing.
    Fails,
    /// Every write fails, and is there nevertheless.
    FailsAfterWriting,
    /// No flush succeeds.
    FailsToFlush,
    /// Nothing can be looked at.
    Unreadable,
    /// No safer than memory is.
    Weak,
}

pub(super) struct Disk {
    memory: Memory,
    pub(super) mood: Mood,
    /// Whether commands wait.
    pub(super) holds: bool,
    pub(super) waiting: VecDeque<(Op, Command)>,
}

impl Mood {
    pub(super) fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "works" => Self::Works,
            "full" => Self::Full,
            "reserved" => Self::Reserved,
            "fails" => Self::Fails,
            "fails-after-writing" => Self::FailsAfterWriting,
            "fails-to-flush" => Self::FailsToFlush,
            "unreadable" => Self::Unreadable,
            "weak" => Self::Weak,
            _ => return Err(format!("no such mood of a store: {word}")),
        })
    }
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            memory: Memory::new(),
            mood: Mood::Works,
            holds: false,
            waiting: VecDeque::new(),
        }
    }

    /// Whatever the mood.
    pub(super) fn carry_out_quietly(&self, command: Command) -> Completion {
        carry_out(&self.memory, command)
    }

    pub(super) fn carry_out(&self, command: Command) -> Completion {
        let failed = |error| Completion::Wrote(Err(error));
        match (&command, self.mood) {
            (Command::Read { .. }, Mood::Unreadable) => Completion::Read(ReadOutcome::Failed),
            (Command::Scan { .. }, Mood::Unreadable) => Completion::Scanned(Err(ScanFailed)),
            (Command::Read { .. } | Command::Scan { .. }, _) | (Command::Write(_), Mood::Weak) => {
                carry_out(&self.memory, command)
            }
            (Command::Write(batch), Mood::Works | Mood::Unreadable) => {
                let asked = batch.durability;
                carry_out(&self.memory, command);
                Completion::Wrote(Ok(asked))
            }
            (Command::Write(batch), Mood::Reserved) if batch.may_use_reserve => {
                let asked = batch.durability;
                carry_out(&self.memory, command);
                Completion::Wrote(Ok(asked))
            }
            (Command::Write(_), Mood::Full | Mood::Reserved) => failed(WriteError::Full),
            (Command::Write(_), Mood::Fails) => failed(WriteError::Failed),
            (Command::Write(_), Mood::FailsAfterWriting) => {
                carry_out(&self.memory, command);
                failed(WriteError::Failed)
            }
            (Command::Write(_), Mood::FailsToFlush) => failed(WriteError::FlushFailed),
        }
    }

    /// What is at a key's place, whatever the mood.
    pub(super) fn look(&self, key: &Key) -> (Address, Option<Bytes>) {
        let at = Address::of_object(key.token(), key.encoded());
        match self.memory.read(Space::Objects, &at) {
            ReadOutcome::Found(bytes) => (at, Some(bytes)),
            ReadOutcome::Absent | ReadOutcome::Corrupt | ReadOutcome::Failed => (at, None),
        }
    }

    /// Flips a bit of what is at a key's place.
    pub(super) fn damage(&mut self, key: &Key) -> Result<(), String> {
        let (at, bytes) = self.look(key);
        let mut bytes = bytes.ok_or("there is nothing to damage")?.to_vec();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        let change = Change {
            space: Space::Objects,
            at,
            bytes: Some(bytes.into()),
        };
        let batch = Batch {
            changes: [change].into_iter().collect(),
            durability: Durability::Memory,
            may_use_reserve: false,
        };
        carry_out(&self.memory, Command::Write(batch));
        Ok(())
    }

    pub(super) fn wipe(&mut self) {
        self.memory = Memory::new();
    }
}
