//! What a node asks its store, and what that holds.

use bytes::Bytes;
use dynamo_proto::Key;
use dynamo_proto::store::{Address, Batch, Command, ReadOutcome, Space, WriteError};
use dynamo_proto::version::Record;

use super::{Words, name, safe};

impl Words {
    pub(in crate::script) fn command(&mut self, command: &Command) -> String {
        match command {
            Command::Read { space, at } => format!("read {}", place(*space, at)),
            Command::Scan {
                space: Space::Objects,
                limit,
                ..
            } => format!("look through {} of its own", limit.items),
            Command::Scan { .. } => "look through what is held for others".into(),
            Command::Write(batch) if batch.changes.is_empty() => {
                format!("write nothing, {}", safe(batch.durability))
            }
            Command::Write(Batch {
                changes,
                durability,
                ..
            }) => {
                let changes = changes.iter().filter(|it| it.space != Space::Trees);
                let changes = changes.map(|change| match &change.bytes {
                    Some(bytes) => format!(
                        "write {} = {}",
                        place(change.space, &change.at),
                        self.record(&change.at, bytes)
                    ),
                    None => format!("remove {}", place(change.space, &change.at)),
                });
                let changes: Vec<_> = changes.collect();
                format!("{}, {}", changes.join(" and "), safe(*durability))
            }
        }
    }

    /// What became of a read.
    pub(in crate::script) fn outcome(&mut self, at: &Address, outcome: &ReadOutcome) -> String {
        match outcome {
            ReadOutcome::Found(bytes) => self.record(at, bytes),
            ReadOutcome::Absent => "nothing".into(),
            ReadOutcome::Corrupt => "damaged".into(),
            ReadOutcome::Failed => "cannot look".into(),
        }
    }

    /// What a store holds, without the node's note.
    pub(in crate::script) fn record(&mut self, at: &Address, bytes: &Bytes) -> String {
        match Record::decode(at, bytes.clone()) {
            Ok(record) => {
                let owners: Vec<_> = record
                    .owners()
                    .iter()
                    .map(|id| self.letter(*id).to_string())
                    .collect();
                let held = if owners.is_empty() {
                    String::new()
                } else {
                    format!(" for {}", owners.join(", "))
                };
                self.siblings(record.siblings()) + &held
            }
            Err(_) => "damaged".into(),
        }
    }
}

/// The key whose record is there.
pub(in crate::script) fn place(space: Space, at: &Address) -> String {
    if space == Space::Trees {
        return "its trees".into();
    }
    let key = match Key::decode(at.name.clone()) {
        Ok(key) => name(&key),
        Err(_) => "what is no key".into(),
    };
    match space {
        Space::Hints => format!("held {key}"),
        Space::Objects | Space::Trees | Space::Meta => key,
    }
}

pub(in crate::script) fn unwritten(error: WriteError) -> &'static str {
    match error {
        WriteError::Full => "full",
        WriteError::Failed => "failed",
        WriteError::FlushFailed => "flush failed",
    }
}
