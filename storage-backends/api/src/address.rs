//! Addresses as runs of bytes, for engines that sort bytes.
//!
//! ```text
//! u128 position, big-endian | name
//! ```
//!
//! The bytes sort as the addresses do, and no two addresses share any.

use bytes::{BufMut, Bytes, BytesMut};
use dynamo_proto::store::Address;

/// Of the position, which comes first.
pub const POSITION_BYTES: usize = size_of::<u128>();

/// The address as one run of bytes.
///
/// ```
/// use dynamo_proto::store::Address;
/// use dynamo_storage::address;
///
/// let at = Address { position: 0x0102, name: "cart".into() };
/// let bytes = address::encode(&at);
/// assert_eq!(&bytes[14..], b"\x01\x02cart");
/// assert_eq!(address::decode(bytes), Some(at));
/// ```
#[must_use]
pub fn encode(at: &Address) -> Bytes {
    let mut bytes = BytesMut::with_capacity(encoded_len(at));
    encode_into(at, &mut bytes);
    bytes.freeze()
}

/// Appends what [`encode`] returns, to a buffer that can be used again.
pub fn encode_into(at: &Address, out: &mut impl BufMut) {
    out.put_u128(at.position);
    out.put_slice(&at.name);
}

/// How many bytes [`encode`] returns.
#[must_use]
pub fn encoded_len(at: &Address) -> usize {
    POSITION_BYTES + at.name.len()
}

/// The address whose bytes these are; its name shares them. `None` if they are too short for any:
/// the engine's key is damaged.
#[must_use]
pub fn decode(mut bytes: Bytes) -> Option<Address> {
    let position = u128::from_be_bytes(*bytes.first_chunk()?);
    let name = bytes.split_off(POSITION_BYTES);
    Some(Address { position, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Address> {
        let names: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"ab", b"\xff"];
        [0, 1, 255, 256, u128::MAX - 1, u128::MAX]
            .into_iter()
            .flat_map(|position| {
                names.map(|name| Address {
                    position,
                    name: Bytes::from_static(name),
                })
            })
            .collect()
    }

    #[test]
    fn bytes_sort_as_addresses_do_and_come_back() {
        for one in samples() {
            assert_eq!(decode(encode(&one)), Some(one.clone()));
            assert_eq!(encode(&one).len(), encoded_len(&one));
            for other in samples() {
                assert_eq!(one.cmp(&other), encode(&one).cmp(&encode(&other)));
            }
        }
    }

    #[test]
    fn nothing_lies_between_an_address_and_its_successor() {
        for one in samples() {
            let next = one.successor();
            assert!(next > one);
            for other in samples() {
                assert!(other <= one || other >= next, "{other:?} follows {one:?}");
            }
        }
    }

    #[test]
    fn what_is_too_short_is_no_address() {
        assert_eq!(decode(Bytes::from_static(&[0; POSITION_BYTES - 1])), None);
    }
}
