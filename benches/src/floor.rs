//! The least that three replicas can do.

use std::collections::BTreeMap;
use std::hint::black_box;

use bytes::Bytes;
use dynamo_proto::Key;
use dynamo_proto::store::Address;

use crate::rings;

/// What one replica has: the kind of map in which `dynamo-storage-memory` keeps things.
pub type Map = BTreeMap<Address, Bytes>;

/// Three maps, and nothing that keeps them alike.
#[derive(Debug, Default)]
pub struct Floor {
    maps: [Map; 3],
}

impl Floor {
    /// With that value under each of the keys.
    #[must_use]
    pub fn holding(keys: &[Key], value: &Bytes) -> Self {
        let mut floor = Self::default();
        for key in keys {
            floor.put(key, value);
        }
        floor
    }

    /// What is measured: the key's MD5, and then in each map a look-up and an insert of a copy.
    #[inline]
    pub fn put(&mut self, key: &Key, value: &Bytes) {
        let at = address(key);
        for map in &mut self.maps {
            black_box(map.get(&at));
            map.insert(at.clone(), Bytes::copy_from_slice(value));
        }
    }

    /// What is measured: the key's MD5, and then in each map a look-up. What is found is shared,
    /// not copied, as `dynamo-storage-memory` does.
    #[inline]
    pub fn get(&self, key: &Key) {
        let at = address(key);
        for map in &self.maps {
            black_box(map.get(&at).cloned());
        }
    }
}

fn address(key: &Key) -> Address {
    Address {
        position: rings::bare_md5(key),
        name: key.encoded().clone(),
    }
}
