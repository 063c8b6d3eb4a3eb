//! Randomness, all of it the operating system's.

use dynamo_proto::wire::Nonce;

/// A nonce for one connection.
pub(crate) fn nonce() -> Result<Nonce, getrandom::Error> {
    loop {
        if let Some(nonce) = Nonce::new(getrandom::u32()?) {
            return Ok(nonce);
        }
    }
}
