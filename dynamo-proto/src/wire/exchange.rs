//! What replicas say to each other to find out where they differ.
//!
//! ```text
//! exchange  u8 what | body
//! roots     u64 ticket | u64 leaves | u8 n | u32 parts | each: gap, length, u64 digest
//! leaves    u64 ticket | u64 leaves | u8 n | u64 twig | u32 digests | u64 each
//! unequal   u64 ticket | u8 was looked at | u32 words | u64 each
//! doubt     u64 leaves | u32 numbers | u64 each
//! gap, length  seven bits to a byte, the lowest first; all but the last have the highest bit set
//! ```

use alloc::vec::Vec;
use core::ops::Range;

use bytes::{BufMut, BytesMut};

use super::Ticket;
use crate::reader::{DecodeError, Reader};

/// Most parts that are compared at a time, and most leaves.
pub const COMPARED_MOST: usize = 256;

/// What replicas say to each other to find out where they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// What the sender's trees say of some parts of the ring.
    Roots {
        /// The sender's question, echoed in the answer.
        ticket: Ticket,
        /// Into how many leaves its trees are cut.
        leaves: u64,
        /// Of keys that have so many replicas.
        n: u8,
        /// Each some twigs, and the sum of their digests; one after the other, at most
        /// [`COMPARED_MOST`].
        parts: Vec<(Range<u64>, u64)>,
    },
    /// What the leaves of one twig say.
    Leaves {
        /// The sender's question, echoed in the answer.
        ticket: Ticket,
        /// Into how many leaves its trees are cut.
        leaves: u64,
        /// Of keys that have so many replicas.
        n: u8,
        /// Which twig.
        twig: u64,
        /// The digest of each of its leaves, at most [`COMPARED_MOST`].
        digests: Vec<u64>,
    },
    /// What differs at the receiver of one of the two.
    Unequal {
        /// As in the question.
        ticket: Ticket,
        /// Whether anything can be said.
        is_sure: bool,
        /// A bit for each part or leaf that was asked for, the first lowest, in the first word.
        differs: Vec<u64>,
    },
    /// Leaves that differ though the keys in them do not: one side's trees are wrong.
    Doubt {
        /// Into how many leaves trees are cut.
        leaves: u64,
        /// Which leaves, at most [`COMPARED_MOST`].
        numbers: Vec<u64>,
    },
}

const ROOTS: u8 = 1;
const LEAVES: u8 = 2;
const UNEQUAL: u8 = 3;
const DOUBT: u8 = 4;

const WHAT: &str = "an exchange";

impl Exchange {
    /// About how many bytes it takes: never more.
    pub(super) fn encoded_len(&self) -> usize {
        match self {
            Self::Roots { parts, .. } => 28 * parts.len(),
            Self::Leaves { digests: all, .. }
            | Self::Unequal { differs: all, .. }
            | Self::Doubt { numbers: all, .. } => 8 * all.len(),
        }
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Roots {
                ticket,
                leaves,
                n,
                parts,
            } => {
                out.put_u8(ROOTS);
                out.put_u64(ticket.0);
                out.put_u64(*leaves);
                out.put_u8(*n);
                out.put_u32(parts.len() as u32); // at most COMPARED_MOST
                let mut at = 0;
                for (twigs, digest) in parts {
                    put_number(twigs.start.saturating_sub(at), out);
                    put_number(twigs.end.saturating_sub(twigs.start), out);
                    out.put_u64(*digest);
                    at = twigs.end;
                }
            }
            Self::Leaves {
                ticket,
                leaves,
                n,
                twig,
                digests,
            } => {
                out.put_u8(LEAVES);
                out.put_u64(ticket.0);
                out.put_u64(*leaves);
                out.put_u8(*n);
                out.put_u64(*twig);
                put_all(digests, out);
            }
            Self::Unequal {
                ticket,
                is_sure,
                differs,
            } => {
                out.put_u8(UNEQUAL);
                out.put_u64(ticket.0);
                out.put_u8((*is_sure).into());
                put_all(differs, out);
            }
            Self::Doubt { leaves, numbers } => {
                out.put_u8(DOUBT);
                out.put_u64(*leaves);
                put_all(numbers, out);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = reader.u8(WHAT)?;
        if what == DOUBT {
            return Ok(Self::Doubt {
                leaves: reader.u64(WHAT)?,
                numbers: all(reader)?,
            });
        }
        let ticket = Ticket::decode(reader)?;
        Ok(match what {
            ROOTS => {
                let (leaves, n) = (reader.u64(WHAT)?, reader.u8(WHAT)?);
                let count = count(reader, 10)?;
                let (mut parts, mut at) = (Vec::with_capacity(count), 0_u64);
                for _ in 0..count {
                    let invalid = DecodeError::Invalid(WHAT);
                    let start = at.checked_add(number(reader)?).ok_or(invalid)?;
                    let end = start.checked_add(number(reader)?).ok_or(invalid)?;
                    parts.push((start..end, reader.u64(WHAT)?));
                    at = end;
                }
                Self::Roots {
                    ticket,
                    leaves,
                    n,
                    parts,
                }
            }
            LEAVES => Self::Leaves {
                ticket,
                leaves: reader.u64(WHAT)?,
                n: reader.u8(WHAT)?,
                twig: reader.u64(WHAT)?,
                digests: all(reader)?,
            },
            UNEQUAL => Self::Unequal {
                ticket,
                is_sure: reader.bool(WHAT)?,
                differs: all(reader)?,
            },
            _ => return Err(DecodeError::Invalid(WHAT)),
        })
    }
}

fn put_all(numbers: &[u64], out: &mut BytesMut) {
    out.put_u32(numbers.len() as u32); // at most COMPARED_MOST
    numbers.iter().for_each(|number| out.put_u64(*number));
}

fn all(reader: &mut Reader<'_>) -> Result<Vec<u64>, DecodeError> {
    let count = count(reader, 8)?;
    (0..count).map(|_| reader.u64(WHAT)).collect()
}

fn count(reader: &mut Reader<'_>, unit: usize) -> Result<usize, DecodeError> {
    let count = reader.count(unit, WHAT)?;
    match count <= COMPARED_MOST {
        true => Ok(count),
        false => Err(DecodeError::Invalid(WHAT)),
    }
}

fn put_number(mut number: u64, out: &mut BytesMut) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// A number that is written as short as it can be.
fn number(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8(WHAT)?;
        let bits = u64::from(byte & 0x7f);
        let is_short = byte > 0 || shift == 0;
        if bits << shift >> shift != bits || (byte < 0x80 && !is_short) {
            break;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(DecodeError::Invalid(WHAT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_one_way() {
        for expected in [0, 1, 127, 128, 16_383, 16_384, u64::MAX - 1, u64::MAX] {
            let mut bytes = BytesMut::new();
            put_number(expected, &mut bytes);
            let bytes = bytes.freeze();
            let mut reader = Reader::new(&bytes);
            assert_eq!(number(&mut reader), Ok(expected));
            assert_eq!(reader.remaining(), 0);
        }
        for wrong in [&[0x80, 0][..], &[0xff; 10], &[0x80; 11], &[0x80]] {
            let bytes = bytes::Bytes::copy_from_slice(wrong);
            assert!(number(&mut Reader::new(&bytes)).is_err(), "{wrong:?}");
        }
    }
}
