//! The keys that a node holds: reading them, and changing them one change after the other.
//!
//! ```text
//!   a key:  Opening ---- read ----> Writing ---- stored ----> answered
//!              ^                                    |
//!              +------- more changes came ----------+
//! ```
//!
//! A key's record is read, all changes that wait for it are applied, and the result is stored in one
//! write; then those who asked are answered. Changes of one key happen one after the other, those
//! that wait together in one write; other keys never wait. Nothing is answered before the store has
//! said how safe it is. A read needs no turn: the store keeps the order in which it was asked.
//!
//! Records of keys that this node is on duty for are its own. Those of others are held for their
//! owners in a space apart, until the owners have them; how much is held is bounded, and what would
//! go beyond is refused.

mod inventory;
mod keys;
mod tasks;
mod work;

use crate::coordinate::Requests;
use crate::node::{Effect, Env, Notice, Reason, Slot, Slots};
use crate::store::{
    Address, Command, Completion, Item, Limit, Page, ReadOutcome, ScanFailed, Space, Span,
    WriteError,
};
use crate::version::Record;
use crate::wire::{Fetched, Message, NotStored};
use crate::{Instant, Key, Token};

pub(crate) use inventory::Inventory;
pub use inventory::{Held, HintLimits};
use keys::Keys;
use tasks::{Applied, Tasks};
pub(crate) use tasks::{Asker, Reader, Taken, Task};
use work::Work;

/// What a command to the store was for.
enum Pending {
    /// Somebody wants to know what is there.
    Read { reader: Reader, at: Address },
    /// A key's record is read, to be changed.
    Open(Slot),
    /// A key's record is written.
    Write { work: Slot, since: Instant },
    /// All that is held for others is counted.
    Count,
    /// What is held for others is looked through, to bring it home.
    Walk(Slot),
}

/// What a command to the store found for somebody else than the replica.
pub(crate) enum Outcome {
    /// A read of this reader's.
    Read(Reader, Fetched),
    /// A stretch of what is held for others.
    Walked(Slot, Result<Page, ScanFailed>),
}

/// The keys that this node holds, as far as something is under way for them.
pub(crate) struct Replica {
    pending: Slots<Pending>,
    works: Slots<Work>,
    tasks: Tasks<Task>,
    applied: Tasks<Applied>,
    keys: Keys,
    pub(crate) inventory: Inventory,
    /// Writes of clients that this node's store has kept by now.
    pub(crate) kept: alloc::vec::Vec<Slot>,
    /// Of batches that came home, how each copy fared: for whoever counts them.
    pub(crate) taken: alloc::vec::Vec<(Slot, u8, Taken)>,
}

/// Most copies that are counted at a time.
const PAGE: Limit = Limit {
    items: 1000,
    bytes: 1 << 20,
};

impl Replica {
    pub(crate) fn new() -> Self {
        Self {
            pending: Slots::new(),
            works: Slots::new(),
            tasks: Tasks::new(),
            applied: Tasks::new(),
            keys: Keys::default(),
            inventory: Inventory::default(),
            kept: alloc::vec::Vec::new(),
            taken: alloc::vec::Vec::new(),
        }
    }

    /// How much is under way: changes that wait, and commands to the store.
    pub(crate) fn load(&self) -> usize {
        self.tasks.len() + self.applied.len() + self.pending.len()
    }

    /// Whether the store has fallen so far behind that no request may ask it for more.
    pub(crate) fn is_full(&self, env: &Env<'_>) -> bool {
        self.load() >= env.config.capacity.load()
    }

    /// Whether changes of that key are under way, so that what is stored may not be safe yet.
    pub(crate) fn is_changing(&self, token: Token, is_hint: bool) -> bool {
        self.keys.find(token, is_hint).is_some()
    }

    /// Counts what is held for others since before this start.
    pub(crate) fn count(&mut self, env: &mut Env<'_>) {
        self.scan(Pending::Count, Span::all(), PAGE, env);
    }

    /// Looks through what is held for others, from there on.
    pub(crate) fn walk(&mut self, walk: Slot, span: Span, limit: Limit, env: &mut Env<'_>) {
        self.scan(Pending::Walk(walk), span, limit, env);
    }

    fn scan(&mut self, pending: Pending, span: Span, limit: Limit, env: &mut Env<'_>) {
        let op = env.mask.op(self.pending.insert(pending));
        let space = Space::Hints;
        env.store(op, Command::Scan { space, span, limit });
    }

    /// Asks the store what is there: in the node's own records, or in those that it holds for
    /// others.
    pub(crate) fn fetch(&mut self, key: &Key, is_hint: bool, reader: Reader, env: &mut Env<'_>) {
        let at = Address::of_object(key.token(), key.encoded());
        let pending = Pending::Read {
            reader,
            at: at.clone(),
        };
        self.read(pending, is_hint, at, env);
    }

    /// Queues a change.
    pub(crate) fn submit(&mut self, key: &Key, task: Task, env: &mut Env<'_>) {
        planted!(AckBeforeStored => if let Task::Merge {
            asker: Asker::Peer { from, ticket }, durability, ..
        } = &task {
            env.send(*from, Message::Stored { ticket: *ticket, durability: *durability });
        });
        let (token, is_hint) = (key.token(), task.is_hint());
        if let Some(slot) = planted!(ChangesOverlap ? None; self.keys.find(token, is_hint))
            && let Some(work) = self.works.get_mut(slot)
        {
            return self.tasks.push(&mut work.waiting, task);
        }
        let mut work = Work::new(key, is_hint);
        self.tasks.push(&mut work.waiting, task);
        let at = work.at.clone();
        let slot = self.works.insert(work);
        self.keys.insert(token, is_hint, slot);
        self.read(Pending::Open(slot), is_hint, at, env);
    }

    fn read(&mut self, pending: Pending, is_hint: bool, at: Address, env: &mut Env<'_>) {
        let op = env.mask.op(self.pending.insert(pending));
        let space = space(is_hint);
        env.store(op, Command::Read { space, at });
    }

    /// A command to the store completed. What it found that is not the replica's to deal with is
    /// returned.
    pub(crate) fn stored(
        &mut self,
        slot: Slot,
        completion: Completion,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) -> Option<Outcome> {
        match (self.pending.remove(slot)?, completion) {
            (Pending::Read { reader, at }, Completion::Read(outcome)) => {
                let mut record = Record::default();
                let outcome = match open(&mut record, &at, outcome, env) {
                    Ok(_) if record.siblings().is_absent() => Fetched::Absent,
                    Ok(_) => Fetched::Found(record.into_siblings()),
                    Err(Closed::Damaged) => Fetched::Damaged,
                    Err(Closed::Failed) => Fetched::Failed,
                };
                if let Reader::Peer { from, ticket } = reader {
                    env.send(from, Message::Fetched { ticket, outcome });
                    return None;
                }
                return Some(Outcome::Read(reader, outcome));
            }
            (Pending::Open(work), Completion::Read(outcome)) => {
                self.opened(work, outcome, requests, env);
            }
            (Pending::Write { work, since }, Completion::Wrote(result)) => {
                let took = env.mono().since(since);
                env.health.wrote(took, env.now.mono);
                self.wrote(work, result, requests, env);
            }
            (Pending::Count, Completion::Scanned(page)) => self.counted(page, env),
            (Pending::Walk(walk), Completion::Scanned(page)) => {
                return Some(Outcome::Walked(walk, page));
            }
            // A driver that answers a read with a write has lost track of its store.
            (_, Completion::Read(_) | Completion::Wrote(_) | Completion::Scanned(_)) => {
                env.effects.push(Effect::Halt(Reason::StoreConfused));
            }
        }
        None
    }

    fn counted(&mut self, page: Result<Page, ScanFailed>, env: &mut Env<'_>) {
        let Ok(page) = page else {
            return env.effects.push(Effect::Halt(Reason::StoreFailed));
        };
        for item in page.items {
            if let Item::Found { at, bytes } = item {
                let len = at.name.len() + bytes.len();
                match Record::decode(&at, bytes) {
                    Ok(record) => self.inventory.add(record.owners(), len),
                    Err(_) => env.notify(Notice::Damaged),
                }
            }
        }
        match page.rest {
            Some(rest) => self.scan(Pending::Count, rest, PAGE, env),
            None => self.inventory.is_complete = true,
        }
    }
}

fn space(is_hint: bool) -> Space {
    if is_hint {
        Space::Hints
    } else {
        Space::Objects
    }
}

/// Why there is no record to work with.
enum Closed {
    Damaged,
    Failed,
}

/// Reads a record in place. Returns how many bytes it takes, its name included.
fn open(
    record: &mut Record,
    at: &Address,
    outcome: ReadOutcome,
    env: &mut Env<'_>,
) -> Result<usize, Closed> {
    let is_sound = match outcome {
        ReadOutcome::Found(bytes) => {
            let len = at.name.len() + bytes.len();
            if record.read(at, bytes).is_ok() {
                return Ok(len);
            }
            false
        }
        ReadOutcome::Absent => true,
        ReadOutcome::Corrupt => false,
        ReadOutcome::Failed => return Err(Closed::Failed),
    };
    *record = Record::default();
    if is_sound {
        return Ok(0);
    }
    env.notify(Notice::Damaged);
    Err(Closed::Damaged)
}

fn refusal(error: WriteError) -> NotStored {
    match error {
        WriteError::Full => NotStored::Full,
        WriteError::Failed | WriteError::FlushFailed => NotStored::Failed,
    }
}
