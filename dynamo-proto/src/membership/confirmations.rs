//! How far everybody whose word counts has come with the current epoch: a bit for each, and step.

use alloc::vec::Vec;

use bytes::BufMut;
use xxhash_rust::xxh3::xxh3_64;

use super::{CommitId, Epoch, State};
use crate::NodeId;
use crate::reader::{DecodeError, Reader};

/// What a node says of an epoch. Each says so only when all have said what comes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// It is on my disk.
    Known,
    /// I hold all that I am on duty for.
    Moved,
    /// I read by its ring, and that is on my disk.
    Switched,
}

/// One bit for everybody present in an epoch, in the order of ids, for each step. Only ever more of
/// them are set, until the epoch changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Confirmations {
    steps: Steps,
    /// How many bits there are.
    present: usize,
}

/// The bits as they travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps([Vec<u64>; 3]);

impl Confirmations {
    /// Nobody has confirmed yet.
    pub(super) fn of(state: &State) -> Self {
        let present = state.present().count();
        Self {
            steps: Steps::default(),
            present,
        }
    }

    /// That node has taken that step.
    pub(super) fn confirm(&mut self, step: Step, node: NodeId, state: &State) {
        if let Some(at) = state.present().position(|it| it == node) {
            let bits = &mut self.steps.0[step as usize];
            bits.resize(self.present.div_ceil(64), 0);
            bits[at / 64] |= 1 << (at % 64);
        }
    }

    /// Whether that node has taken it, as far as is known.
    pub(super) fn has(&self, step: Step, node: NodeId, state: &State) -> bool {
        let at = state.present().position(|it| it == node);
        at.is_some_and(|at| {
            let word = self.steps.0[step as usize].get(at / 64);
            word.is_some_and(|word| word & (1 << (at % 64)) != 0)
        })
    }

    /// Adds what somebody else knows of the same epoch.
    pub(super) fn merge(&mut self, other: &Steps) {
        let words = self.present.div_ceil(64);
        let last = (self.present % 64) as u32;
        for (ours, theirs) in self.steps.0.iter_mut().zip(&other.0) {
            // Of another length, it speaks of something else.
            if theirs.len() != words {
                continue;
            }
            ours.resize(words, 0);
            for (at, (ours, theirs)) in ours.iter_mut().zip(theirs).enumerate() {
                let is_last = at + 1 == words && last > 0;
                let mask = if is_last { (1 << last) - 1 } else { u64::MAX };
                *ours |= theirs & mask;
            }
        }
    }

    /// Whether it knows something that those do not.
    pub(super) fn exceeds(&self, other: &Steps) -> bool {
        let mut steps = self.steps.0.iter().zip(&other.0);
        steps.any(|(ours, theirs)| {
            let theirs = theirs.iter().copied().chain(core::iter::repeat(0));
            ours.iter()
                .zip(theirs)
                .any(|(ours, theirs)| ours & !theirs != 0)
        })
    }

    pub(super) fn is_complete(&self, step: Step) -> bool {
        self.count(step) == self.present
    }

    /// How many have taken it.
    pub(super) fn count(&self, step: Step) -> usize {
        let bits = self.steps.0[step as usize].iter();
        bits.map(|it| it.count_ones() as usize).sum()
    }

    /// How many there are.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    pub(super) fn steps(&self) -> &Steps {
        &self.steps
    }

    pub(super) fn digest(&self, epoch: Epoch, switched: &[CommitId]) -> u64 {
        let mut bytes = Vec::with_capacity(self.steps.encoded_len() + Epoch::BYTES);
        epoch.encode(&mut bytes);
        self.steps.encode(&mut bytes);
        switched.iter().for_each(|head| bytes.put_u128(head.0));
        xxh3_64(&bytes)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let words: usize = self.steps.0.iter().map(Vec::capacity).sum();
        words * size_of::<u64>()
    }
}

impl Steps {
    pub(super) fn encoded_len(&self) -> usize {
        self.0.iter().map(|bits| 4 + 8 * bits.len()).sum()
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        for bits in &self.0 {
            out.put_u32(bits.len() as u32); // fits: a bit for each of at most MAX_MEMBERS, and who leaves
            bits.iter().for_each(|word| out.put_u64(*word));
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut steps = Self::default();
        for bits in &mut steps.0 {
            let count = reader.count(8, "confirmations")?;
            let words = (0..count).map(|_| reader.u64("confirmations"));
            *bits = words.collect::<Result<_, _>>()?;
        }
        Ok(steps)
    }
}
