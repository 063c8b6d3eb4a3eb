//! Finding things by token.

use core::hash::Hasher;

/// A token is a hash already.
#[derive(Default)]
pub(crate) struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, token: u128) {
        self.0 = token as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
