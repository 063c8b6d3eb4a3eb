//! The body of a request, of a known length or in chunks.

use bytes::{Buf, Bytes, BytesMut};

use super::head::Length;
use super::refusal::Refusal;

/// Longest line that announces a chunk, what may be said beside its length included.
const CHUNK_LINE_BYTES: usize = 256;

/// Longest fields behind the last chunk.
const TRAILER_BYTES: usize = 8 << 10;

/// How far a body has been read.
#[derive(Debug)]
pub(super) enum Body {
    Known(usize),
    Chunked {
        part: Part,
        bytes: BytesMut,
        /// Longest body.
        limit: usize,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// The line that announces a chunk.
    Line,
    /// So much of a chunk.
    Data(usize),
    /// The end of a chunk's line.
    End,
    /// Fields behind the last chunk, so long so far.
    Trailer(usize),
}

impl Body {
    pub(super) fn new(length: Length, limit: usize) -> Result<Self, Refusal> {
        match length {
            Length::Known(length) if length > limit => Err(Refusal::BodyTooLong),
            Length::Known(length) => Ok(Self::Known(length)),
            Length::Chunked => Ok(Self::Chunked {
                part: Part::Line,
                bytes: BytesMut::new(),
                limit,
            }),
        }
    }

    /// How many more bytes it is known to take.
    pub(super) fn missing(&self, received: usize) -> usize {
        match self {
            Self::Known(length) => length.saturating_sub(received),
            Self::Chunked { .. } => 0,
        }
    }

    /// All of it, once it is there. One of a known length is a slice of what was received.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Refusal> {
        match self {
            Self::Known(length) if input.len() < *length => Ok(None),
            Self::Known(length) => Ok(Some(input.split_to(*length).freeze())),
            Self::Chunked { part, bytes, limit } => {
                while let Some(next) = part.read(input, bytes, *limit)? {
                    match next {
                        Some(next) => *part = next,
                        None => return Ok(Some(bytes.split().freeze())),
                    }
                }
                Ok(None)
            }
        }
    }
}

impl Part {
    /// What comes after this part, nothing if it was the last; none of that if it is not there yet.
    #[expect(clippy::option_option, reason = "not yet, and never again")]
    fn read(
        &mut self,
        input: &mut BytesMut,
        bytes: &mut BytesMut,
        limit: usize,
    ) -> Result<Option<Option<Self>>, Refusal> {
        match *self {
            Self::Line => {
                let line = &input[..input.len().min(CHUNK_LINE_BYTES)];
                let announced = httparse::parse_chunk_size(line)
                    .map_err(|_| Refusal::Malformed("a chunk without a length"))?;
                let httparse::Status::Complete((line, size)) = announced else {
                    return match input.len() {
                        0..CHUNK_LINE_BYTES => Ok(None),
                        _ => Err(Refusal::Malformed("a chunk's line is too long")),
                    };
                };
                if size > limit.saturating_sub(bytes.len()) as u64 {
                    return Err(Refusal::BodyTooLong);
                }
                input.advance(line);
                Ok(Some(Some(match size {
                    0 => Self::Trailer(0),
                    size => Self::Data(size as usize), // at most the limit
                })))
            }
            Self::Data(left) => {
                if input.is_empty() {
                    return Ok(None);
                }
                let there = left.min(input.len());
                bytes.extend_from_slice(&input[..there]);
                input.advance(there);
                Ok(Some(Some(match left - there {
                    0 => Self::End,
                    left => Self::Data(left),
                })))
            }
            Self::End => match &input[..] {
                [b'\r', b'\n', ..] => {
                    input.advance(2);
                    Ok(Some(Some(Self::Line)))
                }
                [] | [b'\r'] => Ok(None),
                _ => Err(Refusal::Malformed("a chunk is longer than announced")),
            },
            Self::Trailer(length) => {
                let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
                    return match length + input.len() {
                        0..TRAILER_BYTES => Ok(None),
                        _ => Err(Refusal::HeadTooLong),
                    };
                };
                let line = input.split_to(end + 1);
                if length + line.len() > TRAILER_BYTES {
                    return Err(Refusal::HeadTooLong);
                }
                if line.trim_ascii().is_empty() {
                    return Ok(Some(None));
                }
                Ok(Some(Some(Self::Trailer(length + line.len()))))
            }
        }
    }
}
