//! The way around what cannot be looked at.

use bytes::Bytes;
use dynamo_proto::store::Address;

/// A search for a position at which a scan can begin again: ever further away until one is found,
/// then halving what is between. One attempt at a time, since on a bad disk each takes long.
#[derive(Clone, Debug)]
pub(super) struct Around {
    /// A scan cannot begin here.
    bad: u128,
    /// It can here.
    good: Option<u128>,
    /// How much further to try next.
    stride: u128,
}

impl Around {
    pub(super) fn from(position: u128) -> Self {
        Self {
            bad: position,
            good: None,
            stride: 1,
        }
    }

    /// Tries once. Then it is known where to go on, if anywhere, or the search goes on.
    pub(super) fn look(
        mut self,
        can_begin: impl FnOnce(Address) -> bool,
    ) -> Result<Option<Address>, Self> {
        let probe = match self.good {
            Some(good) if good - self.bad > 1 => self.bad + (good - self.bad) / 2,
            Some(good) => return Ok(Some(start_of(good))),
            None if self.bad == u128::MAX => return Ok(None),
            None => self.bad.saturating_add(self.stride),
        };
        if can_begin(start_of(probe)) {
            self.good = Some(probe);
        } else {
            self.bad = probe;
            self.stride = self.stride.saturating_mul(2);
        }
        Err(self)
    }
}

fn start_of(position: u128) -> Address {
    Address {
        position,
        name: Bytes::new(),
    }
}
