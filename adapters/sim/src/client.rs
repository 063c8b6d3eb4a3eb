//! What clients remember and ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::NodeId;
use dynamo_proto::node::{ClientRequest, Condition, Mode, Operation, Options, Request};
use dynamo_proto::version::{Content, RequestId};

use crate::dice::Dice;
use crate::machine;
use crate::oracle::{Deed, Manner, Oracle, Seen};
use crate::scenario::Action;

/// What a client got with a read or a write.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) seen: Seen,
    pub(crate) sealed: Bytes,
    pub(crate) fastest: Option<NodeId>,
}

/// One client: it waits for each answer before it asks again.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) waits_for: Option<ClientRequest>,
    /// A write of which it does not know what became.
    pub(crate) unsure: Option<Attempt>,
    /// By key: the last thing it got, and the one before.
    memories: BTreeMap<usize, (Memory, Option<Memory>)>,
    /// By key: the last write of which it got no context, and its receipt.
    receipts: BTreeMap<usize, (RequestId, Bytes)>,
}

/// A request under way, as its client sees it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) client: usize,
    pub(crate) node: usize,
    pub(crate) key: usize,
    pub(crate) at: Duration,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// Who waits for the answer.
    pub(crate) asker: Asker,
    /// The write, if it is one.
    pub(crate) write: Option<Attempt>,
    /// What the answer must have seen: of a read in a session, all that its client had.
    pub(crate) session: Option<Demand>,
}

/// What a client has seen, and the write of which it has nothing but a receipt.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) seen: Option<Seen>,
    pub(crate) own: Option<RequestId>,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A client that does what is planned.
    Planned,
    /// Nobody any more.
    Gone,
    /// One of a surge.
    Surging,
    /// Whoever asks for everything once more when all is well.
    Last,
}

/// A write as it was asked for, to be asked for again.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) id: RequestId,
    /// When it was asked for first.
    pub(crate) at: Duration,
    pub(crate) node: usize,
    pub(crate) key: usize,
    pub(crate) request: Request,
    /// What its client had seen.
    seen: Option<Seen>,
}

impl Attempt {
    pub(crate) fn is_delete(&self) -> bool {
        matches!(&self.request.operation, Operation::Put { content, .. } if content.is_tombstone())
    }

    /// The same again, for who must be told that it is.
    pub(crate) fn retried(&self) -> Self {
        let mut again = self.clone();
        again.request.is_retry = true;
        again
    }

    /// Another write of the same.
    pub(crate) fn redone(&self, oracle: &mut Oracle, now: Duration) -> Self {
        let mut again = self.clone();
        again.id = oracle.invoke(self.key, self.seen.as_ref(), now);
        again.at = now;
        oracle.does_as(again.id, self.id);
        (again.request.id, again.request.is_retry) = (again.id, false);
        again.request.options.only_here = false;
        again
    }
}

/// How long values are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// If they are all alike.
    pub(crate) usual: Option<usize>,
    /// The longest that may be written.
    pub(crate) most: usize,
}

/// One read in so many is of a session.
const SESSIONS: u64 = 4;

/// Every value ends with the name of its write.
const ID_BYTES: usize = 16;

impl Client {
    pub(crate) fn remember(&mut self, key: usize, memory: Memory) {
        let before = self.memories.remove(&key).map(|(last, _)| last);
        self.memories.insert(key, (memory, before));
        self.receipts.remove(&key);
    }

    /// It has written something that it may not supersede.
    pub(crate) fn keep_receipt(&mut self, key: usize, id: RequestId, receipt: Bytes) {
        self.receipts.insert(key, (id, receipt));
    }

    /// What it has seen and written of a key.
    pub(crate) fn demand(&self, key: usize) -> Demand {
        Demand {
            seen: self.seen(key).cloned(),
            own: self.receipts.get(&key).map(|(id, _)| *id),
        }
    }

    /// What it demands of a read in a session.
    fn demands(&self, key: usize) -> Vec<Bytes> {
        let memory = self.memories.get(&key).map(|(last, _)| &last.sealed);
        let receipt = self.receipts.get(&key).map(|(_, receipt)| receipt);
        memory.into_iter().chain(receipt).cloned().collect()
    }

    /// What it has seen of a key so far.
    pub(crate) fn seen(&self, key: usize) -> Option<&Seen> {
        self.memories.get(&key).map(|(last, _)| &last.seen)
    }

    /// The request that the action makes of what the client remembers.
    pub(crate) fn ask(
        &self,
        action: Action,
        (node, key): (usize, usize),
        sizes: Sizes,
        oracle: &mut Oracle,
        now: Duration,
        dice: &mut Dice,
    ) -> (Request, Option<Attempt>) {
        let manner = oracle.manner(key);
        let (last, before) = match self.memories.get(&key) {
            Some((last, before)) => (Some(last), before.as_ref()),
            None => (None, None),
        };
        let memories: Vec<&Memory> = match action {
            Action::Get | Action::Blind | Action::Retry | Action::Redo => Vec::new(),
            Action::PutStale => before.into_iter().collect(),
            Action::PutBoth => before.into_iter().chain(last).collect(),
            Action::Put | Action::Delete | Action::Oversized => last.into_iter().collect(),
        };
        let options = Options::default();
        if action == Action::Get {
            let number = dice.number();
            let id = RequestId(u128::from(number) | 1 << 127);
            let is_in_session = manner == Manner::Causal && number.is_multiple_of(SESSIONS);
            let operation = Operation::Get {
                head: dice.is_one_in(10),
                seen: match is_in_session {
                    true => self.demands(key),
                    false => Vec::new(),
                },
            };
            return (
                Request {
                    id,
                    is_retry: false,
                    key: machine::key(key, manner),
                    operation,
                    options,
                },
                None,
            );
        }
        if let Some(deed) = Deed::draw(manner, action, dice) {
            let id = oracle.invoke(key, None, now);
            oracle.does(id, deed);
            let request = Request {
                id,
                is_retry: false,
                key: machine::key(key, manner),
                operation: Operation::Update {
                    fastest: None,
                    update: deed.update(),
                    context: None,
                },
                options,
            };
            let attempt = Attempt {
                id,
                node,
                key,
                request: request.clone(),
                seen: None,
                at: now,
            };
            return (request, Some(attempt));
        }
        let (mode, seen) = if manner == Manner::Overwrite {
            (Mode::Overwrite, None)
        } else if action == Action::Blind {
            (Mode::Blind, None)
        } else {
            let contexts = memories
                .iter()
                .map(|memory| memory.sealed.clone())
                .collect();
            let mut seen = Seen::default();
            memories.iter().for_each(|memory| seen.add(&memory.seen));
            (Mode::Context(contexts), Some(seen))
        };
        let id = oracle.invoke(key, seen.as_ref(), now);
        let content = if action == Action::Delete {
            Content::Tombstone
        } else {
            let len = if action == Action::Oversized {
                sizes.most as u64
            } else if let Some(bytes) = sizes.usual {
                bytes.saturating_sub(ID_BYTES) as u64
            } else if dice.is_one_in(20) {
                dice.below(5000)
            } else {
                dice.below(50)
            };
            let mut body = vec![0; len as usize];
            body.extend_from_slice(&id.0.to_be_bytes());
            Content::plain(body)
        };
        let fastest = last.and_then(|memory| memory.fastest);
        let operation = Operation::Put {
            fastest,
            mode,
            content,
            condition: Condition::None,
        };
        let request = Request {
            id,
            is_retry: false,
            key: machine::key(key, manner),
            operation,
            options,
        };
        let attempt = Attempt {
            id,
            at: now,
            node,
            key,
            request: request.clone(),
            seen,
        };
        (request, Some(attempt))
    }
}
