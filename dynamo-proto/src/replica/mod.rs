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
mod looks;
mod pace;
mod tasks;
mod work;

use core::time::Duration;

use alloc::vec::Vec;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::coordinate::{Requests, is_owner};
use crate::entropy::{Cell, Sum, Trees};
use crate::node::{Effect, Env, Notice, Reason, Slot, Slots, Start};
use crate::store::{
    Address, Batch, Change, Command, Completion, Item, Limit, Page, ReadOutcome, ScanFailed, Space,
    Span, WriteError,
};
use crate::version::{Height, Record, Siblings};
use crate::wire::{Fetched, Message, NotStored};
use crate::{Durability, Instant, Key, NodeId, Token};

pub(crate) use inventory::Inventory;
pub use inventory::{Held, HintLimits};
use keys::Keys;
pub(crate) use looks::{Lister, Looks, replicas};
use pace::Pace;
use tasks::{Applied, Tasks};
pub(crate) use tasks::{Asker, Reader, Taken, Task};
use work::Work;

/// What a command to the store was for.
enum Pending {
    /// Somebody wants to know what is there.
    Read {
        reader: Reader,
        at: Address,
        is_hint: bool,
    },
    /// A key's record is read, to be changed.
    Open(Slot),
    /// A key's record is written, to be so safe.
    Write {
        work: Slot,
        since: Instant,
        asked: Durability,
    },
    /// All that is held for others is counted.
    Count,
    /// What is known of the cluster is written down.
    Save,
    /// Something is looked through.
    Walk(Walker, Slot),
    /// A leaf of the node's trees is read.
    Leaf(Cell),
    /// Leaves are made anew.
    Mend(Vec<Cell>),
}

/// Who looks through something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walker {
    /// Whoever brings home what is held for others.
    Handoff,
    /// Whoever gets or gives up partitions.
    Moving,
    /// Whoever shows others what is here.
    Showing,
    /// Whoever compares this node's trees with what it has.
    Audit,
    /// Whoever compares what this node has with what others have.
    Exchange,
    /// Whoever compares leaves for others.
    Answer,
    /// Whoever lists keys.
    Listing,
}

/// What a command to the store found for somebody else than the replica.
pub(crate) enum Outcome {
    /// A read of this reader's.
    Read(Reader, Fetched),
    /// A stretch of what is here.
    Walked(Walker, Slot, Result<Page, ScanFailed>),
    /// What is known of the cluster is written down, or not.
    Saved(bool),
}

/// The keys that this node holds, as far as something is under way for them.
pub(crate) struct Replica {
    pending: Slots<Pending>,
    works: Slots<Work>,
    tasks: Tasks<Task>,
    applied: Tasks<Applied>,
    keys: Keys,
    pace: Pace,
    /// How safe this node's store has lately made what was to be safer still: nothing that it holds
    /// for others was ever counted as more.
    pub(crate) gives: Durability,
    pub(crate) inventory: Inventory,
    /// Whether records were kept, as this node's own, for which it is not on duty.
    pub(crate) has_strays: bool,
    /// Writes of clients that this node's store has kept by now.
    pub(crate) kept: Vec<Slot>,
    /// Digests of all that is the node's own.
    pub(crate) trees: Trees,
    /// Whether a record that could not be read was begun anew from what others sent, which may be
    /// less than was there.
    pub(crate) has_lost: bool,
    /// Of batches that others brought, which copies are of keys of which all has been seen and
    /// nothing is left.
    pub(crate) nothing: Vec<(Slot, u8, Key, Siblings)>,
    /// Of batches that came home, how each copy fared: for whoever counts them.
    pub(crate) taken: Vec<(Slot, u8, Taken)>,
}

/// What waits for the store may take one part in so many of the time that a request has.
const PATIENT: u32 = 4;

/// Most copies that are counted at a time.
const PAGE: Limit = Limit {
    items: 1000,
    bytes: 1 << 20,
};

impl Replica {
    pub(crate) fn new(me: NodeId) -> Self {
        Self {
            trees: Trees::new(me),
            pending: Slots::new(),
            works: Slots::new(),
            tasks: Tasks::new(),
            applied: Tasks::new(),
            keys: Keys::default(),
            pace: Pace::default(),
            gives: Durability::Flushed,
            inventory: Inventory::default(),
            has_strays: false,
            kept: Vec::new(),
            has_lost: false,
            nothing: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// How much is under way: changes that wait, and commands to the store.
    pub(crate) fn load(&self) -> usize {
        self.tasks.len() + self.applied.len() + self.pending.len()
    }

    /// Whether there is so much to do that a new request had better be refused: what others ask, for
    /// requests that were taken on before, goes first, and what the store does too late for anybody
    /// need not be begun.
    pub(crate) fn is_behind(&self, timeout: Duration, env: &Env<'_>) -> bool {
        let most = env
            .config
            .capacity
            .own()
            .min(self.pace.within(timeout / PATIENT));
        planted!(CapacityIgnored ? self.is_full(env); self.load() >= most)
    }

    /// Whether the store has fallen so far behind that nothing may ask it for more.
    pub(crate) fn is_full(&self, env: &Env<'_>) -> bool {
        self.load() >= env.config.capacity.load()
    }

    /// Whether changes of that key are under way, so that what is stored may not be safe yet.
    pub(crate) fn is_changing(&self, token: Token, is_hint: bool) -> bool {
        self.keys.find(token, is_hint).is_some()
    }

    /// Whether anything that is held for others is being changed.
    pub(crate) fn is_changing_hints(&self) -> bool {
        self.works.iter().any(|work| work.is_hint)
    }

    /// Counts what is held for others since before this start.
    pub(crate) fn count(&mut self, env: &mut Env<'_>) {
        self.scan(Pending::Count, Space::Hints, Span::all(), PAGE, env);
    }

    /// Looks through a stretch.
    pub(crate) fn walk(
        &mut self,
        (walker, slot): (Walker, Slot),
        span: Span,
        limit: Limit,
        env: &mut Env<'_>,
    ) {
        let space = space(walker == Walker::Handoff);
        self.scan(Pending::Walk(walker, slot), space, span, limit, env);
    }

    /// Looks through a stretch of what is kept of the trees.
    pub(crate) fn walk_trees(
        &mut self,
        (walker, slot): (Walker, Slot),
        span: Span,
        limit: Limit,
        env: &mut Env<'_>,
    ) {
        let pending = Pending::Walk(walker, slot);
        self.scan(pending, Space::Trees, span, limit, env);
    }

    /// Makes leaves anew, and changes what else is in the trees' space. Nobody waits for it.
    pub(crate) fn mend(
        &mut self,
        leaves: Vec<(Cell, Sum)>,
        others: Vec<(Address, Option<Bytes>)>,
        env: &mut Env<'_>,
    ) {
        let other = |(at, bytes)| Change {
            space: Space::Trees,
            at,
            bytes,
        };
        let mut changes: SmallVec<[Change; 2]> = others.into_iter().map(other).collect();
        let cells: Vec<Cell> = leaves.iter().map(|(cell, _)| *cell).collect();
        for (cell, sum) in leaves {
            changes.extend(self.trees.mend(cell, sum));
        }
        if changes.is_empty() {
            return;
        }
        let op = env.mask.op(self.pending.insert(Pending::Mend(cells)));
        let batch = Batch {
            changes,
            durability: Durability::Memory, // what is lost is mended again
            may_use_reserve: true,
        };
        env.store(op, Command::Write(batch));
    }

    /// More boots are retired: what is under way has keys as they were before that.
    pub(crate) fn retired(&mut self) {
        for slot in self.works.slots().collect::<Vec<_>>() {
            if let Some(work) = self.works.get_mut(slot).filter(|work| !work.is_hint) {
                work.outdate();
            }
        }
    }

    /// Whether any write that was begun by then is not stored yet.
    pub(crate) fn is_writing_since(&self, then: Instant) -> bool {
        self.pending.iter().any(|pending| match pending {
            Pending::Write { since, .. } => *since <= then,
            _ => false,
        })
    }

    fn read_leaf(&mut self, cell: Cell, env: &mut Env<'_>) {
        if let Some(shape) = self.trees.shape() {
            let op = env.mask.op(self.pending.insert(Pending::Leaf(cell)));
            let at = shape.place(cell);
            let space = Space::Trees;
            env.store(op, Command::Read { space, at });
        }
    }

    fn scan(
        &mut self,
        pending: Pending,
        space: Space,
        span: Span,
        limit: Limit,
        env: &mut Env<'_>,
    ) {
        let op = env.mask.op(self.pending.insert(pending));
        env.store(op, Command::Scan { space, span, limit });
    }

    /// Asks the store what is there: in the node's own records, or in those that it holds for
    /// others.
    pub(crate) fn fetch(&mut self, key: &Key, is_hint: bool, reader: Reader, env: &mut Env<'_>) {
        let at = Address::of_object(key.token(), key.encoded());
        let pending = Pending::Read {
            reader,
            at: at.clone(),
            is_hint,
        };
        self.read(pending, is_hint, at, env);
    }

    /// Writes down what is known of the cluster.
    pub(crate) fn save(&mut self, bytes: Bytes, env: &mut Env<'_>) {
        let op = env.mask.op(self.pending.insert(Pending::Save));
        let change = Change {
            space: Start::SPACE,
            at: Start::place(),
            bytes: Some(bytes),
        };
        let batch = Batch {
            changes: [change].into_iter().collect(),
            durability: Durability::Flushed,
            may_use_reserve: true,
        };
        env.store(op, Command::Write(batch));
    }

    /// Queues a change.
    pub(crate) fn submit(&mut self, key: &Key, task: Task, env: &mut Env<'_>) {
        planted!(AckBeforeStored => if let Task::Merge {
            asker: Asker::Peer { from, ticket, .. }, durability, ..
        } = &task {
            env.send(*from, Message::Stored { ticket: *ticket, durability: *durability });
        });
        let (token, is_hint) = (key.token(), task.is_hint());
        if let Some(slot) = planted!(ChangesOverlap ? None; self.keys.find(token, is_hint))
            && let Some(work) = self.works.get_mut(slot)
        {
            return self.tasks.push(&mut work.waiting, task);
        }
        let n = env.view.buckets.of(key).n;
        let cell = (!is_hint).then(|| self.trees.cell(token, n)).flatten();
        if let Some(cell) = cell
            && self.trees.want(cell)
        {
            self.read_leaf(cell, env);
        }
        let mut work = Work::new(key, cell, is_hint);
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
        let pending = self.pending.remove(slot)?;
        self.pace.measure(env.mono(), self.pending.len());
        match (pending, completion) {
            (
                Pending::Read {
                    reader,
                    at,
                    is_hint,
                },
                Completion::Read(outcome),
            ) => {
                let mut record = Record::default();
                let opened = open(&mut record, &at, outcome, env);
                if !is_hint && opened.is_ok() {
                    raise(&at, &mut record, env);
                }
                let outcome = match opened {
                    Ok(_) if record.siblings().is_absent() => never_heard(&at, env),
                    Ok(_) => Fetched::Found(record.into_siblings()),
                    Err(Closed::Damaged) => Fetched::Damaged,
                    Err(Closed::Failed) => Fetched::Failed,
                };
                match reader {
                    Reader::Peer {
                        from,
                        ticket,
                        arrived,
                    } => {
                        env.served(arrived);
                        env.send(from, Message::Fetched { ticket, outcome });
                    }
                    Reader::Held { owner } => self.bring_up_to_date(owner, &at, outcome, env),
                    Reader::Request(_) | Reader::Spread(_) | Reader::Keep(_) => {
                        return Some(Outcome::Read(reader, outcome));
                    }
                }
            }
            (Pending::Open(work), Completion::Read(outcome)) => {
                self.opened(work, outcome, requests, env);
            }
            (Pending::Write { work, since, asked }, Completion::Wrote(result)) => {
                match result {
                    Ok(has) if has < asked => self.gives = has,
                    Ok(Durability::Flushed) => self.gives = Durability::Flushed,
                    Ok(_) | Err(_) => {}
                }
                let took = env.mono().since(since);
                env.health.wrote(took, env.now.mono);
                self.wrote(work, result, requests, env);
            }
            (Pending::Leaf(cell), Completion::Read(outcome)) => {
                self.trees.read(cell, &outcome);
                self.pass_on(cell, requests, env);
            }
            (Pending::Save | Pending::Mend(_), Completion::Wrote(Err(WriteError::FlushFailed))) => {
                env.effects.push(Effect::Halt(Reason::FlushFailed));
            }
            (Pending::Mend(cells), Completion::Wrote(result)) => {
                for cell in cells {
                    self.leaf_wrote(cell, result, requests, env);
                }
            }
            (Pending::Save, Completion::Wrote(result)) => {
                return Some(Outcome::Saved(result.is_ok()));
            }
            (Pending::Count, Completion::Scanned(page)) => self.counted(page, env),
            (Pending::Walk(walker, slot), Completion::Scanned(page)) => {
                return Some(Outcome::Walked(walker, slot, page));
            }
            // A driver that answers a read with a write has lost track of its store.
            (_, Completion::Read(_) | Completion::Wrote(_) | Completion::Scanned(_)) => {
                env.effects.push(Effect::Halt(Reason::StoreConfused));
            }
        }
        None
    }

    /// What is held for a node cannot be sent to it. If it is this node's own too, its record may have
    /// become shorter since.
    pub(crate) fn shorten(&mut self, key: &Key, owner: NodeId, env: &mut Env<'_>) {
        if is_owner(key, env) && !self.is_changing(key.token(), false) {
            self.fetch(key, false, Reader::Held { owner }, env);
        }
    }

    fn bring_up_to_date(
        &mut self,
        owner: NodeId,
        at: &Address,
        outcome: Fetched,
        env: &mut Env<'_>,
    ) {
        if let (Fetched::Found(siblings), Ok(key)) = (outcome, Key::decode(at.name.clone())) {
            let merge = Task::Merge {
                asker: Asker::Nobody,
                durability: Durability::Memory, // at least the bucket's
                held_for: Some(owner),
                is_repair: true,
                siblings,
            };
            self.submit(&key, merge, env);
        }
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
            Some(rest) => self.scan(Pending::Count, Space::Hints, rest, PAGE, env),
            None => self.inventory.is_complete = true,
        }
    }
}

/// That a node knows nothing of a key says something only where it is on duty for it: who is not any
/// more may have given it up.
fn never_heard(at: &Address, env: &Env<'_>) -> Fetched {
    let is_vote = Key::decode(at.name.clone()).is_ok_and(|key| {
        let n = env.view.buckets.of(&key).n;
        let view = env.view;
        !view.was_moved || view.is_on_duty(env.me(), key.token(), n.into())
    });
    match planted!(GoneIsAbsent ? true; is_vote) {
        true => Fetched::Absent,
        false => Fetched::Failed,
    }
}

/// What has been seen of a key besides what its record says, if this node is on duty for it.
fn raise(at: &Address, record: &mut Record, env: &Env<'_>) {
    if env.earned > Height(0)
        && let Ok(key) = Key::decode(at.name.clone())
    {
        let n = env.view.buckets.of(&key).n;
        env.raise(key.token(), n, record.siblings_mut());
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
