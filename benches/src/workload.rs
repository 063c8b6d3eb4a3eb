//! What is put and got: the same keys and values for all who are compared.

use bytes::Bytes;
use dynamo_proto::{Key, Limits};

/// The values measured, in bytes.
pub const VALUES: [(&str, usize); 2] = [("100 B", 100), ("1 KiB", 1 << 10)];

/// How many requests are under way at once.
pub const AT_ONCE: [(&str, usize); 2] = [("one at a time", 1), ("64 at a time", 64)];

/// Keys that are there before anything is measured, and then put or got in turn: so many that
/// their places in a map are in no nearby cache.
pub const KEYS: usize = 100_000;

/// So many keys of a usual length.
#[must_use]
pub fn keys(count: usize) -> Vec<Key> {
    let limits = Limits::default();
    let key = |nth| Key::new("default", "carts", format!("customer-{nth:07}"), &limits);
    (0..count)
        .map(|nth| key(nth).expect("a short key is within limits"))
        .collect()
}

/// A value of so many bytes, in a buffer that is shared already, as received ones are.
#[must_use]
pub fn value(bytes: usize) -> Bytes {
    let received = Bytes::from(vec![b'v'; bytes + 1]);
    received.slice(1..)
}
