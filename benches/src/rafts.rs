//! What a user would take instead of a cluster of ours: three nodes of raft-rs with its storage in
//! memory, which commit the same keys and values and apply them to the same maps.
//!
//! Where there is a choice it is the one that favours raft-rs: the key is hashed once, not by every
//! node; a node gets all that waits for it before it is asked what is to be done; entries for one
//! follower travel in one message, and how far is committed with the next of them; nothing is
//! logged.
//!
//! ```text
//! entry   u128 token | u16 key length | key | value
//! ```

use bytes::{BufMut, Bytes};
use dynamo_proto::Key;
use dynamo_proto::store::Address;
use raft::eraftpb::{Entry, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use slog::{Discard, Logger, o};

use crate::floor::Map;
use crate::rings;

/// Three nodes, the first of which leads.
pub struct Rafts {
    nodes: [Replica; 3],
}

struct Replica {
    raft: RawNode<MemStorage>,
    inbox: Vec<Message>,
    map: Map,
    applied: u64,
    /// The first entry that the log still has.
    first: u64,
}

/// How many entries a log has when those that are applied are dropped from it.
const LOG: u64 = 4096;

impl Rafts {
    /// After an election, with that value under each of the keys.
    #[must_use]
    pub fn holding(keys: &[Key], value: &Bytes) -> Self {
        let mut rafts = Self {
            nodes: [1, 2, 3].map(Replica::new),
        };
        let [leader, ..] = &mut rafts.nodes;
        leader.raft.campaign().expect("nobody leads yet");
        rafts.settle();
        assert_eq!(rafts.nodes[0].raft.raft.state, StateRole::Leader);
        for key in keys {
            rafts.put([key], value);
        }
        rafts
    }

    /// What is measured: commits these together and applies them.
    pub fn put<'a>(&mut self, keys: impl IntoIterator<Item = &'a Key>, value: &Bytes) {
        let [leader, ..] = &mut self.nodes;
        for key in keys {
            let name = key.encoded();
            let mut entry = Vec::with_capacity(16 + 2 + name.len() + value.len());
            entry.put_u128(rings::bare_md5(key));
            entry.put_u16(name.len() as u16);
            entry.put_slice(name);
            entry.put_slice(value);
            let proposed = leader.raft.propose(Vec::new(), entry);
            proposed.expect("the leader takes proposals");
        }
        let last = leader.raft.raft.raft_log.last_index();
        self.settle();
        assert_eq!(self.nodes[0].applied, last);
    }

    /// Goes on until nothing is under way.
    fn settle(&mut self) {
        let mut is_idle = false;
        while !is_idle {
            is_idle = true;
            for at in 0..self.nodes.len() {
                let node = &mut self.nodes[at];
                if node.inbox.is_empty() && !node.raft.has_ready() {
                    continue;
                }
                is_idle = false;
                for message in node.advance() {
                    let to = message.to as usize - 1;
                    self.nodes[to].inbox.push(message);
                }
            }
        }
    }
}

impl Replica {
    fn new(id: u64) -> Self {
        let config = Config {
            id,
            election_tick: 10,
            heartbeat_tick: 3,
            max_size_per_msg: u64::MAX,
            max_inflight_msgs: 256,
            skip_bcast_commit: true,
            batch_append: true,
            ..Config::default()
        };
        let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
        let raft = RawNode::new(&config, storage, &Logger::root(Discard, o!()));
        Self {
            raft: raft.expect("the configuration is valid"),
            inbox: Vec::new(),
            map: Map::new(),
            applied: 0,
            first: 0,
        }
    }

    /// Takes in all messages and does what is then to be done. Returns what is to be sent.
    fn advance(&mut self) -> Vec<Message> {
        for message in self.inbox.drain(..) {
            self.raft.step(message).expect("all messages are valid");
        }
        if !self.raft.has_ready() {
            return Vec::new();
        }
        let mut ready = self.raft.ready();
        let mut messages = ready.take_messages();
        self.apply(ready.take_committed_entries());
        {
            let mut log = self.raft.mut_store().wl();
            log.append(ready.entries()).expect("entries come in order");
            if let Some(state) = ready.hs() {
                log.set_hardstate(state.clone());
            }
        }
        messages.append(&mut ready.take_persisted_messages());
        let mut light = self.raft.advance(ready);
        if let Some(commit) = light.commit_index() {
            let mut log = self.raft.mut_store().wl();
            log.mut_hard_state().commit = commit;
        }
        messages.append(&mut light.take_messages());
        self.apply(light.take_committed_entries());
        self.raft.advance_apply();
        if self.applied - self.first >= LOG {
            let mut log = self.raft.mut_store().wl();
            log.compact(self.applied).expect("what is applied is there");
            self.first = self.applied;
        }
        messages
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.applied = entry.index;
            let data = entry.data;
            if let Some((token, rest)) = data.split_first_chunk()
                && let Some((len, rest)) = rest.split_first_chunk()
            {
                let (name, value) = rest.split_at(u16::from_be_bytes(*len).into());
                let at = Address {
                    position: u128::from_be_bytes(*token),
                    name: data.slice_ref(name),
                };
                // Copies, as in the other maps, or every replica would share the proposal.
                self.keep(at, Bytes::copy_from_slice(value));
            } // else it is a leader's first, which is empty
        }
    }

    fn keep(&mut self, at: Address, value: Bytes) {
        if let Some(place) = self.map.get_mut(&at) {
            *place = value;
        } else {
            let name = Bytes::copy_from_slice(&at.name);
            self.map.insert(Address { name, ..at }, value);
        }
    }
}
