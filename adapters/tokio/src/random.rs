//! Randomness, all of it the operating system's.

use std::time::Duration;

use dynamo_proto::wire::Nonce;

pub(crate) fn number() -> Result<u64, getrandom::Error> {
    getrandom::u64()
}

/// A nonce for one connection.
pub(crate) fn nonce() -> Result<Nonce, getrandom::Error> {
    loop {
        if let Some(nonce) = Nonce::new(getrandom::u32()?) {
            return Ok(nonce);
        }
    }
}

/// Between half of it and all of it: so that those who failed together do not try again together.
pub(crate) fn jittered(wait: Duration) -> Duration {
    let part = number().map_or(1.0, |number| number as f64 / u64::MAX as f64);
    wait.mul_f64(0.5 + 0.5 * part)
}
