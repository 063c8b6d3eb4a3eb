//! Which key comes next.

use std::str::FromStr;

use dynamo_driver::Dice;

/// How unevenly keys are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Skew {
    Uniform,
    /// The more often asked for the smaller its rank, by this exponent.
    Zipf(f64),
}

/// Draws keys by their numbers.
#[derive(Debug)]
pub(super) struct Keys {
    count: u32,
    zipf: Option<Zipf>,
}

/// The way of Gray and others, "Quickly generating billion-record synthetic databases" (1994): one
/// draw, no table.
#[derive(Debug)]
struct Zipf {
    count: f64,
    exponent: f64,
    alpha: f64,
    zeta: f64,
    eta: f64,
}

impl Keys {
    pub(super) fn new(skew: Skew, count: u32) -> Self {
        let zipf = match skew {
            Skew::Zipf(exponent) => Some(Zipf::new(exponent, count)),
            Skew::Uniform => None,
        };
        Self { count, zipf }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn draw(&self, dice: &mut Dice) -> u32 {
        match &self.zipf {
            None => (dice.number() % u64::from(self.count)) as u32,
            // Neighbours in rank are no neighbours by name.
            Some(zipf) => {
                let rank = zipf.rank(fraction(dice));
                (mixed(rank) % u64::from(self.count)) as u32
            }
        }
    }
}

impl Zipf {
    fn new(exponent: f64, count: u32) -> Self {
        let zeta = |most: u32| -> f64 {
            let terms = (1..=most).map(|rank| f64::from(rank).powf(-exponent));
            terms.sum()
        };
        let (all, two) = (zeta(count), zeta(2));
        let count = f64::from(count);
        Self {
            count,
            exponent,
            alpha: 1.0 / (1.0 - exponent),
            zeta: all,
            eta: (1.0 - (2.0 / count).powf(1.0 - exponent)) / (1.0 - two / all),
        }
    }

    /// The most frequent one is 0.
    fn rank(&self, fraction: f64) -> u64 {
        let scaled = fraction * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(self.exponent) {
            return 1;
        }
        let rank = self.count * (self.eta * fraction - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.count as u64 - 1)
    }
}

/// At random from 0 to just below 1.
pub(super) fn fraction(dice: &mut Dice) -> f64 {
    (dice.number() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The finish of SplitMix64: every bit of the number moves every other.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl FromStr for Skew {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "uniform" {
            return Ok(Self::Uniform);
        }
        let exponent = text.strip_prefix("zipf=").and_then(|it| it.parse().ok());
        match exponent {
            Some(exponent) if exponent > 0.0 && exponent < 1.0 => Ok(Self::Zipf(exponent)),
            _ => Err("uniform, or zipf=S with S above 0 and below 1, as zipf=0.99".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_fall_off_as_they_should() {
        let (count, draws) = (1000, 400_000);
        let zipf = Zipf::new(0.99, count);
        let mut dice = Dice::new([1; 32]);
        let mut drawn = vec![0_u32; count as usize];
        for _ in 0..draws {
            drawn[zipf.rank(fraction(&mut dice)) as usize] += 1;
        }
        for rank in [0_u32, 1, 9, 99] {
            let expected = f64::from(rank + 1).powf(-0.99) / zipf.zeta * f64::from(draws);
            let found = f64::from(drawn[rank as usize]);
            assert!(
                (found / expected - 1.0).abs() < 0.25,
                "{rank}: {found} of {expected}"
            );
        }
    }

    #[test]
    fn few_keys_are_enough() {
        let mut dice = Dice::new([1; 32]);
        for skew in [Skew::Uniform, Skew::Zipf(0.5)] {
            for count in 1..4 {
                let keys = Keys::new(skew, count);
                assert!((0..1000).all(|_| keys.draw(&mut dice) < count));
            }
        }
    }
}
