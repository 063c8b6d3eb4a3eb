//! What a broken or hostile peer sends: it is understood or ends the connection, and costs no more
//! memory than is allowed.

use allocation_counter::measure;
use dynamo_driver::{Connection, Event};
use dynamo_proto::Limits;
use dynamo_proto::wire::{HEADER_BYTES, Kind};
use proptest::prelude::*;

use crate::forge::Forged;
use crate::world::{OUTGOING_BYTES, TO_ACCEPTER, TO_DIALER, accept, dial, messages, pair, written};

const FRAME_BYTES: usize = 64 << 10;

/// A frame and a read, in a buffer that may have grown to twice that while the one before it is
/// still there, and a message, which may take four times its bytes.
const MEMORY: u64 = 8 * FRAME_BYTES as u64;

fn limits() -> Limits {
    Limits {
        frame_bytes: FRAME_BYTES,
        ..Limits::default()
    }
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Dialing,
    Accepting,
    Open,
}

impl Side {
    fn connection(self) -> Connection {
        match self {
            Self::Dialing => dial(limits()),
            Self::Accepting => accept(limits()),
            Self::Open => pair(limits()).1,
        }
    }

    /// What its first frame must carry.
    fn expects(self) -> (u32, u32) {
        match self {
            Self::Dialing => (TO_DIALER, 0),
            Self::Accepting => (0, 0),
            Self::Open => (TO_ACCEPTER, 1),
        }
    }
}

fn sides() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Dialing), Just(Side::Accepting), Just(Side::Open)]
}

/// Feeds bytes in pieces and forgets what they mean; how many events they made.
fn withstand(connection: &mut Connection, bytes: &[u8], piece: usize) -> usize {
    let mut events = 0;
    for mut piece in bytes.chunks(piece) {
        while !piece.is_empty() {
            connection.receive(&mut piece);
            while let Ok(Some(event)) = connection.poll() {
                events += 1;
                if matches!(event, Event::Established(_)) {
                    let _ = written(connection);
                }
            }
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_bytes_are_withstood(
        side in sides(),
        len in 0..=70_000_u32,
        announces in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        times in 1..40_usize,
        piece in 1..20_000_usize,
    ) {
        let mut connection = side.connection();
        let mut sent = if announces { len.to_be_bytes().to_vec() } else { Vec::new() };
        sent.extend(bytes.repeat(times));
        let used = measure(|| { withstand(&mut connection, &sent, piece); });
        prop_assert!(used.bytes_max <= MEMORY, "{:?}", used);
    }

    #[test]
    fn any_bodies_are_withstood(
        side in sides(),
        bodies in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 1..40),
        piece in 1..20_000_usize,
        flood in any::<bool>(),
    ) {
        let mut connection = side.connection();
        let (nonce, first) = side.expects();
        let mut sent = Vec::new();
        for (sequence, (kind, body)) in (first..).zip(&bodies) {
            // Known kinds more often than not.
            let kind = if kind % 4 == 0 || flood { *kind } else { [1, 2, 3, 4, 16, 17, 18, 19, 20, 32, 33][usize::from(kind % 11)] };
            sent.extend(Forged { version: 1, kind: Kind(kind), nonce, sequence, body }.bytes());
        }
        let used = measure(|| { withstand(&mut connection, &sent, piece); });
        prop_assert!(used.bytes_max <= MEMORY, "{:?}", used);
        prop_assert!(connection.waiting().bytes <= OUTGOING_BYTES);
    }

    #[test]
    fn bent_messages_are_withstood(
        message in messages(),
        cut in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
        piece in 1..20_000_usize,
    ) {
        let encoded = message.encode();
        let mut body = encoded.bytes().to_vec();
        let bit = flip.index(body.len() * 8);
        body[bit / 8] ^= 1 << (bit % 8);
        body.truncate(cut.index(body.len()) + 1);
        let sent = Forged { version: 1, kind: encoded.kind(), nonce: TO_ACCEPTER, sequence: 1, body: &body }.bytes();
        let mut connection = Side::Open.connection();
        let mut events = 0;
        let used = measure(|| events = withstand(&mut connection, &sent, piece));
        prop_assert!(used.bytes_max <= MEMORY, "{:?}", used);
        prop_assert!(events <= 1 && sent.len() >= HEADER_BYTES);
    }
}
