//! Frames made by hand, as a peer of another make or version would send them.

use bytes::{BufMut, Bytes, BytesMut};
use dynamo_proto::Limits;
use dynamo_proto::wire::{Body, HEADER_BYTES, Inbound, Kind, Nonce, Received};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Appends one frame with a right checksum.
///
/// # Panics
///
/// If the body does not fit a length prefix.
pub fn frame(version: u8, kind: Kind, nonce: u32, sequence: u32, body: &[u8], out: &mut BytesMut) {
    let len = u32::try_from(HEADER_BYTES + body.len()).expect("a short body");
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    header.put_u32(len);
    header.put_u8(version);
    header.put_u8(kind.0);
    header.put_u16(0);
    header.put_u32(nonce);
    header.put_u32(sequence);
    let sum = xxh3_64_with_seed(&header, xxh3_64(body));
    header.put_u64(sum);
    out.put_slice(&header);
    out.put_slice(body);
}

/// A body of any bytes, as it comes out of a frame.
///
/// # Panics
///
/// If the frame is refused, which it must not be.
#[must_use]
pub fn body(kind: Kind, bytes: Bytes) -> Body {
    let mut buffer = BytesMut::new();
    frame(1, kind, 1, 0, &bytes, &mut buffer);
    let nonce = Nonce::new(1).expect("not 0");
    match Inbound::from(nonce, &Limits::default()).next(&mut buffer) {
        Ok(Some(Received::Body { body, .. })) => body,
        other => panic!("a frame of ours was refused: {other:?}"),
    }
}
