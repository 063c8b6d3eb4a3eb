//! Numbers at random: for nonces, for jitter, for the names of requests.

use std::time::Duration;

use dynamo_proto::version::RequestId;
use dynamo_proto::wire::Nonce;
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Grows from a seed that has to be drawn from good randomness at every start: names that were used
/// before must not come again.
#[derive(Clone, Debug)]
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// Dice that roll the same for the same seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Xoshiro256PlusPlus::from_seed(seed))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A name for a request.
    pub fn request(&mut self) -> RequestId {
        let (high, low) = (self.number(), self.number());
        RequestId(u128::from(high) << 64 | u128::from(low))
    }

    /// A nonce for one connection.
    pub fn nonce(&mut self) -> Nonce {
        loop {
            // The low half of a number: all of it is at random.
            if let Some(nonce) = Nonce::new(self.number() as u32) {
                return nonce;
            }
        }
    }

    /// Between half of it and all of it: so that those who failed together do not try again
    /// together.
    pub fn jittered(&mut self, wait: Duration) -> Duration {
        let part = (self.number() >> 11) as f64 / (1_u64 << 53) as f64;
        wait.mul_f64(0.5 + 0.5 * part)
    }
}
