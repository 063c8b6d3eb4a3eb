//! RESP, HTTP and what clients of Riak speak: what a broken or hostile client sends is refused or understood, in whatever
//! pieces it arrives, and costs no more than its bytes.

use allocation_counter::measure;
use arbitrary::{Result, Unstructured};
use dynamo_driver::front::{Front, Goodbye};
use dynamo_driver::http::Http;
use dynamo_driver::resp::Resp;
use dynamo_driver::riak::Riak;
use dynamo_proto::version::Policy;

use self::desk::World;

#[path = "../../../adapters/driver/tests/desk/mod.rs"]
mod desk;

/// Memory for each byte that arrives: the shortest commands have answers much longer than they are.
const PER_BYTE: usize = 1024;

/// Memory besides: the longest answer to one question is a page of the ring.
const ONCE: usize = 2 << 20;

/// What a client says in RESP.
///
/// # Panics
///
/// If the pieces it arrives in matter, if an answer is kept back for nothing, or if it takes more
/// memory than the bytes justify.
pub fn resp(bytes: &[u8]) {
    let _ = explore(&mut Unstructured::new(bytes), Resp::new); // bytes that end early say little
}

/// What a client says in HTTP.
///
/// # Panics
///
/// As [`resp`].
pub fn http(bytes: &[u8]) {
    let _ = explore(&mut Unstructured::new(bytes), Http::new);
}

/// What a client of Riak says.
///
/// # Panics
///
/// As [`resp`].
pub fn riak(bytes: &[u8]) {
    let _ = explore(&mut Unstructured::new(bytes), Riak::new);
}

fn explore<F: Front + 'static>(bytes: &mut Unstructured<'_>, front: fn() -> F) -> Result<()> {
    let pieces: [u8; 4] = bytes.arbitrary()?;
    let policy = match bytes.arbitrary()? {
        true => Policy::Siblings,
        false => desk::last_write_wins(),
    };
    let sent = bytes.bytes(bytes.len())?;
    let mut whole = None;
    let used = measure(|| whole = Some(converse(World::new(front(), policy), [sent])));
    let justified = PER_BYTE * sent.len() + ONCE;
    assert!(used.bytes_max <= justified as u64, "{used:?}");
    let in_pieces = converse(World::new(front(), policy), cut(sent, pieces));
    assert_eq!(Some(in_pieces), whole, "pieces do not matter");
    Ok(())
}

/// What comes back, and how it ends if it does.
fn converse<'a>(
    mut world: World,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Option<Goodbye>) {
    for piece in pieces {
        let mut fed = world.feed(piece);
        while fed.is_ok() && !world.commands.is_empty() {
            fed = world.administer(Ok(serde_json::Value::Null));
            fed = fed.and_then(|()| world.feed([]));
        }
        if let Err(goodbye) = fed {
            return (world.out.to_vec(), Some(goodbye));
        }
        assert!(world.asks.is_empty());
        assert_eq!(world.front.kept_back(), 0, "all is answered");
    }
    (world.out.to_vec(), None)
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
