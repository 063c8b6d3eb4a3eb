//! A HyperLogLog: of each of many parts of all elements, the longest run of zeros among their
//! hashes.
//!
//! Written down as the registers that are not 0, each with its number, or, if that would be longer,
//! as all of them, a byte each. The estimate is Ertl's ("New cardinality estimation algorithms for
//! HyperLogLog sketches", 2017), which needs no table of corrections.

use alloc::vec;
use alloc::vec::Vec;

use xxhash_rust::xxh3::xxh3_64;

const INDEX_BITS: u32 = 14;
const REGISTERS: usize = 1 << INDEX_BITS;

/// The highest rank: what is left of a hash.
const MOST: u8 = (u64::BITS - INDEX_BITS) as u8;

/// A register that is listed: its number and its rank.
const LISTED: usize = 3;

/// With more than so many, all are written down.
const MOST_LISTED: usize = REGISTERS / LISTED;

pub(super) struct Sketch {
    ranks: Vec<u8>,
}

impl Sketch {
    pub(super) fn new() -> Self {
        Self {
            ranks: vec![0; REGISTERS],
        }
    }

    /// Takes in one that was written down.
    pub(super) fn merge(&mut self, payload: &[u8]) {
        let mut rise = |at: usize, rank: u8| {
            if let Some(ours) = self.ranks.get_mut(at) {
                *ours = rank.max(*ours);
            }
        };
        if payload.len() == REGISTERS {
            payload
                .iter()
                .enumerate()
                .for_each(|(at, rank)| rise(at, *rank));
        } else {
            for [high, low, rank] in payload.as_chunks().0 {
                rise(u16::from_be_bytes([*high, *low]).into(), *rank);
            }
        }
    }

    /// Adds an element. Returns whether that changed anything.
    pub(super) fn add(&mut self, element: &[u8]) -> bool {
        let hash = xxh3_64(element);
        let at = (hash >> (u64::BITS - INDEX_BITS)) as usize;
        let rank = ((hash << INDEX_BITS).leading_zeros() as u8 + 1).min(MOST);
        let is_news = self.ranks[at] < rank;
        self.ranks[at] = rank.max(self.ranks[at]);
        is_news
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let risen = self.ranks.iter().filter(|rank| **rank > 0).count();
        if risen > MOST_LISTED {
            return self.ranks.clone();
        }
        let mut payload = Vec::with_capacity(LISTED * risen);
        for (at, rank) in self.ranks.iter().enumerate().filter(|(_, rank)| **rank > 0) {
            payload.extend_from_slice(&(at as u16).to_be_bytes());
            payload.push(*rank);
        }
        payload
    }

    /// About how many different elements were added.
    pub(super) fn estimate(&self) -> u64 {
        const HALF_PER_LN_2: f64 = 0.5 / core::f64::consts::LN_2;
        let mut counts = [0_u32; MOST as usize + 1];
        for rank in &self.ranks {
            counts[usize::from(*rank)] += 1;
        }
        let registers = REGISTERS as f64;
        let ranked = counts[1..].iter().rev();
        let sum = ranked.fold(0.0, |sum, count| 0.5 * (sum + f64::from(*count)));
        let sum = sum + registers * sigma(f64::from(counts[0]) / registers);
        (HALF_PER_LN_2 * registers * registers / sum + 0.5) as u64 // 0 where the sum is infinite
    }
}

/// Ertl's correction for registers that are still 0, of which this is the share.
fn sigma(share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let next = sum + power * weight;
        if next <= sum {
            return sum;
        }
        (sum, weight) = (next, 2.0 * weight);
    }
}

/// Whether these bytes are what a sketch is written down as.
pub(super) fn is_sound(payload: &[u8]) -> bool {
    let is_rank = |rank: u8| (1..=MOST).contains(&rank);
    if payload.len() == REGISTERS {
        let risen = payload.iter().filter(|rank| **rank > 0).count();
        return risen > MOST_LISTED && payload.iter().all(|rank| *rank <= MOST);
    }
    let (listed, rest) = payload.as_chunks();
    let at = |[high, low, _]: &[u8; LISTED]| u16::from_be_bytes([*high, *low]);
    rest.is_empty()
        && (1..=MOST_LISTED).contains(&listed.len())
        && listed.is_sorted_by(|one, next| at(one) < at(next))
        && listed
            .iter()
            .all(|it| usize::from(at(it)) < REGISTERS && is_rank(it[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_close() {
        let mut sketch = Sketch::new();
        assert_eq!(sketch.estimate(), 0);
        let mut added = 0_u64;
        for (count, most) in [
            (1, 0),
            (10, 0),
            (1000, 20),
            (100_000, 2500),
            (500_000, 12_500),
        ] {
            while added < count {
                sketch.add(&added.to_be_bytes());
                added += 1;
            }
            let off = sketch.estimate().abs_diff(count);
            assert!(off <= most, "{count} elements are estimated {off} off");
        }
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let mut sketch = Sketch::new();
        for element in 0..40_000_u32 {
            sketch.add(&element.to_be_bytes());
            if [0, 100, 5460, 39_999].contains(&element) {
                let payload = sketch.encode();
                assert!(is_sound(&payload));
                let mut again = Sketch::new();
                again.merge(&payload);
                assert_eq!(again.ranks, sketch.ranks);
            }
        }
        assert_eq!(sketch.encode().len(), REGISTERS);
    }
}
