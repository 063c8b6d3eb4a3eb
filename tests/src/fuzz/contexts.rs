//! Contexts and the other bytes that clients hand in: what opens was sealed, and what decodes is
//! what its encoding says.

use std::hash::Hasher;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use dynamo_proto::version::{Context, ContextError, Metadata, Past, Seal, Siblings};
use dynamo_proto::{Key, Limits, NodeId};
use siphasher::sip::SipHasher24;

use super::heap::decoded;
use super::histories;
use super::versions::check_encoding;

const SECRET: [u8; 16] = *b"sixteen secrets!";

/// Bytes in place of contexts, keys, metadata and states: any; any, but sealed as if the secret
/// had leaked; or given out and then damaged or carried elsewhere.
///
/// # Panics
///
/// If anything opens that was not sealed, or decodes to what encodes otherwise.
pub fn contexts(bytes: &[u8]) {
    let _ = explore(&mut Unstructured::new(bytes)); // bytes that end early say little
}

fn explore(bytes: &mut Unstructured<'_>) -> Result<()> {
    match bytes.int_in_range(0..=2_u8)? {
        0 => invented(&Bytes::copy_from_slice(bytes.bytes(bytes.len())?)),
        1 => leaked(bytes.bytes(bytes.len())?),
        _ => return carried(bytes),
    }
    Ok(())
}

fn invented(bytes: &Bytes) {
    let (seal, key) = (Seal::new(SECRET), key(b"alice"));
    let len = bytes.len();
    check_open(&seal, &key, bytes);
    if let Ok(context) = decoded(len, || Context::decode(bytes.clone())) {
        assert_eq!(context.encode(), bytes);
    }
    if let Ok(metadata) = decoded(len, || Metadata::decode(bytes.clone())) {
        let mut again = Metadata::builder();
        for field in metadata.fields() {
            let pushed = again.push(field.kind, field.name, field.value);
            pushed.expect("a field that was there fits");
        }
        assert_eq!(again.build(), metadata);
        assert_eq!(metadata.encoded(), bytes);
    }
    let limits = Limits::default();
    if let Ok(key) = decoded(len, || Key::decode(bytes.clone())) {
        let again = Key::new(key.bucket_type(), key.bucket(), key.key(), &limits);
        assert_eq!(again.map(drop), key.check(&limits));
        assert_eq!(key.encoded(), bytes);
    }
    check_siblings(bytes);
}

/// A body of any bytes under a right seal.
fn leaked(body: &[u8]) {
    let key = key(b"alice");
    let mut hasher = SipHasher24::new_with_key(&SECRET);
    hasher.write(body);
    hasher.write(key.encoded());
    hasher.write(&(body.len() as u64).to_ne_bytes());
    let sealed = [body, &hasher.finish().to_be_bytes()].concat();
    check_open(&Seal::new(SECRET), &key, &sealed.into());
}

/// Contexts of real states on their way to a client and back.
fn carried(bytes: &mut Unstructured<'_>) -> Result<()> {
    let (seal, key) = (Seal::new(SECRET), key(b"alice"));
    let states = histories::states(bytes)?;
    let pasts: Vec<Past> = states.iter().map(|state| state.past()).collect();
    let mut sealed: Vec<Bytes> = pasts.iter().map(|past| seal.close(&key, past)).collect();
    let all = pasts.iter().fold(Past::default(), |mut all, past| {
        all.join(past);
        all
    });
    assert_eq!(seal.open_all(&key, &sealed).as_ref(), Ok(&all));

    let at = bytes.choose_index(sealed.len())?;
    let context = Context {
        sealed: sealed[at].clone(),
        fastest: bytes.arbitrary::<Option<u8>>()?.map(|id| NodeId(id.into())),
    };
    let again = Context::decode(context.encode());
    assert_eq!(again.as_ref(), Ok(&context));
    assert_eq!(again.map(|again| again.fastest), Ok(context.fastest));

    let elsewhere = [
        (&seal, &self::key(b"bob")),
        (&Seal::new(*b"another secret!!"), &key),
    ];
    for (seal, key) in elsewhere {
        assert_eq!(seal.open(key, &sealed[at]), Err(ContextError::Forged));
    }

    let damaged = bent(&sealed[at], bytes)?;
    if damaged != sealed[at] {
        assert!(seal.open(&key, &damaged).is_err());
        sealed[at] = damaged;
        assert!(seal.open_all(&key, &sealed).is_err());
    }

    let mut state = Vec::new();
    states[at].encode(&mut state);
    check_siblings(&bent(&state, bytes)?);
    Ok(())
}

/// Whatever opens must be what closes to these bytes.
fn check_open(seal: &Seal, key: &Key, sealed: &Bytes) {
    if let Ok(past) = decoded(sealed.len(), || seal.open(key, sealed)) {
        assert_eq!(seal.close(key, &past), sealed);
        assert_eq!(seal.open_all(key, [sealed, sealed]), Ok(past));
    }
}

fn check_siblings(bytes: &Bytes) {
    if let Ok(state) = decoded(bytes.len(), || Siblings::decode(bytes.clone())) {
        let mut again = Vec::new();
        state.encode(&mut again);
        assert_eq!(again, bytes[..], "equal states are equal bytes");
        check_encoding(&state);
    }
}

/// The same with a few bytes changed and some cut off.
fn bent(whole: &[u8], bytes: &mut Unstructured<'_>) -> Result<Bytes> {
    let mut bent = whole.to_vec();
    for _ in 0..bytes.int_in_range(0..=3_u8)? {
        let at = bytes.choose_index(bent.len())?;
        bent[at] = bytes.arbitrary()?;
    }
    if bytes.ratio(1, 8_u8)? {
        bent.truncate(bytes.choose_index(bent.len())?);
    }
    Ok(bent.into())
}

fn key(name: &[u8]) -> Key {
    Key::new("t", "carts", name, &Limits::default()).expect("a short key")
}
