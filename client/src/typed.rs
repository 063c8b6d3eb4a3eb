//! Values of a type of the application's, as JSON.

use std::marker::PhantomData;

use dynamo_proto::version::{Content, FieldKind, Metadata};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bucket::{Bucket, Wrote};
use crate::error::{ReadError, UpdateError, WriteError};
use crate::read::{Over, Read, Value};

/// How often an update is done anew because of what others write.
const MOST_ROUNDS: u32 = 8;

/// A bucket whose values are JSON of a type, so that other clients can read them too.
#[derive(Clone, Debug)]
pub struct Typed<T> {
    bucket: Bucket,
    values: PhantomData<fn() -> T>,
}

/// Values of a type that were read, and what was seen with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedRead<T> {
    /// The values that are there.
    pub value: Value<T>,
    /// What the write that follows supersedes.
    pub read: Read,
}

impl<T: Serialize + DeserializeOwned> Typed<T> {
    pub(crate) fn new(bucket: Bucket) -> Self {
        let values = PhantomData;
        Self { bucket, values }
    }

    /// Reads a key.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<TypedRead<T>, ReadError> {
        let read = self.bucket.get(key).await?;
        let value = read.value().try_map(|body| serde_json::from_slice(&body))?;
        Ok(TypedRead { value, read })
    }

    /// Writes a value; see [`Bucket::put`].
    pub async fn put(
        &self,
        key: impl AsRef<[u8]>,
        value: &T,
        over: impl Into<Over>,
    ) -> Result<Wrote, WriteError> {
        let body = serde_json::to_vec(value).map_err(WriteError::Encode)?;
        let mut metadata = Metadata::builder();
        let kind = FieldKind::CONTENT_TYPE;
        let metadata = match metadata.push(kind, b"", b"application/json") {
            Ok(_) => metadata.build(),
            Err(_) => Metadata::default(), // so short that it fits
        };
        let body = body.into();
        let content = Content::Live { metadata, body };
        self.bucket.put_content(key, content, over).await
    }

    /// Deletes a key; see [`Bucket::delete`].
    pub async fn delete(
        &self,
        key: impl AsRef<[u8]>,
        over: impl Into<Over>,
    ) -> Result<Wrote, WriteError> {
        self.bucket.delete(key, over).await
    }

    /// Reads, merges the values that are there by the first function, changes the result by the
    /// second, and writes it over them. If others have written meanwhile, what is there then is merged
    /// once more, and the change, which is among it, is not made again.
    ///
    /// Returns the value that is there now.
    pub async fn update(
        &self,
        key: impl AsRef<[u8]>,
        mut merge: impl FnMut(Vec<T>) -> T,
        change: impl FnOnce(Option<T>) -> T,
    ) -> Result<T, UpdateError> {
        let key = key.as_ref();
        let mut change = Some(change);
        for _ in 0..MOST_ROUNDS {
            let TypedRead { value, read } = self.get(key).await?;
            let merged = value.merge(&mut merge);
            let next = match (change.take(), merged) {
                (Some(change), merged) => change(merged),
                (None, Some(merged)) => merged,
                // Somebody has deleted it: that is what is there now.
                (None, None) => return Err(UpdateError::Contended(1)),
            };
            let wrote = self.put(key, &next, &read).await?;
            if wrote.siblings <= 1 {
                return Ok(next);
            }
        }
        Err(UpdateError::Contended(MOST_ROUNDS))
    }
}

impl<T> From<&TypedRead<T>> for Over {
    fn from(read: &TypedRead<T>) -> Self {
        Self::Seen(read.read.seen())
    }
}
