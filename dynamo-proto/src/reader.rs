//! Takes received bytes apart without copying them.

use bytes::Bytes;

/// Why bytes do not decode. Whoever sent them is broken or of another make; nothing was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end too early.
    #[error("the bytes end in the middle of {0}")]
    Truncated(&'static str),
    /// They go on after the end.
    #[error("{0} bytes follow where nothing should")]
    Trailing(usize),
    /// They say what cannot be.
    #[error("invalid {0}")]
    Invalid(&'static str),
}

/// A position in received bytes.
pub(crate) struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next N bytes, by value.
    #[inline]
    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let chunk = self.bytes[self.at..]
            .first_chunk()
            .ok_or(DecodeError::Truncated(what))?;
        self.at += N;
        Ok(*chunk)
    }

    #[inline]
    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array(what).map(u8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn bool(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid(what)),
        }
    }

    #[inline]
    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u128(&mut self, what: &'static str) -> Result<u128, DecodeError> {
        self.array(what).map(u128::from_be_bytes)
    }

    /// A length or count, each unit of which takes at least `unit` of the bytes that follow: so
    /// nothing is ever allocated on the word of a number alone.
    #[inline]
    pub(crate) fn count(&mut self, unit: usize, what: &'static str) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.u32(what)?).map_err(|_| DecodeError::Invalid(what))?;
        match count.checked_mul(unit) {
            Some(len) if len <= self.remaining() => Ok(count),
            _ => Err(DecodeError::Truncated(what)),
        }
    }

    /// The next `len` bytes, shared with the buffer that they came in.
    #[inline]
    pub(crate) fn bytes(&mut self, len: usize, what: &'static str) -> Result<Bytes, DecodeError> {
        if len > self.remaining() {
            return Err(DecodeError::Truncated(what));
        }
        if len == 0 {
            return Ok(Bytes::new()); // keeps no buffer alive
        }
        let from = self.at;
        self.at += len;
        Ok(self.bytes.slice(from..self.at))
    }

    #[inline]
    pub(crate) fn rest(self) -> Bytes {
        self.bytes.slice(self.at..)
    }

    /// The next `len` bytes, for now.
    #[inline]
    pub(crate) fn slice(
        &mut self,
        len: usize,
        what: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let bytes = self.bytes[self.at..]
            .get(..len)
            .ok_or(DecodeError::Truncated(what))?;
        self.at += len;
        Ok(bytes)
    }

    #[inline]
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            trailing => Err(DecodeError::Trailing(trailing)),
        }
    }
}
