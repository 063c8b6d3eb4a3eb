//! A client of a cluster, on a runtime.

use std::sync::Arc;
use std::time::Instant;

use dynamo_proto::Limits;
use dynamo_proto::node::Options;
use dynamo_proto::version::DataType;
use futures_channel::oneshot;

use crate::bucket::Bucket;
use crate::data::{Counter, DataKey, Map, Set};
use crate::error::ConnectError;
use crate::machine::{Answer, Ask, Counts, Failed, Machine, Settings};
use crate::pump::{Post, Pump};
use crate::runtime::Runtime;
use crate::session::Session;

/// A client of a cluster. Copies of it share its connections; when the last is gone they are closed.
#[derive(Clone)]
pub struct Client(Arc<Handle>);

struct Handle {
    post: Arc<Post>,
    settings: Settings,
}

impl Client {
    /// A client on tokio, within which it must be called, once a node has answered.
    #[cfg(feature = "tokio")]
    pub async fn connect(settings: Settings) -> Result<Self, ConnectError> {
        Self::connect_on::<crate::runtime::Tokio>(settings).await
    }

    /// A client on smol's threads, once a node has answered.
    #[cfg(feature = "smol")]
    pub async fn connect_on_smol(settings: Settings) -> Result<Self, ConnectError> {
        Self::connect_on::<crate::runtime::Smol>(settings).await
    }

    /// A client on any runtime, once a node has answered.
    pub async fn connect_on<R: Runtime>(settings: Settings) -> Result<Self, ConnectError> {
        let (client, met) = Self::start::<R>(settings)?;
        match met.await {
            Ok(Ok(())) => Ok(client),
            Ok(Err(trouble)) => Err(ConnectError::NotMet(trouble)),
            Err(oneshot::Canceled) => Err(ConnectError::NotMet(Default::default())),
        }
    }

    /// A client that is there at once, whether any node answers or not: requests wait for one.
    pub fn connecting_on<R: Runtime>(settings: Settings) -> Result<Self, ConnectError> {
        Self::start::<R>(settings).map(|(client, _)| client)
    }

    fn start<R: Runtime>(settings: Settings) -> Result<(Self, Met), ConnectError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let post = Arc::new(Post::default());
        let start = Instant::now();
        let machine = Machine::new(settings.clone(), seed, Default::default());
        let (meet, met) = oneshot::channel();
        R::spawn(Pump::<R>::new(machine, post.clone(), start, meet));
        Ok((Self(Arc::new(Handle { post, settings })), met))
    }

    /// A bucket of the default type: keys with siblings.
    #[must_use]
    pub fn bucket(&self, name: impl Into<String>) -> Bucket {
        self.bucket_of("default", name)
    }

    /// A bucket of a type that the cluster's configuration names.
    #[must_use]
    pub fn bucket_of(&self, kind: impl Into<String>, name: impl Into<String>) -> Bucket {
        Bucket::new(self.clone(), kind.into(), name.into())
    }

    /// A counter.
    #[must_use]
    pub fn counter(&self, bucket: impl Into<String>, key: impl Into<Vec<u8>>) -> Counter {
        Counter(self.data(DataType::Counter, bucket, key))
    }

    /// A set, in which what is added while it is removed stays.
    #[must_use]
    pub fn set(&self, bucket: impl Into<String>, key: impl Into<Vec<u8>>) -> Set {
        Set(self.data(DataType::Set, bucket, key))
    }

    /// A map of counters, sets, registers, flags and maps.
    #[must_use]
    pub fn map(&self, bucket: impl Into<String>, key: impl Into<Vec<u8>>) -> Map {
        Map(self.data(DataType::Map, bucket, key))
    }

    /// A key of any data type, in a bucket of the type of that name.
    #[must_use]
    pub fn data(
        &self,
        kind: DataType,
        bucket: impl Into<String>,
        key: impl Into<Vec<u8>>,
    ) -> DataKey {
        DataKey {
            bucket: self.bucket_of(kind.name(), bucket),
            kind,
            key: key.into(),
        }
    }

    /// From now on, whoever reads by that session has seen what it has seen and written.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::new(self.clone())
    }

    /// How large things may become, as far as is known.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.0.post.limits().unwrap_or(self.0.settings.limits)
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.post.counts()
    }

    /// Asks for anything, as the machine takes it.
    pub async fn ask(&self, ask: Ask) -> Answer {
        #[cfg(feature = "tracing")]
        {
            use tracing::Instrument as _;
            let span = crate::trace::span(&ask);
            async {
                let answer = self.asked(ask).await;
                crate::trace::ended(&answer);
                answer
            }
            .instrument(span)
            .await
        }
        #[cfg(not(feature = "tracing"))]
        self.asked(ask).await
    }

    async fn asked(&self, ask: Ask) -> Answer {
        let answer = self.0.post.ask(ask).await;
        answer.unwrap_or(Answer::Failed(Failed::Closed))
    }
}

type Met = oneshot::Receiver<Result<(), crate::machine::Trouble>>;

impl Drop for Handle {
    fn drop(&mut self) {
        self.post.close();
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cluster = self.0.settings.cluster;
        f.debug_struct("Client")
            .field("cluster", &cluster)
            .finish_non_exhaustive()
    }
}

/// How a bucket's requests depart from its ways.
pub(crate) type Ways = Options;
