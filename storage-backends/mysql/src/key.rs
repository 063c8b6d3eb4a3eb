//! Addresses as the tables keep them.

use dynamo_proto::store::Address;
use dynamo_storage::address;
use sha2::{Digest as _, Sha256};

/// Of `place`. With the digest it is well below what InnoDB takes for a key.
pub(crate) const PLACE_BYTES: usize = 2048;

/// The columns that name a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) place: Vec<u8>,
    pub(crate) digest: Vec<u8>,
    pub(crate) rest: Vec<u8>,
}

impl Key {
    pub(crate) fn of(at: &Address) -> Self {
        let mut place = address::encode(at).to_vec();
        if place.len() <= PLACE_BYTES {
            return Self {
                place,
                digest: Vec::new(),
                rest: Vec::new(),
            };
        }
        let rest = place.split_off(PLACE_BYTES);
        Self {
            place,
            digest: Sha256::digest(&at.name).to_vec(),
            rest,
        }
    }
}

impl Key {
    /// Whose key this is, and whether that is certain: it is not if the columns do not fit together.
    /// `None` if nobody can tell.
    pub(crate) fn address(self) -> Option<(Address, bool)> {
        let mut whole = self.place.clone();
        if !self.digest.is_empty() {
            whole.extend_from_slice(&self.rest);
        }
        let at = address::decode(whole.into())?;
        let is_certain = Self::of(&at) == self;
        Some((at, is_certain))
    }
}

/// A place behind those of all addresses but one that is longer still.
pub(crate) fn behind_all() -> Vec<u8> {
    vec![0xff; PLACE_BYTES]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_long_has_a_digest_and_all_come_back() {
        for (len, is_long) in [(0, false), (2032, false), (2033, true), (6148, true)] {
            let at = Address {
                position: 7,
                name: vec![b'x'; len].into(),
            };
            let key = Key::of(&at);
            assert_eq!(!key.digest.is_empty(), is_long, "{len}");
            assert!(key.place.len() + key.digest.len() <= 3072);
            assert_eq!(key.address(), Some((at, true)));
        }
    }

    #[test]
    fn columns_that_do_not_fit_together_are_noticed() {
        let [short, long] = [3, 6000].map(|len| Address {
            position: 7,
            name: vec![b'x'; len].into(),
        });
        let mut key = Key::of(&short);
        key.rest = b"more".to_vec();
        assert_eq!(key.address(), Some((short, false)));
        let mut key = Key::of(&long);
        key.rest.pop();
        assert!(key.address().is_some_and(|(_, is_certain)| !is_certain));
        let mut key = Key::of(&long);
        key.place.truncate(15);
        key.digest.clear();
        assert_eq!(key.address(), None);
    }
}
