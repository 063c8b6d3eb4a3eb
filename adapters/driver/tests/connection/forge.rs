//! Frames made by hand, as a peer of another make or version would send them.

use bytes::{BufMut, BytesMut};
use dynamo_proto::Limits;
use dynamo_proto::wire::{Body, HEADER_BYTES, Inbound, Kind, Message, Nonce, Received};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// One frame with a right checksum.
pub(crate) struct Forged<'a> {
    pub(crate) version: u8,
    pub(crate) kind: Kind,
    pub(crate) nonce: u32,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

impl Forged<'_> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.put_u32((HEADER_BYTES + self.body.len()) as u32);
        frame.put_u8(self.version);
        frame.put_u8(self.kind.0);
        frame.put_u16(0);
        frame.put_u32(self.nonce);
        frame.put_u32(self.sequence);
        frame.put_u64(xxh3_64_with_seed(&frame, xxh3_64(self.body)));
        frame.put_slice(self.body);
        frame
    }
}

/// A message out of place.
pub(crate) fn forged(message: &Message, nonce: u32, sequence: u32) -> Vec<u8> {
    let body = message.encode();
    Forged {
        version: 1,
        kind: body.kind(),
        nonce,
        sequence,
        body: body.bytes(),
    }
    .bytes()
}

/// A body of any bytes, to be sent as if it were a message.
pub(crate) fn body(kind: Kind, bytes: &[u8]) -> Body {
    let frame = Forged {
        version: 1,
        kind,
        nonce: 1,
        sequence: 0,
        body: bytes,
    };
    let nonce = Nonce::new(1).expect("not 0");
    let mut buffer = BytesMut::from(&frame.bytes()[..]);
    match Inbound::from(nonce, &Limits::default()).next(&mut buffer) {
        Ok(Some(Received::Body { body, .. })) => body,
        other => panic!("a frame of ours was refused: {other:?}"),
    }
}
