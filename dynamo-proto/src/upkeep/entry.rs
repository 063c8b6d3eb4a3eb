//! Records as the store's pages show them.

use alloc::vec::Vec;

use bytes::BufMut;
use xxhash_rust::xxh3::xxh3_128;

use crate::node::{Env, Few, Notice};
use crate::store::{Address, Item};
use crate::version::{Record, Siblings};
use crate::wire::HeldCopy;
use crate::{Durability, Key, NodeId};

/// What is known of a key, and where it was found.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) at: Address,
    pub(crate) key: Key,
    pub(crate) siblings: Siblings,
}

impl Entry {
    /// What was found there, if it is sound.
    pub(crate) fn of(item: Item, env: &mut Env<'_>) -> Option<Self> {
        let (at, key, record) = sound(item, env)?;
        let mut siblings = record.into_siblings();
        env.raise(key.token(), env.view.buckets.of(&key).n, &mut siblings);
        Some(Self { at, key, siblings })
    }

    /// Names it as it is here, whatever retirements it takes into account.
    pub(crate) fn digest(&self, env: &Env<'_>) -> u128 {
        let (at, siblings) = (&self.at, self.siblings.beyond(env.retired));
        let mut bytes = Vec::with_capacity(16 + at.name.len() + siblings.history_len());
        bytes.put_u128(at.position);
        bytes.put_slice(&at.name);
        siblings.encode_history(&mut bytes);
        xxh3_128(&bytes)
    }

    /// For another node.
    pub(crate) fn into_copy(self) -> HeldCopy {
        HeldCopy {
            durability: Durability::Memory, // at least the bucket's
            key: self.key,
            siblings: self.siblings,
        }
    }

    /// Who is on duty for it.
    pub(crate) fn owners(&self, env: &Env<'_>) -> Few {
        let n = env.view.buckets.of(&self.key).n;
        let list = env.view.ring.lookup(self.key.token());
        list.primaries(n.into()).map(|member| member.id).collect()
    }

    /// Whether that node is.
    pub(crate) fn is_of(&self, node: NodeId, env: &Env<'_>) -> bool {
        let n = env.view.buckets.of(&self.key).n;
        env.view.is_on_duty(node, self.key.token(), n.into())
    }
}

/// A record and its key, if both are sound.
pub(crate) fn sound(item: Item, env: &mut Env<'_>) -> Option<(Address, Key, Record)> {
    let found = match item {
        Item::Found { at, bytes } => {
            let record = Record::decode(&at, bytes).ok();
            let key = Key::decode(at.name.clone()).ok();
            record.zip(key).map(|(record, key)| (at, key, record))
        }
        Item::Corrupt(_) => None,
    };
    if found.is_none() {
        env.notify(Notice::Damaged);
    }
    found
}
