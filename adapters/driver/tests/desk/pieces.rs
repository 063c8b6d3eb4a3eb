//! Bytes as a network and hostile clients deliver them.

use allocation_counter::measure;
use dynamo_driver::Dice;
use dynamo_driver::front::Goodbye;

use super::World;

const INPUTS: usize = 100_000;

pub(crate) fn below(dice: &mut Dice, most: usize) -> usize {
    (dice.number() % most as u64) as usize
}

/// A few bytes changed, cut, doubled or made up.
pub(crate) fn bend(bytes: &mut Vec<u8>, snippets: &[&[u8]], dice: &mut Dice) {
    for _ in 0..below(dice, 4) {
        let at = below(dice, bytes.len());
        match below(dice, 4) {
            0 => bytes[at] = dice.number() as u8,
            1 => bytes.truncate(at.max(1)),
            2 => {
                let snippet = snippets[below(dice, snippets.len())];
                bytes.splice(at..at, snippet.iter().copied());
            }
            _ => {
                let again = bytes[..at].to_vec();
                bytes.extend(again);
            }
        }
    }
}

/// A hundred thousand connections, to each of which that is said: none takes more than `once` and so
/// many times its bytes.
pub(crate) fn withstand_malformed(
    seed: [u8; 32],
    once: usize,
    connect: fn() -> World,
    bent: fn(&mut Dice) -> Vec<u8>,
) {
    let mut dice = Dice::new(seed);
    let (mut ended, mut answered) = (0, 0);
    for _ in 0..INPUTS {
        let bytes = bent(&mut dice);
        let piece = 1 + below(&mut dice, bytes.len());
        let mut world = connect();
        let used = measure(|| {
            for piece in bytes.chunks(piece) {
                if world.feed(piece).is_err() {
                    ended += 1;
                    break;
                }
            }
        });
        assert!(
            used.bytes_max <= (once + 64 * bytes.len()) as u64,
            "{used:?}: {}",
            bytes.escape_ascii()
        );
        answered += usize::from(!world.out.is_empty());
    }
    // Both ends of the scale are met, so neither is vacuous.
    assert!(
        ended > INPUTS / 20 && answered > INPUTS / 2,
        "{ended} ended, {answered} answered"
    );
}

/// What comes back when the bytes arrive in pieces of these lengths, again and again.
pub(crate) fn in_pieces(
    mut world: World,
    bytes: &[u8],
    lengths: &[usize],
) -> (Vec<u8>, Option<Goodbye>) {
    let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(lengths.next().copied().unwrap_or(1).min(rest.len()));
        if let Err(goodbye) = world.feed(piece) {
            return (world.out.to_vec(), Some(goodbye));
        }
        rest = after;
    }
    (world.out.to_vec(), None)
}
