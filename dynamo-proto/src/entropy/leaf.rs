//! What a leaf says of its keys.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes};
use xxhash_rust::xxh3::xxh3_64;

use crate::Token;
use crate::store::Address;
use crate::version::{Retirements, Siblings};

/// Some keys as one number: each key with its state is a digest, and digests are added. So it does
/// not matter in which order keys change, and the sum of some leaves is what one leaf in place of
/// them would say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) keys: u64,
    pub(crate) digests: u64,
}

/// What a leaf says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// So many keys, and all of them together.
    Sure(Sum),
    /// Nothing: it has to be made anew from the keys. It differs from whatever others say.
    Unsure,
}

/// The state of a key as a tree knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing is there.
    Nothing,
    /// This.
    State(u64),
    /// It cannot be read.
    Damaged,
    /// The tree has it as it was before more boots were retired.
    Outdated,
}

const FORMAT: u8 = 1;
const SURE: u8 = 0;
const UNSURE: u8 = 1;
const LEN: usize = 22;

impl Sum {
    pub(crate) fn add(&mut self, other: Self) {
        self.keys = self.keys.wrapping_add(other.keys);
        self.digests = self.digests.wrapping_add(other.digests);
    }

    pub(crate) fn take_out(&mut self, other: Self) {
        self.keys = self.keys.wrapping_sub(other.keys);
        self.digests = self.digests.wrapping_sub(other.digests);
    }

    pub(crate) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl Known {
    /// A key whose state is that.
    #[inline]
    pub(crate) fn of(token: Token, siblings: &Siblings, retired: &Retirements) -> Self {
        let siblings = siblings.beyond(retired);
        match siblings.is_nothing() {
            true => Self::Nothing,
            false => Self::State(digest(token, &siblings)),
        }
    }

    /// What it adds to a leaf, if that can be said.
    pub(crate) fn sum(self) -> Option<Sum> {
        match self {
            Self::Nothing => Some(Sum::default()),
            Self::State(digest) => Some(Sum {
                keys: 1,
                digests: digest,
            }),
            Self::Damaged | Self::Outdated => None,
        }
    }
}

impl Value {
    /// What becomes of it when a key of it changes.
    pub(crate) fn changed(self, before: Known, after: Known) -> Self {
        match (self, before.sum(), after.sum()) {
            (Self::Sure(mut sum), Some(before), Some(after)) => {
                sum.take_out(before);
                sum.add(after);
                Self::Sure(sum)
            }
            _ => Self::Unsure,
        }
    }

    /// As it is kept there; nothing if it says that there is nothing.
    pub(crate) fn encode(self, at: &Address) -> Option<Bytes> {
        let (flag, Sum { keys, digests }) = match self {
            Self::Sure(sum) if sum.is_nothing() => return None,
            Self::Sure(sum) => (SURE, sum),
            Self::Unsure => (UNSURE, Sum::default()),
        };
        let mut bytes = [0; LEN];
        bytes[0] = FORMAT;
        bytes[1] = flag;
        bytes[2..10].copy_from_slice(&keys.to_be_bytes());
        bytes[10..18].copy_from_slice(&digests.to_be_bytes());
        let check = check(&bytes[..LEN - 4], at);
        bytes[18..].copy_from_slice(&check.to_be_bytes());
        Some(Bytes::copy_from_slice(&bytes))
    }

    /// What is kept there. Who cannot be understood is unsure.
    pub(crate) fn decode(at: &Address, bytes: &[u8]) -> Self {
        let Ok(bytes) = <&[u8; LEN]>::try_from(bytes) else {
            return Self::Unsure;
        };
        let (body, sum) = bytes.split_at(LEN - 4);
        let is_sound = sum == check(body, at).to_be_bytes();
        if !is_sound || bytes[0] != FORMAT || bytes[1] != SURE {
            return Self::Unsure;
        }
        let number = |at: usize| {
            body[at..]
                .first_chunk()
                .map_or(0, |it| u64::from_be_bytes(*it))
        };
        Self::Sure(Sum {
            keys: number(2),
            digests: number(10),
        })
    }
}

/// Covers where it is kept too.
fn check(body: &[u8], at: &Address) -> u32 {
    let mut all = [0; LEN + 16];
    let (head, tail) = all.split_at_mut(16);
    head.copy_from_slice(&at.position.to_be_bytes());
    tail[..body.len()].copy_from_slice(body);
    tail[body.len()] = at.name.first().copied().unwrap_or(0);
    xxh3_64(&all) as u32
}

/// What is looked at is which writes were seen and which are alive: states that agree in that are
/// equal, and values need not be hashed.
#[inline]
fn digest(token: Token, siblings: &Siblings) -> u64 {
    let len = 16 + siblings.history_len();
    let mut short = [0; 256];
    match short.get_mut(..len) {
        Some(bytes) => {
            let mut out = &mut *bytes;
            out.put_u128(token.0);
            siblings.encode_history(&mut out);
            xxh3_64(bytes)
        }
        None => {
            let mut bytes = Vec::with_capacity(len);
            bytes.put_u128(token.0);
            siblings.encode_history(&mut bytes);
            xxh3_64(&bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u128) -> Address {
        Address {
            position,
            name: Bytes::from_static(&[3]),
        }
    }

    #[test]
    fn what_is_kept_is_what_was_said_and_anything_else_is_unsure() {
        let sum = Sum {
            keys: 2,
            digests: 99,
        };
        let bytes = Value::Sure(sum).encode(&at(7)).unwrap();
        assert_eq!(Value::decode(&at(7), &bytes), Value::Sure(sum));
        assert_eq!(Value::decode(&at(8), &bytes), Value::Unsure, "of another");
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Value::decode(&at(7), &bytes), Value::Unsure, "bit {bit}");
        }
        let unsure = Value::Unsure.encode(&at(7)).unwrap();
        assert_eq!(Value::decode(&at(7), &unsure), Value::Unsure);
        assert_eq!(Value::Sure(Sum::default()).encode(&at(7)), None);
    }

    #[test]
    fn it_does_not_matter_in_which_order_keys_change() {
        let (one, two) = (Known::State(u64::MAX), Known::State(5));
        let empty = Value::Sure(Sum::default());
        let here = empty
            .changed(Known::Nothing, one)
            .changed(Known::Nothing, two);
        let there = empty
            .changed(Known::Nothing, two)
            .changed(Known::Nothing, one);
        assert_eq!(here, there);
        assert_eq!(
            here.changed(one, Known::Nothing)
                .changed(two, Known::Nothing),
            empty
        );
    }

    #[test]
    fn who_does_not_know_what_was_there_is_unsure_until_it_is_made_anew() {
        let value = Value::Sure(Sum::default()).changed(Known::Damaged, Known::State(1));
        assert_eq!(value, Value::Unsure);
        assert_eq!(
            value.changed(Known::Nothing, Known::State(2)),
            Value::Unsure
        );
    }
}
