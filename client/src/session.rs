//! Sessions: whoever reads has seen what he has read and written before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dynamo_proto::Key;
use dynamo_proto::node::Written;

use crate::bucket::Bucket;
use crate::client::Client;
use crate::error::Refused;

/// A session: read-your-writes and monotonic reads, key by key.
///
/// It holds the sealed contexts of what was read and the receipts of what was written. A read that
/// finds less is widened to all replicas; if none of those that are reached has more, it fails as
/// [stale](dynamo_proto::node::Failure::Stale) rather than show less. That is paid for with
/// availability, and says nothing of what other sessions see.
#[derive(Clone, Debug)]
pub struct Session {
    client: Client,
    memory: Arc<Mutex<BTreeMap<Key, Vec<Bytes>>>>,
}

/// Most keys of one session.
const MOST_KEYS: usize = 10_000;
/// Most writes of one key without a read between them.
const MOST_PARTS: usize = 64;

impl Session {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            memory: Arc::default(),
        }
    }

    /// A bucket of the default type, whose reads and writes belong to it.
    #[must_use]
    pub fn bucket(&self, name: impl Into<String>) -> Bucket {
        self.bucket_of("default", name)
    }

    /// A bucket of a type that the configuration names, whose reads and writes belong to it.
    #[must_use]
    pub fn bucket_of(&self, kind: impl Into<String>, name: impl Into<String>) -> Bucket {
        self.client.bucket_of(kind, name).in_session(self.clone())
    }

    /// Forgets a key, and with it what is promised of it.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    pub(crate) fn demands(&self, key: &Key) -> Result<Vec<Bytes>, Refused> {
        let memory = self.lock();
        match memory.get(key) {
            Some(parts) => Ok(parts.clone()),
            None if memory.len() >= MOST_KEYS => Err(Refused::SessionFull),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) fn has_room_for(&self, key: &Key) -> Result<(), Refused> {
        let memory = self.lock();
        let is_full = match memory.get(key) {
            Some(parts) => parts.len() >= MOST_PARTS,
            None => memory.len() >= MOST_KEYS,
        };
        match is_full {
            true => Err(Refused::SessionFull),
            false => Ok(()),
        }
    }

    /// What was read has seen all that was demanded of it, but perhaps not what was written meanwhile.
    pub(crate) fn saw(&self, key: Key, demanded: &[Bytes], contexts: &[Bytes]) {
        let mut memory = self.lock();
        let parts = memory.entry(key).or_default();
        parts.retain(|part| !demanded.contains(part) && !contexts.contains(part));
        parts.extend_from_slice(contexts);
    }

    pub(crate) fn wrote(&self, key: Key, written: &Written) {
        let part = written.context.as_ref().or(written.receipt.as_ref());
        if let Some(part) = part {
            self.lock().entry(key).or_default().push(part.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Vec<Bytes>>> {
        // Nothing panics half-way.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
