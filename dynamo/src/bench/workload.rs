//! What is asked for: kinds, keys and values.

use std::str::FromStr;

use bytes::Bytes;
use dynamo_driver::Dice;

use super::keys::{Keys, Skew};

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    Put,
    Delete,
}

/// How much of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mix {
    shares: Vec<(Kind, u32)>,
}

/// A request before anybody has said it.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) kind: Kind,
    pub(super) key: u32,
    pub(super) value: Bytes,
}

/// Draws requests.
#[derive(Debug)]
pub(super) struct Workload {
    mix: Mix,
    keys: Keys,
    /// Values are windows of this.
    noise: Bytes,
    size: usize,
    dice: Dice,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Get, Self::Put, Self::Delete];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

impl Workload {
    pub(super) fn new(mix: Mix, skew: Skew, keys: u32, size: usize, seed: u64) -> Self {
        const WINDOWS: usize = 4096;
        let mut whole = [0; 32];
        whole[..8].copy_from_slice(&seed.to_be_bytes());
        let mut dice = Dice::new(whole);
        let noise: Vec<u8> = (0..size + WINDOWS).map(|_| dice.number() as u8).collect();
        Self {
            mix,
            keys: Keys::new(skew, keys),
            noise: noise.into(),
            size,
            dice,
        }
    }

    pub(super) fn keys(&self) -> u32 {
        self.keys.count()
    }

    pub(super) fn draw(&mut self) -> Wish {
        let kind = self.mix.draw(&mut self.dice);
        let key = self.keys.draw(&mut self.dice);
        self.wish(kind, key)
    }

    /// The first value of a key.
    pub(super) fn first(&mut self, key: u32) -> Wish {
        self.wish(Kind::Put, key)
    }

    fn wish(&mut self, kind: Kind, key: u32) -> Wish {
        let value = match kind {
            Kind::Put => {
                let at = (self.dice.number() % (self.noise.len() - self.size) as u64) as usize;
                self.noise.slice(at..at + self.size)
            }
            Kind::Get | Kind::Delete => Bytes::new(),
        };
        Wish { kind, key, value }
    }

    /// Bytes of a value.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

impl Mix {
    fn draw(&self, dice: &mut Dice) -> Kind {
        let all: u32 = self.shares.iter().map(|(_, share)| share).sum();
        let mut at = (dice.number() % u64::from(all)) as u32;
        for (kind, share) in &self.shares {
            if at < *share {
                return *kind;
            }
            at -= share;
        }
        Kind::Get // shares are not all 0
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "shares of get, put and delete, as get=90,put=10".to_owned();
        let mut shares = Vec::new();
        for item in text.split(',') {
            let (name, share) = item.split_once('=').ok_or_else(wrong)?;
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
            let share: u16 = share.parse().map_err(|_| wrong())?;
            shares.push((kind.ok_or_else(wrong)?, share.into()));
        }
        match shares.iter().any(|(_, share)| *share > 0) {
            true => Ok(Self { shares }),
            false => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_in_their_shares() {
        let mix: Mix = "get=75,put=25".parse().unwrap();
        let mut dice = Dice::new([1; 32]);
        let gets = (0..10_000).filter(|_| mix.draw(&mut dice) == Kind::Get);
        assert!((7200..7800).contains(&gets.count()));
        for wrong in ["", "get", "get=x", "get=0", "fetch=1", "get=1,,put=1"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }
}
