//! Contexts: what a client has seen, handed to it sealed and taken back unchanged.

use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher;

use bytes::{BufMut, Bytes, BytesMut};
use siphasher::sip::SipHasher24;

use super::{Clock, Past};
use crate::reader::{DecodeError, Reader};
use crate::{Key, NodeId, WallTime};

/// Seals and opens contexts with the cluster's secret.
///
/// The seal is a keyed hash (SipHash-2-4) over the key that was read and what was seen. So a
/// context works at every node of its cluster, for its key only, and one that was damaged,
/// invented or taken from elsewhere is an error before anything is merged. Equal states give equal
/// bytes.
///
/// ```
/// use dynamo_proto::version::{Past, Seal};
/// use dynamo_proto::{Key, Limits};
///
/// let limits = Limits::default();
/// let (mine, other) = (Key::new("t", "b", "k", &limits)?, Key::new("t", "b", "l", &limits)?);
/// let seal = Seal::new(*b"sixteen secrets!");
/// let sealed = seal.close(&mine, &Past::default());
/// assert_eq!(seal.open(&mine, &sealed), Ok(Past::default()));
/// assert!(seal.open(&other, &sealed).is_err());
/// # Ok::<(), dynamo_proto::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Seal(SipHasher24);

/// What a client gets with a read: the sealed part, and beside it which node answered fastest.
///
/// Contexts are equal when their sealed parts are.
#[derive(Clone, Debug)]
pub struct Context {
    /// What was seen, sealed.
    pub sealed: Bytes,
    /// Who answered the read fastest and should be asked to coordinate the write: advice only.
    pub fastest: Option<NodeId>,
}

/// Why a context was refused. Whoever sent it should read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// Not ours, not for this key, or damaged.
    #[error("the context was not given out by this cluster for this key: read the key again")]
    Forged,
    /// Made by a version that this one does not know.
    #[error("the context has version {0}, this node knows up to {VERSION}: read the key again")]
    Newer(u8),
    /// Too short to be one.
    #[error("the context is cut short: read the key again")]
    Truncated,
}

const VERSION: u8 = 1;
/// In place of the version: not for writes.
const RECEIPT: u8 = 0x81;
const SEAL: usize = size_of::<u64>();
const NODE: usize = size_of::<u64>();

impl Seal {
    /// A seal with the secret that all nodes of a cluster share.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self(SipHasher24::new_with_key(&secret))
    }

    /// Seals what a reader of that key has seen.
    #[must_use]
    pub fn close(&self, key: &Key, past: &Past) -> Bytes {
        self.sealed(VERSION, key, past)
    }

    /// Seals what a reader must have seen in order to have seen a write. A writer that hands it back
    /// as a context is refused: it speaks of values that nobody was shown.
    #[must_use]
    pub fn receipt(&self, key: &Key, past: &Past) -> Bytes {
        self.sealed(RECEIPT, key, past)
    }

    fn sealed(&self, version: u8, key: &Key, past: &Past) -> Bytes {
        let len = 1 + 8 + past.clock.encoded_len() + SEAL;
        let mut sealed = Vec::with_capacity(len);
        sealed.put_u8(version);
        sealed.put_u64(past.stamp.as_micros());
        past.clock.encode(&mut sealed);
        sealed.put_u64(self.sum(key, &sealed));
        sealed.into()
    }

    /// What whoever got that sealed part had seen of that key.
    pub fn open(&self, key: &Key, sealed: &Bytes) -> Result<Past, ContextError> {
        match *sealed.first().ok_or(ContextError::Truncated)? {
            VERSION => self.unseal(key, sealed),
            // There never was an older one.
            RECEIPT | ..VERSION => Err(ContextError::Forged),
            version => Err(ContextError::Newer(version)),
        }
    }

    /// All that a session has seen of that key, by contexts and receipts.
    pub fn open_seen<'a>(
        &self,
        key: &Key,
        sealed: impl IntoIterator<Item = &'a Bytes>,
    ) -> Result<Past, ContextError> {
        let mut all = Past::default();
        for part in sealed {
            let past = match part.first() {
                Some(&RECEIPT) => self.unseal(key, part)?,
                _ => self.open(key, part)?,
            };
            all.join(&past);
        }
        Ok(all)
    }

    fn unseal(&self, key: &Key, sealed: &Bytes) -> Result<Past, ContextError> {
        let (body, seal) = sealed
            .split_last_chunk::<SEAL>()
            .ok_or(ContextError::Truncated)?;
        if self.sum(key, body) != u64::from_be_bytes(*seal) {
            return Err(ContextError::Forged);
        }
        // Whatever bears the seal was made above, but a leaked secret must not become a crash.
        decode(sealed).map_err(|_| ContextError::Forged)
    }

    /// What a client had seen that hands back several contexts of one key at once.
    pub fn open_all<'a>(
        &self,
        key: &Key,
        sealed: impl IntoIterator<Item = &'a Bytes>,
    ) -> Result<Past, ContextError> {
        let mut all = Past::default();
        for part in sealed {
            all.join(&self.open(key, part)?);
        }
        Ok(all)
    }

    fn sum(&self, key: &Key, body: &[u8]) -> u64 {
        let mut hasher = self.0;
        hasher.write(body);
        hasher.write(key.encoded());
        hasher.write(&(body.len() as u64).to_be_bytes()); // where one ends and the other begins
        hasher.finish()
    }
}

/// What a sealed part says, its seal unbroken.
fn decode(sealed: &Bytes) -> Result<Past, DecodeError> {
    let mut reader = Reader::new(sealed);
    reader.u8("a context")?; // the version
    let stamp = WallTime::from_micros(reader.u64("a context")?);
    let mut clock = Clock::default();
    clock.read(&mut reader)?;
    reader.u64("a context")?; // the seal
    reader.finish()?;
    Ok(Past { clock, stamp })
}

impl Context {
    /// Both parts as one run of bytes, for a client that should carry only one thing.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.sealed.len() + 1 + NODE);
        bytes.put_slice(&self.sealed);
        if let Some(node) = self.fastest {
            bytes.put_u64(node.0);
        }
        bytes.put_u8(u8::from(self.fastest.is_some()));
        bytes.freeze()
    }

    /// The context whose [`encode`](Self::encode)d form this is. The sealed part is not looked at.
    pub fn decode(mut bytes: Bytes) -> Result<Self, ContextError> {
        let mut end = bytes.len().checked_sub(1).ok_or(ContextError::Truncated)?;
        let fastest = match bytes[end] {
            0 => None,
            1 => {
                let (rest, node) = bytes[..end]
                    .split_last_chunk::<NODE>()
                    .ok_or(ContextError::Truncated)?;
                end = rest.len();
                Some(NodeId(u64::from_be_bytes(*node)))
            }
            _ => return Err(ContextError::Forged),
        };
        bytes.truncate(end);
        Ok(Self {
            sealed: bytes,
            fastest,
        })
    }
}

impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        self.sealed == other.sealed
    }
}

impl Eq for Context {}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}
