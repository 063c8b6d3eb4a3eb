//! Frames and messages: what a broken or hostile peer sends is refused or understood, in whatever
//! pieces it arrives.

use arbitrary::{Result, Unstructured};
use bytes::{Bytes, BytesMut};
use dynamo_proto::Durability;
use dynamo_proto::version::{Policy, Retirements, Siblings};
use dynamo_proto::wire::{
    Body, Fetched, FrameError, HEADER_BYTES, Inbound, Kind, Message, Nonce, Outbound, Received,
    Ticket,
};
use dynamo_proto::{Key, Limits};

use super::heap::decoded;
use super::histories;
use super::versions::check_encoding;
use crate::wire;

/// Short, so that lengths over it are met.
const FRAME_BYTES: usize = 8192;
const NONCE: u32 = 7;
const KINDS: [u8; 8] = [1, 2, 3, 4, 16, 17, 18, 19];

/// Bytes on a connection: any, or framed as a peer would, with bodies of its own making.
///
/// # Panics
///
/// If the pieces they arrive in matter, if a message is not what its encoding decodes to, or if
/// decoding takes more memory than the bytes justify.
pub fn frames(bytes: &[u8]) {
    let _ = explore(&mut Unstructured::new(bytes)); // bytes that end early say little
}

fn explore(bytes: &mut Unstructured<'_>) -> Result<()> {
    let opening = *bytes.choose(&[Opening::Admitted, Opening::Stranger, Opening::Greeted])?;
    let pieces: [u8; 4] = bytes.arbitrary()?;
    let sent = if bytes.arbitrary()? {
        framed(bytes, opening)?
    } else {
        Bytes::copy_from_slice(bytes.bytes(bytes.len())?)
    };
    let whole = receive(opening, [&sent[..]]);
    assert_eq!(
        receive(opening, cut(&sent, pieces)),
        whole,
        "pieces do not matter"
    );
    Ok(())
}

/// What the receiver knows of the sender at first.
#[derive(Clone, Copy, Debug)]
enum Opening {
    Admitted,
    Stranger,
    Greeted,
}

/// What the receiver makes of a frame.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Body(Kind, Bytes),
    Newer(u8, Kind, u32),
    Stray,
    Broken(FrameError),
}

impl Opening {
    fn inbound(self) -> Inbound {
        match self {
            Self::Admitted => Inbound::from(nonce(), &limits()),
            Self::Stranger => Inbound::from_stranger(),
            Self::Greeted => Inbound::awaiting_welcome(nonce()),
        }
    }

    /// What the first frame is addressed to.
    fn nonce(self) -> u32 {
        match self {
            Self::Stranger => 0,
            Self::Admitted | Self::Greeted => NONCE,
        }
    }
}

/// Reads all that arrives; the first message admits its sender.
fn receive<'a>(opening: Opening, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut inbound = opening.inbound();
    let (mut buffer, mut events, mut held) = (BytesMut::new(), Vec::new(), Siblings::default());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let missing = inbound.missing(&buffer);
            let before = buffer.len();
            let received = match inbound.next(&mut buffer) {
                Ok(Some(received)) => received,
                Ok(None) => {
                    assert!(matches!(missing, Ok(1..=FRAME_BYTES)), "{missing:?}");
                    break;
                }
                Err(error) => {
                    assert!(missing == Ok(0) || missing == Err(error), "{missing:?}");
                    events.push(Event::Broken(error));
                    return events;
                }
            };
            assert_eq!(missing, Ok(0));
            assert!(before - buffer.len() >= HEADER_BYTES);
            events.push(match received {
                Received::Body { body, .. } => {
                    understand(&body, &mut held);
                    inbound.admit(nonce(), &limits());
                    Event::Body(body.kind(), body.bytes().clone())
                }
                Received::OtherVersion {
                    version,
                    kind,
                    sequence,
                } => Event::Newer(version, kind, sequence),
                Received::Stray => Event::Stray,
            });
        }
    }
    events
}

/// Decodes a body; what comes out must be what its encoding decodes to, and a state must be one
/// that a replica can live with.
fn understand(body: &Body, held: &mut Siblings) {
    let Ok(message) = decoded(body.bytes().len(), || Message::decode(body)) else {
        return;
    };
    let again = message.encode();
    assert_eq!(again.kind(), body.kind());
    match message {
        // What later versions may append is not read.
        Message::Hello(_) | Message::Welcome(_) | Message::Refused(_) => {
            assert!(body.bytes().starts_with(again.bytes()));
        }
        _ => assert_eq!(
            again.bytes(),
            body.bytes(),
            "equal messages are equal bytes"
        ),
    }
    assert_eq!(Message::decode(&again).as_ref(), Ok(&message));

    let (mut in_place, mut in_parts) = (BytesMut::new(), BytesMut::new());
    Outbound::to(nonce()).write(&message, &mut in_place);
    Outbound::to(nonce()).write_body(&again, &mut in_parts);
    assert_eq!(in_place, in_parts);

    if let Message::Store { siblings, .. }
    | Message::Fetched {
        outcome: Fetched::Found(siblings),
        ..
    } = message
    {
        let retired = Retirements::default();
        let is_known = siblings.clock().height() <= retired.height();
        assert_eq!(
            held.merge(siblings, Policy::Siblings, &retired).is_ok(),
            is_known
        );
        check_encoding(held);
    }
}

/// Frames with right checksums, now and then out of order, of another connection or a later
/// version.
fn framed(bytes: &mut Unstructured<'_>, opening: Opening) -> Result<Bytes> {
    let states = histories::states(bytes)?;
    let (mut sent, mut due, mut expected) = (BytesMut::new(), 0_u32, opening.nonce());
    while !bytes.is_empty() && sent.len() < 2 * FRAME_BYTES {
        let (mut version, mut nonce, mut sequence) = (1, expected, due);
        match bytes.int_in_range(0..=15_u8)? {
            0 => version = 2,
            1 => nonce = 8,
            2 => sequence = due.wrapping_sub(1),
            3 => sequence = due + 1,
            _ => expected = NONCE,
        }
        if (nonce, sequence) == (nonce, due) {
            due += 1;
        }
        let (kind, body) = if bytes.arbitrary()? {
            bent(message(bytes, &states)?.encode(), bytes)?
        } else {
            (kind(bytes)?, some(bytes)?.to_vec())
        };
        wire::frame(version, kind, nonce, sequence, &body, &mut sent);
    }
    Ok(sent.freeze())
}

fn kind(bytes: &mut Unstructured<'_>) -> Result<Kind> {
    match bytes.choose_index(KINDS.len() + 1)? {
        at if at < KINDS.len() => Ok(Kind(KINDS[at])),
        _ => bytes.arbitrary().map(Kind),
    }
}

/// A request or answer as a replica would send it.
fn message(bytes: &mut Unstructured<'_>, states: &[Siblings]) -> Result<Message> {
    let ticket = Ticket(bytes.arbitrary::<u8>()?.into());
    let siblings = bytes.choose(states)?.clone();
    let key = Key::new("t", "carts", "alice", &limits()).expect("a short key");
    let durability = Durability::Flushed;
    Ok(match bytes.int_in_range(0..=3_u8)? {
        0 => Message::Store {
            epoch: Default::default(),
            ticket,
            durability,
            held_for: None,
            is_repair: false,
            key,
            siblings,
        },
        1 => Message::Fetched {
            ticket,
            outcome: Fetched::Found(siblings),
        },
        2 => Message::Fetch {
            epoch: Default::default(),
            ticket,
            held_for: None,
            key,
        },
        _ => Message::Stored { ticket, durability },
    })
}

/// The body with a few bytes changed, cut off or appended.
fn bent(body: Body, bytes: &mut Unstructured<'_>) -> Result<(Kind, Vec<u8>)> {
    let mut bent = body.bytes().to_vec();
    for _ in 0..bytes.int_in_range(0..=3_u8)? {
        let at = bytes.choose_index(bent.len())?;
        bent[at] = bytes.arbitrary()?;
    }
    match bytes.int_in_range(0..=7_u8)? {
        0 => bent.truncate(bytes.choose_index(bent.len())?),
        1 => bent.extend_from_slice(some(bytes)?),
        _ => {}
    }
    Ok((body.kind(), bent))
}

fn some<'a>(bytes: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let len = bytes.int_in_range(0..=1023_usize)?;
    bytes.bytes(len.min(bytes.len()))
}

fn cut(sent: &[u8], pieces: [u8; 4]) -> Vec<&[u8]> {
    let mut lengths = pieces.into_iter().cycle().map(|len| usize::from(len) + 1);
    let (mut rest, mut cut) = (sent, Vec::new());
    while !rest.is_empty() {
        let len = lengths.next().map_or(rest.len(), |len| len.min(rest.len()));
        let (piece, after) = rest.split_at(len);
        cut.push(piece);
        rest = after;
    }
    cut
}

fn nonce() -> Nonce {
    Nonce::new(NONCE).expect("not 0")
}

fn limits() -> Limits {
    Limits {
        frame_bytes: FRAME_BYTES,
        ..Limits::default()
    }
}
