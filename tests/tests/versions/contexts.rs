//! What clients carry.

use super::*;

fn key(name: &str) -> Key {
    Key::new("default", "carts", name, &Limits::default()).unwrap()
}

fn some_past() -> Past {
    let bucket = siblings_bucket();
    let mut node = Node::new(1);
    bucket.put(&mut node, None, "x");
    node.restart();
    bucket.put(&mut node, None, "y");
    bucket.read(&node)
}

#[test]
fn equal_states_give_equal_bytes() {
    let seal = Seal::new([1; 16]);
    let sealed = seal.close(&key("k"), &some_past());
    assert_eq!(sealed, Seal::new([1; 16]).close(&key("k"), &some_past()));
    assert_eq!(seal.open(&key("k"), &sealed).unwrap(), some_past());
}

#[test]
fn one_flipped_bit_anywhere_is_an_error() {
    let seal = Seal::new([1; 16]);
    let sealed = seal.close(&key("k"), &some_past());
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(seal.open(&key("k"), &bytes.into()).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(
            seal.open(&key("k"), &sealed.slice(..len)).is_err(),
            "cut to {len}"
        );
    }
}

#[test]
fn another_key_or_cluster_is_an_error() {
    let seal = Seal::new([1; 16]);
    let sealed = seal.close(&key("k"), &some_past());
    assert_eq!(seal.open(&key("l"), &sealed), Err(ContextError::Forged));
    assert_eq!(
        Seal::new([2; 16]).open(&key("k"), &sealed),
        Err(ContextError::Forged)
    );
}

/// Under a right seal, as only a later version of ours, or a leak of the secret, can make it.
#[test]
fn only_known_versions_open() {
    use siphasher::sip::SipHasher24;
    use std::hash::Hasher;

    let sealed = |version: u8| {
        let mut bytes = Seal::new([1; 16]).close(&key("k"), &some_past()).to_vec();
        bytes.truncate(bytes.len() - 8);
        bytes[0] = version;
        let mut hasher = SipHasher24::new_with_key(&[1; 16]);
        hasher.write(&bytes);
        hasher.write(key("k").encoded());
        hasher.write(&(bytes.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&hasher.finish().to_be_bytes());
        Bytes::from(bytes)
    };
    let open = |version| Seal::new([1; 16]).open(&key("k"), &sealed(version));
    assert_eq!(open(0), Err(ContextError::Forged));
    assert_eq!(open(1), Ok(some_past()));
    assert_eq!(open(2), Err(ContextError::Newer(2)));
}

#[test]
fn a_later_version_is_told_apart_from_damage() {
    let mut bytes = Seal::new([1; 16]).close(&key("k"), &some_past()).to_vec();
    bytes[0] = 9;
    let opened = Seal::new([1; 16]).open(&key("k"), &bytes.into());
    assert_eq!(opened, Err(ContextError::Newer(9)));
}

#[test]
fn who_answered_fastest_travels_beside_what_is_compared() {
    let sealed = Seal::new([1; 16]).close(&key("k"), &some_past());
    let plain = Context {
        sealed: sealed.clone(),
        fastest: None,
    };
    let advised = Context {
        sealed,
        fastest: Some(NodeId(5)),
    };
    assert_eq!(plain, advised);
    for context in [plain, advised] {
        let again = Context::decode(context.encode()).unwrap();
        assert_eq!(again, context);
        assert_eq!(again.fastest, context.fastest);
    }
    for bytes in [&b""[..], b"\x01", b"1234567\x01", b"\x02"] {
        assert!(Context::decode(Bytes::from_static(bytes)).is_err());
    }
}
