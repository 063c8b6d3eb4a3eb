//! What is asked and answered, as bytes.

use alloc::vec::Vec;

use bytes::BufMut;
use xxhash_rust::xxh3::xxh3_64;

use crate::NodeId;
use crate::membership::Epoch;
use crate::membership::limits::MAX_RETIRED;
use crate::reader::{DecodeError, Reader};
use crate::version::{Boot, Height};

/// What everybody is asked, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Whether all that was retired is on the disk.
    Listed,
    /// Whether of every key all was seen that those wrote.
    Raised,
    /// Which boots are named in clocks.
    Named,
    /// Whether nothing is held for anybody.
    Home,
}

/// What everybody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(super) round: u64,
    pub(super) epoch: Epoch,
    /// How many boots were retired before, and which, as a digest.
    pub(super) height: Height,
    pub(super) listed: u64,
    pub(crate) stage: Stage,
    /// Those that are to be.
    pub(super) boots: Vec<(NodeId, Boot)>,
}

/// What everybody says to that when it is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(super) round: u64,
    pub(super) stage: Stage,
    /// Which life of the node says so.
    pub(super) life: Boot,
    /// Which boots its keys name, if it was asked.
    pub(super) named: Vec<(NodeId, Boot)>,
    /// Under which of its own it may still mint.
    pub(super) living: Vec<Boot>,
}

impl Question {
    pub(super) fn height_after(&self) -> Height {
        Height(self.height.0 + self.boots.len() as u32) // at most MAX_RETIRED
    }

    /// Which it is.
    pub(crate) fn name(&self) -> (u64, Stage) {
        (self.round, self.stage)
    }

    pub(in crate::membership) fn encoded_len(&self) -> usize {
        8 + Epoch::BYTES + 13 + 4 + 16 * self.boots.len() + 8
    }

    pub(in crate::membership) fn encode(&self, out: &mut impl BufMut) {
        out.put_u64(self.round);
        self.epoch.encode(out);
        out.put_u32(self.height.0);
        out.put_u64(self.listed);
        out.put_u8(self.stage as u8);
        put_boots(self.height, &self.boots, out);
    }

    pub(in crate::membership) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let round = reader.u64(WHAT)?;
        let epoch = Epoch::read(reader)?;
        let height = Height(reader.u32(WHAT)?);
        let listed = reader.u64(WHAT)?;
        let stage = stage(reader)?;
        let boots = boots(height, reader)?;
        Ok(Self {
            round,
            epoch,
            height,
            listed,
            stage,
            boots,
        })
    }
}

impl Answer {
    pub(in crate::membership) fn encoded_len(&self) -> usize {
        17 + 4 + 16 * self.named.len() + 8 + 4 + 8 * self.living.len()
    }

    pub(in crate::membership) fn encode(&self, out: &mut impl BufMut) {
        out.put_u64(self.round);
        out.put_u8(self.stage as u8);
        out.put_u64(self.life.0);
        put_boots(Height(0), &self.named, out);
        out.put_u32(self.living.len() as u32); // one or two
        self.living.iter().for_each(|boot| out.put_u64(boot.0));
    }

    pub(in crate::membership) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            round: reader.u64(WHAT)?,
            stage: stage(reader)?,
            life: Boot(reader.u64(WHAT)?),
            named: boots(Height(0), reader)?,
            living: {
                let count = reader.count(8, WHAT)?;
                let living = (0..count).map(|_| reader.u64(WHAT).map(Boot));
                living.collect::<Result<_, _>>()?
            },
        })
    }
}

const WHAT: &str = "retirements";

fn stage(reader: &mut Reader<'_>) -> Result<Stage, DecodeError> {
    let all = [Stage::Listed, Stage::Raised, Stage::Named, Stage::Home];
    let stage = all.get(usize::from(reader.u8(WHAT)?));
    stage.copied().ok_or(DecodeError::Invalid(WHAT))
}

/// Boots, and a sum of them: of these no bit may be wrong.
pub(in crate::membership) fn put_boots(
    first: Height,
    boots: &[(NodeId, Boot)],
    out: &mut impl BufMut,
) {
    out.put_u32(boots.len() as u32); // at most AT_ONCE, or MAX_RETIRED in all
    for (node, boot) in boots {
        out.put_u64(node.0);
        out.put_u64(boot.0);
    }
    out.put_u64(sum(first, boots));
}

pub(in crate::membership) fn boots(
    first: Height,
    reader: &mut Reader<'_>,
) -> Result<Vec<(NodeId, Boot)>, DecodeError> {
    let count = reader.count(16, WHAT)?;
    if count > MAX_RETIRED {
        return Err(DecodeError::Invalid(WHAT));
    }
    let mut boots = Vec::with_capacity(count);
    for _ in 0..count {
        boots.push((NodeId(reader.u64(WHAT)?), Boot(reader.u64(WHAT)?)));
    }
    match reader.u64(WHAT)? == sum(first, &boots) {
        true => Ok(boots),
        false => Err(DecodeError::Invalid(WHAT)),
    }
}

/// The digest of a list that has one more.
pub(super) fn chained(listed: u64, (node, boot): &(NodeId, Boot)) -> u64 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&listed.to_be_bytes());
    bytes[8..16].copy_from_slice(&node.0.to_be_bytes());
    bytes[16..].copy_from_slice(&boot.0.to_be_bytes());
    xxh3_64(&bytes)
}

fn sum(first: Height, boots: &[(NodeId, Boot)]) -> u64 {
    let mut bytes = Vec::with_capacity(4 + 16 * boots.len());
    bytes.put_u32(first.0);
    for (node, boot) in boots {
        bytes.put_u64(node.0);
        bytes.put_u64(boot.0);
    }
    xxh3_64(&bytes)
}
