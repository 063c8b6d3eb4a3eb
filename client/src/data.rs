//! Keys that merge by themselves: counters, sets, maps and what they are made of.

use bytes::Bytes;
use dynamo_proto::version::{Action, Data, DataType, Path, Step, Update};

use crate::bucket::{Bucket, Wrote};
use crate::error::{ReadError, WriteError};

/// A key of a data type.
#[derive(Clone, Debug)]
pub struct DataKey {
    pub(crate) bucket: Bucket,
    pub(crate) kind: DataType,
    pub(crate) key: Vec<u8>,
}

/// A counter: each increment that is done counts once.
#[derive(Clone, Debug)]
pub struct Counter(pub(crate) DataKey);

/// A set.
#[derive(Clone, Debug)]
pub struct Set(pub(crate) DataKey);

/// A map of named fields, each of a type of its own.
#[derive(Clone, Debug)]
pub struct Map(pub(crate) DataKey);

impl DataKey {
    /// What it holds.
    pub async fn get(&self) -> Result<Data, ReadError> {
        let read = self.bucket.get(&self.key).await?;
        match read.data() {
            Some(data) if data.kind() == self.kind => Ok(data.clone()),
            None if read.is_absent() => Ok(Data::new(self.kind)),
            Some(_) | None => Err(ReadError::Kind(self.kind)),
        }
    }

    /// Takes these steps together.
    pub async fn change(&self, steps: impl IntoIterator<Item = Step>) -> Result<Wrote, WriteError> {
        let update = Update::from_iter(steps);
        self.bucket.change(&self.key, update).await
    }

    async fn act(&self, action: Action) -> Result<Wrote, WriteError> {
        let at = Path::default();
        self.change([Step { at, action }]).await
    }
}

impl Counter {
    /// Counts up by that much, or down. Returns what its coordinator says then, which may lack what
    /// others have counted. Where the outcome is unknown it was counted once or not at all.
    pub async fn add(&self, by: i64) -> Result<Option<i64>, WriteError> {
        Ok(self.0.act(Action::Count(by)).await?.came_to)
    }

    /// What it says.
    pub async fn value(&self) -> Result<i64, ReadError> {
        Ok(self.0.get().await?.view().count())
    }
}

impl Set {
    /// Adds an element.
    pub async fn add(&self, element: impl Into<Bytes>) -> Result<Wrote, WriteError> {
        self.0.act(Action::Add(element.into())).await
    }

    /// Removes an element, as far as a read quorum has it now. Who adds it at the same time wins.
    pub async fn remove(&self, element: impl Into<Bytes>) -> Result<Wrote, WriteError> {
        self.0.act(Action::Remove(element.into())).await
    }

    /// All elements, in order.
    pub async fn elements(&self) -> Result<Vec<Bytes>, ReadError> {
        let data = self.0.get().await?;
        let elements = data.view();
        Ok(elements.elements().map(Bytes::copy_from_slice).collect())
    }

    /// Whether it has that element.
    pub async fn contains(&self, element: impl AsRef<[u8]>) -> Result<bool, ReadError> {
        Ok(self.0.get().await?.view().contains(element.as_ref()))
    }
}

impl Map {
    /// Takes these steps together: they are there together, at every replica.
    pub async fn change(&self, steps: impl IntoIterator<Item = Step>) -> Result<Wrote, WriteError> {
        self.0.change(steps).await
    }

    /// What it holds; see [`Data::view`].
    pub async fn get(&self) -> Result<Data, ReadError> {
        self.0.get().await
    }
}
