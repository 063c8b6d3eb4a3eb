//! Keys of one bucket.

use bytes::Bytes;
use dynamo_proto::Key;
use dynamo_proto::node::{Condition, Mode, Operation, Options, Written};
use dynamo_proto::version::{Content, Update};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, Ways};
use crate::error::{ReadError, Refused, UpdateError, WriteError};
use crate::machine::{Answer, Ask, Failed};
use crate::read::{Over, Read, Seen, Value};
use crate::session::Session;
use crate::typed::Typed;

/// How often an update is done anew because of what others write.
const MOST_ROUNDS: u32 = 8;

/// A bucket: keys by name, each with a value or with several that were written side by side.
#[derive(Clone, Debug)]
pub struct Bucket {
    client: Client,
    kind: String,
    name: String,
    ways: Ways,
    is_driven: bool,
    session: Option<Session>,
}

/// What a write left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrote {
    /// How many values the key has now at its coordinator, this one included: more than one if others
    /// wrote what this one had not seen.
    pub siblings: u32,
    /// What is seen now, for the next write. Nothing if there are values that this writer has not
    /// seen: it must read before it can supersede them.
    pub seen: Option<Seen>,
    /// Of an update of a data type, what it came to at its coordinator.
    pub came_to: Option<i64>,
}

impl Bucket {
    pub(crate) fn new(client: Client, kind: String, name: String) -> Self {
        Self {
            client,
            kind,
            name,
            ways: Ways::default(),
            is_driven: false,
            session: None,
        }
    }

    pub(crate) fn in_session(self, session: Session) -> Self {
        Self {
            session: Some(session),
            ..self
        }
    }

    /// The same with other quorums, another durability or another timeout.
    #[must_use]
    pub fn with(self, ways: Options) -> Self {
        Self { ways, ..self }
    }

    /// The same, with reads that this client coordinates itself: a hop less. Where that cannot be
    /// done, as while partitions move, a node does it as usual.
    #[must_use]
    pub fn read_by_client(self) -> Self {
        Self {
            is_driven: true,
            ..self
        }
    }

    /// The same, with values of that type as JSON.
    #[must_use]
    pub fn typed<T: Serialize + DeserializeOwned>(self) -> Typed<T> {
        Typed::new(self)
    }

    /// Reads a key.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Read, ReadError> {
        let key = self.key(key.as_ref())?;
        let seen = match &self.session {
            Some(session) => session.demands(&key)?,
            None => Vec::new(),
        };
        let demanded = seen.clone();
        let operation = Operation::Get { head: false, seen };
        match self.ask(key.clone(), operation).await {
            Answer::Got(found) => {
                if let Some(session) = &self.session {
                    session.saw(key, &demanded, &found.contexts);
                }
                Ok(Read::new(found))
            }
            Answer::Failed(failed) => Err(failed.into()),
            Answer::Put(_) | Answer::Listed(_) | Answer::Unknown => Err(Failed::Silent.into()),
        }
    }

    /// Writes a value over what was seen, blindly beside all that is there, or over whatever is there:
    /// which of these must be said.
    pub async fn put(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Bytes>,
        over: impl Into<Over>,
    ) -> Result<Wrote, WriteError> {
        let content = Content::plain(value);
        self.write(key.as_ref(), content, over.into(), Condition::None)
            .await
    }

    /// Writes any content.
    pub async fn put_content(
        &self,
        key: impl AsRef<[u8]>,
        content: Content,
        over: impl Into<Over>,
    ) -> Result<Wrote, WriteError> {
        self.write(key.as_ref(), content, over.into(), Condition::None)
            .await
    }

    /// Writes a value if the key has none. This is looked up on a read quorum just before, which is no
    /// lock: two that do so at once may both write, and are siblings then.
    pub async fn put_if_absent(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Bytes>,
    ) -> Result<Wrote, WriteError> {
        let content = Content::plain(value);
        self.write(key.as_ref(), content, Over::Blind, Condition::Absent)
            .await
    }

    /// Writes a value if the key still is as it was read. As with
    /// [`put_if_absent`](Self::put_if_absent) this is no compare-and-set.
    pub async fn put_if_unchanged(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Bytes>,
        read: &Read,
    ) -> Result<Wrote, WriteError> {
        let seen = read.seen();
        // Several contexts of one read are no one state that could still be there.
        let condition = match &seen.contexts[..] {
            [sealed] => Condition::Unchanged(sealed.clone()),
            _ => Condition::None,
        };
        let content = Content::plain(value);
        self.write(key.as_ref(), content, seen.into(), condition)
            .await
    }

    /// Deletes what was seen, or whatever is there. A blind delete leaves all that is there.
    pub async fn delete(
        &self,
        key: impl AsRef<[u8]>,
        over: impl Into<Over>,
    ) -> Result<Wrote, WriteError> {
        let (over, content) = (over.into(), Content::Tombstone);
        self.write(key.as_ref(), content, over, Condition::None)
            .await
    }

    /// Reads, makes one value of all that are there, and writes it over them; again, if others have
    /// written meanwhile. The function may be called several times, and may find among the siblings
    /// what it made earlier: what it adds must do no harm when it is added twice, as in a union. For
    /// anything else take a [data type](Client::data).
    ///
    /// Returns the value that is there now.
    pub async fn update(
        &self,
        key: impl AsRef<[u8]>,
        mut merge: impl FnMut(Vec<Bytes>) -> Bytes,
    ) -> Result<Bytes, UpdateError> {
        let key = key.as_ref();
        for _ in 0..MOST_ROUNDS {
            let read = self.get(key).await?;
            let merged = merge(read.value().all());
            let wrote = self.put(key, merged.clone(), &read).await?;
            if wrote.siblings <= 1 {
                return Ok(merged);
            }
        }
        Err(UpdateError::Contended(MOST_ROUNDS))
    }

    /// Changes what a key of a data type holds.
    pub async fn change(&self, key: impl AsRef<[u8]>, update: Update) -> Result<Wrote, WriteError> {
        let key = self.key(key.as_ref())?;
        let operation = Operation::Update {
            fastest: None,
            context: None,
            update,
        };
        self.written(key, operation).await
    }

    async fn write(
        &self,
        key: &[u8],
        content: Content,
        over: Over,
        condition: Condition,
    ) -> Result<Wrote, WriteError> {
        let key = self.key(key)?;
        if let Content::Live { body, .. } = &content {
            let (len, limit) = (body.len(), self.client.limits().value_bytes);
            if len > limit {
                return Err(Refused::ValueTooLarge { len, limit }.into());
            }
        }
        let (mode, fastest) = match over {
            Over::Seen(seen) => (Mode::Context(seen.contexts), seen.fastest),
            Over::Blind => (Mode::Blind, None),
            Over::Overwrite => (Mode::Overwrite, None),
        };
        let operation = Operation::Put {
            fastest,
            mode,
            content,
            condition,
        };
        self.written(key, operation).await
    }

    async fn written(&self, key: Key, operation: Operation) -> Result<Wrote, WriteError> {
        let session = self.session.as_ref();
        if let Some(session) = session {
            session.has_room_for(&key)?;
        }
        match self.ask(key.clone(), operation).await {
            Answer::Put(written) => {
                if let Some(session) = session {
                    session.wrote(key, &written);
                }
                let Written {
                    siblings,
                    context,
                    came_to,
                    receipt: _,
                } = written;
                let seen = context.map(|sealed| Seen {
                    contexts: [sealed].into_iter().collect(),
                    fastest: None,
                });
                Ok(Wrote {
                    siblings,
                    seen,
                    came_to,
                })
            }
            Answer::Failed(failed) => Err(failed.into()),
            Answer::Got(_) | Answer::Listed(_) | Answer::Unknown => Err(WriteError::Unknown),
        }
    }

    async fn ask(&self, key: Key, operation: Operation) -> Answer {
        let ask = Ask {
            key,
            operation,
            options: self.ways,
            is_driven: self.is_driven,
        };
        self.client.ask(ask).await
    }

    fn key(&self, key: &[u8]) -> Result<Key, Refused> {
        let limits = self.client.limits();
        Ok(Key::new(&self.kind, &self.name, key, &limits)?)
    }
}

impl<T> Value<T> {
    /// The same of each value.
    pub fn try_map<U, E>(self, mut map: impl FnMut(T) -> Result<U, E>) -> Result<Value<U>, E> {
        Ok(match self {
            Self::None => Value::None,
            Self::One(value) => Value::One(map(value)?),
            Self::Siblings(values) => {
                Value::Siblings(values.into_iter().map(map).collect::<Result<_, _>>()?)
            }
        })
    }
}
