//! What nodes tell each other about their cluster, as bytes.
//!
//! ```text
//!   one of them, every second          the other
//!   Digest        ------------------>  the same: nothing
//!                 <------------------  Locate    what I know, at doubling distances back
//!   Commits       ------------------>            what you lack
//!   Locate        ------------------>            what I know, if you knew more
//!                 <------------------  Commits
//!                 <------------------  Sums      of parts of the roster
//!   Versions      ------------------>            of the parts that differ
//!                 <------------------  Records   that are newer, and whose I want
//!   Records       ------------------>
//!   Confirmed     <----------------->            bits
//!                 <------------------  Retired   what follows, if the other's list is longer
//!
//!   Ask --> Answer, of whoever leads when boots are retired
//!   Ping --> Pong; Reach --> Ping --> Pong --> Pong by way of another
//! ```
//!
//! Any of these may be lost, doubled or late.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes};

use super::commit::{Birth, Commit, NAMED_HEAD, put_named, read_named};
use super::confirmations::Steps;
use super::limits::{MAX_BUCKETS, MAX_HEADS, MAX_LOCATED, MAX_PARENTS, MAX_RECORDS, MAX_VERSIONS};
use super::retiring::{Answer, Question, boots, put_boots};
use super::roster::{Alarm, LEAST_TOLD, Told, Version};
use super::{CommitId, Epoch};
use crate::reader::{DecodeError, Reader};
use crate::version::{Boot, Height};
use crate::{Generation, NodeId};

/// A message about membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gossip(pub(super) Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Digest {
        epoch: Epoch,
        heads: Vec<CommitId>,
        roster: u64,
        confirmed: u64,
        retired: Height,
    },
    Locate {
        names: Vec<CommitId>,
        is_answer: bool,
    },
    Birth(Arc<Birth>),
    Commits {
        commits: Vec<Arc<Commit>>,
        has_more: bool,
    },
    Confirmed {
        epoch: Epoch,
        steps: Steps,
        /// The heads of the last epoch that all have switched to.
        switched: Vec<CommitId>,
        is_answer: bool,
    },
    /// Boots that were retired, after so many others.
    Retired {
        first: Height,
        boots: Vec<(NodeId, Boot)>,
    },
    Ask(Question),
    Answer(Answer),
    Sums(Vec<u64>),
    Versions {
        buckets: usize,
        parts: Vec<u16>,
        versions: Vec<Version>,
    },
    Records {
        told: Vec<Told>,
        wanted: Vec<NodeId>,
    },
    Ping {
        asker: NodeId,
        number: u32,
        doubt: Alarm,
    },
    Pong {
        asker: NodeId,
        subject: NodeId,
        number: u32,
        generation: Generation,
        alarm: Alarm,
    },
    Reach {
        subject: NodeId,
        number: u32,
    },
}

const DIGEST: u8 = 1;
const LOCATE: u8 = 2;
const BIRTH: u8 = 3;
const COMMITS: u8 = 4;
const CONFIRMED: u8 = 5;
const SUMS: u8 = 6;
const VERSIONS: u8 = 7;
const RECORDS: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const REACH: u8 = 11;
const RETIRED: u8 = 12;
const ASK: u8 = 13;
const ANSWER: u8 = 14;

impl Gossip {
    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut impl BufMut) {
        match &self.0 {
            Kind::Digest {
                epoch,
                heads,
                roster,
                confirmed,
                retired,
            } => {
                out.put_u8(DIGEST);
                epoch.encode(out);
                out.put_u8(heads.len() as u8); // fits: at most MAX_HEADS
                put_names(heads, out);
                out.put_u64(*roster);
                out.put_u64(*confirmed);
                out.put_u32(retired.0);
            }
            Kind::Locate { names, is_answer } => {
                out.put_slice(&[LOCATE, u8::from(*is_answer), names.len() as u8]); // MAX_LOCATED
                put_names(names, out);
            }
            Kind::Birth(birth) => {
                out.put_u8(BIRTH);
                put_named(birth.id(), birth.encoded_len(), out, |out| {
                    birth.encode(out)
                });
            }
            Kind::Commits { commits, has_more } => {
                out.put_slice(&[COMMITS, u8::from(*has_more)]);
                out.put_u32(commits.len() as u32); // fits: bounded by COMMITS_BYTES
                for commit in commits {
                    put_named(commit.id(), commit.encoded_len(), out, |out| {
                        commit.encode(out);
                    });
                }
            }
            Kind::Confirmed {
                epoch,
                steps,
                switched,
                is_answer,
            } => {
                out.put_slice(&[CONFIRMED, u8::from(*is_answer)]);
                epoch.encode(out);
                steps.encode(out);
                out.put_u8(switched.len() as u8); // fits: at most MAX_PARENTS
                put_names(switched, out);
            }
            Kind::Retired { first, boots } => {
                out.put_u8(RETIRED);
                out.put_u32(first.0);
                put_boots(*first, boots, out);
            }
            Kind::Ask(question) => {
                out.put_u8(ASK);
                question.encode(out);
            }
            Kind::Answer(answer) => {
                out.put_u8(ANSWER);
                answer.encode(out);
            }
            Kind::Sums(sums) => {
                out.put_u8(SUMS);
                out.put_u16(sums.len() as u16); // fits: at most MAX_BUCKETS
                sums.iter().for_each(|sum| out.put_u64(*sum));
            }
            Kind::Versions {
                buckets,
                parts,
                versions,
            } => {
                out.put_u8(VERSIONS);
                out.put_u16(*buckets as u16); // fits, and so do the parts
                out.put_u16(parts.len() as u16);
                parts.iter().for_each(|part| out.put_u16(*part));
                out.put_u32(versions.len() as u32); // fits: at most MAX_MEMBERS and newcomers
                versions.iter().for_each(|version| version.encode(out));
            }
            Kind::Records { told, wanted } => {
                out.put_u8(RECORDS);
                out.put_u16(told.len() as u16); // fits: at most MAX_RECORDS
                told.iter().for_each(|told| told.encode(out));
                out.put_u16(wanted.len() as u16); // the same
                wanted.iter().for_each(|node| out.put_u64(node.0));
            }
            Kind::Ping {
                asker,
                number,
                doubt,
            } => {
                out.put_u8(PING);
                out.put_u64(asker.0);
                out.put_u32(*number);
                put_alarm(doubt, out);
            }
            Kind::Pong {
                asker,
                subject,
                number,
                generation,
                alarm,
            } => {
                out.put_u8(PONG);
                out.put_u64(asker.0);
                out.put_u64(subject.0);
                out.put_u32(*number);
                out.put_u64(generation.0);
                put_alarm(alarm, out);
            }
            Kind::Reach { subject, number } => {
                out.put_u8(REACH);
                out.put_u64(subject.0);
                out.put_u32(*number);
            }
        }
    }

    /// How many bytes [`encode`](Self::encode) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match &self.0 {
            Kind::Digest { heads, .. } => 22 + Epoch::BYTES + 16 * heads.len(),
            Kind::Locate { names, .. } => 3 + 16 * names.len(),
            Kind::Birth(birth) => 1 + NAMED_HEAD + birth.encoded_len(),
            Kind::Commits { commits, .. } => {
                let commits = commits.iter().map(|it| NAMED_HEAD + it.encoded_len());
                6 + commits.sum::<usize>()
            }
            Kind::Confirmed {
                steps, switched, ..
            } => 3 + Epoch::BYTES + steps.encoded_len() + 16 * switched.len(),
            Kind::Retired { boots, .. } => 17 + 16 * boots.len(),
            Kind::Ask(question) => 1 + question.encoded_len(),
            Kind::Answer(answer) => 1 + answer.encoded_len(),
            Kind::Sums(sums) => 3 + 8 * sums.len(),
            Kind::Versions {
                parts, versions, ..
            } => 9 + 2 * parts.len() + Version::BYTES * versions.len(),
            Kind::Records { told, wanted } => {
                5 + told.iter().map(Told::encoded_len).sum::<usize>() + 8 * wanted.len()
            }
            Kind::Ping { .. } => 25,
            Kind::Pong { .. } => 41,
            Kind::Reach { .. } => 13,
        }
    }

    /// The message whose bytes these are.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let reader = &mut Reader::new(bytes);
        let what = "a message about membership";
        let kind = match reader.u8(what)? {
            DIGEST => {
                let epoch = Epoch::read(reader)?;
                let heads = reader.u8(what)?.into();
                Kind::Digest {
                    epoch,
                    heads: names(reader, heads, MAX_HEADS)?,
                    roster: reader.u64(what)?,
                    confirmed: reader.u64(what)?,
                    retired: Height(reader.u32(what)?),
                }
            }
            LOCATE => {
                let is_answer = reader.bool(what)?;
                let count = reader.u8(what)?.into();
                Kind::Locate {
                    names: names(reader, count, MAX_LOCATED)?,
                    is_answer,
                }
            }
            BIRTH => Kind::Birth(Arc::new(read_named(reader, "a birth", Birth::read)?.1)),
            COMMITS => {
                let has_more = reader.bool(what)?;
                let commits = (0..reader.count(NAMED_HEAD, what)?)
                    .map(|_| Ok(Arc::new(read_named(reader, "a commit", Commit::read)?.1)))
                    .collect::<Result<_, _>>()?;
                Kind::Commits { commits, has_more }
            }
            CONFIRMED => {
                let is_answer = reader.bool(what)?;
                let epoch = Epoch::read(reader)?;
                let steps = Steps::read(reader)?;
                let count = reader.u8(what)?.into();
                Kind::Confirmed {
                    epoch,
                    steps,
                    switched: names(reader, count, MAX_PARENTS)?,
                    is_answer,
                }
            }
            RETIRED => {
                let first = Height(reader.u32(what)?);
                let boots = boots(first, reader)?;
                Kind::Retired { first, boots }
            }
            ASK => Kind::Ask(Question::read(reader)?),
            ANSWER => Kind::Answer(Answer::read(reader)?),
            SUMS => {
                let count = u16::from_be_bytes(reader.array(what)?).into();
                if count == 0 || count > MAX_BUCKETS {
                    return Err(DecodeError::Invalid(what));
                }
                let sums = (0..count).map(|_| reader.u64(what));
                Kind::Sums(sums.collect::<Result<_, _>>()?)
            }
            VERSIONS => read_versions(reader)?,
            RECORDS => {
                let count = bounded(u16::from_be_bytes(reader.array(what)?), MAX_RECORDS)?;
                if count * LEAST_TOLD > reader.remaining() {
                    return Err(DecodeError::Truncated(what));
                }
                let told = (0..count).map(|_| Told::read(reader));
                let told = told.collect::<Result<_, _>>()?;
                let count = bounded(u16::from_be_bytes(reader.array(what)?), MAX_RECORDS)?;
                let wanted = (0..count).map(|_| reader.u64(what).map(NodeId));
                Kind::Records {
                    told,
                    wanted: wanted.collect::<Result<_, _>>()?,
                }
            }
            PING => Kind::Ping {
                asker: NodeId(reader.u64(what)?),
                number: reader.u32(what)?,
                doubt: alarm(reader)?,
            },
            PONG => Kind::Pong {
                asker: NodeId(reader.u64(what)?),
                subject: NodeId(reader.u64(what)?),
                number: reader.u32(what)?,
                generation: Generation(reader.u64(what)?),
                alarm: alarm(reader)?,
            },
            REACH => Kind::Reach {
                subject: NodeId(reader.u64(what)?),
                number: reader.u32(what)?,
            },
            _ => return Err(DecodeError::Invalid(what)),
        };
        if reader.remaining() > 0 {
            return Err(DecodeError::Trailing(reader.remaining()));
        }
        Ok(Self(kind))
    }

    /// Whether it is about what was decided, and not about nodes.
    pub(super) fn is_of_history(&self) -> bool {
        matches!(
            self.0,
            Kind::Digest { .. } | Kind::Locate { .. } | Kind::Birth(_) | Kind::Commits { .. }
        )
    }

    /// What kind of message it is, for counting.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Kind::Digest { .. } => "digest",
            Kind::Locate { .. } => "locate",
            Kind::Birth(_) => "birth",
            Kind::Commits { .. } => "commits",
            Kind::Confirmed { .. } => "confirmed",
            Kind::Retired { .. } => "retired",
            Kind::Ask(_) => "ask",
            Kind::Answer(_) => "answer",
            Kind::Sums(_) => "sums",
            Kind::Versions { .. } => "versions",
            Kind::Records { .. } => "records",
            Kind::Ping { .. } => "ping",
            Kind::Pong { .. } => "pong",
            Kind::Reach { .. } => "reach",
        }
    }
}

impl From<Kind> for Gossip {
    fn from(kind: Kind) -> Self {
        Self(kind)
    }
}

fn read_versions(reader: &mut Reader<'_>) -> Result<Kind, DecodeError> {
    let what = "versions of records";
    let buckets = bounded(u16::from_be_bytes(reader.array(what)?), MAX_BUCKETS)?;
    let count = bounded(u16::from_be_bytes(reader.array(what)?), MAX_BUCKETS)?;
    let parts = (0..count).map(|_| reader.array(what).map(u16::from_be_bytes));
    let parts = parts.collect::<Result<_, _>>()?;
    let count = reader.count(Version::BYTES, what)?;
    let versions = (0..count).map(|_| Version::read(reader));
    Ok(Kind::Versions {
        buckets,
        parts,
        versions: versions.collect::<Result<_, _>>()?,
    })
}

fn put_names(names: &[CommitId], out: &mut impl BufMut) {
    names.iter().for_each(|name| out.put_u128(name.0));
}

fn names(reader: &mut Reader<'_>, count: usize, most: usize) -> Result<Vec<CommitId>, DecodeError> {
    if count > most {
        return Err(DecodeError::Invalid("names of commits"));
    }
    (0..count)
        .map(|_| reader.u128("names of commits").map(CommitId))
        .collect()
}

fn put_alarm(alarm: &Alarm, out: &mut impl BufMut) {
    out.put_u64(alarm.generation.0);
    out.put_u32(alarm.count);
}

fn alarm(reader: &mut Reader<'_>) -> Result<Alarm, DecodeError> {
    Ok(Alarm {
        generation: Generation(reader.u64("an alarm")?),
        count: reader.u32("an alarm")?,
    })
}

fn bounded(count: u16, most: usize) -> Result<usize, DecodeError> {
    let count = usize::from(count);
    if count <= most {
        Ok(count)
    } else {
        Err(DecodeError::Invalid("count"))
    }
}

/// How many versions fit in a message.
pub(super) const VERSIONS_AT_ONCE: usize = MAX_VERSIONS;
