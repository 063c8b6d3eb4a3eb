//! Keys and where they fall on the ring.
//!
//! A key is a triple (bucket type, bucket, key). It travels, is stored and is hashed as one run of
//! bytes in which the first two parts carry their lengths, so that no two triples share an
//! encoding:
//!
//! ```text
//! u16 len | bucket type | u16 len | bucket | key
//! ```

use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use md5::{Digest, Md5};

use crate::config::Limits;

/// A point of the ring: the MD5 of a key's encoding, read as a big-endian number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u128);

/// Bucket type, bucket and key.
///
/// ```
/// use dynamo_proto::{Key, Limits};
///
/// let limits = Limits::default();
/// let key = Key::new("default", "carts", "alice", &limits)?;
/// assert_eq!(key.bucket(), b"carts");
/// assert_eq!(Key::decode(key.encoded().clone())?, key);
/// // The same letters cut elsewhere are another key.
/// assert_ne!(key, Key::new("default", "cart", "salice", &limits)?);
/// # Ok::<(), dynamo_proto::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    encoded: Bytes,
    /// Of those bytes; here because everybody who meets a key needs it, some several times.
    token: Token,
}

/// Why bytes are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A bucket type, bucket or key of no bytes.
    #[error("{0} must not be empty")]
    Empty(KeyPart),
    /// A part longer than the configuration allows.
    #[error("{part} of {len} bytes is over the limit of {limit}")]
    TooLong {
        /// Which one.
        part: KeyPart,
        /// Its length.
        len: usize,
        /// What [`Limits`] allows.
        limit: usize,
    },
    /// The bytes end before the parts that they announce.
    #[error("truncated key")]
    Truncated,
}

/// One of the three parts of a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The bucket's type.
    BucketType,
    /// The bucket.
    Bucket,
    /// The key within the bucket.
    Key,
}

const LEN: usize = size_of::<u16>();

impl Key {
    /// A key of these parts, none empty, none over its limit.
    pub fn new(
        bucket_type: impl AsRef<[u8]>,
        bucket: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        limits: &Limits,
    ) -> Result<Self, KeyError> {
        let (bucket_type, bucket, key) = (bucket_type.as_ref(), bucket.as_ref(), key.as_ref());
        check_not_empty(bucket_type, bucket, key)?;
        check_limits(bucket_type, bucket, key, limits)?;
        let mut bytes =
            BytesMut::with_capacity(2 * LEN + bucket_type.len() + bucket.len() + key.len());
        for part in [bucket_type, bucket] {
            bytes.put_u16(part.len() as u16); // fits: the limits keep both under u16::MAX
            bytes.put_slice(part);
        }
        bytes.put_slice(key);
        Ok(Self::of(bytes.freeze()))
    }

    /// The key whose [`encoded`](Self::encoded) form this is. Shares the bytes.
    ///
    /// Limits do not matter here: they bind clients, and a replica must take in what its peers
    /// hold. [`check`](Self::check) is for those who speak for a client.
    pub fn decode(encoded: Bytes) -> Result<Self, KeyError> {
        let (bucket_type, bucket, key) = split(&encoded).ok_or(KeyError::Truncated)?;
        check_not_empty(bucket_type, bucket, key)?;
        Ok(Self::of(encoded))
    }

    /// Whether a client may use this key.
    pub fn check(&self, limits: &Limits) -> Result<(), KeyError> {
        let (bucket_type, bucket, key) = self.parts();
        check_limits(bucket_type, bucket, key, limits)
    }

    /// The bucket's type.
    #[must_use]
    pub fn bucket_type(&self) -> &[u8] {
        split_part(&self.encoded).map_or(&[], |(bucket_type, _)| bucket_type)
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &[u8] {
        self.parts().1
    }

    /// The key within its bucket.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.parts().2
    }

    /// All three parts, in the form in which they travel and are stored.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// Where the key falls on the ring.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    fn of(encoded: Bytes) -> Self {
        let token = Token(u128::from_be_bytes(Md5::digest(&encoded).into()));
        Self { encoded, token }
    }

    fn parts(&self) -> (&[u8], &[u8], &[u8]) {
        split(&self.encoded).expect("a Key is only made of bytes that split")
    }
}

fn split(encoded: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (bucket_type, rest) = split_part(encoded)?;
    let (bucket, key) = split_part(rest)?;
    Some((bucket_type, bucket, key))
}

fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<LEN>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

fn check_not_empty(bucket_type: &[u8], bucket: &[u8], key: &[u8]) -> Result<(), KeyError> {
    for (part, bytes) in parts(bucket_type, bucket, key) {
        if bytes.is_empty() {
            return Err(KeyError::Empty(part));
        }
    }
    Ok(())
}

fn check_limits(
    bucket_type: &[u8],
    bucket: &[u8],
    key: &[u8],
    limits: &Limits,
) -> Result<(), KeyError> {
    for (part, bytes) in parts(bucket_type, bucket, key) {
        let limit = match part {
            KeyPart::BucketType | KeyPart::Bucket => limits.bucket_bytes.min(u16::MAX.into()),
            KeyPart::Key => limits.key_bytes,
        };
        if bytes.len() > limit {
            return Err(KeyError::TooLong {
                part,
                len: bytes.len(),
                limit,
            });
        }
    }
    Ok(())
}

fn parts<'a>(bucket_type: &'a [u8], bucket: &'a [u8], key: &'a [u8]) -> [(KeyPart, &'a [u8]); 3] {
    [
        (KeyPart::BucketType, bucket_type),
        (KeyPart::Bucket, bucket),
        (KeyPart::Key, key),
    ]
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BucketType => "bucket type",
            Self::Bucket => "bucket",
            Self::Key => "key",
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bucket_type, bucket, key) = self.parts();
        write!(
            f,
            "{}/{}/{}",
            bucket_type.escape_ascii(),
            bucket.escape_ascii(),
            key.escape_ascii()
        )
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
