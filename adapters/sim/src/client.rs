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
    /// The write, if it is one.
    pub(crate) write: Option<RequestId>,
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
        key: usize,
        oracle: &mut Oracle,
        now: Duration,
        dice: &mut Dice,
    ) -> (Request, Option<RequestId>) {
        let manner = oracle.manner(key);
        let (last, before) = match self.memories.get(&key) {
            Some((last, before)) => (Some(last), before.as_ref()),
            None => (None, None),
        };
        let memories: Vec<&Memory> = match action {
            Action::Get | Action::Blind => Vec::new(),
            Action::PutStale => before.into_iter().collect(),
            Action::PutBoth => before.into_iter().chain(last).collect(),
            Action::Put | Action::Delete => last.into_iter().collect(),
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
            let len = if dice.is_one_in(20) {
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
        (
            Request {
                id,
                is_retry: false,
                key: machine::key(key, manner),
                operation,
                options,
            },
            Some(id),
        )
    }
}
