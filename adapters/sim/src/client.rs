//! What clients remember and ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::NodeId;
use dynamo_proto::node::{ClientRequest, Condition, Mode, Operation, Options, Request};
use dynamo_proto::version::{Content, RequestId};

use crate::dice::Dice;
use crate::machine;
use crate::oracle::{Manner, Oracle, Seen};
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
        (again.request.id, again.request.is_retry) = (again.id, false);
        again
    }
}

impl Client {
    pub(crate) fn remember(&mut self, key: usize, memory: Memory) {
        let before = self.memories.remove(&key).map(|(last, _)| last);
        self.memories.insert(key, (memory, before));
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
        most_bytes: usize,
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
            let id = RequestId(u128::from(dice.number()) | 1 << 127);
            let operation = Operation::Get {
                head: dice.is_one_in(10),
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
                most_bytes as u64
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
            node,
            key,
            request: request.clone(),
            seen,
        };
        (request, Some(attempt))
    }
}
